"""What is kept of each followed moment: the reflectors of the published chain, and what the page shows."""

from __future__ import annotations

from typing import Any

import numpy as np

from sitetwin.vision import Camera, Detection, Ground, PerfectDepth, PerfectDetector, PerfectSegments
from sitetwin.vision.networks.lines import LineNetwork, PoleDetector
from sitetwin.vision.profiles.seen import Reflectors, boxed_reflectors, masked_reflectors
from sitetwin.vision.worlds import Followed, Recording, World
from sitetwin.vision.worlds.standing import boxes_of, standing_masks


def kept_moment(
    recording: Recording, world: World, one: Followed, lines: LineNetwork | None, perfect: bool, camera: Camera
) -> dict[str, Any]:
    """Return a moment as plain values.

    Args:
        recording: The drive.
        world: Its world.
        one: What a twin says of the moment.
        lines: Finds poles for networks; None leaves poles out.
        perfect: Whether the true masks, depth and boxes stand for perception.
        camera: The camera by which they are placed: the true one, or a fitted one.
    """
    if perfect:
        boxes, reflectors = _perfect(recording, world, one, camera)
    else:
        boxes, reflectors = _found(recording, world, one, lines, camera)
    return {
        "boxes": [[box.name, round(box.score, 3), *(round(edge, 1) for edge in box.box)] for box in boxes],
        "reflectors": [
            [name, *np.round(point, 2).tolist()]
            for name, point in zip(reflectors.names, reflectors.points, strict=True)
        ],
        "objects": [
            [thing.name, *np.round(thing.position, 2).tolist(), round(thing.heading, 3)] for thing in one.moment.objects
        ],
        "user": np.round(one.moment.user.position, 2).tolist(),
        "traced": [float(f"{value:.4g}") for value in one.traced.relative],
    }


def _perfect(recording: Recording, world: World, one: Followed, camera: Camera) -> tuple[list[Detection], Reflectors]:
    """True boxes, and the means of true masks: vehicles, poles and trees."""
    frame = recording.frame(one.row)
    standing = standing_masks(world, recording.camera, frame)
    boxes = [*PerfectDetector().detect(frame), *boxes_of(standing)]
    masks = [*PerfectSegments().segments(frame), *standing]
    return boxes, masked_reflectors(camera, PerfectDepth().depth(frame, camera), masks, boxes, least_overlap=0.0)


def _found(
    recording: Recording, world: World, one: Followed, lines: LineNetwork | None, camera: Camera
) -> tuple[list[Detection], Reflectors]:
    """Boxes of the networks on the ground; no network that was fetched knows trees or depth."""
    boxes = list(one.detections)
    if lines is not None:
        boxes += PoleDetector(lines, camera).detect(recording.frame(one.row))
    return boxes, boxed_reflectors(camera, boxes, Ground(world.known.corners[world.known.is_ground]))
