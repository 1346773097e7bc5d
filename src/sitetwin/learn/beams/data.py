"""Measured beam powers as predictors of beams take them: positions and powers, checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float

from sitetwin.errors import SiteTwinError


@dataclass(frozen=True, eq=False)
class BeamSet:
    """Rows of measured, or traced, beam powers.

    Attributes:
        position: Metres east and north of the station.
        power: Linear; NaN where not measured.

    Raises:
        SiteTwinError: A position is not finite, a power is negative, or a row has no power at all.
    """

    position: Float[np.ndarray, "rows 2"]
    power: Float[np.ndarray, "rows beams"]

    def __post_init__(self) -> None:
        if len(self.position) != len(self.power):
            raise SiteTwinError(f"{len(self.position)} positions go with {len(self.power)} rows of powers; pair them")
        checked_positions(self.position)
        with np.errstate(invalid="ignore"):
            bad = np.isinf(self.power).any(axis=1) | (self.power < 0).any(axis=1) | np.isnan(self.power).all(axis=1)
        if bad.any():
            raise SiteTwinError(
                f"row {int(bad.argmax())} of the beam powers has an infinite or negative power, or none at all; drop it"
            )

    def __len__(self) -> int:
        return len(self.position)

    def joined(self, other: BeamSet) -> BeamSet:
        """The rows of both.

        Raises:
            SiteTwinError: They are of different numbers of beams.
        """
        if self.power.shape[1] != other.power.shape[1]:
            raise SiteTwinError(
                f"rows of {other.power.shape[1]} beams cannot join rows of {self.power.shape[1]}; choose the same beams"
            )
        position = np.concatenate([self.position, other.position])
        return BeamSet(position, np.concatenate([self.power, other.power]))


BeamData = BeamSet | xr.Dataset
"""What a predictor is fitted to: a `BeamSet`, or a data set with ``east``, ``north`` and ``power`` along ``sample`` and
``beam``, as `sitetwin.measured.read_deepsense` gives it."""


def beam_set(data: BeamData) -> BeamSet:
    """Positions and powers of whatever a predictor was given; axes are found by their names.

    Raises:
        SiteTwinError: A variable or an axis is missing, or a value is none that can be learnt from.
    """
    if isinstance(data, BeamSet):
        return data
    missing = [name for name in ("east", "north", "power") if name not in data]
    if missing or set(data["power"].dims) != {"sample", "beam"}:
        raise SiteTwinError(
            "beam data need the variables east, north (sample) and power (sample, beam); "
            + (
                f"{', '.join(missing)} is missing"
                if missing
                else f"power has {', '.join(map(str, data['power'].dims))}"
            )
        )
    position = np.stack([data["east"].values, data["north"].values], axis=1).astype(np.float64)
    return BeamSet(position, data["power"].transpose("sample", "beam").values.astype(np.float64))


def checked_positions(position: np.ndarray) -> Float[np.ndarray, "rows 2"]:
    """The positions themselves.

    Raises:
        SiteTwinError: They are not (rows, 2), or one is not finite.
    """
    if position.ndim != 2 or position.shape[1] != 2 or not np.isfinite(position).all():
        raise SiteTwinError(
            f"positions must be finite metres (rows, 2) east and north of the station, not of shape {position.shape}; "
            "drop the rows without a position"
        )
    return position
