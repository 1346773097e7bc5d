"""CenterNet on MobileNetV3, with the classes of COCO."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from sitetwin.vision.frames import Detection, Frame
from sitetwin.vision.networks.runtime import need, onnx_session
from sitetwin.vision.networks.tfjs import to_onnx
from sitetwin.vision.voting import Look, look_whole

HEAT, SIZE = "tower_0/keypoints", "tower_0/wh"
STRIDE = 4
CLASSES = {0: "person", 1: "bicycle", 2: "car", 3: "motorcycle", 5: "bus", 7: "truck"}
"""Numbers of COCO's 80 classes that matter in a street."""


LOOKS = (
    Look(shorter=256, weight=0.5),
    Look(shorter=352),
    Look(shorter=544, weight=2.0),
    Look(shorter=352, mirrored=True),
    Look(shorter=544, mirrored=True, weight=2.0),
)
"""The whole image at three scales: the coarse ones see large vehicles, of which the fine ones see parts."""

LEAST = 0.04
"""Score from which a box takes part in the vote."""


class CenterNet:
    """Finds vehicles and people in an image at several scales.

    Args:
        graph: The graph of TensorFlow.js, `model.json`.
        weights: Its weights.
        looks: How each image is shown.
        threads: Threads of one network.

    Raises:
        SiteTwinError: The files are no such network, or the extra `vision` is not installed.
    """

    name = "centernet"

    def __init__(self, graph: bytes, weights: bytes, looks: Sequence[Look] = LOOKS, threads: int = 1) -> None:
        need("onnx", "cv2")
        self._looks = tuple(looks)
        self._session = onnx_session(to_onnx(graph, weights, [HEAT, SIZE], "the graph of CenterNet"), threads)

    def looks(self, frame: Frame) -> list[tuple[Look, list[Detection]]]:
        """Return vehicles and people of each look."""
        return [(look, look_whole(frame.image, self._boxes, look.shorter, look.mirrored)) for look in self._looks]

    def _boxes(self, image: UInt8[np.ndarray, "rows columns 3"]) -> list[Detection]:
        heat, size = self._session.run([HEAT, SIZE], {"image": image.astype(np.float32).transpose(2, 0, 1)[None]})
        return peaks(heat[0], size[0], LEAST)


def peaks(
    heat: Float[np.ndarray, "classes rows columns"], size: Float[np.ndarray, "4 rows columns"], threshold: float
) -> list[Detection]:
    """Turn the network's outputs into boxes in pixels of its input.

    Args:
        heat: (80, rows, columns) certainty of a centre of each class.
        size: (4, rows, columns) distance of the left, upper, right and lower edge, pixels.
        threshold: Least certainty.
    """
    import cv2

    found = []
    for number, name in CLASSES.items():
        layer = np.ascontiguousarray(heat[number])
        highest = layer == cv2.dilate(layer, np.ones((3, 3), np.uint8))
        for row, column in zip(*np.nonzero(highest & (layer >= threshold)), strict=True):
            left, upper, right, lower = size[:, row, column].astype(float)
            x, y = STRIDE * column, STRIDE * row
            if left + right > 1 and upper + lower > 1:
                box = (float(x - left), float(y - upper), float(x + right), float(y + lower))
                found.append(Detection(box, name, float(min(layer[row, column], 1.0))))
    return found
