"""Interaction chains: the facet sequences along which a static transmitter can reach users."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Integer

from sitetwin.rays.cells import CellGrid
from sitetwin.rays.edge_chains import EdgeChains, completeness_arrays, completeness_from
from sitetwin.site import Site


@dataclass(frozen=True)
class Completeness:
    """Measured completeness of a list of chains.

    Attributes:
        lattices: Number of independent ray lattices shot from the transmitter.
        rays_per_lattice: Number of rays in each lattice.
        probe_users: Number of users for whom every chain was tried, to measure the completeness.
        probe_paths: Number of valid reflected paths found for the probe users.
        unseen_share: Estimated share of valid (chain, user) pairs that the tracer does not find: chains that no ray
            hit (first-order jackknife over the lattices) plus pairs whose cell was not marked (measured).
        bound: The share that was asked for.
        unseen_high: Upper limit of `unseen_share` at 95 % confidence (see `sitetwin.rays.unseen`), which is far above
            the estimate where there are few probe users; None in stores of older versions.
    """

    lattices: int
    rays_per_lattice: int
    probe_users: int
    probe_paths: int
    unseen_share: float
    bound: float
    unseen_high: float | None = None


@dataclass(frozen=True, eq=False)
class ChainList:
    """Distinct specular chains of one transmitter in canonical order (depth, then facets), with cells they lead to.

    Chains with a diffraction stand in a separate list, `edges`. The empty chain (line of sight) is not listed; it is
    tried for every user.

    Attributes:
        transmitter: (3,) float64, position of the transmitter, metres.
        facets: (C, D) int32, facet of each bounce from the transmitter on, -1 where the chain is shorter.
        seen_in: (C,) int32, number of lattices in which the chain was hit.
        mark_offsets: (C + 1,) int64; the cells of chain c are ``mark_cells[mark_offsets[c]:mark_offsets[c + 1]]``.
        mark_cells: (N,) int64, cells of `grid`, ascending within a chain, for whose users the chain is tried.
        grid: The cells.
        completeness: Measured completeness of the list.
        edges: The chains with a diffraction, or None if diffraction was not traced.
    """

    transmitter: Float[np.ndarray, " 3"]
    facets: Integer[np.ndarray, "chains depth"]
    seen_in: Integer[np.ndarray, " chains"]
    mark_offsets: Integer[np.ndarray, " chains+1"]
    mark_cells: Integer[np.ndarray, " marks"]
    grid: CellGrid
    completeness: Completeness
    edges: EdgeChains | None = None

    def __len__(self) -> int:
        return len(self.facets)

    @cached_property
    def depth(self) -> np.ndarray:
        """(C,) int64, number of bounces."""
        return np.count_nonzero(self.facets >= 0, axis=1)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the transmitter, the chains and the cells they are tried in."""
        digest = hashlib.sha256(np.ascontiguousarray(self.transmitter, "<f8").tobytes())
        digest.update(str(self.facets.shape).encode())
        for array, kind in (
            (self.facets, "<i4"),
            (self.mark_offsets, "<i8"),
            (self.mark_cells, "<i8"),
            (self.grid.origin, "<f8"),
            (self.grid.shape, "<i8"),
            (self.grid.size, "<f8"),
        ):
            digest.update(np.ascontiguousarray(array, kind).tobytes())
        if self.edges is not None:
            digest.update(self.edges.digest())
        return digest.hexdigest()

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return all fields as NumPy arrays, for storage."""
        arrays = {name: getattr(self, name) for name in _CHAIN_ARRAYS}
        arrays |= {f"grid_{name}": np.asarray(value) for name, value in vars(self.grid).items()}
        arrays |= completeness_arrays(self.completeness)
        if self.edges is not None:
            arrays |= {f"edges_{name}": value for name, value in self.edges.to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> ChainList:
        """Make a chain list from the arrays that `to_arrays` returned."""
        shape = [int(n) for n in arrays["grid_shape"]]
        grid = CellGrid(np.asarray(arrays["grid_origin"]), float(arrays["grid_size"]), (shape[0], shape[1], shape[2]))
        edges = {name.removeprefix("edges_"): value for name, value in arrays.items() if name.startswith("edges_")}
        return cls(
            **{name: np.asarray(arrays[name]) for name in _CHAIN_ARRAYS},
            grid=grid,
            completeness=completeness_from(Completeness, arrays),
            edges=EdgeChains.from_arrays(edges, grid) if edges else None,
        )


_CHAIN_ARRAYS = ("transmitter", "facets", "seen_in", "mark_offsets", "mark_cells")


def source_images(site: Site, transmitter: np.ndarray, facets: np.ndarray) -> np.ndarray:
    """Mirror a transmitter in the planes of chains of one depth.

    Args:
        site: The site.
        transmitter: (3,) float64, position of the transmitter, metres.
        facets: (C, k) int32, facets of the chains, without padding.

    Returns:
        (C, k + 1, 3) float64, metres; entry j is the image after j mirrorings, entry 0 the transmitter itself.
    """
    images = np.empty((len(facets), facets.shape[1] + 1, 3))
    images[:, 0] = transmitter
    for j in range(facets.shape[1]):
        images[:, j + 1] = mirror(images[:, j], site.facet_normal[facets[:, j]], site.facet_offset[facets[:, j]])
    return images


def mirror(points: np.ndarray, normal: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Mirror points at planes, elementwise.

    Args:
        points: (..., 3) points, metres.
        normal: (..., 3) unit normals of the planes, broadcast against the points.
        offset: (...) offsets of the planes, metres.
    """
    height = (
        points[..., 0] * normal[..., 0] + points[..., 1] * normal[..., 1] + points[..., 2] * normal[..., 2] - offset
    )
    return points - 2.0 * height[..., None] * normal


