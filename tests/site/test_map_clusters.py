"""Buildings from a map that touch, overlap and belong together: closed, whatever stands in whatever."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.site.facets import flatness_excess
from sitetwin.site.maps.features import Feature
from sitetwin.site.maps.footprints import SMALLEST_AREA
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.watertight import open_edges
from sitetwin.site.objects import building_name
from sitetwin.site.places.placement import surface_height
from tests.site.map_buildings import (
    FOUNDATION,
    L_SHAPE,
    SHAPES,
    areas,
    build,
    building,
    corners_of,
    enclosed_volume,
    ledger_words,
    plan_areas,
    site_of,
    volume_above,
)


def random_city(seed):
    """Rectangles on a grid, which touch, overlap, contain and repeat each other."""
    rng = np.random.default_rng(seed)
    features = []
    for _ in range(int(rng.integers(2, 9))):
        x, y = rng.integers(0, 8, 2)
        w, h = rng.integers(1, 6, 2)
        features.append((shapely.box(x, y, x + w, y + h), float(rng.integers(1, 6))))
    return features


@settings(max_examples=40)
@given(st.integers(0, 2**31))
def test_clusters_of_rectangles(seed):
    city = random_city(seed)
    bodies = build([building(i, box, height=height) for i, (box, height) in enumerate(city)])
    corners = corners_of(bodies)
    assert len(open_edges(corners)) == 0
    x, y = np.meshgrid(np.arange(14) + 0.5, np.arange(14) + 0.5)
    highest = np.max([np.where(shapely.contains_xy(box, x, y), height, 0) for box, height in city], axis=0)
    assert volume_above(bodies) == pytest.approx(highest.sum(), rel=1e-9)
    solid = np.pad(highest + FOUNDATION * (highest > 0), 1)
    walls = np.abs(np.diff(solid, axis=0)).sum() + np.abs(np.diff(solid, axis=1)).sum()
    assert areas(corners).sum() == pytest.approx(2 * (highest > 0).sum() + walls, rel=1e-9)


@settings(max_examples=15)
@given(st.integers(0, 2**31))
def test_clusters_of_turned_houses_with_roofs(seed):
    """Any roofs that touch, cross and overlap: closed, and of the volume under the highest surface."""
    rng = np.random.default_rng(seed)
    angle = float(rng.uniform(0, 90))
    features, heights = [], []
    for i, (box, _) in enumerate(random_city(seed)):
        box = shapely.affinity.scale(box, 3, 3, origin=(0, 0))
        turned = shapely.affinity.rotate(box, angle + float(rng.choice([0.0, 0.0, 17.0])), origin=(0, 0))
        shape = str(rng.choice(["flat", "gabled", "hipped", "pyramidal", "skillion"]))
        height = float(rng.integers(5, 9))
        features.append(building(i, turned, height=height, roof__shape=shape, roof__height=3))
        heights.append(height)
    bodies = build(features)
    corners = corners_of(bodies)
    assert len(open_edges(corners)) == 0
    roof = corners_of(bodies, "roof")
    union = shapely.union_all([f.geometry for f in features]).area
    assert plan_areas(roof).sum() == pytest.approx(union, rel=1e-6)
    low, high = corners[..., :2].min(axis=(0, 1)), corners[..., :2].max(axis=(0, 1))
    points = low + (high - low) * rng.uniform(size=(400, 2))
    together = np.nan_to_num(surface_height(site_of(bodies), points), nan=-1)
    alone = [np.nan_to_num(surface_height(site_of(build([feature])), points), nan=-1) for feature in features]
    assert np.abs(together - np.max(alone, axis=0)).max() < 1e-4


@settings(max_examples=20)
@given(st.integers(0, 2**31))
def test_the_order_of_features_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    features = [building(i, box, height=h) for i, (box, h) in enumerate(random_city(seed))]
    one = build(features)
    other = build([features[i] for i in rng.permutation(len(features))])
    assert [b.name for b in one] == [b.name for b in other]
    assert all(np.array_equal(a.corners, b.corners) for a, b in zip(one, other, strict=True))


def test_a_rigid_motion_moves_the_result():
    def town(move):
        shapes = [shapely.box(0, 0, 10, 10), shapely.box(10, 3, 22, 8), L_SHAPE.buffer(0), shapely.box(4, 4, 13, 13)]
        tags = [
            {"height": 8},
            {"height": 12, "roof__shape": "gabled"},
            {"height": 5},
            {"height": 9, "roof__shape": "hipped"},
        ]
        return [building(i, move(shape), **tag) for i, (shape, tag) in enumerate(zip(shapes, tags, strict=True))]

    still = build(town(lambda s: s))
    turned = build(town(lambda s: shapely.affinity.translate(shapely.affinity.rotate(s, 37, origin=(0, 0)), 300, -200)))
    assert [b.name for b in still] == [b.name for b in turned]
    assert len(open_edges(corners_of(turned))) == 0
    for a, b in zip(still, turned, strict=True):
        assert areas(b.corners).sum() == pytest.approx(areas(a.corners).sum(), rel=1e-5)
    assert enclosed_volume(corners_of(turned)) == pytest.approx(enclosed_volume(corners_of(still)), rel=1e-6)


def test_materials_names_and_what_is_no_building():
    features = [
        building(2, shapely.box(0, 0, 10, 10), building__material="glass", roof__material="metal"),
        building(5, shapely.box(0, 0, 4, 10), building__part="yes"),
        Feature("way/3", shapely.box(20, 0, 30, 10), {"landuse": "grass"}),
        Feature("way/4", shapely.box(40, 0, 50, 10), {"building": "no"}),
        building(6, shapely.box(60, 0, 70, 10), location="underground"),
    ]
    ledger = Ledger()
    names = [(b.name, b.material) for b in build(features, ledger=ledger)]
    assert names == [
        ("way/2-walls", "glass"),
        ("way/2-roof", "metal"),
        ("way/2-part_way/5-walls", "glass"),
        ("way/2-part_way/5-roof", "metal"),
    ]
    assert ledger_words(ledger, "dropped") == {"building under the ground": 1}
    assert build([]) == []


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.sampled_from(["flat", *SHAPES]))
def test_roofs_cover_any_polygon(seed, shape):
    """Stars with holes, anywhere and of any size: the roof's area in plan is the polygon's, and its facets are flat."""
    rng = np.random.default_rng(seed)
    corners = int(rng.integers(3, 25))
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(0.3, 1.0, corners) * 10 ** rng.uniform(0, 2)
    star = shapely.Polygon(
        np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]) + rng.uniform(-3e3, 3e3, 2)
    )
    for _ in range(int(rng.integers(0, 3)) if star.is_valid else 0):  # GEOS cuts no holes into what crosses itself
        hole = shapely.Point(star.representative_point()).buffer(radius.min() * rng.uniform(0.1, 0.6), quad_segs=3)
        star = star.difference(shapely.affinity.translate(hole, *rng.uniform(-0.5, 0.5, 2) * radius.min()))
    if star.geom_type not in ("Polygon", "MultiPolygon") or star.buffer(0).area < 0.1:
        return
    ledger = Ledger()
    bodies = build([building(1, star, height=12, roof__shape=shape)], ledger=ledger)
    roof = corners_of(bodies, "roof")
    assert len(open_edges(corners_of(bodies))) == 0
    assert (plan_areas(roof) > 0).all()
    if "spike of a building outline, cut off" not in ledger_words(ledger, "repaired"):
        pieces = [part.area for part in shapely.get_parts(shapely.make_valid(star))]
        assert plan_areas(roof).sum() == pytest.approx(sum(a for a in pieces if a >= SMALLEST_AREA), rel=1e-3)
    site = site_of(bodies)
    excess = flatness_excess(site.vertices[site.triangles], site.triangle_facet, site.facet_normal, site.facet_offset)
    assert excess.max() <= 1


def jumble(seed):
    """Any polygons with steep roofs, outlines and parts, that overlap anyhow."""
    rng = np.random.default_rng(seed)
    features = []
    away = rng.uniform(-5000, 5000, 2)
    for i in range(int(rng.integers(2, 14))):
        corners = int(rng.integers(3, 9))
        angle, radius = np.sort(rng.uniform(0, 2 * np.pi, corners)), rng.uniform(3, 12, corners)
        centre = rng.uniform(0, 25, 2)
        if rng.random() < 0.5:
            box = shapely.box(0, 0, *rng.integers(2, 14, 2))
            shape = shapely.affinity.rotate(box, float(rng.choice([0, 30, 33.3])), origin=(0, 0))
            shape = shapely.affinity.translate(shape, *(rng.integers(0, 25, 2)))
        else:
            shape = shapely.Polygon(np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]) + centre)
        if rng.random() < 0.2:
            shape = shape.buffer(float(rng.uniform(0.01, 2)))
        whole = rng.random() < 0.7
        tags = {"building": "yes"} if whole else {"building:part": "yes", "min_height": str(rng.integers(0, 6))}
        tags["height"] = str(rng.integers(4, 12))
        tags["roof:shape"] = str(rng.choice(["flat", "gabled", "hipped", "pyramidal", "skillion"]))
        tags["roof:height"] = str(rng.choice([1, 3, 8]))
        tags["roof:direction"] = str(rng.integers(0, 360))
        if rng.random() < 0.5:
            del tags["roof:direction"]
        features.append(Feature(f"way/{i}", shapely.affinity.translate(shape, *away), tags))
    return features


# In the first five, very steep roofs cross other surfaces within the rounding of a corner.
@pytest.mark.parametrize("seed", [1147, 1213, 1242, 2065, 2077, 1, 2])
@pytest.mark.parametrize("shared", ["merge", "keep"])
def test_any_jumble_is_closed(seed, shared):
    features = jumble(seed)
    bodies = build(features, ground=lambda p: 0.03 * p[:, 0], shared_walls=shared)  # checks that itself
    if shared == "merge":
        assert len(open_edges(corners_of(bodies))) == 0


def test_a_relation_decides_which_building_a_part_belongs_to():
    """A part that hangs over its neighbour's plot replaces, and takes its height and material from, its own outline."""
    tag = {"sitetwin:building": "way/1"}
    own = Feature(
        "way/1", shapely.box(0, 0, 10, 10), {"building": "yes", "height": "30", "building:material": "glass", **tag}
    )
    neighbour = building(2, shapely.box(10, 0, 20, 10), height=6)
    part = Feature("way/3", shapely.box(6, 0, 20, 10), {"building:part": "yes", "min_height": "12", **tag})
    bodies = {body.name: body for body in build([own, neighbour, part])}
    assert {building_name(name) for name in bodies} == {"way/1", "way/2"}
    assert bodies["way/1-part_way/3-walls"].material == "glass"
    assert volume_above(list(bodies.values())) == pytest.approx(60 * 30 + 140 * 18 + 100 * 6)


