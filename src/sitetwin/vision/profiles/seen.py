"""Point reflectors of one image: by masks and depth as printed, or by boxes that stand on the ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sitetwin.vision.camera import Camera
from sitetwin.vision.contact import contact_points
from sitetwin.vision.frames import Detection
from sitetwin.vision.ground import Ground
from sitetwin.vision.masks import LEAST_OVERLAP, mask_objects
from sitetwin.vision.profiles.reflectors import REFLECTANCES
from sitetwin.vision.protocols import DepthMap, Segment

FARTHEST_M = 150.0
"""Boxes whose foot lies beyond are left out: a pixel there is many metres."""


@dataclass(frozen=True, eq=False)
class Reflectors:
    """Objects as points.

    Attributes:
        names: (n,) classes, all with a reflectance.
        points: (n, 3) in the camera's site, metres.
    """

    names: tuple[str, ...]
    points: Float[np.ndarray, "objects 3"]


def masked_reflectors(
    camera: Camera,
    depth: DepthMap,
    segments: Sequence[Segment],
    boxes: Sequence[Detection],
    *,
    least_overlap: float = LEAST_OVERLAP,
) -> Reflectors:
    """Take the mean 3-D point of each mask and the class of the box that it overlaps most, as printed.

    Args:
        camera: The camera.
        depth: Distance of each pixel.
        segments: Masks of the image.
        boxes: Boxes of the image.
        least_overlap: Least intersection over union of a mask and its box. The paper states none; masks that are all of
            objects need none, and a pole that leans in the image fills little of its box.

    Raises:
        SiteTwinError: Depth or a mask is of another size than the camera's images.
    """
    found = [
        one
        for one in mask_objects(camera, depth, segments, boxes, least_overlap=least_overlap)
        if one.name in REFLECTANCES
    ]
    points = np.array([one.position for one in found], dtype=np.float64).reshape(-1, 3)
    return Reflectors(tuple(one.name for one in found), points)


def boxed_reflectors(camera: Camera, boxes: Sequence[Detection], ground: Ground) -> Reflectors:
    """Take the point of the ground under each box: what there is without a network of depth.

    Args:
        camera: The camera.
        boxes: Boxes of the image.
        ground: The ground.
    """
    known = [box for box in boxes if box.name in REFLECTANCES]
    contact = np.array([box.contact for box in known], dtype=np.float64).reshape(-1, 2)
    points, _ = contact_points(camera, contact, ground)
    away = np.hypot(*(points - camera.position)[:, :2].T)
    near = np.isfinite(points).all(axis=1) & (away < FARTHEST_M)
    return Reflectors(tuple(box.name for box, kept in zip(known, near, strict=True) if kept), points[near])
