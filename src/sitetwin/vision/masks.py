"""Objects as the published chain finds them: masks with depth, and classes from boxes.

Source: M. Arnold et al., "Vision-Assisted Digital Twin Creation for mmWave Beam Management", section III-A. What the
text leaves open is read so: the intersection over union of a mask and a box counts the pixels of the box; a mask
without a box of at least `LEAST_OVERLAP` is dropped (road, sky, houses); depth lies along the axis or along the ray.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from sitetwin.errors import SiteTwinError
from sitetwin.vision.camera import Camera
from sitetwin.vision.frames import Detection
from sitetwin.vision.protocols import DepthMap, Segment

LEAST_OVERLAP = 0.3
"""Intersection over union from which a mask and a box are of one object."""


@dataclass(frozen=True, eq=False)
class MaskObject:
    """An object whose place is that of its pixels.

    Attributes:
        name: Class of its box.
        position: (3,) middle of its pixels' points in the site's frame, metres.
        scatter: (3, 3) covariance of those points, m2: how large the object looks, not how uncertain its place is.
        overlap: Intersection over union of its mask and its box.
        score: Certainty of its box.
    """

    name: str
    position: Float[np.ndarray, " 3"]
    scatter: Float[np.ndarray, "3 3"]
    overlap: float
    score: float


def mask_objects(
    camera: Camera,
    depth: DepthMap,
    segments: Sequence[Segment],
    boxes: Sequence[Detection],
    *,
    least_overlap: float = LEAST_OVERLAP,
    middle: Literal["mean", "median"] = "mean",
) -> list[MaskObject]:
    """Place each mask at the middle of its points, and name it by the box that it overlaps most.

    Args:
        camera: The camera.
        depth: Distance of each pixel.
        segments: Masks of the image.
        boxes: Boxes of the image.
        least_overlap: Least intersection over union of a mask and its box.
        middle: "mean" as printed, or "median" of each coordinate, which a few pixels of the background do not move.

    Returns:
        One object for each box at most, that of the mask that overlaps it most; masks without a box, and those whose
        pixels have no finite depth, are dropped.

    Raises:
        SiteTwinError: Depth or a mask is of another size than the camera's images.
    """
    size = (camera.height, camera.width)
    for what, shape in [("depth", depth.values.shape), *(("a mask", one.mask.shape) for one in segments)]:
        if shape != size:
            raise SiteTwinError(
                f"{what} has {shape[1]} x {shape[0]} pixels and the camera {camera.width} x {camera.height}; "
                "scale one to the other"
            )
    along = depth.along_axis(camera)
    best: dict[int, tuple[float, int]] = {}
    for number, segment in enumerate(segments):
        shares = [mask_overlap(segment.mask, box) for box in boxes]
        chosen = int(np.argmax(shares)) if shares else -1
        if shares and shares[chosen] >= least_overlap and shares[chosen] > best.get(chosen, (0.0, 0))[0]:
            best[chosen] = shares[chosen], number
    found = []
    for chosen, (share, number) in sorted(best.items()):
        mask = segments[number].mask & np.isfinite(along) & (along > 0)
        if not mask.any():
            continue
        rows, columns = np.nonzero(mask)
        points = camera.points(np.column_stack([columns + 0.5, rows + 0.5]), along[mask])
        place = points.mean(axis=0) if middle == "mean" else np.median(points, axis=0)
        away = points - points.mean(axis=0)
        box = boxes[chosen]
        found.append(MaskObject(box.name, place, away.T @ away / len(points), share, box.score))
    return found


def mask_box(mask: Bool[np.ndarray, "height width"]) -> tuple[float, float, float, float]:
    """Return left, upper, right and lower edge of a mask's pixels, of which there is at least one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def mask_overlap(mask: Bool[np.ndarray, "height width"], box: Detection) -> float:
    """Return the pixels in a mask and a box over those in either; a pixel is in the box if its centre is."""
    height, width = mask.shape
    left, upper, right, lower = (int(np.ceil(edge - 0.5)) for edge in box.box)
    columns = slice(min(max(left, 0), width), min(max(right, 0), width))
    rows = slice(min(max(upper, 0), height), min(max(lower, 0), height))
    inside = mask[rows, columns]
    both = int(inside.sum())
    either = int(mask.sum()) + inside.size - both
    return both / either if either else 0.0
