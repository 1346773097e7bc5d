"""What `check_site` finds, each defect made by hand in a site that is otherwise sound."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sitetwin.cli.app import app
from sitetwin.errors import SiteTwinError
from sitetwin.site import (
    Cylinder,
    ExtrudedPolygon,
    Site,
    SiteReport,
    Vegetation,
    build_site,
    check_site,
    itu_material,
    load_scene,
    open_site,
    save_site,
)
from sitetwin.site.check.edges import weld
from sitetwin.site.check.places import Bodies, overlapping_buildings

GROUND = np.array(
    [
        [[-100.0, -100.0, 0.0], [100.0, -100.0, 0.0], [100.0, 100.0, 0.0]],
        [[-100.0, -100.0, 0.0], [100.0, 100.0, 0.0], [-100.0, 100.0, 0.0]],
    ]
)
Parts = dict[str, np.ndarray]


def quad(a: list[float], b: list[float], c: list[float], d: list[float]) -> np.ndarray:
    return np.array([[a, b, c], [a, c, d]], dtype=np.float64)


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> Parts:
    """Walls, roof and floor of a box, facing outwards."""
    (x, y, z), (u, v, w) = low, high
    walls = [
        quad([x, y, z], [u, y, z], [u, y, w], [x, y, w]),
        quad([u, y, z], [u, v, z], [u, v, w], [u, y, w]),
        quad([u, v, z], [x, v, z], [x, v, w], [u, v, w]),
        quad([x, v, z], [x, y, z], [x, y, w], [x, v, w]),
    ]
    return {
        "walls": np.concatenate(walls),
        "roof": quad([x, y, w], [u, y, w], [u, v, w], [x, v, w]),
        "floor": quad([x, y, z], [x, v, z], [u, v, z], [u, y, z]),
    }


def house(name: str, low: tuple[float, float, float], high: tuple[float, float, float], floor: bool = False) -> Parts:
    """Objects of a building in the map pipeline's names."""
    parts = box(low, high)
    walls = np.concatenate([parts["walls"], parts["floor"]]) if floor else parts["walls"]
    return {f"{name}-walls": walls, f"{name}-roof": parts["roof"]}


def site_of(*buildings: Parts, ground: np.ndarray | None = GROUND, **options: object) -> Site:
    """A site of labelled triangles; the ground lies under them."""
    objects = {name: corners for building in buildings for name, corners in building.items()}
    if ground is not None:
        objects["ground"] = ground
    corners = np.concatenate(list(objects.values()))
    owner = np.repeat(np.arange(len(objects)), [len(c) for c in objects.values()])
    return build_site(
        "test",
        corners.reshape(-1, 3),
        np.arange(3 * len(corners)).reshape(-1, 3),
        owner,
        list(objects),
        [1 if name.endswith("-roof") else 0 for name in objects],
        [itu_material("concrete"), itu_material("metal")],
        **options,  # type: ignore[arg-type]
    )


def found(report: SiteReport) -> dict[str, int]:
    return {finding.check: finding.count for finding in report.findings}


def test_a_sound_site_has_notes_only() -> None:
    report = check_site(site_of(house("a", (0, 0, 0), (10, 10, 8)), house("b", (20, 0, 0), (30, 10, 5))), 3.5e9)
    assert report.ok
    assert found(report) == {"open bottoms": 8}
    assert report.counts["buildings"] == 2
    assert report.kinds["ground"] == {"triangles": 2, "facets": 1, "area_m2": pytest.approx(40_000.0)}
    assert report.kinds["roofs"]["area_m2"] == pytest.approx(200.0)
    assert report.kinds["walls"]["area_m2"] == pytest.approx(40 * 8 + 40 * 5)
    assert sum(m["area_share"] for m in report.materials) == pytest.approx(1.0)


def test_a_closed_box_has_no_finding() -> None:
    assert found(check_site(site_of(house("a", (0, 0, 0.5), (10, 10, 8), floor=True)))) == {"floating": 1}
    assert found(check_site(site_of(house("a", (0, 0, 0), (10, 10, 8), floor=True)))) == {}


