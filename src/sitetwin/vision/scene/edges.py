"""Which edges of boxes are those of their objects: the image's edge cuts some, and nearer objects hide some."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from sitetwin.vision.camera import Camera
from sitetwin.vision.frames import Detection
from sitetwin.vision.scene.body_fits import EDGE_SHARE

CUT_MARGIN = 3.0
"""Pixels from the edge of the image within which an edge of a box says only where the image ends."""

_TOUCH = 4.0  # pixels between boxes of which one is before the other; `EDGE_SHARE` of the size comes on top


def known_edges(camera: Camera, boxes: Sequence[Detection]) -> Bool[np.ndarray, "boxes 4"]:
    """Tell which edges lie within the image and are not hidden.

    Args:
        camera: The camera.
        boxes: What a detector found in one image.

    Returns:
        (boxes, 4) left, upper, right and lower edge of each.
    """
    edges = np.array([box.box for box in boxes]).reshape(-1, 4)
    low, high = np.array([CUT_MARGIN] * 2), np.array([camera.width, camera.height]) - CUT_MARGIN
    return np.concatenate([edges[:, :2] > low, edges[:, 2:] < high], axis=1) & ~hidden_edges(boxes)


def hidden_edges(boxes: Sequence[Detection]) -> Bool[np.ndarray, "boxes 4"]:
    """Tell which edges of boxes are not those of their objects, because a nearer object begins there.

    Of two objects on the ground the one whose box ends lower is nearer. A left or right edge is hidden if the box of a
    nearer object comes from that side, over half of its length or more, and ends before the other side; a lower edge
    if such a box reaches over half of it or more. What is before the whole width leaves the sides to be seen above it.

    Args:
        boxes: What a detector found in one image; masks do not count.

    Returns:
        (boxes, 4) left, upper, right and lower edge of each.
    """
    hidden = np.zeros((len(boxes), 4), dtype=bool)
    if len(boxes) < 2:
        return hidden
    left, upper, right, lower = np.array([box.box for box in boxes]).T[:, :, None]
    over_left, over_upper, over_right, over_lower = (edge.T for edge in (left, upper, right, lower))
    width, height = right - left, lower - upper
    reach_x, reach_y = _TOUCH + EDGE_SHARE * width, _TOUCH + EDGE_SHARE * height
    nearer = over_lower > lower + reach_y
    beside = np.minimum(lower, over_lower) - np.maximum(upper, over_upper) >= 0.5 * height
    below = np.minimum(right, over_right) - np.maximum(left, over_left) >= 0.5 * width
    from_left = (over_left < left - reach_x) & (over_right > left - reach_x) & (over_right < right)
    from_right = (over_right > right + reach_x) & (over_left < right + reach_x) & (over_left > left)
    hidden[:, 0] = (nearer & beside & from_left).any(axis=1)
    hidden[:, 2] = (nearer & beside & from_right).any(axis=1)
    hidden[:, 3] = (nearer & below & (over_upper < lower + reach_y)).any(axis=1)
    return hidden
