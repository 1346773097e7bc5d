"""What is an area and what is a line in OpenStreetMap, and that courts stay open."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.site.maps import Ledger, MapData, read_map
from tests.site.maps.osm_files import Town, overpass, pbf, write, xml
from tests.site.maps.test_osm import by_key, said

WEST, SOUTH, SIDE = 13.4, 52.5, 6e-4
COURT = 2e-4
FULL = (SIDE**2 - COURT**2) / SIDE**2  # share of the outer square that the block covers


def block(outer: dict[str, str], inner: dict[str, str], relation: dict[str, str]) -> Town:
    """A square with a court: way 1 around way 2, relation 1."""
    made = Town()
    made.square(1, WEST, SOUTH, SIDE)
    made.square(2, WEST + 2e-4, SOUTH + 2e-4, COURT)
    made.ways[1][1].update(outer)
    made.ways[2][1].update(inner)
    made.relations[1] = ([("w", 1, "outer"), ("w", 2, "inner")], relation)
    made.nodes[9000] = (WEST - 1e-4, SOUTH, {"natural": "tree"})  # so that the map is never empty
    return made


def read(made: Town) -> tuple[MapData, Ledger]:
    with tempfile.TemporaryDirectory() as folder:
        return read_map(write(Path(folder) / "a.osm", xml(made)), origin=(SOUTH, WEST))


def built(found: MapData) -> float:
    """Share of the outer square that buildings cover."""
    shapes = [f.geometry for f in found.features if f.tags.get("building", "no") != "no"]
    square = Town()
    square.square(1, WEST, SOUTH, SIDE, building="yes")
    whole = read(square)[0].features[0].geometry
    return float(shapely.union_all(shapes).area / whole.area)


MULTI = {"type": "multipolygon"}
HOUSE = {"building": "yes"}


@pytest.mark.parametrize(
    ("outer", "inner", "relation", "share"),
    [
        ({}, {}, {**MULTI, **HOUSE}, FULL),
        (HOUSE, {}, {**MULTI, **HOUSE}, FULL),
        (HOUSE, {}, {**MULTI, "building": "apartments"}, FULL),
        ({"building": "apartments", "height": "20"}, {}, {**MULTI, **HOUSE}, FULL),
        (HOUSE, {}, MULTI, FULL),
        (HOUSE, {}, {**MULTI, "name": "Rathaus"}, FULL),
        (HOUSE, {}, {**MULTI, "addr:street": "Am Markt", "source": "survey"}, FULL),
        (HOUSE, HOUSE, MULTI, FULL),
        (HOUSE, HOUSE, {**MULTI, **HOUSE}, FULL),
        ({}, {"leisure": "garden"}, {**MULTI, **HOUSE}, FULL),
        ({}, {"building": "roof"}, {**MULTI, **HOUSE}, 1.0),
        ({}, {"building": "yes", "height": "4"}, {**MULTI, "building": "yes", "height": "20"}, 1.0),
        ({}, {}, {"type": "site", **HOUSE}, 0.0),
        ({}, {}, HOUSE, 0.0),
        (HOUSE, {}, {"type": "site", "name": "Schloss"}, 1.0),
        ({}, {}, {**MULTI, "name": "Block"}, 0.0),
        ({"highway": "residential"}, {}, {**MULTI, "name": "Ring"}, 0.0),
    ],
)
def test_courts_stay_open(outer: dict[str, str], inner: dict[str, str], relation: dict[str, str], share: float) -> None:
    found, ledger = read(block(outer, inner, relation))
    assert built(found) == pytest.approx(share, abs=1e-6)
    assert sum("building" in f.tags for f in found.features) <= 2
    if outer.get("height") == "20":
        assert by_key(found)["relation/1"].tags["height"] == "20"
    if outer == inner == HOUSE:
        assert said(ledger, "dropped", "the court stays open") == 1


@pytest.mark.parametrize(
    ("relation", "outer"),
    [
        ({**MULTI, "name": "Ring"}, {"highway": "residential"}),
        ({**MULTI, "highway": "residential"}, {}),
        ({**MULTI, "barrier": "fence"}, {}),
        ({**MULTI, "natural": "tree_row"}, {}),
        ({**MULTI, "waterway": "river"}, {}),
        ({**MULTI, "landuse": "grass", "area": "no"}, {}),
        ({"type": "boundary", "boundary": "administrative", "place": "city"}, {}),
        ({"type": "site", "leisure": "park"}, {}),
        ({"type": "route", "landuse": "grass"}, {}),
    ],
)
def test_a_relation_without_tags_of_an_area_is_none(relation: dict[str, str], outer: dict[str, str]) -> None:
    found, ledger = read(block(outer, {}, relation))
    assert all("Polygon" not in f.geometry.geom_type for f in found.features)
    assert said(ledger, "dropped", "make no area") + said(ledger, "dropped", "relation that is no multipolygon") == 1


@pytest.mark.parametrize(
    "relation",
    [
        {**MULTI, "highway": "pedestrian"},
        {**MULTI, "natural": "water"},
        {**MULTI, "surface": "grass"},
        {**MULTI, "barrier": "hedge", "area": "yes"},
        {"type": "boundary", "boundary": "protected_area", "leisure": "nature_reserve"},
    ],
)
def test_a_relation_with_tags_of_an_area_is_one(relation: dict[str, str]) -> None:
    found, _ = read(block({}, {}, relation))
    assert by_key(found)["relation/1"].geometry.geom_type == "Polygon"
    assert len(by_key(found)["relation/1"].geometry.interiors) == 1


def test_outer_ways_of_different_height_keep_it_and_the_court() -> None:
    made = block({"building": "yes", "height": "12"}, {}, MULTI)
    made.square(3, WEST + SIDE + 1e-4, SOUTH, 2e-4, building="yes", height="30")
    made.relations[1][0].append(("w", 3, "outer"))
    found, _ = read(made)
    assert {k: f.tags["height"] for k, f in by_key(found).items() if "height" in f.tags} == {
        "way/1": "12",
        "way/3": "30",
    }
    assert len(by_key(found)["way/1"].geometry.interiors) == 1


def test_open_outer_ways_of_a_building_are_no_buildings_by_themselves() -> None:
    """Each would be closed by a chord."""
    made = block({}, {}, {**MULTI, **HOUSE})
    refs = made.ways[1][0]
    made.ways[1] = (refs[:3], dict(HOUSE))
    made.ways[5] = (refs[2:], dict(HOUSE))
    made.relations[1][0].append(("w", 5, "outer"))
    found, _ = read(made)
    assert [k for k, f in by_key(found).items() if "building" in f.tags] == ["relation/1"]
    assert built(found) == pytest.approx(FULL, abs=1e-6)


@pytest.mark.parametrize(
    ("tags", "kinds"),
    [
        ({"barrier": "hedge"}, {"way/1": "LineString"}),
        ({"barrier": "hedge", "area": "yes"}, {"way/1": "Polygon"}),
        ({"barrier": "hedge", "landuse": "meadow"}, {"way/1": "Polygon", "way/1.2": "LineString"}),
        ({"highway": "residential"}, {"way/1": "LineString"}),
        ({"highway": "pedestrian", "area": "yes"}, {"way/1": "Polygon"}),
        ({"highway": "pedestrian", "area": "true"}, {"way/1": "Polygon"}),
        (
            {"highway": "service", "leisure": "park", "surface": "asphalt"},
            {"way/1": "Polygon", "way/1.2": "LineString"},
        ),
        ({"highway": "pedestrian", "place": "square"}, {"way/1": "Polygon"}),
        ({"natural": "tree_row"}, {"way/1": "LineString"}),
        ({"natural": "coastline"}, {"way/1": "LineString"}),
        ({"waterway": "river"}, {"way/1": "LineString"}),
        ({"waterway": "river", "natural": "water"}, {"way/1": "Polygon"}),
        ({"leisure": "park", "area": "no"}, {"way/1": "LineString"}),
        ({"railway": "rail"}, {"way/1": "LineString"}),
        ({"building": "yes", "highway": "footway"}, {"way/1": "Polygon"}),
    ],
)
def test_closed_ways(tags: dict[str, str], kinds: dict[str, str]) -> None:
    made = Town()
    made.square(1, WEST, SOUTH, SIDE)
    made.ways[1][1].update(tags)
    found, _ = read(made)
    assert {k: f.geometry.geom_type for k, f in by_key(found).items()} == kinds
    if "leisure" in tags and "highway" in tags:
        assert dict(by_key(found)["way/1"].tags) == {"leisure": "park", "surface": "asphalt"}
        assert dict(by_key(found)["way/1.2"].tags) == {"highway": "service", "surface": "asphalt"}


TAGS = st.sampled_from(({}, HOUSE, {"building": "office"}, {"name": "x"}, {"landuse": "grass"}, {"building": "no"}))
ROLES = st.sampled_from(("outer", "inner", ""))


@settings(max_examples=50)
@given(
    st.lists(st.tuples(TAGS, ROLES), min_size=1, max_size=5),
    TAGS,
    st.sampled_from(("multipolygon", "boundary", "site", "building")),
)
def test_nested_rings_are_never_built_twice(
    rings: list[tuple[dict[str, str], str]], tags: dict[str, str], kind: str
) -> None:
    """Squares within squares, in any roles: the same in all formats, and a court of a multipolygon is not built over
    by the ways that bound it."""
    made = Town()
    members = []
    for k, (own, role) in enumerate(rings):
        made.square(k + 1, WEST + k * 5e-5, SOUTH + k * 5e-5, 1e-3 - k * 1e-4)
        made.ways[k + 1][1].update(own)
        members.append(("w", k + 1, role))
    made.relations[1] = (members, {"type": kind, **tags})
    made.nodes[9000] = (WEST - 1e-4, SOUTH, {"natural": "tree"})
    found, _ = read(made)
    with tempfile.TemporaryDirectory() as folder:
        for file in (pbf(made, Path(folder) / "a.pbf"), write(Path(folder) / "a.json", overpass(made))):
            other, _ = read_map(file, origin=(SOUTH, WEST))
            assert [(f.key, dict(f.tags)) for f in other.features] == [(f.key, dict(f.tags)) for f in found.features]
    if kind == "multipolygon" and tags == HOUSE:
        keys = by_key(found)
        repeated = [k for k, (own, role) in enumerate(rings) if own == HOUSE and role != "inner"]
        if "relation/1" in keys:
            assert not any(f"way/{k + 1}" in keys for k in repeated)
