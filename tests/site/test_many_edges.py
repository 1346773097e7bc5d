"""Meshes in which thousands of triangles share an edge or a corner."""

from __future__ import annotations

import numpy as np
import pytest

from sitetwin.site.ground import patches
from sitetwin.site.ground.patches import Patches


def test_triangles_around_one_edge_are_joined_in_linear_work(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    dot = patches.dot
    monkeypatch.setattr(patches, "dot", lambda a, b: looked.append(len(a)) or dot(a, b))
    turn = np.linspace(0, 2 * np.pi, 1000, endpoint=False)
    rim = np.column_stack([50 * np.cos(turn), 50 * np.sin(turn), np.zeros(1000)])
    foot, head = np.zeros((1000, 3)), np.broadcast_to([0.0, 0.0, 10.0], (1000, 3))
    found = Patches.of(np.stack([foot, head, rim], axis=1))
    assert (found.body == found.body[0]).all()
    assert sum(looked) < 20_000  # pairs of an edge and a place near it


def test_edges_that_end_at_one_place_within_an_edge_are_one_body() -> None:
    """Three sheets touch the middle of a fourth one's edge with a corner; one more stands apart."""
    wall = [[0.0, 0, 0], [4, 0, 0], [2, 0, 5]]
    sheets = [[[2.0, 0, 0], [2 + k, -3, 0], [3 + k, -3, 0]] for k in (0, 4, 8)]
    apart = [[40.0, 0, 0], [44, 0, 0], [42, 0, 5]]
    body = Patches.of(np.array([wall, *sheets, apart])).body
    assert len(set(body[:4].tolist())) == 1
    assert body[4] != body[0]
