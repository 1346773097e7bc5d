"""Missing buildings, hidden materials, trees, parked vehicles, groups, poses and recipes: laws of what they change."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.site import Cylinder, Ellipsoid, ExtrudedPolygon, GeometryError, Site, Vegetation
from sitetwin.site.facets import flatness_excess
from sitetwin.site.places.pose import Pose
from sitetwin.site.plan import PARKED, footprints, plan_shapes, standing_buildings, touching_groups
from sitetwin.site.recipes import FIDELITY, VariantRecipe, fidelity_recipe, fidelity_sweep, read_recipe
from sitetwin.site.variants import (
    HiddenMaterials,
    MaterialValues,
    MissingBuildings,
    ParkedVehicles,
    PoseError,
    SurfaceMaterials,
    TreeError,
    pose_error,
    split_materials,
)
from tests.site.conftest import block, make_town

STREET = ((-90.0, 0.0), (-60.0, 0.0), (90.0, 0.0))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def said(site: Site, what: str) -> dict:
    (entry,) = [d for d in site.provenance["differences"] if d["what"] == what]
    json.dumps(entry)
    return entry


def check_whole(site: Site) -> None:
    """Every table fits every other one, and facets are flat."""
    assert site.triangles.max() < len(site.vertices)
    assert np.array_equal(np.unique(site.triangle_facet), np.arange(site.num_facets))
    assert site.facet_normal.shape == (site.num_facets, 3)
    assert site.facet_material.max() < len(site.materials)
    assert len({m.name for m in site.materials}) == len(site.materials)
    corners = site.vertices[site.triangles]
    excess = flatness_excess(corners, site.triangle_facet, site.facet_normal, site.facet_offset)
    assert excess.max() <= 1.5


@pytest.fixture
def village() -> Site:
    """A grid of sixteen blocks of different heights, 20 m apart."""
    return make_town(
        [
            (f"house {column}.{row}", block(30 * column, 30 * row, 30 * column + 10, 30 * row + 10, 5.0 + column), 1)
            for column in range(-2, 2)
            for row in range(-2, 2)
        ],
        "village",
    )


@pytest.fixture
def terrace() -> Site:
    """Three houses wall to wall on a slope of their own making, and one apart."""
    row = [
        ("a", block(0, 0, 10, 10, 9.0), 1),
        ("b", block(10, 0, 20, 10, 11.0), 1),
        ("c", block(20, 0, 30, 10, 8.0), 1),
    ]
    lifted = [(name, (v + np.array([0, 0, 0.5 * k]), f), m) for k, (name, (v, f), m) in enumerate(row)]
    return make_town([*lifted, ("far", block(50, 0, 60, 10, 7.0), 1)], "terrace")


def test_missing_buildings_leave_all_else_as_it_was(village: Site) -> None:
    less = village.variant(missing=MissingBuildings(share=0.25), rng=rng())
    check_whole(less)
    entry = said(less, "missing buildings")
    assert entry["missing"] == 4
    assert entry["buildings_before"] == 16
    assert int(standing_buildings(less).sum()) == 12
    kept = [village.objects.index(name) for name in less.objects]
    np.testing.assert_array_equal(less.object_bounds, village.object_bounds[kept])
    assert less.num_triangles == village.num_triangles - entry["triangles"]


def test_missing_buildings_are_nested_seeded_and_may_be_named(village: Site) -> None:
    few = village.variant(missing=MissingBuildings(count=3), rng=rng(5))
    many = village.variant(missing=MissingBuildings(share=0.5), rng=rng(5))
    assert set(many.objects) < set(few.objects)
    assert few.hash == village.variant(missing=MissingBuildings(count=3), rng=rng(5)).hash
    assert few.hash != village.variant(missing=MissingBuildings(count=3), rng=rng(6)).hash
    named = village.variant(missing=MissingBuildings(names=("house 0.0",)))
    assert "house 0.0" not in named.objects
    assert len(named.objects) == len(village.objects) - 1
    nothing = village.variant(missing=MissingBuildings(share=0.0), rng=rng())
    assert nothing.geometry_hash == village.geometry_hash
    for bad in (MissingBuildings(names=("castle",)), MissingBuildings(count=17)):
        with pytest.raises(SiteTwinError, match=r"castle|17 buildings"):
            village.variant(missing=bad, rng=rng())
    with pytest.raises(SiteTwinError, match="exactly one"):
        MissingBuildings()
    with pytest.raises(SiteTwinError, match="rng"):
        village.variant(missing=MissingBuildings(share=0.5))


def test_surfaces_get_the_material_of_their_kind_and_keep_thickness_and_mesh(village: Site) -> None:
    surfaces = SurfaceMaterials(ground="wet_ground", wall="brick", roof="metal")
    other = village.variant(surfaces=surfaces)
    check_whole(other)
    assert other.geometry_hash == village.geometry_hash
    of_facet = np.zeros(village.num_facets, dtype=int)
    of_facet[village.triangle_facet] = village.buildings[1][village.triangle_object]
    building, level = standing_buildings(village)[of_facet], np.abs(village.facet_normal[:, 2]) > 0.5
    for facets, name in ((~building, "wet_ground"), (building & ~level, "brick"), (building & level, "metal")):
        used = {other.materials[k] for k in other.facet_material[facets].tolist()}
        assert {material.itu for material in used} == {name}
        before = {village.materials[k].thickness for k in village.facet_material[facets].tolist()}
        assert {material.thickness for material in used} == before
    assert [said(other, f"{kind} material")["after"] for kind in ("ground", "wall", "roof")] == [
        "wet_ground", "brick", "metal",
    ]  # fmt: skip
    recipe = VariantRecipe(surfaces=surfaces).apply(village, rng(1))
    assert [recipe.materials[k].itu for k in recipe.facet_material] == [
        other.materials[k].itu for k in other.facet_material
    ]
    with pytest.raises(SiteTwinError, match="did you mean"):
        SurfaceMaterials("concrete", "bricks", "wood")


def test_a_recipe_without_surfaces_says_what_it_said_before_there_were_any(village: Site) -> None:
    other = VariantRecipe(walls=GeometryError(0.1)).apply(village, rng(1))
    assert "surfaces" not in other.provenance["recipe"]


def test_hidden_materials_change_walls_alone_and_building_by_building(village: Site) -> None:
    hidden = HiddenMaterials({"brick": 1.0, "wood": 1.0}, share=0.75)
    other = village.variant(hidden_materials=hidden, rng=rng(1))
    check_whole(other)
    assert other.geometry_hash == village.geometry_hash
    entry = said(other, "hidden materials")
    assert entry["redrawn"] == 12
    assert sum(entry["by_material"].values()) == 12
    of_facet = np.zeros(village.num_facets, dtype=int)
    of_facet[village.triangle_facet] = village.buildings[1][village.triangle_object]
    wall = np.abs(village.facet_normal[:, 2]) < 0.5
    changed = other.facet_material != village.facet_material
    assert not changed[~wall].any()
    seen = set()
    for k in np.flatnonzero(standing_buildings(village)):
        used = np.unique(other.facet_material[wall & (of_facet == k)])
        assert len(used) == 1  # one building, one material
        seen.add(other.materials[used[0]].itu)
        assert other.materials[used[0]].thickness == 0.1
    assert seen == {"brick", "wood", "marble"}
    assert other.hash == village.variant(hidden_materials=hidden, rng=rng(1)).hash
    with pytest.raises(SiteTwinError, match="did you mean"):
        HiddenMaterials({"bricks": 1.0})
    with pytest.raises(SiteTwinError, match="add up to nothing"):
        HiddenMaterials({"brick": 0.0})


def grove() -> Vegetation:
    volumes = (
        *(Ellipsoid((4.0 * k, 60, 8), (2, 3, 4), yaw=0.3 * k) for k in range(10)),
        *(Cylinder((4.0 * k, 80), 2.0, 3.0, 9.0) for k in range(5)),
        ExtrudedPolygon(((50, 50), (70, 50), (50, 70)), 1.0, 10.0),
    )
    return Vegetation(volumes).with_scatter_centres(6, rng(9))


def test_trees_move_grow_and_go_missing_with_their_scatter_centres(village: Site) -> None:
    site = replace(village, vegetation=grove())
    error = TreeError(GeometryError(largest=1.5), size_sigma=0.3, missing=0.25)
    other = site.variant(trees=error, rng=rng(2))
    entry = said(other, "trees")
    assert entry["missing"] == 4
    assert other.vegetation.num_volumes == 12
    assert other.vegetation.num_scatter_centres == 72
    assert 0 < entry["position_rms_m"] <= 1.5
    for k, volume in enumerate(other.vegetation.volumes):  # centres stay within what they belong to: chords pass them
        for point in other.vegetation.scatter_centres[other.vegetation.scatter_volume == k]:
            beside = Vegetation((volume,)).chords(point[None] - [0, 0, 100.0], point[None] + [0, 0, 100.0])
            assert any(a - 1e-9 <= 100.0 <= b + 1e-9 for a, b in zip(beside[2], beside[3], strict=True))
    fewer = site.variant(trees=replace(error, missing=0.5), rng=rng(2))
    assert {v.numbers for v in fewer.vegetation.volumes} < {v.numbers for v in other.vegetation.volumes}
    assert other.hash == site.variant(trees=error, rng=rng(2)).hash
    same = site.variant(trees=TreeError(), rng=rng(2))
    assert same.geometry_hash == site.geometry_hash


def test_a_larger_tree_keeps_its_lower_end_and_its_shape(village: Site) -> None:
    site = replace(village, vegetation=grove())
    grown = site.variant(trees=TreeError(size_sigma=0.5), rng=rng(4)).vegetation.volumes
    for old, new in zip(site.vegetation.volumes, grown, strict=True):
        if isinstance(old, Ellipsoid) and isinstance(new, Ellipsoid):
            assert new.centre[2] - new.semi_axes[2] == pytest.approx(old.centre[2] - old.semi_axes[2], abs=1e-12)
            factor = np.array(new.semi_axes) / old.semi_axes
            np.testing.assert_allclose(factor, factor[0])
        elif isinstance(old, ExtrudedPolygon) and isinstance(new, ExtrudedPolygon):
            assert new.ring == old.ring
            assert new.z_min == old.z_min


def test_touching_houses_move_and_grow_as_one(terrace: Site) -> None:
    stands = standing_buildings(terrace)
    groups = touching_groups(terrace, stands)
    names = terrace.buildings[0]
    of = {name: int(groups[k]) for k, name in enumerate(names)}
    assert of["a"] == of["b"] == of["c"] != of["far"]
    error = GeometryError(1.0)
    other = terrace.variant(walls=error, heights=error, together=True, rng=rng(3))
    check_whole(other)
    assert said(other, "walls moved")["buildings"] == 2
    corners, before = other.vertices[other.triangles], terrace.vertices[terrace.triangles]
    shift = corners - before
    for group in ("abc", ["far"]):
        rows = np.isin(terrace.triangle_object, [terrace.objects.index(name) for name in group])
        np.testing.assert_allclose(
            shift[rows][..., :2], np.broadcast_to(shift[rows][0, 0, :2], (rows.sum(), 3, 2)), atol=1e-9
        )
    # One height of the row stays one height: what was level with a neighbour's corner still is.
    row = np.isin(terrace.triangle_object, [terrace.objects.index(name) for name in "abc"])
    old, new = before[row][..., 2].ravel(), corners[row][..., 2].ravel()
    order = np.argsort(old)
    assert (np.diff(new[order]) >= -1e-9).all()
    for z in np.unique(old):
        assert np.ptp(new[old == z]) < 1e-12
    assert new.min() == old.min()  # houses further down stay on the ground
    assert np.abs(new - old).max() > 0.05
    alone = terrace.variant(walls=error, rng=rng(3))
    apart = footprints(alone, standing_buildings(alone))
    assert shapely.union_all(apart).area != pytest.approx(400.0, abs=1e-3)
    rows_together = footprints(other, standing_buildings(other))
    assert shapely.union_all(rows_together).area == pytest.approx(400.0, abs=1e-3)
    with pytest.raises(SiteTwinError, match="together"):
        terrace.variant(together=True)


def parked(site: Site) -> list[int]:
    return [k for k, name in enumerate(site.objects) if name.startswith(PARKED)]


def check_parking(before: Site, after: Site) -> None:
    """Vehicles stand on the ground, on nobody's toes."""
    check_whole(after)
    rows = parked(after)
    corners = after.vertices[after.triangles]
    outlines = [shapely.union_all(plan_shapes(corners[after.triangle_object == k]), grid_size=1e-6) for k in rows]
    built = shapely.union_all(footprints(before, standing_buildings(before)))
    for k, one in enumerate(outlines):
        assert one.distance(built) >= 0.29
        for other in outlines[k + 1 :]:
            assert one.distance(other) >= 0.29
    bounds = after.object_bounds[rows]
    assert np.allclose(bounds[:, 0, 2], 0.15)
    assert ((bounds[:, 1, 2] > 1.0) & (bounds[:, 1, 2] < 3.5)).all()
    assert not standing_buildings(after)[after.buildings[1][rows]].any()
    used = {after.facet_material[f] for f in after.triangle_facet[np.isin(after.triangle_object, rows)]}
    assert [after.materials[m].itu for m in used] == (["metal"] if rows else [])


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    boxes=st.lists(
        st.tuples(st.floats(-80, 60), st.floats(-80, 60), st.floats(3, 30), st.floats(3, 30)), min_size=1, max_size=6
    ),
    density=st.floats(0.0, 17.0),
    streets=st.lists(st.lists(st.tuples(st.floats(-90, 90), st.floats(-90, 90)), min_size=2, max_size=4), max_size=3),
    width=st.floats(6.0, 15.0),
)
def test_vehicles_never_stand_in_buildings_or_each_other(seed, boxes, density, streets, width) -> None:
    town = make_town([(f"b{k}", block(x, y, x + w, y + d, 6.0), 1) for k, (x, y, w, d) in enumerate(boxes)])
    lines = tuple(tuple(line) for line in streets if shapely.LineString(line).length > 1.0)
    vehicles = ParkedVehicles(per_100_m=density, streets=lines, street_width=width)
    full = town.variant(vehicles=vehicles, rng=rng(seed))
    check_parking(town, full)
    assert said(full, "parked vehicles")["vehicles"] == len(parked(full))


