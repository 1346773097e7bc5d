"""Antenna arrays: positions and polarisations of the elements."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from numbers import Integral

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from sitetwin.channel.antennas.patterns import Isotropic, Pattern, antenna_pattern
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays.paths import SPEED_OF_LIGHT

POLARISATIONS: dict[str, tuple[float, ...]] = {
    "V": (0.0,),
    "H": (math.pi / 2,),
    "VH": (0.0, math.pi / 2),
    "cross": (-math.pi / 4, math.pi / 4),
}
"""Slant angles in radians of the ports of one element position."""

MOST_ELEMENTS = 2**16
"""Elements of a planar array: 256 x 256."""


_LAYOUT_ERROR = 1e-6  # wavelengths: how far elements may stand from the places that shape and spacing give them


@dataclass(frozen=True, eq=False, repr=False)
class AntennaArray:
    """Elements at fixed places in the frame of their radio, all with one pattern.

    A dual-polarised array has two ports at each position; its antennas are numbered port by port: all positions with
    the first slant, then all with the second.

    Attributes:
        positions: (A, 3) float64, wavelengths at the carrier, relative to the radio's position.
        pattern: Field of the vertical element.
        slants: Slant angle of each port, radians.
        shape: (rows, columns) of a uniform planar array in the y-z plane, None for other layouts.
        spacing: (vertical, horizontal) distance of its rows and columns, wavelengths; None for other layouts.

    Raises:
        SiteTwinError: Positions are not (A, 3) finite numbers, there are more than two ports, or shape and spacing are
            not those of the positions. Positions with gradients may move away from shape and spacing.
    """

    positions: Float[Tensor, "positions 3"]
    pattern: Pattern = field(default_factory=Isotropic)
    slants: tuple[float, ...] = (0.0,)
    shape: tuple[int, int] | None = None
    spacing: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.positions.ndim != 2 or self.positions.shape[1] != 3 or not len(self.positions):
            raise SiteTwinError(f"element positions have shape {tuple(self.positions.shape)}; give (A, 3) wavelengths")
        if not bool(torch.isfinite(self.positions.detach()).all()):
            raise SiteTwinError("element positions hold NaN or infinity; give finite wavelengths")
        if len(self.slants) not in (1, 2):
            raise SiteTwinError(f"an element has one or two ports, not {len(self.slants)} slant angles")
        self._check_layout()

    def _check_layout(self) -> None:
        """Shape and spacing say where the elements are, and so do their positions: the two must agree."""
        if (self.shape is None) != (self.spacing is None):
            raise SiteTwinError(
                f"an array has shape {self.shape} and spacing {self.spacing}; give both, or neither where the elements "
                "stand on no grid"
            )
        if self.shape is None or self.spacing is None:
            return
        rows, columns = self.shape
        if rows * columns != len(self.positions):
            raise SiteTwinError(
                f"an array of {rows} x {columns} has {len(self.positions)} element positions; give a position for each "
                "element, or build it with AntennaArray.upa"
            )
        if self.positions.requires_grad:
            return
        if float((self.positions.double() - _grid(self.shape, self.spacing)).abs().max()) > _LAYOUT_ERROR:
            raise SiteTwinError(
                f"element positions are not those of {rows} x {columns} elements at spacings of {self.spacing[0]:g} "
                f"and {self.spacing[1]:g} wavelengths, centred, the top row first; build the array with "
                "AntennaArray.upa, or leave shape and spacing out"
            )

    def __repr__(self) -> str:
        if self.shape is None or self.spacing is None:
            layout = f"{self.num_positions} elements"
        else:
            layout = f"{self.shape[0]} x {self.shape[1]} elements"
            if self.num_positions > 1:
                layout += f" at {self.spacing[0]:g} x {self.spacing[1]:g} wavelengths"
        slants = ", ".join(f"{math.degrees(slant):g}" for slant in self.slants)
        return f"AntennaArray({layout}, {type(self.pattern).__name__}, slant {slants} deg)"

    @property
    def num_positions(self) -> int:
        """Number of element positions."""
        return len(self.positions)

    @property
    def num_ports(self) -> int:
        """Number of polarisations at each position, 1 or 2."""
        return len(self.slants)

    @property
    def num_antennas(self) -> int:
        """Positions times ports."""
        return self.num_positions * self.num_ports

    @property
    def port(self) -> Integer[Tensor, " antennas"]:
        """(num_antennas,) int64, port of each antenna."""
        return torch.arange(self.num_ports).repeat_interleave(self.num_positions)

    def aperture(self, wavelength: float) -> float:
        """Largest distance between two elements, metres."""
        if self.num_positions == 1:
            return 0.0
        return float(torch.cdist(self.positions.detach(), self.positions.detach()).max()) * wavelength

    @classmethod
    def single(cls, pattern: str | Pattern = "iso", polarisation: str = "V") -> AntennaArray:
        """Make an array with one element at the radio's position."""
        return cls.upa(1, 1, pattern=pattern, polarisation=polarisation)

    @classmethod
    def ula(
        cls, num_elements: int, *, spacing: float = 0.5, pattern: str | Pattern = "iso", polarisation: str = "V"
    ) -> AntennaArray:
        """Make a uniform linear array along local +y, centred on the radio.

        Args:
            num_elements: Number of positions.
            spacing: Distance between neighbours, wavelengths.
            pattern: Name or pattern of the element.
            polarisation: "V", "H", "VH" or "cross" (-45 and +45 degrees).
        """
        return cls.upa(1, num_elements, horizontal_spacing=spacing, pattern=pattern, polarisation=polarisation)

    @classmethod
    def upa(
        cls,
        rows: int,
        columns: int,
        *,
        vertical_spacing: float = 0.5,
        horizontal_spacing: float = 0.5,
        pattern: str | Pattern = "iso",
        polarisation: str = "V",
    ) -> AntennaArray:
        """Make a uniform planar array in the local y-z plane, centred on the radio.

        Element ``row * columns + column`` stands at ``y = (column - (columns - 1) / 2) horizontal_spacing`` and
        ``z = ((rows - 1) / 2 - row) vertical_spacing``: the first row is the top one.

        Raises:
            SiteTwinError: A count is no whole number above 0, there are more than 65536 elements, a spacing is not
                positive, or the polarisation unknown.
        """
        if not all(isinstance(count, Integral) for count in (rows, columns)):
            raise SiteTwinError(f"an array of {rows} x {columns} elements is none; give whole numbers")
        if rows < 1 or columns < 1:
            raise SiteTwinError(f"an array of {rows} x {columns} elements is empty; give at least 1 x 1")
        if rows * columns > MOST_ELEMENTS:
            raise SiteTwinError(f"an array of {rows} x {columns} elements is too large; give at most {MOST_ELEMENTS}")
        if not (vertical_spacing > 0 and horizontal_spacing > 0):
            raise SiteTwinError(f"element spacings {vertical_spacing} and {horizontal_spacing} must be positive")
        if polarisation not in POLARISATIONS:
            raise SiteTwinError(f"polarisation '{polarisation}' is unknown; choose one of {', '.join(POLARISATIONS)}")
        return cls(
            _grid((rows, columns), (vertical_spacing, horizontal_spacing)),
            antenna_pattern(pattern),
            POLARISATIONS[polarisation],
            (rows, columns),
            (vertical_spacing, horizontal_spacing),
        )


