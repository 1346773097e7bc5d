"""Vertical lines through triangles of all sizes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.site.verticals import VerticalIndex


def _twice(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Twice the signed area between vectors of the plane."""
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**20), small=st.integers(0, 3000))
def test_vertical_lines_meet_small_and_large_triangles_alike(seed: int, small: int) -> None:
    rng = np.random.default_rng(seed)
    large = rng.uniform(0, 100, (40, 3, 3))
    crowd = rng.uniform(40, 45, (small, 1, 3)) + rng.uniform(-0.2, 0.2, (small, 3, 3))
    corners = rng.permutation(np.concatenate([large, crowd]))
    points = np.concatenate([rng.uniform(0, 100, (30, 2)), rng.uniform(40, 45, (60, 2))])
    hits = VerticalIndex(corners).hits(points)
    a, b, c = (corners[:, k, :2] for k in range(3))
    area = [_twice(q - p, points[:, None] - p) for p, q in ((a, b), (b, c), (c, a))]
    whole = _twice(b - a, c - a)
    point, triangle = np.nonzero((np.stack(area) * np.sign(whole) >= 0).all(axis=0) & (np.abs(whole) > 1e-6))
    np.testing.assert_array_equal(hits.point, point)
    np.testing.assert_array_equal(hits.triangle, triangle)
