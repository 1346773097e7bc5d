"""Radio materials: the table of ITU-R P.2040-4, the media of ITU-R P.527-6, and materials with own constants."""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from numbers import Integral, Real
from typing import Any, Literal

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site.earth_surface import EARTH_SURFACES, RANGE_GHZ, VACUUM_PERMITTIVITY

OutOfRange = Literal["clamp", "extrapolate", "error"]

EDGE_TOLERANCE = 1e-6
"""Relative tolerance at the edges of a frequency range: 60e9 Hz is inside "1-60 GHz" in any precision."""

_TEXTS = ("name", "itu", "scattering_pattern")
_LARGEST = 1e300  # of any number; a whole one may be too large for a float

SCATTERING_PATTERNS = ("lambertian", "directive", "backscattering")

LARGEST_ALPHA = 100
LARGEST_PERMITTIVITY = 1000.0  # no building material or soil reaches it; water has 80
LARGEST_CONDUCTIVITY = 1e30  # S/m; copper has 6e7, and 1e20 and the like are written for a perfect conductor
LARGEST_THICKNESS = 1000.0  # metres
"""Largest exponent of a scattering lobe; published fits end at 50."""

GROUNDS = frozenset({"very_dry_ground", "medium_dry_ground", "wet_ground"})
"""Rows of the table that describe soil up to 10 GHz and must never be extrapolated; P.527 (`moist_soil`) goes on."""


@dataclass(frozen=True)
class _Range:
    """Frequencies in GHz for which a Recommendation gives a material.

    Attributes:
        low_ghz: Lower edge of the range, GHz.
        high_ghz: Upper edge of the range, GHz.
    """

    low_ghz: float
    high_ghz: float

    def contains(self, frequency_ghz: float) -> bool:
        """Return whether the frequency lies in the range, edges included with a relative tolerance of 1e-6."""
        low, high = self.low_ghz * (1 - EDGE_TOLERANCE), self.high_ghz * (1 + EDGE_TOLERANCE)
        return low <= frequency_ghz <= high


@dataclass(frozen=True)
class MaterialRange(_Range):
    """One row of Table 3 of P.2040-4: ``eps_r = a f**b`` and ``sigma = c f**d`` with f in GHz.

    Attributes:
        a: Relative permittivity at 1 GHz.
        b: Exponent of the relative permittivity.
        c: Conductivity at 1 GHz, S/m.
        d: Exponent of the conductivity.
    """

    a: float
    b: float
    c: float
    d: float

    def at(self, frequency_ghz: float) -> tuple[float, float]:
        """Return relative permittivity and conductivity (S/m) at a frequency."""
        return self.a * frequency_ghz**self.b, self.c * frequency_ghz**self.d


@dataclass(frozen=True)
class EarthRange(_Range):
    """A medium of P.527-6.

    Attributes:
        permittivity: Function from the frequency in GHz to the relative complex permittivity.
    """

    permittivity: Callable[[float], complex]

    def at(self, frequency_ghz: float) -> tuple[float, float]:
        """Return relative permittivity and conductivity (S/m), ``sigma = eps'' omega eps_0``."""
        value = self.permittivity(frequency_ghz)
        return value.real, -value.imag * 2e9 * math.pi * frequency_ghz * VACUUM_PERMITTIVITY


def _rows(*rows: tuple[float, float, float, float, float, float]) -> tuple[MaterialRange, ...]:
    return tuple(MaterialRange(*row) for row in rows)


