"""Tiles of a site's surfaces, each of which scatters diffusely."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site import Site

MOST_TILES = 5_000_000


@dataclass(frozen=True, eq=False)
class SurfaceTiles:
    """Triangular pieces of all facets, sorted by facet. Together they cover each facet once.

    Attributes:
        centre: (T, 3) float64, centroids, metres; each lies on its facet.
        area: (T,) float64, m2.
        facet: (T,) int32.
    """

    centre: np.ndarray
    area: np.ndarray
    facet: np.ndarray

    def __len__(self) -> int:
        return len(self.area)

    def find(self, facet: np.ndarray, point: np.ndarray) -> np.ndarray:
        """Find the tiles that have given centres.

        Args:
            facet: (N,) facet of each tile.
            point: (N, 3) float64 centres, metres, exact to the bit.

        Returns:
            (N,) int64 tile indices.

        Raises:
            SiteTwinError: A point is not the centre of a tile.
        """
        order, keys = self._by_key
        place = np.searchsorted(keys, tile_keys(facet, point))
        tile = order[np.minimum(place, len(order) - 1)] if len(order) else np.zeros(len(facet), np.int64)
        if len(facet) and not (
            len(order) and np.array_equal(self.centre[tile], point) and np.array_equal(self.facet[tile], facet)
        ):
            raise SiteTwinError(
                "a path scatters at a point that is no tile of this site; use the site that the paths were traced in"
            )
        return tile

    @cached_property
    def _by_key(self) -> tuple[np.ndarray, np.ndarray]:
        keys = tile_keys(self.facet, self.centre)
        order = np.argsort(keys, kind="stable")
        return order, keys[order]


@lru_cache(maxsize=2)
def surface_tiles(site: Site, size: float) -> SurfaceTiles:
    """Cut a site's triangles along the middle of their longest edges until no edge is longer than `size`.

    Coincident triangles of one facet (a surface that was drawn twice) count once. The result depends only on the mesh
    and the size.

    Args:
        site: The site.
        size: Longest edge of a tile, metres.

    Raises:
        SiteTwinError: There would be more than 5 million tiles.
    """
    corners, facet = _once(site.vertices[site.triangles], site.triangle_facet)
    _check_count(float(_areas(corners).sum()) / (math.sqrt(3) / 4 * size * size), size)  # equilateral ones are largest
    done, owners = [], []
    while len(corners):
        edges = np.roll(corners, -1, axis=1) - corners
        square = edges[..., 0] ** 2 + edges[..., 1] ** 2 + edges[..., 2] ** 2
        longest = square.argmax(axis=1)
        large = square[np.arange(len(corners)), longest] > size * size
        done.append(corners[~large])
        owners.append(facet[~large])
        corners, facet = _halves(corners[large], longest[large]), np.repeat(facet[large], 2)
        _check_count(sum(map(len, done)) + len(corners), size)
    whole = np.concatenate(done) if done else np.zeros((0, 3, 3))
    owner = np.concatenate(owners) if owners else np.zeros(0, np.int32)
    order = np.argsort(owner, kind="stable")
    whole = whole[order]
    centre = (whole[:, 0] + whole[:, 1] + whole[:, 2]) / 3.0
    return SurfaceTiles(centre, _areas(whole), owner[order].astype(np.int32))


def _check_count(count: float, size: float) -> None:
    if count > MOST_TILES:
        raise SiteTwinError(f"tiles of {size:g} m are more than {MOST_TILES:,}; take larger ones for diffuse paths")


def _areas(corners: np.ndarray) -> np.ndarray:
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return 0.5 * np.sqrt(normal[:, 0] ** 2 + normal[:, 1] ** 2 + normal[:, 2] ** 2)


def _once(corners: np.ndarray, facet: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles without those that repeat the corners of an earlier one of their facet."""
    order = np.lexsort((corners[..., 2], corners[..., 1], corners[..., 0]), axis=-1)
    sorted_corners = np.take_along_axis(corners, order[..., None], axis=1).reshape(len(corners), 9)
    _, first = np.unique(np.column_stack([facet, sorted_corners]), axis=0, return_index=True)
    first.sort()
    return corners[first], facet[first]


def _halves(corners: np.ndarray, longest: np.ndarray) -> np.ndarray:
    """(2 N, 3, 3): both halves of triangles (N, 3, 3), cut from the middle of the edge that starts at `longest`."""
    row = np.arange(len(corners))
    a, b, c = corners[row, longest], corners[row, (longest + 1) % 3], corners[row, (longest + 2) % 3]
    middle = 0.5 * (a + b)
    return np.stack([a, middle, c, middle, b, c], axis=1).reshape(-1, 3, 3)


def tile_keys(facet: np.ndarray, point: np.ndarray, seed: int = 0) -> np.ndarray:
    """Hash each tile's facet, the bits of its centre and a seed to (N,) uint64 numbers that look random."""
    words = np.ascontiguousarray(point + 0.0, dtype=np.float64).view(np.uint64)  # + 0.0: one zero
    key = mix(np.asarray(facet).astype(np.uint64) ^ mix(np.array([seed % 2**64], dtype=np.uint64)))
    for axis in range(3):
        key = mix(key ^ words[:, axis])
    return key


def mix(words: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele, Lea and Flood, 2014): a hash that makes counters look random."""
    with np.errstate(over="ignore"):
        z = words * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
