"""CenterNet on MobileNetV3, with the classes of COCO."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from sitetwin.vision.frames import Detection, Frame
from sitetwin.vision.networks.runtime import onnx_session
from sitetwin.vision.networks.tfjs import to_onnx
from sitetwin.vision.tiles import from_tile, merge, square_tiles

HEAT, SIZE = "tower_0/keypoints", "tower_0/wh"
SIDE, STRIDE = 512, 4
CLASSES = {0: "person", 1: "bicycle", 2: "car", 3: "motorcycle", 5: "bus", 7: "truck"}
"""Numbers of COCO's 80 classes that matter in a street."""


class CenterNet:
    """Finds vehicles and people in tiles of an image.

    Args:
        graph: The graph of TensorFlow.js, `model.json`.
        weights: Its weights.
        threshold: Least score of a box.
        sides: Sides of the tiles, as shares of the image's shorter edge; each side is a pass over the image. 0 shows
            the whole image at once, squeezed into a square.
        threads: Threads of one network.

    Raises:
        SiteTwinError: The files are no such network, or the extra `vision` is not installed.
    """

    name = "centernet"

    def __init__(
        self,
        graph: bytes,
        weights: bytes,
        threshold: float = 0.3,
        sides: Sequence[float] = (0.0, 1.0),
        threads: int = 1,
    ) -> None:
        self.threshold, self.sides = threshold, tuple(sides)
        self._session = onnx_session(to_onnx(graph, weights, [HEAT, SIZE], "the graph of CenterNet"), threads)

    def detect(self, frame: Frame) -> list[Detection]:
        """Return vehicles and people of a frame, the most certain first."""
        import cv2

        height, width = frame.image.shape[:2]
        found: list[Detection] = []
        for side in self.sides:
            whole = [(0, 0, width, height)]
            for tile in square_tiles(width, height, round(side * min(width, height))) if side else whole:
                left, upper, right, lower = tile
                crop = cv2.resize(frame.image[upper:lower, left:right], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
                scale = (right - left) / SIDE, (lower - upper) / SIDE
                found += from_tile(self._boxes(crop), tile, scale, (width, height))
        return merge(found)

    def _boxes(self, image: UInt8[np.ndarray, "side side 3"]) -> list[Detection]:
        heat, size = self._session.run([HEAT, SIZE], {"image": image.astype(np.float32).transpose(2, 0, 1)[None]})
        return peaks(heat[0], size[0], self.threshold)


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
