"""OpenStreetMap in its three forms: one map, whatever the form; and what broken maps become."""

from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps import parse_length, read_map, read_maps
from sitetwin.site.maps.drawn import BUILDING
from sitetwin.site.maps.features import Feature, MapData
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.readers.elements import Collector, Member
from sitetwin.site.maps.readers.osm import draw_elements
from sitetwin.site.maps.readers.osm_pbf import read_osm_pbf
from sitetwin.site.maps.readers.overpass import read_overpass
from sitetwin.site.maps.readers.rings import assemble_area
from tests.site.maps.osm_files import Town, overpass, pbf, town, write, xml

RADIUS = 6_371_000.0


def said(ledger: Ledger, kind: str, part: str) -> int:
    """How often the ledger says something."""
    return sum(e.count for e in ledger.entries if e.kind == kind and part in e.what)


def by_key(found: MapData) -> dict[str, Feature]:
    return {f.key: f for f in found.features}


def content(found: MapData) -> list[Any]:
    return [(f.key, shapely.to_wkb(f.geometry), dict(f.tags)) for f in found.features]


def test_every_form_gives_the_same_map(tmp_path: Path) -> None:
    made = town()
    files = [
        write(tmp_path / "a.osm", xml(made)),
        write(tmp_path / "b.osm", xml(made, backwards=True)),
        write(tmp_path / "c.osm.gz", gzip.compress(xml(made))),
        write(tmp_path / "d.osm.bz2", bz2.compress(xml(made))),
        write(tmp_path / "e.osm", xml(made).decode().replace("UTF-8", "UTF-16").encode("utf-16")),
        pbf(made, tmp_path / "f.osm.pbf"),
        write(tmp_path / "g.json", overpass(made)),
        write(tmp_path / "h.json", overpass(made, geometry=True)),
        write(tmp_path / "i", overpass(made)),
    ]
    maps = [read_map(file)[0] for file in files]
    assert all(content(m) == content(maps[0]) for m in maps[1:])
    assert [f.key for f in maps[0].features] == ["node/7", "node/9", "way/1", "way/2", "way/5", "way/6", "relation/1"]
    assert maps[0].georeference == maps[5].georeference
    assert by_key(maps[0])["way/5"].tags["name"] == "Grün & Öde"
    assert parse_length(by_key(maps[0])["way/1"].tags["height"]) == 12.0


def test_sizes_are_those_on_the_earth(tmp_path: Path) -> None:
    found, ledger = read_map(write(tmp_path / "a.osm", xml(town())))
    block = by_key(found)["relation/1"].geometry
    side = np.radians(1e-4) * RADIUS
    expected = 32 * side**2 * np.cos(np.radians(52.5))  # 6 x 6 less 2 x 2
    assert block.area == pytest.approx(expected, rel=0.01)  # the sphere for the ellipsoid
    assert len(block.interiors) == 1
    house, park = by_key(found)["way/1"].geometry, by_key(found)["way/5"].geometry
    assert house.centroid.x < park.centroid.x
    assert house.centroid.y < park.centroid.y
    assert said(ledger, "dropped", "relation that is no multipolygon") == 1


def test_origin_is_the_centre_of_what_the_file_covers(tmp_path: Path) -> None:
    bounds = (13.4, 52.5, 13.402, 52.501)
    file = write(tmp_path / "a.osm", xml(town(), bounds=bounds))
    found, _ = read_map(file)
    packed, _ = read_map(pbf(town(), tmp_path / "a.osm.pbf", bounds))
    assert content(packed) == content(found)
    assert found.georeference.latitude == pytest.approx(52.5005)
    assert found.georeference.longitude == pytest.approx(13.401)
    moved, _ = read_map(file, origin=(52.5, 13.4))
    assert moved.georeference.latitude == 52.5
    shift = by_key(moved)["node/7"].geometry.x - by_key(found)["node/7"].geometry.x
    assert shift == pytest.approx(np.radians(1e-3) * RADIUS * np.cos(np.radians(52.5)), rel=0.005)