def test_a_missing_roof_is_a_hole() -> None:
    building = house("way/7", (0, 0, 0), (10, 10, 8))
    del building["way/7-roof"]
    report = check_site(site_of(building))
    assert not report.ok
    (error,) = report.of("error")
    assert (error.check, error.count, error.objects) == ("holes", 4, ("way/7",))
    assert error.mend


def test_a_missing_wall_is_a_hole_up_from_the_ground() -> None:
    building = house("a", (0, 0, 0), (10, 10, 8))
    building["a-walls"] = building["a-walls"][2:]
    assert found(check_site(site_of(building))) == {"holes": 3, "open bottoms": 3}


def test_houses_without_their_shared_wall_are_closed_together() -> None:
    """Equal heights, the wall between them gone from both: the union is closed."""
    left, right = house("a", (0, 0, 0), (10, 10, 8)), house("b", (10, 0, 0), (20, 10, 8))
    east = (left["a-walls"][..., 0] == 10).all(axis=1)
    west = (right["b-walls"][..., 0] == 10).all(axis=1)
    left["a-walls"], right["b-walls"] = left["a-walls"][~east], right["b-walls"][~west]
    assert found(check_site(site_of(left, right))) == {"open bottoms": 6}
    assert not check_site(site_of(left)).ok


def test_a_step_between_houses_is_closed_by_t_junctions() -> None:
    """A high house beside a low and shorter one: above its roof and beside it the wall is there, in three pieces."""
    high, low = house("a", (0, 0, 0), (10, 10, 8)), house("b", (10, 2, 0), (20, 10, 4))
    east = (high["a-walls"][..., 0] == 10).all(axis=1)
    west = (low["b-walls"][..., 0] == 10).all(axis=1)
    upper = quad([10, 0, 4], [10, 10, 4], [10, 10, 8], [10, 0, 8])
    beside = quad([10, 0, 0], [10, 2, 0], [10, 2, 4], [10, 0, 4])
    high["a-walls"] = np.concatenate([high["a-walls"][~east], upper, beside])
    low["b-walls"] = low["b-walls"][~west]
    report = check_site(site_of(high, low))
    assert report.ok
    assert "T-junctions" in found(report)
    high["a-walls"] = high["a-walls"][:-2]  # without the piece beside
    assert "holes" in found(check_site(site_of(high, low)))


def test_walls_that_end_above_the_ground() -> None:
    slope = GROUND.copy()
    slope[..., 2] = 0.2 * slope[..., 0]
    on_slope = check_site(site_of(house("a", (0, 0, 0), (10, 10, 12)), ground=slope))
    assert on_slope.ok  # the ground rises above the floor's level
    off_slope = check_site(site_of(house("a", (-10, 0, 0), (10, 10, 12)), ground=slope))
    assert found(off_slope)["raised bottoms"] == 3
    assert not off_slope.ok


def test_facing() -> None:
    inward = {name: corners[:, ::-1] for name, corners in house("a", (0, 0, 0), (10, 10, 8), floor=True).items()}
    assert found(check_site(site_of(inward))) == {"inside out": 1}
    mixed = house("a", (0, 0, 0), (10, 10, 8))
    mixed["a-roof"] = mixed["a-roof"][:, ::-1]
    assert found(check_site(site_of(mixed)))["winding"] == 8
    assert found(check_site(site_of(ground=GROUND[:, ::-1])))["ground faces down"] == 2


def test_surfaces_in_one_another() -> None:
    building = house("a", (0, 0, 0), (10, 10, 8))
    sign = {"sign": quad([2, 0, 1], [6, 0, 1], [6, 0, 4], [2, 0, 4])}  # in the wall, facing as it does
    report = check_site(site_of(building, sign))
    assert found(report)["double surfaces"] == 1
    back = {"sign": sign["sign"][:, ::-1]}
    assert "double surfaces" not in found(check_site(site_of(building, back)))
    away = {"sign": sign["sign"] - [0.0, 0.02, 0.0]}  # 2 cm before it
    assert "double surfaces" not in found(check_site(site_of(building, away)))
    patch = {"ground-asphalt": GROUND * [0.5, 0.5, 1.0]}
    assert found(check_site(site_of(building, patch)))["double surfaces"] == 1


