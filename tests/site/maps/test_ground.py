"""The ground is one surface: no gap, no overlap, no crack, flat or on terrain."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.site import build_site, ground_height, inside_building, outdoor_mask
from sitetwin.site.check.check import check_site
from sitetwin.site.importers.meshes import unit_cube
from sitetwin.site.maps.assemble import MapOptions, site_from_map
from sitetwin.site.maps.bodies import Body
from sitetwin.site.maps.features import Feature, MapData
from sitetwin.site.maps.ground import build_ground, ground_extent
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.partition import GRID, Cells, partition
from sitetwin.site.maps.rules import load_rules
from sitetwin.site.maps.terrain import Terrain
from sitetwin.site.maps.tree_sizes import TreeOptions
from sitetwin.site.maps.triangles import triangulate
from sitetwin.site.plan import standing_buildings
from sitetwin.site.projection import Georeference

ORIGIN = Georeference(42.36, -71.06)
RULES = load_rules("default")
CLIP = (-200.0, -150.0, 200.0, 150.0)


def town(*features: tuple[shapely.Geometry, dict[str, str]], clip: tuple | None = CLIP) -> MapData:
    rows = tuple(Feature(f"feature/{i}", g, tags) for i, (g, tags) in enumerate(features))
    return MapData("town", rows, ORIGIN, clip)


def street(*points: tuple[float, float], **tags: str) -> tuple[shapely.Geometry, dict[str, str]]:
    return shapely.LineString(points), {"highway": "residential", **tags}


def hill(extent: tuple = CLIP, spacing: float = 20.0) -> Terrain:
    cells = Cells.over(extent, spacing, diagonal=True)
    x, y = np.meshgrid(cells.x, cells.y, indexing="ij")
    return Terrain(cells, 12 * np.exp(-(x**2 + y**2) / 1e4) + 0.02 * x, 0.0, "test", {})


LAYOUT = (
    street((-250, 3.3333), (250, 41.7)),
    street((-13.37, -250), (20, 250), width="6.4"),
    street((-150, -100), (-40, -90), (-10, 140), highway="footway"),
    (shapely.Point(60, -60).buffer(45), {"leisure": "park"}),
    (shapely.Point(70, -50).buffer(12), {"natural": "water"}),
    (shapely.box(55, -120, 140, -100), {"amenity": "parking"}),
    (shapely.LineString([(-220, -130), (220, 120)]), {"waterway": "stream"}),
)


def areas(body: Body) -> np.ndarray:
    e1, e2 = (body.corners[:, k, :2] - body.corners[:, 0, :2] for k in (1, 2))
    return 0.5 * (e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0])


def assert_one_surface(bodies: list[Body], extent: tuple[float, float, float, float]) -> None:
    """Every edge inside is shared by just two triangles, in opposite senses, to the bit; the area is the extent's."""
    corners = np.concatenate([b.corners for b in bodies])
    area = np.concatenate([areas(b) for b in bodies])
    assert (area > 0).all()
    assert area.sum() == pytest.approx((extent[2] - extent[0]) * (extent[3] - extent[1]), rel=1e-12)
    point, index = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    assert len(np.unique(point[:, :2], axis=0)) == len(point)  # one height at each corner
    triangle = index.reshape(-1, 3)
    edges = {(int(a), int(b)) for k in range(3) for a, b in zip(triangle[:, k], triangle[:, (k + 1) % 3], strict=True)}
    assert len(edges) == triangle.size
    for a, b in edges:
        if (b, a) not in edges:
            middle = 0.5 * (point[a] + point[b])
            rim = [abs(middle[k % 2] - extent[k]) for k in range(4)]
            assert min(rim) < 1e-9


@pytest.mark.parametrize("terrain", [None, hill()])
def test_one_surface(terrain) -> None:
    bodies, _ = build_ground(town(*LAYOUT), RULES, Ledger(), terrain)
    assert [b.name for b in bodies] == ["ground", "ground-asphalt", "ground-grass", "ground-water"]
    assert_one_surface(bodies, CLIP)


