"""Clips: what is kept whole, what is cut, and what is said of a clip that cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps import Box, LocalProjection, Radius, read_map
from sitetwin.site.maps.clipping import clip_things
from sitetwin.site.maps.drawn import Drawn
from sitetwin.site.maps.ledger import Ledger
from tests.site.maps.osm_files import Town, town, write, xml
from tests.site.maps.test_osm import by_key, said

PIECES = st.tuples(st.floats(-90, 90), st.floats(-90, 90), st.floats(1, 60), st.floats(1, 60))


def thing(number: int, geometry: shapely.Geometry, **tags: str) -> Drawn:
    return Drawn(f"way/{number}", geometry, {k.replace("__", ":"): v for k, v in tags.items()})


@given(st.lists(PIECES, min_size=1, max_size=8), st.booleans())
def test_areas_are_cut_and_buildings_kept_whole(rows: list[tuple[float, float, float, float]], round_: bool) -> None:
    region = shapely.Point(0, 0).buffer(50) if round_ else shapely.box(-50, -40, 50, 40)
    boxes = [shapely.box(x, y, x + w, y + h) for x, y, w, h in rows]
    things = [thing(k, b, **({"building": "yes"} if k % 2 else {"landuse": "grass"})) for k, b in enumerate(boxes)]
    ledger = Ledger()
    kept = {t.key: t.geometry for t in clip_things(things, region, ledger)}
    for k, box in enumerate(boxes):
        found = kept.get(f"way/{k}")
        if k % 2:
            assert (found is not None) == box.intersects(region)
            assert found is None or found.equals(box)
        else:
            area = 0.0 if found is None else found.area
            assert area == pytest.approx(box.intersection(region).area, abs=1e-6)
    assert said(ledger, "dropped", "outside the clip") == len(boxes) - len(kept) + said(ledger, "dropped", "the part")


def test_a_line_may_leave_and_come_back() -> None:
    line = shapely.LineString([(-20, 0), (5, 0), (5, 20), (8, 20), (8, 0), (9, 0)])
    kept = clip_things([thing(1, line, highway="path")], shapely.box(-10, -10, 10, 10), Ledger())
    assert [t.key for t in kept] == ["way/1", "way/1.2"]
    assert sum(t.geometry.length for t in kept) == pytest.approx(15 + 10 + 10 + 1)


def test_parts_stay_with_their_building() -> None:
    region = shapely.box(-10, -10, 10, 10)
    things = [
        thing(1, shapely.box(5, 0, 40, 5), building="yes"),
        thing(2, shapely.box(30, 0, 40, 5), building__part="yes"),
        thing(3, shapely.box(50, 0, 60, 5), building__part="yes", sitetwin__building="way/1"),
        thing(4, shapely.box(50, 0, 60, 5), building__part="yes"),
    ]
    assert [t.key for t in clip_things(things, region, Ledger())] == ["way/1", "way/2", "way/3"]


def test_an_area_that_crosses_itself_is_cut_all_the_same() -> None:
    bow = shapely.Polygon([(-20, -20), (20, 20), (20, -20), (-20, 20)])
    ledger = Ledger()
    kept = clip_things([thing(1, bow, landuse="grass")], shapely.box(-10, -10, 10, 10), ledger)
    assert kept[0].geometry.area == pytest.approx(200)
    assert said(ledger, "repaired", "crosses itself") == 1


@given(st.floats(-80, 80), st.floats(-180, 180), st.floats(1, 20_000))
@settings(max_examples=30)
def test_a_radius_is_a_distance_on_the_earth(latitude: float, longitude: float, metres: float) -> None:
    clip = Radius(latitude, longitude, metres)
    projection = LocalProjection(*clip.centre)
    region = clip.region(projection)
    azimuth = np.linspace(0, 350, 36)
    geod = pyproj.Geod(ellps="WGS84")
    for factor, inside in ((0.998, True), (1.002, False)):
        lon, lat, _ = geod.fwd(np.full(36, longitude), np.full(36, latitude), azimuth, np.full(36, factor * metres))
        points = projection.to_local(np.stack([lon, lat], axis=1))
        assert (shapely.contains_xy(region, points[:, 0], points[:, 1]) == inside).all()
    west, south, east, north = clip.degrees
    lon, lat, _ = geod.fwd(np.full(36, longitude), np.full(36, latitude), azimuth, np.full(36, metres))
    turned = (np.asarray(lon) - longitude + 180) % 360 - 180 + longitude
    assert west <= turned.min() <= turned.max() <= east
    assert south <= np.min(lat) <= np.max(lat) <= north


def test_a_box_is_a_rectangle_in_metres(tmp_path: Path) -> None:
    file = write(tmp_path / "a.osm", xml(town()))
    found, ledger = read_map(file, clip=Box.parse("13.4,52.5,13.4012,52.501"))
    assert found.georeference.latitude == pytest.approx(52.5005)
    assert found.clip is not None
    west, south, east, north = found.clip
    assert (west + east, south + north) == pytest.approx((0, 0), abs=0.01)
    _, _, high = pyproj.Geod(ellps="WGS84").inv(13.4006, 52.5, 13.4006, 52.501)
    assert north - south == pytest.approx(high, abs=0.01)
    street = by_key(found)["way/6"].geometry
    assert shapely.box(*found.clip).buffer(1e-6).contains(street)
    assert street.length == pytest.approx(east - west, rel=1e-3)
    assert said(ledger, "dropped", "the part outside the clip") == 2  # street and park


def test_a_box_over_the_antimeridian(tmp_path: Path) -> None:
    made = Town()
    made.square(1, 179.9995, -17.0, 2e-4, building="yes")
    made.square(2, -179.9998, -17.0, 2e-4, building="yes")
    made.square(3, -179.99, -17.0, 2e-4, building="yes")
    found, _ = read_map(write(tmp_path / "a.osm", xml(made)), clip=Box(179.999, -17.001, -179.999, -16.999))
    assert [f.key for f in found.features] == ["way/1", "way/2"]
    assert abs(found.georeference.longitude) == pytest.approx(180)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1,2,3", "west,south,east,north"),
        ("a,b,c,d", "west,south,east,north"),
        ("nan,0,1,1", "west,south,east,north"),
        ("1,1,1,2", "empty"),
        ("1,2,2,1", "empty"),
        ("52.5,113.4,52.6,113.5", "longitude before latitude"),
        ("-180,-90,180,90", "spans"),
        ("13,52,15,52.1", "spans"),
    ],
)
def test_boxes_that_cannot_be(text: str, reason: str) -> None:
    with pytest.raises(SiteTwinError, match=reason):
        Box.parse(text)


@pytest.mark.parametrize(
    ("text", "metres", "reason"),
    [
        ("139.7,35.6", 100.0, "latitude first"),
        ("1", 1.0, "latitude,longitude"),
        ("1,1", 0.0, "metres"),
        ("1,1", 1e9, "metres"),
    ],
)
def test_circles_that_cannot_be(text: str, metres: float, reason: str) -> None:
    with pytest.raises(SiteTwinError, match=reason):
        Radius.parse(text, metres)


@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        (Radius(13.4005, 52.5005, 100.0), "look swapped"),
        (Box(52.5, 13.4, 52.501, 13.401), "look swapped"),
        (Radius(40.0, 13.4, 100.0), "choose a clip within it"),
        (Radius(52.6, 13.4, 100.0), "choose a clip within it"),
    ],
)
def test_a_clip_beside_the_map(tmp_path: Path, clip: Box | Radius, reason: str) -> None:
    with pytest.raises(SiteTwinError, match=reason):
        read_map(write(tmp_path / "a.osm", xml(town())), clip=clip)


@pytest.mark.parametrize("origin", [(0.0, 0.0), (-52.5, -166.6), (10.0, 103.4)])
def test_an_origin_far_from_the_clip(tmp_path: Path, origin: tuple[float, float]) -> None:
    file = write(tmp_path / "a.osm", xml(town()))
    with pytest.raises(SiteTwinError, match="choose it nearer"):
        read_map(file, clip=Radius(52.5, 13.4, 300.0), origin=origin)
    with pytest.raises(SiteTwinError, match="from the origin"):
        read_map(file, origin=origin)


def test_far_things_beside_a_clip_are_no_trouble(tmp_path: Path) -> None:
    made = town()
    made.nodes[31] = (-120.0, -80.0, {"natural": "tree"})
    found, ledger = read_map(write(tmp_path / "a.osm", xml(made)), clip=Radius(52.5, 13.4, 300.0))
    assert "way/1" in by_key(found)
    assert "node/31" not in by_key(found)
    assert said(ledger, "dropped", "outside the clip") >= 1