def test_vehicles_line_the_street_and_keep_the_lanes_free(town: Site) -> None:
    street = ParkedVehicles(count=20, streets=(STREET, ((0.0, -90.0), (0.0, 90.0))), street_width=10.0)
    bare = make_town([("far", block(80, 80, 90, 90, 5.0), 1)])
    full = bare.variant(vehicles=street, rng=rng(1))
    check_parking(bare, full)
    bounds = full.object_bounds[parked(full)]
    middle = bounds.mean(axis=1)
    assert len(middle) == 20
    along_x, along_y = np.abs(np.abs(middle[:, 1]) - 3.9) < 0.3, np.abs(np.abs(middle[:, 0]) - 3.9) < 0.3
    assert (along_x ^ along_y).all()
    assert 0 < along_x.sum() < 20
    crossing = shapely.box(-5, -5, 5, 5)
    assert not any(shapely.box(*b[0, :2], *b[1, :2]).intersects(crossing) for b in bounds)
    extent = bounds[:, 1] - bounds[:, 0]
    assert (extent[along_x, 0] > extent[along_x, 1]).all()  # along the kerb
    again = bare.variant(vehicles=street, rng=rng(1))
    assert again.hash == full.hash
    assert bare.variant(vehicles=street, rng=rng(2)).hash != full.hash
    assert np.array_equal(full.facet_normal[: bare.num_facets], bare.facet_normal)  # facets keep their numbers


