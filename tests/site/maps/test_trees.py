"""Trees, woods and parks of a map."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.site import Cylinder, Ellipsoid, ExtrudedPolygon, Vegetation
from sitetwin.site.maps.canopies import LARGEST_STEP, prisms
from sitetwin.site.maps.features import Feature
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.tree_sizes import TreeOptions, leaves, tree_size
from sitetwin.site.maps.trees import build_vegetation


def flat(points: np.ndarray) -> np.ndarray:
    return np.zeros(len(points))


def slope(points: np.ndarray) -> np.ndarray:
    return 0.2 * points[:, 0] + 3.0


def plant(*things: tuple[shapely.Geometry, dict[str, str]], ground=flat, **more):
    ledger = Ledger()
    features = tuple(Feature(f"feature/{i}", g, tags) for i, (g, tags) in enumerate(things))
    return build_vegetation(features, ledger, ground, **more), ledger


def tree(x: float, y: float, **tags: str) -> tuple[shapely.Geometry, dict[str, str]]:
    return shapely.Point(x, y), {"natural": "tree", **tags}


def test_a_tree_as_tagged() -> None:
    tags = {"height": "20 m", "diameter_crown": "8", "circumference": "1.57", "leaf_type": "needleleaved"}
    vegetation, ledger = plant(tree(10, 5, **tags), ground=slope)
    crown, trunk = vegetation.volumes
    assert isinstance(crown, Ellipsoid)
    assert isinstance(trunk, Cylinder)
    assert trunk.part == "trunk"
    assert trunk.centre == crown.centre[:2] == (10.0, 5.0)
    assert trunk.z_min == 5.0  # on the ground
    assert crown.centre[2] + crown.semi_axes[2] == pytest.approx(25.0)
    assert crown.centre[2] - crown.semi_axes[2] == pytest.approx(trunk.z_max)  # no leaves in the wood
    assert crown.semi_axes[0] == 4.0
    assert trunk.radius == pytest.approx(0.25, rel=1e-3)
    assert (crown.leaf_type, crown.leaf_cycle) == ("needleleaved", "evergreen")
    assert ledger.count("assumed") == 0


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, ("broadleaved", "deciduous")),
        ({"genus": "Larix"}, ("needleleaved", "deciduous")),
        ({"species": "Picea abies"}, ("needleleaved", "evergreen")),
        ({"taxon": "Quercus ilex L."}, ("broadleaved", "evergreen")),
        ({"species": "Quercus robur"}, ("broadleaved", "deciduous")),
        ({"genus": "Pinus", "leaf_cycle": "deciduous"}, ("needleleaved", "deciduous")),
        ({"leaf_cycle": "semi_evergreen", "leaf_type": "mixed"}, ("broadleaved", "evergreen")),
    ],
)
def test_leaves(tags: dict[str, str], expected: tuple[str, str]) -> None:
    assert leaves(tags, TreeOptions()) == expected


def test_unknown_sizes_and_the_ones_not_believed() -> None:
    options = TreeOptions()
    ledger = Ledger()
    plain = tree_size({}, options, ledger, "a")
    assert (plain.height, plain.crown, plain.trunk) == (12.0, 12 * 0.52, 12 * 0.025)
    assert tree_size({"diameter_crown": "5.2"}, options, ledger, "b").height == pytest.approx(10.0)
    assert tree_size({"height": "8000"}, options, ledger, "c").height == 12.0
    assert tree_size({"diameter": "400"}, options, ledger, "d").trunk == pytest.approx(0.4)  # millimetres
    assert tree_size({"diameter": "0.4"}, options, ledger, "e").trunk == pytest.approx(0.4)
    assert tree_size({"diameter": "20"}, options, ledger, "f").trunk == plain.trunk  # cm, or a crown? unknown
    assert {e.what: e.count for e in ledger.entries if e.kind == "repaired"} == {
        "tree height that cannot be read or believed counts as unknown": 1,
        "trunk that cannot be read or believed counts as unknown": 1,
    }


def test_spread_is_seeded() -> None:
    options = TreeOptions(spread=0.2)
    things = [tree(10 * k, 0) for k in range(400)]
    with pytest.raises(SiteTwinError, match="give a generator"):
        plant(*things, options=options)
    one, other = (plant(*things, options=options, rng=np.random.default_rng(3))[0] for _ in range(2))
    assert one.geometry_bytes() == other.geometry_bytes()
    heights = np.array([v.centre[2] + v.semi_axes[2] for v in one.volumes if isinstance(v, Ellipsoid)])
    assert np.std(np.log(heights / 12)) == pytest.approx(0.2, rel=0.1)


def test_trees_and_walls() -> None:
    """A trunk inside a house is dropped, one under a mere roof is not; a tree in a wood is the wood's."""
    vegetation, ledger = plant(
        tree(5, 5),
        tree(25, 5),
        tree(105, 5),
        tree(55, 5),
        (shapely.box(0, 0, 10, 10), {"building": "yes"}),
        (shapely.box(20, 0, 30, 10), {"building": "roof"}),
        (shapely.box(100, 0, 150, 50), {"natural": "wood"}),
        options=TreeOptions(stem_spacing=0),
        extent=(0, 0, 200, 200),
    )
    assert sum(isinstance(v, Ellipsoid) for v in vegetation.volumes) == 2
    assert {e.what for e in ledger.entries if e.kind == "dropped"} == {
        "tree inside a building",
        "tree inside a wood, whose canopy stands for it",
    }


