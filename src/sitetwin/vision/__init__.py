"""The street through a camera: perception, camera geometry, and the scene that follows from them."""

from sitetwin.vision.camera import PARAMETERS, Camera
from sitetwin.vision.frames import NOTHING, Detection, Frame, Truth
from sitetwin.vision.protocols import Depth, DepthMap, Detector, Segment, Segments

__all__ = [
    "NOTHING",
    "PARAMETERS",
    "Camera",
    "Depth",
    "DepthMap",
    "Detection",
    "Detector",
    "Frame",
    "Segment",
    "Segments",
    "Truth",
]
