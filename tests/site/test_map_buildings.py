"""Buildings from a map: closed, outward, of the right volume and area."""

import numpy as np
import pytest
import shapely

from sitetwin.errors import SiteTwinError
from sitetwin.site.facets import flatness_excess
from sitetwin.site.maps.bodies import Body
from sitetwin.site.maps.heights import BuildingOptions
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.watertight import open_edges
from sitetwin.site.objects import building_name
from sitetwin.site.places.placement import inside_building
from tests.site.map_buildings import (
    COURT,
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


@pytest.mark.parametrize("shape", [shapely.box(0, 0, 10, 6), L_SHAPE, COURT])
def test_a_flat_building_is_a_closed_prism(shape):
    bodies = build([building(17, shape, height=12)])
    assert [(b.name, b.material) for b in bodies] == [("way/17-walls", "brick"), ("way/17-roof", "tiles")]
    assert {building_name(b.name) for b in bodies} == {"way/17"}
    corners = corners_of(bodies)
    assert len(open_edges(corners)) == 0
    assert enclosed_volume(corners) == pytest.approx(shape.area * (12 + FOUNDATION), rel=1e-12)
    assert volume_above(bodies) == pytest.approx(shape.area * 12, rel=1e-12)
    assert areas(corners_of(bodies, "roof")).sum() == pytest.approx(shape.area, rel=1e-12)
    walls = 2 * shape.area + shape.length * (12 + FOUNDATION)
    assert areas(corners).sum() == pytest.approx(walls, rel=1e-12)


def test_faces_look_outwards():
    bodies = build([building(1, COURT, height=9), building(2, shapely.box(30, 0, 40, 9), height=5)])
    corners = corners_of(bodies)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal = cross / np.linalg.norm(cross, axis=1)[:, None]
    middle = corners.mean(axis=1)
    solid = [(COURT, 9), (shapely.box(30, 0, 40, 9), 5)]

    def inside(p):
        held = [
            shapely.contains_xy(shape, p[:, 0], p[:, 1]) & (p[:, 2] > -FOUNDATION) & (p[:, 2] < h) for shape, h in solid
        ]
        return held[0] | held[1]

    assert inside(middle - 1e-3 * normal).all()
    assert not inside(middle + 1e-3 * normal).any()


def test_two_boxes_side_by_side_have_the_surface_of_their_union():
    low, high = 6.0, 10.0
    bodies = build(
        [building(1, shapely.box(0, 0, 10, 10), height=low), building(2, shapely.box(10, 2, 18, 7), height=high)]
    )
    corners = corners_of(bodies)
    assert len(open_edges(corners)) == 0
    shared = 5.0 * (low + FOUNDATION)
    alone = 2 * 100 + 40 * (low + FOUNDATION) + 2 * 40 + 26 * (high + FOUNDATION)
    assert areas(corners).sum() == pytest.approx(alone - 2 * shared, rel=1e-12)
    # The lower one owns nothing of the common plane, the higher one the step above the lower roof.
    on_plane = (
        (np.abs(corners[..., 0] - 10) < 1e-9).all(axis=1)
        & (corners[..., 1] >= 2).all(axis=1)
        & (corners[..., 1] <= 7).all(axis=1)
    )
    assert corners[on_plane][..., 2].min() == pytest.approx(low)


def test_kept_shared_walls_are_one_surface():
    features = [building(1, shapely.box(0, 0, 10, 10), height=6), building(2, shapely.box(10, 2, 18, 7), height=10)]
    merged, kept = corners_of(build(features)), corners_of(build(features, shared_walls="keep"))
    assert areas(kept).sum() - areas(merged).sum() == pytest.approx(5 * (6 + FOUNDATION), rel=1e-12)
    assert len(np.unique(np.sort(kept.reshape(len(kept), 9), axis=1), axis=0)) == len(kept)
    sheet = (np.abs(kept[..., 0] - 10) < 1e-9).all(axis=1) & (kept[..., 2] <= 6).all(axis=1)
    sheet &= ((kept[..., 1] >= 2) & (kept[..., 1] <= 7)).all(axis=1)
    cross = np.cross(kept[sheet, 1] - kept[sheet, 0], kept[sheet, 2] - kept[sheet, 0])
    assert (cross[:, 0] > 0).all()  # away from way/1
    # Parts of one building have no wall between them, kept or not.
    one = [
        building(1, shapely.box(0, 0, 20, 10), height=10),
        building(2, shapely.box(0, 0, 10, 10), building__part="yes", height=10),
        building(3, shapely.box(10, 0, 20, 10), building__part="yes", height=6),
    ]
    assert np.array_equal(corners_of(build(one, shared_walls="keep")), corners_of(build(one)))


def test_a_bridge_leaves_the_passage_open():
    features = [
        building(1, shapely.box(0, 0, 30, 10), height=20),
        building(2, shapely.box(0, 0, 10, 10), building__part="yes", height=20),
        building(3, shapely.box(10, 0, 20, 10), building__part="yes", height=20, min_height=12),
        building(4, shapely.box(20, 0, 30, 10), building__part="yes", building__levels=5),
    ]
    ledger = Ledger()
    bodies = build(features, ledger=ledger)
    assert len(open_edges(corners_of(bodies))) == 0
    assert volume_above(bodies) == pytest.approx(100 * 20 + 100 * 8 + 100 * 15, rel=1e-12)
    assert {building_name(b.name) for b in bodies} == {"way/1"}
    assert "building outline replaced by its parts" in ledger_words(ledger, "read")
    site = site_of(bodies)
    places = np.array([[5.0, 5, 6], [15, 5, 6], [15, 5, 15], [25, 5, 6], [25, 5, 16]])
    assert inside_building(site, places).tolist() == [True, False, True, True, False]


def test_the_rest_of_an_outline_keeps_its_height_and_strips_are_left_out():
    features = [
        building(1, shapely.box(0, 0, 30, 10), height=6),
        building(2, shapely.box(0, 0, 10, 9.9), building__part="yes", height=20),
    ]
    ledger = Ledger()
    bodies = build(features, ledger=ledger)
    # The strip of 0.1 m beside the part hangs on the rest, so that it is no piece of its own; it stays.
    assert volume_above(bodies) == pytest.approx(99 * 20 + 201 * 6, rel=1e-6)
    whole = [building(1, shapely.box(0, 0, 30, 10), height=6)]
    whole.append(building(2, shapely.box(0, 0, 30, 9.9), building__part="yes", height=20))
    ledger = Ledger()
    assert volume_above(build(whole, ledger=ledger)) == pytest.approx(297 * 20, rel=1e-6)
    assert any("strips" in what for what in ledger_words(ledger, "dropped"))


def test_overlaps_and_duplicates_are_solid_once():
    box = shapely.box(0, 0, 10, 10)
    ledger = Ledger()
    bodies = build([building(1, box, height=9), building(2, box, height=9)], ledger=ledger)
    assert {building_name(b.name) for b in bodies} == {"way/1"}
    assert volume_above(bodies) == pytest.approx(900)
    assert sum(ledger_words(ledger, "dropped").values()) == 1
    ledger = Ledger()
    bodies = build([building(1, box, height=9), building(2, shapely.box(5, 5, 15, 15), height=12)], ledger=ledger)
    assert len(open_edges(corners_of(bodies))) == 0
    assert volume_above(bodies) == pytest.approx(75 * 9 + 100 * 12)
    assert sum(ledger_words(ledger, "repaired").values()) == 1


def test_outlines_are_repaired():
    bow_tie = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    stray = shapely.Polygon(shapely.box(20, 0, 30, 10).exterior, [shapely.box(500, 0, 510, 10).exterior])
    far = shapely.Polygon(shapely.box(40, 0, 50, 10).exterior, [[(np.inf, 0), (np.inf, 1), (np.inf, 2)]])
    spike = shapely.Polygon([(60, 0), (70, 0), (70, 5), (90, 5.001), (70, 5.002), (70, 10), (60, 10)])
    line = shapely.LineString([(80, 0), (90, 0), (90, 4), (80, 4)])
    twice = shapely.Polygon([(100, 0), (110, 0), (110, 0), (110, 10), (100, 10), (100, 10)])
    flat = shapely.Polygon([(0, 50), (10, 50), (20, 50)])
    shapes = [bow_tie, stray, far, spike, line, twice, flat, shapely.Point(0, 90)]
    ledger = Ledger()
    bodies = build([building(i, shape, height=10) for i, shape in enumerate(shapes)], ledger=ledger)
    assert len(open_edges(corners_of(bodies))) == 0
    roof = {b.name: plan_areas(b.corners).sum() for b in bodies if b.name.endswith("roof")}
    due = {0: 50, 1: 100, 2: 100, 3: 100, 4: 40, 5: 100}
    assert roof == pytest.approx({f"way/{i}-roof": area for i, area in due.items()}, abs=0.02)
    assert ledger_words(ledger, "repaired") == {
        "building outline drawn as a line, closed": 1,
        "building outline that crosses or overlaps itself": 1,
        "building outline with repeated corners": 1,
        "hole outside its building's outline, left out": 2,
        "spike of a building outline, cut off": 2,
    }
    assert sum(ledger_words(ledger, "dropped").values()) == 2


def test_a_building_stands_on_the_lowest_ground():
    def slope(points):
        return 100 + 0.1 * points[:, 0]

    bodies = build([building(1, shapely.box(10, 0, 30, 10), height=12)], ground=slope)
    z = corners_of(bodies)[..., 2]
    assert z.min() == pytest.approx(101 - FOUNDATION, abs=1e-5)
    assert z.max() == pytest.approx(113, abs=1e-5)

    # A hollow in the middle of a long wall counts too.
    def hollow(points):
        return np.where(np.abs(points[:, 0] - 50) < 5, -3.0, 0.0)

    assert corners_of(build([building(1, shapely.box(0, 0, 100, 10))], ground=hollow))[..., 2].min() == -3.5
    ledger = Ledger()
    assert build([building(1, L_SHAPE)], ground=lambda p: np.full(len(p), np.nan), ledger=ledger) == []
    assert ledger.count("dropped") == 1
    with pytest.raises(SiteTwinError, match="one each is due"):
        build([building(1, L_SHAPE)], ground=lambda p: np.zeros((len(p), 1)))


@pytest.mark.parametrize(
    ("tags", "top"),
    [
        ({"height": 11.5}, 11.5),
        ({"building__levels": 4}, 12),
        ({"building__levels": 4, "roof__levels": 1, "roof__shape": "gabled"}, 15),
        ({"building__levels": 2.5}, 7.5),
        ({"building__levels": 0, "roof__levels": 1}, 3),
        ({"building__levels": 0, "roof__levels": 1, "roof__shape": "gabled", "roof__height": 0}, 0.1),
        ({"building__levels": 1, "roof__levels": 2, "roof__shape": "gabled", "min_height": 5}, 11),
        ({"height": "tall", "building__levels": 2}, 6),
        ({"height": -3}, 9),
        ({"building": "shed"}, 3),
        ({}, 9),
        ({"height": 10, "roof__shape": "gabled", "roof__height": 4}, 10),
        ({"building__levels": 3, "roof__shape": "gabled", "roof__angle": 45}, 9 + 3),
        ({"height": 10, "min_height": 12}, 10),
    ],
)
def test_heights_from_tags(tags, top):
    bodies = build([building(1, shapely.box(0, 0, 10, 6), **tags)])
    assert corners_of(bodies)[..., 2].max() == pytest.approx(top, abs=1e-5)
    assert volume_above(bodies) > 0
    assert len(open_edges(corners_of(bodies))) == 0


@pytest.mark.parametrize(
    ("text", "top", "said"),
    [
        ("12 m", 12.0, []),
        ("40'", 40 * 0.3048, []),
        ("3;4", 4.0, [("repaired", "height with several values: the largest counts")]),
        ("-1", 9.0, [("dropped", "height that is no number from 0 to 1000")]),
        ("0", 9.0, [("dropped", "height of 0: counts as unknown")]),
    ],
)
def test_what_is_made_of_a_height_is_said(text, top, said):
    ledger = Ledger()
    bodies = build([building(1, shapely.box(0, 0, 10, 6), height=text)], ledger=ledger)
    assert corners_of(bodies)[..., 2].max() == pytest.approx(top, abs=1e-5)
    assert [(e.kind, e.what) for e in ledger.entries if e.kind in ("repaired", "dropped")] == said
    assumed = [e.what for e in ledger.entries if e.kind == "assumed" and "as none is given" in e.what]
    assert len(assumed) == (top == 9.0)


def test_a_roof_without_walls_is_a_slab():
    bodies = build([building(1, shapely.box(0, 0, 10, 6), building="roof", height=5)])
    assert {b.material for b in bodies} == {"tiles"}
    assert enclosed_volume(corners_of(bodies)) == pytest.approx(60 * 0.2, rel=1e-5)
    ground = np.array([[[-20.0, -20, 0], [40, -20, 0], [40, 40, 0]], [[-20, -20, 0], [40, 40, 0], [-20, 40, 0]]])
    site = site_of([*bodies, Body("ground", ground, "soil")])
    assert inside_building(site, np.array([[5.0, 3.0, 1.5], [5.0, 3.0, 4.9]])).tolist() == [False, True]


def test_default_heights_are_drawn_with_a_generator():
    features = [building(i, shapely.box(20 * i, 0, 20 * i + 10, 10)) for i in range(5)]
    bodies = build(features, default_height=10.0, default_spread=2.0, rng=np.random.default_rng(1))
    tops = np.array([b.corners[..., 2].max() for b in bodies if b.name.endswith("roof")])
    assert (np.abs(tops - 10) <= 2).all()
    assert len(np.unique(tops)) == 5
    again = build(features[::-1], default_height=10.0, default_spread=2.0, rng=np.random.default_rng(1))
    assert np.array_equal(corners_of(again), corners_of(bodies))
    with pytest.raises(SiteTwinError, match="pass rng"):
        build(features, default_spread=1.0)


@pytest.mark.parametrize(
    "bad",
    [
        {"default_height": 0.0},
        {"level_height": float("nan")},
        {"foundation": 0.0},
        {"default_spread": 9.0},
        {"shared_walls": "no"},
    ],
)
def test_options_are_checked(bad):
    with pytest.raises((SiteTwinError, Exception), match=r"give|violates"):
        BuildingOptions(**bad)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("plan", [shapely.box(0, 0, 12, 8), L_SHAPE, COURT])
def test_roofs_are_closed_flat_and_cover_their_footprint(shape, plan):
    turned = shapely.affinity.rotate(plan, 23.0, origin=(0, 0))
    bodies = build([building(1, turned, height=12, roof__shape=shape, roof__height=3)])
    corners, roof = corners_of(bodies), corners_of(bodies, "roof")
    assert len(open_edges(corners)) == 0
    up = plan_areas(roof)
    assert (up > 0).all()
    assert up.sum() == pytest.approx(turned.area, rel=1e-6)
    assert corners[..., 2].max() <= 12 + 1e-5
    assert roof[..., 2].min() >= (12 if shape == "sawtooth" else 9) - 1e-5
    site = site_of(bodies)
    excess = flatness_excess(site.vertices[site.triangles], site.triangle_facet, site.facet_normal, site.facet_offset)
    assert excess.max() <= 1
    assert site.provenance["dropped_degenerate_triangles"] == 0


@pytest.mark.parametrize(
    ("shape", "share", "slopes"),
    [("gabled", 1 / 2, 2), ("hipped", 1 / 2 - 8 / 12 / 6, 4), ("pyramidal", 1 / 3, 4), ("skillion", 1 / 2, 1)],
)
def test_roof_volumes_over_a_rectangle(shape, share, slopes):
    """Prism, hip (a rectangle's roof of equal slopes), pyramid and wedge have volumes in closed form."""
    plan = shapely.affinity.rotate(shapely.box(0, 0, 12, 8), 30.0, origin=(0, 0))
    bodies = build([building(1, plan, height=12, roof__shape=shape, roof__height=3)])
    assert volume_above(bodies, 9.0) == pytest.approx(96 * 3 * share, rel=1e-5)
    roof = corners_of(bodies, "roof")
    normal = np.cross(roof[:, 1] - roof[:, 0], roof[:, 2] - roof[:, 0])
    normal /= np.linalg.norm(normal, axis=1)[:, None]
    assert len(np.unique(np.round(normal, 4), axis=0)) == slopes


def test_roof_directions():
    plan = shapely.box(0, 0, 12, 8)

    def ridge(**tags):
        z = corners_of(build([building(1, plan, height=12, roof__height=3, **tags)]), "roof").reshape(-1, 3)
        return z[z[:, 2] > 12 - 1e-5]

    assert np.ptp(ridge(roof__shape="gabled")[:, 1]) == 0
    assert np.ptp(ridge(roof__shape="gabled", roof__orientation="across")[:, 0]) == 0
    assert np.ptp(ridge(roof__shape="gabled", roof__direction=90)[:, 0]) < 1e-5
    assert (ridge(roof__shape="skillion", roof__direction="S")[:, 1] == 8).all()
    assert (ridge(roof__shape="skillion", roof__direction="270")[:, 0] == 12).all()
