"""What objects and buildings are called changes nothing but labels."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sitetwin
from sitetwin.rays import TraceSettings, trace
from sitetwin.site import GeometryError, MissingBuildings, Site, load_scene, load_site, save_site
from sitetwin.site.objects import building_name, building_of_object, join_objects, numbered
from sitetwin.site.plan import standing_buildings
from tests.site.test_check import box, house, quad, site_of

TEMPTING = [
    "house-100001", "house-100002", "house-abcdef", "Main Street 12", "ground", "ground floor", "Terrain Hotel",
    "Forest Lodge", "glass house", "window", "tree hotel", "wall", "roof", "Wall", "a-wall", "a-roof", "a-itu_metal",
    "b-part_brick", "parked_vehicle_1", "water", "itu_concrete", "mat-metal-roof", "", " ", "Ümläut-walls", "楼-roof",
]  # fmt: skip


def row_of_houses() -> Site:
    """Three houses in a row that touch, walls and roofs apart, another one by itself, and a closed block."""
    row = [house(f"h{k}", (10.0 * k, 0, 0), (10.0 * (k + 1), 12, 8 + k % 2)) for k in range(3)]
    return site_of(
        *row,
        house("far", (60, 40, 0), (70, 50, 9)),
        {"block": np.concatenate(list(box((-30, -30, 0), (-20, -20, 6)).values()))},
    )


def renamed(site: Site, names: list[str]) -> Site:
    return replace(site, objects=tuple((names * len(site.objects))[: len(site.objects)]))


@settings(max_examples=8, deadline=None)
@given(names=st.lists(st.sampled_from(TEMPTING) | st.text(max_size=12), min_size=1, max_size=10))
def test_any_names_leave_buildings_ground_and_variants_as_they_are(names: list[str]) -> None:
    site, other = row_of_houses(), renamed(row_of_houses(), names)
    assert site.geometry_hash == other.geometry_hash
    assert np.array_equal(site.buildings[1], other.buildings[1])
    assert len(set(other.buildings[0])) == len(other.buildings[0]) == 6
    assert np.array_equal(standing_buildings(site), standing_buildings(other))
    assert np.array_equal(site.is_ground, other.is_ground)
    assert site.ground_objects == other.ground_objects
    changes = {"missing": MissingBuildings(share=0.4), "walls": GeometryError(sigma=1.0), "heights": GeometryError(1.0)}
    moved, too = (s.variant(rng=np.random.default_rng(3), **changes) for s in (site, other))
    assert np.array_equal(moved.vertices, too.vertices)
    assert np.array_equal(moved.triangles, too.triangles)


def test_paths_are_the_same_under_other_names() -> None:
    site = row_of_houses()
    users = np.array([[5.0, -10.0, 1.5], [45.0, 20.0, 1.5]])
    one, other = (
        trace(s, np.array([45.0, -20.0, 12.0]), users, TraceSettings(max_depth=2))
        for s in (site, renamed(site, TEMPTING))
    )
    assert np.array_equal(one.facets, other.facets)
    assert np.array_equal(one.length, other.length)


def test_a_house_moves_as_a_whole_and_neighbours_apart() -> None:
    site = row_of_houses()
    assert site.buildings[1].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 5]
    assert site.buildings[0] == ("h0", "h1", "h2", "far", "block", "ground")
    moved = site.variant(walls=GeometryError(sigma=2.0), rng=np.random.default_rng(0))
    shift = (moved.corners - site.corners).mean(axis=(1, 2))
    for number in range(5):
        assert np.ptp(shift[site.buildings[1][site.triangle_object] == number]) < 1e-12


def test_walls_apart_under_one_roof_and_a_window_are_one_building() -> None:
    parts = box((0, 0, 0), (10, 10, 8))
    walls = {f"panel {k}": parts["walls"][2 * k : 2 * k + 2] for k in range(4)}
    assert site_of(walls, {"top": parts["roof"]}).buildings[1].tolist() == [0, 0, 0, 0, 0, 1]
    pane = quad([4, 0, 2], [6, 0, 2], [6, 0, 4], [4, 0, 4])
    frame = [
        quad([0, 0, 0], [10, 0, 0], [6, 0, 2], [4, 0, 2]),
        quad([10, 0, 0], [10, 0, 8], [6, 0, 4], [6, 0, 2]),
        quad([10, 0, 8], [0, 0, 8], [4, 0, 4], [6, 0, 4]),
        quad([0, 0, 8], [0, 0, 0], [4, 0, 2], [4, 0, 4]),
    ]
    body = np.concatenate([*frame, parts["walls"][2:], parts["roof"]])
    assert site_of({"house": body, "pane": pane}).buildings[1].tolist() == [0, 0, 1]


def test_open_boxes_side_by_side_are_two_buildings() -> None:
    """Their feet share an edge, and so do their walls' tops: walls that lie on each other close nothing."""
    boxes = [box((10.0 * k, 0, 0), (10.0 * (k + 1), 10, 8)) for k in range(2)]
    shells = {f"house-10000{k}": np.concatenate([b["walls"], b["roof"]]) for k, b in enumerate(boxes)}
    assert site_of(shells).buildings[0] == ("house-100000", "house-100001", "ground")
    facades = {  # no wall between them, as in a merged row
        "left": np.concatenate([boxes[0]["walls"][[0, 1, 4, 5, 6, 7]], boxes[0]["roof"]]),
        "right": np.concatenate([boxes[1]["walls"][[0, 1, 2, 3, 4, 5]], boxes[1]["roof"]]),
    }
    assert site_of(facades).buildings[1].tolist() == [0, 1, 2]