def test_a_row() -> None:
    row = (shapely.LineString([(0, 0), (80, 0)]), {"natural": "tree_row", "height": "10"})
    vegetation, _ = plant(row)
    x = sorted(v.centre[0] for v in vegetation.volumes if isinstance(v, Ellipsoid))
    np.testing.assert_allclose(x, np.linspace(0, 80, 11))
    closed = (shapely.LineString([(0, 0), (40, 0), (40, 40), (0, 40), (0, 0)]), {"natural": "tree_row"})
    assert sum(isinstance(v, Ellipsoid) for v in plant(closed)[0].volumes) == 20


def chord(vegetation: Vegetation, start: tuple[float, ...], end: tuple[float, ...]) -> tuple[float, float]:
    """Metres in leaves and in wood."""
    _, volume, entry, leave = vegetation.chords(np.array([start], float), np.array([end], float))
    trunk = vegetation.is_trunk[volume]
    return float((leave - entry)[~trunk].sum()), float((leave - entry)[trunk].sum())


def test_a_wood_with_a_clearing_and_a_house() -> None:
    """Chords run through leaves where the polygon is, less its holes and the house, at the canopy's heights only."""
    clearing = shapely.box(40, 40, 60, 60)
    wood = shapely.Polygon(shapely.box(0, 0, 100, 100).exterior, [clearing.exterior])
    house = shapely.box(80, 45, 90, 55)
    vegetation, _ = plant(
        (wood, {"natural": "wood", "height": "20"}), (house, {"building": "yes"}), options=TreeOptions(stem_spacing=5.0)
    )
    prism = [v for v in vegetation.volumes if isinstance(v, ExtrudedPolygon)]
    assert {(v.z_min, v.z_max) for v in prism} == {(0.27 * 20, 20.0)}
    area = sum(shapely.Polygon(v.ring).area for v in prism)
    assert area == pytest.approx(100 * 100 - 400 - 100)
    leafy, wooden = chord(vegetation, (-10, 50, 15), (110, 50, 15))
    assert leafy == pytest.approx(100 - 20 - 10)
    assert wooden == 0
    leafy, wooden = chord(vegetation, (-10, 52.5, 1.5), (110, 52.5, 1.5))
    assert leafy == 0
    assert wooden == pytest.approx(20 * 0.025 * (20 - 4 - 2), rel=1e-9)  # a trunk every 5 m, but in the holes
    assert sum(vegetation.is_trunk) == 400 - 16 - 4


rings = st.lists(
    st.tuples(st.integers(0, 359), st.floats(0.3, 1.0)), min_size=3, max_size=9, unique_by=lambda p: p[0] // 10
)


@settings(max_examples=40, deadline=None)
@given(rings, st.lists(st.tuples(st.floats(-20, 20), st.floats(-20, 20), st.floats(1, 6)), max_size=4), st.booleans())
def test_prisms_fill_the_area_once(ring, holes, uneven) -> None:
    """The pieces have no holes, do not overlap, and stand on the ground within the allowed step."""
    corners = [(80 * r * math.cos(math.radians(a)), 80 * r * math.sin(math.radians(a))) for a, r in sorted(ring)]
    area = shapely.make_valid(shapely.Polygon(corners))
    for x, y, radius in holes:
        area = shapely.difference(area, shapely.box(x - radius, y - radius, x + radius, y + radius))
    ground = slope if uneven else flat
    pieces = prisms(area, 2.0, 10.0, ground, "broadleaved", "deciduous")
    shapes = [shapely.Polygon(p.ring) for p in pieces]
    assert all(s.is_valid for s in shapes)
    expected = shapely.simplify(area, 0.5)
    total = sum(s.area for s in shapes)
    assert total == pytest.approx(expected.area, abs=0.5 * (len(shapes) + 4))
    assert shapely.union_all(shapes).area == pytest.approx(total, rel=1e-9, abs=1e-9)
    for piece, shape in zip(pieces, shapes, strict=True):
        z = ground(shapely.get_coordinates(shape)) - (piece.z_min - 2.0)
        assert np.abs(z).max() <= max(LARGEST_STEP, 0.2 * 10.0) + 1e-9


