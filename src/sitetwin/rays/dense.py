"""The dense tracer: all specular and singly diffracted paths from one static transmitter to very many users.

A static transmitter sees few distinct interaction chains. They are found once by shooting rays (`discovery`), then
every chain is solved for all users that it may reach (`solve`): image points in double precision, then ray casts that
confirm each segment. Only (chain, user) pairs that survive cost further rays.

The tracer models line of sight, specular reflection to any depth, straight transmission through thin slabs, one
diffraction at a wedge or free edge with up to one reflection before and one after it (`edges`), chords through
vegetation, single scattering at the scatter centres of canopies where the site has some, and single diffuse scattering
from surfaces. Diffracted and scattered paths do not pass through slabs.

The result is complete up to a measured share (`Completeness`). It does not depend on how users are cut into tiles,
unless facets coincide (a floor that lies in the ground): then it is random which of the two a ray meets first.
"""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sitetwin.backend import mitsuba
from sitetwin.errors import SiteTwinError
from sitetwin.rays.assemble import assemble
from sitetwin.rays.caster import RayCaster, penetrable_facets
from sitetwin.rays.chains import ChainList
from sitetwin.rays.edges.discovery import EdgeSettings, discover_edges
from sitetwin.rays.edges.scene import EdgeScene
from sitetwin.rays.edges.solving import EdgeSolver
from sitetwin.rays.paths import EDGES, Paths
from sitetwin.rays.positions import checked_positions
from sitetwin.rays.scatter.diffuse import add_diffuse
from sitetwin.rays.scatter.vegetation import add_vegetation
from sitetwin.rays.specular.crossings import with_crossings
from sitetwin.rays.specular.discovery import discover_chains
from sitetwin.rays.specular.solving import SpecularSolver
from sitetwin.site import Site

Progress = Callable[[float], None]
MOST_TRANSMISSIONS = 16  # a hundred decibels and more
_WHOLE = (
    "max_depth", "rays_per_lattice", "max_transmissions", "canopy_paths", "diffuse_paths", "seed",
    "reflections_before", "reflections_after",
)  # fmt: skip
_SWITCHES = ("diffraction", "lit_region")
_NUMBERS = ("unseen_bound", "diffuse_tile_m")


@dataclass(frozen=True)
class TraceSettings:
    """Settings of a trace: what is traced, and how completely.

    Attributes:
        max_depth: Largest number of interactions on a path; 0 traces only the line of sight.
        unseen_bound: Estimated share of valid specular (chain, user) pairs that may stay unseen. The share of
            diffracted pairs is reported, but not bounded.
        rays_per_lattice: Number of rays in each discovery lattice.
        max_transmissions: Largest number of thin slabs that a specular path passes straight through, in addition to its
            reflections; 0 makes every wall opaque. Half-spaces are always opaque.
        canopy_paths: Largest number of canopy-scattered paths per user.
        diffuse_paths: Largest number of diffuse paths per user; each is scattered once, by a surface.
        diffuse_tile_m: Longest edge of the scattering tiles, metres.
        seed: Seed of the random draws of the discovery.
        diffraction: Whether paths with one diffraction are traced too.
        reflections_before: Largest number of reflections of a diffracted path before the edge, 0 or 1.
        reflections_after: Largest number of reflections of a diffracted path after the edge, 0 or 1.
        lit_region: Whether diffracted paths are also kept in the lit region, where the edge does not shadow the
            incident ray (angles of incidence and diffraction differ by no more than pi); otherwise only paths in the
            shadow are kept.

    Raises:
        SiteTwinError: A number is out of its range, or a count is not a whole number.
    """

    max_depth: int = 3
    unseen_bound: float = 5e-4
    rays_per_lattice: int = 250_000
    max_transmissions: int = 0
    canopy_paths: int = 8
    diffuse_paths: int = 0
    diffuse_tile_m: float = 5.0
    seed: int = 0
    diffraction: bool = False
    reflections_before: int = 1
    reflections_after: int = 1
    lit_region: bool = True

    def __post_init__(self) -> None:
        for name in _WHOLE:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral):
                raise SiteTwinError(f"{name} is {value!r}; give a whole number")
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise SiteTwinError(f"{name} is {getattr(self, name)!r}; give True or False")
        for name in _NUMBERS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real):
                raise SiteTwinError(f"{name} is {value!r}; give a number")
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
        if self.seed < 0:
            raise SiteTwinError(f"seed is {self.seed}; a seed is 0 or more")
        for name in ("reflections_before", "reflections_after"):
            if getattr(self, name) not in (0, 1):
                raise SiteTwinError(f"{name} is {getattr(self, name)}; a diffracted path has 0 or 1 reflections there")
        if self.diffuse_paths < 0:
            raise SiteTwinError(f"diffuse_paths is {self.diffuse_paths}; ask for 0 or more")
        if not (math.isfinite(self.diffuse_tile_m) and self.diffuse_tile_m > 0):
            raise SiteTwinError(f"diffuse_tile_m is {self.diffuse_tile_m}; give a positive number of metres")
        for setting in fields(self):  # plain numbers, not NumPy's: they go into manifests, where 5 and 5.0 would differ
            plain: Any = type(setting.default)
            object.__setattr__(self, setting.name, plain(getattr(self, setting.name)))


