"""Waves followed along paths, interaction by interaction.

A path's field is carried as two components in a basis (b1, b2) across the ray, ``b1 x b2 = -k``. At a reflection the
basis turns into the plane of incidence, the Fresnel coefficients of ITU-R P.2040-4 act on the two components, and the
direction is mirrored; at a transmission it stays. At an edge the basis turns into the ray-fixed one and the matrix of
`diffraction_matrix` acts. Rain takes its share of the vertical and the horizontal component of every segment. The
matrix of an edge holds the factor by which the diffracted field spreads otherwise than 1 / L.

Here bases and directions are followed, which need the geometry alone; what acts on the components is in
`sitetwin.channel.fields.steps`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sitetwin.channel.fields.checks import check_roughness
from sitetwin.channel.fields.diffraction import FacePart, check_model, edge_parts
from sitetwin.channel.fields.edge_frames import EdgeFrames
from sitetwin.channel.fields.foliage import volumes_in_leaf
from sitetwin.channel.fields.moved import MovedPaths
from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.fields.scattering import DiffuseTiles
from sitetwin.channel.fields.steps import (
    Bend,
    Course,
    Media,
    Mirror,
    Rain,
    Scatter,
    Spherical,
    Step,
    Tile,
    Turn,
    Window,
)
from sitetwin.channel.numerics.rotation import cross, dot, root, spherical_basis
from sitetwin.rays.paths import SPEED_OF_LIGHT, Interaction, Paths
from sitetwin.rays.scatter.vegetation import distance_before, path_points

_CLOSED = 1e-6  # sine of incidence below which any direction across the ray serves as the TE direction


@dataclass
class Ray:
    """Direction and basis of a group of n waves somewhere along their paths.

    Attributes:
        k: (3, n) direction of travel.
        b1: (3, n) first basis vector; the second is b1 x k.
    """

    k: Tensor
    b1: Tensor

    def spherical(self) -> Spherical:
        """The spherical basis at the direction of travel."""
        theta_hat, phi_hat = spherical_basis(self.k)
        b2 = cross(self.b1, self.k)
        return Spherical(dot(self.b1, theta_hat), dot(b2, theta_hat), dot(self.b1, phi_hat), dot(b2, phi_hat))

    def turn_to_incidence(self, normal: Tensor) -> Turn:
        """Turn the basis into the plane of incidence: first component TE, second TM."""
        k = self.k
        across = cross(k, normal)
        sine = root(dot(across, across))
        head_on = sine < _CLOSED
        inverse = 1 / torch.where(head_on, torch.ones_like(sine), sine)
        te = torch.where(head_on, self.b1, across * inverse)
        cos_turn = torch.where(head_on, torch.ones_like(sine), dot(self.b1, across) * inverse)
        sin_turn = torch.where(head_on, torch.zeros_like(sine), dot(self.b1, normal) * inverse)
        self.b1 = te
        return Turn(cos_turn, sin_turn)


class WaveTransport:
    """Follows waves along paths from the transmitter to the users; what all groups of paths share is here."""

    def __init__(
        self,
        paths: Paths,
        site: Any,
        frequency_hz: float,
        options: FieldOptions,
        dtype: torch.dtype,
        moved: MovedPaths | None,
        *,
        per_user: bool,
    ) -> None:
        self.paths, self.site, self.options, self.moved = paths, site, options, moved
        self.dtype, self.frequency_hz = dtype, frequency_hz
        self.rain = options.atmosphere if options.atmosphere and options.atmosphere.rain_mm_h else None
        self.real = torch.float32 if dtype == torch.complex64 else torch.float64
        self.normals = torch.from_numpy(np.ascontiguousarray(site.facet_normal.T)).to(self.real)
        self.materials = torch.from_numpy(np.asarray(site.facet_material, dtype=np.int64))
        self.departure = torch.from_numpy(np.ascontiguousarray(paths.departure)) if moved is None else moved.departure
        self.arrival = torch.from_numpy(np.ascontiguousarray(paths.arrival)) if moved is None else moved.arrival
        self.facets = torch.from_numpy(np.ascontiguousarray(paths.facets))
        self.users = torch.from_numpy(paths.user_of_path) if per_user else None
        check_model(options.diffraction)
        self.strips = None
        if paths.bends_at_edges:
            self.wavenumber = 2 * math.pi * frequency_hz / SPEED_OF_LIGHT
            self.edges = EdgeFrames.of(site.wedges)
            wide = SPEED_OF_LIGHT / frequency_hz < site.wedges.reflects_below
            self.strips = None if wide.all() else torch.from_numpy(wide).to(self.real)
        if (paths.kinds == Interaction.CANOPY).any():
            in_leaf = volumes_in_leaf(site.vegetation, options.season)
            sigma = options.canopy.cross_sections(site.vegetation, in_leaf)
            matrices = options.canopy.couplings(len(sigma)) * np.sqrt(sigma / (4 * np.pi))[:, None, None]
            self.couplings = torch.from_numpy(matrices).to(dtype)
        scattered = bool((paths.kinds == Interaction.DIFFUSE).any())
        self.tiles = DiffuseTiles.of(paths, site, options.diffuse_seed) if scattered else None
        self.media = self.media_with(options)

    def media_with(self, options: FieldOptions) -> Media:
        """The materials of the site, or what the options give in their place.

        Raises:
            SiteTwinError: What the options give does not fit the materials or is out of range, or a surface scatters
                whose tiles are missing.
        """
        smooth = not options.scatters(self.paths)
        media = Media.of(self.site, self.frequency_hz, options, self.dtype, smooth=smooth)
        if not smooth:
            given = None if options.scattering_coefficient is None else media.rough.coefficient.detach().double()
            check_roughness(self.paths, self.site, None if given is None else given.numpy())
        return media

    def _directions(self, source: Tensor, rows: Tensor) -> Tensor:
        return source.index_select(0, rows).to(self.real).T.contiguous()

    def course(self, rows: Tensor) -> Course:
        """Follow paths alike from the transmitter to the users."""
        kinds = self.paths.kinds[int(rows[0])]
        depth = int(np.count_nonzero(kinds))
        k = self._directions(self.departure, rows)
        ray = Ray(k, spherical_basis(k)[1])
        legs = self._legs(rows, depth) if self.rain else None
        steps: list[Step] = []
        for at in range(depth):
            if legs is not None:
                steps.append(self._rain(ray, legs[at]))
            if kinds[at] == Interaction.CANOPY:
                steps.append(self._scatter(ray, rows, at, depth))
            elif kinds[at] == Interaction.DIFFRACTION:
                steps.append(self._bend(ray, rows, at, depth))
            elif kinds[at] == Interaction.DIFFUSE:
                steps.append(self._tile(ray, rows, at, depth))
            elif kinds[at] == Interaction.TRANSMISSION:
                steps.append(self._window(ray, self.facets[:, at].index_select(0, rows)))
            else:
                steps.append(self._mirror(ray, self.facets[:, at].index_select(0, rows)))
        if legs is not None:
            steps.append(self._rain(ray, legs[depth]))
        arrival = self._directions(self.arrival, rows)
        theta_hat, phi_hat = spherical_basis(arrival)
        user = None if self.users is None else self.users[rows]
        return Course(rows, k, steps, dot(ray.b1, theta_hat), dot(ray.b1, phi_hat), arrival, user)

    def _legs(self, rows: Tensor, depth: int) -> Tensor:
        """(depth + 1, n) metres: the segments of paths alike."""
        index = rows.numpy()
        users = self.paths.users[self.paths.user_of_path[index]]
        before = distance_before(path_points(self.paths.transmitter, users, self.paths.vertices[index, :depth]))
        return torch.from_numpy(np.diff(before, axis=1).T.copy()).to(self.real)

    def _rain(self, ray: Ray, length: Tensor) -> Rain:
        """A segment of these lengths, in the basis of vertical and horizontal polarisation."""
        assert self.rain is not None
        theta_hat, phi_hat = spherical_basis(ray.k)
        turn = Turn(dot(ray.b1, phi_hat), dot(ray.b1, theta_hat))
        vertical, horizontal = self.rain.rain_amplitudes(ray.k, length, self.frequency_hz)
        ray.b1 = phi_hat
        return Rain(turn, horizontal, vertical)

    def _mirror(self, ray: Ray, facet: Tensor) -> Mirror:
        normal = self.normals.index_select(1, facet)
        along = dot(ray.k, normal)
        turn = ray.turn_to_incidence(normal)
        ray.k = ray.k - 2 * along * normal
        wide = None if self.strips is None else self.strips.index_select(0, facet)
        return Mirror(turn, along.abs(), self.materials.index_select(0, facet), wide)

    def _window(self, ray: Ray, facet: Tensor) -> Window:
        normal = self.normals.index_select(1, facet)
        turn = ray.turn_to_incidence(normal)
        return Window(turn, dot(ray.k, normal).abs(), self.materials.index_select(0, facet))

    def _bend(self, ray: Ray, rows: Tensor, at: int, depth: int) -> Bend:
        there = self.edges.crossing(self.paths, rows, at, depth, self.wavenumber, self.moved)
        k, phi_in = there.k_in.to(self.real), there.phi_in_hat.to(self.real)
        turn = Turn(dot(ray.b1, phi_in), dot(ray.b1, cross(phi_in, k)))
        parts = edge_parts(there.rays, self.options.diffraction, self.dtype)
        parts = replace(parts, face_0=self._of_material(parts.face_0), face_n=self._of_material(parts.face_n))
        wedge = self.facets[:, at].index_select(0, rows).long()
        acts = self.edges.act(wedge, SPEED_OF_LIGHT / self.frequency_hz).to(self.real)
        ray.k, ray.b1 = there.k_out.to(self.real), there.phi_out_hat.to(self.real)
        return Bend(turn, parts, acts)

    def _of_material(self, part: FacePart) -> FacePart:
        """A face that names its material instead of its facet."""
        return replace(part, face=self.materials.index_select(0, part.face))

    def _scatter(self, ray: Ray, rows: Tensor, at: int, depth: int) -> Scatter:
        k, spread = self._leave(rows, at, depth)
        basis = ray.spherical()
        ray.k, ray.b1 = k, spherical_basis(k)[1]
        return Scatter(basis, spread, self.couplings[self.facets[rows, at].long()])

    def _tile(self, ray: Ray, rows: Tensor, at: int, depth: int) -> Tile:
        """Scatter what a smooth wall would reflect; see `sitetwin.channel.fields.scattering`."""
        assert self.tiles is not None
        k, spread = self._leave(rows, at, depth)
        facet = self.facets[:, at].index_select(0, rows)
        material, normal = self.materials.index_select(0, facet), self.normals.index_select(1, facet)
        incident, cosine = ray.k, dot(ray.k, normal)
        normal = torch.where(cosine > 0, -normal, normal)
        mirror = replace(self._mirror(ray, facet), wide=None)
        basis = ray.spherical()
        area = torch.from_numpy(self.tiles.area[rows.numpy()]).to(self.real)
        power = area * cosine.abs() * self.media.rough.pattern(material, normal, incident, k)
        phases = torch.from_numpy(self.tiles.phases[rows.numpy()]).to(self.real)
        ray.k, ray.b1 = k, spherical_basis(k)[1]
        return Tile(mirror, basis, spread, root(power), phases)

    def _leave(self, rows: Tensor, at: int, depth: int) -> tuple[Tensor, Tensor]:
        """Direction (3, n) from a scattering vertex on, and what to multiply 1 / L by for 1 / (d1 d2)."""
        index = rows.numpy()
        vertices = self.paths.vertices[index, :depth]
        here = vertices[:, at]
        last = at == depth - 1
        following = self.paths.users[self.paths.user_of_path[index]] if last else vertices[:, at + 1]
        step = following - here
        k = torch.from_numpy((step / np.linalg.norm(step, axis=1, keepdims=True)).T)
        points = np.concatenate([np.broadcast_to(self.paths.transmitter, (len(index), 1, 3)), vertices[:, : at + 1]], 1)
        first = torch.from_numpy(np.linalg.norm(np.diff(points, axis=1), axis=2).sum(axis=1))
        total = torch.from_numpy(self.paths.length[index])
        if self.moved is not None:
            first, total = first + self.moved.before[rows], self.moved.length[rows]
            k = k + self.moved.onward[rows].T
        return k.to(self.real), (total / (first * (total - first))).to(self.real)
