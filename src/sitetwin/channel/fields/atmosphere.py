"""Loss in air and rain: Recommendations ITU-R P.676-13 (gases) and ITU-R P.838-3 (rain).

Gases: the line-by-line sum of P.676-13, Annex 1, section 1, over 44 lines of oxygen, 35 of water vapour and the dry
continuum, from 1 to 1000 GHz. Rain: the regressions of P.838-3, from 1 to 1000 GHz. Air and rain are taken to be the
same everywhere, so that the loss grows with the length of a path, whatever bounces lie on it. Only amplitudes change:
the dispersion that P.676 gives beside the absorption, and the phase shift in rain, are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sitetwin.errors import SiteTwinError

LOWEST_HZ, HIGHEST_HZ = 1e9, 1e12
"""Range of both recommendations."""

VAPOUR_PRESSURE = 216.7
"""``e = rho T / 216.7`` hPa with the density rho in g/m3 and T in K (P.676-13, eq. 4)."""


@dataclass(frozen=True)
class Atmosphere:
    """Air and rain, the same along all paths. The defaults are the sea level of ITU-R P.835.

    Attributes:
        pressure_hpa: Barometric pressure, hPa: of dry air and water vapour together.
        temperature_k: Temperature, K.
        vapour_g_m3: Density of water vapour, g/m3.
        rain_mm_h: Rain rate, mm/h.

    Raises:
        SiteTwinError: A value is not finite or negative, or the vapour alone would exceed the pressure.

    Example:
        Oxygen takes most at 60 GHz:

        >>> [round(Atmosphere().gas_db_per_km(f), 2) for f in (28e9, 60e9)]
        [0.1, 14.66]
    """

    pressure_hpa: float = 1013.25
    temperature_k: float = 288.15
    vapour_g_m3: float = 7.5
    rain_mm_h: float = 0.0

    def __post_init__(self) -> None:
        for name, lowest in (("pressure_hpa", 0.0), ("temperature_k", 1.0), ("vapour_g_m3", 0.0), ("rain_mm_h", 0.0)):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= lowest):
                raise SiteTwinError(f"atmosphere: {name} = {value}; give a number of at least {lowest:g}")
        if self.dry_pressure_hpa < 0:
            raise SiteTwinError(
                f"atmosphere: {self.vapour_g_m3:g} g/m3 of vapour at {self.temperature_k:g} K press harder than "
                f"{self.pressure_hpa:g} hPa, the pressure of all the air; give less vapour"
            )

    @property
    def dry_pressure_hpa(self) -> float:
        """Pressure without the vapour's share, hPa."""
        return self.pressure_hpa - self.vapour_g_m3 * self.temperature_k / VAPOUR_PRESSURE

    def gas_db_per_km(self, frequency_hz: float) -> float:
        """Specific attenuation by oxygen and water vapour, dB/km; `oxygen_db_per_km` says what it raises."""
        state = (self.dry_pressure_hpa, self.temperature_k, self.vapour_g_m3)
        return oxygen_db_per_km(frequency_hz, *state) + vapour_db_per_km(frequency_hz, *state)

    def rain_amplitudes(
        self, direction: Float[Tensor, "3 rays"], length: Float[Tensor, " rays"], frequency_hz: float
    ) -> tuple[Float[Tensor, " rays"], Float[Tensor, " rays"]]:
        """Compute the amplitudes that straight segments through rain leave of the two polarisations.

        Args:
            direction: (3, N) unit vectors of travel.
            length: (N,) lengths of the segments, metres.
            frequency_hz: Frequency, Hz.

        Returns:
            Amplitudes (N,) of the vertical (theta) and the horizontal (phi) component.

        Raises:
            SiteTwinError: The frequency lies outside 1 to 1000 GHz.
        """
        flat = 1 - direction[2] * direction[2]  # squared cosine of the elevation
        factors = []
        for tilt in (math.pi / 2, 0.0):
            k, alpha = _mixed(rain_coefficients(frequency_hz), flat, tilt)
            factors.append(10 ** (-k * self.rain_mm_h**alpha * length / 20e3))
        return factors[0], factors[1]


