"""Propagation paths: geometry only, no field, no material, no frequency."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np

SPEED_OF_LIGHT = 299_792_458.0


class Interaction(IntEnum):
    """What happens at a vertex of a path."""

    NONE = 0
    REFLECTION = 1
    CANOPY = 2  # single scattering at a scatter centre inside a canopy; its `facets` entry is the centre's index
    DIFFRACTION = 3  # at an edge; its `facets` entry is the wedge's index in `site.wedges`
    TRANSMISSION = 4  # straight through a thin slab
    DIFFUSE = 5  # scattering at the centre of a tile of a facet


@dataclass(frozen=True, eq=False)
class Paths:
    """All paths from one transmitter to U users, ragged: one row per path, a user's paths contiguous.

    Within a user the paths stand in canonical order: by number of interactions, then kinds, then facet ids.

    Attributes:
        transmitter: (3,) float64, metres.
        users: (U, 3) float64, metres.
        offsets: (U + 1,) int64; the paths of user u are rows ``offsets[u]:offsets[u + 1]``.
        kinds: (P, D) uint8, `Interaction` at each vertex, 0 where the path has fewer vertices.
        facets: (P, D) int32, facet id at each vertex (the scatter centre's index for CANOPY, the wedge's for
            DIFFRACTION), -1 where there is none.
        vertices: (P, D, 3) float64, metres, NaN where there is none. Ordered from transmitter to user.
        length: (P,) float64, metres, unfolded length from transmitter to user.
        departure: (P, 3) float64, unit vector at the transmitter, pointing away from it.
        arrival: (P, 3) float64, unit vector at the user, pointing away from it (towards where the wave comes from).
        crossing_offsets: (P + 1,) int64; the vegetation crossings of path p are rows
            ``crossing_offsets[p]:crossing_offsets[p + 1]`` of the three arrays below.
        crossing_volume: (C,) int32, index of the vegetation volume.
        crossing_entry: (C,) float64, metres along the path from the transmitter, where it enters the volume.
        crossing_exit: (C,) float64, metres along the path, where it leaves.
        attributes: JSON-serialisable facts of the trace: engine, versions, site geometry hash, seed, depth,
            completeness report, hash of the chain list.
    """

    transmitter: np.ndarray
    users: np.ndarray
    offsets: np.ndarray
    kinds: np.ndarray
    facets: np.ndarray
    vertices: np.ndarray
    length: np.ndarray
    departure: np.ndarray
    arrival: np.ndarray
    crossing_offsets: np.ndarray
    crossing_volume: np.ndarray
    crossing_entry: np.ndarray
    crossing_exit: np.ndarray
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def num_users(self) -> int:
        return len(self.users)

    @property
    def num_paths(self) -> int:
        return len(self.length)

    @property
    def max_depth(self) -> int:
        return self.kinds.shape[1]

    @property
    def counts(self) -> np.ndarray:
        """(U,) int64, number of paths of each user."""
        return np.diff(self.offsets)

    @property
    def user_of_path(self) -> np.ndarray:
        """(P,) int64, user index of each path."""
        return np.repeat(np.arange(self.num_users), self.counts)

    @property
    def depth(self) -> np.ndarray:
        """(P,) int64, number of interactions of each path; 0 is line of sight."""
        return np.count_nonzero(self.kinds, axis=1)

    @property
    def delay(self) -> np.ndarray:
        """(P,) float64, seconds."""
        return self.length / SPEED_OF_LIGHT

    def select_users(self, index: np.ndarray) -> Paths:
        """The paths of some users, in the order asked for.

        Args:
            index: (N,) integer user indices; repeats are allowed.

        Raises:
            IndexError: An index lies outside 0..U-1.
        """
        index = np.asarray(index, dtype=np.int64)
        if index.size and (index.min() < 0 or index.max() >= self.num_users):
            raise IndexError(f"user index outside 0..{self.num_users - 1}")
        offsets, rows = _gather_ragged(self.offsets, index)
        crossing_offsets, crossings = _gather_ragged(self.crossing_offsets, rows)
        return replace(
            self,
            users=self.users[index],
            offsets=offsets,
            kinds=self.kinds[rows],
            facets=self.facets[rows],
            vertices=self.vertices[rows],
            length=self.length[rows],
            departure=self.departure[rows],
            arrival=self.arrival[rows],
            crossing_offsets=crossing_offsets,
            crossing_volume=self.crossing_volume[crossings],
            crossing_entry=self.crossing_entry[crossings],
            crossing_exit=self.crossing_exit[crossings],
        )


def _gather_ragged(offsets: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and source rows of a ragged array after taking the groups `index`."""
    counts = np.diff(offsets)[index]
    new_offsets = np.concatenate([[0], np.cumsum(counts)])
    rows = np.arange(new_offsets[-1]) + np.repeat(offsets[index] - new_offsets[:-1], counts)
    return new_offsets, rows
