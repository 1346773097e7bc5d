"""Wedges of known solids, and what must not change them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sitetwin.site import Site, build_site, itu_material
from sitetwin.site.wedges import Wedges

Faces = list[tuple[int, ...]]
CUBE = [(0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]  # outwards


def prism(outline: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """A block over a counter-clockwise star-shaped outline (its first corner sees all), wound outwards."""
    count = len(outline)
    vertices = np.concatenate([np.column_stack([outline, np.full(count, z)]) for z in (low, high)])
    triangles = [(0, k + 1, k) for k in range(1, count - 1)]
    triangles += [(count, count + k, count + k + 1) for k in range(1, count - 1)]
    for a, b in pairwise([*range(count), 0]):
        triangles += [(a, b, b + count), (a, b + count, a + count)]
    return vertices.astype(float), np.array(triangles)


def box(low: tuple[float, ...], high: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    (x0, y0, z0), (x1, y1, z1) = low, high
    return prism(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]), z0, z1)


def rectangle(corners: list[tuple[float, float, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(corners, dtype=float), np.array([(0, 1, 2), (0, 2, 3)])


def site_of(*bodies: tuple[np.ndarray, np.ndarray]) -> Site:
    vertices = np.concatenate([v for v, _ in bodies])
    first = np.cumsum([0, *(len(v) for v, _ in bodies)])
    triangles = np.concatenate([t + f for (_, t), f in zip(bodies, first[:-1], strict=True)])
    owner = np.repeat(np.arange(len(bodies)), [len(t) for _, t in bodies])
    names = [f"body {k}" for k in range(len(bodies))]
    return build_site("by hand", vertices, triangles, owner, names, np.zeros(len(names), int), [itu_material("metal")])


def check_frames(site: Site, wedges: Wedges) -> None:
    """What `Wedges` promises of its arrays, whatever the mesh."""
    t0, tn = wedges.tangents[:, 0], wedges.tangents[:, 1]
    m0, mn = wedges.normals[:, 0], wedges.normals[:, 1]
    close = {"atol": 1e-6, "rtol": 0}
    np.testing.assert_allclose(wedges.end - wedges.start, wedges.length[:, None] * wedges.direction, **close)
    np.testing.assert_allclose(np.cross(t0, m0), wedges.direction, **close)
    angle = wedges.exterior_angle[:, None]
    np.testing.assert_allclose(np.cos(angle) * t0 + np.sin(angle) * m0, tn, **close)
    np.testing.assert_allclose(np.sin(angle) * t0 - np.cos(angle) * m0, mn, **close)
    for side, (tangent, normal) in enumerate(((t0, m0), (tn, mn))):
        facet = np.where(wedges.facets[:, side] < 0, wedges.facets[:, 0], wedges.facets[:, side])
        np.testing.assert_allclose(np.abs((site.facet_normal[facet] * normal).sum(axis=1)), 1.0, **close)
        np.testing.assert_allclose((tangent * wedges.direction).sum(axis=1), 0.0, **close)
        for end in (wedges.start, wedges.end):
            height = (end * site.facet_normal[facet]).sum(axis=1) - site.facet_offset[facet]
            np.testing.assert_allclose(height, 0.0, atol=1e-4)
    free = wedges.facets[:, 1] < 0
    assert np.array_equal(wedges.exterior_angle == 2 * np.pi, free)


def solid_angle_check(wedges: Wedges, inside: np.ndarray) -> None:
    """A convex body's open space does not hold its inside."""
    into = inside - 0.5 * (wedges.start + wedges.end)
    assert (((into * wedges.normals[:, 0]).sum(axis=1) < 0) & ((into * wedges.normals[:, 1]).sum(axis=1) < 0)).all()


@pytest.mark.parametrize("inside_out", [False, True])
def test_a_cube_has_twelve_right_angled_wedges(inside_out: bool) -> None:
    vertices, triangles = box((0, 0, 5), (1, 2, 8))
    plate = rectangle([(-9, -9, 0), (9, -9, 0), (9, 9, 0), (-9, 9, 0)])
    site = site_of((vertices, triangles[:, ::-1] if inside_out else triangles), plate)
    wedges = site.wedges
    check_frames(site, wedges)
    cube = wedges.facets[:, 1] >= 0
    assert cube.sum() == 12
    assert (~cube).sum() == 4
    np.testing.assert_allclose(wedges.exterior_angle[cube], 1.5 * np.pi)
    assert sorted(wedges.length[cube]) == pytest.approx([1] * 4 + [2] * 4 + [3] * 4)
    assert len({tuple(sorted(f)) for f in wedges.facets[cube].tolist()}) == 12


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**12 - 1))
def test_windings_at_random_change_nothing(turned: int) -> None:
    vertices, triangles = box((0, 0, 0), (1, 2, 3))
    flips = (turned >> np.arange(12)) & 1 == 1
    site = site_of((vertices, np.where(flips[:, None], triangles[:, ::-1], triangles)))
    if flips.all():
        return  # wound alike, inwards: a room
    np.testing.assert_allclose(site.wedges.exterior_angle, 1.5 * np.pi)
    solid_angle_check(site.wedges, np.array([0.5, 1, 1.5]))


