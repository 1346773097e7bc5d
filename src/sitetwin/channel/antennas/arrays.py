"""Antenna arrays and radios: where the elements are, how they are polarised, which way the whole is turned."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sitetwin.channel.antennas.patterns import Isotropic, Pattern, antenna_pattern, is_round, same_pattern, slanted
from sitetwin.channel.numerics.rotation import angles, dot, rotation_matrix, spherical_basis
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays.paths import SPEED_OF_LIGHT

POLARISATIONS: dict[str, tuple[float, ...]] = {
    "V": (0.0,),
    "H": (math.pi / 2,),
    "VH": (0.0, math.pi / 2),
    "cross": (-math.pi / 4, math.pi / 4),
}
"""Slant angles in radians of the ports of one element position."""


@dataclass(frozen=True, eq=False)
class AntennaArray:
    """Elements at fixed places in the frame of their radio, all with one pattern.

    A dual-polarised array has two ports at each position; its antennas are numbered port by port: all positions with
    the first slant, then all with the second.

    Attributes:
        positions: (A, 3) float64, wavelengths at the carrier, relative to the radio's position.
        pattern: Field of the vertical element.
        slants: Slant angle of each port, radians.
        shape: (rows, columns) of a uniform planar array in the y-z plane, None for other layouts.
        spacing: (vertical, horizontal) distance of its rows and columns, wavelengths; None likewise.
    """

    positions: Tensor
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
    def port(self) -> Tensor:
        """(num_antennas,) int64, port of each antenna."""
        return torch.arange(self.num_ports).repeat_interleave(self.num_positions)

    def aperture(self, wavelength: float) -> float:
        """Largest distance between two elements, metres."""
        if self.num_positions == 1:
            return 0.0
        return float(torch.cdist(self.positions.detach(), self.positions.detach()).max()) * wavelength

    @classmethod
    def single(cls, pattern: str | Pattern = "iso", polarisation: str = "V") -> AntennaArray:
        """One element at the radio's position."""
        return cls.upa(1, 1, pattern=pattern, polarisation=polarisation)

    @classmethod
    def ula(
        cls, num_elements: int, *, spacing: float = 0.5, pattern: str | Pattern = "iso", polarisation: str = "V"
    ) -> AntennaArray:
        """Uniform linear array along local +y, centred on the radio.

        Args:
            num_elements: Number of positions.
            spacing: Wavelengths.
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
        """Uniform planar array in the local y-z plane, centred on the radio.

        Element ``row * columns + column`` stands at ``y = (column - (columns - 1) / 2) horizontal_spacing`` and
        ``z = ((rows - 1) / 2 - row) vertical_spacing``: the first row is the top one.

        Raises:
            SiteTwinError: A count is below 1, a spacing not positive, or the polarisation unknown.
        """
        if rows < 1 or columns < 1:
            raise SiteTwinError(f"an array of {rows} x {columns} elements is empty; give at least 1 x 1")
        if not (vertical_spacing > 0 and horizontal_spacing > 0):
            raise SiteTwinError(f"element spacings {vertical_spacing} and {horizontal_spacing} must be positive")
        if polarisation not in POLARISATIONS:
            raise SiteTwinError(f"polarisation '{polarisation}' is unknown; choose one of {', '.join(POLARISATIONS)}")
        y = (torch.arange(columns, dtype=torch.float64) - (columns - 1) / 2) * horizontal_spacing
        z = ((rows - 1) / 2 - torch.arange(rows, dtype=torch.float64)) * vertical_spacing
        positions = torch.stack([torch.zeros(rows * columns).double(), y.repeat(rows), z.repeat_interleave(columns)], 1)
        return cls(
            positions,
            antenna_pattern(pattern),
            POLARISATIONS[polarisation],
            (rows, columns),
            (vertical_spacing, horizontal_spacing),
        )


@dataclass(frozen=True, eq=False)
class Radio:
    """An array and its orientation.

    Attributes:
        array: The elements.
        orientation: (yaw, pitch, roll), radians, as in 3GPP TR 38.901: a triple or a (3,) tensor for all, or a (U, 3)
            tensor with one row per user (receivers only). Gradients flow into a tensor.
    """

    array: AntennaArray = field(default_factory=AntennaArray.single)
    orientation: tuple[float, float, float] | Tensor = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        shape = tuple(self._orientation.shape)
        if shape[-1:] != (3,) or len(shape) > 2:
            raise SiteTwinError(f"an orientation of shape {shape} was given; it is (yaw, pitch, roll), or (users, 3)")
        if not bool(torch.isfinite(self._orientation.detach()).all()):
            raise SiteTwinError("an orientation holds NaN or infinity; give radians")

    @property
    def _orientation(self) -> Tensor:
        return torch.as_tensor(self.orientation, dtype=torch.float64)

    @property
    def per_user(self) -> bool:
        """Whether each user has an orientation of its own."""
        return self._orientation.ndim == 2

    @property
    def unrotated(self) -> bool:
        """Whether local and global frames are the same and stay so."""
        o = self._orientation
        return not o.requires_grad and not self.per_user and not bool(o.any())

    def select_users(self, index: Tensor) -> Radio:
        """The radios of some users."""
        return Radio(self.array, self._orientation[index]) if self.per_user else self

    def radiates_like(self, other: Radio) -> bool:
        """Whether the ports of both radios have the same far field in every direction of the site.

        Gains between ports of the one then hold for the other: how many elements there are, and where, has no say. A
        pattern that is the same at all azimuths may be turned about the vertical.
        """
        if self is other:
            return True
        if self.array.slants != other.array.slants or not same_pattern(self.array.pattern, other.array.pattern):
            return False
        mine, theirs = self._orientation.detach(), other._orientation.detach()
        if self.per_user and other.per_user and len(mine) != len(theirs):
            return False
        if is_round(self.array.pattern) and not (mine[..., 1:].any() or theirs[..., 1:].any()):
            return True
        return bool((mine == theirs).all())

    def rotation(self, user: Tensor | None = None) -> Tensor:
        """(3, 3) float64, or (N, 3, 3) for the users of N paths where each user has an orientation.

        Args:
            user: (N,) int64 user of each path; needed where orientations are per user.

        Raises:
            SiteTwinError: Orientations are per user but there is no user here (a transmitter), or too few of them.
        """
        if not self.per_user:
            return rotation_matrix(self._orientation)
        if user is None:
            raise SiteTwinError("orientations per user were given to the transmitter; it has one (yaw, pitch, roll)")
        if user.numel() and int(user.max()) >= len(self._orientation):
            raise SiteTwinError(
                f"{len(self._orientation)} orientations were given for at least {int(user.max()) + 1} users; "
                "give one row per user"
            )
        return rotation_matrix(self._orientation)[user]

    def to_local(self, direction: Tensor, user: Tensor | None = None) -> Tensor:
        """Global directions in the radio's frame: (3, N) to (3, N)."""
        if self.unrotated:
            return direction
        turn = self.rotation(user).to(direction.dtype)
        if turn.ndim == 2:
            return turn.T @ direction
        return torch.einsum("nij,in->jn", turn, direction)

    def fields(self, direction: Tensor, user: Tensor | None = None) -> list[tuple[Tensor, Tensor]]:
        """Far field of each port in global polarisation (TR 38.901, eq. 7.1-11).

        Args:
            direction: (3, N) unit vectors away from the radio, global frame.
            user: (N,) int64, see `rotation`.

        Returns:
            One (E_theta, E_phi) per port, each (N,), in the global theta-hat and phi-hat at the direction.
        """
        plain = self.unrotated and isinstance(self.array.pattern, Isotropic)
        local = self.to_local(direction, user)
        theta, phi = (local[0], local[1]) if plain else angles(local)
        vertical = self.array.pattern(theta, phi)
        ports = [slanted(vertical, slant) for slant in self.array.slants]
        if self.unrotated:
            return ports
        turn = self.rotation(user).to(direction.dtype)
        local_theta_hat, _ = spherical_basis(local)
        here = turn @ local_theta_hat if turn.ndim == 2 else torch.einsum("nij,jn->in", turn, local_theta_hat)
        theta_hat, phi_hat = spherical_basis(direction)
        cos_psi, sin_psi = dot(theta_hat, here), dot(phi_hat, here)
        return [(t * cos_psi - p * sin_psi, t * sin_psi + p * cos_psi) for t, p in ports]

    def offsets(self, user: Tensor | None = None) -> Tensor:
        """(A, 3) or (N, A, 3) float64: element offsets in the global frame, wavelengths at the carrier."""
        turn = self.rotation(user)
        return self.array.positions.double() @ turn.transpose(-1, -2)

    def cycles(self, direction: Tensor, user: Tensor | None = None) -> Tensor:
        """Phase ``d . k / lambda`` of each element position in cycles (float64).

        Args:
            direction: (N, 3) float64 unit vectors away from the radio.
            user: (N,) int64, see `rotation`.

        Returns:
            (N, A) float64; the element response is ``e^{+j 2 pi cycles}``.
        """
        return self.local_rows(direction, user) @ self.array.positions.double().T

    def local_rows(self, direction: Tensor, user: Tensor | None = None) -> Tensor:
        """Global directions in the radio's frame: (N, 3) to (N, 3)."""
        if self.unrotated:
            return direction
        if self.per_user:
            return torch.einsum("nij,ni->nj", self.rotation(user), direction)
        return direction @ self.rotation()


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
