"""Chains that no trace in a site can have written are refused before any kernel follows them."""

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.rays.cells import CellGrid
from sitetwin.rays.chain_soundness import sound_chains
from sitetwin.rays.chains import ChainList, Completeness
from sitetwin.rays.edge_chains import EdgeChains, EdgeCompleteness
from tests.rays.shapes import quad_site

FLOOR = [(0, 0, 0), (10, 0, 0), (10, 10, 0), (0, 10, 0)]
WALL = [(0, 0, 0), (0, 10, 0), (0, 10, 10), (0, 0, 10)]
MAST = np.array([5.0, 5.0, 5.0])
GRID = CellGrid(np.zeros(3), 16.0, (2, 3, 2))


def chains(with_edges):
    offsets = np.array([0, 2, 3, 5])
    cells = np.array([0, 11, 4, 1, 2])
    edges = EdgeChains(
        before=np.array([-1, 0, 1], np.int32),
        wedge=np.zeros(3, np.int32),
        after=np.array([1, -1, -1], np.int32),
        source=np.arange(3, dtype=np.int32),
        mark_offsets=offsets,
        mark_cells=cells.astype(np.int32),
        grid=GRID,
        completeness=EdgeCompleteness(2, 5, 5, 0.0),
    )
    return ChainList(
        transmitter=MAST,
        facets=np.array([[0, -1], [1, -1], [0, 1]], np.int32),
        seen_in=np.ones(3, np.int32),
        mark_offsets=offsets,
        mark_cells=cells,
        grid=GRID,
        completeness=Completeness(2, 100, 5, 5, 0.0, 0.01),
        edges=edges if with_edges else None,
    )


def site():
    return quad_site([FLOOR, WALL])


def test_sound_chains_come_back():
    known = chains(with_edges=len(site().wedges.exterior_angle) > 0)
    back = sound_chains(known.to_arrays(), known.hash, site(), MAST, "the chains")
    assert back.hash == known.hash


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("facets", (0, 0), 2),
        ("facets", (2, 1), 10**6),
        ("facets", (1, 0), -1),
        ("facets", (0, 0), -2),
        ("facets", (0, 1), 1),
        ("mark_offsets", 0, 1),
        ("mark_offsets", 1, 10**9),
        ("mark_offsets", 3, 4),
        ("mark_offsets", 2, -5),
        ("mark_cells", 1, 12),
        ("mark_cells", 0, -1),
        ("grid_shape", 0, 0),
        ("grid_shape", 1, 2**40),
        ("grid_size", ..., np.nan),
        ("grid_origin", 1, np.inf),
        ("transmitter", 2, 6.0),
        ("edges_before", 0, 2),
        ("edges_after", 1, -3),
        ("edges_wedge", 0, 10**5),
        ("edges_mark_cells", 0, 400),
        ("edges_mark_offsets", 3, 1),
    ],
)
def test_numbers_that_lead_nowhere_are_refused(name, place, value):
    arrays = {key: np.array(array) for key, array in chains(True).to_arrays().items()}
    arrays[name][place] = value
    known = ChainList.from_arrays(arrays)
    with pytest.raises(SiteTwinError, match=r"the chains are n.*trace again"):
        sound_chains(arrays, known.hash, site(), MAST, "the chains")


@pytest.mark.parametrize("name", sorted(chains(True).to_arrays()))
@pytest.mark.parametrize("other", [None, np.zeros(7), np.zeros((3, 2, 2), np.int32), np.array(["x"])])
def test_arrays_that_are_missing_or_of_another_kind_are_refused(name, other):
    arrays = dict(chains(True).to_arrays())
    if other is None:
        del arrays[name]
    else:
        arrays[name] = other
    if other is None and "completeness" in name:
        return  # stores of older versions lack some
    with pytest.raises(SiteTwinError, match=r"the chains are n.*trace again"):
        sound_chains(arrays, chains(True).hash, site(), MAST, "the chains")
