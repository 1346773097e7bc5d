"""A place over the antimeridian is a place like others, in maps, boxes, users and exports, whole turns aside."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

import sitetwin
from sitetwin.errors import SiteTwinError
from sitetwin.site import Site, export_footprints, latlon_box, place_latlon
from sitetwin.site.antimeridian import cut_in_two, side_by_side, width, wrapped
from sitetwin.site.latlon import to_geographic, to_local
from sitetwin.site.maps import Box, LocalProjection, Radius, read_map, site_from_map
from tests.site.maps.osm_files import Town, overpass, town, write, xml
from tests.site.maps.test_osm import by_key

FAR = 166.5995  # degrees from the town of the other tests to one over the antimeridian
TURNS = st.sampled_from((-360.0, 0.0, 360.0))


def geojson(made: Town, turn: float) -> bytes:
    """The closed ways of a town, some of their corners a whole turn away."""
    rows = []
    for number, (refs, tags) in made.ways.items():
        ring = [[made.nodes[r][0] + (turn if made.nodes[r][0] < 0 else 0.0), made.nodes[r][1]] for r in refs]
        if tags and refs[0] == refs[-1]:
            shape = {"type": "Polygon", "coordinates": [ring]}
            rows.append({"type": "Feature", "id": f"way/{number}", "properties": tags, "geometry": shape})
    return json.dumps({"type": "FeatureCollection", "features": rows}).encode()


def over_the_line(turn: float = 0.0) -> Town:
    """The town of the other tests, with its middle at 180 degrees; its western half a whole turn away, if asked."""
    made = town(13.4 + FAR)
    for number, (x, y, tags) in made.nodes.items():
        made.nodes[number] = (wrapped(x) + (turn if wrapped(x) < 0 else 0.0), y, tags)
    return made


@pytest.mark.parametrize("form", ["xml", "overpass", "geojson"])
@pytest.mark.parametrize("turn", [0.0, 360.0])
def test_it_is_the_town_that_it_is_elsewhere(tmp_path: Path, form: str, turn: float) -> None:
    """The projection does not know longitudes, only differences of them: courts, ways and parks are the same."""
    forms = {"xml": xml, "overpass": overpass, "geojson": lambda made: geojson(made, 0.0)}
    name = "m.geojson" if form == "geojson" else "m.json" if form == "overpass" else "m.osm"
    here, _ = read_map(write(tmp_path / f"here-{name}", forms[form](town())))
    there, _ = read_map(write(tmp_path / f"there-{name}", forms[form](over_the_line(turn))))
    assert there.georeference.longitude == pytest.approx(wrapped(here.georeference.longitude + FAR), abs=1e-9)
    assert [f.key for f in here.features] == [f.key for f in there.features]
    for a, b in zip(here.features, there.features, strict=True):
        assert shapely.hausdorff_distance(a.geometry, b.geometry) < 1e-5
        assert a.geometry.geom_type == b.geometry.geom_type


@pytest.fixture(scope="module")
def fiji(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Town()
    made.square(1, 179.9995, -16.8, 2e-4, building="yes", height="12")
    made.ring(2, [(179.9999, -16.8), (-179.9999, -16.8), (-179.9999, -16.7998), (179.9999, -16.7998)], building="yes")
    made.square(3, -179.9997, -16.8, 2e-4, building="yes", height="9")
    file = write(tmp_path_factory.mktemp("fiji") / "fiji.osm", xml(made, bounds=(179.999, -16.801, -179.999, -16.799)))
    return site_from_map(*read_map(file))


def test_the_bounds_of_a_file_may_cross_it(fiji: Site) -> None:
    assert fiji.georeference is not None
    assert abs(fiji.georeference.longitude) == pytest.approx(180.0, abs=1e-9)
    assert fiji.georeference.latitude == pytest.approx(-16.8)


@given(x=st.floats(-200, 200), y=st.floats(-200, 200), turn=TURNS)
def test_whole_turns_are_the_same_place(fiji: Site, x: float, y: float, turn: float) -> None:
    latitude, longitude = to_geographic(fiji, np.array([[x, y]]))
    np.testing.assert_allclose(to_local(fiji, latitude, longitude + turn), [[x, y]], atol=1e-5)
    assert wrapped(wrapped(float(longitude[0]) + turn) - float(longitude[0])) == pytest.approx(0.0, abs=1e-10)


@given(west=st.floats(1, 90), east=st.floats(1, 90), turns=st.tuples(TURNS, TURNS))
def test_users_in_a_box_over_it(fiji: Site, west: float, east: float, turns: tuple[float, float]) -> None:
    sides = 180.0 - west * 1e-5 + turns[0], -180.0 + east * 1e-5 + turns[1]
    area = latlon_box(fiji, -16.801, sides[0], -16.7995, sides[1])
    assert area.is_valid
    assert area.area == pytest.approx((west + east) * 1e-5 * 106_570 * 1.5e-3 * 110_650, rel=0.01)
    box = Box(sides[0], -16.801, sides[1], -16.7995).region(LocalProjection(-16.8, 180.0))
    assert box.symmetric_difference(area).area < 0.02 * area.area + 1.0


def test_a_box_the_other_way_round_the_earth_is_refused(fiji: Site) -> None:
    with pytest.raises(SiteTwinError, match=r"359\.998 degrees wide.*west > east is over the antimeridian"):
        latlon_box(fiji, -16.801, -179.999, -16.799, 179.999)
    with pytest.raises(SiteTwinError, match="is empty"):
        latlon_box(fiji, -16.801, 180.0, -16.799, -180.0)
    with pytest.raises(SiteTwinError, match="empty"):
        Box(180.0, -16.801, -180.0, -16.799)
    with pytest.raises(SiteTwinError, match="no latitude and longitude"):
        to_local(fiji, [-16.8], [541.0])


@pytest.mark.parametrize("turn", [-360.0, 0.0, 360.0])
def test_stations_and_origins_on_it(fiji: Site, turn: float) -> None:
    height = place_latlon(fiji, -16.79993, -179.9996 + turn, 2.0, "roof").position[2]
    assert height == pytest.approx(11.0, abs=1e-6)
    assert Radius(-16.8, -179.9996 + turn, 10.0).longitude == pytest.approx(-179.9996, abs=1e-10)
    placed = sitetwin.site.with_georeference(fiji, -16.8, (179.9 if turn <= 0 else -180.1) + turn)
    assert placed.georeference is not None
    assert placed.georeference.longitude == pytest.approx(179.9, abs=1e-10)


def test_poles_are_no_sites(tmp_path: Path) -> None:
    made = Town()
    made.square(1, 10.0, 89.5, 1e-4, building="yes")
    file = write(tmp_path / "pole.osm", xml(made))
    for clip in (None, Radius(89.5, 10.0, 100.0)):
        with pytest.raises(SiteTwinError, match="at most 89 degrees from the equator"):
            read_map(file, clip=clip)


def test_an_export_is_cut_in_two(fiji: Site, tmp_path: Path) -> None:
    """RFC 7946, 3.1.9; what is read again is the building that it was."""
    export_footprints(fiji, tmp_path / "e.geojson")
    features = {f["id"]: f for f in json.loads((tmp_path / "e.geojson").read_text())["features"]}
    shape = shapely.from_geojson(json.dumps(features["way/2"]["geometry"]))
    assert (shape.geom_type, len(shape.geoms)) == ("MultiPolygon", 2)
    assert sorted(p.bounds[0] > 0 for p in shape.geoms) == [False, True]
    assert max(p.bounds[2] - p.bounds[0] for p in shape.geoms) < 1e-3
    assert all(p.exterior.is_ccw for p in shape.geoms)
    assert shapely.from_geojson(json.dumps(features["way/3"]["geometry"])).geom_type == "Polygon"
    again, _ = read_map(tmp_path / "e.geojson", origin=(-16.8, 180.0))
    before = LocalProjection(-16.8, 180.0).project(np.array([shapely.box(179.9999, -16.8, 180.0001, -16.7998)]))[0]
    after = shapely.union_all(shapely.set_precision(by_key(again)["way/2"].geometry, 1e-3))
    assert after.symmetric_difference(before).area < 0.05


@given(st.floats(-400, 400), st.floats(0.01, 300), st.floats(-80, 80), st.integers(3, 9))
def test_cut_shapes_cover_what_the_whole_covered(x: float, size: float, y: float, corners: int) -> None:
    angle = 2 * np.pi * np.arange(corners) / corners
    whole = shapely.Polygon(np.column_stack([x + size / 2 * np.cos(angle), y + np.sin(angle)]))
    cut = cut_in_two(whole)
    assert cut.area == pytest.approx(whole.area, rel=1e-9)
    assert -180 <= cut.bounds[0] <= cut.bounds[2] <= 180
    line = cut_in_two(whole.exterior)
    assert line.length == pytest.approx(whole.exterior.length, rel=1e-9)


@given(st.floats(-180, 180), st.floats(0.001, 170))
def test_lines_lie_side_by_side(west: float, wide: float) -> None:
    lines = [np.array([[wrapped(west), 1.0]]), np.array([[wrapped(west + wide), 2.0], [wrapped(west + wide / 2), 2.0]])]
    found = np.concatenate(side_by_side(lines))
    assert np.ptp(found[:, 0]) == pytest.approx(wide, abs=1e-9)
    assert width(wrapped(west), wrapped(west + wide)) == pytest.approx(wide, abs=1e-9)