def test_parked_bodies_have_the_outlines_of_cars(town: Site) -> None:
    street = ParkedVehicles(count=12, streets=(STREET,), vans=0.5, bodies="vehicles")
    full = town.variant(vehicles=street, rng=rng(1))
    check_whole(full)
    rows = parked(full)
    assert said(full, "parked vehicles")["bodies"] == "vehicles"
    corners = full.vertices[full.triangles]
    outlines = [shapely.union_all(plan_shapes(corners[full.triangle_object == k]), grid_size=1e-6) for k in rows]
    assert all(one.distance(other) >= 0.29 for k, one in enumerate(outlines) for other in outlines[k + 1 :])
    extent = full.object_bounds[rows][:, 1] - full.object_bounds[rows][:, 0]
    assert {int((np.unique(full.triangles[full.triangle_object == k])).size) for k in rows} <= {48, 56, 64}
    assert ((extent[:, 0] > 3.5) & (extent[:, 0] < 6.2)).all()
    assert "bodies" not in said(town.variant(vehicles=ParkedVehicles(count=2), rng=rng(1)), "parked vehicles")


def test_more_vehicles_than_room_are_said(town: Site) -> None:
    full = town.variant(vehicles=ParkedVehicles(count=5000), rng=rng())
    entry = said(full, "parked vehicles")
    assert entry["asked_for"] == 5000
    assert 10 < entry["vehicles"] < 60
    assert entry["along"] == "buildings"
    for bad in (
        {"per_100_m": -1.0},
        {"vans": 1.1},
        {"count": -1},
        {"streets": (((0, 0),),)},
        {"streets": (((-1e7, 0), (0, 0)),)},
        {"street_width": math.nan},
        {"bodies": "bikes"},
    ):
        with pytest.raises(SiteTwinError):
            ParkedVehicles(**bad)
    back_and_forth = (((-4e5, 0.0), (4e5, 0.0)),)
    with pytest.raises(SiteTwinError, match="1,600 km long"):
        town.variant(vehicles=ParkedVehicles(count=1, streets=back_and_forth), rng=rng())


