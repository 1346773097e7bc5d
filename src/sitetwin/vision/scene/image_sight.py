"""Whether an image shows a nearer vehicle before the user's antenna, where the camera stands at the station's place.

What hides the antenna from such a camera blocks the line of sight. Boxes of a detector tell it better than boxes in
space do: their edges are known to some pixels, while heights and distances of bodies are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import ConvexHull, QhullError

from sitetwin.vision.camera import Camera
from sitetwin.vision.cuboids import outlines
from sitetwin.vision.frames import Detection
from sitetwin.vision.scene.edges import known_edges
from sitetwin.vision.scene.objects import CLASS_SIZES, StreetObject
from sitetwin.vision.tiles import VEHICLES

SAME_PLACE = 0.5
"""Metres between camera and station within which what hides the user from one hides it from the other."""

_FARTHEST = 1.0  # metres across the line of sight from a silhouette's edge, beyond which nothing is surer
_NEARER = 0.15  # share of a car's height in the image by which the foot of a nearer object may stand over the user's


@dataclass(frozen=True, eq=False)
class View:
    """What one image shows at the user's place.

    Attributes:
        inside: (draws,) metres, across the line of sight at the user's distance, by which the antenna lies within the
            silhouette of a nearer vehicle; negative beside all of them; cut off at one metre.
        shown: Share of the outline of a car there that the box of the user's own car covers, at most 1; 0 where it is
            not seen.
    """

    inside: Float[np.ndarray, " draws"]
    shown: float


def view_of_user(
    camera: Camera,
    detections: Sequence[Detection],
    sightings: Sequence[StreetObject],
    own: StreetObject | None,
    antenna: Float[np.ndarray, "draws 3"],
    middle: Float[np.ndarray, " 3"],
    heading: float,
) -> View | None:
    """Compare the user's place with the boxes of an image.

    A vehicle is nearer than the user if its box ends lower in the image, or at most a little higher, than the user's
    car would. Its silhouette is that of an upright body of its class where it was placed, stretched to those edges of
    its box that are its own; a vehicle that could not be placed fills its box.

    Args:
        camera: The camera.
        detections: What was found in the image.
        sightings: The objects of those that could be placed.
        own: That of the user's own car, if it was found.
        antenna: (draws, 3) where the user's antenna may be, metres.
        middle: (3,) point of the ground below the middle of its car, metres.
        heading: Of its car, radians from east.

    Returns:
        The view; None where the image does not show the place.
    """
    pixels, depth = camera.project(antenna)
    car = outlines(camera, middle[None], np.array([heading]), np.array([CLASS_SIZES["car"]]))[0]
    if not (np.isfinite(pixels).all() and np.isfinite(car).all()):
        return None
    whole = np.clip(car, 0, np.array([camera.width, camera.height] * 2, dtype=float))
    width, height = np.maximum(whole[2:] - whole[:2], 1.0).tolist()
    metre = camera.fx / float(np.median(depth))
    placed = {one.box: one for one in sightings if one.box is not None}
    known = known_edges(camera, detections)
    inside = np.full(len(antenna), -_FARTHEST * metre)
    for edges, one in zip(known, detections, strict=True):
        if one.name not in VEHICLES or (own is not None and one.box == own.box):
            continue
        if one.box[3] < whole[3] - _NEARER * height:
            continue
        left, upper, right, lower = one.box
        within = np.min([pixels[:, 0] - left, right - pixels[:, 0], pixels[:, 1] - upper, lower - pixels[:, 1]], axis=0)
        corners = _silhouette(camera, placed.get(one.box), float(middle[2]), np.array(one.box), edges)
        if corners is not None:
            within = np.minimum(within, _within(corners, pixels))
        inside = np.maximum(inside, within)
    shown = 0.0
    if own is not None and own.box is not None:
        left, upper, right, lower = own.box
        shown = min((right - left) * (lower - upper) / (width * height), 1.0)
    return View(np.clip(inside / metre, -_FARTHEST, _FARTHEST), shown)


def _silhouette(
    camera: Camera, thing: StreetObject | None, ground: float, box: np.ndarray, known: Bool[np.ndarray, " 4"]
) -> np.ndarray | None:
    """(n, 2) corners of the convex outline of a body, stretched to the known edges of its box; None without a body."""
    if thing is None:
        return None
    length, width, height = thing.size
    c, s = math.cos(thing.heading), math.sin(thing.heading)
    corners = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0.0, 1.0)])
    plan = corners[:, :2] * (length, width) @ np.array([[c, s], [-s, c]])
    pixels, _ = camera.project(np.column_stack([plan + thing.position, ground + height * corners[:, 2]]))
    if not np.isfinite(pixels).all():
        return None
    try:
        hull = pixels[ConvexHull(pixels).vertices]
    except QhullError:  # seen from so far that its corners lie on a line
        return None
    low, high = hull.min(axis=0), hull.max(axis=0)
    to_low, to_high = np.where(known[:2], box[:2], low), np.where(known[2:], box[2:], high)
    return np.asarray(to_low + (hull - low) / (high - low) * (to_high - to_low))


def _within(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N,) pixels by which points (N, 2) lie within a convex outline (n, 2); negative outside of it."""
    way = np.roll(corners, -1, axis=0) - corners
    inwards = np.stack([-way[:, 1], way[:, 0]], axis=1)
    length = np.maximum(np.linalg.norm(inwards, axis=1, keepdims=True), 1e-9)
    side = np.sign(((corners.mean(axis=0) - corners) * inwards).sum(axis=1, keepdims=True))
    inwards = side * inwards / length
    return np.asarray(((points[:, None] - corners) * inwards).sum(axis=2).min(axis=1))
