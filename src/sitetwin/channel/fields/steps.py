"""The steps of waves along paths, ready to act on fields.

A group of n paths alike is a launch, a step at each interaction (and for each segment through rain), and a reception. A
step holds what the geometry decides: the turn of the basis, angles of incidence, materials by number, the terms of an
edge. What the materials decide comes in as it acts, so that steps can act again with other materials.

A field is two components ``e1`` and ``e2``, each (ports, n), in the basis across the ray that its step has turned to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields.diffraction import EdgeParts
from sitetwin.channel.fields.fitted import say_fitted
from sitetwin.channel.fields.materials import Surfaces
from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.fields.scattering import RoughSurfaces, jones

Fields = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Media:
    """What the materials of a site do to waves of one frequency.

    Attributes:
        surfaces: Reflection and transmission.
        rough: Scattering.
        mirrored: (M,) amplitude that a reflection keeps beside what is scattered; None where nothing scatters.
    """

    surfaces: Surfaces
    rough: RoughSurfaces
    mirrored: Tensor | None

    @classmethod
    def of(cls, site: Any, frequency_hz: float, options: FieldOptions, dtype: torch.dtype, *, smooth: bool) -> Media:
        """Evaluate the materials of a site, or what the options give in their place.

        Args:
            site: The site.
            frequency_hz: Frequency, Hz.
            options: Choices of the field computation.
            dtype: Complex type of the fields.
            smooth: Whether surfaces are taken as smooth.

        Raises:
            SiteTwinError: What the options give does not fit the materials, or is out of range.
        """
        if options.relative_permittivity is None and options.conductivity is None:
            say_fitted(site, frequency_hz)
        surfaces = Surfaces.of(
            site.materials,
            frequency_hz,
            relative_permittivity=options.relative_permittivity,
            conductivity=options.conductivity,
            thickness=options.thickness,
            out_of_range=options.out_of_range,
            dtype=dtype,
        )
        rough = RoughSurfaces.of(
            site.materials,
            torch.float32 if dtype == torch.complex64 else torch.float64,
            smooth=smooth,
            scattering_coefficient=options.scattering_coefficient,
            xpd_coefficient=options.xpd_coefficient,
        )
        return cls(surfaces, rough, rough.mirrored() if rough.scatters else None)


@runtime_checkable
class Step(Protocol):
    """One step of n waves."""

    def act(self, e1: Tensor, e2: Tensor, media: Media) -> Fields:
        """The field behind the step."""
        ...


@dataclass(frozen=True)
class Turn:
    """A new basis across the ray: cosine = b1 . b1', sine = b1 . b2'.

    Attributes:
        cosine: (n,).
        sine: (n,).
    """

    cosine: Tensor
    sine: Tensor

    def apply(self, e1: Tensor, e2: Tensor) -> Fields:
        """The components in the new basis."""
        return e1 * self.cosine - e2 * self.sine, e1 * self.sine + e2 * self.cosine


@dataclass(frozen=True)
class Mirror:
    """What a wall reflects besides what it scatters; the strip between two edges that act as one does not.

    Attributes:
        turn: Into the plane of incidence: first component TE, second TM.
        cos_incidence: (n,).
        material: (n,) int64.
        wide: (n,) one, or zero for strips; None where there are none.
    """

    turn: Turn
    cos_incidence: Tensor
    material: Tensor
    wide: Tensor | None

    def act(self, e1: Tensor, e2: Tensor, media: Media) -> Fields:
        """The reflected field."""
        e1, e2 = self.smooth(e1, e2, media)
        if self.wide is not None:
            e1, e2 = e1 * self.wide, e2 * self.wide
        if media.mirrored is not None:
            left = media.mirrored[self.material]
            e1, e2 = e1 * left, e2 * left
        return e1, e2

    def smooth(self, e1: Tensor, e2: Tensor, media: Media) -> Fields:
        """What a smooth wall reflects."""
        e1, e2 = self.turn.apply(e1, e2)
        r_te, r_tm = media.surfaces.reflection(self.cos_incidence, self.material)
        return e1 * r_te, e2 * r_tm


@dataclass(frozen=True)
class Window:
    """What a slab lets through, straight on.

    Attributes:
        turn: Into the plane of incidence.
        cos_incidence: (n,).
        material: (n,) int64.
    """

    turn: Turn
    cos_incidence: Tensor
    material: Tensor

    def act(self, e1: Tensor, e2: Tensor, media: Media) -> Fields:
        """The transmitted field."""
        e1, e2 = self.turn.apply(e1, e2)
        t_te, t_tm = media.surfaces.transmission(self.cos_incidence, self.material)
        return e1 * t_te, e2 * t_tm


@dataclass(frozen=True)
class Bend:
    """An edge.

    Attributes:
        turn: Into the ray-fixed basis: e1 is E_phi and e2 is -E_beta, as b1 x b2 = -k.
        parts: The edge; its faces are materials by number.
        acts: (n,) one, or zero where the edge does not act at the frequency.
    """

    turn: Turn
    parts: EdgeParts
    acts: Tensor

    def act(self, e1: Tensor, e2: Tensor, media: Media) -> Fields:
        """The diffracted field."""

        def reflect(cos_incidence: Tensor, material: Tensor) -> Fields:
            te, tm = media.surfaces.reflection(cos_incidence, material)
            if media.mirrored is not None:  # as the mirror ray, so that the two meet without a jump at its boundary
                left = media.mirrored[material]
                te, tm = te * left, tm * left
            return te, tm

        e1, e2 = self.turn.apply(e1, e2)
        matrix = self.parts.matrix(reflect)
        return (
            self.acts * (matrix.hard * e1 + matrix.cross * e2),
            self.acts * (matrix.soft * e2 - matrix.cross * e1),
        )


@dataclass(frozen=True)
class Spherical:
    """The spherical basis at a direction, as seen in the basis of a wave.

    Attributes:
        one_theta: (n,) b1 . theta-hat.
        two_theta: (n,) b2 . theta-hat.
        one_phi: (n,) b1 . phi-hat.
        two_phi: (n,) b2 . phi-hat.
    """

    one_theta: Tensor
    two_theta: Tensor
    one_phi: Tensor
    two_phi: Tensor

    def components(self, e1: Tensor, e2: Tensor) -> Fields:
        """(E_theta, E_phi)."""
        return e1 * self.one_theta + e2 * self.two_theta, e1 * self.one_phi + e2 * self.two_phi


@dataclass(frozen=True)
class Scatter:
    """A scatter centre of a canopy.

    Attributes:
        basis: Spherical basis of the incident wave.
        spread: (n,) what to multiply 1 / L by for 1 / (d1 d2).
        coupling: (n, 2, 2) complex, from (theta, phi) to (theta, phi).
    """

    basis: Spherical
    spread: Tensor
    coupling: Tensor

    def act(self, e1: Tensor, e2: Tensor, media: Media) -> Fields:
        """The scattered field."""
        e_theta, e_phi = self.basis.components(e1, e2)
        c = self.coupling
        new_2 = self.spread * (c[:, 0, 0] * e_theta + c[:, 0, 1] * e_phi)
        return self.spread * (c[:, 1, 0] * e_theta + c[:, 1, 1] * e_phi), new_2


@dataclass(frozen=True)
class Tile:
    """A tile of a rough wall: it scatters what a smooth wall would reflect.

    Attributes:
        mirror: The wall.
        basis: Spherical basis of the mirrored wave.
        spread: (n,) what to multiply 1 / L by for 1 / (d1 d2).
        amplitude: (n,) root of area, cosine of incidence and pattern.
        phases: (n, 2) radians.
    """

    mirror: Mirror
    basis: Spherical
    spread: Tensor
    amplitude: Tensor
    phases: Tensor

    def act(self, e1: Tensor, e2: Tensor, media: Media) -> Fields:
        """The scattered field."""
        e_theta, e_phi = self.basis.components(*self.mirror.smooth(e1, e2, media))
        material, rough = self.mirror.material, media.rough
        size = self.spread * rough.coefficient[material] * self.amplitude
        tt, tp, pt, pp = jones(rough.cross_share[material], self.phases)
        return size * (pt * e_theta + pp * e_phi), size * (tt * e_theta + tp * e_phi)


@dataclass(frozen=True)
class Rain:
    """A segment through rain.

    Attributes:
        turn: Into the basis of horizontal and vertical polarisation.
        horizontal: (n,) amplitude that is left.
        vertical: (n,) amplitude that is left.
    """

    turn: Turn
    horizontal: Tensor
    vertical: Tensor

    def act(self, e1: Tensor, e2: Tensor, media: Media) -> Fields:
        """The field behind the segment."""
        e1, e2 = self.turn.apply(e1, e2)
        return e1 * self.horizontal, e2 * self.vertical


@dataclass(frozen=True)
class Course:
    """All steps of n paths alike.

    Attributes:
        rows: (n,) int64, the paths.
        departure: (3, n) directions away from the transmitter.
        steps: The steps from the transmitter to the users.
        along: (n,) b1 . theta-hat of the arriving wave.
        across: (n,) b1 . phi-hat.
        arrival: (3, n) directions away from the users.
        user: (n,) int64; None where the users' radios are all alike.
    """

    rows: Tensor
    departure: Tensor
    steps: Sequence[Step]
    along: Tensor
    across: Tensor
    arrival: Tensor
    user: Tensor | None

    def launch(self, tx: Radio, dtype: torch.dtype) -> Fields:
        """(tx_ports, n) both components in the basis phi-hat, theta-hat of what the transmitter's ports radiate."""
        fields = tx.fields(self.departure)
        e_phi = torch.stack([p for _, p in fields])
        e_theta = torch.stack([t for t, _ in fields])
        return e_phi.to(_kind(e_phi, dtype)), e_theta.to(_kind(e_theta, dtype))

    def ports(self, rx: Radio) -> list[Fields]:
        """(E_theta, E_phi) of each port of the users' radio."""
        return rx.fields(self.arrival, self.user)

    def transfer(self, launch: Fields, ports: Sequence[Fields], media: Media, dtype: torch.dtype) -> Tensor:
        """(rx_ports, tx_ports, n): gain without free space."""
        e1, e2 = launch
        for step in self.steps:
            e1, e2 = step.act(e1, e2, media)
        e_theta, e_phi = e1 * self.along - e2 * self.across, e1 * self.across + e2 * self.along
        received = [e_theta * theta.unsqueeze(0) + e_phi * phi.unsqueeze(0) for theta, phi in ports]
        return torch.stack(received).to(dtype)


def _kind(tensor: Tensor, dtype: torch.dtype) -> torch.dtype:
    if tensor.is_complex():
        return dtype
    return torch.float32 if dtype == torch.complex64 else torch.float64
