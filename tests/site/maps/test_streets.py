"""The streets of a map in the frame of a site: where they lie, how wide, and what is none."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely

from sitetwin.errors import SiteTwinError
from sitetwin.site import Georeference, ParkedVehicles, Site, area_grid
from sitetwin.site.latlon import to_geographic
from sitetwin.site.maps import Ledger, read_streets
from tests.site.conftest import block, make_town

OCTAGON = 2.0 * math.sqrt(2.0)  # area over radius squared: the round ends of a street are two halves of one


@pytest.fixture
def town() -> Site:
    """Some 200 m x 200 m of ground with a house beside the street y = 0."""
    bare = make_town([("house", block(10, 2, 30, 30, 8.0), 1)])
    return replace(bare, georeference=Georeference(48.14, 11.58))


def street_map(site: Site, folder: Path, *features: tuple[dict[str, str], list[tuple[float, float]]]) -> Path:
    """A GeoJSON file of lines, or of polygons where the last corner is the first, given in metres."""
    written = []
    for tags, points in features:
        lat, lon = to_geographic(site, np.array(points, dtype=float))
        line = np.column_stack([lon, lat]).tolist()
        closed = points[0] == points[-1]
        geometry = {"type": "Polygon" if closed else "LineString", "coordinates": [line] if closed else line}
        written.append({"type": "Feature", "properties": tags, "geometry": geometry})
    file = folder / "streets.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": written}))
    return file


def test_streets_are_as_wide_as_their_tags_say(town: Site, tmp_path: Path) -> None:
    west, east = -40.0, 40.0
    file = street_map(
        town,
        tmp_path,
        ({"highway": "residential"}, [(west, 0.0), (east, 0.0)]),
        ({"highway": "primary", "width": "12 m"}, [(west, -40.0), (east, -40.0)]),
        ({"highway": "pedestrian"}, [(-40, 30), (-20, 30), (-20, 50), (-40, 50), (-40, 30)]),
    )
    ledger = Ledger()
    streets = read_streets(file, town, ledger)
    assert sorted(streets.widths) == [5.5, 12.0]
    expected = 80 * 5.5 + OCTAGON * 2.75**2 + 80 * 12 + OCTAGON * 6**2 + 20 * 20
    assert streets.area(town).area == pytest.approx(expected, rel=1e-6)
    assert [(e.kind, e.count) for e in ledger.entries] == [("assumed", 1)]
    users, dropped = area_grid(town, streets.area(town), 0.5, 1.5)
    assert dropped > 0  # the house reaches over the edge of the street
    assert shapely.intersects_xy(streets.area(town), users[:, 0], users[:, 1]).all()
    assert (len(users) + dropped) * 0.25 == pytest.approx(expected, rel=0.03)


def test_what_is_no_street_of_the_ground_is_left_out(town: Site, tmp_path: Path) -> None:
    line = [(-40.0, 0.0), (40.0, 0.0)]
    others = [
        {"highway": "footway"},
        {"highway": "proposed"},
        {"waterway": "river"},
        {"highway": "primary", "tunnel": "yes"},
        {"highway": "primary", "bridge": "yes"},
        {"highway": "primary", "layer": "-1"},
    ]
    far = ({"highway": "primary"}, [(30_000.0, 0.0), (30_100.0, 0.0)])
    with pytest.raises(SiteTwinError, match="shows no street within"):
        read_streets(street_map(town, tmp_path, far, *((tags, line) for tags in others)), town)
    ledger = Ledger()
    file = street_map(town, tmp_path, ({"highway": "service"}, line), *((tags, line) for tags in others))
    assert read_streets(file, town, ledger).widths == (3.5,)
    assert ledger.count("dropped") == 3


def test_streets_end_where_the_site_ends(town: Site, tmp_path: Path) -> None:
    file = street_map(town, tmp_path, ({"highway": "residential"}, [(-5000.0, 0.0), (5000.0, 0.0)]))
    west, south, east, north = read_streets(file, town).area(town).bounds
    assert (west, east) == pytest.approx(tuple(town.bounds[:, 0]), abs=1e-6)
    assert (south, north) == pytest.approx((-2.75, 2.75), abs=1e-3)  # a parallel is curved in the plane


def test_vehicles_park_along_the_streets_of_a_map(town: Site, tmp_path: Path) -> None:
    file = street_map(town, tmp_path, ({"highway": "residential", "width": "8"}, [(-40.0, -20.0), (40.0, -20.0)]))
    streets = read_streets(file, town)
    vehicles = ParkedVehicles(count=4, streets=streets.points, street_width=streets.widths[0])
    parked = town.variant(vehicles=vehicles, rng=np.random.default_rng(0))
    added = parked.vertices[np.unique(parked.triangles[parked.triangle_object >= len(town.objects)])]
    assert len(added) == 4 * 8
    assert streets.area(town).buffer(0.1).contains(shapely.MultiPoint(added[:, :2]))
    assert parked.provenance["differences"][-1]["along"] == "streets"


def test_what_cannot_be_read_gets_a_sentence(town: Site, tmp_path: Path) -> None:
    file = street_map(town, tmp_path, ({"highway": "residential"}, [(-40.0, 0.0), (40.0, 0.0)]))
    with pytest.raises(SiteTwinError, match="does not say where on earth"):
        read_streets(file, replace(town, georeference=None))
    with pytest.raises(SiteTwinError, match=r"streets of the site 'town' cannot be read: .*does not exist"):
        read_streets(tmp_path / "none.osm", town)
    elsewhere = replace(town, georeference=Georeference(10.0, 20.0))
    with pytest.raises(SiteTwinError, match=r"streets of the site 'town' cannot be read: .*holds nothing"):
        read_streets(file, elsewhere)