def test_the_antimeridian_is_a_place_like_others(tmp_path: Path) -> None:
    made = Town()
    made.square(1, 179.9995, -17.0, 2e-4, building="yes")
    made.square(2, -179.9998, -17.0, 2e-4, building="yes")
    found, _ = read_map(write(tmp_path / "fiji.osm", xml(made)))
    a, b = (f.geometry.centroid for f in found.features)
    assert b.x - a.x == pytest.approx(np.radians(7e-4) * RADIUS * np.cos(np.radians(17)), rel=0.005)
    assert abs(abs(found.georeference.longitude) - 180) < 1e-3


def test_roles_of_a_building_relation_tie_its_parts_to_its_outline(tmp_path: Path) -> None:
    made = town()
    made.square(11, 13.41, 52.5, 4e-4)
    made.square(12, 13.41, 52.5, 2e-4, building__part="yes", height="30")
    made.relations[5] = ([("w", 12, "part"), ("w", 11, "outline")], {"type": "building", "building": "office"})
    found, _ = read_map(write(tmp_path / "a.osm", xml(made)))
    outline, part = by_key(found)["way/11"], by_key(found)["way/12"]
    assert outline.tags == {"building": "office", BUILDING: "way/11"}
    assert part.tags[BUILDING] == "way/11"
    assert isinstance(outline.geometry, shapely.Polygon)
    assert "relation/5" not in by_key(found)


def test_tags_of_a_building_relation_without_an_outline_are_accounted_for(tmp_path: Path) -> None:
    made = town()
    made.square(12, 13.41, 52.5, 2e-4, building__part="yes", height="30")
    made.relations[5] = ([("w", 12, "part")], {"type": "building", "height": "50"})
    found, ledger = read_map(write(tmp_path / "a.osm", xml(made)))
    assert by_key(found)["way/12"].tags[BUILDING] == "relation/5"
    assert ("dropped", "tags of a building relation without an outline") in {(e.kind, e.what) for e in ledger.entries}


def test_closed_ways_are_areas_by_their_tags(tmp_path: Path) -> None:
    made = Town()
    tags: list[dict[str, str]] = [
        {"landuse": "grass"},
        {"highway": "service"},
        {"highway": "service", "area": "yes"},
        {"natural": "tree_row"},
        {"barrier": "wall"},
        {"building": "yes", "area": "no"},
    ]
    for k, row in enumerate(tags):
        made.square(k + 1, 13.4 + k * 1e-3, 52.5, 2e-4, **row)
    found, _ = read_map(write(tmp_path / "a.osm", xml(made)))
    kinds = [f.geometry.geom_type for f in found.features]
    assert kinds == ["Polygon", "LineString", "Polygon", "LineString", "LineString", "LineString"]


def ring(x: float, y: float, side: float) -> np.ndarray:
    return np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]])


@given(st.integers(3, 12), st.lists(st.integers(0, 11), min_size=1, max_size=5), st.randoms())
def test_rings_in_pieces_make_the_area_of_the_whole(corners: int, cuts: list[int], random: Any) -> None:
    """A ring cut anywhere, its pieces turned around and mixed, is the ring; with a hole and an island in it."""
    angle = 2 * np.pi * np.arange(corners) / corners
    outer = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    outer = np.concatenate([outer, outer[:1]])
    places = sorted({c % corners for c in cuts} | {0})
    pieces = [outer[a : b + 1] for a, b in zip(places, [*places[1:], corners], strict=True)]
    pieces = [p[::-1] if random.random() < 0.5 else p for p in pieces]
    random.shuffle(pieces)
    inner, island = ring(-0.2, -0.2, 0.4), ring(-0.1, -0.1, 0.2)
    made = assemble_area([*pieces, island], [inner])
    assert made.notes == []
    assert made.area is not None
    assert made.area.is_valid
    assert made.area.area == pytest.approx(shapely.Polygon(outer).area - 0.16 + 0.04)


