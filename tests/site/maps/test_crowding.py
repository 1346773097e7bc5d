"""Outlines that cross often: counted beforehand, cut in time that grows with the crossings, and right."""

from __future__ import annotations

import json
from itertools import combinations, pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.site.importers import cityjson_surfaces
from sitetwin.site.importers.cityjson import load_cityjson
from sitetwin.site.importers.polygons import triangulate
from sitetwin.site.maps import columns, crossings, crowding, even_odd, footprints, ground_areas
from sitetwin.site.maps.arrangement import arrange
from sitetwin.site.maps.columns import Volumes, find_columns
from sitetwin.site.maps.crossings import crossing_lines
from sitetwin.site.maps.crowding import count_crossings, refuse_crowds, segments_of
from sitetwin.site.maps.even_odd import enclosed, valid_area
from sitetwin.site.maps.ledger import Ledger

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(3, 25))
@settings(max_examples=30, deadline=None)
def test_crossings_are_those_of_all_pairs(seed: int, size: int) -> None:
    corners = np.random.default_rng(seed).random((size, 2))
    ends, owner = segments_of([shapely.LinearRing(corners)])
    lines = shapely.linestrings(ends)
    assert count_crossings(ends, owner, 10**9).count == sum(shapely.crosses(a, b) for a, b in combinations(lines, 2))


def test_the_count_of_many_crossings_looks_at_few_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    cross = crowding._cross
    monkeypatch.setattr(crowding, "_cross", lambda a, b: looked.append(len(a)) or cross(a, b))
    grid = np.arange(1000.0)
    across = [shapely.LineString([(x, -1), (x, 1000)]) for x in grid]
    along = [shapely.LineString([(-1, y), (1000, y)]) for y in grid]
    with pytest.raises(SiteTwinError, match=r"cross one another about (9[5-9]\d|1,0[0-4]\d),\d+ times, 'x"):
        refuse_crowds([*across, *along], ["x"] * 2000, "streets and ways")
    assert sum(looked) < 600_000  # of 1,000,000 crossings, each seen from two sides
    refuse_crowds([*across[:300], *along[:300]], ["x"] * 600, "streets and ways")


def test_large_maps_may_cross_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowding, "MOST_CROSSINGS", 100)
    monkeypatch.setattr(crowding, "_FEW", 0)
    streets = [shapely.LineString([(x, 0), (x + 1, 0), (x + 2, 0)]) for x in range(0, 1500, 3)]
    paths = [shapely.LineString([(x + 0.5, -1), (x + 0.5, 1)]) for x in range(0, 900, 3)]
    refuse_crowds([*streets, *paths], ["x"] * 800, "streets and ways")  # 1300 segments, 300 crossings
    with pytest.raises(SiteTwinError, match="about 150 times, 'x' the most, and at most 100 times"):
        refuse_crowds([shapely.LineString([(-1, 0), (450, 0)]), *paths], ["x"] * 301, "streets and ways")


@given(seeds, st.integers(4, 40), st.booleans())
@settings(max_examples=30, deadline=None)
def test_what_rings_enclose_is_even_odd(seed: int, size: int, shared: bool) -> None:
    """A ray from a place crosses the rings an odd number of times where the place is inside, by each method."""
    rng = np.random.default_rng(seed)
    corners = rng.random((size, 2))
    rings = [shapely.Polygon(corners)] + ([shapely.box(0, 0, 0.6, 1), shapely.box(0.4, 0, 1, 1)] if shared else [])
    ends, _ = segments_of(rings)
    parts, crossing = enclosed(ends)
    assert crossing == (bool(shared) or not shapely.is_valid(rings[0]))
    places = rng.random((300, 2))
    far = shapely.distance(shapely.multilinestrings(shapely.linestrings(ends)), shapely.points(places)) > 1e-6
    a, b = ends[:, 0], ends[:, 1]
    for x, y in places[far]:
        spans = [(p, q) for p, q in zip(a, b, strict=True) if (p[1] > y) != (q[1] > y)]
        hits = sum(p[0] + (y - p[1]) / (q[1] - p[1]) * (q[0] - p[0]) > x for p, q in spans)
        assert shapely.contains_xy(parts, x, y).sum() == hits % 2


def test_many_crossings_give_the_area_that_geos_gives() -> None:
    polygon = shapely.Polygon(np.random.default_rng(3).random((60, 2)) * 100)
    ends, owner = segments_of([polygon])
    assert count_crossings(ends, owner, 10**9).count > even_odd._FEW_CROSSINGS
    mended = valid_area(polygon, "way/1")
    assert mended.is_valid
    assert shapely.symmetric_difference(mended, shapely.make_valid(polygon)).area < 1e-9
    assert shapely.equals(valid_area(shapely.MultiPolygon([mended.geoms[0]]), "way/1"), mended.geoms[0])