coordinates = st.integers(-220_000, 220_000).map(lambda v: v / 1013)  # off the grid
points = st.tuples(coordinates, coordinates)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.lists(points, min_size=2, max_size=5), st.integers(1, 3)), min_size=1, max_size=6),
    st.booleans(),
)
def test_whatever_is_drawn_the_plane_is_covered_once(drawn, uneven) -> None:
    """Random strips and crossing polygons on flat ground and on terrain."""
    shapes = []
    for ring, kind in drawn:
        line = shapely.LineString(ring)
        shape = shapely.make_valid(shapely.Polygon(ring)) if len(ring) > 3 else line.buffer(7.0, quad_segs=2)
        shapes.append((shapely.union_all([g for g in shapely.get_parts(shape) if g.geom_type == "Polygon"]), kind))
    shapes = [(shape, kind) for shape, kind in shapes if not shape.is_empty]
    cells = Cells.over(CLIP, 50.0 if uneven else 500.0, diagonal=uneven)
    flat, kind = partition(CLIP, [s for s, _ in shapes], [k for _, k in shapes], cells)
    corners = np.concatenate([flat, np.zeros((*flat.shape[:2], 1))], axis=2)
    body = Body("ground", corners, "x")
    assert_one_surface([body], CLIP)
    covered = shapely.Polygon()
    for shape, k in shapes:
        expected = shape.intersection(shapely.box(*CLIP)).difference(covered)
        covered = covered.union(shape)
        middle = corners[..., :2].mean(axis=1)
        inside = shapely.contains_xy(expected.buffer(-2 * GRID), middle)
        assert (kind[inside] == k).all()


def test_areas_are_those_of_the_map() -> None:
    bodies, _ = build_ground(town(*LAYOUT[3:5]), RULES, Ledger())
    size = {b.name: areas(b).sum() for b in bodies}
    park, pond = (shapely.simplify(g, 0.2).area for g, _ in LAYOUT[3:5])
    assert size["ground-water"] == pytest.approx(pond, rel=1e-4)
    assert size["ground-grass"] == pytest.approx(park - pond, rel=1e-4)
    assert {b.material for b in bodies} == {"paving", "grass", "water"}


def test_what_lies_on_top() -> None:
    """Roads over water over the rest; of the rest the smaller one; bridges and tunnels leave the ground as it is."""
    lawn, court = (
        (shapely.box(-50, -50, 50, 50), {"landuse": "grass"}),
        (shapely.box(-5, -5, 5, 5), {"surface": "asphalt"}),
    )
    pond = (shapely.box(20, -50, 30, 50), {"natural": "water"})
    road = street((-100, 40), (100, 40), width="4")
    for features in ((lawn, court, pond, road), (road, pond, court, lawn)):
        bodies, _ = build_ground(town(*features), RULES, Ledger())
        at = {}
        for body in bodies:
            inside = [
                shapely.contains_properly(
                    shapely.Polygon(t[:, :2]), shapely.points([[1.1, 2.2], [25.1, 0.3], [25.2, 40.3], [40.3, 1.7]])
                )
                for t in body.corners
            ]
            for k in np.flatnonzero(np.any(inside, axis=0)):
                at[int(k)] = body.name
        assert at == {0: "ground-asphalt", 1: "ground-water", 2: "ground-asphalt", 3: "ground-grass"}
    ledger = Ledger()
    hidden = [street((-90, 0), (90, 0), **tags) for tags in ({"bridge": "yes"}, {"tunnel": "yes"}, {"layer": "-1"})]
    bodies, _ = build_ground(town(*hidden), RULES, ledger)
    assert [b.name for b in bodies] == ["ground"]
    assert ledger.count("dropped") == 3


def test_widths() -> None:
    """`width`, else lanes times the class's lane, else the class; a nonsense width is said."""
    ledger = Ledger()
    for tags, width in (
        ({"width": "7.5"}, 7.5),
        ({"lanes": "3"}, 3 * 2.75),
        ({}, 5.5),
        ({"width": "wide"}, 5.5),
        ({"highway": "primary"}, 7.0),
    ):
        bodies, _ = build_ground(town(street((-300, 0), (300, 0), **tags)), RULES, ledger)
        assert areas(bodies[1]).sum() == pytest.approx(400 * width, rel=1e-9), tags
    assert "width of a line that cannot be read: from lanes or class" in [e.what for e in ledger.entries]
    bodies, _ = build_ground(town(street((-300, 0), (300, 0), highway="proposed")), RULES, ledger)
    assert len(bodies) == 1


def test_paper_presets_have_one_ground() -> None:
    bodies, _ = build_ground(town(*LAYOUT), load_rules("mc1"), Ledger())
    assert [(b.name, b.material, len(b.corners)) for b in bodies] == [("ground", "concrete", 2)]