@pytest.mark.parametrize("scene", ["munich", "florence"])
def test_scenes_of_walls_and_roofs_group_by_shape_as_their_names_do(scene: str) -> None:
    site = load_scene(scene)
    by_name = join_objects(np.unique([building_name(name) for name in site.objects], return_inverse=True)[1])
    assert np.array_equal(site.buildings[1], by_name)


def test_a_map_says_which_parts_are_one_building(tmp_path: Path) -> None:
    def feature(key: str, name: str, x: float) -> dict[str, object]:
        ring = [[x, 50.0], [x + 1e-4, 50.0], [x + 1e-4, 50.0001], [x, 50.0001], [x, 50.0]]
        tags = {"building": "yes", "height": "8", "name": name}
        return {
            "type": "Feature",
            "id": key,
            "properties": tags,
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }

    def site(ids: list[str], names: list[str]) -> Site:
        found = [feature(key, name, 8.0 + 1e-4 * k) for k, (key, name) in enumerate(zip(ids, names, strict=True))]
        (tmp_path / "map.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": found}))
        return sitetwin.open_site(tmp_path / "map.geojson")

    plain = site(["way/1", "way/2", "way/3"], ["A", "B", "C"])
    other = site(["house-100001", "house-100002", "ground"], ["Main Street 12", "Terrain Hotel", "Forest Lodge"])
    assert plain.geometry_hash == other.geometry_hash
    assert np.array_equal(plain.buildings[1], other.buildings[1])
    assert standing_buildings(plain).sum() == standing_buildings(other).sum() == 3
    assert np.array_equal(plain.facet_material, other.facet_material)
    assert np.array_equal(load_site(save_site(other, tmp_path / "saved")).object_building, other.object_building)


@pytest.mark.parametrize(
    "names", [("house-100001", "house-100002"), ("a-wall", "a-roof"), ("X", "x"), ("same", "same")]
)
def test_objects_of_a_mesh_are_buildings_of_their_own(names: tuple[str, str], tmp_path: Path) -> None:
    lines, count = [], 0
    for k, name in enumerate(names):
        corners = np.concatenate(list(box((20.0 * k, 0, 0), (20.0 * k + 10, 10, 8)).values()))
        lines.append(f"o {name}")
        lines += [f"v {x} {y} {z}" for x, y, z in corners.reshape(-1, 3)]
        lines += [f"f {count + 3 * t + 1} {count + 3 * t + 2} {count + 3 * t + 3}" for t in range(len(corners))]
        count += 3 * len(corners)
    (tmp_path / "two.obj").write_text("\n".join(lines) + "\n")
    site = load_scene(tmp_path / "two.obj")
    assert len(site.objects) == len(set(names))  # OBJ continues an object that is named again
    assert standing_buildings(site).sum() == len(site.objects)


def test_thousands_of_objects_at_one_edge_take_no_time_by_their_square() -> None:
    angle = np.linspace(0.0, 3.0, 30_000)
    leaves = np.zeros((30_000, 3, 3))
    leaves[:, 1, 0], leaves[:, 2, 0] = 10.0, 5.0
    leaves[:, 2, 1], leaves[:, 2, 2] = 5 * np.cos(angle), 5 * np.sin(angle) + 1e-3
    building = building_of_object(leaves, np.arange(30_000), 30_000, np.ones(30_000, dtype=bool))
    assert np.array_equal(building, np.arange(30_000))


def test_labels() -> None:
    assert numbered(np.array([7, -1, 3, 7, -1])).tolist() == [0, 1, 2, 0, 3]
    assert join_objects(np.array([0, 1, 2, 3]), np.array([5, 5, 6, 7]), np.array([1, 2, 2, 3])).tolist() == [0, 0, 0, 1]
