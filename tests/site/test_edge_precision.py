"""Edges that a mesh draws imprecisely: whatever the gap, nothing vanishes; and what was cut is no edge."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sitetwin.site import Site, build_site, itu_material
from sitetwin.site.site import with_position_step
from tests.site.test_wedges import box, rectangle, site_of

BOX = np.array([(x, y, z) for z in (0, 20) for x, y in ((20, -30), (50, -30), (50, 30), (20, 30))], float)
FACES = [(0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7), (4, 5, 6, 7)]
GROUND = np.array([(-100, -100, 0), (100, -100, 0), (100, 100, 0), (-100, 100, 0)], float)


def quads_site(quads: np.ndarray, names: list[str]) -> Site:
    """A site of one object for each rectangle (N, 4, 3)."""
    triangles = (4 * np.arange(len(quads))[:, None, None] + np.array([(0, 1, 2), (0, 2, 3)])).reshape(-1, 3)
    return build_site(
        "box",
        quads.reshape(-1, 3),
        triangles,
        np.repeat(np.arange(len(quads)), 2),
        names,
        np.zeros(len(quads), int),
        [itu_material("brick")],
    )


def house(shift: np.ndarray, noise: np.ndarray | float = 0.0, turn: np.ndarray | None = None) -> Site:
    """A box on the ground whose roof is shifted; every corner of every face has an error of its own."""
    quads = np.concatenate([GROUND[None], BOX[np.array(FACES)]])
    quads[-1] += shift
    quads = quads + noise
    if turn is not None:
        quads = quads @ turn.T
    return quads_site(quads, ["ground", "w1", "w2", "w3", "w4", "roof"])


def roof_angles(site: Site, turn: np.ndarray | None = None) -> np.ndarray:
    """Exterior angles of the convex edges at the roof, degrees."""
    wedges = site.wedges
    back = np.eye(3) if turn is None else turn
    at_roof = ((wedges.start @ back)[:, 2] > 19) & ((wedges.end @ back)[:, 2] > 19)
    return np.degrees(wedges.exterior_angle[at_roof & (wedges.exterior_angle > np.pi + 1e-3) & ~wedges.merged])


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 5e-3), st.integers(0, 2**32 - 1))
def test_a_roof_beside_its_walls_keeps_its_edges(gap: float, seed: int) -> None:
    direction = np.random.default_rng(seed).uniform(-1, 1, 3)
    angles = roof_angles(house(gap * direction))
    assert len(angles) == 4
    np.testing.assert_allclose(angles, 270, atol=0.1)


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 9e-4), st.integers(0, 2**32 - 1))
def test_errors_of_every_corner_and_the_frame_change_nothing(size: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    turn = Rotation.random(random_state=seed).as_matrix()
    site = house(np.zeros(3), rng.uniform(-size, size, (6, 4, 3)), turn)
    angles = roof_angles(site, turn)
    assert len(angles) == 4
    np.testing.assert_allclose(angles, 270, atol=0.1)
    assert ((site.wedges.exterior_angle > np.pi + 1e-3) & (site.wedges.facets[:, 1] >= 0)).sum() == 8


@pytest.mark.parametrize("step", [1e-3, 4e-3, 0.015, 0.06])
def test_quantised_faces_meet(step: float) -> None:
    """Each face is quantised on a grid of its own."""
    rng = np.random.default_rng(int(1e4 * step))
    turn = Rotation.from_euler("z", 20, degrees=True).as_matrix()
    quads = np.concatenate([GROUND[None], BOX[np.array(FACES)]]) @ turn.T
    origin = rng.uniform(0, step, (6, 1, 3))
    quads = np.round((quads - origin) / step) * step + origin
    site = with_position_step(quads_site(quads, ["ground", "w1", "w2", "w3", "w4", "roof"]), step)
    angles = roof_angles(site)
    assert len(angles) == 4
    np.testing.assert_allclose(angles, 270, atol=1.0)
    assert site.geometry_hash != quads_site(quads, ["ground", "w1", "w2", "w3", "w4", "roof"]).geometry_hash


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 59), min_size=1, max_size=4, unique=True), st.floats(-4e-3, 4e-3))
def test_a_wall_in_pieces_beside_a_roof_in_one(cuts: list[int], gap: float) -> None:
    at = np.array([-30.0, *(np.sort(cuts) - 30.0), 30.0])
    pieces = [[(50, a, 0), (50, b, 0), (50, b, 20), (50, a, 20)] for a, b in pairwise(at)]
    whole = BOX[np.array(FACES)]
    quads = np.concatenate([GROUND[None], whole[[0, 2, 3]], np.array(pieces, float), whole[4:] + gap])
    wedges = quads_site(quads, ["ground", *(f"face {k}" for k in range(len(quads) - 1))]).wedges
    along = (np.minimum(wedges.start, wedges.end)[:, 2] > 19) & (np.abs(wedges.direction[:, 1]) > 0.9)
    along &= (wedges.start[:, 0] > 40) & ~wedges.merged
    np.testing.assert_allclose(np.degrees(wedges.exterior_angle[along]), 270, atol=0.1)
    assert wedges.length[along].sum() == pytest.approx(60, abs=0.02)


def test_the_same_house_twice_a_little_apart_is_one_house() -> None:
    vertices, triangles = box((0, 0, 0), (10, 20, 30))
    site = site_of((vertices, triangles), (vertices + 3e-4, triangles))
    wedges = site.wedges
    np.testing.assert_allclose(np.degrees(wedges.exterior_angle), 270, atol=0.1)
    assert len(wedges) == 12


def test_the_rim_of_the_ground_is_no_edge() -> None:
    site = house(np.zeros(3))
    wedges = site.wedges
    at_rim = np.abs(wedges.start[:, :2]).max(axis=1) > 99
    assert at_rim.sum() == 4
    assert np.array_equal(wedges.rim, at_rim)


def test_tiles_of_ground_end_at_the_rim_alone() -> None:
    """Ground in tiles of two heights: the step between them diffracts, the rim does not."""
    low = rectangle([(-50, -50, 0), (0, -50, 0), (0, 50, 0), (-50, 50, 0)])
    high = rectangle([(0, -50, 2), (50, -50, 2), (50, 50, 2), (0, 50, 2)])
    shapes = [*(np.array(low[0])[None]), *(np.array(high[0])[None]), *BOX[np.array(FACES)]]
    quads = np.array(shapes)
    names = ["ground-grass", "ground-paved", "w1", "w2", "w3", "w4", "roof"]
    wedges = quads_site(quads, names).wedges
    step = (wedges.start[:, 0] == 0) & (wedges.end[:, 0] == 0) & (wedges.start[:, 2] == 2) & (wedges.end[:, 2] == 2)
    ground = (wedges.facets < 2).all(axis=1)
    assert step.any()
    assert not wedges.rim[step].any()
    between = (wedges.start[:, 0] == 0) & (wedges.end[:, 0] == 0)
    assert wedges.rim[ground & ~between & (np.abs(wedges.start).max(axis=1) == 50)].all()
    assert not wedges.rim[~ground].any()


def test_free_edges_of_sheets_and_decks_stay() -> None:
    deck = [(-20, -5, 6), (20, -5, 6), (20, 5, 6), (-20, 5, 6)]
    sheet = [(-60, -20, 0), (-60, 20, 0), (-60, 20, 8), (-60, -20, 8)]
    wedges = quads_site(np.array([GROUND, deck, sheet], float), ["ground", "deck", "sheet"]).wedges
    free = (wedges.facets[:, 1] < 0) & (wedges.facets[:, 0] > 0)
    assert free.sum() == 7  # the sheet's foot stands on the ground
    assert not wedges.rim[free].any()


def test_a_lone_plate_has_free_edges_and_a_lone_field_a_cut_rim() -> None:
    for side, cut in ((3.0, False), (200.0, True)):
        plate = site_of(rectangle([(0, 0, 0), (side, 0, 0), (side, side, 0), (0, side, 0)]))
        assert len(plate.wedges) == 4
        assert (plate.wedges.rim == cut).all()
