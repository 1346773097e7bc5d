"""Chords of straight segments through canopy volumes: culling (`sitetwin.site.culling`), then closed forms.

The closed forms use elementwise float64 operations only (no BLAS), so the result does not depend on how segments are
batched.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int, UInt8

from sitetwin.site.culling import MARGIN, SizeClass, expand, size_classes

_SEGMENTS_PER_CHUNK = 1 << 14
_LEVEL = 1e-12  # metres: a coordinate that changes less along a segment does not change

Crossings = tuple[
    Int[np.ndarray, " crossings"],
    Int[np.ndarray, " crossings"],
    Float[np.ndarray, " crossings"],
    Float[np.ndarray, " crossings"],
]
"""segment (C,) int64, volume (C,) int32, entry (C,) and exit (C,) float64 metres from the start."""


@dataclass(frozen=True)
class VolumeTable:
    """Volumes as arrays.

    Attributes:
        kind: (V,) uint8: 0 ellipsoid, 1 cylinder, 2 polygon.
        centre: (V, 3) centre of the bounding box, metres.
        half: (V, 3) half size of the bounding box, metres.
        circle: (V,) radius of a circle around the volume in plan, with a margin, metres.
        axes: (V, 3) semi-axes of an ellipsoid; radius, radius, half height of a cylinder; metres.
        cos_yaw: (V,) cosine of an ellipsoid's yaw.
        sin_yaw: (V,) sine of an ellipsoid's yaw.
        ring_offsets: (V + 1,) int64, rows of `ring` of each polygon.
        ring: (R, 2) polygon corners, metres.
    """

    kind: UInt8[np.ndarray, " volumes"]
    centre: Float[np.ndarray, "volumes 3"]
    half: Float[np.ndarray, "volumes 3"]
    circle: Float[np.ndarray, " volumes"]
    axes: Float[np.ndarray, "volumes 3"]
    cos_yaw: Float[np.ndarray, " volumes"]
    sin_yaw: Float[np.ndarray, " volumes"]
    ring_offsets: Int[np.ndarray, " volumes+1"]
    ring: Float[np.ndarray, "corners 2"]

    @classmethod
    def of(cls, volumes: Sequence[tuple[str, tuple[float, ...]]]) -> VolumeTable:
        """Make the table of volumes, each given by a shape name and its numbers (`sitetwin.site.vegetation`)."""
        rows = [_row(shape, numbers) for shape, numbers in volumes]
        rings = [r[5] for r in rows]
        half = np.array([r[2] for r in rows]).reshape(-1, 3)
        return cls(
            kind=np.array([r[0] for r in rows], dtype=np.uint8),
            centre=np.array([r[1] for r in rows]).reshape(-1, 3),
            half=half,
            circle=np.array([_circle(r) for r in rows]) + MARGIN,
            axes=np.array([r[3] for r in rows]).reshape(-1, 3),
            cos_yaw=np.array([math.cos(r[4]) for r in rows]),
            sin_yaw=np.array([math.sin(r[4]) for r in rows]),
            ring_offsets=np.concatenate([[0], np.cumsum([len(r) for r in rings])]).astype(np.int64),
            ring=np.concatenate([np.zeros((0, 2)), *rings]),
        )

    @cached_property
    def classes(self) -> tuple[SizeClass, ...]:
        """The volumes by size, ready for culling."""
        return tuple(SizeClass.of(self.centre, self.half, members) for members in size_classes(self.half))


def _row(shape: str, numbers: tuple[float, ...]) -> tuple:
    """kind, box centre, box half size, axes, yaw, ring."""
    no_ring = np.zeros((0, 2))
    if shape == "ellipsoid":
        x, y, z, a, b, c, yaw = numbers
        half = (math.hypot(a * math.cos(yaw), b * math.sin(yaw)), math.hypot(a * math.sin(yaw), b * math.cos(yaw)), c)
        return 0, (x, y, z), half, (a, b, c), yaw, no_ring
    if shape == "cylinder":
        x, y, radius, low, high = numbers
        half = (radius, radius, 0.5 * (high - low))
        return 1, (x, y, 0.5 * (low + high)), half, half, 0.0, no_ring
    ring = np.array(numbers[2:]).reshape(-1, 2)
    low_corner = np.array([*ring.min(axis=0), numbers[0]])
    high_corner = np.array([*ring.max(axis=0), numbers[1]])
    half_size = 0.5 * (high_corner - low_corner)
    return 2, 0.5 * (low_corner + high_corner), half_size, half_size, 0.0, ring


def _circle(row: tuple) -> float:
    kind, _, half, axes, _, _ = row
    return math.hypot(half[0], half[1]) if kind == 2 else max(axes[0], axes[1])


def crossings(
    table: VolumeTable, starts: Float[np.ndarray, "segments 3"], ends: Float[np.ndarray, "segments 3"]
) -> Crossings:
    """Find all crossings, ordered by segment, then volume, then entry (the result of `Vegetation.chords`)."""
    if not len(table.kind) or not len(starts):
        return np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0), np.zeros(0)
    firsts = range(0, len(starts), _SEGMENTS_PER_CHUNK)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy lets go of Python's lock inside its loops
        found = [
            chunk for chunk in pool.map(lambda first: _chunk_crossings(table, starts, ends, first), firsts) if chunk
        ]
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0), np.zeros(0)
    segment, volume, entry, leave = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return segment, volume, entry, leave


def _chunk_crossings(table: VolumeTable, starts: np.ndarray, ends: np.ndarray, first: int) -> Crossings | None:
    """Crossings of the segments from `first` on, as many as make one chunk."""
    chunk = slice(first, first + _SEGMENTS_PER_CHUNK)
    a, d = starts[chunk], ends[chunk] - starts[chunk]
    d[np.abs(d) < _LEVEL] = 0.0
    rows = [
        _exact(table, a, d, *_near_in_plan(table, a, d, *pairs))
        for c in table.classes
        for pairs in c.candidate_pairs(a, d)
    ]
    merged = [np.concatenate(columns) for columns in zip(*rows, strict=True)] if rows else None
    if merged is None or not len(merged[0]):
        return None
    order = np.argsort(merged[0] * len(table.kind) + merged[1], kind="stable")
    segment, volume, entry, leave = (column[order] for column in merged)
    length = np.sqrt(d[:, 0] ** 2 + d[:, 1] ** 2 + d[:, 2] ** 2)[segment]
    entry, leave = entry * length, leave * length
    real = leave > entry
    return (segment + first)[real], volume.astype(np.int32)[real], entry[real], leave[real]


def _near_in_plan(
    table: VolumeTable, a: np.ndarray, d: np.ndarray, segment: np.ndarray, volume: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs whose line meets the circle around the volume in plan: a cheap test before the exact one."""
    dx, dy = d[segment, 0], d[segment, 1]
    away = dx * (table.centre[volume, 1] - a[segment, 1]) - dy * (table.centre[volume, 0] - a[segment, 0])
    close = np.abs(away) <= table.circle[volume] * np.sqrt(dx * dx + dy * dy)
    return segment[close], volume[close]


