"""Diffuse scattering from surfaces: paths transmitter, tile, user, with no other interaction.

Of the tiles that the transmitter lights, each user keeps the strongest by a geometric bound: the power that tiles of
one and the same Lambertian material would scatter to it, ``A cos_i / d1^2 * cos_s / d2^2`` (A the tile's area, d1 and
d2 its distances, cos_i and cos_s the cosines at its normal). The material of a tile enters later, in the fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sitetwin.backend import mitsuba
from sitetwin.rays.caster import RayCaster
from sitetwin.rays.device import array3
from sitetwin.rays.paths import Interaction, Paths
from sitetwin.rays.scatter.bounces import insert_single_bounces
from sitetwin.rays.scatter.tiles import surface_tiles
from sitetwin.site import Site
from sitetwin.site.facets import dot

_CANDIDATES_PER_KEPT = (4, 16)
"""Tiles whose view is tested for each path that is kept: first the fewer, the more for users who still lack some."""

_BOXES = (64.0, 8.0)  # m; users are boxed twice, and tiles too weak for a whole box are never looked at again
_ENTRIES = 1 << 20  # (user, tile) pairs weighed at once
_SLACK = 1e-9  # relative; bounds are widened by this much against rounding


def add_diffuse(site: Site, paths: Paths, most: int, tile_m: float, caster: RayCaster) -> Paths:
    """Add the paths that single tiles scatter to the users.

    Args:
        site: The site.
        paths: Specular paths.
        most: Largest number of diffuse paths per user.
        tile_m: Longest edge of a tile, metres.
        caster: Ray caster of the site.
    """
    user, tile = diffuse_pairs(site, caster, paths.transmitter, paths.users, most, tile_m)
    tiles = surface_tiles(site, tile_m)
    return insert_single_bounces(paths, user, Interaction.DIFFUSE, tiles.facet[tile], tiles.centre[tile])


def diffuse_pairs(
    site: Site, caster: RayCaster, transmitter: np.ndarray, users: np.ndarray, most: int, tile_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Find the tiles that scatter most to each user, among those that both ends see.

    The 16 times `most` strongest tiles by the bound are candidates; of these, the `most` strongest that rays confirm
    are kept. A user's tiles do not depend on the other users.

    Args:
        site: The site.
        caster: Ray caster of the same site.
        transmitter: (3,) position of the transmitter, metres.
        users: (U, 3) positions of the users, metres.
        most: Largest number of paths per user.
        tile_m: Longest edge of a tile, metres.

    Returns:
        User (N,) int64 and tile (N,) int64, an index into `surface_tiles`; sorted by user, then tile.
    """
    lit = _Lit.of(site, caster, transmitter, tile_m)
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    if most and len(lit.tile):
        for box in _boxes(users, np.arange(len(users)), _BOXES[0]):
            found.append(_of_box(lit, caster, users, box, most))
    user, tile = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((tile, user))
    return user[order], tile[order]


@dataclass(frozen=True, eq=False)
class _Lit:
    """The tiles that the transmitter sees, L of them.

    Attributes:
        tile: (L,) int64, index into the tiles, ascending.
        centre: (L, 3) metres.
        facet: (L,) int32.
        normal: (L, 3) unit normals on the lit side.
        offset: (L,) metres, of the planes with those normals.
        weight: (L,) ``A cos_i / d1^2``.
    """

    tile: np.ndarray
    centre: np.ndarray
    facet: np.ndarray
    normal: np.ndarray
    offset: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, site: Site, caster: RayCaster, transmitter: np.ndarray, tile_m: float) -> _Lit:
        tiles = surface_tiles(site, tile_m)
        step = tiles.centre - transmitter
        square = step[:, 0] ** 2 + step[:, 1] ** 2 + step[:, 2] ** 2
        normal, offset = site.facet_normal[tiles.facet], site.facet_offset[tiles.facet]
        height = dot(normal, transmitter) - offset
        side = np.where(height < 0, -1.0, 1.0)
        seen = _sees(caster, np.broadcast_to(transmitter, tiles.centre.shape), tiles.centre, tiles.facet)
        tile = np.flatnonzero(seen & (height != 0))
        return cls(
            tile,
            tiles.centre[tile],
            tiles.facet[tile],
            (side[:, None] * normal)[tile],
            (side * offset)[tile],
            (tiles.area * np.abs(height) / (square * np.sqrt(square)))[tile],
        )

    def take(self, index: np.ndarray) -> _Lit:
        """Take some of the tiles."""
        return _Lit(*(array[index] for array in vars(self).values()))

    def strengths(self, users: np.ndarray) -> np.ndarray:
        """(N, L) the bound for N users; 0 or less where the user is behind the tile."""
        step = [users[:, axis, None] - self.centre[:, axis] for axis in range(3)]
        square = step[0] * step[0] + step[1] * step[1] + step[2] * step[2]
        height = dot(self.normal, users[:, None]) - self.offset
        return self.weight * height / (square * np.sqrt(square))

    def strong_for(self, low: np.ndarray, high: np.ndarray, needed: int) -> np.ndarray:
        """Find all tiles that may be among the `needed` strongest of any user within a box."""
        gap = np.maximum(np.maximum(low - self.centre, self.centre - high), 0.0)
        reach = np.maximum(np.abs(low - self.centre), np.abs(high - self.centre))
        one, other = self.normal * low, self.normal * high
        top = np.maximum(one, other).sum(axis=1) - self.offset
        bottom = np.minimum(one, other).sum(axis=1) - self.offset
        with np.errstate(divide="ignore", invalid="ignore"):
            most = self.weight * top / (gap * gap).sum(axis=1) ** 1.5 * (1 + _SLACK)
            least = self.weight * np.maximum(bottom, 0) / (reach * reach).sum(axis=1) ** 1.5 * (1 - _SLACK)
        possible = top > 0
        if np.count_nonzero(possible) > needed:
            possible &= most >= np.partition(least, -needed)[-needed]
        return np.flatnonzero(possible)


