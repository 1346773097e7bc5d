"""What a renderer knows in the place of networks, so that a chain can be judged apart from its perception."""

from __future__ import annotations

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.vision.camera import Camera
from sitetwin.vision.frames import Detection, Frame, Truth
from sitetwin.vision.masks import mask_box
from sitetwin.vision.protocols import DepthMap, Segment

LEAST_PIXELS = 10
"""Pixels that an object must show to be seen."""


class PerfectDetector:
    """Finds every object that shows at least so many pixels, with the box of those pixels.

    Args:
        least_pixels: Pixels that an object must show.
    """

    name = "perfect"

    def __init__(self, least_pixels: int = LEAST_PIXELS) -> None:
        self.least_pixels = least_pixels

    def detect(self, frame: Frame) -> list[Detection]:
        """Return the objects of a rendered frame, those of most pixels first.

        Raises:
            SiteTwinError: The frame was not rendered.
        """
        truth = truth_of(frame)
        found = []
        for identity, mask in _masks(truth, self.least_pixels):
            found.append(Detection(mask_box(mask), truth.names[identity], 1.0, mask, identity))
        return found


class PerfectDepth:
    """The depth that the renderer traced."""

    name = "perfect"

    def depth(self, frame: Frame, camera: Camera) -> DepthMap:
        """Return the distance of each pixel of a rendered frame.

        Raises:
            SiteTwinError: The frame was not rendered.
        """
        return DepthMap(truth_of(frame).depth, "z")


class PerfectSegments:
    """A mask for each object.

    Args:
        least_pixels: Pixels that an object must show.
    """

    name = "perfect"

    def __init__(self, least_pixels: int = LEAST_PIXELS) -> None:
        self.least_pixels = least_pixels

    def segments(self, frame: Frame) -> list[Segment]:
        """Return the masks of the objects of a rendered frame.

        Raises:
            SiteTwinError: The frame was not rendered.
        """
        truth = truth_of(frame)
        return [Segment(mask, 1.0, truth.names[identity]) for identity, mask in _masks(truth, self.least_pixels)]


def truth_of(frame: Frame) -> Truth:
    """Return what the renderer knows of a frame.

    Raises:
        SiteTwinError: The frame was not rendered.
    """
    if frame.truth is None:
        raise SiteTwinError(
            f"frame '{frame.source}' is a photograph, of which no truth is known; take a network for perception"
        )
    return frame.truth


def _masks(truth: Truth, least: int) -> list[tuple[int, np.ndarray]]:
    counts = np.bincount(truth.identities[truth.identities >= 0].ravel(), minlength=len(truth.names))
    order = np.argsort(-counts, kind="stable")
    return [(int(identity), truth.identities == identity) for identity in order if counts[identity] >= max(least, 1)]