def test_facets_stay_few() -> None:
    """On flat ground one facet per material, however many streets; on terrain two per cell and those that areas cut."""
    rng = np.random.default_rng(0)
    streets = [street(*rng.uniform(-200, 200, (2, 2))) for _ in range(40)]
    site, _, _ = make_site(town(*streets, *LAYOUT))
    assert site.num_facets == 4
    rim = np.array([site.wedges.start, site.wedges.end])[..., :2]
    assert (np.isclose(np.abs(rim), [200, 150]).all(axis=0).any(axis=1)).all()  # no edge between materials diffracts
    rough, _, _ = make_site(town(*LAYOUT[3:5]), hill())
    cells = 20 * 16 * 2
    assert cells <= rough.num_facets < 1.2 * cells


def make_site(map_data: MapData, terrain: Terrain | None = None, blocks: tuple = ()):
    bodies, ground = build_ground(map_data, RULES, Ledger(), terrain)
    bodies = [*bodies, *blocks]
    corners = np.concatenate([b.corners for b in bodies])
    vertices, index = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    names = list(RULES.materials)
    owner = np.repeat(np.arange(len(bodies)), [len(b.corners) for b in bodies])
    site = build_site(
        "town", vertices, index.reshape(-1, 3), owner, [b.name for b in bodies],
        [names.index(b.material) for b in bodies], list(RULES.materials.values()),
    )  # fmt: skip
    return site, ground, bodies


@pytest.mark.parametrize("terrain", [None, hill()])
def test_heights_are_those_of_the_triangles(terrain) -> None:
    site, ground, _ = make_site(town(*LAYOUT), terrain)
    places = np.random.default_rng(1).uniform([-200, -150], [200, 150], (5000, 2))
    heights = ground.height(places)
    np.testing.assert_allclose(heights, ground_height(site, places), rtol=0, atol=1e-12)
    if terrain is not None:  # cut by areas on the grid of 1 mm, the net is still the net
        np.testing.assert_allclose(heights, terrain.height(places), rtol=0, atol=2e-3)
        np.testing.assert_allclose(np.median(np.abs(heights - terrain.height(places))), 0, atol=1e-12)
    np.testing.assert_array_equal(ground.height(np.array([[-900.0, 10.0]])), ground.height(np.array([[-200.0, 10.0]])))


@pytest.mark.parametrize("terrain", [None, hill()])
def test_indoors_and_outdoors_on_such_a_site(terrain) -> None:
    """A house founded below a ground that goes on under it; a lawn of 10 m2 is ground too."""
    vertices, faces = unit_cube()
    house = np.array([0.0, 60.0, 5.0]) + vertices * np.array([10.0, 8.0, 20.0])  # from 15 m below to 25 m above
    lawn = (shapely.box(100, 100, 102, 105), {"landuse": "grass"})
    site, ground, bodies = make_site(town(*LAYOUT, lawn), terrain, (Body("way/1-walls", house[faces], "brick"),))
    grounds = [site.objects[k] for k in site.ground_objects]
    assert grounds == [b.name for b in bodies if b.name.startswith("ground")]
    places = np.array([[0.0, 60.0], [9.9, 67.9], [10.1, 60.0], [101.0, 102.0], [70.0, -50.0]])
    np.testing.assert_array_equal(outdoor_mask(site, places), [False, False, True, True, True])
    z = ground_height(site, places)
    assert np.isfinite(z).all()
    np.testing.assert_array_equal(
        inside_building(site, np.column_stack([places, z + 1.5])), [True, True, False, False, False]
    )
    np.testing.assert_array_equal(z, ground.height(places))


def test_a_slab_of_that_name_is_no_ground() -> None:
    vertices, faces = unit_cube()
    site, _, _ = make_site(town(), blocks=(Body("ground-floor", 3 * vertices[faces], "brick"),))
    assert [site.objects[k] for k in site.ground_objects] == ["ground"]
    names = site.buildings[0]
    assert [names[k] for k in np.flatnonzero(standing_buildings(site))] == ["ground-floor"]
    assert check_site(site).counts["buildings"] == 1


