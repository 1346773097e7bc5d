"""How well a detector finds what is there: against true boxes, and against the straight way of a passing car."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from sitetwin.errors import SiteTwinError
from sitetwin.vision.frames import Detection
from sitetwin.vision.tiles import VEHICLES, overlaps

MATCH = 0.5
"""Intersection over union from which a box is that of an object."""

PARKED = 0.25
"""Share of the frames of a fixed camera in which a box lies at one place, if it is of a parked car."""

_OF_A_FRAME, _AT_ONCE, _STILL, _ROUNDS = 5, 512, 8.0, 5  # boxes; lines; pixels; fits


@dataclass(frozen=True)
class Counts:
    """What a detector found in some frames.

    Attributes:
        found: Objects that count and were found.
        objects: Objects that count.
        right: Boxes of any object, whether it counts or not.
        boxes: All boxes, without those that lie on objects that do not count.
    """

    found: int = 0
    objects: int = 0
    right: int = 0
    boxes: int = 0

    @property
    def recall(self) -> float:
        """Share of the objects that were found; NaN without objects."""
        return self.found / self.objects if self.objects else float("nan")

    @property
    def precision(self) -> float:
        """Share of the boxes that are of an object; NaN without boxes."""
        return self.right / self.boxes if self.boxes else float("nan")

    def __add__(self, other: Counts) -> Counts:
        """The counts of both."""
        return Counts(
            self.found + other.found,
            self.objects + other.objects,
            self.right + other.right,
            self.boxes + other.boxes,
        )


def pair_boxes(
    found: Sequence[Detection], true: Float[np.ndarray, "objects 4"], match: float = MATCH
) -> list[tuple[int, int]]:
    """Pair boxes with objects, those of the largest overlap first; each has one partner at most.

    Args:
        found: Boxes.
        true: (N, 4) boxes of the objects.
        match: Least intersection over union.

    Returns:
        Number of the box and of the object of each pair.
    """
    if not found or not len(true):
        return []
    union, _ = overlaps(np.array([one.box for one in found]), np.asarray(true, dtype=np.float64))
    pairs = []
    while union.size and union.max() >= match:
        row, column = np.unravel_index(int(union.argmax()), union.shape)
        pairs.append((int(row), int(column)))
        union[row], union[:, column] = -1.0, -1.0
    return pairs


def count(
    found: Sequence[Detection],
    true: Float[np.ndarray, "objects 4"],
    counts: Bool[np.ndarray, " objects"],
    names: Collection[str] = VEHICLES,
) -> Counts:
    """Count what a detector found in one frame.

    An object that does not count, because it is small or hidden, may be found or not. A box that has no partner, but
    lies for the most part on such an object, is neither right nor wrong.

    Args:
        found: Boxes.
        true: (N, 4) boxes of all objects of the frame, of what is visible of them.
        counts: (N,) which of them are to be found.
        names: Classes whose boxes are looked at.
    """
    chosen = [one for one in found if one.name in names]
    pairs = pair_boxes(chosen, true)
    partners = dict(pairs)
    aside = 0
    if chosen and (~counts).any():
        _, inside = overlaps(np.array([one.box for one in chosen]), np.asarray(true, dtype=np.float64)[~counts])
        aside = sum(row not in partners and bool(inside[row].max() > MATCH) for row in range(len(chosen)))
    hits = sum(bool(counts[column]) for column in partners.values())
    return Counts(hits, int(counts.sum()), len(pairs), len(chosen) - aside)


@dataclass(frozen=True)
class Pass:
    """The straight way of a car through some frames.

    Attributes:
        start: (2,) column and row at time 0, pixels.
        speed: (2,) pixels per unit of time.
        near: (frames,) which frames show a box within the distance of it.
    """

    start: Float[np.ndarray, " 2"]
    speed: Float[np.ndarray, " 2"]
    near: Bool[np.ndarray, " frames"]

    def at(self, times: Float[np.ndarray, " frames"]) -> Float[np.ndarray, "frames 2"]:
        """Return (frames, 2) pixels of the car."""
        return self.start + times[:, None] * self.speed


def fit_pass(
    times: Float[np.ndarray, " frames"],
    frames: Sequence[Sequence[Detection]],
    *,
    distance: float = 25.0,
    least_speed: float = 6.0,
    names: Collection[str] = VEHICLES,
) -> Pass:
    """Fit the line along which a car passes, and say in which frames a box lies near it.

    The line is first that of two boxes near which most frames have one, of the five most certain boxes of each frame;
    then it is fitted to the nearest boxes. Boxes that stay where they are in `PARKED` of the frames or more are of
    parked cars; they count for nothing.

    Args:
        times: (F,) of the frames, in any unit.
        frames: Boxes of each frame.
        distance: Pixels from the line within which a box's middle lies near.
        least_speed: Pixels per unit of time below which nothing passes.
        names: Classes whose boxes are looked at.

    Raises:
        SiteTwinError: No two boxes of different frames move fast enough.
    """
    rows = [
        (number, time, 0.5 * (one.box[0] + one.box[2]), 0.5 * (one.box[1] + one.box[3]), one.score)
        for number, (time, found) in enumerate(zip(times, frames, strict=True))
        for one in found
        if one.name in names
    ]
    table = _moving(np.array(rows).reshape(-1, 5), len(times))
    start, speed = _lines(table, least_speed)
    if not len(start):
        raise SiteTwinError("nothing passes in these frames; give frames in which a car drives by")
    first = np.flatnonzero(np.diff(table[:, 0], prepend=-1))  # the first box of each frame that has any
    best, worth = 0, -1.0
    for at in range(0, len(start), _AT_ONCE):
        lines = slice(at, at + _AT_ONCE)
        close = _distances(table, start[lines], speed[lines]) <= distance
        frames_near = np.logical_or.reduceat(close, first, axis=1).sum(axis=1)
        values = frames_near + 1e-3 * (close @ table[:, 4])
        if values.max() > worth:
            best, worth = at + int(values.argmax()), float(values.max())
    line = start[best], speed[best]
    for _ in range(_ROUNDS):  # least squares over the nearest box of each frame near the line
        away = _distances(table, line[0][None], line[1][None])[0]
        order = np.lexsort([away, table[:, 0]])
        nearest = order[np.diff(table[order, 0], prepend=-1) > 0]
        nearest = nearest[away[nearest] <= distance]
        if len(np.unique(table[nearest, 1])) < 2:
            break
        slope, level = np.polyfit(table[nearest, 1], table[nearest, 2:4], 1)
        line = level, slope
    near = np.zeros(len(times), dtype=bool)
    near[table[_distances(table, line[0][None], line[1][None])[0] <= distance, 0].astype(int)] = True
    return Pass(line[0], line[1], near)


def _moving(table: np.ndarray, frames: int) -> np.ndarray:
    """The rows of boxes that do not lie where boxes lie in many frames."""
    if not len(table):
        return table
    first = np.flatnonzero(np.diff(table[:, 0], prepend=-1))
    close = np.linalg.norm(table[:, None, 2:4] - table[None, :, 2:4], axis=-1) <= _STILL
    staying = np.logical_or.reduceat(close, first, axis=1).sum(axis=1)
    return table[staying < max(2.0, PARKED * frames)]


def _lines(table: np.ndarray, least_speed: float) -> tuple[np.ndarray, np.ndarray]:
    """(L, 2) pixels at time 0 and (L, 2) speeds of lines through two boxes of different frames, of the most certain."""
    order = np.lexsort([-table[:, 4], table[:, 0]])
    ordered = table[order]
    first = np.flatnonzero(np.diff(ordered[:, 0], prepend=-1))
    rank = np.arange(len(ordered)) - np.repeat(first, np.diff([*first, len(ordered)]))
    chosen = ordered[rank < _OF_A_FRAME]
    one, other = np.triu_indices(len(chosen), 1)
    apart = chosen[other, 1] - chosen[one, 1]
    one, other, apart = one[apart > 0], other[apart > 0], apart[apart > 0]
    speed = (chosen[other, 2:4] - chosen[one, 2:4]) / apart[:, None]
    fast = np.linalg.norm(speed, axis=1) >= least_speed
    return chosen[one[fast], 2:4] - chosen[one[fast], 1:2] * speed[fast], speed[fast]


def _distances(table: np.ndarray, start: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """(lines, boxes) pixels."""
    line = start[:, None] + table[None, :, 1:2] * speed[:, None]
    return np.asarray(np.linalg.norm(table[None, :, 2:4] - line, axis=-1))
