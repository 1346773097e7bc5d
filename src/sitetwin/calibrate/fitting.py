"""Fit a structured model to measured rows, and predict beams of other rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from sitetwin.calibrate.model import BeamModel, Data, State
from sitetwin.calibrate.priors import GLOBALS
from sitetwin.calibrate.rows import BeamRows
from sitetwin.calibrate.turns import TURN_SD_DEG, TURNS_DEG, Sessions, find_sessions, turn_posterior

_BLUR_DEG = 10.0  # beyond the widest turn: errors of positions
_LEAST_SHARE = 1e-4  # of an offset that is looked at
_FIX_DEG = 1.2  # error of a fix, seen from the station
_WORST_ROW = 12.0  # nats: a row that fits nowhere says no more than this


@dataclass(frozen=True, eq=False)
class Calibration:
    """Results of R fits.

    Attributes:
        unknowns: The unknowns of `GLOBALS` by name, (fits,) each, in their units.
        gain_db: Gain of each beam.
        pointing_deg: Pointing error of each beam.
        drift: Weights of the displacement's features.
        drive: int64, drives of the measured rows.
        turn_cost: Nats that each of `TURNS_DEG` costs each row; there are no turns where the array never turns.
    """

    unknowns: dict[str, Tensor]
    gain_db: Float[Tensor, "fits beams"]
    pointing_deg: Float[Tensor, "fits beams"]
    drift: Float[Tensor, "fits features"]
    drive: Int[np.ndarray, "fits rows"]
    turn_cost: Float[np.ndarray, "fits rows turns"]

    def alone(self, fit: int) -> Calibration:
        """Return one of the fits."""
        one = slice(fit, fit + 1)
        return Calibration(
            {name: value[one] for name, value in self.unknowns.items()},
            self.gain_db[one],
            self.pointing_deg[one],
            self.drift[one],
            self.drive[one],
            self.turn_cost[one],
        )


class Fitter:
    """Fits of a model, R at once, and predictions with them."""

    def __init__(self, model: BeamModel) -> None:
        self.model = model

    def fit(self, rows: BeamRows) -> Calibration:
        """Maximum a posteriori of all unknowns, R fits at once.

        Args:
            rows: R sets of k rows with their powers; k may be 0, which gives the prior means.

        Raises:
            SiteTwinError: The rows have no powers, or those of another number of beams.
        """
        power = rows.measured(self.model.beams)
        fits, count = power.shape[:2]
        state = State.zeros(fits, count, self.model.beams, self.model.features, 1)
        sessions = Sessions.none(fits, count)
        none = np.zeros((fits, count, 0))
        if not count:
            return self._calibration(state, rows, none)
        data = Data.of(power, self.model.config)
        self._start(state, rows, data)
        if not self.model.with_sessions:
            self._descend(state, rows, data, sessions, self.model.config.steps)
            return self._calibration(state, rows, none)
        self._descend(state, rows, data, sessions, self.model.config.steps // 3)
        sessions = find_sessions(rows.drive.numpy(), TURNS_DEG, self._turn_costs(state, rows, data))
        state.tensors["session"] = torch.from_numpy(sessions.turn_deg / TURN_SD_DEG).float()
        state.tensors["fix"] = torch.zeros(fits, count)
        self._descend(state, rows, data, sessions, self.model.config.steps)
        return self._calibration(state, rows, self._turn_costs(state, rows, data))

    def probabilities(
        self,
        calibration: Calibration,
        rows: BeamRows,
        spread_m: Float[np.ndarray, " fits"] | None = None,
        tie_db: Float[np.ndarray, " fits"] | None = None,
    ) -> Float[np.ndarray, "fits rows beams"]:
        """Compute the probability that each beam is the best, averaged over position errors and the array's sessions.

        Args:
            calibration: Result of `fit`.
            rows: R sets of M rows.
            spread_m: Error of the positions, metres; that of the configuration by default.
            tie_db: Difference in dB over which two beams are about equally likely; that of the configuration by
                default.
        """
        fits = len(rows.drive)
        spread = torch.from_numpy(np.full(fits, self.model.config.spread_m) if spread_m is None else spread_m).float()
        tie = torch.from_numpy(np.full(fits, self.model.config.tie_db) if tie_db is None else tie_db).float()
        state = self._state(calibration)
        total = torch.zeros(*rows.drive.shape, self.model.beams)
        with torch.no_grad():
            still = torch.zeros_like(rows.heading)
            degrees = self.model.azimuth(state, rows, still)
            metre = (self.model.azimuth(state, rows, still + 0.5) - self.model.azimuth(state, rows, still - 0.5)).abs()
            for offset, share in self._offsets(calibration, rows, metre * spread[:, None]):
                level = self.model.levels(state, rows, degrees - offset)
                total += share[..., None] * torch.softmax(level / tie[:, None, None], dim=-1)
        return (total / total.sum(-1, keepdim=True)).numpy().astype(np.float64)

    def _offsets(self, calibration: Calibration, rows: BeamRows, error_deg: Tensor) -> Iterator[tuple[float, Tensor]]:
        """Offsets of direction in degrees with the share (R, M) of each: turns of the array and normal errors."""
        turns = torch.from_numpy(TURNS_DEG).float()
        if calibration.turn_cost.shape[-1]:
            posterior = turn_posterior(calibration.drive, TURNS_DEG, calibration.turn_cost, rows.drive.numpy())
            of_turn = torch.from_numpy(posterior).float()
        else:
            of_turn = (turns == 0).float().expand(*rows.drive.shape, -1)
        step = float(TURNS_DEG[1] - TURNS_DEG[0])
        width = error_deg.clamp_min(step / 4)[..., None]
        for offset in np.arange(TURNS_DEG[0] - _BLUR_DEG, TURNS_DEG[-1] + _BLUR_DEG + step / 2, step):
            share = (of_turn * torch.exp(-0.5 * ((float(offset) - turns) / width) ** 2) / width).sum(-1)
            if float(share.max()) > _LEAST_SHARE:
                yield float(offset), share

    def turn_costs(self, calibration: Calibration, rows: BeamRows) -> Float[np.ndarray, "fits rows turns"]:
        """Nats that each of `TURNS_DEG` costs measured rows, under a fit of any rows."""
        power = rows.measured(self.model.beams)
        return self._turn_costs(self._state(calibration), rows, Data.of(power, self.model.config))

    def azimuth_deg(self, calibration: Calibration, rows: BeamRows) -> Float[np.ndarray, "fits rows"]:
        """Direction in which the array sees each row, degrees on the codebook's axis, while it is not turned."""
        with torch.no_grad():
            return self.model.azimuth(self._state(calibration), rows, torch.zeros_like(rows.heading)).numpy()

    def _start(self, state: State, rows: BeamRows, data: Data) -> None:
        """Boresight and lever from a grid: a gradient alone would end in the nearest of many minima."""
        k, at = GLOBALS.index("boresight_deg"), GLOBALS.index("lever_m")
        best = torch.full((len(data.level_db),), torch.inf)
        chosen = torch.zeros(len(best), 2)
        unknowns = state.tensors["globals"]
        with torch.no_grad():
            for boresight in np.arange(-2.5, 2.51, 0.25) if self.model.sd[k] else [0.0]:
                for lever in range(-4, 5) if self.model.sd[at] else [0]:
                    unknowns[:, k], unknowns[:, at] = float(boresight), float(lever)
                    misfit = self.model.misfit(
                        self.model.levels(state, rows, self.model.azimuth(state, rows, torch.zeros_like(rows.heading))),
                        data,
                    )
                    cost = torch.log1p(misfit / 4).sum(-1) + 0.5 * float(boresight) ** 2 + 0.125 * lever**2
                    better = cost < best
                    best = torch.where(better, cost, best)
                    chosen[better] = torch.tensor([float(boresight), float(lever)])
            unknowns[:, k], unknowns[:, at] = chosen[:, 0], chosen[:, 1]

    def _descend(self, state: State, rows: BeamRows, data: Data, sessions: Sessions, steps: int) -> None:
        tensors = [tensor.requires_grad_(True) for tensor in state.tensors.values()]
        optimiser = torch.optim.Adam(tensors, lr=self.model.config.rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        of_row = torch.from_numpy(sessions.session)
        nu = self.model.config.fix_freedom
        for _ in range(steps):
            t = state.tensors
            turn = (t["session"] * sessions.free()).gather(1, of_row) * TURN_SD_DEG
            degrees = self.model.azimuth(state, rows, t["fix"] * self.model.config.fix_m) - turn
            cost = self.model.misfit(self.model.levels(state, rows, degrees), data).sum()
            cost = cost + 0.5 * sum(t[name].square().sum() for name in t if name != "fix")
            cost = cost + (nu + 1) / 2 * torch.log1p(t["fix"].square() / nu).sum()
            optimiser.zero_grad()
            cost.backward()
            optimiser.step()
            schedule.step()
        for tensor in tensors:
            tensor.requires_grad_(False)

    def _turn_costs(self, state: State, rows: BeamRows, data: Data) -> np.ndarray:
        """(R, n, T) nats that each turn of the array would cost each row, the error of its fix averaged."""
        with torch.no_grad():
            degrees = self.model.azimuth(state, rows, torch.zeros_like(rows.heading))
            cost = torch.stack(
                [self.model.misfit(self.model.levels(state, rows, degrees - float(turn)), data) for turn in TURNS_DEG],
                dim=-1,
            )
            blur = torch.from_numpy(-0.5 * ((TURNS_DEG[:, None] - TURNS_DEG) / _FIX_DEG) ** 2).float()
            blur = blur - torch.logsumexp(blur, dim=1, keepdim=True)
            blurred = -torch.logsumexp(blur - cost[..., None, :], dim=-1)
        return blurred.clamp_max(_WORST_ROW).numpy().astype(np.float64)

    def _calibration(self, state: State, rows: BeamRows, turn_cost: np.ndarray) -> Calibration:
        t = state.tensors
        return Calibration(
            {name: self.model.unknown(state, name)[:, 0] for name in GLOBALS},
            t["gain"] * self.model.config.gain_db,
            t["pointing"] * self.model.config.pointing_deg,
            t["drift"],
            rows.drive.numpy(),
            turn_cost,
        )

    def _state(self, calibration: Calibration) -> State:
        values = torch.stack([calibration.unknowns[name] for name in GLOBALS], dim=1)
        scaled = torch.where(self.model.sd > 0, (values - self.model.mean) / self.model.sd.clamp_min(1e-9), 0.0)
        return State(
            {
                "globals": scaled,
                "gain": calibration.gain_db / self.model.config.gain_db,
                "pointing": calibration.pointing_deg / self.model.config.pointing_deg,
                "drift": calibration.drift,
            }
        )
