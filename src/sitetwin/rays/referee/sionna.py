"""The reference tracer: Sionna RT's `PathSolver`, with results as `Paths`.

It shares only the site with the dense tracer. Sionna RT shoots rays, tests every hit against every receiver, solves the
candidates with the image method in single precision and computes fields with its own material model; here it only gets
a scene and users in batches, because with many receivers in one call it silently loses paths (its table of chains is a
hash modulo `max_num_paths`, shared by all receivers of the call).
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Complex, Float

from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import EDGES, Interaction, Paths
from sitetwin.rays.positions import checked_positions
from sitetwin.rays.referee.sionna_scene import GEOMETRY_FREQUENCY, build_scene, path_solver
from sitetwin.rays.specular.exact import exact_vertices, nearest_wedge
from sitetwin.site.site import Site

_KINDS = {1: Interaction.REFLECTION, 4: Interaction.TRANSMISSION, 8: Interaction.DIFFRACTION}
"""Ours for `sionna.rt.constants.InteractionType`."""


@dataclass(frozen=True)
class ReferenceSettings:
    """Settings of Sionna RT's path solver.

    Attributes:
        max_depth: Largest number of interactions on a path, 0 or more.
        samples: Number of rays shot from the transmitter per call.
        batch: Number of users per call; with more than about 100 users Sionna RT begins to lose paths.
        max_num_paths: Slots of its table of chains and rows of its buffer, shared by the users of a call; its buffer
            takes about 28 depth + 33 bytes a row.
        line_of_sight: Whether the direct path is traced.
        seed: Seed of its sampler; with only reflections its ray lattice is fixed and the seed has no effect.
        diffraction: Whether paths with one diffraction are traced. Sionna RT samples one interaction for each hit of a
            ray, in a fifth of the cases a diffraction, so it finds a share of these paths that grows with `samples`.
        edge_diffraction: Whether edges with only one face diffract too (edges of one mesh; here one mesh holds all
            surfaces of a material).
        diffraction_lit_region: Whether diffracted paths outside the shadow of their edge are kept.
        transmission: Whether paths pass straight through slabs; each slab counts as an interaction. At each hit,
            reflection or transmission is drawn by the reflected and transmitted powers.
    """

    max_depth: int = 3
    samples: int = 1_000_000
    batch: int = 100
    max_num_paths: int = 20_000_000
    line_of_sight: bool = True
    seed: int = 42
    diffraction: bool = False
    edge_diffraction: bool = False
    diffraction_lit_region: bool = True
    transmission: bool = False


@dataclass(frozen=True, eq=False)
class ReferenceGains:
    """Sionna RT's own fields, row by row of the `Paths` they came with; isotropic V antennas at both ends.

    Attributes:
        frequency: Carrier frequency, Hz.
        gain: (P,) complex64, voltage gain with the carrier phase: ``Paths.cir(normalize_delays=False)``.
        gain_at_zero_delay: (P,) complex64, voltage gain without the factor e^{-j 2 pi f tau}: ``Paths.a``.
        delay: (P,) float32, seconds, from its single-precision geometry.
    """

    frequency: float
    gain: Complex[np.ndarray, " paths"]
    gain_at_zero_delay: Complex[np.ndarray, " paths"]
    delay: Float[np.ndarray, " paths"]


def trace_reference(
    site: Site,
    transmitter: np.ndarray,
    users: np.ndarray,
    settings: ReferenceSettings | None = None,
    *,
    refine: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Paths:
    """Trace specular, transmitted and singly diffracted paths with Sionna RT.

    Args:
        site: The site. Vegetation is unknown to Sionna RT: the result has no crossings.
        transmitter: (3,) position of the transmitter, metres.
        users: (U, 3) positions of the users, metres.
        settings: Settings of Sionna RT.
        refine: Whether each chain is solved again in double precision; otherwise its single-precision vertices are
            kept.
        progress: Called with (users done, users in all) after each batch.

    Raises:
        SiteTwinError: A position is not finite or has the wrong shape.
    """
    engine = ReferenceEngine(site)
    return engine.trace(transmitter, users, settings or ReferenceSettings(), refine=refine, progress=progress)[0]


def trace_reference_gains(
    site: Site,
    transmitter: np.ndarray,
    users: np.ndarray,
    *,
    frequency: float,
    settings: ReferenceSettings | None = None,
    refine: bool = True,
) -> tuple[Paths, ReferenceGains]:
    """Trace specular paths with Sionna RT, with its own complex gains and delays row by row.

    Args:
        site: The site; its materials are evaluated at `frequency`, half-spaces become thick slabs.
        transmitter: (3,) position of the transmitter, metres.
        users: (U, 3) positions of the users, metres.
        frequency: Carrier, Hz.
        settings: Settings of Sionna RT.
        refine: Whether each chain is solved again in double precision; otherwise its single-precision vertices are
            kept.

    Raises:
        SiteTwinError: A position is wrong, or a half-space has no loss and so cannot be expressed as a slab.
    """
    engine = ReferenceEngine(site, frequency)
    return engine.trace(transmitter, users, settings or ReferenceSettings(), refine=refine)


class ReferenceEngine:
    """Sionna RT with a site as its scene, for several calls.

    Args:
        site: The site.
        frequency: Carrier in Hz, at which its materials are evaluated; None for geometry alone, with half-spaces of
            metal and slabs that reflect about half, so that no path is lost because its power is too small.

    Raises:
        SiteTwinError: The site has no triangles, or a half-space has no loss and so cannot be expressed as a slab.
    """

    def __init__(self, site: Site, frequency: float | None = None) -> None:
        self.site = site
        self.frequency = frequency
        self._scene, self._triangles_of_shape = build_scene(site, frequency)
        self._solver = path_solver()

    def solve(self, transmitter: np.ndarray, users: np.ndarray, settings: ReferenceSettings) -> Any:
        """Call `PathSolver` once for all `users`, and return its `sionna.rt.Paths` unchanged."""
        self._scene.place(transmitter, users)
        return self._solver(
            self._scene,
            max_depth=settings.max_depth,
            max_num_paths_per_src=settings.max_num_paths,
            samples_per_src=settings.samples,
            synthetic_array=True,
            los=settings.line_of_sight,
            specular_reflection=True,
            diffuse_reflection=False,
            refraction=settings.transmission,
            diffraction=settings.diffraction,
            edge_diffraction=settings.edge_diffraction,
            diffraction_lit_region=settings.diffraction_lit_region,
            seed=settings.seed,
        )

    def trace(
        self,
        transmitter: np.ndarray,
        users: np.ndarray,
        settings: ReferenceSettings,
        *,
        refine: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[Paths, ReferenceGains]:
        """Trace all users in batches, and return paths and gains.

        Raises:
            SiteTwinError: A position is not finite or has the wrong shape.
        """
        transmitter, users = checked_positions(transmitter, users)
        parts = []
        for first in range(0, len(users), settings.batch):
            chunk = users[first : first + settings.batch]
            parts.append(self.rows(self.solve(transmitter, chunk, settings), settings.max_depth))
            if progress is not None:
                progress(first + len(chunk), len(users))
        _release_memory()
        return self.assemble(transmitter, users, settings, parts, refine=refine)

    def assemble(
        self,
        transmitter: np.ndarray,
        users: np.ndarray,
        settings: ReferenceSettings,
        parts: list[dict[str, np.ndarray]],
        *,
        refine: bool = True,
    ) -> tuple[Paths, ReferenceGains]:
        """Assemble paths and gains from the `rows` of consecutive batches of users.

        Raises:
            SiteTwinError: There are no users.
        """
        if not parts:
            raise SiteTwinError("there are no users to trace; give at least one position")
        table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        counts = [len(part["user"]) for part in parts]
        table["user"] += np.repeat(np.arange(len(parts)) * settings.batch, counts)
        table = _canonical(table)
        paths = self._paths(transmitter, users, table, settings, refine)
        frequency = self.frequency or GEOMETRY_FREQUENCY
        return paths, ReferenceGains(frequency, table["gain"], table["gain_at_zero_delay"], table["delay"])

    def rows(self, raw: Any, max_depth: int) -> dict[str, np.ndarray]:
        """Return the valid entries of Sionna RT's padded tensors as a table."""
        valid = np.asarray(raw.valid.numpy(), dtype=bool)[:, 0]
        user, column = np.nonzero(valid)
        taken = {
            name: np.asarray(getattr(raw, name).numpy())[:max_depth, user, 0, column]
            for name in ("interactions", "objects", "primitives", "vertices")
        }
        kinds, shapes, primitives = (taken[name].T for name in ("interactions", "objects", "primitives"))
        vertices = np.moveaxis(taken["vertices"], 0, 1).astype(np.float64)
        if not np.isin(kinds, (0, *_KINDS)).all():
            raise SiteTwinError("Sionna RT returned an interaction other than those it was asked for")
        ours = np.zeros(kinds.shape, dtype=np.uint8)
        for theirs, kind in _KINDS.items():
            ours[kinds == theirs] = kind
        facets = np.full((len(user), max_depth), -1, dtype=np.int32)
        for shape, triangles in self._triangles_of_shape.items():
            here = np.isin(ours, (Interaction.REFLECTION, Interaction.TRANSMISSION)) & (shapes == shape)
            facets[here] = self.site.triangle_facet[triangles[primitives[here]]]
        vertices[ours == Interaction.NONE] = np.nan
        bent = ours == Interaction.DIFFRACTION
        facets[bent] = nearest_wedge(self.site, vertices[bent])
        gain, delay = raw.cir(normalize_delays=False, out_type="numpy")
        real, imaginary = (part.numpy()[user, 0, 0, 0, column] for part in raw.a)
        return {
            "user": user.astype(np.int64),
            "kinds": ours,
            "facets": facets,
            "vertices": vertices,
            "gain": gain[user, 0, 0, 0, column, 0].astype(np.complex64),
            "gain_at_zero_delay": (real + 1j * imaginary).astype(np.complex64),
            "delay": delay[user, 0, column].astype(np.float32),
        }

    def _paths(
        self,
        transmitter: np.ndarray,
        users: np.ndarray,
        table: dict[str, np.ndarray],
        settings: ReferenceSettings,
        refine: bool,
    ) -> Paths:
        facets, vertices = table["facets"], table["vertices"]
        ends = users[table["user"]]
        if refine:
            vertices = exact_vertices(self.site, transmitter, ends, facets, vertices, table["kinds"])
        length, departure, arrival = unfold(transmitter, ends, vertices)
        count = len(facets)
        return Paths(
            transmitter=transmitter,
            users=users,
            offsets=np.searchsorted(table["user"], np.arange(len(users) + 1)).astype(np.int64),
            kinds=table["kinds"],
            facets=facets,
            vertices=vertices,
            length=length,
            departure=departure,
            arrival=arrival,
            crossing_offsets=np.zeros(count + 1, dtype=np.int64),
            crossing_volume=np.zeros(0, dtype=np.int32),
            crossing_entry=np.zeros(0),
            crossing_exit=np.zeros(0),
            attributes={
                "engine": "sionna-rt",
                "engine_version": importlib.metadata.version("sionna-rt"),
                "geometry_hash": self.site.geometry_hash,
                EDGES: self.site.wedges.key,
                "vertices": "float64 image method" if refine else "float32 of the engine",
                **vars(settings),
            },
        )