def test_roles_may_be_wrong_and_rings_may_touch() -> None:
    wrong = assemble_area([ring(0, 0, 3), ring(1, 1, 1)], [])
    assert wrong.area is not None
    assert wrong.area.area == pytest.approx(8)
    touching = assemble_area([ring(0, 0, 3)], [ring(1, 1, 1), ring(2, 1, 0.5)])  # the holes share an edge
    assert touching.area is not None
    assert touching.area.area == pytest.approx(9 - 1.25)
    halves = assemble_area([ring(0, 0, 1), ring(1, 0, 1)], [])
    assert halves.area is not None
    assert halves.area.area == pytest.approx(2)


def test_what_no_outer_way_bounds_is_no_area() -> None:
    lost = assemble_area([ring(0, 0, 3)[:3]], [ring(1, 1, 1)])
    assert lost.area is None
    assert {what for _, what in lost.notes} == {
        "ring of a multipolygon that is not closed",
        "hole of a multipolygon outside every outer ring",
    }


def test_small_gaps_are_closed_and_crossings_cut() -> None:
    gap = ring(0, 0, 3e-3)[:4].copy()
    gap = np.concatenate([gap, [[0.0, 5e-6]]])  # half a metre off its start
    closed = assemble_area([gap], [])
    assert closed.area is not None
    assert closed.area.area == pytest.approx(9e-6, rel=0.01)
    assert [kind for kind, _ in closed.notes] == ["repaired"]
    bow = np.array([[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]], dtype=float)
    crossing = assemble_area([bow], [])
    assert crossing.area is not None
    assert crossing.area.area == pytest.approx(2)
    assert [kind for kind, _ in crossing.notes] == ["repaired"]


def test_multipolygons_of_old_and_doubled_ones(tmp_path: Path) -> None:
    made = town()
    made.ways[3] = (made.ways[3][0], {"building": "yes"})  # repeats its relation
    made.square(13, 13.42, 52.5, 4e-4, landuse="forest")  # gives its relation the tags
    made.relations[7] = ([("w", 13, "outer")], {"type": "multipolygon"})
    made.relations[8] = ([("w", 999, "outer")], {"type": "multipolygon", "natural": "water"})
    found, ledger = read_map(write(tmp_path / "a.osm", xml(made)))
    keys = set(by_key(found))
    assert {"relation/1", "relation/7"} <= keys
    assert not {"way/3", "way/13", "relation/8"} & keys
    assert by_key(found)["relation/7"].tags == {"landuse": "forest"}
    assert said(ledger, "dropped", "repeats its multipolygon") == 2
    assert said(ledger, "dropped", "ways are not in the file") == 1


def test_what_is_broken_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    made = town()
    made.ways[20] = ([100, 101], {"building": "yes"})
    made.ways[21] = ([100, 101, 102, 103], {"building": "yes"})  # not closed
    made.ways[22] = ([100, 101, 102, 98, 103, 100], {"landuse": "grass"})  # 98 is nowhere
    made.ways[23] = ([97, 98], {"highway": "path"})
    made.ways[24] = ([100, 100], {"highway": "path"})
    made.ways[25] = ([100, 101, 100], {"landuse": "grass"})
    made.ways[26] = ([100, 101, 102, 100], {})
    made.nodes[30] = (13.4, 95.0, {"natural": "tree"})
    for number, data in enumerate((xml(made), pbf(made, tmp_path / "x.pbf").read_bytes(), overpass(made))):
        found, ledger = read_map(write(tmp_path / f"{number}.map", data))
        keys = set(by_key(found))
        assert {"way/21", "way/22"} <= keys
        assert not {"way/20", "way/23", "way/24", "way/25", "way/26", "node/30"} & keys
        assert said(ledger, "repaired", "not closed") == 1
        assert said(ledger, "repaired", "nodes that are not in the file") == 1
        assert said(ledger, "dropped", "fewer than three corners") == 2
        assert said(ledger, "dropped", "fewer than two points") == 2
        assert said(ledger, "dropped", "way without tags") == 1
        assert said(ledger, "dropped", "not on the earth") == 1