def _exact(table: VolumeTable, a: np.ndarray, d: np.ndarray, segment: np.ndarray, volume: np.ndarray) -> Crossings:
    """Closed forms for candidate pairs; entry and exit still as fractions of the segment."""
    parts: list[Crossings] = []
    forms: tuple[Callable[..., Crossings], ...] = (_ellipsoid, _cylinder, _polygon)
    kind = table.kind[volume]
    for k, form in enumerate(forms):
        rows = np.flatnonzero(kind == k) if (kind != k).any() else slice(None)
        if isinstance(rows, slice) or len(rows):
            parts.append(form(table, a, d, segment[rows], volume[rows]))
    segment, volume, entry, leave = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    entry, leave = np.maximum(entry, 0.0), np.minimum(leave, 1.0)
    real = leave > entry
    return segment[real], volume[real], entry[real], leave[real]


def _quadratic(p: tuple[np.ndarray, ...], q: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Interval of t with ``|p + t q| <= 1``, from the point of closest approach (no cancellation); empty: (1, 0).

    Where q = 0 the interval is everything or nothing, by whether p lies inside.
    """
    square = sum(x * x for x in q)
    still = square == 0.0
    safe = np.where(still, 1.0, square)
    middle = np.where(still, 0.0, -sum(x * y for x, y in zip(p, q, strict=True)) / safe)
    room = 1.0 - sum((x + middle * y) ** 2 for x, y in zip(p, q, strict=True))
    half = np.where(still, np.inf, np.sqrt(np.maximum(room, 0.0) / safe))
    return np.where(room > 0.0, middle - half, 1.0), np.where(room > 0.0, middle + half, 0.0)


def _ellipsoid(table: VolumeTable, a: np.ndarray, d: np.ndarray, segment: np.ndarray, volume: np.ndarray) -> Crossings:
    """In the crown's own frame, scaled by its semi-axes, the ellipsoid is the unit sphere."""
    c, s = table.cos_yaw[volume], table.sin_yaw[volume]
    px, py, pz = (a[segment, k] - table.centre[volume, k] for k in range(3))
    dx, dy, dz = (d[segment, k] for k in range(3))
    ax, ay, az = (table.axes[volume, k] for k in range(3))
    p = ((c * px + s * py) / ax, (c * py - s * px) / ay, pz / az)
    q = ((c * dx + s * dy) / ax, (c * dy - s * dx) / ay, dz / az)
    return segment, volume, *_quadratic(p, q)


def _slab(table: VolumeTable, a: np.ndarray, d: np.ndarray, segment: np.ndarray, volume: np.ndarray) -> tuple:
    """Interval of t between the lower and upper end of a volume; everything or nothing for a level segment."""
    z, dz = a[segment, 2] - table.centre[volume, 2], d[segment, 2]
    half = table.half[volume, 2]
    level = dz == 0.0
    step = np.where(level, 1.0, dz)
    t0, t1 = (-half - z) / step, (half - z) / step
    inside = np.abs(z) <= half
    near = np.where(level, np.where(inside, -np.inf, 1.0), np.minimum(t0, t1))
    far = np.where(level, np.where(inside, np.inf, 0.0), np.maximum(t0, t1))
    return near, far


def _cylinder(table: VolumeTable, a: np.ndarray, d: np.ndarray, segment: np.ndarray, volume: np.ndarray) -> Crossings:
    radius = table.axes[volume, 0]
    p = tuple((a[segment, k] - table.centre[volume, k]) / radius for k in range(2))
    q = tuple(d[segment, k] / radius for k in range(2))
    near, far = _quadratic(p, q)
    low, high = _slab(table, a, d, segment, volume)
    return segment, volume, np.maximum(near, low), np.minimum(far, high)


def _polygon(table: VolumeTable, a: np.ndarray, d: np.ndarray, segment: np.ndarray, volume: np.ndarray) -> Crossings:
    """Even-odd rule along the segment's line in plan; a half-open side test counts each ring corner once.

    A vertical segment takes the line along +x through its point and asks whether the point itself lies inside.
    """
    counts = np.diff(table.ring_offsets)[volume]
    pair, here = expand(table.ring_offsets[volume], counts)
    last = table.ring_offsets[volume + 1][pair] - 1
    after = np.where(here == last, table.ring_offsets[volume][pair], here + 1)
    upright = (d[segment, 0] == 0.0) & (d[segment, 1] == 0.0)
    ux, uy = np.where(upright, 1.0, d[segment, 0])[pair], np.where(upright, 0.0, d[segment, 1])[pair]
    ax, ay = a[segment, 0][pair], a[segment, 1][pair]
    x0, y0 = table.ring[here, 0] - ax, table.ring[here, 1] - ay
    x1, y1 = table.ring[after, 0] - ax, table.ring[after, 1] - ay
    side0, side1 = ux * y0 - uy * x0, ux * y1 - uy * x1
    hit = np.flatnonzero((side0 >= 0.0) != (side1 >= 0.0))
    pair, side0, side1 = pair[hit], side0[hit], side1[hit]
    fraction = side0 / (side0 - side1)
    x = x0[hit] + fraction * (x1[hit] - x0[hit])
    y = y0[hit] + fraction * (y1[hit] - y0[hit])
    t = (x * ux[hit] + y * uy[hit]) / (ux[hit] * ux[hit] + uy[hit] * uy[hit])
    order = np.lexsort((t, pair))
    pair, t = pair[order], t[order]
    pair, near, far = pair[0::2], t[0::2], t[1::2]  # each line crosses a closed ring an even number of times
    segment, volume, upright = segment[pair], volume[pair], upright[pair]
    inside = (near <= 0.0) & (far > 0.0)
    near = np.where(upright, np.where(inside, -np.inf, 1.0), near)
    far = np.where(upright, np.where(inside, np.inf, 0.0), far)
    low, high = _slab(table, a, d, segment, volume)
    return segment, volume, np.maximum(near, low), np.minimum(far, high)
