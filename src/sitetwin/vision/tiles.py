"""Wide images in square tiles, and the boxes of several tiles or detectors as one list."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from sitetwin.vision.frames import Detection

VEHICLES = frozenset({"car", "van", "bus", "truck"})
"""Classes that detectors confuse with each other; one object gets one box of them."""

OVERLAP, INSIDE = 0.5, 0.75


def square_tiles(width: int, height: int, side: int, overlap: float = 0.2) -> list[tuple[int, int, int, int]]:
    """Cover a rectangle with squares, evenly, each overlapping its neighbour.

    Args:
        width: Columns.
        height: Rows.
        side: Side of a tile, pixels; a shorter edge of the rectangle takes its place.
        overlap: Least share of a tile that its neighbour shows too.

    Returns:
        Left, upper, right, lower edge of each tile, pixels.
    """
    side = min(side, width, height)
    return [
        (left, upper, left + side, upper + side)
        for upper in _starts(height, side, overlap)
        for left in _starts(width, side, overlap)
    ]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    if length <= side:
        return [0]
    count = 1 + math.ceil((length - side) / (side * (1 - overlap)))
    return [round(v) for v in np.linspace(0, length - side, count)]


def from_tile(
    found: Sequence[Detection],
    tile: tuple[int, int, int, int],
    scale: tuple[float, float],
    size: tuple[int, int],
    margin: float = 3.0,
) -> list[Detection]:
    """Bring boxes of a tile into the image, without those that an inner edge of the tile has cut.

    Args:
        found: Boxes in pixels of the network's input.
        tile: Left, upper, right, lower edge of the tile in the image, pixels.
        scale: Image pixels per input pixel, across and down.
        size: Width and height of the image, pixels.
        margin: Pixels of the image from an inner edge within which a box is cut.
    """
    left, upper, right, lower = tile
    width, height = size
    kept = []
    for one in found:
        x0, y0, x1, y1 = np.array(one.box) * (*scale, *scale) + (left, upper, left, upper)
        cut = (x0 < left + margin and left > 0) or (x1 > right - margin and right < width)
        cut |= (y0 < upper + margin and upper > 0) or (y1 > lower - margin and lower < height)
        box = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
        if not cut and box[0] < box[2] and box[1] < box[3]:
            kept.append(Detection((float(box[0]), float(box[1]), float(box[2]), float(box[3])), one.name, one.score))
    return kept


def overlaps(
    boxes: Float[np.ndarray, "first 4"], others: Float[np.ndarray, "second 4"]
) -> tuple[Float[np.ndarray, "first second"], Float[np.ndarray, "first second"]]:
    """Compare boxes in pairs.

    Args:
        boxes: (N, 4) left, upper, right, lower.
        others: (M, 4).

    Returns:
        (N, M) intersection over union; (N, M) intersection over the smaller of the two.
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    both = np.maximum(high - low, 0).prod(axis=-1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=-1)
    other = (others[:, 2:] - others[:, :2]).prod(axis=-1)
    union = area[:, None] + other[None] - both
    smaller = np.minimum(area[:, None], other[None])
    return both / np.maximum(union, 1e-12), both / np.maximum(smaller, 1e-12)


def merge(found: Sequence[Detection], overlap: float = OVERLAP, inside: float = INSIDE) -> list[Detection]:
    """Keep one box of each object: the most certain of those that overlap and are of one class, or both vehicles.

    Args:
        found: Boxes of one image, of any number of tiles or detectors.
        overlap: Intersection over union from which two boxes are of one object.
        inside: Share of the smaller box within the larger from which they are.

    Returns:
        The most certain first.
    """
    left = sorted(found, key=lambda one: -one.score)
    if not left:
        return []
    boxes = np.array([one.box for one in left])
    union, smaller = overlaps(boxes, boxes)
    groups = np.array(["vehicle" if one.name in VEHICLES else one.name for one in left])
    same = (groups[:, None] == groups[None]) & ((union >= overlap) | (smaller >= inside))
    alive = np.ones(len(left), dtype=bool)
    for rank in range(len(left)):
        if alive[rank]:
            alive[rank + 1 :] &= ~same[rank, rank + 1 :]
    return [one for one, lives in zip(left, alive, strict=True) if lives]