ITU_TABLE: dict[str, tuple[MaterialRange, ...]] = {
    "vacuum": _rows((0.001, 100, 1, 0, 0, 0)),
    "concrete": _rows((1, 100, 5.24, 0, 0.0462, 0.7822), (110, 330, 5.17, 0, 0.0145, 1.09)),
    "brick": _rows((1, 40, 3.91, 0, 0.0238, 0.16), (110, 330, 4.15, 0, 0.0006, 1.5712)),
    "plasterboard": _rows(
        (1, 100, 2.73, 0, 0.0085, 0.9395), (110, 330, 2.56, 0, 0.0001, 1.7799), (100, 400, 2.65, 0, 0.0002, 1.598)
    ),
    "wood": _rows(
        (0.001, 100, 1.99, 0, 0.0047, 1.0718),
        (110, 330, 1.82, 0, 0.0040, 1.0761),
        (100, 400, 2.1183, 0, 0.0055, 1.1113),
    ),
    "glass": _rows(
        (0.1, 100, 6.31, 0, 0.0036, 1.3394), (220, 450, 5.79, 0, 0.0004, 1.658), (100, 400, 6.5767, 0, 0.0012, 1.4697)
    ),
    "clear_acrylic": _rows((110, 330, 2.58, 0, 0.0001, 1.6524)),
    "ceiling_board": _rows(
        (1, 100, 1.48, 0, 0.0011, 1.075), (220, 450, 1.52, 0, 0.0029, 1.029), (100, 400, 1.2567, 0, 0.00013, 1.454)
    ),
    "chipboard": _rows((1, 100, 2.58, 0, 0.0217, 0.78), (100, 200, 2.16, 0, 0.0023, 1.359)),
    "plywood": _rows(
        (1, 40, 2.71, 0, 0.33, 0), (110, 330, 1.94, 0, 0.0067, 0.9982), (100, 400, 2.17, 0, 0.0063, 1.045)
    ),
    "marble": _rows(
        (1, 60, 7.074, 0, 0.0055, 0.9262), (110, 330, 7.94, 0, 0.0001, 1.733), (100, 400, 8.62, 0, 0.0027, 1.15)
    ),
    "floorboard": _rows(
        (50, 100, 3.66, 0, 0.0044, 1.3515),
        (220, 300, 5.27, 0, 2.22e-17, 7.3413),
        (300, 400, 5.27, 0, 0.0003, 2.0298),
        (400, 450, 5.27, 0, 49.8726, 0),
        (100, 400, 3.1575, 0, 0.001675, 1.32775),
    ),
    "vinyl_tile": _rows((1, 40, 3.62, 0, 0.0051, 0.8422)),
    "carpet_tile": _rows((1, 40, 2.08, 0, 0.0009, 0.82)),
    "asphalt_concrete": _rows((1, 40, 4.83, 0, 0.0108, 1.3969)),
    "metal": _rows((1, 100, 1, 0, 1e7, 0)),
    "very_dry_ground": _rows((1, 10, 3, 0, 0.00015, 2.52)),
    "medium_dry_ground": _rows((1, 10, 15, -0.1, 0.035, 1.63)),
    "wet_ground": _rows((1, 10, 30, -0.4, 0.15, 1.30)),
}
"""Recommendation ITU-R P.2040-4 (09/2025), Table 3. Where ranges overlap, the first that fits wins."""

EARTH_TABLE = {name: (EarthRange(*RANGE_GHZ, formula),) for name, formula in EARTH_SURFACES.items()}
"""Recommendation ITU-R P.527-6: water and soil, which P.2040-4 lacks or ends at 10 GHz."""

_KNOWN: dict[str, tuple[MaterialRange, ...] | tuple[EarthRange, ...]] = {**ITU_TABLE, **EARTH_TABLE}


