"""The judge itself is judged: right paths pass, wrong ones fail for the right reason."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from tests.rays import laws
from tests.rays.enumeration import enumerate_paths
from tests.rays.laws import LawTest, Tolerance, Verdict
from tests.rays.shapes import box_quads, ground, quad_site

TRANSMITTER = np.array([-4.0, 1.0, 3.0])
USER = np.array([3.0, -2.0, 1.0])


def bounce(transmitter: np.ndarray, user: np.ndarray) -> np.ndarray:
    """Reflection point on z = 0 by similar triangles."""
    share = transmitter[2] / (transmitter[2] + user[2])
    return transmitter + share * (user * [1, 1, 0] - transmitter * [1, 1, 0]) - [0, 0, transmitter[2]]


def screen(x: float, top: float, bottom: float = 0.0) -> list[tuple[float, float, float]]:
    """A rectangle across the path, at constant x."""
    return [(x, -9.0, bottom), (x, 9.0, bottom), (x, 9.0, top), (x, -9.0, top)]


def test_a_ground_reflection_is_valid() -> None:
    judge = LawTest(quad_site([ground()]))
    assert judge.judge(np.array([TRANSMITTER, bounce(TRANSMITTER, USER), USER]), [0]).verdict is Verdict.VALID


@pytest.mark.parametrize("shift", [1e-4, 1e-3, 0.1])
def test_a_vertex_moved_in_its_plane_breaks_the_mirror_law(shift: float) -> None:
    judge = LawTest(quad_site([ground()]))
    for direction in np.eye(3)[:2]:
        path = np.array([TRANSMITTER, bounce(TRANSMITTER, USER) + shift * direction, USER])
        judgement = judge.judge(path, [0])
        assert (judgement.verdict, judgement.law) == (Verdict.INVALID, "mirror")


def test_a_vertex_off_its_plane_breaks_the_facet_law() -> None:
    judge = LawTest(quad_site([ground()]))
    path = np.array([TRANSMITTER, bounce(TRANSMITTER, USER) + np.array([0, 0, 0.01]), USER])
    assert judge.judge(path, [0]).law == "facet"


def test_a_reflection_beyond_the_edge_breaks_the_facet_law() -> None:
    point = bounce(TRANSMITTER, USER)
    width = max(abs(point[0]), abs(point[1]))
    path = np.array([TRANSMITTER, point, USER])
    for half_width, verdict in ((width - 0.01, "invalid"), (width + 0.01, "valid"), (width - 3e-5, "marginal")):
        judgement = LawTest(quad_site([ground(half_width)])).judge(path, [0])
        assert judgement.verdict == verdict
        assert judgement.law == ("" if verdict == "valid" else "facet")


def test_a_wrongly_named_facet_fails() -> None:
    site = quad_site([ground(), screen(8.0, 5.0)])
    path = np.array([TRANSMITTER, bounce(TRANSMITTER, USER), USER])
    assert LawTest(site).judge(path, [1]).verdict is Verdict.INVALID


def test_a_straight_crossing_is_no_reflection() -> None:
    judge = LawTest(quad_site([ground()]))
    below = USER * [1, 1, -1]
    path = np.array([TRANSMITTER, bounce(TRANSMITTER, USER), below])
    assert judge.judge(path, [0]).law == "side"


@pytest.mark.parametrize(
    ("top", "verdict"), [(2.9, "valid"), (3.1, "invalid"), (3.0 - 5e-5, "marginal"), (3.0 + 5e-5, "marginal")]
)
def test_line_of_sight_over_a_screen(top: float, verdict: str) -> None:
    site = quad_site([ground(), screen(0.0, top)])
    path = np.array([[-4.0, 1.0, 3.0], [4.0, -1.0, 3.0]])
    assert LawTest(site).judge(path, []).verdict == verdict


@pytest.mark.parametrize("x", [-3.0, 2.0])
def test_either_segment_of_a_reflection_can_be_blocked(x: float) -> None:
    site = quad_site([ground(), screen(x, 5.0)])
    path = np.array([TRANSMITTER, bounce(TRANSMITTER, USER), USER])
    judgement = LawTest(site).judge(path, [0])
    assert (judgement.verdict, judgement.law) == (Verdict.INVALID, "occlusion")


def test_a_ray_through_the_diagonal_of_a_wall_is_blocked_without_doubt() -> None:
    site = quad_site([[(0, -1, 0), (0, 1, 0), (0, 1, 2), (0, -1, 2)]])
    path = np.array([[-3.0, 0.0, 1.0], [3.0, 0.0, 1.0]])  # meets the common edge of the two triangles
    assert LawTest(site).judge(path, []).verdict is Verdict.INVALID


def test_a_user_on_a_surface_is_undecided() -> None:
    judge = LawTest(quad_site([ground()]))
    assert judge.judge(np.array([TRANSMITTER, USER * [1, 1, 0]]), []).verdict is Verdict.MARGINAL


def test_a_flat_facet_is_flat_and_a_bent_one_is_not() -> None:
    site = quad_site([ground(), [(0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1.001)]])
    np.testing.assert_allclose(LawTest(site).facet_flatness(), [0.0, 1e-3], atol=1e-12)


def test_every_image_of_a_shoebox_is_seen_once() -> None:
    """An empty box shows 4 n^2 + 2 images of order n: 6, 18 and 38, with the lengths of the image lattice."""
    low, high = np.array([-3.0, -4.0, 0.0]), np.array([5.0, 2.5, 3.0])
    site = quad_site(box_quads(low, high))
    transmitter, user = np.array([0.31, -1.2, 1.7]), np.array([2.17, 0.4, 1.13])
    chains = enumerate_paths(site, transmitter, user[None], 3)[0]
    depths = np.bincount([len(chain) for chain in chains])
    assert depths.tolist() == [1, 6, 18, 38]
    lattice = []
    for cell in np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3):
        order = np.abs(cell).sum()
        if order <= 3:
            within = np.where(cell % 2 == 0, transmitter - low, high - transmitter)
            lattice.append((order, np.linalg.norm(low + cell * (high - low) + within - user)))
    judge = LawTest(site)
    traced = [(len(c), unfolded_length(judge, transmitter, user, c)) for c in chains]
    np.testing.assert_allclose(sorted(traced), sorted(lattice), rtol=1e-12)


def unfolded_length(judge: LawTest, transmitter: np.ndarray, user: np.ndarray, chain: tuple[int, ...]) -> float:
    image = transmitter
    for facet in chain:
        normal = judge.plane_normal[facet]
        image = image - 2 * (image @ normal - judge.plane_offset[facet]) * normal
    return float(np.linalg.norm(image - user))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_verdicts_do_not_depend_on_the_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    turn, shift = Rotation.random(random_state=seed).as_matrix(), rng.uniform(-50, 50, 3)
    quads = np.array([ground(), screen(1.0, rng.uniform(0.5, 4.0)), screen(-2.0, 9.0, rng.uniform(0.5, 4.0))])
    transmitter, user = TRANSMITTER + rng.uniform(-1, 1, 3), USER + rng.uniform(-0.9, 0.9, 3)
    path = np.array([transmitter, bounce(transmitter, user), user])
    still = LawTest(quad_site(quads))
    moved = LawTest(quad_site(quads @ turn.T + shift), cell=3.0)
    for points, facets in ((path, [0]), (path[[0, 2]], [])):
        assert still.judge(points, facets).verdict == moved.judge(points @ turn.T + shift, facets).verdict


def test_the_grid_loses_no_triangle() -> None:
    rng = np.random.default_rng(5)
    quads = rng.uniform(-60, 60, (300, 1, 3)) + rng.uniform(-6, 6, (300, 4, 3))
    corners = quads[:, :3]
    grid = laws._Grid(corners, 7.0, 1e-4)
    for _ in range(300):
        a, b = rng.uniform(-90, 90, (2, 3))
        if rng.random() < 0.3:
            b[0] = a[0]  # along a column of the grid
        everything = np.flatnonzero(laws._segment_hits(a, b, corners))
        near = grid.near(a, b)
        near = near[laws._box_meets_segment(corners[near], a, b, 1e-4)]
        assert set(everything) <= set(near.tolist())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_distance_between_segments_is_the_minimum(seed: int) -> None:
    a, b, c, d = np.random.default_rng(seed).uniform(-1, 1, (4, 3))
    s, t = np.meshgrid(np.linspace(0, 1, 21), np.linspace(0, 1, 21))
    gap = (a + s[..., None] * (b - a)) - (c + t[..., None] * (d - c))
    start = np.unravel_index(np.einsum("ijk,ijk->ij", gap, gap).argmin(), s.shape)
    best = minimize(
        lambda x: np.sum((a + x[0] * (b - a) - c - x[1] * (d - c)) ** 2),
        [s[start], t[start]],
        bounds=[(0, 1), (0, 1)],
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-12},
    )
    assert laws._segment_segment_distance(a, b, c[None], d[None])[0] == pytest.approx(np.sqrt(best.fun), abs=1e-5)


def test_a_looser_tolerance_accepts_single_precision() -> None:
    site = quad_site([ground()])
    path = np.array([TRANSMITTER, bounce(TRANSMITTER, USER).astype(np.float32) + np.float32(2e-5), USER])
    assert LawTest(site).judge(path, [0]).verdict is Verdict.INVALID
    assert LawTest(site, Tolerance(position=1e-4, angle=1e-4)).judge(path, [0]).verdict is Verdict.VALID
