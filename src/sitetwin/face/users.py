"""Place users on a grid, on streets, or along a recorded drive."""

from __future__ import annotations

from numbers import Real
from pathlib import Path

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.face.places import checked_site
from sitetwin.rays.moving.drives import places_along, trajectories_from_gpx
from sitetwin.site import Site, area_grid, ground_height, inside_building, latlon_box, user_grid
from sitetwin.site.maps import Ledger, read_streets
from sitetwin.site.places.extent import check_users_on_site
from sitetwin.site.summary import ground_text

INDOORS = "users inside buildings"
"""Line of the account that counts the users who were left out."""

COVERED = "users under a deck, an eave or another cover: outdoors, for they reach the open sky"
"""Line of the account that counts the users who were kept although something is above them."""


def grid(
    site: Site,
    area: tuple[float, float, float, float],
    spacing: float = 1.0,
    height: float = 1.5,
    *,
    degrees: bool = False,
    allow_indoors: bool = False,
    ledger: Ledger | None = None,
) -> Float[np.ndarray, "users 3"]:
    """Place users on a regular grid over a rectangle; those inside buildings are left out.

    Args:
        site: The site.
        area: (xmin, ymin, xmax, ymax) in metres; with `degrees`, (south, west, north, east).
        spacing: Metres between neighbouring users.
        height: Height of the users above the ground, metres.
        degrees: Whether the area is a box of latitudes and longitudes; the site needs a georeference then.
        allow_indoors: Keep users inside buildings.
        ledger: Account (`sitetwin.site.maps.Ledger`) that records which objects are the ground, and how many users were
            left out, or kept under a cover.

    Returns:
        (users, 3) positions in metres, row by row from the south, each from the west.

    Raises:
        SiteTwinError: The area is empty, too large or off the site, a number is impossible, or no user stands outdoors.
    """
    site = checked_site(site)
    if len(area) != 4 or not all(isinstance(side, Real) for side in area):
        raise SiteTwinError(f"the users' area is {str(area)[:60]}; give four numbers (xmin, ymin, xmax, ymax)")
    if degrees:
        box = latlon_box(site, *area)
        users, dropped = area_grid(site, box, spacing, height, allow_indoors=allow_indoors)
    else:
        users, dropped = user_grid(area, spacing, height, site, allow_indoors=allow_indoors)
    check_users_on_site(site, users)
    return _counted(site, users, dropped, ledger)


def users_on_streets(
    site: Site,
    streets: str | Path,
    spacing: float = 1.0,
    height: float = 1.5,
    *,
    allow_indoors: bool = False,
    ledger: Ledger | None = None,
) -> Float[np.ndarray, "users 3"]:
    """Place users on a regular grid over the streets of a map; those inside buildings are left out.

    Args:
        site: The site; it needs a georeference.
        streets: Map file (.osm, .geojson, ...) of the same place.
        spacing: Metres between neighbouring users.
        height: Height of the users above the ground, metres.
        allow_indoors: Keep users inside buildings.
        ledger: Account that records users and streets that were left out, and widths that were assumed.

    Returns:
        (users, 3) positions in metres, row by row from the south, each from the west.

    Raises:
        SiteTwinError: The site has no georeference, the map shows no street of the site, a number is impossible, or no
            user stands outdoors.
    """
    area = read_streets(streets, site, ledger).area(site)
    return _counted(site, *area_grid(site, area, spacing, height, allow_indoors=allow_indoors), ledger)


def users_along(
    site: Site,
    gpx: str | Path,
    spacing: float = 1.0,
    height: float = 1.5,
    *,
    allow_indoors: bool = False,
    ledger: Ledger | None = None,
) -> Float[np.ndarray, "users 3"]:
    """Place users along the tracks of a GPX file at equal distances; those inside buildings are left out.

    Args:
        site: The site; it needs a georeference.
        gpx: Path of the GPX file with a recorded drive or walk.
        spacing: Metres of distance between neighbouring users.
        height: Height of the users above the ground, metres.
        allow_indoors: Keep users inside buildings.
        ledger: Account that records users and points of the track that were left out.

    Returns:
        (users, 3) positions in metres, in the order of the drive.

    Raises:
        SiteTwinError: The file is no GPX, the site has no georeference, no track lies within it, a number is
            impossible, or no user stands outdoors.
    """
    drives = trajectories_from_gpx(gpx, site, height=height, speed=1.0, ledger=ledger)  # a speed moves no place
    users = np.concatenate([places_along(drive, site, spacing, height) for drive in drives])
    kept = users if allow_indoors else users[~inside_building(site, users)]
    if not len(kept):
        raise SiteTwinError(f"all {len(users)} users along {gpx} are inside buildings; check the georeference")
    return _counted(site, kept, len(users) - len(kept), ledger)


def note_ground(site: Site, users: Float[np.ndarray, "users 3"], ledger: Ledger) -> None:
    """Tell an account which objects are the ground, and of users over no ground, or below a cover.

    Args:
        site: The site.
        users: (users, 3) positions of the users who were kept, metres.
        ledger: The account.
    """
    ledger.note("assumed", f"ground: {ground_text(site)}", count=len(site.ground_objects))
    over_nothing = int(np.isnan(ground_height(site, users[:, :2])).sum())
    if over_nothing:
        lowest = f"users over no ground: they stand above the site's lowest point, z = {site.bounds[0, 2]:.2f} m"
        ledger.note("assumed", lowest, count=over_nothing)
    covered = int(site.open_air.covered(users).sum())
    if covered:
        ledger.note("assumed", COVERED, count=covered)


def _counted(site: Site, users: np.ndarray, dropped: int, ledger: Ledger | None) -> np.ndarray:
    """The users, after the account was told of the ground and of those that were left out."""
    if ledger is not None:
        note_ground(site, users, ledger)
        if dropped:
            ledger.note("dropped", INDOORS, count=dropped)
    return users