def test_of_several_outlines_of_a_relation_the_one_below_counts():
    tag = {"sitetwin:building": "way/1"}
    outlines = [
        Feature(f"way/{k}", shapely.box(30 * k, 0, 30 * k + 10, 10), {"building": "yes", "height": "20", **tag})
        for k in (1, 2)
    ]
    part = Feature("way/3", shapely.box(60, 0, 70, 10), {"building:part": "yes", "height": "5", **tag})
    bodies = build([*outlines, part])
    assert volume_above(bodies) == pytest.approx(100 * 20 + 100 * 5)


def test_parts_of_a_relation_without_an_outline_are_one_building():
    """They stand on one ground, and no tag of one counts for another."""
    tag = {"sitetwin:building": "relation/9"}
    low = Feature("way/1", shapely.box(0, 0, 10, 10), {"building:part": "yes", "height": "20", **tag})
    tower = Feature(
        "way/2", shapely.box(10, 0, 20, 10), {"building:part": "yes", "roof:material": "metal", "height": "40", **tag}
    )
    bodies = build([low, tower], ground=lambda points: 0.1 * points[:, 0])
    assert {building_name(body.name) for body in bodies} == {"relation/9"}
    assert {body.name: body.material for body in bodies if body.name.endswith("roof")} == {
        "relation/9-part_way/1-roof": "tiles",
        "relation/9-part_way/2-roof": "metal",
    }
    assert corners_of(bodies, "roof")[..., 2].max() == 40.0
    assert corners_of(bodies)[..., 2].min() == -FOUNDATION


def test_a_name_that_no_relation_gives_ties_nothing():
    part = Feature("way/1", shapely.box(0, 0, 9, 9), {"building:part": "yes", "sitetwin:building": "ground"})
    assert {building_name(body.name) for body in build([part])} == {"way/1"}