def discover(
    site: Site,
    transmitter: ArrayLike,
    users: ArrayLike,
    settings: TraceSettings,
    progress: Progress | None = None,
    caster: RayCaster | None = None,
) -> ChainList:
    """Find the chains of a transmitter once for all its users.

    Args:
        site: The site.
        transmitter: (3,) position of the transmitter, metres.
        users: (U, 3) positions of all users of the run, metres, independent of tiles.
        settings: What to trace, and how completely.
        progress: Called with the share of the work done, 0..1.
        caster: Ray caster of the site, if one exists already.

    Raises:
        SiteTwinError: A position is not finite, or there is no user.
    """
    place, receivers = checked_positions(transmitter, users)
    caster, tell = caster or RayCaster(site), progress or (lambda share: None)
    diffracts = settings.diffraction and settings.max_depth > 0
    chains = discover_chains(
        site,
        caster,
        place,
        receivers,
        depth=settings.max_depth,
        rays_per_lattice=settings.rays_per_lattice,
        unseen_bound=settings.unseen_bound,
        seed=settings.seed,
        max_transmissions=settings.max_transmissions,
        progress=lambda share: tell(share / 2 if diffracts else share),
    )
    if not diffracts:
        return chains
    wanted = EdgeSettings(
        depth=settings.max_depth,
        before=settings.reflections_before,
        after=settings.reflections_after,
        lit_region=settings.lit_region,
        seed=settings.seed,
    )
    edges = discover_edges(site, caster, place, receivers, chains.grid, wanted, lambda share: tell((1 + share) / 2))
    return replace(chains, edges=edges)


def solve(
    site: Site,
    chains: ChainList,
    users: ArrayLike,
    settings: TraceSettings,
    progress: Progress | None = None,
    caster: RayCaster | None = None,
) -> Paths:
    """Find all paths along known chains to some users, for instance to one tile.

    Args:
        site: The site.
        chains: The chains that `discover` found in the same site.
        users: (U, 3) positions of the users, metres.
        settings: The settings that were given to `discover`.
        progress: Called with the share of the work done, 0..1.
        caster: Ray caster of the site, if one exists already.

    Raises:
        SiteTwinError: A position is not finite, or lies outside the volume that the chains were discovered for; or the
            chains are of another site.
    """
    _, receivers = checked_positions(chains.transmitter, users, none_will_do=True)
    if len(receivers) and ((receivers < chains.grid.origin) | (receivers > chains.grid.high)).any():
        raise SiteTwinError("some users lie outside the volume that the chains were discovered for; discover with all")
    if _names_too_much(site, chains):
        raise SiteTwinError("the chains name facets that the site lacks; use the site that they were discovered in")
    caster, tell = caster or RayCaster(site), progress or (lambda share: None)
    attributes = trace_attributes(site, chains, settings)
    specular = SpecularSolver(site, caster, chains, settings.max_transmissions)
    if chains.edges is None:
        reflected = specular.solve(receivers, progress=tell)
        paths, place = assemble(specular, reflected, None, None, receivers, attributes)
    else:
        reflected = specular.solve(receivers, progress=lambda share: tell(share / 2))
        edges = EdgeSolver(EdgeScene(site, caster, chains.transmitter), chains.edges, settings.lit_region)
        diffracted = edges.solve(receivers, progress=lambda share: tell((1 + share) / 2))
        paths, place = assemble(specular, reflected, edges, diffracted, receivers, attributes)
    if settings.max_transmissions:
        paths = with_crossings(site, paths, place, reflected)
    if settings.diffuse_paths:
        paths = add_diffuse(site, paths, settings.diffuse_paths, settings.diffuse_tile_m, caster)
    return add_vegetation(site, paths, settings.canopy_paths, caster)


