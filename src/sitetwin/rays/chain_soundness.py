"""Whether lists of chains read from a store fit the site and their users, before any kernel follows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.rays.chains import ChainList
from sitetwin.rays.edge_chains import EdgeChains
from sitetwin.site import Site

_MEND = "trace again into another folder"
_EDGES = "edges_"
_NUMBERS = {
    **{"transmitter": "f xyz", "facets": "i chains depth", "seen_in": "i chains"},
    **{"mark_offsets": "i chains+1", "mark_cells": "i marks"},
    **{"grid_origin": "f xyz", "grid_size": "f", "grid_shape": "i xyz"},
    **{f"{_EDGES}{name}": "i bent" for name in ("before", "wedge", "after", "source")},
    **{f"{_EDGES}mark_offsets": "i bent+1", f"{_EDGES}mark_cells": "i bent_marks"},
}
"""Kind of the numbers of each array, and its axes."""


def sound_chains(
    arrays: Mapping[str, np.ndarray], stated: Any, site: Site, transmitter: np.ndarray, what: str
) -> ChainList:
    """Make the chain list of a store, if a trace in this site can have written it.

    Args:
        arrays: What `ChainList.to_arrays` returned.
        stated: The hash that the store states of them.
        site: The site.
        transmitter: (3,) position of the transmitter of the store, metres.
        what: Name of the chains, for messages.

    Raises:
        SiteTwinError: They are of another shape, site or transmitter, or contradict themselves.
    """
    try:
        _check_numbers(arrays)
        chains = ChainList.from_arrays(dict(arrays))
        _check_grid(chains)
        _check_facets(chains, site.num_facets)
        _check_marks(chains, chains.grid.num_cells)
        if chains.edges is not None:
            _check_edges(chains.edges, site, chains.grid.num_cells)
        same = np.array_equal(chains.transmitter, transmitter) and chains.hash == stated
    except (KeyError, ValueError, TypeError, IndexError, OverflowError, AttributeError) as error:
        reason = f"no array {error}" if isinstance(error, KeyError) else str(error)
        raise SiteTwinError(f"{what} are no sound chains ({reason[:200]}); {_MEND}") from error
    if not same:
        raise SiteTwinError(f"{what} are not those that the trace found: their hash or transmitter differs; {_MEND}")
    return chains


def _check_numbers(arrays: Mapping[str, np.ndarray]) -> None:
    """Every array is of its kind, and axes of one name have one length."""
    bent = any(name.startswith(_EDGES) for name in arrays)
    sizes = {"xyz": 3}
    for name, words in _NUMBERS.items():
        if name.startswith(_EDGES) and not bent:
            continue
        kind, *axes = words.split()
        if arrays[name].dtype.kind != kind or arrays[name].ndim != len(axes):
            raise ValueError(f"'{name}' is no table of numbers as they are written here")
        for axis, size in zip(axes, arrays[name].shape, strict=True):
            base, plus, _ = axis.partition("+")  # offsets are one longer than what they divide
            if sizes.setdefault(base, size - len(plus)) != size - len(plus):
                raise ValueError(f"'{name}' has another length than the arrays beside it")
    for name, array in arrays.items():
        if "completeness_" in name and (array.shape != () or array.dtype.kind not in "if"):
            raise ValueError(f"'{name}' is no number")


def _check_grid(chains: ChainList) -> None:
    grid = chains.grid
    possible = np.isfinite(grid.origin).all() and np.isfinite(grid.size) and grid.size > 0 and min(grid.shape) > 0
    if not possible or grid.num_cells >= 2**31:
        raise ValueError("their grid of cells is impossible")


def _check_facets(chains: ChainList, count: int) -> None:
    facets = chains.facets
    if facets.size and not (facets.min() >= -1 and facets.max() < count):
        raise ValueError(f"they name facets up to {facets.max()}, and the site has {count}")
    met = facets >= 0
    if not bool(met[:, :1].all()) or bool((met[:, 1:] & ~met[:, :-1]).any()) or bool((np.diff(chains.depth) < 0).any()):
        raise ValueError("they do not stand in order of depth")


def _check_edges(edges: EdgeChains, site: Site, num_cells: int) -> None:
    limits = ((edges.before, -1, site.num_facets), (edges.after, -1, site.num_facets))
    for numbers, low, high in (*limits, (edges.wedge, 0, len(site.wedges.exterior_angle))):
        if numbers.size and not (low <= numbers.min() and numbers.max() < high):
            raise ValueError(f"those with an edge name numbers that the site, with {high}, has not")
    _check_marks(edges, num_cells)


def _check_marks(chains: ChainList | EdgeChains, num_cells: int) -> None:
    """Marks lead from chains to cells of the grid."""
    offsets, cells = chains.mark_offsets, chains.mark_cells
    if offsets[0] != 0 or offsets[-1] != len(cells) or bool((offsets[1:] < offsets[:-1]).any()):
        raise ValueError(f"their marks do not rise from 0 to {len(cells)}")
    if cells.size and not (cells.min() >= 0 and cells.max() < num_cells):
        raise ValueError(f"their marks name cells up to {cells.max()}, and there are {num_cells}")
