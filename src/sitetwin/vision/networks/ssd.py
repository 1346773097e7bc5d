"""SSD on MobileNetV2 with classes of Open Images, as MediaPipe's Objectron ships it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from sitetwin.errors import SiteTwinError
from sitetwin.vision.frames import Detection, Frame
from sitetwin.vision.networks.runtime import lite_interpreter, need
from sitetwin.vision.tiles import merge
from sitetwin.vision.voting import Look, look_at

SIDE = 300
CLASSES = {"Person": "person", "Bicycle": "bicycle", "Car": "car", "Vehicle": "car"}
_GRIDS = (19, 10, 5, 3, 2, 1)
_RATIOS = (1.0, 2.0, 0.5, 3.0, 1 / 3)
_SMALLEST, _LARGEST = 0.2, 0.95
_CENTRE_SCALE, _SIZE_SCALE = 10.0, 5.0


LOOKS = (Look(0.0), Look(1.0), Look(0.6, weight=0.7))
BESIDE = LOOKS[2:]
"""Looks beside another network, which sees large objects better."""

LEAST = 0.06
"""Score from which a box takes part in the vote."""


class OpenImagesSsd:
    """Finds cars and people in tiles of an image.

    Args:
        assets: MediaPipe's packed file: the names of the classes, a line each, and the network.
        looks: How each image is shown.
        threads: Threads of one network.

    Raises:
        SiteTwinError: The file is no such network, or the extra `vision` is not installed.
    """

    name = "ssd-open-images"

    def __init__(self, assets: bytes, looks: Sequence[Look] = LOOKS, threads: int = 1) -> None:
        need("cv2")
        self._looks = tuple(looks)
        names, model = unpack(assets)
        self._classes = {number: CLASSES[name] for number, name in enumerate(names) if name in CLASSES}
        self._run = lite_interpreter(model, threads)
        self._input = self._run.get_input_details()[0]["index"]
        outputs = {tuple(entry["shape"])[-1]: entry["index"] for entry in self._run.get_output_details()}
        if set(outputs) != {4, len(names)}:
            raise SiteTwinError("the network of Objectron has other outputs than boxes and scores; fetch it again")
        self._boxes, self._scores = outputs[4], outputs[len(names)]

    def looks(self, frame: Frame) -> list[tuple[Look, list[Detection]]]:
        """Return cars and people of each look."""
        return [(look, look_at(frame.image, self._found, SIDE, look.share, look.mirrored)) for look in self._looks]

    def _found(self, image: UInt8[np.ndarray, "side side 3"]) -> list[Detection]:
        self._run.set_tensor(self._input, (image.astype(np.float32) / 127.5 - 1)[None])
        self._run.invoke()
        return self._named(self._run.get_tensor(self._boxes)[0], self._run.get_tensor(self._scores)[0])

    def _named(self, boxes: np.ndarray, scores: np.ndarray) -> list[Detection]:
        found = []
        corners = decode(boxes) * SIDE
        certainty = 1 / (1 + np.exp(-scores.astype(np.float64)))
        for number, name in self._classes.items():
            for row in np.flatnonzero(certainty[:, number] >= LEAST):
                left, upper, right, lower = map(float, corners[row])
                if right - left > 1 and lower - upper > 1:
                    found.append(Detection((left, upper, right, lower), name, float(certainty[row, number])))
        return merge(found)


def unpack(assets: bytes) -> tuple[list[str], bytes]:
    """Part the packed file into names of classes and the network, which begins 4 bytes before its mark "TFL3".

    Raises:
        SiteTwinError: There is no network in it, or the names are no text.
    """
    start = assets.find(b"TFL3") - 4
    if start < 0:
        raise SiteTwinError("the packed file of Objectron holds no network of LiteRT; fetch it again")
    try:
        names = assets[:start].decode().split("\n")
    except UnicodeDecodeError as error:
        raise SiteTwinError(
            "the packed file of Objectron does not begin with names of classes; fetch it again"
        ) from error
    return [name for name in names if name], assets[start:]


def anchors() -> Float[np.ndarray, "anchors 4"]:
    """Return (1917, 4): centre y, centre x, height and width of each anchor as shares of the image.

    Source: MediaPipe, `SsdAnchorsCalculator` with strides 16 to 512 and fewer boxes in the lowest layer.
    """
    rows = []
    scales = np.linspace(_SMALLEST, _LARGEST, len(_GRIDS))
    for layer, grid in enumerate(_GRIDS):
        scale = scales[layer]
        following = scales[layer + 1] if layer + 1 < len(_GRIDS) else 1.0
        if layer == 0:
            shapes = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
        else:
            shapes = [(scale, ratio) for ratio in _RATIOS] + [(float(np.sqrt(scale * following)), 1.0)]
        centres = (np.arange(grid) + 0.5) / grid
        for y in centres:
            for x in centres:
                rows += [(y, x, size / np.sqrt(ratio), size * np.sqrt(ratio)) for size, ratio in shapes]
    return np.array(rows)


_ANCHORS = anchors()


def decode(boxes: Float[np.ndarray, "anchors 4"]) -> Float[np.ndarray, "anchors 4"]:
    """Turn the network's boxes into left, upper, right and lower edges as shares of the image.

    Args:
        boxes: (1917, 4) offsets of centre y and x and of the logarithms of height and width.
    """
    centre = boxes[:, :2] / _CENTRE_SCALE * _ANCHORS[:, 2:] + _ANCHORS[:, :2]
    half = 0.5 * np.exp(np.clip(boxes[:, 2:] / _SIZE_SCALE, -20, 20)) * _ANCHORS[:, 2:]
    return np.concatenate([(centre - half)[:, ::-1], (centre + half)[:, ::-1]], axis=1).astype(np.float64)