@dataclass(frozen=True, eq=False)
class FacetFrames:
    """An in-plane bounding rectangle of each facet.

    Attributes:
        axis: (F, 3) float64, first in-plane unit axis (along the facet's longest edge); the second is normal x axis.
        low: (F, 2) float64, lowest coordinates along the two axes, metres from the world origin.
        high: (F, 2) float64, highest coordinates along the two axes, metres from the world origin.
    """

    axis: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, site: Site, margin: float) -> FacetFrames:
        """Make rectangles around all facets, `margin` metres wider on every side."""
        corners = site.vertices[site.triangles]
        edges = np.roll(corners, -1, axis=1) - corners
        length = np.linalg.norm(edges, axis=2)
        longest = edges[np.arange(len(edges)), length.argmax(axis=1)]
        order = np.lexsort((-length.max(axis=1), site.triangle_facet))
        first = order[np.searchsorted(site.triangle_facet[order], np.arange(site.num_facets))]
        axis = longest[first]
        axis = axis - (axis * site.facet_normal).sum(axis=1, keepdims=True) * site.facet_normal
        axis /= np.linalg.norm(axis, axis=1, keepdims=True)
        second = np.cross(site.facet_normal, axis)
        low = np.full((site.num_facets, 2), np.inf)
        high = np.full((site.num_facets, 2), -np.inf)
        for column, direction in enumerate((axis, second)):
            coordinate = np.einsum("tkc,tc->tk", corners, direction[site.triangle_facet])
            np.minimum.at(low[:, column], site.triangle_facet, coordinate.min(axis=1))
            np.maximum.at(high[:, column], site.triangle_facet, coordinate.max(axis=1))
        return cls(axis=axis, low=low - margin, high=high + margin)

    def corners(self, site: Site, facets: np.ndarray) -> np.ndarray:
        """Return (..., 4, 3) corners of the rectangles of some facets, in order around."""
        normal, axis = site.facet_normal[facets], self.axis[facets]
        second = np.cross(normal, axis)
        base = normal * site.facet_offset[facets][..., None]
        low, high = self.low[facets], self.high[facets]
        u = np.stack([low[..., 0], high[..., 0], high[..., 0], low[..., 0]], axis=-1)
        v = np.stack([low[..., 1], low[..., 1], high[..., 1], high[..., 1]], axis=-1)
        return base[..., None, :] + u[..., None] * axis[..., None, :] + v[..., None] * second[..., None, :]