def _of_box(
    lit: _Lit, caster: RayCaster, users: np.ndarray, members: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """User and tile of the paths of the users of a large box."""
    needed = _CANDIDATES_PER_KEPT[1] * most
    users = users[members]
    near = lit.take(lit.strong_for(users.min(axis=0), users.max(axis=0), needed))
    parts = []
    for small in _boxes(users, np.arange(len(users)), _BOXES[1]):
        few = near.take(near.strong_for(users[small].min(axis=0), users[small].max(axis=0), needed))
        at_once = max(1, _ENTRIES // max(1, len(few.tile)))
        for first in range(0, len(small), at_once):
            some = small[first : first + at_once]
            row, column, rank = _strongest(few.strengths(users[some]), needed)
            parts.append((some[row], few.tile[column], few.centre[column], few.facet[column], rank))
    user, tile, centre, facet, rank = (np.concatenate(column) for column in zip(*parts, strict=True))
    seen = np.zeros(len(user), dtype=bool)
    for low, high in zip((0, *_CANDIDATES_PER_KEPT), _CANDIDATES_PER_KEPT, strict=False):
        lacking = np.bincount(user[seen], minlength=len(users)) < most
        test = np.flatnonzero((rank >= low * most) & (rank < high * most) & lacking[user])
        seen[test] = _sees(caster, users[user[test]], centre[test], facet[test])
    user, tile, rank = user[seen], tile[seen], rank[seen]
    order = np.lexsort((rank, user))
    user, tile = user[order], tile[order]
    keep = np.arange(len(user)) - np.searchsorted(user, user) < most
    return members[user[keep]], tile[keep]


def _strongest(strength: np.ndarray, needed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and rank of the largest positive entries of each row; among equals the lower column first."""
    keep = strength > 0
    if strength.shape[1] > needed:
        keep &= strength >= np.partition(strength, -needed, axis=1)[:, -needed, None]
    row, column = np.nonzero(keep)
    order = np.lexsort((column, -strength[row, column], row))
    row, column = row[order], column[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    chosen = rank < needed
    return row[chosen], column[chosen], rank[chosen]


def _boxes(users: np.ndarray, members: np.ndarray, size: float) -> Iterator[np.ndarray]:
    """The given users by cubes of a fixed grid, as arrays of indices."""
    cell = np.floor(users[members] / size).astype(np.int64)
    order = np.lexsort(cell.T)
    fresh = np.flatnonzero((cell[order][1:] != cell[order][:-1]).any(axis=1)) + 1
    for part in np.split(members[order], fresh):
        if len(part):
            yield part


def _sees(caster: RayCaster, start: np.ndarray, centre: np.ndarray, facet: np.ndarray) -> np.ndarray:
    """(N,) bool: the first thing that the ray towards a tile's centre meets is the tile's facet."""
    import drjit as dr

    mi = mitsuba()
    if not len(facet):
        return np.zeros(0, dtype=bool)
    lanes = dr.zeros(mi.Float64, len(facet))
    hit = caster.first_facet(
        array3(np.array(start)) + lanes, array3(centre) + lanes, dr.full(mi.Bool, True, len(facet))
    )
    return np.asarray(hit.numpy()) == facet