def test_vehicles_stand_on_a_slope_but_not_on_a_cliff() -> None:
    town = make_town([("far", block(80, 80, 90, 90, 5.0), 1)])
    tilt = town.vertices.copy()
    tilt[:, 2] += np.where(tilt[:, 2] == 0, 0.1 * tilt[:, 0], 0)
    ramp = replace(town, vertices=tilt, facet_normal=town.facet_normal, facet_offset=town.facet_offset)
    full = ramp.variant(vehicles=ParkedVehicles(count=5, streets=(STREET,)), rng=rng())
    bounds = full.object_bounds[parked(full)]
    assert len(bounds) == 5
    np.testing.assert_allclose(bounds[:, 0, 2], 0.15 + 0.1 * bounds[:, 1, 0], atol=0.03)  # over the highest corner
    steep = replace(town, vertices=np.column_stack([tilt[:, :2], 5 * tilt[:, 2]]))
    assert not parked(steep.variant(vehicles=ParkedVehicles(count=5, streets=(STREET,)), rng=rng()))


def test_pose_errors_have_their_size_and_are_listed(town: Site) -> None:
    pose = Pose((0.0, 0.0, 25.0), 0.4, 0.1, 0.0)
    error = PoseError(GeometryError(0.5), 0.2, 1.0, 0.5, 0.25)
    draws = [pose_error(pose, error, rng(seed)) for seed in range(4000)]
    moved = np.array([p.position for p, _ in draws]) - pose.position
    turned = np.degrees(np.array([p.orientation for p, _ in draws]) - pose.orientation)
    np.testing.assert_allclose(moved.std(axis=0), [0.5, 0.5, 0.2], rtol=0.05)
    np.testing.assert_allclose(turned.std(axis=0), [1.0, 0.5, 0.25], rtol=0.05)
    new, entry = draws[0]
    json.dumps(entry)
    np.testing.assert_allclose(entry["displaced_m"], moved[0], atol=1e-12)
    assert pose_error(pose, error, rng(0))[0] == new
    assert pose_error(pose, PoseError(), rng(0))[0] == pose
    half = pose_error(pose, PoseError(GeometryError(0.25), 0.1, 0.5), rng(0))[0]
    np.testing.assert_allclose(np.array(half.position) - pose.position, 0.5 * moved[0])  # same draws, half the size


