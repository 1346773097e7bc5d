"""Read the streets of a map in the frame of a site, for users, lamp posts and parked cars."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from sitetwin.errors import SiteTwinError
from sitetwin.site.latlon import origin_of, to_geographic
from sitetwin.site.maps.clipping import Radius
from sitetwin.site.maps.features import Feature
from sitetwin.site.maps.ground_areas import LANES, line_width, off_the_ground, strips, valid_area
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.readers import read_map
from sitetwin.site.projection import FARTHEST
from sitetwin.site.site import Site

STREETS = frozenset(LANES) - {"track", "cycleway", "footway", "path", "steps", "bridleway"}
"""Values of `highway` that are streets; the others are ways beside or away from them."""

_AROUND = 50.0  # metres beyond the site up to which streets are read: half a wide one, and the rounding of a circle


@dataclass(frozen=True, eq=False)
class Streets:
    """Streets within the bounds of a site, in its frame.

    Attributes:
        lines: Centre lines of the streets, metres.
        widths: Width of each street, metres.
        squares: Streets that the map draws as areas, such as pedestrian squares.
    """

    lines: tuple[BaseGeometry, ...]
    widths: tuple[float, ...]
    squares: tuple[BaseGeometry, ...]

    @property
    def points(self) -> tuple[tuple[tuple[float, float], ...], ...]:
        """Return the centre lines as points (x, y), metres, as `sitetwin.site.ParkedVehicles` takes them."""
        return tuple(tuple((x, y) for x, y in shapely.get_coordinates(line).tolist()) for line in self.lines)

    def area(self, site: Site) -> BaseGeometry:
        """Return the area that the streets cover in plan within the bounds of a site, metres."""
        covered = [*self.squares, *(strips([line], width) for line, width in zip(self.lines, self.widths, strict=True))]
        return shapely.intersection(shapely.union_all(covered), _frame(site))


def read_streets(file: str | Path, site: Site, ledger: Ledger | None = None) -> Streets:
    """Read the streets of a site from a map.

    Streets are the ways for vehicles and pedestrian streets (`STREETS`). Their widths are those of the ground of an
    imported map: by `width`, `lanes` or the table of classes. Bridges, tunnels and ways below the ground are left out.

    Args:
        file: Path of a map in any format that `read_map` takes.
        site: The site; it needs a georeference.
        ledger: Account of the import; it records what was left out, and assumed widths.

    Raises:
        SiteTwinError: The site has no georeference, the file is not a map, or the map shows no street within the site.
    """
    origin, ledger = origin_of(site), ledger if ledger is not None else Ledger()
    low, high = site.bounds[0, :2], site.bounds[1, :2]
    latitude, longitude = to_geographic(site, (0.5 * (low + high))[None])
    reach = min(0.5 * float(np.hypot(*(high - low))) + _AROUND, FARTHEST)
    around = Radius(float(latitude[0]), float(longitude[0]), reach)
    try:
        found, _ = read_map(file, clip=around, origin=(origin.latitude, origin.longitude))
    except SiteTwinError as error:
        raise SiteTwinError(f"the streets of the site '{site.name}' cannot be read: {error}") from error
    lines: list[BaseGeometry] = []
    widths: list[float] = []
    squares: list[BaseGeometry] = []
    for feature in found.features:
        if not _is_street(feature, ledger):
            continue
        if feature.geometry.geom_type not in ("LineString", "MultiLineString"):
            square = valid_area(feature, ledger)
            squares += [] if square is None else [square]
            continue
        width = line_width(feature, ledger)
        if width is None:
            continue
        inside = [line for line in shapely.get_parts(feature.geometry) if shapely.intersects(line, _frame(site))]
        lines += inside
        widths += [width] * len(inside)
    streets = Streets(tuple(lines), tuple(widths), tuple(squares))
    if not streets.area(site).area > 0:
        raise SiteTwinError(
            f"'{Path(file).name}' shows no street within the site '{site.name}'; give a map of the same place whose "
            f"streets have OpenStreetMap's tag highway ({', '.join(sorted(STREETS)[:4])}, ...)"
        )
    return streets


def _is_street(feature: Feature, ledger: Ledger) -> bool:
    kind = feature.tags.get("highway")
    if kind not in STREETS or feature.geometry.geom_type in ("Point", "MultiPoint"):
        return False
    reason = off_the_ground(feature.tags)
    if reason is not None:
        ledger.note("dropped", f"street {reason}", feature.key)
    return reason is None


def _frame(site: Site) -> BaseGeometry:
    (west, south, _), (east, north, _) = site.bounds.tolist()
    return shapely.box(west, south, east, north)