def test_walls_back_to_back_are_a_note() -> None:
    report = check_site(site_of(house("a", (0, 0, 0), (10, 10, 8)), house("b", (10, 0, 0), (20, 10, 8))))
    assert report.ok
    assert found(report)["walls back to back"] == 1
    assert "overlaps" not in found(report)


def test_duplicate_triangles() -> None:
    building = house("a", (0, 0, 0), (10, 10, 8))
    building["a-roof"] = np.concatenate([building["a-roof"], building["a-roof"][:, ::-1]])
    assert found(check_site(site_of(building)))["duplicate triangles"] == 2


def test_overlaps() -> None:
    first = house("a", (0, 0, 0), (10, 10, 8))
    report = check_site(site_of(first, house("b", (6, 5, 0), (20, 20, 5))))
    (overlap,) = [f for f in report.findings if f.check == "overlaps"]
    assert overlap.objects == ("a & b",)
    assert "20 m2" in overlap.text
    above = check_site(site_of(first, house("c", (2, 2, 8), (6, 6, 12), floor=True)))
    assert "overlaps" not in found(above)
    assert "floating" not in found(above)  # it stands on the other


@given(st.lists(st.tuples(*[st.integers(0, 20)] * 4), min_size=2, max_size=5), st.integers(0, 3))
def test_overlaps_are_those_of_the_plans(places: list[tuple[int, int, int, int]], kind: int) -> None:
    """Against shapely on the plans themselves; L-shaped plans, whose hulls overlap where they do not."""
    plans, corners, owner = [], [], []
    for number, (x, y, w, h) in enumerate(places):
        parts = [shapely.box(x, y, x + w + 2, y + 2), shapely.box(x, y, x + 2, y + h + 2)]
        plans.append(shapely.union_all(parts))
        for part in parts:
            a, b, c, d = shapely.bounds(part)
            triangles = quad([a, b, 5], [c, b, 5], [c, d, 5], [a, d, 5])
            corners += [triangles, triangles - [0.0, 0.0, 5.0]]
            owner += [number] * 4
    bodies = Bodies.of(tuple("abcde"[: len(plans)]), np.concatenate(corners), np.array(owner))
    pairs, area = overlapping_buildings(bodies)
    expected = {
        (i, j): shapely.intersection(plans[i], plans[j]).area
        for i in range(len(plans))
        for j in range(i + 1, len(plans))
        if shapely.intersection(plans[i], plans[j]).area > 1.0
    }
    assert dict(zip(map(tuple, pairs.tolist()), area.tolist(), strict=True)) == pytest.approx(expected)


def test_floating_and_buried() -> None:
    report = check_site(
        site_of(
            house("sound", (0, 0, 0), (10, 10, 8)),
            house("kite", (20, 0, 3), (30, 10, 8), floor=True),
            house("cellar", (40, 0, -6), (50, 10, -2)),
        )
    )
    by_name = {f.check: f for f in report.findings}
    assert by_name["floating"].objects == ("kite",)
    assert "3.0" in by_name["floating"].text
    assert by_name["buried"].objects == ("cellar",)


def test_trees_in_wrong_places() -> None:
    canopies = Vegetation(
        (
            Cylinder((20.0, 0.0), 2.0, 2.0, 6.0),
            Cylinder((5.0, 5.0), 1.0, 2.0, 6.0),  # in the house
            ExtrudedPolygon(((30, 0), (40, 0), (40, 10)), -9.0, -4.0, leaf_cycle="evergreen"),  # under the ground
        )
    )
    report = check_site(site_of(house("a", (0, 0, 0), (10, 10, 8)), vegetation=canopies))
    by_name = {f.check: f.objects for f in report.findings}
    assert by_name["trees in buildings"] == ("canopy 1",)
    assert by_name["buried trees"] == ("canopy 2",)
    assert report.vegetation["shape"] == {"cylinder": 2, "polygon": 1}
    assert report.vegetation["leaf_cycle"] == {"deciduous": 2, "evergreen": 1}