def test_the_inside_of_a_body_is_no_open_space() -> None:
    site = site_of(box((0, 0, 0), (1, 1, 1)))
    solid_angle_check(site.wedges, np.array([0.5, 0.5, 0.5]))


def test_a_room_is_concave() -> None:
    vertices, triangles = box((0, 0, 0), (4, 5, 3))
    pillar = box((1, 1, 0.5), (2, 2, 2.5))
    site = site_of((vertices, triangles[:, ::-1]), pillar)
    check_frames(site, site.wedges)
    angles = np.round(np.degrees(site.wedges.exterior_angle)).astype(int)
    assert np.bincount(angles).nonzero()[0].tolist() == [90, 270]
    assert np.bincount(angles)[[90, 270]].tolist() == [12, 12]


def test_an_l_shaped_block_has_one_reentrant_edge() -> None:
    outline = np.array([(1, 1), (1, 2), (0, 2), (0, 0), (2, 0), (2, 1)])
    site = site_of(prism(outline, 0, 3))
    check_frames(site, site.wedges)
    angles = np.degrees(site.wedges.exterior_angle)
    assert len(angles) == 18
    reentrant = np.flatnonzero(angles < 180)
    assert len(reentrant) == 1
    np.testing.assert_allclose(angles[reentrant], 90)
    np.testing.assert_allclose(site.wedges.start[reentrant[0]], [1, 1, 0])
    # from the notch both faces are seen
    into = np.array([1.5, 1.5, 1.0]) - site.wedges.start[reentrant[0]]
    assert (site.wedges.normals[reentrant[0]] @ into > 0).all()


def test_an_octagon_has_blunt_wedges() -> None:
    turn = np.arange(8) * np.pi / 4
    site = site_of(prism(np.column_stack([np.cos(turn), np.sin(turn)]), 0, 1))
    check_frames(site, site.wedges)
    assert np.bincount(np.round(np.degrees(site.wedges.exterior_angle)).astype(int)).nonzero()[0].tolist() == [225, 270]
    solid_angle_check(site.wedges, np.array([0, 0, 0.5]))


def test_a_plate_has_free_edges() -> None:
    site = site_of(rectangle([(0, 0, 0), (3, 0, 0), (3, 2, 0), (0, 2, 0)]))
    wedges = site.wedges
    check_frames(site, wedges)
    assert len(wedges) == 4
    assert (wedges.facets[:, 1] == -1).all()
    assert np.array_equal(wedges.normals[:, 0], -wedges.normals[:, 1])
    assert np.array_equal(wedges.tangents[:, 0], wedges.tangents[:, 1])
    centre = np.array([1.5, 1.0, 0.0])
    assert ((centre - wedges.start) * wedges.tangents[:, 0]).sum(axis=1) == pytest.approx([1.5, 1, 1, 1.5], abs=1e-9)


def test_a_plate_with_both_sides_is_the_same_plate() -> None:
    vertices, triangles = rectangle([(0, 0, 0), (3, 0, 0), (3, 2, 0), (0, 2, 0)])
    site = site_of((vertices, np.concatenate([triangles, triangles[:, ::-1]])))
    assert (site.wedges.facets[:, 1] == -1).all()
    assert len(site.wedges) == 4


def test_the_winding_decides_and_where_it_contradicts_itself_the_larger_sector_is_open() -> None:
    flat = rectangle([(0, 0, 0), (3, 0, 0), (3, 2, 0), (0, 2, 0)])
    upright = rectangle([(0, 0, 0), (0, 2, 0), (0, 2, 4), (0, 0, 4)])
    for turned in (False, True):
        vertices, triangles = upright
        site = site_of(flat, (vertices, triangles[:, ::-1] if turned else triangles))
        check_frames(site, site.wedges)
        joined = site.wedges.facets[:, 1] >= 0
        assert joined.sum() == 1
        angle = np.degrees(site.wedges.exterior_angle[joined][0])
        assert angle == pytest.approx(270 if turned else 90)  # 90: both faces look into the corner


def test_edges_meet_although_triangles_share_no_corner() -> None:
    """A wall of one piece under a roof edge in three pieces, objects of their own: one wedge along the whole edge."""
    wall = rectangle([(0, 0, 0), (6, 0, 0), (6, 0, 3), (0, 0, 3)])
    cuts = [0.0, 1.0, 4.5, 6.0]
    roofs = [rectangle([(a, 0, 3), (b, 0, 3), (b, 5, 3), (a, 5, 3)]) for a, b in pairwise(cuts)]
    vertices = np.concatenate([v for v, _ in roofs])
    triangles = np.concatenate([t + 4 * k for k, (_, t) in enumerate(roofs)])
    site = site_of(wall, (vertices, triangles))
    check_frames(site, site.wedges)
    joined = np.flatnonzero(site.wedges.facets[:, 1] >= 0)
    assert len(joined) == 1
    assert site.wedges.length[joined[0]] == pytest.approx(6.0)
    assert site.wedges.exterior_angle[joined[0]] == pytest.approx(1.5 * np.pi)
    assert (site.wedges.facets[:, 1] < 0).sum() == 6  # three of the wall, three of the roof


