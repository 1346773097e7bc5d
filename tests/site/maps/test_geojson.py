"""GeoJSON: attributes become tags, reference systems are followed, broken geometry is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps import LocalProjection, read_geojson_like, read_map, read_maps
from sitetwin.site.maps.features import MapData
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.readers.geojson import read_geojson
from tests.site.maps.osm_files import town, write, xml
from tests.site.maps.test_osm import by_key, content, said

WEST, SOUTH = -71.06, 42.35
Json = dict[str, Any]


def square(x: float, y: float, side: float = 2e-4) -> list[list[float]]:
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


def feature(properties: Json | None, kind: str = "Polygon", coordinates: Any = None, **more: Any) -> Json:
    coordinates = [square(WEST, SOUTH)] if coordinates is None else coordinates
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": kind, "coordinates": coordinates},
        **more,
    }


def collection(*features: Any, **more: Any) -> Json:
    return {"type": "FeatureCollection", "features": list(features), **more}


def read(value: Json, **more: Any) -> tuple[MapData, Ledger]:
    return read_geojson_like(value, **more)


@pytest.mark.parametrize("latitude", [-2147483649.0, 89.0])
def test_a_hole_far_from_its_ring_takes_the_feature_along(latitude: float) -> None:
    """The rim of a polygon alone does not tell how far it reaches."""
    hole = [[WEST, latitude], [WEST + 1e-4, SOUTH], [WEST + 1e-4, latitude], [WEST, latitude]]
    houses = [feature({"building": "yes"}, coordinates=[square(WEST + k * 1e-3, SOUTH)]) for k in range(30)]
    data, ledger = read(collection(*houses, feature({"building": "yes"}, coordinates=[square(WEST, SOUTH), hole])))
    assert len(data.features) == 30
    assert said(ledger, "dropped", "not on the earth") + said(ledger, "dropped", "farther than 45 km") == 1


@pytest.mark.parametrize(
    ("properties", "tags"),
    [
        ({"stories": 3.0}, {"building": "yes", "building:levels": "3"}),
        ({"stories": 2.5, "land_use": "R3"}, {"building": "yes", "building:levels": "2.5", "building:use": "R3"}),
        ({"stories": 0.0, "name": None}, {"building": "yes"}),
        ({"HEIGHT": 12.5}, {"building": "yes", "height": "12.5"}),
        ({"Bldg_Height": "12 m"}, {"building": "yes", "height": "12 m"}),
        ({"measuredHeight": 7, "height": "8"}, {"building": "yes", "height": "8"}),
        ({"height": -1.0, "confidence": 0.5}, {"building": "yes", "confidence": "0.5"}),
        ({"HEIGHTROOF": 100}, {"building": "yes", "height": "30.480"}),
        ({"height_ft": "35,5"}, {"building": "yes", "height": "35,5 ft"}),
        ({"height_ft": "12 m"}, {"building": "yes", "height": "12 m"}),
        ({"height_ft": 1e9}, {"building": "yes", "height": "304800000.000"}),
        (
            {"num_floors": 4, "roof_shape": "gabled"},
            {"building": "yes", "building:levels": "4", "roof:shape": "gabled"},
        ),
        ({"building": "house", "building:levels": "2"}, {"building": "house", "building:levels": "2"}),
        ({"landuse": "grass", "height": 3}, {"landuse": "grass", "height": "3"}),
        ({"land_use": "forest"}, {"landuse": "forest"}),
        ({"natural": "wood", "flag": True}, {"natural": "wood", "flag": "yes"}),
        ({"type": "way", "tags": {"building": "yes", "height": 4}}, {"type": "way", "building": "yes", "height": "4"}),
    ],
)
def test_attributes_become_tags(properties: Json, tags: dict[str, str]) -> None:
    found, _ = read(collection(feature(properties)))
    assert found.features[0].tags == tags


def test_what_a_polygon_is_and_on_what_ground(tmp_path: Path) -> None:
    plain, with_height = feature({"id": 1}), feature({"height": None})
    found, ledger = read(collection(plain, feature({}), with_height))
    assert [f.tags.get("building") for f in found.features] == [None, "yes"]  # the first has another tag
    assert said(ledger, "dropped", "does not say what it is") == 1
    assert said(ledger, "assumed", "attribute of height or storeys is a building") == 1
    asked, ledger = read(collection(plain, feature({})), footprints=True)
    assert [f.tags["building"] for f in asked.features] == ["yes", "yes"]
    assert said(ledger, "assumed", "as asked") == 2
    named, ledger = read_map(write(tmp_path / "Footprints.geojson", collection(feature({}))))
    assert named.features[0].tags["building"] == "yes"
    assert said(ledger, "assumed", "file's name") == 1


def test_geometry_of_every_kind() -> None:
    tree = {"natural": "tree"}
    hole = square(WEST + 5e-5, SOUTH + 5e-5, 1e-4)
    block = [square(WEST, SOUTH), hole]
    found, ledger = read(
        collection(
            feature(tree, "Point", [WEST, SOUTH, 3.0]),
            feature(tree, "MultiPoint", [[WEST, SOUTH], [WEST + 1e-4, SOUTH]]),
            feature({"highway": "path"}, "LineString", [[WEST, SOUTH], [WEST + 1e-4, SOUTH]]),
            feature({"building": "yes"}, "Polygon", block),
            feature({"building": "yes"}, "MultiPolygon", [block, [square(WEST + 1e-3, SOUTH)]]),
            feature(tree, "GeometryCollection", None),
            feature(tree, "Point", [WEST]),
        )
    )
    kinds = {f.key: f.geometry.geom_type for f in found.features}
    assert kinds == {
        "feature/0": "Point",
        "feature/1": "Point",
        "feature/1.2": "Point",
        "feature/2": "LineString",
        "feature/3": "Polygon",
        "feature/4": "MultiPolygon",
    }
    house = by_key(found)["feature/3"].geometry
    assert house.area == pytest.approx(0.75 * shapely.Polygon(house.exterior).area, rel=1e-4)
    assert by_key(found)["feature/4"].geometry.area > house.area
    assert said(ledger, "dropped", "of a kind that is not read") == 1
    assert said(ledger, "dropped", "broken list of coordinates") == 1


def test_broken_rings_are_named() -> None:
    nan = float("nan")
    yes = {"building": "yes"}
    whole = square(WEST, SOUTH)
    elsewhere = [[330000.0, 4690000.0], [330010.0, 4690000.0], [330000.0, 4690010.0], [330000.0, 4690000.0]]
    found, ledger = read(
        collection(
            feature(yes, "Polygon", [whole[:-1]]),
            feature(yes, "Polygon", [whole, elsewhere]),
            feature(yes, "Polygon", [whole, [[WEST, SOUTH]]]),
            feature(yes, "Polygon", [whole[:2]]),
            feature(yes, "Polygon", [[[WEST, nan], *whole[1:]]]),
            feature(yes, "Polygon", [[[1e400, 1.0], *whole[1:]]]),
            feature(yes, "Polygon", [[[WEST + k * 1e-5, SOUTH] for k in (0, 1, 2, 0)]]),
            feature(yes, "Polygon", [["a", "b"]]),
            feature(yes, "Polygon", 7),
            feature(yes, "Point", [400.0, 42.0]),
            {"type": "Feature", "geometry": None, "properties": yes},
            "nothing",
        )
    )
    assert [f.key for f in found.features] == ["feature/0", "feature/1", "feature/2"]
    assert all(f.geometry.is_valid and not f.geometry.interiors for f in found.features)
    assert said(ledger, "repaired", "not closed") == 1
    assert said(ledger, "dropped", "hole outside its polygon") == 1
    assert said(ledger, "dropped", "fewer than three corners") == 2
    assert said(ledger, "dropped", "not finite") == 2
    assert said(ledger, "dropped", "without extent") == 1
    assert said(ledger, "dropped", "broken list") == 1
    assert said(ledger, "dropped", "without a usable outer ring") == 5
    assert said(ledger, "dropped", "not on the earth") == 1
    assert said(ledger, "dropped", "without a geometry") == 2


def test_a_polygon_that_crosses_itself_stays_as_drawn() -> None:
    bow = [[WEST, SOUTH], [WEST + 1e-4, SOUTH + 1e-4], [WEST + 1e-4, SOUTH], [WEST, SOUTH + 1e-4], [WEST, SOUTH]]
    found, _ = read(collection(feature({"building": "yes"}, "Polygon", [bow])))
    assert not found.features[0].geometry.is_valid


@pytest.mark.parametrize("name", ["urn:ogc:def:crs:EPSG::26919", "EPSG:26919"])
def test_projected_coordinates_land_where_they_are(name: str) -> None:
    to_utm = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:26919", always_xy=True)
    degrees = np.array(square(WEST, SOUTH))
    metres = np.stack(to_utm.transform(degrees[:, 0], degrees[:, 1]), axis=1).tolist()
    crs = {"type": "name", "properties": {"name": name}}
    origin = (SOUTH, WEST)
    found, _ = read(collection(feature({"building": "yes"}, "Polygon", [metres]), crs=crs), origin=origin)
    expected = LocalProjection(*origin).to_local(degrees)
    assert shapely.get_coordinates(found.features[0].geometry) == pytest.approx(expected, abs=1e-3)


def test_half_characters_do_not_come_through(tmp_path: Path) -> None:
    value = collection(feature({"building": "yes", "name": "\ud800x", "n\udfff": "ö"}))
    found, _ = read_map(write(tmp_path / "a.geojson", value))
    assert found.features[0].tags == {"building": "yes", "name": "?x", "n?": "ö"}


class Frame:
    """What a GeoDataFrame shows of itself."""

    def __init__(self, value: Json, crs: Any) -> None:
        self.__geo_interface__ = value
        self.crs = crs


def test_an_object_that_speaks_geojson() -> None:
    to_utm = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:26919", always_xy=True)
    corners = tuple(to_utm.transform(x, y) for x, y in square(WEST, SOUTH))
    row = feature({"stories": np.float64(4), "n": np.int64(2), "x": float("nan")}, "Polygon", (corners,), id="5")
    found, _ = read_geojson_like(Frame(collection(row), pyproj.CRS("EPSG:26919")), origin=(SOUTH, WEST), name="frame")
    plain, _ = read(collection(feature({"stories": 4, "n": 2}, id=5)), origin=(SOUTH, WEST))
    a, b = found.features[0], plain.features[0]
    assert (a.key, a.tags) == (b.key, b.tags) == ("feature/5", a.tags)
    assert a.geometry.equals_exact(b.geometry, 1e-3)
    assert found.name == "frame"
    with pytest.raises(SiteTwinError, match="does not speak GeoJSON"):
        read_geojson_like(object())
    with pytest.raises(SiteTwinError, match="reference system"):
        read_geojson_like(Frame(collection(row), "no such system"))


def test_ids_name_and_order_the_features(tmp_path: Path) -> None:
    rows = [feature({"building": "yes"}, id=k) for k in (10, 9, 2)]
    found, _ = read(collection(*rows))
    assert [f.key for f in found.features] == ["feature/2", "feature/9", "feature/10"]
    assert content(read(collection(*rows[::-1]))[0]) == content(found)
    from_osm, _ = read(
        collection(feature({"building": "yes", "@id": "way/17"}), feature({"natural": "wood"}, id="node/3"))
    )
    assert [f.key for f in from_osm.features] == ["node/3", "way/17"]
    twice, ledger = read(collection(*rows, rows[0]))
    assert [f.key for f in twice.features] == [f"feature/{k}" for k in range(4)]
    assert said(ledger, "assumed", "numbered in the order") == 1


def test_several_files_are_one_map(tmp_path: Path) -> None:
    trees = collection(feature({"natural": "tree"}, "Point", [13.4001, 52.5001]))
    files = [write(tmp_path / "town.osm", xml(town())), write(tmp_path / "t.geojson", trees)]
    alone, _ = read_map(files[0], origin=(52.5, 13.4))
    both, ledger = read_maps([*files, files[0]], origin=(52.5, 13.4))
    assert set(by_key(both)) == {*by_key(alone), "2/feature/0"}
    assert content(both)[: len(alone.features)] == content(alone)
    assert said(ledger, "dropped", "an earlier file has") == len(alone.features)
    assert [f["format"] for f in both.source["files"]] == ["OpenStreetMap XML", "GeoJSON", "OpenStreetMap XML"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (collection(), "holds nothing"),
        ({"type": "FeatureCollection", "features": 3}, "no GeoJSON"),
        ({"type": {}}, "no list of elements"),
        (collection(feature({"building": "yes"}, "Polygon", [square(42.35, -171.06)])), "exchange them"),
        (collection(feature({"building": "yes"}, "Polygon", [square(330000.0, 4690000.0, 10.0)])), "reproject"),
        (collection(feature({"building": "yes"}), crs={"properties": {"name": "+proj=tmerc +init=file"}}), "not known"),
        (collection(feature({"building": "yes"}), crs={"properties": {"name": "EPSG:99999"}}), "not known"),
        (collection(feature({"building": "yes"}), crs=[1]), "not known"),
    ],
)
def test_what_is_no_map_of_the_earth_gets_a_sentence(tmp_path: Path, value: Json, reason: str) -> None:
    with pytest.raises(SiteTwinError, match=reason):
        read_map(write(tmp_path / "a.geojson", value))


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=12,
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "type": st.just("Feature"),
                "properties": ANY | st.dictionaries(st.sampled_from(["height", "building", "tags", "@id"]), ANY),
                "geometry": ANY
                | st.fixed_dictionaries(
                    {
                        "type": st.sampled_from(["Point", "LineString", "Polygon", "MultiPolygon", "MultiPoint"]),
                        "coordinates": ANY | st.lists(st.lists(st.floats(-200, 200), max_size=3), max_size=5),
                    }
                ),
            },
            optional={"id": ANY},
        )
        | ANY,
        max_size=5,
    )
)
def test_any_features_are_read_or_dropped(features: list[Any]) -> None:
    try:
        drawn = read_geojson({"type": "FeatureCollection", "features": features}, "x", Ledger(), footprints=True)
    except SiteTwinError:
        return
    assert all(np.isfinite(shapely.get_coordinates(d.geometry)).all() for d in drawn)
    assert len({d.key for d in drawn}) == len(drawn)