def test_slivers_distance_and_missing_ground() -> None:
    thin = {"wire": np.array([[[0.0, 0.0, 1.0], [5.0, 0.0, 1.0], [5.0, 0.0, 1.004]]])}
    assert found(check_site(site_of(house("a", (0, 0, 0), (10, 10, 8)), thin)))["slivers"] == 1
    apart = (house("a", (0, 0, 0), (10, 10, 8)), house("b", (40, 40, 0), (50, 50, 8)))
    assert found(check_site(site_of(*apart, ground=None)))["no ground"] == 1
    far = site_of(house("a", (3e4, 0, 0), (3e4 + 10, 10, 8)), ground=GROUND + np.array([3e4, 0.0, 0.0]))
    assert found(check_site(far))["far from the origin"] == 1


def test_materials_at_the_carrier() -> None:
    site = site_of(house("a", (0, 0, 0), (10, 10, 8)))
    soil = site.variant(materials={"concrete": "medium_dry_ground"})
    assert "material range" not in found(check_site(soil, 3.5e9))
    report = check_site(soil, 28e9)
    assert found(report)["material range"] == 1
    assert [m["in_range"] for m in report.materials] == [False, True]
    assert [m["in_range"] for m in check_site(soil).materials] == [None, None]
    with pytest.raises(SiteTwinError, match="positive"):
        check_site(site, 0.0)


def test_what_the_import_assumed() -> None:
    ledger = [
        {"kind": "assumed", "what": "building height by default", "count": 7, "examples": ["way/1", "way/2"]},
        {"kind": "read", "what": "buildings", "count": 9, "examples": []},
        {"kind": "dropped", "what": "building under the ground", "count": 1, "examples": ["way/9"]},
    ]
    report = check_site(site_of(house("a", (0, 0, 0), (10, 10, 8)), provenance={"import": ledger}))
    notes = {f.check: f for f in report.of("note")}
    assert (notes["import, assumed"].count, notes["import, assumed"].objects) == (7, ("way/1", "way/2"))
    assert notes["import, dropped"].text == "building under the ground"
    assert report.imported == ledger


def test_the_report_does_not_depend_on_where_the_site_lies() -> None:
    site = load_scene("simple_street_canyon_with_cars")
    before = check_site(site)
    turned = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    normal = site.facet_normal @ turned.T
    shift = np.array([64.0, -128.0, 32.0])
    moved = replace(
        site,
        vertices=site.vertices @ turned.T + shift,
        facet_normal=normal,
        facet_offset=site.facet_offset + normal @ shift,
    )
    assert found(check_site(moved)) == found(before)


@given(st.lists(st.tuples(*[st.sampled_from([-1.5, -0.0, 0.0, 0.1, 1e5])] * 3), max_size=40))
def test_weld_labels_places(points: list[tuple[float, float, float]]) -> None:
    array = np.array(points, dtype=np.float64).reshape(-1, 3)
    label = weld(array)
    for i in range(len(array)):
        np.testing.assert_array_equal(label == label[i], (array == array[i]).all(axis=1))


def test_command_line(tmp_path: Path) -> None:
    save_site(site_of(house("a", (0, 0, 0), (10, 10, 8))), tmp_path / "sound")
    assert open_site(tmp_path / "sound").name == "test"
    arguments = ["site", "check", str(tmp_path / "sound"), "--out", str(tmp_path / "out"), "--carrier", "3.5e9"]
    good = CliRunner().invoke(app, arguments)
    assert good.exit_code == 0, good.output
    assert (tmp_path / "out" / "map.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "out" / "check.json").read_text())["ok"] is True
    broken = house("way/7", (0, 0, 0), (10, 10, 8))
    del broken["way/7-roof"]
    save_site(site_of(broken), tmp_path / "broken")
    bad = CliRunner().invoke(app, ["site", "check", str(tmp_path / "broken"), "--json"])
    assert bad.exit_code == 1
    facts = json.loads(bad.stdout)
    assert [f["check"] for f in facts["findings"] if f["severity"] == "error"] == ["holes"]
    table = CliRunner().invoke(app, ["site", "check", str(tmp_path / "broken")])
    assert "way/7" in table.stdout
    absent = CliRunner().invoke(app, ["site", "check", "nowhere"])
    assert absent.exit_code == 1
    assert absent.stderr.count("\n") == 1