def test_houses_in_a_row() -> None:
    """Equal height: no wedge between the roofs; unequal height: the lower roof's edge on the wall is covered."""
    ground = rectangle([(-9, -9, 0), (9, -9, 0), (9, 9, 0), (-9, 9, 0)])
    equal = site_of(box((0, 0, 0), (2, 2, 3)), box((2, 0, 0), (4, 2, 3)), ground)
    check_frames(equal, equal.wedges)
    joined = equal.wedges.facets[:, 1] >= 0
    assert equal.wedges.exterior_angle[joined] == pytest.approx(1.5 * np.pi)
    at_seam = (np.abs(equal.wedges.start[:, 0] - 2) < 1e-6) & (np.abs(equal.wedges.end[:, 0] - 2) < 1e-6)
    assert not at_seam.any()
    unequal = site_of(box((0, 0, 0), (2, 2, 3)), box((2, 0.5, 0), (4, 1.5, 2)), ground)
    seam = (np.abs(unequal.wedges.start[:, 0] - 2) < 1e-6) & (np.abs(unequal.wedges.end[:, 0] - 2) < 1e-6)
    wedges = unequal.wedges
    assert (np.minimum(wedges.start, wedges.end)[seam, 2].max(), seam.sum()) == (3.0, 3)  # the higher house alone
    assert wedges.covered > 0


def test_a_house_on_the_ground_has_no_wedge_at_its_foot() -> None:
    ground = rectangle([(-9, -9, 0), (9, -9, 0), (9, 9, 0), (-9, 9, 0)])
    site = site_of(box((0, 0, 0), (2, 3, 4)), ground)
    joined = site.wedges.facets[:, 1] >= 0
    assert joined.sum() == 8
    assert site.wedges.covered == 4


def test_three_sheets_in_one_line_enclose_three_sectors() -> None:
    sheets = [
        rectangle([(0, 0, 0), (np.cos(a), np.sin(a), 0), (np.cos(a), np.sin(a), 2), (0, 0, 2)]) for a in (0.0, 2.0, 4.5)
    ]
    site = site_of(*sheets)
    check_frames(site, site.wedges)
    joined = site.wedges.facets[:, 1] >= 0
    np.testing.assert_allclose(np.sort(site.wedges.exterior_angle[joined]), np.sort([2.0, 2.5, 2 * np.pi - 4.5]))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_neither_frame_nor_order_matters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    outline = np.array([(1, 1), (1, 2), (0, 2), (0, 0), (2, 0), (2, 1)])
    bodies = [prism(outline, 0, 3), box((4, 0, 1), (6, 2, 2)), rectangle([(0, 5, 0), (3, 5, 0), (3, 6, 1), (0, 6, 1)])]
    still = site_of(*bodies)
    shuffled = site_of(*((v, np.roll(rng.permutation(t), rng.integers(3), axis=1)) for v, t in bodies))
    for name in ("start", "end", "exterior_angle", "tangents", "normals"):
        np.testing.assert_allclose(getattr(shuffled.wedges, name), getattr(still.wedges, name), atol=1e-12)
    turn, shift = Rotation.random(random_state=seed).as_matrix(), rng.uniform(-50, 50, 3)
    moved = site_of(*((v @ turn.T + shift, t) for v, t in bodies))
    check_frames(moved, moved.wedges)
    middle = 0.5 * (still.wedges.start + still.wedges.end) @ turn.T + shift
    theirs = 0.5 * (moved.wedges.start + moved.wedges.end)
    gap = np.linalg.norm(middle[:, None] - theirs, axis=2)
    partner = gap.argmin(axis=1)
    assert gap.min(axis=1).max() < 1e-6
    assert sorted(partner) == list(range(len(moved.wedges)))
    np.testing.assert_allclose(moved.wedges.exterior_angle[partner], still.wedges.exterior_angle, atol=1e-6)
    np.testing.assert_allclose(moved.wedges.length[partner], still.wedges.length, atol=1e-6)


def test_no_triangle_no_wedge() -> None:
    site = site_of(rectangle([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]))
    labels = ("triangles", "triangle_facet", "triangle_object")
    empty = replace(site, **{label: getattr(site, label)[:0] for label in labels})
    assert len(empty.wedges) == 0


def test_a_corner_is_open_above_the_house_that_leans_on_it() -> None:
    """A lower house covers the foot of a higher one's upright edge: what is left begins at its roof."""
    ground = rectangle([(-9, -9, 0), (9, -9, 0), (9, 9, 0), (-9, 9, 0)])
    site = site_of(box((0, 0, 0), (2, 2, 8)), box((2, -1, 0), (4, 1, 3)), ground)
    check_frames(site, site.wedges)
    wedges = site.wedges
    upright = (np.abs(wedges.direction[:, 2]) > 0.5) & (np.abs(wedges.start[:, :2] - [2, 0]).max(axis=1) < 1e-6)
    assert upright.sum() == 1
    assert wedges.start[upright][0, 2] == pytest.approx(3.0, abs=3e-3)
    assert wedges.end[upright][0, 2] == 8.0
