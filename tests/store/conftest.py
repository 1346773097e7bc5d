"""A small ragged data set, tile by tile."""

import numpy as np
import pytest

from sitetwin.store import Array

TILES = [(0, 5), (5, 10), (10, 13)]


def ragged_tile(index: int, start: int, stop: int) -> dict[str, Array]:
    """Some rows per user, different in every tile, the same in every run."""
    rng = np.random.default_rng([7, index])
    counts = rng.integers(0, 4, stop - start)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    rows = int(offsets[-1])
    return {
        "users": Array(("user", "xyz"), rng.normal(size=(stop - start, 3)), {"units": "m"}),
        "offsets": Array(("user_edge",), offsets, {"rows": "path"}),
        "length": Array(("path",), rng.normal(size=rows), {"units": "m"}),
        "kinds": Array(("path", "interaction"), rng.integers(0, 2, (rows, 3)).astype(np.uint8)),
        "gain": Array(("path",), (rng.normal(size=rows) + 1j * rng.normal(size=rows)).astype(np.complex64)),
    }


@pytest.fixture(scope="session")
def tile_arrays():
    return [ragged_tile(i, *tile) for i, tile in enumerate(TILES)]
