"""Find the roof edge with the best view of an area, as a first place for a base station."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from sitetwin.errors import SiteTwinError
from sitetwin.rays.caster import RayCaster
from sitetwin.rays.device import array3
from sitetwin.site import Pose, Site
from sitetwin.site.places.roofs import roof_places


def visible(
    site: Site,
    position: Float[np.ndarray, " 3"],
    users: Float[np.ndarray, "users 3"],
    caster: RayCaster | None = None,
) -> Bool[np.ndarray, " users"]:
    """Return whether each user is in line of sight of a place; canopies do not count.

    Args:
        site: The site.
        position: (3,) position of the viewer, metres.
        users: (N, 3) positions of the users, metres.
        caster: Ray caster of the site; give it if many places are tried.

    Returns:
        (N,) bool.
    """
    import drjit as dr

    from sitetwin.backend import mitsuba

    casts = caster or RayCaster(site)
    active = dr.full(mitsuba().Bool, True, len(users))
    return np.array(casts.clear(array3(position[None]), array3(users), active)).astype(bool)


def best_roof_edge(
    site: Site,
    users: np.ndarray,
    buildings: Sequence[str],
    *,
    spacing: float = 5.0,
    above: float = 2.0,
    inset: float = 0.3,
) -> tuple[Pose, float]:
    """Find the place along the roof edges of buildings with the largest share of users in line of sight.

    Args:
        site: The site.
        users: (N, 3) positions of the users, metres, for example from `sitetwin.site.area_grid`.
        buildings: Names of the candidate buildings.
        spacing: Metres between neighbouring places along an edge.
        above: Height over the roof, metres.
        inset: Distance of the places from the roof's edge, metres.

    Returns:
        The pose, which faces the middle of the users that it sees, and the share of these users. The first of equally
        good places is taken.

    Raises:
        SiteTwinError: There is no user, a building is unknown or too narrow, or no place sees any user.
    """
    if not len(users):
        raise SiteTwinError("there are no users to see; give at least one position")
    caster = RayCaster(site)
    best, seen = None, np.zeros(len(users), dtype=bool)
    for name in buildings:
        for pose in roof_places(site, name, spacing, above=above, inset=inset):
            sight = visible(site, np.array(pose.position), users, caster)
            if np.count_nonzero(sight) > np.count_nonzero(seen):
                best, seen = pose, sight
    if best is None:
        raise SiteTwinError(f"no place along the roof edges of {len(buildings)} buildings sees a user; name others")
    return best.facing(users[seen].mean(axis=0)), float(seen.mean())