def test_a_lawn_that_faces_down_is_ground() -> None:
    """It is the same ground to all who ask, and the check says what is wrong with it."""
    lawn = np.array([[[9, 9, 0], [9, 8, 0], [8, 9, 0.0]]])
    site, _, _ = make_site(town(), blocks=(Body("ground-lawn", lawn, "brick"),))
    assert [site.objects[k] for k in site.ground_objects] == ["ground", "ground-lawn"]
    assert not standing_buildings(site).any()
    assert "ground faces down" in {finding.check for finding in check_site(site).findings}


def test_extent() -> None:
    house = (shapely.box(0, 0, 10, 20), {"building": "yes"})
    ledger = Ledger()
    _, ground = build_ground(town(house, street((0, 0), (5000, 0)), clip=None), RULES, ledger)
    assert ground.extent == (-30.0, -30.0, 40.0, 50.0)
    assert ledger.count("assumed") >= 1
    with pytest.raises(SiteTwinError, match="has no feature"):
        build_ground(town(clip=None), RULES, Ledger())
    with pytest.raises(SiteTwinError, match="sides above 0"):
        build_ground(town(clip=(0, 0, 0, 10)), RULES, Ledger())


def test_the_same_bytes() -> None:
    """The same map gives the same bytes."""
    one, other = (build_ground(town(*LAYOUT), RULES, Ledger(), hill())[0] for _ in range(2))
    for a, b in zip(one, other, strict=True):
        assert a.name == b.name
        assert a.corners.tobytes() == b.corners.tobytes()


def test_an_outline_that_crosses_itself_is_repaired() -> None:
    bow = shapely.Polygon([(0, 0), (40, 40), (40, 0), (0, 40)])
    ledger = Ledger()
    bodies, _ = build_ground(town((bow, {"landuse": "grass"})), RULES, ledger)
    assert areas(bodies[1]).sum() == pytest.approx(800)
    assert ledger.count("repaired") == 1


def test_a_terrain_of_another_place_is_refused() -> None:
    with pytest.raises(SiteTwinError, match="does not reach over"):
        build_ground(town(clip=(-500, -150, 200, 150)), RULES, Ledger(), hill())


def test_where_delaunay_gives_up_ears_are_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """One polygon that GEOS refuses costs the others nothing."""
    made = shapely.constrained_delaunay_triangles

    def refuse(polygons: np.ndarray) -> np.ndarray:
        if any(p.interiors for p in polygons):
            raise shapely.errors.GEOSException("IllegalStateException: Unable to find a convex corner")
        return made(polygons)

    monkeypatch.setattr(shapely, "constrained_delaunay_triangles", refuse)
    ring = shapely.box(0, 0, 9, 9).difference(shapely.box(3, 3, 6, 6))
    polygons = np.array([shapely.box(20, 0, 21, 1), ring, shapely.box(30, 0, 31, 2)], dtype=object)
    corners, owner = triangulate(polygons)
    (u, v), (x, y) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    size = (u * y - v * x) / 2
    assert (size > 0).all()
    np.testing.assert_allclose(np.bincount(owner, size), [1.0, 72.0, 2.0])


def test_ground_that_is_not_laid_is_accounted_for() -> None:
    far = (shapely.box(9000, 0, 9010, 10), {"landuse": "grass"})
    line = (shapely.LineString([(0, 0), (50, 0)]), {"natural": "water"})
    ledger = Ledger()
    build_ground(town(far, line), RULES, ledger)
    lost = {e.what for e in ledger.entries if e.kind == "dropped"}
    assert lost == {"'landuse' beyond the ground's rectangle", "'natural' drawn as a line: it has no width"}


def test_ground_reaches_under_parts_of_buildings() -> None:
    part = (shapely.box(190, 0, 230, 10), {"building:part": "yes"})
    assert ground_extent(town(part), Ledger())[2] == 230.0


def test_what_nobody_builds_is_accounted_for() -> None:
    things = [
        (shapely.Point(5, 5), {"amenity": "bench"}),
        (shapely.LineString([(0, 0), (9, 0)]), {"barrier": "wall"}),
        (shapely.Point(7, 7), {"natural": "tree"}),
    ]
    for trees, also in ((TreeOptions(), set()), (None, {"vegetation, left out as asked"})):
        ledger = Ledger()
        site_from_map(town(*things), ledger, MapOptions(trees=trees))
        lost = {e.what for e in ledger.entries if e.kind == "dropped"}
        assert lost == {f"kind of thing that is not built: {kind}" for kind in ("amenity", "barrier")} | also
