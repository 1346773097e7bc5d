"""Several detectors as one."""

from __future__ import annotations

from collections.abc import Sequence

from sitetwin.vision.frames import Detection, Frame
from sitetwin.vision.protocols import Detector
from sitetwin.vision.tiles import merge


class Joined:
    """Finds what any of several detectors finds, one box for each object.

    Args:
        parts: The detectors.
    """

    def __init__(self, parts: Sequence[Detector]) -> None:
        self.parts = tuple(parts)
        self.name = " + ".join(part.name for part in parts)

    def detect(self, frame: Frame) -> list[Detection]:
        """Return what is seen in a frame, the most certain first."""
        return merge([one for part in self.parts for one in part.detect(frame)])
