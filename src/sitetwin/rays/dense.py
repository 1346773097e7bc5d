"""The dense tracer: every specular path of one static transmitter to very many users.

A static transmitter sees few distinct interaction chains. They are found once by shooting rays (`discovery`), then
every chain is solved for all users that it may reach (`solve`): image points in double precision, then ray casts that
confirm each segment. Only (chain, user) pairs that survive cost further rays.

What is modelled: line of sight, specular reflection to any depth, straight transmission through thin slabs, chords
through vegetation, single scattering at the scatter centres of canopies where the site has some, and single diffuse
scattering from surfaces. Not modelled here: diffraction.

The result is complete up to a measured share: see `Completeness`. It does not depend on how users are cut into tiles.
"""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from sitetwin.backend import mitsuba
from sitetwin.errors import SiteTwinError
from sitetwin.rays.caster import RayCaster
from sitetwin.rays.chains import ChainList
from sitetwin.rays.diffuse import add_diffuse
from sitetwin.rays.discovery import discover_chains
from sitetwin.rays.paths import Interaction, Paths
from sitetwin.rays.solve import SpecularPaths, SpecularSolver
from sitetwin.rays.transmission import insert_crossings
from sitetwin.rays.vegetation import add_vegetation
from sitetwin.site import Site

Progress = Callable[[float], None]
MOST_TRANSMISSIONS = 16  # a hundred decibels and more
_LEAST_DISTANCE = 1e-3  # m; a path of no length has no direction


@dataclass(frozen=True)
class TraceSettings:
    """What to trace, and how completely.

    Attributes:
        max_depth: Most reflections on a path; 0 traces the line of sight alone.
        unseen_bound: Estimated share of valid (chain, user) pairs that may stay unseen.
        rays_per_lattice: Rays in each discovery lattice.
        max_transmissions: Most thin slabs that a specular path passes straight through, reflections besides; 0 keeps
            every wall opaque. Half-spaces always are.
        canopy_paths: Most canopy-scattered paths per user.
        diffuse_paths: Most paths per user that surfaces scatter diffusely, one bounce each.
        diffuse_tile_m: Longest edge of the tiles that scatter, metres.
        seed: Of the discovery.
    """

    max_depth: int = 3
    unseen_bound: float = 5e-4
    rays_per_lattice: int = 250_000
    max_transmissions: int = 0
    canopy_paths: int = 8
    diffuse_paths: int = 0
    diffuse_tile_m: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_depth < 0:
            raise SiteTwinError(f"max_depth is {self.max_depth}; ask for 0 (line of sight) or more reflections")
        if not 0 < self.unseen_bound < 1:
            raise SiteTwinError(f"unseen_bound is {self.unseen_bound}; it is a share between 0 and 1")
        if self.rays_per_lattice < 1000:
            raise SiteTwinError(f"rays_per_lattice is {self.rays_per_lattice}; shoot at least 1000 rays")
        if not 0 <= self.max_transmissions <= MOST_TRANSMISSIONS:
            raise SiteTwinError(
                f"max_transmissions is {self.max_transmissions}; ask for 0 to {MOST_TRANSMISSIONS} slabs on a path"
            )
        if self.canopy_paths < 0:
            raise SiteTwinError(f"canopy_paths is {self.canopy_paths}; ask for 0 or more")
        if self.diffuse_paths < 0:
            raise SiteTwinError(f"diffuse_paths is {self.diffuse_paths}; ask for 0 or more")
        if not (math.isfinite(self.diffuse_tile_m) and self.diffuse_tile_m > 0):
            raise SiteTwinError(f"diffuse_tile_m is {self.diffuse_tile_m}; give a positive number of metres")


def discover(
    site: Site,
    transmitter: np.ndarray,
    users: np.ndarray,
    settings: TraceSettings,
    progress: Progress | None = None,
    caster: RayCaster | None = None,
) -> ChainList:
    """Find the chains of a transmitter once for all its users.

    Args:
        site: The site.
        transmitter: (3,) metres.
        users: (U, 3) metres: all users of the run, whatever tiles it is cut into.
        settings: See `TraceSettings`.
        progress: Called with the share of the work done, 0..1.
        caster: Ray caster of the site, if there is one already.

    Raises:
        SiteTwinError: A position is not finite, or there is no user.
    """
    transmitter, users = _checked(transmitter, users)
    if not len(users):
        raise SiteTwinError("there is no user to trace to: the list of positions is empty")
    return discover_chains(
        site,
        caster or RayCaster(site),
        transmitter,
        users,
        depth=settings.max_depth,
        rays_per_lattice=settings.rays_per_lattice,
        unseen_bound=settings.unseen_bound,
        seed=settings.seed,
        max_transmissions=settings.max_transmissions,
        progress=progress,
    )


def solve(
    site: Site,
    chains: ChainList,
    users: np.ndarray,
    settings: TraceSettings,
    progress: Progress | None = None,
    caster: RayCaster | None = None,
) -> Paths:
    """All paths along known chains to some users, for instance one tile of them.

    Args:
        site: The site.
        chains: From `discover` on the same site.
        users: (U, 3) metres.
        settings: Those of the discovery.
        progress: Called with the share of the work done, 0..1.
        caster: Ray caster of the site, if there is one already.

    Raises:
        SiteTwinError: A position is not finite, or lies outside the volume that the chains were discovered for; or the
            chains are of another site.
    """
    _, users = _checked(chains.transmitter, users)
    if len(users) and ((users < chains.grid.origin) | (users > chains.grid.high)).any():
        raise SiteTwinError("some users lie outside the volume that the chains were discovered for; discover with all")
    if len(chains) and int(chains.facets.max()) >= site.num_facets:
        raise SiteTwinError("the chains name facets that the site lacks; use the site that they were discovered in")
    caster = caster or RayCaster(site)
    solver = SpecularSolver(site, caster, chains, settings.max_transmissions)
    specular = solver.solve(users, progress=progress)
    paths = _assemble(solver, users, specular, _attributes(site, chains, settings))
    if settings.max_transmissions:
        order = _order(specular, len(chains))
        paths = insert_crossings(site, paths, specular.crossed[order], specular.leg[order])
    if settings.diffuse_paths:
        paths = add_diffuse(site, paths, settings.diffuse_paths, settings.diffuse_tile_m, caster)
    return add_vegetation(site, paths, settings.canopy_paths, caster)