@dataclass(frozen=True)
class Material:
    """A radio material: the electrical properties of a surface.

    Either `itu` names a row of P.2040-4 or a medium of P.527-6, or `relative_permittivity` and `conductivity` are given
    and hold at every frequency.

    Attributes:
        name: Name of the material in the site.
        itu: Name in `ITU_TABLE` or `EARTH_TABLE`, or None.
        relative_permittivity: Real part of the relative permittivity, at least 1; None with `itu`.
        conductivity: Conductivity in S/m, at least 0; None with `itu`.
        thickness: Slab thickness in metres, None for a half-space.
        scattering_coefficient: S in [0, 1]: where surfaces scatter, S^2 is the share of the reflected power that does.
        xpd_coefficient: K_x in [0, 1], share of the scattered power in the cross polarisation.
        scattering_pattern: "lambertian", "directive" (a lobe around the specular direction) or "backscattering" (a lobe
            around the specular direction and one back to the source).
        alpha_r: Exponent of the lobe around the specular direction, a whole number of at least 1; larger is narrower.
        alpha_i: Exponent of the lobe back to the source, a whole number of at least 1; larger is narrower.
        forward_share: Lambda in [0, 1], weight of the lobe around the specular direction with "backscattering".

    Raises:
        SiteTwinError: The ITU name is unknown, or a value lies outside its range.
    """

    name: str
    itu: str | None = None
    relative_permittivity: float | None = None
    conductivity: float | None = None
    thickness: float | None = None
    scattering_coefficient: float = 0.0
    xpd_coefficient: float = 0.0
    scattering_pattern: str = "lambertian"
    alpha_r: int = 1
    alpha_i: int = 1
    forward_share: float = 1.0

    def __post_init__(self) -> None:
        given = (self.relative_permittivity is not None, self.conductivity is not None)
        if self.itu is not None:
            if self.itu not in _KNOWN:
                raise SiteTwinError(_unknown(self.itu))
            if any(given):
                raise SiteTwinError(
                    f"material '{self.name}' has both an ITU name and constants of its own; give one of the two"
                )
        elif not all(given):
            raise SiteTwinError(
                f"material '{self.name}' needs an ITU name, or both a relative permittivity and a conductivity"
            )
        for what, low, high in (
            ("relative_permittivity", 1.0, LARGEST_PERMITTIVITY),
            ("conductivity", 0.0, LARGEST_CONDUCTIVITY),
            ("scattering_coefficient", 0.0, 1.0),
            ("xpd_coefficient", 0.0, 1.0),
            ("forward_share", 0.0, 1.0),
            ("alpha_r", 1, LARGEST_ALPHA),
            ("alpha_i", 1, LARGEST_ALPHA),
            ("thickness", 0.0, LARGEST_THICKNESS),
        ):
            value = self._number(what)
            if value is not None and not (low <= value <= high and value <= _LARGEST):
                raise SiteTwinError(f"material '{self.name}': {what} = {value} lies outside {low:g} to {high:g}")
        if any(alpha != int(alpha) for alpha in (self.alpha_r, self.alpha_i)):
            raise SiteTwinError(f"material '{self.name}': alpha_r and alpha_i must be whole numbers")
        if self.thickness == 0:
            raise SiteTwinError(f"material '{self.name}': a slab cannot be 0 m thick; give None for a half-space")
        if self.scattering_pattern not in SCATTERING_PATTERNS:
            raise SiteTwinError(
                f"material '{self.name}': scattering pattern '{self.scattering_pattern}' is unknown; "
                f"choose one of {', '.join(SCATTERING_PATTERNS)}"
            )

    def _number(self, what: str) -> float | None:
        """An attribute as a plain number: what a site's hash and its files can hold."""
        value = getattr(self, what)
        if value is None or (type(value) in (int, float)):
            return value
        if not isinstance(value, Real) or isinstance(value, bool):
            raise SiteTwinError(
                f"material '{self.name}': {what} is a {type(value).__name__}, and a material holds plain numbers, "
                f"through which no gradient flows; give a number, or pass tensors to the fields (FieldOptions)"
            )
        plain = int(value) if isinstance(value, Integral) else float(value)
        object.__setattr__(self, what, plain)
        return plain

    @property
    def ranges(self) -> tuple[MaterialRange, ...] | tuple[EarthRange, ...]:
        """Rows of the table that define the material; empty for a material with own constants."""
        return () if self.itu is None else _KNOWN[self.itu]

    def evaluate(self, frequency_hz: float, out_of_range: OutOfRange = "clamp") -> tuple[float, float]:
        """Evaluate relative permittivity and conductivity at a frequency (P.2040-4, section 2.1.4; P.527-6, section 5).

        Args:
            frequency_hz: Frequency, Hz.
            out_of_range: What to do where no range of the table contains the frequency: "clamp" takes the values at
                the nearest edge and warns, "extrapolate" continues the formula of the nearest range and warns (never
                for the three grounds), "error" refuses.

        Returns:
            Real relative permittivity (unitless) and conductivity (S/m).

        Raises:
            SiteTwinError: The frequency is not positive, or lies outside the table and the policy refuses it.
        """
        if not (math.isfinite(frequency_hz) and frequency_hz > 0):
            raise SiteTwinError(f"frequency {frequency_hz} Hz is not a positive number")
        if out_of_range not in ("clamp", "extrapolate", "error"):
            raise SiteTwinError(f"out_of_range '{out_of_range}' is unknown; choose clamp, extrapolate or error")
        if self.itu is None:
            assert self.relative_permittivity is not None
            assert self.conductivity is not None
            return float(self.relative_permittivity), float(self.conductivity)
        frequency_ghz = float(frequency_hz) / 1e9
        for row in _KNOWN[self.itu]:
            if row.contains(frequency_ghz):
                return row.at(frequency_ghz)
        return self._outside(frequency_ghz, out_of_range)

    def _outside(self, frequency_ghz: float, policy: OutOfRange) -> tuple[float, float]:
        """The policy for a frequency that no range contains."""
        assert self.itu is not None
        rows = _KNOWN[self.itu]
        edge, row = min(
            ((e, r) for r in rows for e in (r.low_ghz, r.high_ghz)), key=lambda pair: abs(pair[0] - frequency_ghz)
        )
        ranges = ", ".join(f"{r.low_ghz:g}-{r.high_ghz:g}" for r in rows)
        source = "P.2040-4" if self.itu in ITU_TABLE else "P.527-6"
        fact = f"ITU-R {source} defines '{self.itu}' for {ranges} GHz only, not at {frequency_ghz:g} GHz"
        if policy == "error":
            raise SiteTwinError(f"{fact}; choose another material or out_of_range='clamp'")
        if policy == "extrapolate":
            if self.itu in GROUNDS:
                raise SiteTwinError(
                    f"{fact} and its ground rows must not be extrapolated; use another model, such as 'moist_soil' of "
                    "ITU-R P.527 or 'asphalt_concrete'"
                )
            warnings.warn(f"{fact}; its formula was extrapolated", SiteTwinWarning, stacklevel=3)
            return row.at(frequency_ghz)
        warnings.warn(f"{fact}; the values at {edge:g} GHz are used", SiteTwinWarning, stacklevel=3)
        return row.at(edge)

    def to_dict(self) -> dict[str, Any]:
        """Return all attributes as a JSON-serialisable dictionary."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> Material:
        """Make the material that `to_dict` described.

        Raises:
            SiteTwinError: A key is unknown or missing, or a value is refused.
        """
        known = {f.name: f.default for f in fields(cls)}
        if not isinstance(values, dict) or "name" not in values or set(values) - known.keys():
            raise SiteTwinError(f"a material needs a name and may hold only the keys {', '.join(sorted(known))}")
        for key, value in values.items():
            kind: tuple[type, ...] = (str,) if key in _TEXTS else (int, float)
            if isinstance(value, bool) or not (isinstance(value, kind) or (value is None and known[key] is None)):
                raise SiteTwinError(f"a material's {key} must be a {'text' if key in _TEXTS else 'number'}")
        return cls(**values)


def itu_material(name: str, thickness: float | None = None, **options: Any) -> Material:
    """Return a material of ITU-R P.2040-4 or P.527-6 by its name.

    Args:
        name: Name in `ITU_TABLE` or `EARTH_TABLE`, such as "concrete" (a prefix `itu_` is accepted).
        thickness: Slab thickness in metres, None for a half-space.
        **options: Further attributes of `Material`, such as ``scattering_coefficient``.

    Raises:
        SiteTwinError: The name is not in the table; the message lists similar names.

    Example:
        >>> itu_material("itu_brick", thickness=0.1).thickness
        0.1
        >>> itu_material("brik")
        Traceback (most recent call last):
        ...
        sitetwin.errors.SiteTwinError: 'brik' is no material of ITU-R P.2040-4 or P.527-6; did you mean brick?
    """
    key = name.strip().lower().removeprefix("itu_").removeprefix("itu-")
    if key not in _KNOWN:
        raise SiteTwinError(_unknown(name))
    return Material(name=key, itu=key, thickness=thickness, **options)


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, _KNOWN, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(_KNOWN)}"
    return f"'{name}' is no material of ITU-R P.2040-4 or P.527-6; {hint}"