def test_overlapping_woods_count_once() -> None:
    one, other = shapely.box(0, 0, 60, 30), shapely.box(40, 0, 100, 30)
    vegetation, _ = plant(
        (one, {"natural": "wood"}), (other, {"landuse": "forest"}), options=TreeOptions(stem_spacing=0)
    )
    assert chord(vegetation, (-5, 15, 10), (105, 15, 10))[0] == pytest.approx(100)


def test_parks() -> None:
    """Trees at a spacing, off water and ways; none where the map has its own."""
    park = (shapely.box(0, 0, 150, 150), {"leisure": "park"})
    pond = (shapely.box(0, 0, 75, 150), {"natural": "water"})
    way = (shapely.LineString([(0, 67), (150, 67)]), {"highway": "footway"})
    vegetation, _ = plant(park)
    assert sum(vegetation.is_trunk) == 100
    vegetation, _ = plant(park, pond, way)
    places = np.array([v.centre for v in vegetation.volumes if isinstance(v, Cylinder)])
    assert len(places) == 45
    assert (places[:, 0] > 75).all()
    assert (np.abs(places[:, 1] - 67) >= 2.9).all()
    vegetation, ledger = plant(park, tree(70, 70))
    assert sum(vegetation.is_trunk) == 1
    assert "park or orchard with trees on the map: none assumed" in [e.what for e in ledger.entries]
    drawn = [plant(park, rng=np.random.default_rng(k))[0].geometry_bytes() for k in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_hedges_and_scrub() -> None:
    hedge = (shapely.LineString([(0, 0), (30, 0)]), {"barrier": "hedge", "height": "2", "width": "0.8"})
    scrub = (shapely.box(0, 10, 30, 20), {"natural": "scrub"})
    vegetation, _ = plant(hedge, scrub)
    assert chord(vegetation, (15, -5, 1), (15, 5, 1)) == (pytest.approx(0.8), 0)
    assert chord(vegetation, (15, -5, 2.1), (15, 5, 2.1)) == (0, 0)
    assert chord(vegetation, (15, 5, 0.5), (15, 25, 0.5)) == (pytest.approx(10), 0)


def test_on_a_slope_every_canopy_stands_on_the_ground() -> None:
    wood = (shapely.box(0, 0, 200, 40), {"natural": "wood", "height": "10"})
    vegetation, _ = plant(wood, ground=slope, options=TreeOptions(stem_spacing=10))
    for volume in vegetation.volumes:
        if isinstance(volume, ExtrudedPolygon):
            middle = np.array(volume.ring).mean(axis=0)
            assert volume.z_max - 10 == pytest.approx(slope(middle[None])[0], abs=1.5)
        else:
            assert volume.z_min == pytest.approx(slope(np.array([volume.centre]))[0])


def test_mapped_trees_are_bounded_where_the_site_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sitetwin.site.maps.trees.MOST_TREES", 2)
    trees = [tree(10.0 * k, 0.0) for k in range(3)]
    row = (shapely.LineString([(0, 50), (100, 50)]), {"natural": "tree_row"})
    for things in (trees, [row]):
        with pytest.raises(SiteTwinError, match="holds more than 2 trees"):
            plant(*things)
    plant(*trees, extent=(-5.0, -5.0, 15.0, 5.0))


def test_too_many_and_bad_options() -> None:
    forest = (shapely.box(0, 0, 5000, 5000), {"natural": "wood"})
    with pytest.raises(SiteTwinError, match="stem_spacing = 0"):
        plant(forest)
    for bad in ({"height": 0.0}, {"park_spacing": -1.0}, {"leaf_type": "plastic"}, {"clear_stem": 1.0}):
        with pytest.raises(SiteTwinError, match="trees:"):
            TreeOptions(**bad)
    nowhere, ledger = plant(tree(0, 0), ground=lambda p: np.full(len(p), np.nan))
    assert nowhere.num_volumes == 0
    assert ledger.count("dropped") == 1
