"""From the geometry of paths to complex gains.

A path's field is carried as two components in a basis (b1, b2) across the ray, ``b1 x b2 = -k``. At a reflection the
basis turns into the plane of incidence, the Fresnel coefficients of ITU-R P.2040-4 act on the two components, and the
direction is mirrored; at a transmission it stays. At an edge the basis turns into the ray-fixed one and the matrix of
`diffraction_matrix` acts. The result is, per path and pair of ports,

    a = lambda / (4 pi L) * F_rx^T  R_n ... R_1  F_tx * 10^(-A / 20) * e^{-j 2 pi f_c tau},

with F the antenna fields in (theta-hat, phi-hat), L the whole unfolded length and A the loss in leaves, trunks and air.
Rain takes its share of the vertical and the horizontal component of every segment. The matrix of an edge holds the
factor by which the diffracted field spreads otherwise than 1 / L.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields.diffraction import check_model, diffraction_matrix
from sitetwin.channel.fields.edge_frames import EdgeFrames
from sitetwin.channel.fields.foliage import foliage_loss_db, volumes_in_leaf
from sitetwin.channel.fields.gains import PathGains
from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.fields.reflection import Surfaces
from sitetwin.channel.fields.scattering import DiffuseTiles, RoughSurfaces, jones
from sitetwin.channel.fields.trunks import trunk_loss_db
from sitetwin.channel.numerics.parallel import in_parallel
from sitetwin.channel.numerics.phasors import phasor
from sitetwin.channel.numerics.rotation import cross, dot, spherical_basis
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays.paths import SPEED_OF_LIGHT, Interaction, Paths
from sitetwin.rays.scatter.vegetation import distance_before, path_points
from sitetwin.site.materials import OutOfRange

CHUNK_PATHS = 32_000
"""Paths worked on at once: the dozens of small tensors of a chunk stay in a core's cache. PyTorch runs operations of
this size on the calling thread, so that chunks, not operations, are spread over the cores."""

_CLOSED = 1e-6  # sine of incidence below which any direction across the ray serves as the TE direction


def path_gains(
    paths: Paths,
    site: Any,
    frequency_hz: float,
    tx: Radio | None = None,
    rx: Radio | None = None,
    options: FieldOptions | None = None,
    *,
    phase_frequency_hz: float | None = None,
    dtype: torch.dtype = torch.complex64,
    chunk_paths: int = CHUNK_PATHS,
) -> PathGains:
    """Complex voltage gain of every path between the ports of two radios, carrier phase included.

    Delays and phases come from float64 lengths; ``2 pi f tau`` is reduced modulo ``2 pi`` before it is cast.

    Args:
        paths: P paths.
        site: The `Site` they were traced in, or a variant of it with the same facets and canopies.
        frequency_hz: Frequency at which materials, leaves and free space are taken, Hz.
        tx: Radio of the transmitter; a vertical isotropic antenna by default.
        rx: Radio of the users, likewise.
        options: Season, foliage, materials, coefficients of edges.
        phase_frequency_hz: Frequency f_c of the phase ``e^{-j 2 pi f_c tau}``, Hz; `frequency_hz` by default. The
            nodes of `band_nodes` share the carrier's.
        dtype: torch.complex64 or torch.complex128; the field is computed in this precision.
        chunk_paths: Paths worked on at once.

    Returns:
        The gains (P, rx_ports, tx_ports), and what they belong to.

    Raises:
        SiteTwinError: The paths were traced in another geometry than the site's; the frequency is not positive, or
            outside 1 to 1000 GHz with an atmosphere; the diffraction model is unknown; the paths name facets, edges or
            canopies that the site lacks; a path meets more than one edge or canopy, or scatters diffusely and interacts
            elsewhere too; or its tiles are not known.
    """
    if not (math.isfinite(frequency_hz) and frequency_hz > 0):
        raise SiteTwinError(f"frequency {frequency_hz} Hz is not a positive number")
    if dtype not in (torch.complex64, torch.complex128):
        raise SiteTwinError(f"gains of type {dtype} were asked for; choose torch.complex64 or torch.complex128")
    tx, rx, options = tx or Radio(), rx or Radio(), options or FieldOptions()
    _check(paths, site)
    job = _Job(paths, site, frequency_hz, tx, rx, options, dtype)
    carrier = frequency_hz if phase_frequency_hz is None else phase_frequency_hz
    free_space = _free_space(paths, site, frequency_hz, carrier, options, dtype)
    out = torch.empty((paths.num_paths, rx.array.num_ports, tx.array.num_ports), dtype=dtype)

    def one(rows: Tensor) -> tuple[Tensor, Tensor]:
        return rows, job.transfer(rows).mul(free_space.index_select(0, rows)).permute(2, 0, 1)

    for rows, gains in in_parallel(one, _groups(paths, chunk_paths)):
        out[rows] = gains
    return PathGains.of(paths, out, carrier, tx, rx, site=site, options=options)


def _check(paths: Paths, site: Any) -> None:
    stated, known = paths.attributes.get("geometry_hash"), getattr(site, "geometry_hash", None)
    if stated is not None and known is not None and stated != known:
        raise SiteTwinError(
            f"the paths were traced in another geometry ({stated[:12]}) than that of site '{site.name}' "
            f"({known[:12]}); give the site in which they were traced, or a variant with the same geometry"
        )
    if not paths.max_depth or not paths.num_paths:
        return
    known = {int(kind) for kind in Interaction}
    if not (int(paths.kinds.min()) >= min(known) and int(paths.kinds.max()) <= max(known)):
        unknown = sorted(set(np.unique(paths.kinds).tolist()) - known)
        raise SiteTwinError(f"the paths have interactions of kind {unknown[0]}, which has no field model here")
    edge = _met(paths, Interaction.DIFFRACTION)
    for name, chosen, count in (
        (
            "facet",
            _met(paths, Interaction.REFLECTION, Interaction.TRANSMISSION, Interaction.DIFFUSE),
            len(site.facet_material),
        ),
        ("scatter centre", _met(paths, Interaction.CANOPY), len(site.vegetation.scatter_volume)),
        ("wedge", edge, 0 if edge is None else len(site.wedges.exterior_angle)),
    ):
        if chosen is None:
            continue
        if bool(((paths.facets < 0) & chosen).any()):
            raise SiteTwinError(
                f"some paths name no {name} where they meet one (-1), so that they have no field; drop those paths"
            )
        highest = int(np.where(chosen, paths.facets, -1).max())
        if highest >= count:
            raise SiteTwinError(
                f"the paths name {name} {highest} but the site has {count}; use the site that the paths were traced in"
            )
    single = _met(paths, Interaction.CANOPY, Interaction.DIFFRACTION)
    if single is not None and bool((single.sum(axis=1) > 1).any()):
        raise SiteTwinError(
            "a path meets several canopies or edges; only single scattering and single diffraction are modelled"
        )
    for index in paths.attributes.get("opaque_materials", ()):
        if index in range(len(site.materials)) and site.materials[index].thickness is not None:
            raise SiteTwinError(
                f"material '{site.materials[index].name}' is a slab but was opaque when the paths were traced, so that "
                "paths through it are missing; trace again with this site"
            )
    diffuse = _met(paths, Interaction.DIFFUSE)
    if diffuse is not None and bool((diffuse.any(axis=1) & (paths.depth > 1)).any()):
        raise SiteTwinError("a path scatters diffusely and interacts elsewhere too; only single bounces are modelled")


def _met(paths: Paths, *kinds: Interaction) -> np.ndarray | None:
    """(P, D) bool: interactions of some kinds; None where there is none, as of most kinds in most paths."""
    found = paths.kinds == kinds[0]
    for kind in kinds[1:]:
        found |= paths.kinds == kind
    return found if found.any() else None


def _free_space(
    paths: Paths, site: Any, frequency_hz: float, carrier_hz: float, options: FieldOptions, dtype: torch.dtype
) -> Tensor:
    """(P,) ``lambda / (4 pi L) 10^(-A / 20) e^{-j 2 pi f_c tau}``."""
    length = torch.from_numpy(np.ascontiguousarray(paths.length))
    size = (SPEED_OF_LIGHT / frequency_hz / (4 * math.pi)) / length
    if options.foliage is not None and len(paths.crossing_volume):
        loss = foliage_loss_db(paths, site.vegetation, frequency_hz, season=options.season, model=options.foliage)
        policy = cast(OutOfRange, options.out_of_range)
        loss = loss + trunk_loss_db(paths, site.vegetation, frequency_hz, out_of_range=policy)
        size = size * 10 ** (-loss / 20)
    if options.atmosphere is not None:
        size = size * 10 ** (-length * (options.atmosphere.gas_db_per_km(frequency_hz) / 20e3))
    return phasor(length * (carrier_hz / SPEED_OF_LIGHT), dtype, size)


def _groups(paths: Paths, chunk: int) -> Iterator[Tensor]:
    """Row indices of paths alike in number and kind of interactions, at most `chunk` at a time."""
    if not paths.max_depth:
        label = np.zeros(paths.num_paths, dtype=np.int64)
    else:
        label = np.zeros(paths.num_paths, dtype=np.int64)
        for column in paths.kinds.T:
            if label.max(initial=0) >> 56:  # so many interactions that the next would overflow
                label = np.unique(label, return_inverse=True)[1]
            label = 8 * label + column
    for value in np.unique(label):
        rows = np.flatnonzero(label == value)
        for start in range(0, len(rows), chunk):
            yield torch.from_numpy(rows[start : start + chunk])


@dataclass
class _Wave:
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


class _Job:
    """Everything that stays the same for all groups of paths."""

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
        if bool((paths.kinds == Interaction.DIFFRACTION).any()):
            self.wavenumber = 2 * math.pi * frequency_hz / SPEED_OF_LIGHT
            self.edges = EdgeFrames.of(site.wedges)
        self.scatters = bool((paths.kinds == Interaction.CANOPY).any())
        if self.scatters:
            in_leaf = volumes_in_leaf(site.vegetation, options.season)
            sigma = options.canopy.cross_sections(site.vegetation, in_leaf)
            matrices = options.canopy.couplings(len(sigma)) * np.sqrt(sigma / (4 * np.pi))[:, None, None]
            self.couplings = torch.from_numpy(matrices).to(dtype)
        self.rough = RoughSurfaces.of(site.materials, self.real)
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

    def _rain(self, wave: _Wave, length: Tensor) -> None:
        """Let a segment of these lengths pass the rain, in the basis of vertical and horizontal polarisation."""
        assert self.rain is not None
        theta_hat, phi_hat = spherical_basis(wave.k)
        wave.turn(dot(wave.b1, phi_hat), dot(wave.b1, theta_hat))
        vertical, horizontal = self.rain.rain_amplitudes(wave.k, length, self.frequency_hz)
        wave.e1, wave.e2, wave.b1 = wave.e1 * horizontal, wave.e2 * vertical, phi_hat

    def _launch(self, rows: Tensor) -> _Wave:
        k = self._directions(self.departure, rows)
        fields = self.tx.fields(k)
        _, phi_hat = spherical_basis(k)
        e_phi = torch.stack([p for _, p in fields])
        e_theta = torch.stack([t for t, _ in fields])
        return _Wave(k, phi_hat, e_phi.to(self._type(e_phi)), e_theta.to(self._type(e_theta)))

    def _type(self, tensor: Tensor) -> torch.dtype:
        return self.dtype if tensor.is_complex() else self.real

    def _reflect(self, wave: _Wave, facet: Tensor) -> None:
        """What a wall reflects besides what it scatters."""
        self._mirror(wave, facet)
        if self.any_rough:
            share = self.rough.coefficient[self.materials.index_select(0, facet)]
            left = torch.sqrt(1 - share * share)
            wave.e1, wave.e2 = wave.e1 * left, wave.e2 * left

    def _mirror(self, wave: _Wave, facet: Tensor) -> None:
        """What a smooth wall reflects."""
        normal = self.normals.index_select(1, facet)
        along = dot(wave.k, normal)
        self._turn_to_incidence(wave, normal)
        r_te, r_tm = self.surfaces.reflection(along.abs(), self.materials.index_select(0, facet))
        wave.e1, wave.e2 = wave.e1 * r_te, wave.e2 * r_tm
        wave.k = wave.k - 2 * along * normal

    def _transmit(self, wave: _Wave, facet: Tensor) -> None:
        """What a slab lets through, straight on."""
        normal = self.normals.index_select(1, facet)
        self._turn_to_incidence(wave, normal)
        cosine = dot(wave.k, normal).abs()
        t_te, t_tm = self.surfaces.transmission(cosine, self.materials.index_select(0, facet))
        wave.e1, wave.e2 = wave.e1 * t_te, wave.e2 * t_tm

    @staticmethod
    def _turn_to_incidence(wave: _Wave, normal: Tensor) -> None:
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

    def _diffract(self, wave: _Wave, rows: Tensor, at: int, depth: int) -> None:
        there = self.edges.crossing(self.paths, rows, at, depth, self.wavenumber)
        k, phi_in = there.k_in.to(self.real), there.phi_in_hat.to(self.real)
        wave.turn(dot(wave.b1, phi_in), dot(wave.b1, cross(phi_in, k)))

        def reflect(cos_incidence: Tensor, facet: Tensor) -> tuple[Tensor, Tensor]:
            return self.surfaces.reflection(cos_incidence, self.materials.index_select(0, facet))

        jones = diffraction_matrix(there.rays, reflect, self.options.diffraction, self.dtype)
        # e1 is E_phi and e2 is -E_beta, as b1 x b2 = -k
        wave.e1, wave.e2 = jones.hard * wave.e1 + jones.cross * wave.e2, jones.soft * wave.e2 - jones.cross * wave.e1
        wave.k, wave.b1 = there.k_out.to(self.real), there.phi_out_hat.to(self.real)

    def _scatter(self, wave: _Wave, rows: Tensor, at: int, depth: int) -> None:
        k, spread = self._leave(rows, at, depth)
        e_theta, e_phi = wave.spherical()
        coupling = self.couplings[self.facets[rows, at].long()]
        wave.e2 = spread * (coupling[:, 0, 0] * e_theta + coupling[:, 0, 1] * e_phi)
        wave.e1 = spread * (coupling[:, 1, 0] * e_theta + coupling[:, 1, 1] * e_phi)
        wave.k, wave.b1 = k, spherical_basis(k)[1]

    def _diffuse(self, wave: _Wave, rows: Tensor, at: int, depth: int) -> None:
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

    def _receive(self, wave: _Wave, rows: Tensor) -> Tensor:
        arrival = self._directions(self.arrival, rows)
        wave.k = -arrival
        e_theta, e_phi = wave.components()
        user = None if self.users is None else self.users[rows]
        ports = self.rx.fields(arrival, user)
        received = [e_theta * theta.unsqueeze(0) + e_phi * phi.unsqueeze(0) for theta, phi in ports]
        return torch.stack(received).to(self.dtype)


def band_nodes(
    paths: Paths,
    site: Any,
    carrier_hz: float,
    bandwidth_hz: float,
    tx: Radio | None = None,
    rx: Radio | None = None,
    options: FieldOptions | None = None,
    *,
    tolerance_db: float = 0.1,
    max_nodes: int = 9,
    dtype: torch.dtype = torch.complex64,
) -> PathGains:
    """Gains at as many nodes across the band as slab ripple and dispersion call for.

    Nodes are Chebyshev points of the band; their number grows 1, 3, 5, ... until, at the points of the next finer
    set, the gain interpolated through them (Lagrange) differs from the computed one by less than the tolerance,
    ``20 log10(1 + |difference| / |gain|)`` with the path's largest gain in the band; gains 60 dB below the strongest
    path's count like those there.

    Args:
        paths: P paths.
        site: Their site.
        carrier_hz: Carrier, Hz; every node carries the phase ``e^{-j 2 pi f_c tau}`` of the carrier.
        bandwidth_hz: Width of the band, Hz.
        tx: Radio of the transmitter.
        rx: Radio of the users.
        options: Season, foliage, materials.
        tolerance_db: Largest change to leave unmodelled, dB.
        max_nodes: Upper limit of the number of nodes; a warning says if it was reached.
        dtype: Complex type of the gains.

    Returns:
        The gains (N, P, rx_ports, tx_ports) at the frequencies `nodes_hz`.
    """
    tx, rx, options = tx or Radio(), rx or Radio(), options or FieldOptions()

    def gains(frequency: float) -> Tensor:
        return path_gains(paths, site, frequency, tx, rx, options, phase_frequency_hz=carrier_hz, dtype=dtype).values

    def at(count: int) -> tuple[Tensor, Tensor]:
        nodes = carrier_hz + bandwidth_hz / 2 * _chebyshev(count)
        return nodes, torch.stack([gains(float(f)) for f in nodes])

    nodes, values = at(1)
    while paths.num_paths:
        count = len(nodes)
        finer_nodes, finer = at(count + 2)
        weights = lagrange_weights(nodes, finer_nodes).to(values.dtype)
        guess = torch.einsum("nm,mprt->nprt", weights, values)
        size = finer.abs().amax(dim=0).clamp_min(float(finer.abs().max()) * 1e-3 + 1e-30)
        change_db = float(20 * torch.log10(1 + ((finer - guess).abs() / size).max()))
        if change_db <= tolerance_db:
            break
        if count + 2 > max_nodes:
            warnings.warn(
                f"gains still change by {change_db:.2g} dB between {count} and {count + 2} nodes of the band; "
                "raise max_nodes or accept the ripple that is left",
                SiteTwinWarning,
                stacklevel=2,
            )
            break
        nodes, values = finer_nodes, finer
    return PathGains.of(paths, values, carrier_hz, tx, rx, site=site, nodes_hz=nodes, options=options)


def _chebyshev(count: int) -> Tensor:
    """(count,) float64 Chebyshev points in (-1, 1), ascending, exactly symmetric."""
    if count == 1:
        return torch.zeros(1, dtype=torch.float64)
    k = torch.arange(count, dtype=torch.float64)
    return torch.sin(math.pi * (2 * k - (count - 1)) / (2 * count))


def lagrange_weights(nodes: Tensor, points: Tensor) -> Tensor:
    """(len(points), len(nodes)) float64 weights that interpolate from the nodes to the points."""
    scale = 1.0 if len(nodes) == 1 else float(nodes.max() - nodes.min())
    x, y = (nodes - nodes[0]) / scale, (points - nodes[0]) / scale
    weights = torch.ones(len(points), len(nodes), dtype=torch.float64)
    for j in range(len(nodes)):
        for m in range(len(nodes)):
            if m != j:
                weights[:, j] *= (y - x[m]) / (x[j] - x[m])
    return weights