def trace(
    site: Site,
    transmitter: np.ndarray,
    users: np.ndarray,
    settings: TraceSettings | None = None,
    progress: Progress | None = None,
) -> Paths:
    """Discover and solve in one go, in memory.

    Args:
        site: The site.
        transmitter: (3,) metres.
        users: (U, 3) metres, U at least 1.
        settings: See `TraceSettings`.
        progress: Called with the share of the work done, 0..1.

    Raises:
        SiteTwinError: A position is not finite, or there is no user.
    """
    settings = settings or TraceSettings()
    caster = RayCaster(site)
    chains = discover(site, transmitter, users, settings, progress and (lambda x: progress(x / 2)), caster)
    return solve(site, chains, users, settings, progress and (lambda x: progress((1 + x) / 2)), caster)


def _checked(transmitter: np.ndarray, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions as float64, finite and of the right shape."""
    transmitter, users = np.asarray(transmitter, dtype=np.float64), np.asarray(users, dtype=np.float64)
    if transmitter.shape != (3,) or users.ndim != 2 or users.shape[1] != 3:
        raise SiteTwinError(
            f"positions have shapes {transmitter.shape} (transmitter) and {users.shape} (users); give (3,) and (U, 3)"
        )
    if not np.isfinite(transmitter).all():
        raise SiteTwinError(f"the transmitter's position {transmitter.tolist()} is not finite; give three numbers")
    bad = np.flatnonzero(~np.isfinite(users).all(axis=1))
    if len(bad):
        raise SiteTwinError(f"{len(bad)} user positions are not finite, the first is number {bad[0]}; drop them")
    near = np.flatnonzero((np.abs(users - transmitter) < _LEAST_DISTANCE).all(axis=1))
    if len(near):
        raise SiteTwinError(f"user {near[0]} stands where the transmitter is; keep {_LEAST_DISTANCE:g} m away from it")
    return transmitter, users


def _order(specular: SpecularPaths, chains: int) -> np.ndarray:
    """Rows by user, then chain."""
    return np.argsort(specular.user * (chains + 1) + specular.chain + 1, kind="stable")


def _assemble(
    solver: SpecularSolver, users: np.ndarray, specular: SpecularPaths, attributes: dict[str, object]
) -> Paths:
    """Rows in canonical order: by user, number of interactions, facets."""
    chains, count = solver.chains, len(specular.user)
    order = _order(specular, len(chains))
    place = np.empty(count, dtype=np.int64)
    place[order] = np.arange(count)
    width = chains.facets.shape[1]
    kinds = np.zeros((count, width), dtype=np.uint8)
    facets = np.full((count, width), -1, dtype=np.int32)
    vertices = np.full((count, width, 3), np.nan)
    length, departure, arrival = np.empty(count), np.empty((count, 3)), np.empty((count, 3))

    direct = np.flatnonzero(specular.chain < 0)
    row = place[direct]
    step = users[specular.user[direct]] - chains.transmitter
    length[row] = np.sqrt(step[:, 0] * step[:, 0] + step[:, 1] * step[:, 1] + step[:, 2] * step[:, 2])
    departure[row] = step / length[row][:, None]
    arrival[row] = -departure[row]
    for group in solver.groups:
        held = (specular.chain >= group.first) & (specular.chain < group.first + len(group.facets))
        found = np.flatnonzero(held)
        if not len(found):
            continue
        row, chain = place[found], specular.chain[found]
        geometry = solver.geometry(group, chain, users[specular.user[found]])
        kinds[row, : group.depth] = Interaction.REFLECTION
        facets[row, : group.depth] = group.facets[chain - group.first]
        for bounce, points in enumerate(geometry.vertices):
            vertices[row, bounce] = points
        length[row], departure[row], arrival[row] = geometry.length, geometry.departure, geometry.arrival
    return Paths(
        transmitter=chains.transmitter,
        users=users,
        offsets=np.concatenate([[0], np.cumsum(np.bincount(specular.user, minlength=len(users)))]),
        kinds=kinds,
        facets=facets,
        vertices=vertices,
        length=length,
        departure=departure,
        arrival=arrival,
        crossing_offsets=np.zeros(count + 1, np.int64),
        crossing_volume=np.zeros(0, np.int32),
        crossing_entry=np.zeros(0),
        crossing_exit=np.zeros(0),
        attributes=attributes,
    )


def _attributes(site: Site, chains: ChainList, settings: TraceSettings) -> dict[str, object]:
    opaque = [index for index, material in enumerate(site.materials) if material.thickness is None]
    return {
        "engine": "sitetwin dense",
        "versions": {name: importlib.metadata.version(name) for name in ("mitsuba", "drjit")},
        "backend": mitsuba().variant(),
        "geometry_hash": site.geometry_hash,
        "chains_hash": chains.hash,
        "settings": asdict(settings),
        "completeness": asdict(chains.completeness),
        **({"opaque_materials": opaque} if settings.max_transmissions else {}),
    }