def oxygen_db_per_km(frequency_hz: float, dry_pressure_hpa: float, temperature_k: float, vapour_g_m3: float) -> float:
    """Specific attenuation by dry air: oxygen lines and the continuum (P.676-13, eqs. 1, 2a, 3, 5 to 9).

    Args:
        frequency_hz: Frequency, Hz.
        dry_pressure_hpa: Pressure of dry air, hPa.
        temperature_k: Temperature, K.
        vapour_g_m3: Density of water vapour, g/m3; it broadens the lines.

    Returns:
        dB/km.

    Raises:
        SiteTwinError: The frequency lies outside 1 to 1000 GHz.
    """
    f, p, theta = _in_range(frequency_hz), dry_pressure_hpa, 300 / temperature_k
    e = vapour_g_m3 * temperature_k / VAPOUR_PRESSURE
    line, a1, a2, a3, a4, a5, a6 = _lines("p676_oxygen.csv")
    strength = a1 * 1e-7 * p * theta**3 * np.exp(a2 * (1 - theta))
    width = a3 * 1e-4 * (p * theta ** (0.8 - a4) + 1.1 * e * theta)
    width = np.sqrt(width**2 + 2.25e-6)  # Zeeman splitting
    interference = (a5 + a6 * theta) * 1e-4 * (p + e) * theta**0.8
    debye = 5.6e-4 * (p + e) * theta**0.8
    continuum = 6.14e-5 / (debye * (1 + (f / debye) ** 2)) if debye else 0.0
    continuum += 1.4e-12 * p * theta**1.5 / (1 + 1.9e-5 * f**1.5)
    lines = float(np.sum(strength * _shape(f, line, width, interference)))
    return 0.1820 * f * (lines + f * p * theta**2 * continuum)


def vapour_db_per_km(frequency_hz: float, dry_pressure_hpa: float, temperature_k: float, vapour_g_m3: float) -> float:
    """Specific attenuation by water vapour (P.676-13, eqs. 1, 2b, 3, 5 to 7), dB/km.

    Arguments and errors are those of `oxygen_db_per_km`.
    """
    f, p, theta = _in_range(frequency_hz), dry_pressure_hpa, 300 / temperature_k
    e = vapour_g_m3 * temperature_k / VAPOUR_PRESSURE
    if not e:
        return 0.0
    line, b1, b2, b3, b4, b5, b6 = _lines("p676_water_vapour.csv")
    strength = b1 * 1e-1 * e * theta**3.5 * np.exp(b2 * (1 - theta))
    width = b3 * 1e-4 * (p * theta**b4 + b5 * e * theta**b6)
    width = 0.535 * width + np.sqrt(0.217 * width**2 + 2.1316e-12 * line**2 / theta)  # Doppler broadening
    return 0.1820 * f * float(np.sum(strength * _shape(f, line, width, 0.0)))


def rain_coefficients(frequency_hz: float) -> tuple[float, float, float, float]:
    """k_H, alpha_H, k_V, alpha_V of ``gamma = k R^alpha`` dB/km with R in mm/h (P.838-3, eqs. 2 and 3).

    Args:
        frequency_hz: Frequency, Hz.

    Raises:
        SiteTwinError: The frequency lies outside 1 to 1000 GHz.
    """
    x = math.log10(_in_range(frequency_hz))
    value = {name: sum(a * math.exp(-(((x - b) / c) ** 2)) for a, b, c in bells) + m * x + c0
             for name, (bells, m, c0) in _RAIN.items()}  # fmt: skip
    return 10 ** value["k_h"], value["alpha_h"], 10 ** value["k_v"], value["alpha_v"]