def test_repeated_elements(tmp_path: Path) -> None:
    text = xml(town()).decode()
    again = '<node id="7" lon="13.5" lat="52.5"/><way id="1"><nd ref="100"/></way></osm>'
    found, ledger = read_map(write(tmp_path / "a.osm", text.replace("</osm>", again).encode()))
    plain, _ = read_map(write(tmp_path / "b.osm", text.encode()))
    assert content(found) == content(plain)
    assert said(ledger, "dropped", "second time") == 2


def test_deleted_and_broken_xml_elements(tmp_path: Path) -> None:
    more = (
        '<node id="50" lon="13.4" lat="52.5" action="delete"><tag k="natural" v="tree"/></node>'
        '<node id="51" lon="nan" lat="52.5"><tag k="natural" v="tree"/></node>'
        '<node id="52" lon="1e9" lat="52.5"/><node id="53"/><node lon="1" lat="1"/><node id="x" lon="1" lat="1"/>'
        '<node id="-54" lon="13.4" lat="52.5"><tag k="natural" v="tree"/></node>'
        f'<node id="{"9" * 5000}" lon="1" lat="1"/></osm>'
    )
    text = xml(town()).decode().replace("</osm>", more)
    found, ledger = read_map(write(tmp_path / "a.osm", text.encode()))
    assert "node/-54" in by_key(found)
    assert said(ledger, "dropped", "deleted") == 1
    assert said(ledger, "dropped", "not on the earth") == 3
    assert said(ledger, "dropped", "without a number") == 3


