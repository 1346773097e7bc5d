"""One list of boxes from several looks at an image: what many looks see is certain, what one sees is not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from sitetwin.vision.frames import Detection, Frame
from sitetwin.vision.tiles import OVERLAP, VEHICLES, from_tile, merge, overlaps, square_tiles

HALF = 0.085
"""Mean score over all looks at which a vehicle's box of the middle size gets the certainty one half; chosen on rendered
streets."""

MIDDLE = 1 / 10.8
"""Middle size of a box, the root of its area, over the image's shorter edge: 50 of 540 pixels."""

LARGER = 0.5
"""Power of a box's size with which the half score falls: large boxes are right at scores where small ones are wrong."""

WITHIN = 0.9
"""Share of the smaller of two boxes within the larger from which the less certain one is dropped."""

OTHERS = 2.0
"""Times `HALF` for people and two-wheelers, of which rendered streets have none; by judgement on photographs."""


CELL = 32
"""Pixels of a network's input in its coarsest cell; the edges of what it is shown are multiples of it."""

_SMALLEST, _LARGEST = 0.3, 8.0  # of a box over the middle size, beyond which the half score stays
_LONGEST = 2560  # pixels along the longer edge of what a network is shown


@dataclass(frozen=True)
class Look:
    """How an image is shown to a network.

    Attributes:
        share: Side of square tiles over the image's shorter edge; 0 squeezes the whole image into one square. Nothing
            where the image is shown whole in its own shape.
        mirrored: Whether the image is mirrored before.
        shorter: Pixels along the shorter edge of an image that is shown whole in its own shape; 0 for tiles.
        weight: Of its boxes' edges, beside their scores: finer looks place them better.
    """

    share: float = 0.0
    mirrored: bool = False
    shorter: int = 0
    weight: float = 1.0


@runtime_checkable
class Looking(Protocol):
    """A network that looks at an image several times."""

    name: str

    def looks(self, frame: Frame) -> list[tuple[Look, list[Detection]]]:
        """Return the boxes of each look, uncertain ones too."""
        ...


class Voting:
    """A detector that takes the boxes on which the looks of one or several networks agree.

    Args:
        networks: The networks.
        threshold: Least certainty of a box after the vote.
        half: See `vote`.
    """

    def __init__(self, networks: Sequence[Looking], threshold: float = 0.5, half: float = HALF) -> None:
        self.networks, self.threshold, self._half = tuple(networks), threshold, half
        self.name = " + ".join(network.name for network in networks)

    def detect(self, frame: Frame) -> list[Detection]:
        """Return what is seen in a frame, the most certain first."""
        looks = [look for network in self.networks for look in network.looks(frame)]
        found = vote(
            [boxes for _, boxes in looks],
            min(frame.image.shape[:2]),
            weights=[look.weight for look, _ in looks],
            half=self._half,
        )
        return [one for one in found if one.score >= self.threshold]


def vote(
    looks: Sequence[Sequence[Detection]],
    shorter: int,
    *,
    weights: Sequence[float] | None = None,
    overlap: float = OVERLAP,
    inside: float = WITHIN,
    half: float = HALF,
) -> list[Detection]:
    """Join the boxes of one object in all looks.

    A box is the mean of those that overlap it, weighted by their scores and by the weights of their looks. Its
    certainty is m / (m + h), where m is the mean of the best scores of each look, 0 for a look that does not see it,
    and h is `half` for vehicles of the middle size and `OTHERS` times that for other classes; it falls with the size of
    the box to the power of `LARGER`. Its class is that of the largest sum of scores; vehicles of all classes are one
    kind.

    Args:
        looks: Boxes of each look, in pixels of the image.
        shorter: Pixels along the shorter edge of the image.
        weights: Of each look, for the edges of boxes; alike by default.
        overlap: Intersection over union from which two boxes are of one object.
        inside: Share of the smaller box within the larger from which a less certain one is dropped.
        half: Mean score at which a vehicle's box of the middle size gets the certainty one half.

    Returns:
        The most certain first.
    """
    every = sorted(((one, look) for look, found in enumerate(looks) for one in found), key=lambda pair: -pair[0].score)
    if not every:
        return []
    boxes = np.array([one.box for one, _ in every])
    scores = np.array([one.score for one, _ in every])
    look = np.array([number for _, number in every])
    counted = scores if weights is None else scores * np.asarray(weights)[look]
    kinds = np.array(["vehicle" if one.name in VEHICLES else one.name for one, _ in every])
    union, smaller = overlaps(boxes, boxes)
    alike = kinds[:, None] == kinds[None]
    alive = np.ones(len(every), dtype=bool)
    joined = []
    for rank in range(len(every)):
        if not alive[rank]:
            continue
        same = alive & alike[rank] & (union[rank] >= overlap)
        alive &= ~(alike[rank] & ((union[rank] >= overlap) | (smaller[rank] >= inside)))
        members = np.flatnonzero(same)
        best = np.zeros(len(looks))
        np.maximum.at(best, look[members], scores[members])
        names: dict[str, float] = {}
        for member in members:
            name = every[member][0].name
            names[name] = names.get(name, 0.0) + float(scores[member])
        box = counted[members] @ boxes[members] / counted[members].sum()
        mean, own = float(best.mean()), _half_of(box, shorter, half if kinds[rank] == "vehicle" else OTHERS * half)
        edges = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
        joined.append(Detection(edges, max(names, key=lambda name: names[name]), mean / (mean + own)))
    return sorted(joined, key=lambda one: -one.score)