def _grid(shape: tuple[int, int], spacing: tuple[float, float]) -> Tensor:
    """(rows * columns, 3) float64 positions of a uniform planar array, wavelengths."""
    (rows, columns), (vertical, horizontal) = shape, spacing
    y = (torch.arange(columns, dtype=torch.float64) - (columns - 1) / 2) * horizontal
    z = ((rows - 1) / 2 - torch.arange(rows, dtype=torch.float64)) * vertical
    return torch.stack([torch.zeros(rows * columns).double(), y.repeat(rows), z.repeat_interleave(columns)], 1)


def warn_near_field(array: AntennaArray, frequency_hz: float, shortest: float, whose: str) -> None:
    """Warn where plane waves are assumed below the far-field distance ``2 D^2 / lambda``.

    Args:
        array: The array.
        frequency_hz: Carrier, Hz.
        shortest: Length of the shortest path, metres.
        whose: "transmitter" or "receiver", for the message.
    """
    wavelength = SPEED_OF_LIGHT / frequency_hz
    limit = 2 * array.aperture(wavelength) ** 2 / wavelength
    if shortest < limit:
        warnings.warn(
            f"the shortest path is {shortest:.1f} m but the far field of the {whose}'s array begins at {limit:.1f} m "
            "(2 D^2 / lambda); plane waves are assumed, use wavefront='spherical' where that matters",
            SiteTwinWarning,
            stacklevel=3,
        )
