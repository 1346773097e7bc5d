"""Where users are: in a rectangle in metres, in a box of degrees, on streets, or along a recorded drive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sitetwin.cli.options.groups import option_group
from sitetwin.cli.options.single import Height, Indoors, Spacing
from sitetwin.errors import SiteTwinError
from sitetwin.face.transmitter_texts import finite_numbers

if TYPE_CHECKING:
    import numpy as np

    from sitetwin.site import Site
    from sitetwin.site.maps import Ledger

Bounds = tuple[float, float, float, float]
_BOX_HELP = "Or their box SOUTH,WEST,NORTH,EAST in degrees; the site needs a georeference."
_AREA_HELP = "Users' rectangle XMIN,YMIN,XMAX,YMAX in metres."


def numbers(text: str, count: int, option: str) -> tuple[float, ...]:
    """Finite numbers separated by commas.

    Raises:
        SiteTwinError: They are not.
    """
    values = finite_numbers(text, count)
    if values is None:
        raise SiteTwinError(f"{option} is {text!r}; give {count} numbers separated by commas, without spaces")
    return tuple(values)


def _rectangle(text: str) -> Bounds:
    low_x, low_y, high_x, high_y = numbers(text, 4, "--area")
    if low_x >= high_x or low_y >= high_y:
        raise SiteTwinError(f"--area {text} is empty; give XMIN,YMIN,XMAX,YMAX with XMIN < XMAX and YMIN < YMAX")
    return low_x, low_y, high_x, high_y


@option_group("Users")
class UserArea:
    """Users on a grid over a rectangle in metres, or over a box of latitudes and longitudes."""

    area: Annotated[str | None, typer.Option(help=_AREA_HELP)] = None
    area_latlon: Annotated[str | None, typer.Option(help=_BOX_HELP)] = None
    spacing: Spacing = 1.0
    height: Height = 1.5
    indoors: Indoors = False

    def bounds(self) -> tuple[Bounds, bool]:
        """(xmin, ymin, xmax, ymax) in metres, or (south, west, north, east) and True for degrees.

        Raises:
            SiteTwinError: None or both were given, or the rectangle is empty or no rectangle.
        """
        if (self.area is None) == (self.area_latlon is None):
            said = "no place for users" if self.area is None else "--area and --area-latlon"
            raise SiteTwinError(f"{said} was given; give one of --area, --area-latlon")
        if self.area is not None:
            return _rectangle(self.area), False
        south, west, north, east = numbers(str(self.area_latlon), 4, "--area-latlon")
        return (south, west, north, east), True


@option_group("Users")
class UserPlaces:
    """Users at exactly one of a rectangle in metres, a box of latitudes and longitudes, a map and a GPX file."""

    area: Annotated[str | None, typer.Option(help=_AREA_HELP)] = None
    area_latlon: Annotated[str | None, typer.Option(help=_BOX_HELP)] = None
    streets: Annotated[
        Path | None,
        typer.Option(help="Or a map (.osm, .geojson, ...) on whose streets they stand; the site needs a georeference."),
    ] = None
    gpx: Annotated[
        Path | None,
        typer.Option(help="Or a GPX file along whose tracks they stand, --spacing apart."),
    ] = None
    spacing: Spacing = 1.0
    height: Height = 1.5
    indoors: Indoors = False

    def check(self) -> None:
        """Make sure that the options name one place.

        Raises:
            SiteTwinError: None or several of them were given, or one is not what it should be.
        """
        given = {
            "--area": self.area,
            "--area-latlon": self.area_latlon,
            "--streets": self.streets,
            "--gpx": self.gpx,
        }
        named = [option for option, value in given.items() if value is not None]
        if len(named) != 1:
            said = " and ".join(named) or "no place for users"
            raise SiteTwinError(f"{said} was given; give one of {', '.join(given)}")
        if self.area is not None:
            _rectangle(self.area)
        if self.area_latlon is not None:
            numbers(self.area_latlon, 4, "--area-latlon")

    def users(self, site: Site, account: Ledger | None = None) -> tuple[np.ndarray, int]:
        """(N, 3) positions in metres, and how many were dropped inside buildings; the account takes all else.

        Raises:
            SiteTwinError: As `sitetwin.grid`, `sitetwin.users_on_streets` and `sitetwin.users_along`.
        """
        import sitetwin as st
        from sitetwin.face.users import INDOORS
        from sitetwin.site.maps import Ledger

        ledger = Ledger() if account is None else account
        how: Any = {"allow_indoors": self.indoors, "ledger": ledger}
        if self.area is not None:
            users = st.grid(site, _rectangle(self.area), self.spacing, self.height, **how)
        elif self.area_latlon is not None:
            south, west, north, east = numbers(self.area_latlon, 4, "--area-latlon")
            users = st.grid(site, (south, west, north, east), self.spacing, self.height, degrees=True, **how)
        elif self.streets is not None:
            users = st.users_on_streets(site, self.streets, self.spacing, self.height, **how)
        else:
            assert self.gpx is not None  # `check` has seen to it
            users = st.users_along(site, self.gpx, self.spacing, self.height, **how)
        return users, sum(entry.count for entry in ledger.entries if entry.what == INDOORS)
