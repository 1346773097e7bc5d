"""Where a map lies, how far its ground reaches, and the sea beside it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps import Box, Ledger, MapData, build_ground, load_rules, read_map, read_maps, site_from_map
from sitetwin.site.maps.coast import find_sea
from sitetwin.site.maps.ground import ground_extent
from tests.site.maps.osm_files import Town, pbf, town, write, xml
from tests.site.maps.test_osm import by_key, said

WEST, SOUTH = 13.4, 52.5
BOUNDS = (13.398, 52.499, 13.404, 52.502)
FRAME = (-100.0, -80.0, 100.0, 80.0)


def read(path: Path, made: Town, **more: object) -> tuple[MapData, Ledger]:
    return read_map(write(path / "a.osm", xml(made, **more)))


@pytest.mark.parametrize("form", ["xml", "pbf"])
def test_the_ground_reaches_to_the_bounds_of_the_file(tmp_path: Path, form: str) -> None:
    made = town()
    file = pbf(made, tmp_path / "a.pbf", BOUNDS) if form == "pbf" else write(tmp_path / "a.osm", xml(made, BOUNDS))
    found, ledger = read_map(file)
    boxed, _ = read_map(file, clip=Box(*BOUNDS))
    assert found.georeference == boxed.georeference
    assert ground_extent(found, ledger) == pytest.approx(ground_extent(boxed, Ledger()), abs=2e-3)
    assert said(ledger, "read", "ground reaches to the bounds") == 1


def test_bounds_that_cannot_be_those_of_a_site_are_named(tmp_path: Path) -> None:
    plain, _ = read(tmp_path, town())
    for bounds in ((10.0, 50.0, 16.0, 54.0), (13.5, 52.6, 13.6, 52.7)):
        found, ledger = read(tmp_path, town(), bounds=bounds)
        assert found.georeference == plain.georeference
        assert found.bounds is None
        assert said(ledger, "dropped", "bounds that the file names") == 1


def test_the_origin_lies_in_the_middle_of_what_is_built(tmp_path: Path) -> None:
    """Not in the middle of a long river, of a far member of a relation, or of a slip of the pen."""
    plain, _ = read(tmp_path, town())
    far = town()
    far.nodes[501], far.nodes[502] = (13.41, 52.5, {}), (13.41, 53.5, {})
    far.ways[50] = ([501, 502], {"waterway": "river"})
    far.nodes[503] = (0.0, 0.0, {"natural": "tree"})
    far.square(51, 14.2, 52.9, 0.2, landuse="forest")
    far.relations[9] = ([("w", 51, "outer"), ("w", 5, "outer")], {"type": "multipolygon", "leisure": "park"})
    found, ledger = read(tmp_path, far)
    assert found.georeference == plain.georeference
    assert by_key(found)["way/1"].geometry.equals(by_key(plain)["way/1"].geometry)
    assert "node/503" not in by_key(found)
    assert said(ledger, "dropped", "farther than 45 km from the origin") >= 2
    assert shapely.length(by_key(found)["way/50"].geometry) < 46_000
    site = site_from_map(found, ledger)
    assert np.ptp(site.vertices[:, :2], axis=0).max() < 400


def test_one_house_far_from_all_others(tmp_path: Path) -> None:
    made = town()
    for k in range(40):
        made.square(100 + k, WEST + 3e-4 * (k % 7), SOUTH + 3e-4 * (k // 7), 1e-4, building="yes")
    plain, _ = read(tmp_path, made)
    made.square(99, 13.7, 52.5, 1e-4, building="yes")  # 20 km: kept, but the origin stays
    found, ledger = read(tmp_path, made)
    assert found.georeference == plain.georeference
    assert said(ledger, "assumed", "far from all others") == 1
    made.square(98, 0.0, 0.0, 1e-4, building="yes")
    found, ledger = read(tmp_path, made)
    assert {"way/99"} <= set(by_key(found))
    assert "way/98" not in by_key(found)
    assert said(ledger, "dropped", "farther than 45 km") == 1
    two = town()
    two.square(98, 15.5, 52.5, 1e-4, building="yes")
    with pytest.raises(SiteTwinError, match="clip the map"):
        read(tmp_path, two)


def lines(*points: list[tuple[float, float]]) -> list[shapely.LineString]:
    return [shapely.LineString(p) for p in points]


def test_the_sea_is_on_the_right() -> None:
    """A coast from south to north has the sea in the east; an island in it is land, a basin in the land is water."""
    coast = lines([(20, -500), (20, 500)])
    island = lines([(50, 0), (60, 0), (60, 10), (50, 10), (50, 0)])
    basin = lines([(-50, 0), (-50, 10), (-40, 10), (-40, 0), (-50, 0)])
    ledger = Ledger()
    sea = find_sea([*coast, *island, *basin], FRAME, [shapely.box(-30, -30, -20, -20)], ledger)
    assert sea is not None
    expected = shapely.box(20, -80, 100, 80) - shapely.box(50, 0, 60, 10) | shapely.box(-50, 0, -40, 10)
    assert sea.geometry.symmetric_difference(expected).area < 1e-6
    assert said(ledger, "read", "sea, on the right") == 1


@pytest.mark.parametrize(
    ("coast", "words"),
    [
        (lines([(20, -500), (20, 10)]), "ends within the ground"),
        (lines([(20, -500), (20, 500)], [(40, -500), (40, 500)]), "contradict each other"),
        (lines([(20, 500), (20, -500)]), "most buildings on the side of the sea"),
    ],
)
def test_what_cannot_be_decided_is_said(coast: list[shapely.LineString], words: str) -> None:
    ledger = Ledger()
    assert find_sea(coast, FRAME, [shapely.box(-30, -30, -20, -20)], ledger) is None
    assert said(ledger, "dropped", words) == 1


def test_without_a_coast_on_the_ground_the_nearest_one_decides() -> None:
    for x, all_sea in ((-300.0, True), (300.0, False)):
        sea = find_sea(lines([(x, -500), (x, 0), (x, 500)]), FRAME, [], Ledger())
        assert (sea is not None) == all_sea
        assert sea is None or sea.geometry.area == pytest.approx(200 * 160)
    assert find_sea([], FRAME, [], Ledger()) is None


@given(st.floats(-60, 60), st.floats(0, 0.9), st.floats(0, 0.9), st.booleans())
def test_coastlines_that_were_cut_at_the_bounds_reach_them(x: float, short: float, far: float, over: bool) -> None:
    """Where buildings reach out of the bounds of the file, the sea ends at the bounds."""
    coast = lines([(x, FRAME[1] + short), (x, 0), (x, FRAME[3] - far)])
    extent = (-130.0, -120.0, 110.0, 90.0) if over else FRAME
    ledger = Ledger()
    sea = find_sea(coast, extent, [], ledger, FRAME)
    assert sea is not None
    assert sea.geometry.symmetric_difference(shapely.box(x, FRAME[1], FRAME[2], FRAME[3])).area < 1.0
    assert find_sea(lines([(x, FRAME[1] + short), (x, 20)]), extent, [], ledger, FRAME) is None
    assert said(ledger, "dropped", "ends within the ground") == 1


@given(
    st.lists(st.floats(-90, 90), min_size=2, max_size=8),
    st.floats(-np.pi, np.pi),
    st.booleans(),
    st.integers(0, 3),
    st.integers(1, 6),
)
def test_coasts_of_any_shape(xs: list[float], turn: float, flipped: bool, islands: int, cuts: int) -> None:
    """A coast from south to north, turned: its right side is the polygon that it closes with far corners."""
    y = np.linspace(-400, 400, len(xs))
    line = np.column_stack([np.round(xs, 3), y])
    east = np.concatenate([line, [[900, 400], [900, -400]]])
    rotate = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    sea = shapely.Polygon(east @ rotate)
    rings = []
    for k in range(islands):
        ring = shapely.box(200 + 20 * k, -5, 210 + 20 * k, 5).exterior.coords
        rings.append(np.array(ring)[:: 1 if shapely.LinearRing(ring).is_ccw else -1] @ rotate)
        sea -= shapely.Polygon(rings[-1])
    if flipped:  # everything the other way round: sea and land change places
        sea = shapely.Polygon(np.array([(-900, -400), (900, -400), (900, 400), (-900, 400)]) @ rotate) - sea
        line, rings = line[::-1], [ring[::-1] for ring in rings]
    at = np.unique(np.linspace(0, len(line) - 1, cuts + 1).astype(int))
    pieces = [line[a : b + 1] @ rotate for a, b in pairwise(at.tolist())]
    found = find_sea([shapely.LineString(p) for p in (*pieces[::-1], *rings)], (-250, -200, 250, 200), [], Ledger())
    expected = sea & shapely.box(-250, -200, 250, 200)
    assert (0.0 if found is None else found.geometry.symmetric_difference(expected).area) < 1.0 or (
        found is None and expected.area < 1.0
    )
    assert found is not None or expected.area < 1.0


@pytest.mark.parametrize("clipped", [False, True])
def test_a_harbour(tmp_path: Path, clipped: bool) -> None:
    """Water of the sea with its material to the rim of the ground, a pier in it, and an island of a multipolygon."""
    made = town()
    for k, (x, y) in enumerate([(13.4013, 52.40), (13.4013, 52.5005), (13.4013, 52.60)]):
        made.nodes[700 + k] = (x, y, {})
    made.ways[70] = ([700, 701], {"natural": "coastline"})
    made.ways[71] = ([701, 702], {"natural": "coastline", "name": "Strand"})
    made.ring(72, [(13.4013, 52.5), (13.4016, 52.5), (13.4016, 52.5001), (13.4013, 52.5001)], man_made="pier")
    made.square(73, 13.4020, 52.5008, 2e-4, natural="coastline")
    made.relations[7] = ([("w", 73, "outer")], {"type": "multipolygon", "place": "islet", "natural": "coastline"})
    del made.ways[5], made.ways[6]
    clip = Box(13.399, 52.499, 13.403, 52.502)
    bounds = (13.399, 52.499, 13.403, 52.502)
    found, ledger = read_maps([write(tmp_path / "a.osm", xml(made, bounds))], clip=clip if clipped else None)
    bodies, ground = build_ground(found, load_rules("default"), ledger)
    area = {b.material: 0.5 * np.cross(*np.moveaxis(np.diff(b.corners, axis=1), 1, 0))[:, 2].sum() for b in bodies}
    wide, high = ground.extent[2] - ground.extent[0], ground.extent[3] - ground.extent[1]
    metre = wide / (0.004 * 1e4)  # of 1e-4 degrees of longitude
    pier, islet = 3 * metre * 11.13, 2 * metre * 2 * 11.13
    assert area["sea_water"] == pytest.approx(wide * 17 / 40 * high - pier - islet, rel=2e-3)
    assert not [e for e in ledger.entries if e.kind == "dropped" and "coast" in e.what]