def slow_stack(rows: list[tuple[float, float]]) -> list[int]:
    """Owner of each step of height, by looking at every step and every volume: the highest, then the first."""
    levels = sorted({z for row in rows for z in row})
    steps = []
    for low, high in pairwise(levels):
        over = [i for i, (bottom, top) in enumerate(rows) if bottom <= low and high <= top]
        steps.append(max(over, key=lambda i: (rows[i][1], -i)) if over else -1)
    return steps


@given(seeds, st.integers(2, 9))
@settings(max_examples=40, deadline=None)
def test_each_height_belongs_to_the_volume_that_reaches_highest(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    bottom = rng.integers(0, 6, size)
    top = bottom + rng.integers(1, 5, size)
    height = np.arange(12.0)
    planes = np.column_stack([np.zeros((12, 2)), height])
    footprint = np.array([shapely.box(0, 0, 1, 1)] * size, dtype=object)
    volumes = Volumes(footprint, planes, bottom, top, np.arange(size + 1), np.arange(size))
    found = find_columns(arrange(shapely.boundary(footprint)), volumes)
    levels = sorted({*bottom.tolist(), *top.tolist()})
    rows = list(zip(bottom.tolist(), top.tolist(), strict=True))
    for low, owner in zip(levels[:-1], slow_stack(rows), strict=True):
        over = np.flatnonzero((found.lower <= low) & (low < found.upper))
        assert found.owner[over].tolist() == ([] if owner < 0 else [owner])
    assert (np.diff(found.lower) > 0).all()
    whole = {(lower, upper, own) for lower, upper, own in zip(found.lower, found.upper, found.owner, strict=True)}
    assert [c > 0 for c in found.ceded] == [(b, t, i) not in whole for i, (b, t) in enumerate(rows)]


def test_volumes_over_one_another_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    footprint = np.array([shapely.box(k, k, k + 9, k + 9) for k in range(8)], dtype=object)
    planes = np.column_stack([np.zeros((9, 2)), np.arange(9.0)])
    volumes = Volumes(footprint, planes, np.zeros(8, dtype=int), np.arange(1, 9), np.arange(9), np.arange(8))
    plan = arrange(shapely.boundary(footprint))
    whole = find_columns(plan, volumes)
    monkeypatch.setattr(columns, "_PAIRS_AT_ONCE", 10)
    pieces = find_columns(plan, volumes)
    for name in ("offset", "lower", "upper", "owner", "kind", "ceded"):
        assert np.array_equal(getattr(whole, name), getattr(pieces, name))
    monkeypatch.setattr(columns, "MOST_OVERLAPS", 50)
    with pytest.raises(SiteTwinError, match=r"lie over each: 1\d\d in all, and at most 50"):
        find_columns(plan, volumes)


def city(instances: int) -> dict:
    """Houses at 20 m, each an instance of a roof of one triangle and one square."""
    one = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    template = {"type": "MultiSurface", "lod": "2", "boundaries": [[[0, 1, 2]], [[3, 4, 5, 6]]]}
    house = {"type": "GeometryInstance", "template": 0, "transformationMatrix": one}
    return {
        "type": "CityJSON",
        "version": "2.0",
        "transform": {"scale": [1, 1, 1], "translate": [0, 0, 0]},
        "CityObjects": {
            f"b{k}": {"type": "Building", "geometry": [{**house, "boundaries": [k]}]} for k in range(instances)
        },
        "vertices": [[20 * k, 0, 0] for k in range(instances)],
        "geometry-templates": {
            "templates": [template],
            "vertices-templates": [[0, 0, 9], [4, 0, 9], [0, 4, 9], [5, 0, 0], [9, 0, 0], [9, 0, 6], [5, 0, 6]],
        },
    }


def test_polygons_of_many_corners_are_covered_or_told_to_cross_themselves() -> None:
    rng = np.random.default_rng(5)
    turn = np.linspace(0, 2 * np.pi, 1500, endpoint=False)
    flat = (rng.uniform(5, 10, 1500) * np.stack([np.cos(turn), np.sin(turn)])).T
    star = np.column_stack([flat, 0.3 * flat[:, 0] - 0.2 * flat[:, 1]])  # in a tilted plane
    rows = triangulate(star)
    a, b, c = (flat[rows[:, k]] for k in range(3))
    areas = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    assert len(rows) == 1498
    assert (areas > -1e-12).all()
    assert 0.5 * areas.sum() == pytest.approx(shapely.Polygon(flat).area)
    assert triangulate(star[rng.permutation(1500)]) is None


def test_a_template_is_cut_once_and_copied_a_limited_number_of_times(tmp_path, monkeypatch) -> None:
    cut, times = cityjson_surfaces.cut_surfaces, []
    monkeypatch.setattr(cityjson_surfaces, "cut_surfaces", lambda *a: times.append(1) or cut(*a))
    path = tmp_path / "town.city.json"
    path.write_text(json.dumps(city(7)))
    site = load_cityjson(path)
    assert len(times) == 1
    corners = site.vertices[site.triangles]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    standing = np.array([name.startswith("b") for name in site.objects])[site.triangle_object]
    assert area[standing].sum() == pytest.approx(7 * (8 + 24))
    assert np.ptp(corners[standing][..., 0]) == pytest.approx(6 * 20 + 9)
    monkeypatch.setattr(cityjson_surfaces, "MOST_COPIED", 20)
    with pytest.raises(SiteTwinError, match="unpacks to more than 20 triangles: instances copy a template of 3"):
        load_cityjson(path)


def test_sloping_roofs_over_one_another_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    footprint = np.array([shapely.box(k, 0, k + 9, 9) for k in range(4)], dtype=object)
    planes = np.array([[0.0, 0, 0], [0.5, 0, 1], [-0.5, 0, 9]])
    volumes = Volumes(footprint, planes, np.zeros(4, dtype=int), np.array([1, 2] * 2), np.arange(5), np.arange(4))
    lines = crossing_lines(volumes)
    assert len(lines)
    assert np.allclose(shapely.get_coordinates(lines)[:, 0], 8)  # where 1 + x / 2 and 9 - x / 2 are equal
    for name, most in (("MOST_NEIGHBOURS", 5), ("MOST_OVERLAPS", 5)):
        with monkeypatch.context() as patch:
            patch.setattr(crossings, name, most)
            with pytest.raises(
                SiteTwinError, match=r"sloping roofs lie over 6 other buildings .* at most 5 can be cut"
            ):
                crossing_lines(volumes)


def test_a_wood_that_falls_into_thousands_of_areas_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parts are cut and filled one by one; a wood of many parts that do not cross is taken."""
    drawn = shapely.Polygon(np.random.default_rng(0).uniform(0, 100, (40, 2)))
    parts = len(even_odd.few_parts(drawn, "way/1").geoms)
    monkeypatch.setattr(even_odd, "MOST_PARTS", parts - 1)
    with pytest.raises(SiteTwinError, match=f"'way/1' crosses itself so often that it encloses {parts} separate"):
        even_odd.few_parts(drawn, "way/1")
    apart = shapely.MultiPolygon([shapely.box(2 * i, 0, 2 * i + 1, 1) for i in range(parts)])
    assert even_odd.few_parts(apart, "way/2") is apart


def test_areas_of_many_parts_are_straightened_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What that would push over one another stays as it is drawn."""
    wavy = shapely.Polygon([*[(x, 0.1 * (x % 2)) for x in range(21)], (20, 9), (0, 9)])
    drawn = shapely.MultiPolygon([wavy, shapely.box(30, 0, 31, 1)])
    together = ground_areas._straightened(drawn)
    monkeypatch.setattr(ground_areas, "_FEW_PARTS", 1)
    assert shapely.equals(ground_areas._straightened(drawn), together)
    assert shapely.get_num_coordinates(together) < shapely.get_num_coordinates(drawn)
    notched = shapely.Polygon([(0, 0), (5, -0.15), (10, 0), (10, -9), (0, -9)])
    meeting = shapely.MultiPolygon([notched, shapely.Polygon([(5, -0.15), (5.5, 3), (4.5, 3)])])
    assert meeting.is_valid
    assert ground_areas._straightened(meeting) is meeting


def one_spike_after_the_other(corners: np.ndarray) -> np.ndarray | None:
    """The first corner that turns back goes, then corners that repeat the one before; then all is looked at anew."""
    while len(corners) >= 3:
        sharp = footprints._turns_back(np.roll(corners, 1, axis=0), corners, np.roll(corners, -1, axis=0))
        if not sharp.any():
            return corners
        corners = np.delete(corners, int(np.argmax(sharp)), axis=0)
        corners = corners[(corners != np.roll(corners, 1, axis=0)).any(axis=1)]
    return None


@given(seeds, st.integers(3, 12), st.booleans())
@settings(deadline=None)
def test_spikes_are_cut_as_if_one_were_cut_after_the_other(seed: int, size: int, doubled: bool) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 4, (size, 2)).astype(float)
    if doubled:
        corners = np.repeat(corners, rng.integers(1, 3, size), axis=0)
    ring = shapely.LinearRing(corners)
    wanted = one_spike_after_the_other(shapely.get_coordinates(ring)[:-1])
    found = footprints._ring(ring, "a", Ledger())
    assert (found is None) == (wanted is None)
    assert wanted is None or np.array_equal(found, wanted)


def test_each_of_many_spikes_is_looked_at_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    turns_back = footprints._turns_back
    monkeypatch.setattr(footprints, "_turns_back", lambda a, b, c: looked.append(b.size // 2) or turns_back(a, b, c))
    angle = np.linspace(0, 2 * np.pi, 1001)[:-1]
    circle = 50 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    drawn = np.stack([circle, 1.5 * circle, circle], axis=1).reshape(-1, 2)
    found = footprints._ring(shapely.LinearRing(drawn), "a", Ledger())
    assert np.allclose(found, circle)
    assert sum(looked) < 10 * len(drawn)
