"""Radios: an antenna array and its orientation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Inexact, Integer
from torch import Tensor

from sitetwin.channel.antennas.arrays import AntennaArray
from sitetwin.channel.antennas.names import named_array, named_pattern
from sitetwin.channel.antennas.patterns import Isotropic, Pattern, is_round, same_pattern, slanted
from sitetwin.channel.numerics.rotation import angles, dot, rotation_matrix, spherical_basis
from sitetwin.errors import SiteTwinError


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Radio:
    """An array and its orientation.

    ``Radio("upa:8x8", pattern="tr38901", yaw_deg=90, downtilt_deg=6)`` names the array; ``Radio(array, orientation)``
    gives it.

    Attributes:
        array: The elements.
        orientation: (yaw, pitch, roll), radians, as in 3GPP TR 38.901: a triple or a (3,) tensor for all, or a (U, 3)
            tensor with one row per user (receivers only). Gradients flow into a tensor.
    """

    array: AntennaArray
    orientation: tuple[float, float, float] | Tensor

    def __init__(
        self,
        array: AntennaArray | str = "single",
        orientation: tuple[float, float, float] | Tensor | None = None,
        *,
        pattern: str | Pattern | None = None,
        polarisation: str | None = None,
        yaw_deg: float | None = None,
        azimuth_deg: float | None = None,
        downtilt_deg: float | None = None,
    ) -> None:
        """Make a radio from an array or its name.

        Args:
            array: The array, or "single", "ula:32", "upa:8x8", with ":VH" or another polarisation behind it; see
                `named_array`.
            orientation: (yaw, pitch, roll), radians: a triple or a (3,) tensor, or a (U, 3) tensor with one row per
                user. Zero by default.
            pattern: Pattern of the elements of a named array: a pattern, its name, or a file of a measured one;
                isotropic by default.
            polarisation: Polarisation of a named array: V, H, VH or cross; V by default.
            yaw_deg: Azimuth of the boresight, degrees from east, counter-clockwise, in place of `orientation`.
            azimuth_deg: Azimuth of the boresight, degrees from north, clockwise, in place of `yaw_deg`.
            downtilt_deg: Downtilt of the boresight, degrees below the horizon, in place of `orientation`.

        Raises:
            SiteTwinError: A name is unknown, an angle is not finite, or a property is given twice.
        """
        if isinstance(array, str):
            chosen = named_pattern(pattern) if isinstance(pattern, str) else pattern
            array = named_array(array, chosen or Isotropic(), polarisation)
        elif pattern is not None or polarisation is not None:
            raise SiteTwinError(
                "an array has its own pattern and polarisation; give them as it is built, or name the array (upa:8x8)"
            )
        if azimuth_deg is not None:
            if yaw_deg is not None:
                raise SiteTwinError("a radio's azimuth is given twice; give yaw_deg, or azimuth_deg")
            yaw_deg = math.remainder(90.0 - azimuth_deg, 360.0)
        if yaw_deg is not None or downtilt_deg is not None:
            if orientation is not None:
                raise SiteTwinError("a radio's turn is given twice; give orientation, or yaw_deg and downtilt_deg")
            orientation = (math.radians(yaw_deg or 0.0), math.radians(downtilt_deg or 0.0), 0.0)
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "orientation", (0.0, 0.0, 0.0) if orientation is None else orientation)
        self._check_orientation()

    def __repr__(self) -> str:
        if self.per_user:
            turn = f"turned for each of {len(self._orientation)} users"
        else:
            yaw, pitch, roll = (math.degrees(angle) for angle in self._orientation.detach().tolist())
            turn = f"yaw {yaw:g}, pitch {pitch:g}, roll {roll:g} deg"
        return f"Radio({self.array!r}, {turn})"

    def _check_orientation(self) -> None:
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

    def check_users(self, num_users: int) -> None:
        """Check that orientations, if there is one per user, fit a number of users.

        Raises:
            SiteTwinError: The number of orientations differs from the number of users.
        """
        if self.per_user and len(self._orientation) != num_users:
            raise SiteTwinError(
                f"{len(self._orientation)} orientations were given for {num_users} users; give one row per user"
            )

    def select_users(self, index: Integer[Tensor, " chosen"]) -> Radio:
        """The radios of some users."""
        return Radio(self.array, self._orientation[index]) if self.per_user else self

    def radiates_like(self, other: Radio) -> bool:
        """Whether the ports of both radios have the same far field in every direction of the site.

        Then gains between ports of one radio also hold for the other. The number and the places of elements do not
        matter. A pattern that is the same at all azimuths may be turned about the vertical.
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

    def rotation(self, user: Integer[Tensor, " paths"] | None = None) -> Float[Tensor, "*each 3 3"]:
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

    def to_local(
        self, direction: Float[Tensor, "3 paths"], user: Integer[Tensor, " paths"] | None = None
    ) -> Float[Tensor, "3 paths"]:
        """Global directions in the radio's frame: (3, N) to (3, N)."""
        if self.unrotated:
            return direction
        turn = self.rotation(user).to(direction.dtype)
        if turn.ndim == 2:
            return turn.T @ direction
        return torch.einsum("nij,in->jn", turn, direction)

    def fields(
        self, direction: Float[Tensor, "3 paths"], user: Integer[Tensor, " paths"] | None = None
    ) -> list[tuple[Inexact[Tensor, " paths"], Inexact[Tensor, " paths"]]]:
        """Far field of each port in global polarisation (TR 38.901, eq. 7.1-11).

        Args:
            direction: (3, N) unit vectors away from the radio, global frame.
            user: (N,) int64 user of each direction; needed where orientations are per user.

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
        turned = [(t * cos_psi - p * sin_psi, t * sin_psi + p * cos_psi) for t, p in ports]
        if self.per_user or bool(self._orientation.any()):
            return turned
        # A turn of zero that gradients are asked of: the values of a radio that is not turned, to the last bit.
        still = Radio(self.array).fields(direction)
        return [(s + (t - t.detach()), q + (p - p.detach())) for (s, q), (t, p) in zip(still, turned, strict=True)]

    def offsets(self, user: Integer[Tensor, " paths"] | None = None) -> Float[Tensor, "*each positions 3"]:
        """(A, 3) or (N, A, 3) float64: element offsets in the global frame, wavelengths at the carrier."""
        turn = self.rotation(user)
        return self.array.positions.double() @ turn.transpose(-1, -2)

    def cycles(
        self, direction: Float[Tensor, "paths 3"], user: Integer[Tensor, " paths"] | None = None
    ) -> Float[Tensor, "paths positions"]:
        """Phase ``d . k / lambda`` of each element position in cycles (float64).

        Args:
            direction: (N, 3) float64 unit vectors away from the radio.
            user: (N,) int64 user of each direction; needed where orientations are per user.

        Returns:
            (N, A) float64; the element response is ``e^{+j 2 pi cycles}``.
        """
        return self.local_rows(direction, user) @ self.array.positions.double().T

    def local_rows(
        self, direction: Float[Tensor, "paths 3"], user: Integer[Tensor, " paths"] | None = None
    ) -> Float[Tensor, "paths 3"]:
        """Global directions in the radio's frame: (N, 3) to (N, 3)."""
        if self.unrotated:
            return direction
        if self.per_user:
            return torch.einsum("nij,ni->nj", self.rotation(user), direction)
        return direction @ self.rotation()