def test_erroneous_poses_stay_outdoors(town: Site) -> None:
    beside = Pose((-19.5, 0.0, 5.0))  # half a metre off a wall
    for seed in range(20):
        moved, entry = pose_error(beside, PoseError(GeometryError(1.0)), rng(seed), town)
        assert moved.position[0] > -20.0
        assert entry["draws"] >= 1
    with pytest.raises(SiteTwinError, match="64 draws"):
        pose_error(Pose((-30.0, 0.0, 5.0)), PoseError(GeometryError(0.1)), rng(), town)
    for wrong in ({"yaw_sigma_deg": 1.7e308}, {"height_sigma": 1e4}):
        with pytest.raises(SiteTwinError, match="0 to 360 degrees and 0 to 1000 m"):
            PoseError(**wrong)


def test_recipes_go_to_a_file_and_back(tmp_path: Path, village: Site) -> None:
    file = tmp_path / "twin.toml"
    file.write_text(
        """
        name = "rough twin"
        no_trees = false
        together = true
        scatter_centres = 3
        walls = { sigma = 0.5 }
        heights = { largest = 1.0 }
        missing_buildings = { share = 0.1 }
        trees = { position = { sigma = 1.0 }, missing = 0.2 }
        [parked_vehicles]
        count = 4
        [materials]
        marble = "brick"
        [hidden_materials]
        share = 0.5
        weights = { glass = 1, wood = 2 }
        [pose]
        yaw_sigma_deg = 1.0
        """
    )
    recipe = read_recipe(file)
    assert VariantRecipe.model_validate_json(recipe.model_dump_json()) == recipe
    site = replace(village, vegetation=grove())
    one, two = recipe.apply(site, rng(7)), recipe.apply(site, rng(7))
    check_whole(one)
    assert one.hash == two.hash
    assert recipe.apply(site, rng(8)).hash != one.hash
    assert one.name == "village, rough twin"
    assert one.provenance["parent"] == site.hash
    assert [d["what"] for d in one.provenance["differences"]] == [
        "trees", "missing buildings", "building heights", "walls moved", "parked vehicles", "material",
        "hidden materials", "scatter centres",
    ]  # fmt: skip
    assert recipe.apply_pose(Pose((0, 0, 30)), rng())[0].yaw != 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("walls = 3", "walls"),
        ("[walls]\nsigmo = 1", r"walls\.sigmo' is unknown"),
        ("wals = {sigma = 1}", "'wals' is unknown"),
        ("[walls]\nsigma = -1", "no distance"),
        ("scatter_centres = -1", "scatter_centres"),
        ("[parked_vehicles]\nstreets = [[[0, 0]]]", "no line"),
        ("= 3", "no TOML"),
        ("\xff", "unknown|TOML"),
    ],
)
def test_bad_recipes_get_a_sentence(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SiteTwinError, match=says):
        read_recipe(file)
    with pytest.raises(SiteTwinError, match="cannot be read"):
        read_recipe(tmp_path / "none.toml")


