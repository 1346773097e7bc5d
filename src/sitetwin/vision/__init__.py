"""The street through a camera: perception, camera geometry, and the scene that follows from them."""

from sitetwin.vision.camera import PARAMETERS, Camera
from sitetwin.vision.frames import NOTHING, Detection, Frame, Truth
from sitetwin.vision.images import frame_from_file, read_image
from sitetwin.vision.networks.loading import DETECTORS, load_detector
from sitetwin.vision.perfect import PerfectDepth, PerfectDetector, PerfectSegments
from sitetwin.vision.protocols import Depth, DepthMap, Detector, Segment, Segments

__all__ = [
    "DETECTORS",
    "NOTHING",
    "PARAMETERS",
    "Camera",
    "Depth",
    "DepthMap",
    "Detection",
    "Detector",
    "Frame",
    "PerfectDepth",
    "PerfectDetector",
    "PerfectSegments",
    "Segment",
    "Segments",
    "Truth",
    "frame_from_file",
    "load_detector",
    "read_image",
]
