"""The street through a camera: perception, camera geometry, and the scene that follows from them."""

from sitetwin.vision.camera import PARAMETERS, Camera
from sitetwin.vision.camera_files import CameraFile, read_camera, write_camera
from sitetwin.vision.contact import contact_points
from sitetwin.vision.fitting import FittedCamera, fit_camera
from sitetwin.vision.frames import NOTHING, Detection, Frame, Truth
from sitetwin.vision.ground import Ground
from sitetwin.vision.images import frame_from_file, read_image
from sitetwin.vision.masks import MaskObject, mask_objects
from sitetwin.vision.networks.loading import DETECTORS, load_detector, load_lines
from sitetwin.vision.perfect import PerfectDepth, PerfectDetector, PerfectSegments
from sitetwin.vision.protocols import Depth, DepthMap, Detector, Segment, Segments

__all__ = [
    "DETECTORS",
    "NOTHING",
    "PARAMETERS",
    "Camera",
    "CameraFile",
    "Depth",
    "DepthMap",
    "Detection",
    "Detector",
    "FittedCamera",
    "Frame",
    "Ground",
    "MaskObject",
    "PerfectDepth",
    "PerfectDetector",
    "PerfectSegments",
    "Segment",
    "Segments",
    "Truth",
    "contact_points",
    "fit_camera",
    "frame_from_file",
    "load_detector",
    "load_lines",
    "mask_objects",
    "read_camera",
    "read_image",
    "write_camera",
]
