"""A twin as a structured model of beam powers: few unknowns with a prior, fitted to a handful of measured rows.

The power of beam b at a user is the beam's measured pattern in the direction in which the user is seen, plus the
twin's echoes, plus a floor. What the twin does not know are its unknowns: the array's boresight, the station's
position, the place of the transmitter on the car, the lag between the GPS fix and the sweep, the scale of the
codebook's angle axis, gain and pointing of each beam, and a smooth displacement along each lane (a Gaussian process, in
its weight space). They are found by maximum a posteriori, together with the error of each row's position (heavy-tailed:
a row that fits nowhere is forgiven). No network, no training set beyond the measured rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sitetwin.calibrate.rows import BeamRows
from sitetwin.calibrate.turns import TURN_SD_DEG, TURNS_DEG, Sessions, find_sessions, turn_posterior

_DB = 10 / math.log(10)
_STEP_DEG = 0.25
_GRID_DEG = np.arange(-100, 100 + _STEP_DEG / 2, _STEP_DEG)
_KNOTS_M = 8.0
_REACH_M = 40.0


@dataclass(frozen=True)
class StructuredConfig:
    """Priors (mean, standard deviation) and noise: one set for all scenarios, sizes and splits.

    Attributes:
        boresight_deg: From the normal of the street.
        across_m: Offset of the station's position.
        along_m: The same along the street.
        lever_m: Of the transmitter ahead of the GPS antenna, in the direction of travel.
        lag: Between sweep and fix, in intervals between fixes: a second or so at the 10 Hz of DeepSense.
        scale: Of the codebook's angle axis: between 180/210 and 1 degree per sample, its two readings.
        log_floor: ln of floor over peak power.
        log_echo: ln of the echoes' power over the twin's.
        gain_db: Standard deviation of each beam's gain.
        pointing_deg: Standard deviation of each beam's pointing.
        drift_m: Standard deviation of the displacement along a lane.
        drift_length_m: Its correlation length.
        drift_common: Share of its variance that both directions have in common.
        fix_m: Scale of a row's position error (Student's t with `fix_freedom` degrees of freedom).
        fix_freedom: See `fix_m`.
        shape_db: Standard deviation of a row's powers about the model.
        weight: Share of a row's beams that count as independent.
        spread_m: Position error at prediction, by default.
        tie_db: Temperature at which two beams of nearly equal power share the probability, by default.
        steps: Of Adam.
        rate: Of Adam, with a cosine to zero.
    """

    boresight_deg: tuple[float, float] = (0.0, 10.0)
    across_m: tuple[float, float] = (0.0, 1.0)
    along_m: tuple[float, float] = (0.0, 1.0)
    lever_m: tuple[float, float] = (0.0, 1.0)
    lag: tuple[float, float] = (0.0, 2.0)
    scale: tuple[float, float] = (0.93, 0.05)
    log_floor: tuple[float, float] = (math.log(0.15), 0.5)
    log_echo: tuple[float, float] = (0.0, 0.5)
    gain_db: float = 0.7
    pointing_deg: float = 0.7
    drift_m: float = 0.6
    drift_length_m: float = 10.0
    drift_common: float = 0.5
    fix_m: float = 0.35
    fix_freedom: float = 3.0
    shape_db: float = 2.0
    weight: float = 0.5
    spread_m: float = 0.6
    tie_db: float = 1.0
    steps: int = 300
    rate: float = 0.1


GLOBALS = ("boresight_deg", "across_m", "along_m", "lever_m", "lag", "scale", "log_floor", "log_echo")
"""The unknowns that are one number each."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """R fits.

    Attributes:
        unknowns: name -> (R,) the unknowns of `GLOBALS`, in their units.
        gain_db: (R, B).
        pointing_deg: (R, B).
        drift: (R, 2 K) weights of the displacement's features.
        drive: (R, k) int64, drives of the measured rows.
        turn_cost: (R, k, T) nats that each of `TURNS_DEG` costs each row; T is 0 where the array never turns.
    """

    unknowns: dict[str, Tensor]
    gain_db: Tensor
    pointing_deg: Tensor
    drift: Tensor
    drive: np.ndarray
    turn_cost: np.ndarray

    def alone(self, fit: int) -> Calibration:
        """One of the fits."""
        one = slice(fit, fit + 1)
        return Calibration(
            {name: value[one] for name, value in self.unknowns.items()},
            self.gain_db[one],
            self.pointing_deg[one],
            self.drift[one],
            self.drive[one],
            self.turn_cost[one],
        )


@dataclass(eq=False)
class _State:
    """What Adam moves, all with a standard normal prior (`fix`: Student's t)."""

    tensors: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def zeros(cls, fits: int, rows: int, beams: int, features: int, sessions: int) -> _State:
        shapes = {
            "globals": (fits, len(GLOBALS)),
            "gain": (fits, beams),
            "pointing": (fits, beams),
            "drift": (fits, features),
            "session": (fits, sessions),
            "fix": (fits, rows),
        }
        return cls({name: torch.zeros(shape) for name, shape in shapes.items()})


class StructuredTwin:
    """The model of one array and codebook.

    Args:
        pattern: (B, A) linear power of each beam.
        azimuth: (A,) radians from boresight, rising.
        config: Priors.
        known: Unknowns held at their prior means: the model without them, for ablations.
        sessions: Whether the array may have been turned between drives.
    """

    def __init__(
        self,
        pattern: np.ndarray,
        azimuth: np.ndarray,
        config: StructuredConfig | None = None,
        known: tuple[str, ...] = (),
        sessions: bool = True,
    ) -> None:
        self.config = config or StructuredConfig()
        self.known, self.with_sessions = known, sessions
        self.beams = len(pattern)
        degrees = np.degrees(azimuth)
        table = np.stack([np.interp(_GRID_DEG, degrees, row) for row in pattern])
        self._table = torch.from_numpy(_smoothed(table).T.copy()).float()
        self._knots = torch.arange(-_REACH_M, _REACH_M + 1, _KNOTS_M)
        kernel = self._kernel(self._knots) + 1e-3 * torch.eye(len(self._knots))
        self._whiten = torch.linalg.inv(torch.linalg.cholesky(kernel)).T
        self._mean = torch.tensor([getattr(self.config, name)[0] for name in GLOBALS])
        self._sd = torch.tensor([0.0 if name in known else getattr(self.config, name)[1] for name in GLOBALS])

    def fit(self, rows: BeamRows, power: np.ndarray) -> Calibration:
        """Maximum a posteriori of all unknowns, R fits at once.

        Args:
            rows: R sets of k rows; k may be 0, which gives the prior means.
            power: (R, k, B) linear powers; NaN where not measured.
        """
        fits, count = power.shape[:2]
        state = _State.zeros(fits, count, self.beams, 2 * len(self._knots), 1)
        sessions = Sessions.none(fits, count)
        none = np.zeros((fits, count, 0))
        if not count:
            return self._calibration(state, rows, none)
        data = _Data.of(power, self.config)
        self._start(state, rows, data)
        if not self.with_sessions:
            self._descend(state, rows, data, sessions, self.config.steps)
            return self._calibration(state, rows, none)
        self._descend(state, rows, data, sessions, self.config.steps // 3)
        sessions = find_sessions(rows.drive.numpy(), TURNS_DEG, self._turn_costs(state, rows, data))
        state.tensors["session"] = torch.from_numpy(sessions.turn_deg / TURN_SD_DEG).float()
        state.tensors["fix"] = torch.zeros(fits, count)
        self._descend(state, rows, data, sessions, self.config.steps)
        return self._calibration(state, rows, self._turn_costs(state, rows, data))

    def probabilities(
        self,
        calibration: Calibration,
        rows: BeamRows,
        spread_m: np.ndarray | None = None,
        tie_db: np.ndarray | None = None,
    ) -> np.ndarray:
        """(R, M, B) probability that each beam is the best: over the position's error and the array's sessions.

        Args:
            calibration: From `fit`.
            rows: R sets of M rows.
            spread_m: (R,) error of the positions, metres; that of the configuration by default.
            tie_db: (R,) difference in dB over which two beams are about equally likely; likewise.
        """
        fits = len(rows.drive)
        spread = torch.from_numpy(np.full(fits, self.config.spread_m) if spread_m is None else spread_m).float()
        tie = torch.from_numpy(np.full(fits, self.config.tie_db) if tie_db is None else tie_db).float()
        state = self._state(calibration)
        total = torch.zeros(*rows.drive.shape, self.beams)
        with torch.no_grad():
            still = torch.zeros_like(rows.heading)
            degrees = self._azimuth(state, rows, still)
            metre = (self._azimuth(state, rows, still + 0.5) - self._azimuth(state, rows, still - 0.5)).abs()
            for offset, share in self._offsets(calibration, rows, metre * spread[:, None]):
                level = self._levels(state, rows, degrees - offset)
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

    def turn_costs(self, calibration: Calibration, rows: BeamRows, power: np.ndarray) -> np.ndarray:
        """(R, n, T) nats that each of `TURNS_DEG` costs rows with powers (R, n, B), under a fit of any rows."""
        return self._turn_costs(self._state(calibration), rows, _Data.of(power, self.config))

    def azimuth_deg(self, calibration: Calibration, rows: BeamRows) -> np.ndarray:
        """(R, M) direction in which the array sees each row, degrees on the codebook's axis, while it is not turned."""
        with torch.no_grad():
            return self._azimuth(self._state(calibration), rows, torch.zeros_like(rows.heading)).numpy()

    # The model.

    def _kernel(self, y: Tensor) -> Tensor:
        return torch.exp(-0.5 * ((y[..., None] - self._knots) / self.config.drift_length_m) ** 2)

    def _features(self, rows: BeamRows) -> Tensor:
        """(R, n, 2 K): weight-space features of the displacement, common to both directions and opposite in them."""
        base = self._kernel(rows.position[..., 1]) @ self._whiten * self.config.drift_m
        common, own = math.sqrt(self.config.drift_common), math.sqrt(1 - self.config.drift_common)
        return torch.cat([base * common, base * own * rows.heading[..., None]], dim=-1)

    def _unknown(self, state: _State, name: str) -> Tensor:
        k = GLOBALS.index(name)
        return (self._mean[k] + self._sd[k] * state.tensors["globals"][:, k])[:, None]

    def _azimuth(self, state: _State, rows: BeamRows, shift: Tensor) -> Tensor:
        """(R, n) degrees on the codebook's axis; `shift` (R, n) metres along the street."""
        of = self._unknown
        lag = of(state, "lag")
        along = (
            rows.position[..., 1]
            + of(state, "along_m")
            + of(state, "lever_m") * rows.heading
            + lag * rows.velocity[..., 1]
            + (self._features(rows) * state.tensors["drift"][:, None]).sum(-1)
            + shift
        )
        across = rows.position[..., 0] + of(state, "across_m") + lag * rows.velocity[..., 0]
        direction = torch.rad2deg(torch.atan2(along, across)) - of(state, "boresight_deg")
        return direction * of(state, "scale")

    def _pattern(self, degrees: Tensor) -> Tensor:
        """Patterns at (..., B) degrees, linear in between."""
        place = ((degrees - float(_GRID_DEG[0])) / _STEP_DEG).clamp(0, len(_GRID_DEG) - 1.001)
        low = place.detach().floor().long()
        share = place - low
        beam = torch.arange(self.beams).expand_as(low)
        return self._table[low, beam] * (1 - share) + self._table[low + 1, beam] * share

    def _levels(self, state: _State, rows: BeamRows, degrees: Tensor) -> Tensor:
        """(R, n, B) dB, up to a constant of the row; `degrees` (R, n)."""
        pointing = state.tensors["pointing"][:, None] * self.config.pointing_deg
        power = self._pattern(degrees[..., None] + pointing)
        echo = torch.exp(self._unknown(state, "log_echo"))[..., None]
        for k in range(rows.echo_offset.shape[-1]):
            there = (degrees + rows.echo_offset[..., k])[..., None] + pointing
            power = power + echo * rows.echo_ratio[..., k, None] * self._pattern(there)
        power = power + torch.exp(self._unknown(state, "log_floor"))[..., None]
        return _DB * torch.log(power) + state.tensors["gain"][:, None] * self.config.gain_db

    # The fit.

    def _misfit(self, level: Tensor, data: _Data) -> Tensor:
        """(R, n) half the weighted squared residual of each row, its own level taken out."""
        residual = data.level_db - level
        whole = data.weight.sum(-1, keepdim=True).clamp_min(1e-9)  # a row without contrast weighs nothing
        mean = (data.weight * residual).sum(-1, keepdim=True) / whole
        scaled = (residual - mean) / self.config.shape_db
        return 0.5 * self.config.weight * (data.weight * scaled * scaled).sum(-1)

    def _start(self, state: _State, rows: BeamRows, data: _Data) -> None:
        """Boresight and lever from a grid: a gradient alone would end in the nearest of many minima."""
        k, at = GLOBALS.index("boresight_deg"), GLOBALS.index("lever_m")
        best = torch.full((len(data.level_db),), torch.inf)
        chosen = torch.zeros(len(best), 2)
        unknowns = state.tensors["globals"]
        with torch.no_grad():
            for boresight in np.arange(-2.5, 2.51, 0.25) if self._sd[k] else [0.0]:
                for lever in range(-4, 5) if self._sd[at] else [0]:
                    unknowns[:, k], unknowns[:, at] = float(boresight), float(lever)
                    misfit = self._misfit(
                        self._levels(state, rows, self._azimuth(state, rows, torch.zeros_like(rows.heading))), data
                    )
                    cost = torch.log1p(misfit / 4).sum(-1) + 0.5 * float(boresight) ** 2 + 0.125 * lever**2
                    better = cost < best
                    best = torch.where(better, cost, best)
                    chosen[better] = torch.tensor([float(boresight), float(lever)])
            unknowns[:, k], unknowns[:, at] = chosen[:, 0], chosen[:, 1]

    def _descend(self, state: _State, rows: BeamRows, data: _Data, sessions: Sessions, steps: int) -> None:
        tensors = [tensor.requires_grad_(True) for tensor in state.tensors.values()]
        optimiser = torch.optim.Adam(tensors, lr=self.config.rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        of_row = torch.from_numpy(sessions.session)
        nu = self.config.fix_freedom
        for _ in range(steps):
            t = state.tensors
            turn = (t["session"] * sessions.free()).gather(1, of_row) * TURN_SD_DEG
            degrees = self._azimuth(state, rows, t["fix"] * self.config.fix_m) - turn
            cost = self._misfit(self._levels(state, rows, degrees), data).sum()
            cost = cost + 0.5 * sum(t[name].square().sum() for name in t if name != "fix")
            cost = cost + (nu + 1) / 2 * torch.log1p(t["fix"].square() / nu).sum()
            optimiser.zero_grad()
            cost.backward()
            optimiser.step()
            schedule.step()
        for tensor in tensors:
            tensor.requires_grad_(False)

    def _turn_costs(self, state: _State, rows: BeamRows, data: _Data) -> np.ndarray:
        """(R, n, T) nats that each turn of the array would cost each row, the error of its fix averaged."""
        with torch.no_grad():
            degrees = self._azimuth(state, rows, torch.zeros_like(rows.heading))
            cost = torch.stack(
                [self._misfit(self._levels(state, rows, degrees - float(turn)), data) for turn in TURNS_DEG], dim=-1
            )
            blur = torch.from_numpy(-0.5 * ((TURNS_DEG[:, None] - TURNS_DEG) / _FIX_DEG) ** 2).float()
            blur = blur - torch.logsumexp(blur, dim=1, keepdim=True)
            blurred = -torch.logsumexp(blur - cost[..., None, :], dim=-1)
        return blurred.clamp_max(_WORST_ROW).numpy().astype(np.float64)

    def _calibration(self, state: _State, rows: BeamRows, turn_cost: np.ndarray) -> Calibration:
        t = state.tensors
        return Calibration(
            {name: self._unknown(state, name)[:, 0] for name in GLOBALS},
            t["gain"] * self.config.gain_db,
            t["pointing"] * self.config.pointing_deg,
            t["drift"],
            rows.drive.numpy(),
            turn_cost,
        )

    def _state(self, calibration: Calibration) -> _State:
        values = torch.stack([calibration.unknowns[name] for name in GLOBALS], dim=1)
        scaled = torch.where(self._sd > 0, (values - self._mean) / self._sd.clamp_min(1e-9), 0.0)
        return _State(
            {
                "globals": scaled,
                "gain": calibration.gain_db / self.config.gain_db,
                "pointing": calibration.pointing_deg / self.config.pointing_deg,
                "drift": calibration.drift,
            }
        )


_BLUR_DEG = 10.0  # beyond the widest turn: errors of positions
_LEAST_SHARE = 1e-4  # of an offset that is looked at
_FIX_DEG = 1.2  # error of a fix, seen from the station
_WORST_ROW = 12.0  # nats: a row that fits nowhere says no more than this


@dataclass(frozen=True, eq=False)
class _Data:
    """Measured rows as the fit uses them.

    Attributes:
        level_db: (R, n, B); zero where not measured.
        weight: (R, n, B), with the sum 16 over a row's measured beams: strong beams count, those at the floor do not. A
            row whose measured beams are all alike, or that has one only, says nothing: its weights are zero.
    """

    level_db: Tensor
    weight: Tensor

    @classmethod
    def of(cls, power: np.ndarray, config: StructuredConfig) -> _Data:
        measured = np.isfinite(power) & (power > 0)
        level = np.where(measured, 10 * np.log10(np.where(measured, power, 1.0)), np.nan)
        above = np.nan_to_num(level - np.nanmin(level, axis=-1, keepdims=True))
        share = above / np.maximum(above.sum(axis=-1, keepdims=True), 1e-9)
        # Sixteen beams are the measure of how much one sweep says: finer codebooks repeat themselves.
        return cls(torch.from_numpy(np.nan_to_num(level)).float(), torch.from_numpy(16 * share).float())


def _smoothed(table: np.ndarray) -> np.ndarray:
    """(B, G) patterns freed of the ripple of their measurement (0.7 degrees), each with its peak at one."""
    window = np.exp(-0.5 * (np.arange(-8, 9) * _STEP_DEG / 0.7) ** 2)
    amplitude = np.sqrt(np.maximum(table, 0))
    smooth = np.stack([np.convolve(np.pad(row, 8, "edge"), window / window.sum(), "valid") for row in amplitude]) ** 2
    return smooth / smooth.max(axis=1, keepdims=True)
