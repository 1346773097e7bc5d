"""True masks of what stands on the pavements: a rendered frame knows its vehicles only, the world knows the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from jaxtyping import Bool, Float

from sitetwin.errors import SiteTwinError
from sitetwin.site.vegetation import Cylinder, Ellipsoid
from sitetwin.vision.camera import Camera
from sitetwin.vision.frames import NOTHING, Detection, Frame
from sitetwin.vision.masks import mask_box
from sitetwin.vision.perfect import LEAST_PIXELS, truth_of
from sitetwin.vision.protocols import Segment
from sitetwin.vision.street.posts import POLE
from sitetwin.vision.worlds.world import World

_OVER_GROUND = 0.15  # metres: what lies lower is pavement
_OFF = 0.08  # metres that depth may be off: it is kept in 16 bits
_LEAVES_OFF = 0.3  # metres that leaves hang out of their crown


def standing_masks(world: World, camera: Camera, frame: Frame) -> list[Segment]:
    """Return the masks of poles and trees that show enough pixels: those whose 3-D points lie on one.

    Args:
        world: The world in which the frame was rendered.
        camera: Its camera.
        frame: A rendered frame.

    Raises:
        SiteTwinError: The frame was not rendered, or is of another size than the camera's.
    """
    truth = truth_of(frame)
    if truth.depth.shape != (camera.height, camera.width):
        raise SiteTwinError("the frame is of another size than the camera's images; give the camera that made it")
    free = (truth.identities == NOTHING) & np.isfinite(truth.depth) & (truth.depth > 0)
    pixels = np.flatnonzero(free)
    points = camera.points(camera.pixel_centres()[free], truth.depth[free])
    high = points[:, 2] > _OVER_GROUND
    pixels, points = pixels[high], points[high]
    found = []
    for name, (x, y), reach, holds in _standing(world):
        near = np.flatnonzero((np.abs(points[:, 0] - x) < reach) & (np.abs(points[:, 1] - y) < reach))
        mask = np.zeros(truth.depth.shape, dtype=bool)
        mask.reshape(-1)[pixels[near[holds(points[near])]]] = True
        if mask.sum() >= LEAST_PIXELS:
            found.append(Segment(mask, 1.0, name))
    return found


def boxes_of(segments: list[Segment]) -> list[Detection]:
    """Return the box of each mask, of its class."""
    return [Detection(mask_box(one.mask), str(one.name), 1.0, one.mask) for one in segments]


def _standing(world: World) -> Iterator[tuple[str, tuple[float, float], float, Callable[[np.ndarray], np.ndarray]]]:
    """Class and middle of each pole and tree, how far it reaches, and which points (n, 3) lie on it."""
    site = world.canyon.site
    for number, name in enumerate(site.objects):
        if name.startswith(POLE):
            corners = site.corners[site.triangle_object == number].reshape(-1, 3)
            low, top = corners.min(axis=0), corners.max(axis=0)
            x, y, radius = (float(v) for v in (*(0.5 * (low + top))[:2], 0.5 * (top - low)[0]))
            yield "pole", (x, y), radius + _OFF, partial(_upright, x=x, y=y, radius=radius, top=float(top[2]))
    volumes = site.vegetation.volumes
    for crown in (one for one in volumes if isinstance(one, Ellipsoid)):
        x, y, _ = crown.centre
        trunks = [one for one in volumes if isinstance(one, Cylinder) and one.centre == (x, y)]
        yield "tree", (x, y), max(crown.semi_axes) + _LEAVES_OFF, partial(_of_tree, crown=crown, trunks=trunks)


def _of_tree(
    points: Float[np.ndarray, "points 3"], crown: Ellipsoid, trunks: list[Cylinder]
) -> Bool[np.ndarray, " points"]:
    within = np.square((points - crown.centre) / (np.array(crown.semi_axes) + _LEAVES_OFF)).sum(axis=1) < 1
    for trunk in trunks:
        within |= _upright(points, *trunk.centre, trunk.radius, trunk.z_max)
    return np.asarray(within)


def _upright(
    points: Float[np.ndarray, "points 3"], x: float, y: float, radius: float, top: float
) -> Bool[np.ndarray, " points"]:
    beside = np.hypot(points[:, 0] - x, points[:, 1] - y)
    return np.asarray((beside < radius + _OFF) & (points[:, 2] < top + _OFF))