def rain_db_per_km(frequency_hz: float, rain_mm_h: float, elevation: float = 0.0, tilt: float = 0.0) -> float:
    """Specific attenuation by rain (P.838-3, eqs. 1, 4 and 5).

    Args:
        frequency_hz: Frequency, Hz.
        rain_mm_h: Rain rate, mm/h.
        elevation: Elevation of the path above the horizon, radians.
        tilt: Tilt of the polarisation from horizontal, radians: 0 is H, pi/2 is V, pi/4 serves circular polarisation.

    Returns:
        dB/km.

    Raises:
        SiteTwinError: The frequency lies outside 1 to 1000 GHz.
    """
    flat = torch.tensor(math.cos(elevation) ** 2, dtype=torch.float64)
    k, alpha = _mixed(rain_coefficients(frequency_hz), flat, tilt)
    return float(k * rain_mm_h**alpha)


def _mixed(coefficients: tuple[float, float, float, float], flat: Tensor, tilt: float) -> tuple[Tensor, Tensor]:
    """Coefficients k and alpha for a squared cosine of the elevation and a tilt of the polarisation."""
    k_h, alpha_h, k_v, alpha_v = coefficients
    share = flat * math.cos(2 * tilt)
    k = (k_h + k_v + (k_h - k_v) * share) / 2
    return k, (k_h * alpha_h + k_v * alpha_v + (k_h * alpha_h - k_v * alpha_v) * share) / (2 * k)


def _in_range(frequency_hz: float) -> float:
    """The frequency in GHz."""
    if not LOWEST_HZ <= frequency_hz <= HIGHEST_HZ:
        raise SiteTwinError(
            f"the loss in air and rain (ITU-R P.676 and P.838) is known from 1 to 1000 GHz, not at "
            f"{frequency_hz / 1e9:g} GHz; leave the atmosphere out"
        )
    return frequency_hz / 1e9


@cache
def _lines(name: str) -> np.ndarray:
    """(7, lines) float64: frequency in GHz and the six coefficients of each line."""
    text = (files("sitetwin.channel") / "data" / name).read_text(encoding="utf-8")
    return np.loadtxt(text.splitlines(), delimiter=",").T


def _shape(f: float, line: np.ndarray, width: np.ndarray, interference: np.ndarray | float) -> np.ndarray:
    """Van Vleck-Weisskopf shape of each line with line mixing (P.676-13, eq. 5)."""
    below, above = line - f, line + f
    return (f / line) * (
        (width - interference * below) / (below**2 + width**2) + (width - interference * above) / (above**2 + width**2)
    )


_RAIN = {
    "k_h": (
        ((-5.33980, -0.10008, 1.13098), (-0.35351, 1.26970, 0.45400), (-0.23789, 0.86036, 0.15354),
         (-0.94158, 0.64552, 0.16817)), -0.18961, 0.71147),
    "k_v": (
        ((-3.80595, 0.56934, 0.81061), (-3.44965, -0.22911, 0.51059), (-0.39902, 0.73042, 0.11899),
         (0.50167, 1.07319, 0.27195)), -0.16398, 0.63297),
    "alpha_h": (
        ((-0.14318, 1.82442, -0.55187), (0.29591, 0.77564, 0.19822), (0.32177, 0.63773, 0.13164),
         (-5.37610, -0.96230, 1.47828), (16.1721, -3.29980, 3.43990)), 0.67849, -1.95537),
    "alpha_v": (
        ((-0.07771, 2.33840, -0.76284), (0.56727, 0.95545, 0.54039), (-0.20238, 1.14520, 0.26809),
         (-48.2991, 0.791669, 0.116226), (48.5833, 0.791459, 0.116479)), -0.053739, 0.83433),
}  # fmt: skip
"""P.838-3, Tables 1 to 4: (a_j, b_j, c_j) of each bell, m and c; k as the logarithm to base 10."""