def test_one_kind_of_change_does_not_disturb_the_others(village: Site) -> None:
    """Common random numbers: what is drawn for walls does not depend on whether vehicles are drawn, or how far."""
    near = VariantRecipe(walls=GeometryError(0.5), missing_buildings=MissingBuildings(share=0.25))
    far = VariantRecipe(walls=GeometryError(2.0), missing_buildings=MissingBuildings(share=0.25), together=True)
    busy = VariantRecipe(
        walls=GeometryError(0.5),
        missing_buildings=MissingBuildings(share=0.25),
        parked_vehicles=ParkedVehicles(count=9),
    )
    a, b, c = (r.apply(village, rng(1)) for r in (near, far, busy))
    assert a.objects == b.objects == c.objects[: len(a.objects)]
    left = village.variant(missing=MissingBuildings(names=tuple(sorted(set(village.objects) - set(a.objects)))))
    moved, further = a.vertices - left.vertices, b.vertices - left.vertices
    np.testing.assert_allclose(further, 4 * moved, atol=1e-9)
    np.testing.assert_array_equal(c.vertices[: len(a.vertices)], a.vertices)


def test_levels_of_fidelity_go_from_exact_to_coarse(village: Site) -> None:
    sites = dict(fidelity_sweep(village, rng(3)))
    assert list(sites) == list(FIDELITY)
    assert sites["exact"].geometry_hash == village.geometry_hash
    errors = [said(sites[f"lod{k}"], "walls moved")["rms_m"] for k in (4, 3, 2, 1)]
    np.testing.assert_allclose(np.array(errors) / errors[0], [1, 2.5, 10, 25])
    for site in sites.values():
        check_whole(site)
    for recipe in FIDELITY.values():
        assert VariantRecipe.model_validate_json(recipe.model_dump_json()) == recipe
    with pytest.raises(SiteTwinError, match="lod4"):
        fidelity_recipe("lod9")


def test_munich_varies_in_every_way(munich: Site) -> None:
    recipe = VariantRecipe(
        walls=GeometryError(0.3),
        heights=GeometryError(0.3),
        together=True,
        missing_buildings=MissingBuildings(share=0.02),
        parked_vehicles=ParkedVehicles(count=40),
        hidden_materials=HiddenMaterials(),
    )
    site = recipe.apply(munich, rng(1))
    check_whole(site)
    assert said(site, "parked vehicles")["vehicles"] == 40
    assert site.hash == recipe.apply(munich, rng(1)).hash