def unfold(
    transmitter: np.ndarray, users: np.ndarray, vertices: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return length, direction of departure and direction of arrival of paths, from their vertices (NaN-padded)."""
    count, depth = vertices.shape[:2]
    points = np.empty((count, depth + 2, 3))
    points[:, 0] = transmitter
    points[:, 1:-1] = np.where(np.isnan(vertices), users[:, None], vertices)
    points[:, -1] = users
    length = np.linalg.norm(np.diff(points, axis=1), axis=2).sum(axis=1)
    bounces = np.count_nonzero(~np.isnan(vertices[..., 0]), axis=1)
    departure = points[:, 1] - points[:, 0]
    arrival = points[np.arange(count), bounces] - users
    departure /= np.linalg.norm(departure, axis=1, keepdims=True)
    arrival /= np.linalg.norm(arrival, axis=1, keepdims=True)
    return length, departure, arrival


def _canonical(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rows by user, number of interactions, kinds and facets; the first of each group of equal chains.

    Diffractions at edges that the site's wedges lack have the facet -1 and are told apart by their vertices.
    """
    kinds, facets = table["kinds"], table["facets"]
    unnamed = (kinds > 0) & (facets < 0)
    place = np.where(unnamed[..., None], np.round(table["vertices"], 2), 0.0).sum(axis=(1, 2))
    key = np.column_stack([table["user"], np.count_nonzero(kinds, axis=1), kinds, facets, place])
    order = np.lexsort(key.T[::-1])
    key = key[order]
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = np.any(key[1:] != key[:-1], axis=1)
    return {name: column[order[fresh]] for name, column in table.items()}


def _release_memory() -> None:
    """Give the arrays that Dr.Jit keeps for reuse back to the system: `max_num_paths` makes them gigabytes."""
    import drjit

    drjit.flush_malloc_cache()
