"""The parameters of a calibration: scales, priors with their sources, and bounds.

Each parameter is a change from the site's nominal value, on a scale on which its prior is normal with mean zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sitetwin.errors import SiteTwinError

Scale = Literal["linear", "log", "log-above-1", "logit"]
"""Scale on which a parameter's prior is normal."""

Stage = Literal["offset", "pose", "pattern", "scattering", "materials", "buildings"]
"""Stages of a calibration, in their order; each keeps the parameters of the earlier ones free."""

STAGES: tuple[Stage, ...] = ("offset", "pose", "pattern", "scattering", "materials", "buildings")


@dataclass(frozen=True)
class Parameter:
    """One number that is calibrated.

    Attributes:
        name: Name, such as "relative_permittivity of brick".
        what: What it changes: "offset_db", "clock_ns", "yaw_deg", "tilt_deg", "station_x" ..., "users_x" ...,
            "beamwidth_deg", or a property of materials.
        unit: Unit of its value; empty for pure numbers.
        stage: Stage from which on it is free.
        nominal: Value without any change.
        sd: Standard deviation of the prior on the parameter's scale.
        scale: That scale.
        low: Smallest value.
        high: Largest value.
        source: Where the prior comes from.
        entries: Materials of the split site that it changes; empty for what is no material's.
        within: Name of the parameter of the class that this one is a deviation from; empty for none.
    """

    name: str
    what: str
    unit: str
    stage: Stage
    nominal: float
    sd: float
    scale: Scale
    low: float
    high: float
    source: str
    entries: tuple[int, ...] = ()
    within: str = ""

    def value(self, change: float) -> float:
        """The value at a change on the parameter's scale, within the bounds."""
        return float(np.clip(from_scale(to_scale(self.nominal, self.scale) + change, self.scale), self.low, self.high))

    def slope(self, change: float) -> float:
        """Derivative of the value with respect to the change."""
        value = self.value(change)
        slopes = {"linear": 1.0, "log": value, "log-above-1": value - 1, "logit": value * (1 - value)}
        return slopes[self.scale]

    def limits(self) -> tuple[float, float]:
        """Smallest and largest change."""
        start = to_scale(self.nominal, self.scale)
        return to_scale(self.low, self.scale) - start, to_scale(self.high, self.scale) - start


def to_scale(value: float, scale: Scale) -> float:
    """A value on its scale."""
    if scale == "linear":
        return value
    if scale == "log":
        return math.log(value)
    if scale == "log-above-1":
        return math.log(value - 1)
    return math.log(value / (1 - value))


def from_scale(place: float, scale: Scale) -> float:
    """The value of a place on its scale."""
    if scale == "linear":
        return place
    if scale == "log":
        return math.exp(place)
    if scale == "log-above-1":
        return 1 + math.exp(place)
    return 1 / (1 + math.exp(-place))


_NARROWEST = 1e-6
_WIDEST = {
    "offset_db": 200.0,
    "clock_ns": 1e4,
    "yaw_deg": 45.0,
    "tilt_deg": 20.0,
    "station_m": 5.0,
    "height_m": 5.0,
    "users_m": 20.0,
    "beamwidth_share": 1.4,
    "scattering_logit": 3.0,
    "nominal_scattering": 1.0,
    "permittivity_log": 2.0,
    "conductivity_log": 4.0,
    "thickness_log": 1.4,
    "building_share": 4.0,
}
"""Widest priors: those of poses and materials reach over the bounds of their parameters; wider ones say no more."""


@dataclass(frozen=True)
class Priors:
    """How sure the twin is of its parameters before any measurement: standard deviations; 0 keeps a parameter fixed.

    Attributes:
        offset_db: Constant between measured and traced power: transmitted power, cables, units of the channels, dB.
        clock_ns: Constant between measured and traced delays, ns; 0 for a synchronised sounder.
        yaw_deg: Azimuth of the station's array, degrees.
        tilt_deg: Its downtilt, degrees.
        station_m: Each horizontal coordinate of the station, metres.
        height_m: Its height, metres.
        users_m: Each horizontal coordinate of the bias that all positions share, metres. Station and positions are
            confounded: a direct path shows their difference only.
        beamwidth_share: Beam width of a 3GPP TR 38.901 element, as a logarithm.
        scattering_logit: Scattering coefficient S, on the logit scale: S of 0.2 lies within 0.11 to 0.33 for 0.7.
            Degli-Esposti and others (IEEE T-AP 55(1), 2007) found 0.2 to 0.4 on buildings.
        nominal_scattering: S of surfaces that the site takes as smooth.
        permittivity_log: Relative permittivity above 1, as a logarithm. The building materials of ITU-R P.2040-4 lie
            within 0.8 of their median, mostly within 0.5.
        conductivity_log: Conductivity, as a logarithm; moisture changes it by factors.
        thickness_log: Thickness of slabs, as a logarithm.
        building_share: Spread of buildings about their class, as a share of the spread of the class.
    """

    offset_db: float = 20.0
    clock_ns: float = 0.0
    yaw_deg: float = 3.0
    tilt_deg: float = 2.0
    station_m: float = 0.5
    height_m: float = 0.5
    users_m: float = 0.0
    beamwidth_share: float = 0.0
    scattering_logit: float = 0.7
    nominal_scattering: float = 0.2
    permittivity_log: float = 0.5
    conductivity_log: float = 1.0
    thickness_log: float = 0.4
    building_share: float = 0.7

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            most = _WIDEST[name]
            if not (value == 0 or _NARROWEST <= value <= most):
                raise SiteTwinError(
                    f"prior: {name} = {value}; give a standard deviation from {_NARROWEST:g} to {most:g}, or 0, which "
                    "holds the parameter"
                )
        if not 0 < self.nominal_scattering < 1:
            raise SiteTwinError(f"prior: nominal_scattering = {self.nominal_scattering}; give a number between 0 and 1")


def changes_of(parameters: Sequence[Parameter], theta: np.ndarray, what: str, count: int) -> np.ndarray:
    """(M,) changes of a property of M materials on its scale: those of a class and of a building add up."""
    change = np.zeros(count)
    for parameter, value in zip(parameters, theta.tolist(), strict=True):
        if parameter.what == what:
            change[list(parameter.entries)] += value
    return change
