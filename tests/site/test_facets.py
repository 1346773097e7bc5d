"""Facets: what is flat together, what is not, whatever the order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.site import Site
from sitetwin.site import facets as module
from sitetwin.site.facets import flatness_excess, merge_facets


def grid(nx: int, ny: int, height) -> tuple[np.ndarray, np.ndarray]:
    """A triangulated grid of unit cells with z = height(x, y)."""
    x, y = np.meshgrid(np.arange(nx + 1.0), np.arange(ny + 1.0), indexing="ij")
    vertices = np.stack([x, y, height(x, y)], axis=-1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(nx), np.arange(ny), indexing="ij")
    a = (i * (ny + 1) + j).ravel()
    quads = [np.stack([a, a + ny + 1, a + ny + 2], axis=1), np.stack([a, a + ny + 2, a + 1], axis=1)]
    return vertices, np.concatenate(quads)


def test_plane_of_any_direction_is_one_facet(rng: np.random.Generator) -> None:
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    vertices, triangles = grid(6, 6, lambda x, y: 0 * x)
    vertices = (vertices @ turn.T + [30.0, -20, 4]).astype(np.float32).astype(float)
    triangles[::3] = triangles[::3, ::-1]  # turned around: still the same facet
    got = merge_facets(vertices, triangles, np.zeros(len(triangles), dtype=int))
    assert len(got.offset) == 1
    assert abs(np.abs(turn[:, 2] @ got.normal[0]) - 1) < 1e-9
    np.testing.assert_allclose(vertices @ got.normal[0], got.offset[0], atol=6e-5)


@pytest.mark.parametrize(("step", "facets"), [(3e-5, 1), (2e-4, 2)])
def test_tolerance_is_a_twentieth_of_a_millimetre(step: float, facets: int) -> None:
    vertices, triangles = grid(1, 1, lambda x, y: 0 * x)
    shifted = vertices + np.array([3.0, 0, step])
    both = np.concatenate([vertices, shifted])
    got = merge_facets(both, np.concatenate([triangles, triangles + 4]), np.zeros(4, dtype=int))
    assert len(got.offset) == facets


def test_groups_and_folds_stay_apart() -> None:
    vertices, triangles = grid(4, 4, lambda x, y: np.abs(x - 2.0))
    assert len(merge_facets(vertices, triangles, np.zeros(32, dtype=int)).offset) == 2
    got = merge_facets(vertices, triangles, np.arange(32) % 2)
    assert len(got.offset) == 4
    assert got.group.tolist() == [np.flatnonzero(got.triangle_facet == f)[0] % 2 for f in range(4)]


def test_degenerate_triangles_are_dropped_and_counted() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0.0]])
    got = merge_facets(vertices, np.array([[0, 1, 2], [0, 0, 1], [0, 1, 3]]), np.zeros(3, dtype=int))
    assert got.dropped == 2
    assert got.kept.tolist() == [2]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_of_the_triangles_only_renumbers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vertices, triangles = grid(5, 5, lambda x, y: np.maximum(0.3 * x, 1.0) + 0.2 * y)
    order = rng.permutation(len(triangles))
    one = merge_facets(vertices, triangles, np.zeros(50, dtype=int)).triangle_facet
    two = merge_facets(vertices, triangles[order], np.zeros(50, dtype=int)).triangle_facet
    pairs = set(zip(one[order].tolist(), two.tolist(), strict=True))
    assert len(pairs) == one.max() + 1 == two.max() + 1


def test_large_groups_merge_along_edges_to_the_same_facets(monkeypatch: pytest.MonkeyPatch) -> None:
    vertices, triangles = grid(12, 12, lambda x, y: np.maximum(np.maximum(0.25 * x, 1.0), 0.5 * y - 2))
    want = merge_facets(vertices, triangles, np.zeros(len(triangles), dtype=int))
    monkeypatch.setattr(module, "_LARGE_GROUP", 10)
    got = merge_facets(vertices, triangles, np.zeros(len(triangles), dtype=int))
    assert len(got.offset) == len(want.offset) < 40
    assert np.array_equal(got.triangle_facet, want.triangle_facet)


def test_every_facet_of_munich_is_flat(munich: Site) -> None:
    site = munich
    corners = site.vertices[site.triangles]
    distance = np.abs(
        np.einsum("tkc,tc->tk", corners, site.facet_normal[site.triangle_facet])
        - site.facet_offset[site.triangle_facet, None]
    )
    spacing = np.spacing(np.abs(corners).max(axis=(1, 2)).astype(np.float32))
    assert (distance.max(axis=1) <= np.maximum(5e-5, spacing)).all()
    excess = flatness_excess(corners, site.triangle_facet, site.facet_normal, site.facet_offset)
    assert excess.max() <= 1.2
    objects = np.unique(np.stack([site.triangle_facet, site.triangle_object], axis=1), axis=0)
    assert len(objects) == site.num_facets  # one object per facet
    assert site.num_facets < 0.5 * site.num_triangles
