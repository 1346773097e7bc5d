"""Complex permittivity of the earth's surface: Recommendation ITU-R P.527-6, section 5 (water and soil).

Frequencies in GHz, temperatures in degrees Celsius; ``eps = eps' - j eps''`` under e^{+j omega t}.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

SPEED_OF_LIGHT = 299_792_458.0  # m/s
VACUUM_PERMITTIVITY = 8.8541878188e-12
"""F/m, CODATA 2022."""

RANGE_GHZ = (0.001, 1000.0)
"""GHz for which the formulas are taken; the Recommendation goes up to 1000 GHz."""


@dataclass(frozen=True)
class _Debye:
    """Static, intermediate and high-frequency permittivity, and the two relaxation frequencies (GHz)."""

    static: float
    middle: float
    infinite: float
    first: float
    second: float

    def at(self, f: float) -> complex:
        """The double Debye formula, P.527-6 eq. 5-7."""
        x, y = f / self.first, f / self.second
        low, high = (self.static - self.middle) / (1 + x * x), (self.middle - self.infinite) / (1 + y * y)
        return complex(low + high + self.infinite, -(x * low + y * high))


def _pure_water(temperature: float) -> _Debye:
    """P.527-6 eq. 8-13."""
    theta = 300 / (temperature + 273.15) - 1
    static = 77.66 + 103.3 * theta
    first = 20.20 - 146.4 * theta + 316 * theta**2
    return _Debye(static, 0.0671 * static, 3.52 - 7.52 * theta, first, 39.8 * first)


def fresh_water(frequency_ghz: float, temperature: float = 15.0) -> complex:
    """Relative complex permittivity of pure water (P.527-6, section 5.1.1)."""
    return _pure_water(temperature).at(frequency_ghz)


def sea_water(frequency_ghz: float, temperature: float = 15.0, salinity: float = 35.0) -> complex:
    """Relative complex permittivity of sea water of a salinity in g/kg (P.527-6, section 5.1.2)."""
    t, s, pure = temperature, salinity, _pure_water(temperature)
    slow = 2.3232e-3 - 7.9208e-5 * t + 3.6764e-6 * t**2 + 3.5594e-7 * t**3 + 8.9795e-9 * t**4
    salty = _Debye(
        static=pure.static * math.exp(-3.33330e-3 * s + 4.74868e-6 * s**2),
        middle=pure.middle * math.exp(-6.28908e-3 * s + 1.76032e-4 * s**2 - 9.22144e-5 * t * s),
        infinite=pure.infinite * (1 + s * (-2.04265e-3 + 1.57883e-4 * t)),
        first=pure.first * (1 + s * slow),
        second=pure.second * (1 + s * (-1.99723e-2 + 1.81176e-4 * t)),
    )
    return salty.at(frequency_ghz) - 1j * 18 * sea_conductivity(t, s) / frequency_ghz


def sea_conductivity(temperature: float, salinity: float) -> float:
    """Conductivity of sea water at rest, S/m (P.527-6 eq. 22-27)."""
    t, s = temperature, salinity
    standard = 2.903602 + 8.607e-2 * t + 4.738817e-4 * t**2 - 2.991e-6 * t**3 + 4.3047e-9 * t**4
    at_15 = s * (37.5109 + 5.45216 * s + 1.4409e-2 * s**2) / (1004.75 + 182.283 * s + s**2)
    a0 = (6.9431 + 3.2841 * s - 9.9486e-2 * s**2) / (84.850 + 69.024 * s + s**2)
    a1 = 49.843 - 0.2276 * s + 0.198e-2 * s**2
    return standard * at_15 * (1 + a0 * (t - 15) / (a1 + t))


SAND, CLAY = 42.0, 8.5
"""Percent of weight, of the loam that stands for soil."""

GRAINS, BULK = 2.70, 1.58
"""Densities of that loam's grains, and of the loam when dry, g/cm3."""


def soil(frequency_ghz: float, water: float = 0.2, temperature: float = 15.0) -> complex:
    """Relative complex permittivity of loam (P.527-6, section 5.2).

    Args:
        frequency_ghz: GHz.
        water: Volumetric water content, m3/m3, above 0.
        temperature: Degrees Celsius, above freezing.
    """
    low = 0.0467 + 0.2204 * BULK - 0.004111 * SAND - 0.006614 * CLAY
    high = -1.645 + 1.939 * BULK - 0.0225622 * SAND + 0.01594 * CLAY
    x = frequency_ghz / 1.35
    share = 18 * (GRAINS - BULK) / (frequency_ghz * GRAINS * water)
    step = (low - high) / (1 + x * x)
    free = fresh_water(frequency_ghz, temperature) + share * complex(x * step, -(high + step))
    alpha = 0.65
    dry = (BULK / GRAINS) * (((1.01 + 0.44 * GRAINS) ** 2 - 0.062) ** alpha - 1)
    real = 1 + dry + water ** (1.2748 - 0.00519 * SAND - 0.00152 * CLAY) * free.real**alpha - water
    loss = water ** (1.33797 - 0.00603 * SAND - 0.00166 * CLAY) * (-free.imag) ** alpha
    return complex(real ** (1 / alpha), -(loss ** (1 / alpha)))


EARTH_SURFACES: dict[str, Callable[[float], complex]] = {
    "fresh_water": fresh_water,
    "sea_water": sea_water,
    "moist_soil": soil,
}
"""Media of P.527-6 by the name that a material may carry: water at 15 degrees Celsius, the sea with 35 g/kg of salt,
and a loam (42 % sand, 8.5 % clay, 1.58 g/cm3) with a fifth of its volume water, at 15 degrees Celsius."""
