"""Where radios and users stand with respect to a site: on it, beside it or far off, and in words."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site.account import file_origin
from sitetwin.site.latlon import to_geographic
from sitetwin.site.places.placement import ground_height
from sitetwin.site.site import Site

_UNEVEN = 1.0  # metres, of users put over the lowest point of a site
_FAR = 1000.0  # metres
_SLACK = 1e-6  # metres: the rim belongs to the site


def check_on_site(site: Site, position: Float[np.ndarray, " 3"] | Sequence[float], who: str = "transmitter") -> None:
    """Say that a radio stands beside the site, and refuse one that is far off.

    Beside the site nothing was modelled, neither ground nor buildings. What lies farther outside than the site is wide
    (the diagonal of its plan) is a slip: degrees for metres, or the coordinates of another place.

    Args:
        site: The site.
        position: (3,) metres.
        who: What stands there, for the sentence.

    Raises:
        SiteTwinError: It is far off.
    """
    place = np.asarray(position, dtype=np.float64)
    off = float(_outside(site, place[None, :2])[0])
    if off <= _SLACK:
        return
    where = f"the {who} at ({place[0]:g}, {place[1]:g}, {place[2]:g}) m stands {off:,.0f} m outside the site"
    if off > _width(site):
        raise SiteTwinError(
            f"{where} '{site.name}', which spans {_plan(site)}; "
            + (_of_the_file(site, place[None, :2]) or "check the coordinates, or take a site that reaches so far")
        )
    warnings.warn(
        f"{where}, which spans {_plan(site)}: nothing is modelled there, neither ground nor buildings",
        SiteTwinWarning,
        stacklevel=3,
    )


def check_users_on_site(site: Site, users: Float[np.ndarray, "users 3"]) -> None:
    """Say how many users stand beside the site, and refuse users of whom none stands on it.

    Args:
        site: The site.
        users: (users, 3) metres.

    Raises:
        SiteTwinError: All of them are off the site.
    """
    if not len(users):
        return
    off = outside_site(site, users)
    count = int(np.count_nonzero(off))
    if count == len(users):
        raise SiteTwinError(
            f"no user stands on the site '{site.name}', which spans {_plan(site)}; the users' area is "
            f"{_plan_words(users)}: {_of_the_file(site, users[:, :2]) or 'move it onto the site'}"
        )
    if count:
        warnings.warn(
            f"{count:,} of {len(users):,} users stand outside the site, which spans {_plan(site)}: nothing is modelled "
            "there, neither ground nor buildings",
            SiteTwinWarning,
            stacklevel=3,
        )
    _say_groundless(site, users[~off])


def outside_site(site: Site, users: Float[np.ndarray, "users 3"]) -> Bool[np.ndarray, " users"]:
    """(users,) whether they stand beside the rectangle that the site spans in plan."""
    beside: np.ndarray = _outside(site, np.asarray(users, dtype=np.float64)[:, :2]) > _SLACK
    return beside


def _say_groundless(site: Site, users: np.ndarray) -> None:
    """Warn of users within the site for whom it has no ground, if that moves them by more than a metre."""
    heights = site.corners[site.is_ground][..., 2]
    if not len(users) or not len(heights) or heights.max() - site.bounds[0, 2] <= _UNEVEN:
        return
    count = int(np.isnan(ground_height(site, np.ascontiguousarray(users[:, :2]))).sum())
    if count:
        warnings.warn(
            f"{count:,} users stand within the site where it has no ground: grids put such users over its lowest "
            f"point, which is at {site.bounds[0, 2]:.2f} m, while its ground reaches {heights.max():.2f} m; choose an "
            "area with ground",
            SiteTwinWarning,
            stacklevel=4,
        )


def refuse_far_users(site: Site, users: Float[np.ndarray, "users 3"]) -> None:
    """Refuse users who all stand farther outside a site than it is wide, and more than a kilometre: a slip.

    Small meshes, such as one wall, have their users beside them.

    Args:
        site: The site.
        users: (users, 3) metres.

    Raises:
        SiteTwinError: They do.
    """
    places = np.asarray(users, dtype=np.float64)
    if len(places) and _outside(site, places[:, :2]).min() > max(_width(site), _FAR):
        raise SiteTwinError(
            f"all {len(places):,} users are far off the site '{site.name}', which spans {_plan(site)}; they span "
            f"{_plan_words(places)}: {_of_the_file(site, places[:, :2]) or 'check their coordinates'}"
        )


def place_words(site: Site, position: Float[np.ndarray, " 3"] | Sequence[float]) -> str:
    """Say where a radio stands: x, y, z; latitude and longitude where they are known; height above the ground."""
    x, y, z = (float(value) for value in position)
    words = [f"x {x:.2f}, y {y:.2f}, z {z:.2f} m"]
    if site.georeference is not None:
        latitude, longitude = to_geographic(site, [[x, y]])
        words.append(f"{latitude[0]:.6f}, {longitude[0]:.6f} (latitude, longitude)")
    ground = float(ground_height(site, np.array([[x, y]]))[0])
    words.append("no ground below" if math.isnan(ground) else f"{z - ground:.2f} m above the ground")
    return "; ".join(words)


def extent_words(site: Site, users: Float[np.ndarray, "users 3"]) -> str:
    """Say what users span: x, y, z, and latitudes and longitudes where they are known."""
    low, high = users.min(axis=0), users.max(axis=0)
    words = [f"{_plan_words(users)}, z {low[2]:.2f} to {high[2]:.2f} m"]
    if site.georeference is not None:
        latitude, longitude = to_geographic(site, [[low[0], low[1]], [high[0], high[1]]])
        words.append(f"{latitude[0]:.6f}, {longitude[0]:.6f} to {latitude[1]:.6f}, {longitude[1]:.6f}")
    return "; ".join(words)


def _outside(site: Site, points_xy: np.ndarray) -> np.ndarray:
    """(points,) metres in plan from the rectangle that the site spans; 0 within it."""
    low, high = site.bounds[0, :2], site.bounds[1, :2]
    beyond = np.maximum(np.maximum(low - points_xy, points_xy - high), 0.0)
    return np.hypot(beyond[:, 0], beyond[:, 1])


def _of_the_file(site: Site, points_xy: np.ndarray) -> str:
    """What to subtract from coordinates of the file that the site was made of, whose origin was moved; else nothing."""
    origin = file_origin(site)
    if origin is None or _outside(site, points_xy - np.array(origin[:2])).min() > _width(site):
        return ""
    return f"these are coordinates of its file, so subtract {origin[0]:.3f} from x and {origin[1]:.3f} from y"


def _width(site: Site) -> float:
    return float(np.hypot(*(site.bounds[1, :2] - site.bounds[0, :2])))


def _plan(site: Site) -> str:
    return _plan_words(site.bounds)


def _plan_words(points: np.ndarray) -> str:
    low, high = points.min(axis=0), points.max(axis=0)
    return f"x {low[0]:.1f} to {high[0]:.1f} m, y {low[1]:.1f} to {high[1]:.1f} m"
