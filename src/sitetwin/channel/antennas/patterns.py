"""Antenna patterns: the far field of one element in its own frame.

A pattern maps directions (zenith theta, azimuth phi, boresight +x) to the complex field (E_theta, E_phi), scaled so
that ``|E_theta|^2 + |E_phi|^2`` is the gain over an isotropic radiator. The patterns here are those of the vertical
element; other polarisations come from a slant angle with polarisation model-2 of 3GPP TR 38.901, section 7.3.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from sitetwin.errors import SiteTwinError

HALF_WAVE_GAIN = 1.6409223769
"""Directivity of the half-wave dipole: ``4 / Cin(2 pi)``, Balanis, Antenna Theory, eq. 4-91."""


_Angle = Float[Tensor, "*directions"]
_Field = Inexact[Tensor, "*directions"]


@runtime_checkable
class Pattern(Protocol):
    """(theta, phi) in radians, each (...), to (E_theta, E_phi), each (...), real or complex."""

    def __call__(self, theta: _Angle, phi: _Angle) -> tuple[_Field, _Field]:
        """The field of the vertical element."""
        ...


@dataclass(frozen=True)
class Isotropic:
    """Gain 1 everywhere, all of it in E_theta."""

    def __call__(self, theta: _Angle, phi: _Angle) -> tuple[_Field, _Field]:
        """E_theta = 1, E_phi = 0."""
        return torch.ones_like(theta), torch.zeros_like(theta)


@dataclass(frozen=True)
class ShortDipole:
    """Dipole along z, much shorter than a wave: ``sqrt(3/2) sin(theta)`` (Balanis, section 4.2)."""

    def __call__(self, theta: _Angle, phi: _Angle) -> tuple[_Field, _Field]:
        """E_theta, and E_phi = 0."""
        return math.sqrt(1.5) * torch.sin(theta), torch.zeros_like(theta)


@dataclass(frozen=True)
class HalfWaveDipole:
    """Half-wave dipole along z: ``sqrt(D) cos(pi/2 cos(theta)) / sin(theta)``, D = 1.641 (Balanis, eq. 4-84)."""

    def __call__(self, theta: _Angle, phi: _Angle) -> tuple[_Field, _Field]:
        """E_theta, and E_phi = 0."""
        sine = torch.sin(theta)
        axial = sine.abs() < 1e-6
        value = torch.cos(math.pi / 2 * torch.cos(theta)) / torch.where(axial, torch.ones_like(sine), sine)
        return math.sqrt(HALF_WAVE_GAIN) * torch.where(axial, 0.0 * sine, value), torch.zeros_like(theta)


@dataclass(frozen=True)
class Tr38901:
    """Element of 3GPP TR 38.901, Table 7.3-1: 65 degrees of beam width both ways, 30 dB down at most.

    Attributes:
        max_gain_db: Gain at boresight, dBi (8 in the table).
        beamwidth_deg: Half-power width in azimuth and zenith, degrees.
        floor_db: Largest attenuations A_max and SLA_V, dB.

    All three may be tensors of one number; gradients flow into them.

    Raises:
        SiteTwinError: A parameter is no finite number, or a width or a floor is not positive.
    """

    max_gain_db: float | Tensor = 8.0
    beamwidth_deg: float | Tensor = 65.0
    floor_db: float | Tensor = 30.0

    def __post_init__(self) -> None:
        for name, positive in (("max_gain_db", False), ("beamwidth_deg", True), ("floor_db", True)):
            given = getattr(self, name)
            if isinstance(given, Tensor) and (given.ndim or not given.is_floating_point()):
                raise SiteTwinError(
                    f"antenna pattern: {name} is a tensor of shape {tuple(given.shape)} and type {given.dtype}; give "
                    "one real number"
                )
            value = float(given.detach() if isinstance(given, Tensor) else given)
            if not math.isfinite(value) or (positive and value <= 0):
                raise SiteTwinError(
                    f"antenna pattern: {name} = {value:g}; give a {'positive' if positive else 'finite'} number"
                )

    def __call__(self, theta: _Angle, phi: _Angle) -> tuple[_Field, _Field]:
        """E_theta, and E_phi = 0."""
        width, floor, peak = (v.to(theta) if isinstance(v, Tensor) else v for v in self._numbers)
        turned = torch.remainder(phi + math.pi, 2 * math.pi) - math.pi
        vertical = (12 * ((theta - math.pi / 2) / width) ** 2).clamp(max=floor)
        horizontal = (12 * (turned / width) ** 2).clamp(max=floor)
        gain_db = peak - (vertical + horizontal).clamp(max=floor)
        return 10 ** (gain_db / 20), torch.zeros_like(theta)

    @property
    def _numbers(self) -> tuple[float | Tensor, float | Tensor, float | Tensor]:
        """Width in radians, floor and peak in dB."""
        width = self.beamwidth_deg
        return width * (math.pi / 180), self.floor_db, self.max_gain_db


PATTERNS: dict[str, Callable[[], Pattern]] = {
    "iso": Isotropic,
    "dipole": ShortDipole,
    "hw_dipole": HalfWaveDipole,
    "tr38901": Tr38901,
}


def antenna_pattern(name: str | Pattern) -> Pattern:
    """Return a pattern by its name, or the given pattern.

    Raises:
        SiteTwinError: The name is unknown.
    """
    if not isinstance(name, str):
        return name
    if name not in PATTERNS:
        raise SiteTwinError(
            f"antenna pattern '{name}' is unknown; choose one of {', '.join(PATTERNS)}, or load one with load_pattern"
        )
    return PATTERNS[name]()


def same_pattern(one: Pattern, other: Pattern) -> bool:
    """Return whether two patterns give the same field, whatever their names."""
    if one is other:
        return True
    if type(one) is not type(other) or not is_dataclass(one):
        return False
    pairs = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(one) if f.name != "name"]
    return all(torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a == b for a, b in pairs)


def is_round(pattern: Pattern) -> bool:
    """Whether a pattern is known to be the same at all azimuths."""
    return isinstance(pattern, Isotropic | ShortDipole | HalfWaveDipole)


def slanted(field: tuple[_Field, _Field], slant: float | Float[Tensor, "*slants"]) -> tuple[_Field, _Field]:
    """Turn the field of the vertical element by a slant angle (3GPP TR 38.901, eq. 7.3-4 and 7.3-5, model-2).

    Args:
        field: (E_theta, E_phi) of the vertical element.
        slant: Slant angle, radians; 0 is vertical, pi/2 horizontal, +-pi/4 the crossed pair.
    """
    if isinstance(slant, Tensor):
        cos, sin = torch.cos(slant), torch.sin(slant)
    elif slant == 0:
        return field
    else:
        cos, sin = math.cos(slant), math.sin(slant)  # type: ignore[assignment]
    theta, phi = field
    return theta * cos - phi * sin, theta * sin + phi * cos


@dataclass(frozen=True)
class SampledPattern:
    """A pattern given on a grid of directions, bilinear between them.

    Amplitude is interpolated in dB and phase along the shorter arc. Azimuth wraps around.

    Attributes:
        theta: (A,) radians, ascending from 0 to pi.
        phi: (B,) radians, ascending in [0, 2 pi), covering the whole circle.
        gain_db: (A, B) dBi.
        phase: (A, B) radians, or None.
        name: Name of the pattern, for messages and reports.
    """

    theta: Float[Tensor, " zeniths"]
    phi: Float[Tensor, " azimuths"]
    gain_db: Float[Tensor, "zeniths azimuths"]
    phase: Float[Tensor, "zeniths azimuths"] | None = None
    name: str = "sampled"

    def __call__(self, theta: _Angle, phi: _Angle) -> tuple[_Field, _Field]:
        """E_theta (complex where phases are known), and E_phi = 0."""
        rows, row_share = _bracket(self.theta.to(theta), theta.clamp(0, math.pi))
        circle = torch.cat([self.phi, self.phi[:1] + 2 * math.pi]).to(theta)
        turned = circle[0] + torch.remainder(phi - circle[0], 2 * math.pi)
        columns, column_share = _bracket(circle, turned)
        size = self.gain_db.shape[1]
        corners = [(r, c) for r in (0, 1) for c in (0, 1)]
        weights = [(row_share if r else 1 - row_share) * (column_share if c else 1 - column_share) for r, c in corners]
        places = [(rows + r, (columns + c) % size) for r, c in corners]

        def blend(values: Tensor) -> Tensor:
            return torch.stack([w * values[p] for w, p in zip(weights, places, strict=True)]).sum(dim=0)

        amplitude = 10 ** (blend(self.gain_db.to(theta)) / 20)
        if self.phase is None:
            return amplitude, torch.zeros_like(amplitude)
        angles = self.phase.to(theta)
        angle = torch.atan2(blend(torch.sin(angles)), blend(torch.cos(angles)))
        return torch.complex(amplitude * torch.cos(angle), amplitude * torch.sin(angle)), torch.zeros_like(amplitude)


def _bracket(grid: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the grid interval that holds each value, and the value's share of it."""
    lower = (torch.searchsorted(grid, value.detach().contiguous(), right=True) - 1).clamp(0, len(grid) - 2)
    return lower, ((value - grid[lower]) / (grid[lower + 1] - grid[lower])).clamp(0, 1)


def mean_gain(pattern: Pattern, resolution: int = 720) -> float:
    """Gain averaged over the sphere: 1 for a lossless antenna.

    Args:
        pattern: The pattern.
        resolution: Directions per half circle of zenith (midpoint rule).
    """
    theta = (torch.arange(resolution, dtype=torch.float64) + 0.5) * math.pi / resolution
    phi = (torch.arange(2 * resolution, dtype=torch.float64) + 0.5) * math.pi / resolution - math.pi
    grid_theta, grid_phi = torch.meshgrid(theta, phi, indexing="ij")
    e_theta, e_phi = pattern(grid_theta.reshape(-1), grid_phi.reshape(-1))
    power = (e_theta.abs() ** 2 + e_phi.abs() ** 2).reshape(grid_theta.shape)
    return float((power * torch.sin(grid_theta)).sum() * (math.pi / resolution) ** 2 / (4 * math.pi))
