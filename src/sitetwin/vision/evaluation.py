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

    The line is that of two boxes near which most frames have one; parked cars, which do not move, make no line.

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
    table = np.array(rows).reshape(-1, 5)
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for first in range(len(table)):
        later = table[table[:, 1] > table[first, 1]]
        if not len(later):
            continue
        speed = (later[:, 2:4] - table[first, 2:4]) / (later[:, 1] - table[first, 1])[:, None]
        for velocity in speed[np.linalg.norm(speed, axis=1) >= least_speed]:
            line = table[first, 2:4] + (table[:, 1] - table[first, 1])[:, None] * velocity
            close = np.linalg.norm(table[:, 2:4] - line, axis=1) <= distance
            worth = len(np.unique(table[close, 0])) + 1e-3 * float(table[close, 4].sum())
            if best is None or worth > best[0]:
                best = worth, table[first, 2:4] - table[first, 1] * velocity, velocity
    if best is None:
        raise SiteTwinError("nothing passes in these frames; give frames in which a car drives by")
    _, start, velocity = best
    near = np.zeros(len(times), dtype=bool)
    line = start + table[:, 1:2] * velocity
    near[np.unique(table[np.linalg.norm(table[:, 2:4] - line, axis=1) <= distance, 0]).astype(int)] = True
    return Pass(start, velocity, near)