def trace(
    site: Site,
    transmitter: ArrayLike,
    users: ArrayLike,
    settings: TraceSettings | None = None,
    progress: Progress | None = None,
) -> Paths:
    """Trace all paths from a transmitter to users, in memory: `discover`, then `solve`.

    Args:
        site: The site.
        transmitter: (3,) position of the transmitter, metres.
        users: (U, 3) positions of the users, metres, U at least 1.
        settings: What to trace, and how completely.
        progress: Called with the share of the work done, 0..1.

    Raises:
        SiteTwinError: A position is not finite, or there is no user.
    """
    settings = settings or TraceSettings()
    caster = RayCaster(site)
    chains = discover(site, transmitter, users, settings, progress and (lambda x: progress(x / 2)), caster)
    return solve(site, chains, users, settings, progress and (lambda x: progress((1 + x) / 2)), caster)


def refuse_all_but_specular(settings: TraceSettings, what: str) -> None:
    """Raise `SiteTwinError` if settings ask for more than line of sight, reflections and transmissions."""
    if settings.diffraction or settings.diffuse_paths:
        raise SiteTwinError(
            f"{what} covers line of sight, reflections and transmissions only; leave diffraction and diffuse_paths at "
            "their defaults"
        )


def _names_too_much(site: Site, chains: ChainList) -> bool:
    """Whether chains name a facet or wedge that the site lacks."""
    edges = chains.edges
    facets = [chains.facets] if edges is None else [chains.facets, edges.before, edges.after]
    beyond = any(int(f.max(initial=-1)) >= site.num_facets for f in facets)
    return beyond or (edges is not None and len(edges) > 0 and int(edges.wedge.max()) >= len(site.wedges))


def trace_attributes(site: Site, chains: ChainList, settings: TraceSettings) -> dict[str, object]:
    """Return the facts of a trace, for `Paths.attributes`."""
    attributes: dict[str, object] = {
        "engine": "sitetwin dense",
        "versions": {name: importlib.metadata.version(name) for name in ("mitsuba", "drjit")},
        "backend": mitsuba().variant(),
        "geometry_hash": site.geometry_hash,
        "chains_hash": chains.hash,
        "settings": asdict(settings),
        "completeness": asdict(chains.completeness),
        **({"opaque_facets": opaque_facets(site)} if settings.max_transmissions else {}),
    }
    if chains.edges is not None:
        attributes[EDGES] = site.wedges.key
        attributes["completeness_diffraction"] = asdict(chains.edges.completeness)
    return attributes


def opaque_facets(site: Site) -> list[list[int]]:
    """Return the facets that no wave passes, as ranges [first, last + 1] in ascending order.

    Facets are part of the geometry, so that they mean the same in every site of it; numbers of materials do not.
    """
    opaque = np.concatenate([[False], ~penetrable_facets(site), [False]])
    edges = np.flatnonzero(opaque[1:] != opaque[:-1])
    ranges: list[list[int]] = edges.reshape(-1, 2).tolist()
    return ranges