BILLION = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><osm version="0.6">'
    b'<node id="1" lat="1" lon="1"><tag k="name" v="&b;"/></node></osm>'
)
EXTERNAL = b'<!DOCTYPE osm [<!ENTITY x SYSTEM "file:///etc/passwd">]><osm version="0.6"/>'


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"hello", "no map"),
        (b"PK\x03\x04", "unpack it"),
        (b"<osm", "not well-formed"),
        (b'<osm version="0.6"><node id="1"', "cut short"),
        (b"<html></html>", "outermost element is <html>"),
        (b"<osmChange/>", "file of changes"),
        (b'<osm version="0.6"/>', "holds nothing"),
        (b"<osm>" + b"<a>" * 50, "nests more than"),
        (b'<osm version="0.6"><tag k="\xff" v=""/></osm>', "not well-formed"),
        (b'<?xml version="1.0" encoding="klingon"?><osm/>', "not well-formed"),
        (BILLION, "DOCTYPE"),
        (EXTERNAL, "DOCTYPE"),
        (b"{}", "no Overpass answer"),
        (b"[1]", "no object"),
        (b'{"elements": [', "no well-formed JSON"),
        (b'{"elements": []}', "holds nothing"),
        (b'{"elements": [1, {}, {"type": "node"}, {"type": "way", "id": 1e3}]}', "holds nothing"),
        (b'{"remark": "runtime error: Query timed out", "elements": []}', "incomplete"),
        (b'{"a":' * 100_000, "too deeply"),
        (b'{"elements": [' + b"9" * 5000 + b"]}", "no well-formed JSON"),
        (b'{"\xff": 1}', "no well-formed JSON"),
        (b"\x1f\x8b\x08", "cut short"),
        (b"BZh9xxxx", "damaged"),
        (b"\x00\x00\x00\x0d", "cut short"),
        (b"\x00\x00\x00\x02\x18\x7f", "cut short"),
    ],
)
def test_hostile_and_broken_files_get_a_sentence(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(SiteTwinError, match=reason) as caught:
        read_map(write(tmp_path / "map.dat", data))
    assert "map.dat" in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_bombs_of_compression_are_not_unpacked(tmp_path: Path, pack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sitetwin.site.maps.readers.files.LARGEST_MAP", 2**22)
    with pytest.raises(SiteTwinError, match="more than 4 MB"):
        read_map(write(tmp_path / "a.osm.gz", pack(b" " * 2**24)))


def test_pbf_that_swells_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    header = b"\x0a\x09OSMHeader\x18\x05"
    blob = b"\x10" + bytes([0x80, 0x80, 0x80, 0x10])  # says: 32 MiB
    block = len(header).to_bytes(4, "big") + header + blob
    with pytest.raises(SiteTwinError, match="would unpack to"):
        read_map(write(tmp_path / "a.pbf", block * 3))


def test_every_truncation_of_a_pbf_gets_a_sentence(tmp_path: Path) -> None:
    data = pbf(town(), tmp_path / "a.pbf").read_bytes()
    assert read_osm_pbf(data, "a.pbf", Ledger()).relations
    for size in range(1, len(data)):
        try:
            found = read_osm_pbf(data[:size], "a.pbf", Ledger())
        except SiteTwinError:
            continue
        assert not found.relations  # cut between blocks, relations last: what is there is read


def test_missing_files_and_none(tmp_path: Path) -> None:
    with pytest.raises(SiteTwinError, match="does not exist"):
        read_map(tmp_path / "absent.osm")
    with pytest.raises(SiteTwinError, match="does not exist"):
        read_map(tmp_path)
    with pytest.raises(SiteTwinError, match="at least one"):
        read_maps([])


def test_too_far_apart_to_be_one_site(tmp_path: Path) -> None:
    made = town()
    made.square(31, 0.0, 0.0, 2e-4, building="yes")
    with pytest.raises(SiteTwinError, match=r"lies .* from the origin"):
        read_map(write(tmp_path / "a.osm", xml(made)))


@given(st.data())
@settings(max_examples=60)
def test_damaged_files_give_a_map_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    made = town()
    forms = [xml(made), pbf(made, folder / "a.pbf").read_bytes(), json.dumps(overpass(made)).encode()]
    damaged = bytearray(data.draw(st.sampled_from(forms)))
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    file = write(folder / "map.osm", bytes(damaged[: data.draw(st.integers(1, len(damaged)))]))
    try:
        found, _ = read_map(file)
    except SiteTwinError:
        return
    assert all(np.isfinite(shapely.get_coordinates(f.geometry)).all() for f in found.features)


@given(st.sampled_from([b"", b"{", b"<osm>", b"\x1f\x8b\x08", b"BZh9", b"\x00\x00\x00\x0d"]), st.binary(max_size=300))
def test_random_bytes_are_no_map(tmp_path_factory: pytest.TempPathFactory, start: bytes, data: bytes) -> None:
    file = write(tmp_path_factory.mktemp("random") / "map", start + data)
    with pytest.raises(SiteTwinError):
        read_map(file)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["lat", "lon", "ref", "type", "role", "k"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from(["node", "way", "relation", 3]), "id": st.integers(-2, 4) | JSON},
            optional={k: JSON for k in ("lat", "lon", "nodes", "geometry", "members", "tags")},
        ),
        max_size=6,
    )
)
@settings(max_examples=50)
def test_any_overpass_elements_are_read_or_dropped(elements: list[dict[str, Any]]) -> None:
    ledger = Ledger()
    draw_elements(read_overpass({"elements": elements}, "x", ledger), ledger)


@given(st.lists(st.lists(st.integers(0, 8), max_size=8), min_size=1, max_size=6), st.data())
def test_any_members_assemble_or_are_dropped(ways: list[list[int]], data: st.DataObject) -> None:
    """Relations over arbitrary ways on a grid: valid areas only, whatever the ways."""
    ledger = Ledger()
    collector = Collector(ledger)
    for n in range(9):
        collector.node(n, 10 + n % 3 * 1e-3, 50 + n // 3 * 1e-3, {})
    for k, refs in enumerate(ways):
        collector.way(k, tuple(refs), {})
    roles = [data.draw(st.sampled_from(["outer", "inner", "", "?"])) for _ in ways]
    members = tuple(Member("way", k, role) for k, role in enumerate(roles))
    collector.relation(1, members, {"type": "multipolygon", "building": "yes"})
    drawn = draw_elements(collector.elements(), ledger)
    for thing in drawn:
        assert thing.geometry.is_valid
        assert thing.geometry.area > 0
    assert len(drawn) == 1 or said(ledger, "dropped", "multipolygon")