def test_values_of_materials_become_numbers_of_a_new_site(village: Site) -> None:
    old = {m.name: m for m in village.materials}
    name, other = list(old)[:2]
    values = {name: {"relative_permittivity": np.float32(4.5), "conductivity": 0.02, "scattering_coefficient": 0.3}}
    made = village.variant(material_values=values)
    new = {m.name: m for m in made.materials}
    assert new[other] == old[other]
    assert new[name] == replace(
        old[name], itu=None, relative_permittivity=4.5, conductivity=0.02, scattering_coefficient=0.3
    )
    assert made.geometry_hash == village.geometry_hash
    assert made.hash != village.hash
    entry = said(made, "material values")
    assert entry["material"] == name
    assert entry["after"]["relative_permittivity"] == 4.5
    assert entry["before"]["scattering_coefficient"] == old[name].scattering_coefficient
    assert "thickness" not in entry["after"]
    assert entry["facets"] == int((village.facet_material == list(old).index(name)).sum())


def test_one_constant_of_a_table_takes_the_other_at_the_carrier(village: Site) -> None:
    name = next(m.name for m in village.materials if m.itu is not None)
    table = next(m for m in village.materials if m.name == name)
    made = village.variant(material_values={name: MaterialValues(relative_permittivity=6.0, carrier_hz=28e9)})
    new = next(m for m in made.materials if m.name == name)
    assert (new.relative_permittivity, new.conductivity) == (6.0, table.evaluate(28e9)[1])
    assert said(made, "material values")["carrier_hz"] == 28e9
    with pytest.raises(SiteTwinError, match=r"conductivity of .* follows the frequency.*carrier_hz"):
        village.variant(material_values={name: {"relative_permittivity": 6.0}})


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"marmor": {"thickness": 0.1}}, "no material 'marmor'; it has"),
        ({"NAME": {"permittivity": 4.0}}, "no value 'permittivity'; it has relative_permittivity"),
        ({"NAME": {}}, "no value is given"),
        ({"NAME": {"carrier_hz": 1e9}}, "no value is given"),
        ({"NAME": {"xpd_coefficient": "much"}}, "xpd_coefficient is a str; give one number"),
        ({"NAME": {"xpd_coefficient": np.array([0.1, 0.2])}}, "xpd_coefficient is a ndarray; give one number"),
        ({"NAME": {"xpd_coefficient": math.nan}}, "give a finite number"),
        ({"NAME": {"xpd_coefficient": 1.5}}, "lies outside 0 to 1"),
        ({"NAME": {"relative_permittivity": 0.5, "conductivity": 0.0}}, "values of 'NAME'.*lies outside 1 to 1000"),
        ({"NAME": {"thickness": 0.0}}, "0 m thick|half-space"),
    ],
)
def test_values_that_no_material_has_are_refused(village: Site, values: dict, says: str) -> None:
    name = village.materials[0].name
    with pytest.raises(SiteTwinError, match=says.replace("NAME", name)):
        village.variant(material_values={name if key == "NAME" else key: v for key, v in values.items()})


def test_a_half_space_gets_no_thickness() -> None:
    site = make_town([("house", block(0, 0, 10, 10, 5), 1)])
    with pytest.raises(SiteTwinError, match="half-space, which has no thickness"):
        site.variant(material_values={site.materials[0].name: {"thickness": 0.2}})


def test_a_recipe_splits_materials_and_gives_a_house_its_own(tmp_path: Path, village: Site) -> None:
    name = next(m.name for m in split_materials(village, "building").materials if m.name.startswith("marble@"))
    file = tmp_path / "fitted.toml"
    file.write_text(
        f"""
        name = "fitted"
        split_materials = "building"
        [material_values."{name}"]
        relative_permittivity = 4.25
        conductivity = 0.5
        """
    )
    recipe = read_recipe(file)
    assert VariantRecipe.model_validate_json(recipe.model_dump_json()) == recipe
    made = recipe.apply(village, rng())
    check_whole(made)
    assert made.geometry_hash == village.geometry_hash
    values = {m.name: m.relative_permittivity for m in made.materials}
    assert values.pop(name) == 4.25
    assert set(values.values()) == {None}
    assert [d["what"] for d in made.provenance["differences"]] == ["split materials", "material values"]
    assert made.provenance["recipe"]["material_values"][name]["conductivity"] == 0.5
    by_hand = split_materials(village, "building").variant(material_values=recipe.material_values)
    assert by_hand.materials == made.materials
    file.write_text("[material_values.brick]\nthicknes = 1.0")
    with pytest.raises(SiteTwinError, match=r"material_values\.brick.*thicknes.* is unknown"):
        read_recipe(file)
    file.write_text("split_materials = 'wall'")
    with pytest.raises(SiteTwinError, match="split_materials"):
        read_recipe(file)
