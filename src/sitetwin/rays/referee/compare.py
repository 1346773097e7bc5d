"""Compare two traces path by path: which paths agree, which only one engine found, and how far they differ."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Paths


@dataclass(frozen=True, eq=False)
class Match:
    """Rows of two path tables that are the same path.

    Attributes:
        a: (M,) int64, rows of the first table.
        b: (M,) int64, rows of the second table that match the rows `a`.
        by_chain: (M,) bool, True where the chains are equal, False where only kinds and geometry are equal: coplanar
            facets of two objects can mean the same reflection, and two wedges the same edge.
        only_a: Rows of the first table without a partner.
        only_b: Rows of the second without a partner.
    """

    a: np.ndarray
    b: np.ndarray
    by_chain: np.ndarray
    only_a: np.ndarray
    only_b: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """Counts, shares of power and length differences (first minus second, absolute, metres) of a match."""

    paths_a: int
    paths_b: int
    matched: int
    matched_by_geometry: int
    only_a: int
    only_b: int
    power_share_only_a: float | None
    power_share_only_b: float | None
    length_median: float
    length_99: float

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as a JSON-serialisable dictionary."""
        return asdict(self)


def match_paths(a: Paths, b: Paths, *, length_tolerance: float = 1e-3, direction_tolerance: float = 1e-4) -> Match:
    """Match two traces of the same users: by facet chain first, and by geometry where that fails.

    Args:
        a: One trace.
        b: The other trace; same transmitter, same users in the same order.
        length_tolerance: Largest difference of lengths for a match by geometry, metres.
        direction_tolerance: Largest length of the difference of the unit vectors, at both ends, for a match by
            geometry.

    Raises:
        SiteTwinError: The transmitters or the users differ.
    """
    if a.users.shape != b.users.shape or not np.array_equal(a.users, b.users):
        raise SiteTwinError("the two traces have different users; trace the same positions in the same order")
    if not np.array_equal(a.transmitter, b.transmitter):
        raise SiteTwinError("the two traces have different transmitters")
    names = _chain_names(a, b)
    _, rows_a, rows_b = np.intersect1d(names[: a.num_paths], names[a.num_paths :], return_indices=True)
    left_a = np.setdiff1d(np.arange(a.num_paths), rows_a)
    left_b = np.setdiff1d(np.arange(b.num_paths), rows_b)
    near_a, near_b = _match_by_geometry(a, b, left_a, left_b, length_tolerance, direction_tolerance)
    order = np.argsort(np.concatenate([rows_a, near_a]), kind="stable")
    return Match(
        a=np.concatenate([rows_a, near_a])[order],
        b=np.concatenate([rows_b, near_b])[order],
        by_chain=(np.arange(len(rows_a) + len(near_a)) < len(rows_a))[order],
        only_a=np.setdiff1d(left_a, near_a),
        only_b=np.setdiff1d(left_b, near_b),
    )


def compare_paths(
    a: Paths, b: Paths, match: Match, power_a: np.ndarray | None = None, power_b: np.ndarray | None = None
) -> Comparison:
    """Compute the numbers that describe a match.

    Args:
        a: The first trace.
        b: The second.
        match: The match of the two traces.
        power_a: (P,) linear power of the first trace's paths, to weight those that the second trace lacks.
        power_b: (P,) linear power of the second trace's paths.
    """
    difference = np.abs(a.length[match.a] - b.length[match.b])
    median, high = np.percentile(difference, [50, 99]) if len(difference) else (np.nan, np.nan)
    return Comparison(
        paths_a=a.num_paths,
        paths_b=b.num_paths,
        matched=len(match.a),
        matched_by_geometry=int(np.count_nonzero(~match.by_chain)),
        only_a=len(match.only_a),
        only_b=len(match.only_b),
        power_share_only_a=_share(power_a, match.only_a),
        power_share_only_b=_share(power_b, match.only_b),
        length_median=float(median),
        length_99=float(high),
    )


def gain_differences(gain_a: np.ndarray, gain_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return absolute differences of matched complex gains.

    Args:
        gain_a: (M,) complex voltage gains, without the carrier phase if only the interactions are to be compared.
        gain_b: (M,) complex voltage gains of the other engine, row by row.

    Returns:
        Power differences in dB and phase differences in radians, both 0 or more.
    """
    a, b = np.asarray(gain_a, np.complex128), np.asarray(gain_b, np.complex128)
    return np.abs(20 * np.log10(np.abs(a) / np.abs(b))), np.abs(np.angle(a * b.conj()))


def _share(power: np.ndarray | None, rows: np.ndarray) -> float | None:
    return None if power is None else float(power[rows].sum() / power.sum())


def _chain_names(a: Paths, b: Paths) -> np.ndarray:
    """(P_a + P_b,) a number for each distinct (user, kinds, facets)."""
    depth = max(a.max_depth, b.max_depth)
    tables = []
    for paths in (a, b):
        pad = ((0, 0), (0, depth - paths.max_depth))
        kinds = np.pad(paths.kinds.astype(np.int64), pad)
        facets = np.pad(paths.facets.astype(np.int64), pad, constant_values=-1)
        tables.append(np.column_stack([paths.user_of_path, kinds, facets]))
    return np.unique(np.concatenate(tables), axis=0, return_inverse=True)[1].reshape(-1)


def _match_by_geometry(
    a: Paths, b: Paths, rows_a: np.ndarray, rows_b: np.ndarray, length_tolerance: float, direction_tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of unmatched rows of one user with the same kinds, length and directions; nearest in length first."""
    user_a, user_b = a.user_of_path[rows_a], b.user_of_path[rows_b]
    first, last = np.searchsorted(user_b, user_a, "left"), np.searchsorted(user_b, user_a, "right")
    count = last - first
    i = np.repeat(np.arange(len(rows_a)), count)
    j = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[i]
    p, q = rows_a[i], rows_b[j]
    difference = np.abs(a.length[p] - b.length[q])
    depth = min(a.max_depth, b.max_depth)
    alike = (a.depth[p] == b.depth[q]) & (difference <= length_tolerance)
    alike &= (a.kinds[p, :depth] == b.kinds[q, :depth]).all(axis=1)
    for directions_a, directions_b in ((a.departure, b.departure), (a.arrival, b.arrival)):
        alike &= np.linalg.norm(directions_a[p] - directions_b[q], axis=1) <= direction_tolerance
    taken_a: set[int] = set()
    taken_b: set[int] = set()
    pairs = []
    for k in np.flatnonzero(alike)[np.argsort(difference[alike], kind="stable")]:
        if p[k] not in taken_a and q[k] not in taken_b:
            taken_a.add(p[k])
            taken_b.add(q[k])
            pairs.append((p[k], q[k]))
    found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]
