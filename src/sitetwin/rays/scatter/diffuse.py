"""Diffuse scattering from surfaces: paths transmitter, tile, user, with no other interaction.

Of the tiles that the transmitter lights, each user keeps those that can carry most: the strongest by the power that
they would scatter to it if their surfaces reflected all, ``S^2 A cos_i f_s / (d1^2 d2^2)`` (S and the pattern f_s are
those of the material, A is the tile's area, d1 and d2 are its distances, cos_i is the cosine of incidence). Surfaces
that do not scatter have no tiles. The reflection coefficient, which depends on the carrier, enters later, in the
fields. Where no surface of a site scatters, all count as Lambertian ones that scatter alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from sitetwin.rays.caster import RayCaster
from sitetwin.rays.paths import Interaction, Paths
from sitetwin.rays.scatter.account import ACCOUNT, SMOOTH, account_of
from sitetwin.rays.scatter.bounces import insert_single_bounces
from sitetwin.rays.scatter.lit import LitTiles, sees
from sitetwin.rays.scatter.roughness import Roughness
from sitetwin.rays.scatter.tiles import surface_tiles
from sitetwin.site import Site

_CANDIDATES_PER_KEPT = (4, 16)
"""Tiles whose view is tested for each path that is kept: first the fewer, the more for users who still lack some."""

_BOXES = (64.0, 8.0)  # m; users are boxed twice, and tiles too weak for a whole box are never looked at again
_ENTRIES = 1 << 20  # (user, tile) pairs weighed at once


def add_diffuse(site: Site, paths: Paths, most: int, tile_m: float, caster: RayCaster) -> Paths:
    """Add the paths that single tiles scatter to the users, and an account of them to the attributes.

    Args:
        site: The site.
        paths: Specular paths.
        most: Largest number of diffuse paths per user.
        tile_m: Longest edge of a tile, metres.
        caster: Ray caster of the site.
    """
    lit = LitTiles.of(site, caster, paths.transmitter, tile_m)
    user, tile = _pairs(lit, caster, paths.users, most)
    tiles = surface_tiles(site, tile_m)
    added = insert_single_bounces(paths, user, Interaction.DIFFUSE, tiles.facet[tile], tiles.centre[tile])
    account = {
        ACCOUNT: account_of(site, lit, caster, paths.users, user, tile),
        SMOOTH: Roughness.of(site).smooth,
    }
    return replace(added, attributes={**added.attributes, **account})


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
    return _pairs(LitTiles.of(site, caster, transmitter, tile_m), caster, users, most)


def _pairs(lit: LitTiles, caster: RayCaster, users: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    if most and len(lit.tile):
        for box in _boxes(users, np.arange(len(users)), _BOXES[0]):
            found.append(_of_box(lit, caster, users, box, most))
    user, tile = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((tile, user))
    return user[order], tile[order]


def _of_box(
    lit: LitTiles, caster: RayCaster, users: np.ndarray, members: np.ndarray, most: int
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
            row, column, rank = _strongest(few.strengths(users[some][:, None]), needed)
            parts.append((some[row], few.tile[column], few.centre[column], few.facet[column], rank))
    user, tile, centre, facet, rank = (np.concatenate(column) for column in zip(*parts, strict=True))
    seen = np.zeros(len(user), dtype=bool)
    for low, high in zip((0, *_CANDIDATES_PER_KEPT), _CANDIDATES_PER_KEPT, strict=False):
        lacking = np.bincount(user[seen], minlength=len(users)) < most
        test = np.flatnonzero((rank >= low * most) & (rank < high * most) & lacking[user])
        seen[test] = sees(caster, users[user[test]], centre[test], facet[test])
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
