"""Which volumes a segment may cross: volumes of one size class in strips, looked up by strip.

The volumes of one size class stand in strips of equal width by their centres and, within a strip, in order of
the other coordinate. A segment passes each strip once; the volumes that can touch it there are one contiguous run,
found by two look-ups. So every (segment, volume) pair comes up at most once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

MARGIN = 1e-6
"""Metres added to bounding boxes, far above rounding."""

_PAIRS_PER_BLOCK = 1 << 17
_MOST_STRIPS = 2048


def size_classes(half: np.ndarray) -> list[np.ndarray]:
    """Group volumes of similar width (within a factor of two), so that one wood does not widen all strips."""
    size = np.maximum(half[:, 0], half[:, 1])
    level = np.ceil(np.log2(np.maximum(size, 1.0))).astype(np.int64)
    return [np.flatnonzero(level == k) for k in np.unique(level)]


@dataclass(frozen=True)
class SizeClass:
    """Volumes of one size class, in strips along x and again along y."""

    members: np.ndarray
    low: np.ndarray  # (3,) corners of the bounding box of the class
    high: np.ndarray
    reach: np.ndarray  # (2,) largest half size along x and y
    strips: tuple[_Strips, _Strips]

    @classmethod
    def of(cls, centre: np.ndarray, half: np.ndarray, members: np.ndarray) -> SizeClass:
        """The class of some volumes, given the boxes of all: centres and half sizes (V, 3), metres."""
        centre, half = centre[members], half[members] + MARGIN
        reach = half[:, :2].max(axis=0)
        strips = tuple(_Strips.of(centre[:, axis], centre[:, 1 - axis], members, float(reach.max())) for axis in (0, 1))
        return cls(members, (centre - half).min(axis=0), (centre + half).max(axis=0), reach, strips)  # type: ignore[arg-type]

    def candidate_pairs(self, a: np.ndarray, d: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Blocks of (segment, volume) pairs whose bounding boxes may meet."""
        near, far = _clip(a, d, self.low, self.high)
        alive = near <= far
        steep = np.abs(d[:, 1]) > np.abs(d[:, 0])
        for axis in (0, 1):
            rows = np.flatnonzero(alive & (steep == bool(axis)))
            if len(rows):
                yield from self.strips[axis].pairs(
                    rows, a[rows][:, [axis, 1 - axis]], d[rows][:, [axis, 1 - axis]], near[rows], far[rows],
                    self.reach[[axis, 1 - axis]],
                )  # fmt: skip


def _clip(a: np.ndarray, d: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parameter interval of the segment inside a box (empty: near > far)."""
    near, far = np.zeros(len(a)), np.ones(len(a))
    for k in range(3):
        level = d[:, k] == 0.0
        step = np.where(level, 1.0, d[:, k])
        t0, t1 = (low[k] - a[:, k]) / step, (high[k] - a[:, k]) / step
        outside = level & ((a[:, k] < low[k]) | (a[:, k] > high[k]))
        near = np.where(level, near, np.maximum(near, np.minimum(t0, t1)))
        far = np.where(level, far, np.minimum(far, np.maximum(t0, t1)))
        far = np.where(outside, -1.0, far)
    return near, far


@dataclass(frozen=True)
class _Strips:
    """Volumes in strips along u (by centre), within a strip in bins along v."""

    u0: float
    width: float
    num: int
    v0: float
    bin: float
    bins: int
    volume: np.ndarray  # (V,) volumes in strip order, then by v
    first: np.ndarray  # (num * (bins + 1),) rank of the first volume of a strip at or beyond a bin

    @classmethod
    def of(cls, u: np.ndarray, v: np.ndarray, members: np.ndarray, reach: float) -> _Strips:
        spacing = math.sqrt(float(np.ptp(u)) * float(np.ptp(v)) / len(u))  # about one candidate per look-up
        width = max(2.0 * reach, spacing, float(np.ptp(u)) / _MOST_STRIPS)
        step = max(0.25 * reach, 0.5, float(np.ptp(v)) / _MOST_STRIPS)
        num, bins = int(np.ptp(u) / width) + 1, int(np.ptp(v) / step) + 1
        strip = np.minimum(((u - u.min()) / width).astype(np.int64), num - 1)
        column = np.minimum(((v - v.min()) / step).astype(np.int64), bins - 1)
        order = np.lexsort((members, column, strip))
        counts = np.bincount(strip * (bins + 1) + column, minlength=num * (bins + 1))
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        return cls(float(u.min()), width, num, float(v.min()), step, bins, members[order], first)

    def pairs(
        self, rows: np.ndarray, a: np.ndarray, d: np.ndarray, near: np.ndarray, far: np.ndarray, reach: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pairs for segments ``a + t d`` (along u, v), ``near <= t <= far``, that run mostly along u."""
        ends = np.sort(np.stack([a[:, 0] + near * d[:, 0], a[:, 0] + far * d[:, 0]]), axis=0)
        low = np.clip(np.floor((ends[0] - reach[0] - self.u0) / self.width), 0, self.num).astype(np.int64)
        high = np.clip(np.floor((ends[1] + reach[0] - self.u0) / self.width), -1, self.num - 1).astype(np.int64)
        which, strip = expand(low, np.maximum(high - low + 1, 0))
        left = self.u0 + strip * self.width
        u_low = np.maximum(ends[0][which], left - reach[0])
        u_high = np.minimum(ends[1][which], left + self.width + reach[0])
        slope = np.where(d[:, 0] == 0.0, 0.0, d[:, 1] / np.where(d[:, 0] == 0.0, 1.0, d[:, 0]))[which]
        base_u, base_v = a[which, 0], a[which, 1]
        v_one, v_two = base_v + (u_low - base_u) * slope, base_v + (u_high - base_u) * slope
        bottom = np.floor((np.minimum(v_one, v_two) - reach[1] - MARGIN - self.v0) / self.bin)
        top = np.floor((np.maximum(v_one, v_two) + reach[1] + MARGIN - self.v0) / self.bin) + 1
        row = strip * (self.bins + 1)
        begin = self.first[row + np.clip(bottom, 0, self.bins).astype(np.int64)]
        stop = self.first[row + np.clip(top, 0, self.bins).astype(np.int64)]
        count = np.where(u_low <= u_high, np.maximum(stop - begin, 0), 0)
        some = np.flatnonzero(count)
        which, begin, count = rows[which[some]], begin[some], count[some]
        total = np.cumsum(count)
        cut = 0
        while cut < len(count):
            done = total[cut - 1] if cut else 0
            stop_at = max(int(np.searchsorted(total, done + _PAIRS_PER_BLOCK, side="right")), cut + 1)
            index, rank = expand(begin[cut:stop_at], count[cut:stop_at])
            yield which[cut:stop_at][index], self.volume[rank]
            cut = stop_at


def expand(begin: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row i its numbers ``begin[i], ..., begin[i] + count[i] - 1``: the row and the number."""
    row = np.repeat(np.arange(len(count)), count)
    return row, np.arange(len(row)) + np.repeat(begin - np.cumsum(count) + count, count)
