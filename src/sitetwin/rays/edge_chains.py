"""Interaction chains with one diffraction: which facet, wedge and facet a path may take, and in which cells."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Integer

from sitetwin.rays.cells import CellGrid, CellUsers


@dataclass(frozen=True)
class EdgeCompleteness:
    """How sure we are that no diffracted path is missing.

    Attributes:
        sets: Independent sets of samples and rays.
        probe_users: Users on whom the share was measured.
        probe_paths: Valid diffracted paths found for them.
        unseen_share: Estimated share of valid (chain, user) pairs that the tracer does not find, because no sample met
            the light on the wedge, no ray the facet from the wedge, or none the facet from the users' cells: the sum of
            a first-order jackknife over the sets for each of the three.
        unseen_high: Upper limit of `unseen_share` at 95 % confidence; None in stores of older versions.
    """

    sets: int
    probe_users: int
    probe_paths: int
    unseen_share: float
    unseen_high: float | None = None


@dataclass(frozen=True, eq=False)
class EdgeChains:
    """Chains R..D..R of one transmitter in canonical order (by depth, kinds, facets), and where they lead.

    Attributes:
        before: (C,) int32, facet of the reflection before the wedge, -1 without one.
        wedge: (C,) int32, index into ``site.wedges``.
        after: (C,) int32, facet of the reflection after the wedge, -1 without one.
        source: (C,) int32, the same number for chains that share facet before and wedge.
        mark_offsets: (C + 1,) int64; the cells of chain c are ``mark_cells[mark_offsets[c]:mark_offsets[c + 1]]``.
        mark_cells: (N,) int32, cells of `grid`, ascending within a chain, whose users the chain is tried on.
        grid: The cells.
        completeness: Measured completeness of the list.
    """

    before: Integer[np.ndarray, " chains"]
    wedge: Integer[np.ndarray, " chains"]
    after: Integer[np.ndarray, " chains"]
    source: Integer[np.ndarray, " chains"]
    mark_offsets: Integer[np.ndarray, " chains+1"]
    mark_cells: Integer[np.ndarray, " marks"]
    grid: CellGrid
    completeness: EdgeCompleteness

    def __len__(self) -> int:
        return len(self.wedge)

    def groups(self) -> list[range]:
        """Runs of chains alike in their reflections: none, before, after, both."""
        label = (self.before >= 0) + 2 * (self.after >= 0)
        edges = [0, *(np.flatnonzero(np.diff(label)) + 1).tolist(), len(label)]
        return [range(a, b) for a, b in pairwise(edges) if b > a]

    def shape_of(self, group: range) -> tuple[bool, bool]:
        """Whether a group's chains reflect before and after the wedge."""
        return bool(self.before[group[0]] >= 0), bool(self.after[group[0]] >= 0)

    def marked_pairs(self, group: range, cells: CellUsers) -> tuple[np.ndarray, np.ndarray]:
        """(chain, place in ``cells.cells``) pairs of a group that are marked and hold users."""
        marked = self.mark_cells[self.mark_offsets[group.start] : self.mark_offsets[group.stop]]
        counts = np.diff(self.mark_offsets[group.start : group.stop + 1])
        place_of_cell = np.full(self.grid.num_cells, -1, dtype=np.int32)
        place_of_cell[cells.cells] = np.arange(len(cells.cells))
        place = place_of_cell[marked]
        chain = np.repeat(np.arange(group.start, group.stop), counts)
        held = place >= 0
        return chain[held], place[held].astype(np.int64)

    def digest(self) -> bytes:
        """SHA-256 of the chains and the cells they are tried in."""
        digest = hashlib.sha256(str(len(self)).encode())
        for array, kind in (
            (self.before, "<i4"),
            (self.wedge, "<i4"),
            (self.after, "<i4"),
            (self.mark_offsets, "<i8"),
            (self.mark_cells, "<i4"),
        ):
            digest.update(np.ascontiguousarray(array, kind).tobytes())
        return digest.digest()

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All but the grid as NumPy arrays, for storage."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        return arrays | completeness_arrays(self.completeness)

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], grid: CellGrid) -> EdgeChains:
        """The inverse of `to_arrays`."""
        return cls(
            **{name: np.asarray(arrays[name]) for name in _ARRAYS},
            grid=grid,
            completeness=completeness_from(EdgeCompleteness, arrays),
        )


_ARRAYS = ("before", "wedge", "after", "source", "mark_offsets", "mark_cells")


Measured = TypeVar("Measured")


def completeness_arrays(measured: Any) -> dict[str, np.ndarray]:
    """Return what is known of a completeness as arrays, for storage."""
    return {f"completeness_{name}": np.asarray(v) for name, v in vars(measured).items() if v is not None}


def completeness_from(kind: type[Measured], arrays: dict[str, np.ndarray]) -> Measured:
    """Make a completeness from the arrays that `completeness_arrays` returned; older stores have no upper limit."""
    names = {f.name: f"completeness_{f.name}" for f in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: np.asarray(arrays[key]).item() for name, key in names.items() if key in arrays})