def _half_of(box: np.ndarray, shorter: int, half: float) -> float:
    """Mean score at which a box of some size gets the certainty one half."""
    size = math.sqrt(max(float((box[2] - box[0]) * (box[3] - box[1])), 0.0)) / (MIDDLE * shorter)
    return half * min(max(size, _SMALLEST), _LARGEST) ** -LARGER


def look_whole(
    image: UInt8[np.ndarray, "height width 3"],
    network: Callable[[UInt8[np.ndarray, "rows columns 3"]], list[Detection]],
    shorter: int,
    mirrored: bool = False,
) -> list[Detection]:
    """Show an image to a network whole and in its own shape, to a multiple of the network's coarsest cell.

    Args:
        image: (height, width, 3).
        network: Finds boxes in an image of any shape, in its pixels.
        shorter: Pixels along the shorter edge; an image that is very long gets fewer.
        mirrored: Whether the image is mirrored before.

    Returns:
        Boxes in pixels of the image; there may be several for one object.
    """
    import cv2

    height, width = image.shape[:2]
    scale = min(shorter / min(width, height), _LONGEST / max(width, height))
    columns, rows = (max(CELL, CELL * round(scale * edge / CELL)) for edge in (width, height))
    method = cv2.INTER_AREA if columns * rows < width * height else cv2.INTER_LINEAR
    shown = cv2.resize(image, (columns, rows), interpolation=method)
    found = network(np.ascontiguousarray(shown[:, ::-1]) if mirrored else shown)
    boxes = from_tile(found, (0, 0, width, height), (width / columns, height / rows), (width, height))
    return [_mirrored(one, width) for one in boxes] if mirrored else boxes


def _mirrored(one: Detection, width: int) -> Detection:
    left, upper, right, lower = one.box
    return replace(one, box=(width - right, upper, width - left, lower))


def look_at(
    image: UInt8[np.ndarray, "height width 3"],
    network: Callable[[UInt8[np.ndarray, "rows columns 3"]], list[Detection]],
    input_side: int,
    share: float,
    mirrored: bool = False,
) -> list[Detection]:
    """Show an image to a network in square tiles of one size.

    Args:
        image: (height, width, 3).
        network: Finds boxes in a square image, in its pixels.
        input_side: Side of the network's input, pixels.
        share: Side of the tiles over the image's shorter edge; 0 squeezes the whole image into one square.
        mirrored: Whether the image is mirrored before.

    Returns:
        Boxes in pixels of the image, one for each object.
    """
    import cv2

    height, width = image.shape[:2]
    shown = np.ascontiguousarray(image[:, ::-1]) if mirrored else image
    side = round(share * min(width, height))
    found: list[Detection] = []
    for tile in square_tiles(width, height, side) if share else [(0, 0, width, height)]:
        left, upper, right, lower = tile
        crop = cv2.resize(shown[upper:lower, left:right], (input_side, input_side), interpolation=cv2.INTER_AREA)
        scale = (right - left) / input_side, (lower - upper) / input_side
        found += from_tile(network(crop), tile, scale, (width, height))
    if mirrored:
        found = [_mirrored(one, width) for one in found]
    return merge(found)
