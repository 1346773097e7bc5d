"""Single scattering at fixed centres inside tree canopies: transmitter, centre, user."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from sitetwin.backend import mitsuba
from sitetwin.rays.caster import RayCaster
from sitetwin.rays.device import array3
from sitetwin.site import Site

_CANDIDATES_PER_KEPT = 4


def canopy_pairs(
    site: Site, caster: RayCaster, transmitter: np.ndarray, users: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find scatter centres that both ends see: the `most` strongest of each user by the bound 1 / (d1 d2).

    Candidates are the centres nearest to the user; the bound only orders the paths, whose fields are computed later.

    Args:
        site: The site; its vegetation carries the scatter centres.
        caster: Ray caster of the same site.
        transmitter: (3,) position of the transmitter, metres.
        users: (U, 3) positions of the users, metres.
        most: Largest number of paths per user.

    Returns:
        User index (N,) int64 and centre index (N,) int64; sorted by user, then centre.
    """
    centres = site.vegetation.scatter_centres
    if not most or not len(centres) or not len(users):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    lit = np.flatnonzero(_clear(caster, np.broadcast_to(transmitter, centres.shape), centres))
    candidates = min(_CANDIDATES_PER_KEPT * most, len(lit))
    if not candidates:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    distance, nearest = cKDTree(centres[lit]).query(users, k=candidates)
    distance, nearest = distance.reshape(len(users), candidates), nearest.reshape(len(users), candidates)
    user = np.repeat(np.arange(len(users)), candidates)
    centre = lit[nearest.ravel()]
    seen = _clear(caster, users[user], centres[centre])
    first_leg = np.sqrt(((centres[lit] - transmitter) ** 2).sum(axis=1))[nearest]
    spread = np.where(seen.reshape(distance.shape), distance * first_leg, np.inf)
    rank = np.argsort(np.argsort(spread, axis=1, kind="stable"), axis=1)
    kept = (np.isfinite(spread) & (rank < most)).ravel()
    user, centre = user[kept], centre[kept]
    order = np.lexsort((centre, user))
    return user[order], centre[order]


def _clear(caster: RayCaster, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(N,) bool: no surface between two points."""
    import drjit as dr

    active = dr.full(mitsuba().Bool, True, len(start))
    origin = array3(np.array(start)) + dr.zeros(mitsuba().Float64, len(start))
    target = array3(np.array(end)) + dr.zeros(mitsuba().Float64, len(start))
    return np.asarray(caster.clear(origin, target, active).numpy())
