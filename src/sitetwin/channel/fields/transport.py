"""Waves carried along paths, interaction by interaction.

A path's field is carried as two components in a basis (b1, b2) across the ray, ``b1 x b2 = -k``. At a reflection the
basis turns into the plane of incidence, the Fresnel coefficients of ITU-R P.2040-4 act on the two components, and the
direction is mirrored; at a transmission it stays. At an edge the basis turns into the ray-fixed one and the matrix of
`diffraction_matrix` acts. Rain takes its share of the vertical and the horizontal component of every segment. The
matrix of an edge holds the factor by which the diffracted field spreads otherwise than 1 / L.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields.checks import check_roughness
from sitetwin.channel.fields.diffraction import check_model, diffraction_matrix
from sitetwin.channel.fields.edge_frames import EdgeFrames
from sitetwin.channel.fields.foliage import volumes_in_leaf
from sitetwin.channel.fields.materials import Surfaces
from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.fields.scattering import DiffuseTiles, RoughSurfaces, jones
from sitetwin.channel.numerics.rotation import cross, dot, spherical_basis
from sitetwin.rays.paths import SPEED_OF_LIGHT, Interaction, Paths
from sitetwin.rays.scatter.vegetation import distance_before, path_points

_CLOSED = 1e-6  # sine of incidence below which any direction across the ray serves as the TE direction


@dataclass
class Wave:
    """The field of a group of n paths somewhere along them.

    Attributes:
        k: (3, n) direction of travel.
        b1: (3, n) first basis vector; the second is ``b1 x k``, so that ``b1 x b2 = -k``.
        e1: (ports, n) component along b1, for each transmit port.
        e2: (ports, n) component along b2.
    """

    k: Tensor
    b1: Tensor
    e1: Tensor
    e2: Tensor

    def turn(self, cosine: Tensor, sine: Tensor) -> None:
        """Express the field in the basis turned by the angle: cosine = b1 . b1', sine = b1 . b2'."""
        self.e1, self.e2 = self.e1 * cosine - self.e2 * sine, self.e1 * sine + self.e2 * cosine

    def spherical(self) -> tuple[Tensor, Tensor]:
        """(E_theta, E_phi) in the spherical basis at the direction of travel."""
        theta_hat, phi_hat = spherical_basis(self.k)
        b2 = cross(self.b1, self.k)
        return (
            self.e1 * dot(self.b1, theta_hat) + self.e2 * dot(b2, theta_hat),
            self.e1 * dot(self.b1, phi_hat) + self.e2 * dot(b2, phi_hat),
        )

    def components(self) -> tuple[Tensor, Tensor]:
        """(E_theta, E_phi) in the spherical basis at the direction *opposite* to travel, seen by a receiver."""
        theta_hat, phi_hat = spherical_basis(-self.k)
        along, across = dot(self.b1, theta_hat), dot(self.b1, phi_hat)
        return self.e1 * along - self.e2 * across, self.e1 * across + self.e2 * along


class WaveTransport:
    """Carries waves along paths, from the transmitter's ports to the users'; what all groups of paths share is here."""

    def __init__(
        self,
        paths: Paths,
        site: Any,
        frequency_hz: float,
        tx: Radio,
        rx: Radio,
        options: FieldOptions,
        dtype: torch.dtype,
    ) -> None:
        self.paths, self.site, self.tx, self.rx, self.options = paths, site, tx, rx, options
        self.dtype, self.frequency_hz = dtype, frequency_hz
        self.rain = options.atmosphere if options.atmosphere and options.atmosphere.rain_mm_h else None
        self.real = torch.float32 if dtype == torch.complex64 else torch.float64
        self.surfaces = Surfaces.of(
            site.materials,
            frequency_hz,
            relative_permittivity=options.relative_permittivity,
            conductivity=options.conductivity,
            out_of_range=options.out_of_range,
            dtype=dtype,
        )
        self.normals = torch.from_numpy(np.ascontiguousarray(site.facet_normal.T)).to(self.real)
        self.materials = torch.from_numpy(np.asarray(site.facet_material, dtype=np.int64))
        self.departure = torch.from_numpy(np.ascontiguousarray(paths.departure))
        self.arrival = torch.from_numpy(np.ascontiguousarray(paths.arrival))
        self.facets = torch.from_numpy(np.ascontiguousarray(paths.facets))
        self.users = torch.from_numpy(paths.user_of_path) if rx.per_user else None
        check_model(options.diffraction)
        self.strips = None
        if paths.bends_at_edges:
            self.wavenumber = 2 * math.pi * frequency_hz / SPEED_OF_LIGHT
            self.edges = EdgeFrames.of(site.wedges)
            wide = SPEED_OF_LIGHT / frequency_hz < site.wedges.reflects_below
            self.strips = None if wide.all() else torch.from_numpy(wide).to(self.real)
        self.scatters = bool((paths.kinds == Interaction.CANOPY).any())
        if self.scatters:
            in_leaf = volumes_in_leaf(site.vegetation, options.season)
            sigma = options.canopy.cross_sections(site.vegetation, in_leaf)
            matrices = options.canopy.couplings(len(sigma)) * np.sqrt(sigma / (4 * np.pi))[:, None, None]
            self.couplings = torch.from_numpy(matrices).to(dtype)
        smooth = not options.scatters(paths)
        if not smooth:
            check_roughness(paths, site)
        self.rough = RoughSurfaces.of(site.materials, self.real, smooth=smooth)
        self.mirrored = torch.sqrt(1 - self.rough.coefficient.square())
        self.any_rough = bool(self.rough.coefficient.any())
        scattered = bool((paths.kinds == Interaction.DIFFUSE).any())
        self.tiles = DiffuseTiles.of(paths, site, options.diffuse_seed) if scattered else None

    def _directions(self, source: Tensor, rows: Tensor) -> Tensor:
        return source.index_select(0, rows).to(self.real).T.contiguous()

    def transfer(self, rows: Tensor) -> Tensor:
        """(n_rx_ports, n_tx_ports, n): gain without free space, of paths alike."""
        kinds = self.paths.kinds[int(rows[0])]
        depth = int(np.count_nonzero(kinds))
        wave = self._launch(rows)
        legs = self._legs(rows, depth) if self.rain else None
        for at in range(depth):
            if legs is not None:
                self._rain(wave, legs[at])
            if kinds[at] == Interaction.CANOPY:
                self._scatter(wave, rows, at, depth)
            elif kinds[at] == Interaction.DIFFRACTION:
                self._diffract(wave, rows, at, depth)
            elif kinds[at] == Interaction.DIFFUSE:
                self._diffuse(wave, rows, at, depth)
            elif kinds[at] == Interaction.TRANSMISSION:
                self._transmit(wave, self.facets[:, at].index_select(0, rows))
            else:
                self._reflect(wave, self.facets[:, at].index_select(0, rows))
        if legs is not None:
            self._rain(wave, legs[depth])
        return self._receive(wave, rows)

    def _legs(self, rows: Tensor, depth: int) -> Tensor:
        """(depth + 1, n) metres: the segments of paths alike."""
        index = rows.numpy()
        users = self.paths.users[self.paths.user_of_path[index]]
        before = distance_before(path_points(self.paths.transmitter, users, self.paths.vertices[index, :depth]))
        return torch.from_numpy(np.diff(before, axis=1).T.copy()).to(self.real)

    def _rain(self, wave: Wave, length: Tensor) -> None:
        """Let a segment of these lengths pass the rain, in the basis of vertical and horizontal polarisation."""
        assert self.rain is not None
        theta_hat, phi_hat = spherical_basis(wave.k)
        wave.turn(dot(wave.b1, phi_hat), dot(wave.b1, theta_hat))
        vertical, horizontal = self.rain.rain_amplitudes(wave.k, length, self.frequency_hz)
        wave.e1, wave.e2, wave.b1 = wave.e1 * horizontal, wave.e2 * vertical, phi_hat

    def _launch(self, rows: Tensor) -> Wave:
        k = self._directions(self.departure, rows)
        fields = self.tx.fields(k)
        _, phi_hat = spherical_basis(k)
        e_phi = torch.stack([p for _, p in fields])
        e_theta = torch.stack([t for t, _ in fields])
        return Wave(k, phi_hat, e_phi.to(self._type(e_phi)), e_theta.to(self._type(e_theta)))

    def _type(self, tensor: Tensor) -> torch.dtype:
        return self.dtype if tensor.is_complex() else self.real

    def _reflect(self, wave: Wave, facet: Tensor) -> None:
        """What a wall reflects besides what it scatters; the strip between two edges that act as one does not."""
        self._mirror(wave, facet)
        if self.strips is not None:
            wide = self.strips.index_select(0, facet)
            wave.e1, wave.e2 = wave.e1 * wide, wave.e2 * wide
        if self.any_rough:
            left = self.mirrored[self.materials.index_select(0, facet)]
            wave.e1, wave.e2 = wave.e1 * left, wave.e2 * left

    def _mirror(self, wave: Wave, facet: Tensor) -> None:
        """What a smooth wall reflects."""
        normal = self.normals.index_select(1, facet)
        along = dot(wave.k, normal)
        self._turn_to_incidence(wave, normal)
        r_te, r_tm = self.surfaces.reflection(along.abs(), self.materials.index_select(0, facet))
        wave.e1, wave.e2 = wave.e1 * r_te, wave.e2 * r_tm
        wave.k = wave.k - 2 * along * normal

    def _transmit(self, wave: Wave, facet: Tensor) -> None:
        """What a slab lets through, straight on."""
        normal = self.normals.index_select(1, facet)
        self._turn_to_incidence(wave, normal)
        cosine = dot(wave.k, normal).abs()
        t_te, t_tm = self.surfaces.transmission(cosine, self.materials.index_select(0, facet))
        wave.e1, wave.e2 = wave.e1 * t_te, wave.e2 * t_tm

    @staticmethod
    def _turn_to_incidence(wave: Wave, normal: Tensor) -> None:
        """Turn the basis into the plane of incidence: first component TE, second TM."""
        k = wave.k
        across = cross(k, normal)
        sine = torch.sqrt(dot(across, across))
        head_on = sine < _CLOSED
        inverse = 1 / torch.where(head_on, torch.ones_like(sine), sine)
        te = torch.where(head_on, wave.b1, across * inverse)
        cos_turn = torch.where(head_on, torch.ones_like(sine), dot(wave.b1, across) * inverse)
        sin_turn = torch.where(head_on, torch.zeros_like(sine), dot(wave.b1, normal) * inverse)
        wave.turn(cos_turn, sin_turn)
        wave.b1 = te

    def _diffract(self, wave: Wave, rows: Tensor, at: int, depth: int) -> None:
        there = self.edges.crossing(self.paths, rows, at, depth, self.wavenumber)
        k, phi_in = there.k_in.to(self.real), there.phi_in_hat.to(self.real)
        wave.turn(dot(wave.b1, phi_in), dot(wave.b1, cross(phi_in, k)))

        def reflect(cos_incidence: Tensor, facet: Tensor) -> tuple[Tensor, Tensor]:
            material = self.materials.index_select(0, facet)
            te, tm = self.surfaces.reflection(cos_incidence, material)
            if self.any_rough:  # as the mirror ray, so that the two meet without a jump at its boundary
                te, tm = te * self.mirrored[material], tm * self.mirrored[material]
            return te, tm

        matrix = diffraction_matrix(there.rays, reflect, self.options.diffraction, self.dtype)
        wedge = self.facets[:, at].index_select(0, rows).long()
        acts = self.edges.act(wedge, SPEED_OF_LIGHT / self.frequency_hz).to(self.real)
        # e1 is E_phi and e2 is -E_beta, as b1 x b2 = -k
        wave.e1, wave.e2 = (
            acts * (matrix.hard * wave.e1 + matrix.cross * wave.e2),
            acts * (matrix.soft * wave.e2 - matrix.cross * wave.e1),
        )
        wave.k, wave.b1 = there.k_out.to(self.real), there.phi_out_hat.to(self.real)

    def _scatter(self, wave: Wave, rows: Tensor, at: int, depth: int) -> None:
        k, spread = self._leave(rows, at, depth)
        e_theta, e_phi = wave.spherical()
        coupling = self.couplings[self.facets[rows, at].long()]
        wave.e2 = spread * (coupling[:, 0, 0] * e_theta + coupling[:, 0, 1] * e_phi)
        wave.e1 = spread * (coupling[:, 1, 0] * e_theta + coupling[:, 1, 1] * e_phi)
        wave.k, wave.b1 = k, spherical_basis(k)[1]

    def _diffuse(self, wave: Wave, rows: Tensor, at: int, depth: int) -> None:
        """Scatter what a smooth wall would reflect; see `sitetwin.channel.fields.scattering`."""
        assert self.tiles is not None
        k, spread = self._leave(rows, at, depth)
        facet = self.facets[:, at].index_select(0, rows)
        material, normal = self.materials.index_select(0, facet), self.normals.index_select(1, facet)
        incident, cosine = wave.k, dot(wave.k, normal)
        normal = torch.where(cosine > 0, -normal, normal)
        self._mirror(wave, facet)
        e_theta, e_phi = wave.spherical()
        area = torch.from_numpy(self.tiles.area[rows.numpy()]).to(self.real)
        power = area * cosine.abs() * self.rough.pattern(material, normal, incident, k)
        size = spread * self.rough.coefficient[material] * torch.sqrt(power)
        phases = torch.from_numpy(self.tiles.phases[rows.numpy()]).to(self.real)
        tt, tp, pt, pp = jones(self.rough.cross_share[material], phases)
        wave.e2 = size * (tt * e_theta + tp * e_phi)
        wave.e1 = size * (pt * e_theta + pp * e_phi)
        wave.k, wave.b1 = k, spherical_basis(k)[1]

    def _leave(self, rows: Tensor, at: int, depth: int) -> tuple[Tensor, Tensor]:
        """Direction (3, n) from a scattering vertex on, and what to multiply 1 / L by for 1 / (d1 d2)."""
        index = rows.numpy()
        vertices = self.paths.vertices[index, :depth]
        here = vertices[:, at]
        last = at == depth - 1
        following = self.paths.users[self.paths.user_of_path[index]] if last else vertices[:, at + 1]
        step = following - here
        k = torch.from_numpy((step / np.linalg.norm(step, axis=1, keepdims=True)).T).to(self.real)
        points = np.concatenate([np.broadcast_to(self.paths.transmitter, (len(index), 1, 3)), vertices[:, : at + 1]], 1)
        first = np.linalg.norm(np.diff(points, axis=1), axis=2).sum(axis=1)
        total = self.paths.length[index]
        return k, torch.from_numpy(total / (first * (total - first))).to(self.real)

    def _receive(self, wave: Wave, rows: Tensor) -> Tensor:
        arrival = self._directions(self.arrival, rows)
        wave.k = -arrival
        e_theta, e_phi = wave.components()
        user = None if self.users is None else self.users[rows]
        ports = self.rx.fields(arrival, user)
        received = [e_theta * theta.unsqueeze(0) + e_phi * phi.unsqueeze(0) for theta, phi in ports]
        return torch.stack(received).to(self.dtype)
