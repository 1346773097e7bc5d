"""The structured model of beam powers: from few unknowns to the levels of all beams at rows of a street.

The power of beam b at a user is the beam's measured pattern in the direction in which the user is seen, plus the
twin's echoes, plus a floor. What the twin does not know are its unknowns: the array's boresight, the station's
position, the place of the transmitter on the car, the lag between the GPS fix and the sweep, the scale of the
codebook's angle axis, gain and pointing of each beam, and a smooth displacement along each lane (a Gaussian process, in
its weight space). They are found by maximum a posteriori, together with the error of each row's position (heavy-tailed:
a row that fits nowhere is forgiven).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sitetwin.calibrate.priors import GLOBALS, StructuredConfig
from sitetwin.calibrate.rows import BeamRows

_DB = 10 / math.log(10)
_STEP_DEG = 0.25
_GRID_DEG = np.arange(-100, 100 + _STEP_DEG / 2, _STEP_DEG)
_KNOTS_M = 8.0
_REACH_M = 40.0


@dataclass(eq=False)
class State:
    """What Adam moves, all with a standard normal prior (`fix`: Student's t)."""

    tensors: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def zeros(cls, fits: int, rows: int, beams: int, features: int, sessions: int) -> State:
        shapes = {
            "globals": (fits, len(GLOBALS)),
            "gain": (fits, beams),
            "pointing": (fits, beams),
            "drift": (fits, features),
            "session": (fits, sessions),
            "fix": (fits, rows),
        }
        return cls({name: torch.zeros(shape) for name, shape in shapes.items()})


class BeamModel:
    """The model of one array and codebook.

    Args:
        pattern: Linear power of each beam.
        azimuth: Radians from boresight, rising.
        config: Priors.
        known: Unknowns held at their prior means: the model without them, for ablations.
        sessions: Whether the array may have been turned between drives.
    """

    def __init__(
        self,
        pattern: Float[np.ndarray, "beams angles"],
        azimuth: Float[np.ndarray, " angles"],
        config: StructuredConfig,
        known: tuple[str, ...] = (),
        sessions: bool = True,
    ) -> None:
        self.config = config
        self.with_sessions = sessions
        self.beams = len(pattern)
        degrees = np.degrees(azimuth)
        table = np.stack([np.interp(_GRID_DEG, degrees, row) for row in pattern])
        self._table = torch.from_numpy(_smoothed(table).T.copy()).float()
        self._knots = torch.arange(-_REACH_M, _REACH_M + 1, _KNOTS_M)
        kernel = self._kernel(self._knots) + 1e-3 * torch.eye(len(self._knots))
        self._whiten = torch.linalg.inv(torch.linalg.cholesky(kernel)).T
        self.mean = torch.tensor([getattr(self.config, name)[0] for name in GLOBALS])
        self.sd = torch.tensor([0.0 if name in known else getattr(self.config, name)[1] for name in GLOBALS])

    @property
    def features(self) -> int:
        """Weights of the displacement along the lanes."""
        return 2 * len(self._knots)

    def _kernel(self, y: Tensor) -> Tensor:
        return torch.exp(-0.5 * ((y[..., None] - self._knots) / self.config.drift_length_m) ** 2)

    def _features(self, rows: BeamRows) -> Tensor:
        """(R, n, 2 K): weight-space features of the displacement, common to both directions and opposite in them."""
        base = self._kernel(rows.position[..., 1]) @ self._whiten * self.config.drift_m
        common, own = math.sqrt(self.config.drift_common), math.sqrt(1 - self.config.drift_common)
        return torch.cat([base * common, base * own * rows.heading[..., None]], dim=-1)

    def unknown(self, state: State, name: str) -> Tensor:
        k = GLOBALS.index(name)
        return (self.mean[k] + self.sd[k] * state.tensors["globals"][:, k])[:, None]

    def azimuth(self, state: State, rows: BeamRows, shift: Tensor) -> Tensor:
        """(R, n) degrees on the codebook's axis; `shift` (R, n) metres along the street."""
        of = self.unknown
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

    def levels(self, state: State, rows: BeamRows, degrees: Tensor) -> Tensor:
        """(R, n, B) dB, up to a constant of the row; `degrees` (R, n)."""
        pointing = state.tensors["pointing"][:, None] * self.config.pointing_deg
        power = self._pattern(degrees[..., None] + pointing)
        echo = torch.exp(self.unknown(state, "log_echo"))[..., None]
        for k in range(rows.echo_offset.shape[-1]):
            there = (degrees + rows.echo_offset[..., k])[..., None] + pointing
            power = power + echo * rows.echo_ratio[..., k, None] * self._pattern(there)
        power = power + torch.exp(self.unknown(state, "log_floor"))[..., None]
        return _DB * torch.log(power) + state.tensors["gain"][:, None] * self.config.gain_db

    def misfit(self, level: Tensor, data: Data) -> Tensor:
        """(R, n) half the weighted squared residual of each row, its own level taken out."""
        residual = data.level_db - level
        whole = data.weight.sum(-1, keepdim=True).clamp_min(1e-9)  # a row without contrast weighs nothing
        mean = (data.weight * residual).sum(-1, keepdim=True) / whole
        scaled = (residual - mean) / self.config.shape_db
        return 0.5 * self.config.weight * (data.weight * scaled * scaled).sum(-1)


@dataclass(frozen=True, eq=False)
class Data:
    """Measured rows as the fit uses them.

    Attributes:
        level_db: (R, n, B); zero where not measured.
        weight: (R, n, B), with the sum 16 over a row's measured beams: strong beams count, those at the floor do not. A
            row whose measured beams are all alike, or that has one only, says nothing: its weights are zero.
    """

    level_db: Tensor
    weight: Tensor

    @classmethod
    def of(cls, power: np.ndarray, config: StructuredConfig) -> Data:
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
