"""Straight lines by M-LSD, and poles among them."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from sitetwin.vision.camera import Camera
from sitetwin.vision.frames import Detection, Frame
from sitetwin.vision.networks.runtime import onnx_session
from sitetwin.vision.tiles import square_tiles

SIDE = 512
LEAST_SCORE = 0.25

UPRIGHT = math.radians(5.0)
"""Angle between a line and the image of a vertical within which it is one."""

LEAST_LENGTH, WIDEST = 0.08, 0.016
"""Length of a pole over the image's height, and the distance of its two edges over the image's width."""

_ALONG = 0.5  # share of the shorter of two lines that runs beside the other, if they are edges of one pole


class LineNetwork:
    """Finds segments of straight lines.

    Args:
        model: The ONNX model of M-LSD with 512 x 512 pixels.
        threshold: Least score of a line.
        threads: Threads of the network.

    Raises:
        SiteTwinError: The file is no network, or the extra `vision` is not installed.
    """

    name = "mlsd"

    def __init__(self, model: bytes, threshold: float = LEAST_SCORE, threads: int = 1) -> None:
        self.threshold = threshold
        self._session = onnx_session(model, threads)
        self._input = self._session.get_inputs()[0].name

    def lines(self, frame: Frame) -> tuple[Float[np.ndarray, "lines 4"], Float[np.ndarray, " lines"]]:
        """Return (N, 4) column and row of both ends of each line, pixels, and (N,) scores, the best first.

        The image is seen in square tiles as high as it is, because thin poles vanish where it is squeezed; a line in
        the overlap of two tiles may come twice.
        """
        import cv2

        height, width = frame.image.shape[:2]
        ends, certainty = [], []
        for left, upper, right, lower in square_tiles(width, height, min(width, height)):
            tile = frame.image[upper:lower, left:right]
            small = cv2.resize(tile, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
            full = np.concatenate([small, np.ones((SIDE, SIDE, 1), np.float32)], axis=-1)
            offsets, scores = self._session.run(["offsets", "scores"], {self._input: full[None]})
            found, sure = segments(offsets[0], scores[0, ..., 0], self.threshold)
            ends.append(found * (right - left) / SIDE + np.array([left, upper] * 2))
            certainty.append(sure)
        order = np.argsort(-np.concatenate(certainty), kind="stable")
        return np.concatenate(ends)[order], np.concatenate(certainty)[order]


def segments(
    offsets: Float[np.ndarray, "rows columns 4"], scores: Float[np.ndarray, "rows columns"], threshold: float
) -> tuple[Float[np.ndarray, "lines 4"], Float[np.ndarray, " lines"]]:
    """Turn the network's outputs into segments in pixels of its input.

    Args:
        offsets: (256, 256, 4) from each cell, a centre of a line, to both of its ends, cells.
        scores: (256, 256) certainty.
        threshold: Least certainty.
    """
    rows, columns = np.nonzero(scores >= threshold)
    order = np.argsort(-scores[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    centre = np.column_stack([columns, rows, columns, rows])
    ends = SIDE / scores.shape[0] * (centre + offsets[rows, columns])
    return ends.astype(np.float64), scores[rows, columns].astype(np.float64)


class PoleDetector:
    """Takes upright lines whose foot lies under the horizon for poles. Corners of houses look alike.

    Args:
        network: Finds the lines.
        camera: Tells which lines are vertical, and where the horizon is.
    """

    name = "mlsd poles"

    def __init__(self, network: LineNetwork, camera: Camera) -> None:
        self._network, self._camera = network, camera

    def detect(self, frame: Frame) -> list[Detection]:
        """Return poles of a frame, the most certain first."""
        ends, scores = self._network.lines(frame)
        return poles(ends, scores, self._camera)


def poles(ends: Float[np.ndarray, "lines 4"], scores: Float[np.ndarray, " lines"], camera: Camera) -> list[Detection]:
    """Choose and join the lines that are edges of poles.

    Args:
        ends: (N, 4) column and row of both ends, pixels.
        scores: (N,) certainty.
        camera: The camera.
    """
    upper = np.where((ends[:, 1] < ends[:, 3])[:, None], ends[:, :2], ends[:, 2:])
    lower = np.where((ends[:, 1] < ends[:, 3])[:, None], ends[:, 2:], ends[:, :2])
    way = lower - upper
    length = np.linalg.norm(way, axis=1)
    rays = camera.rays(0.5 * (upper + lower))
    middle = camera.position + 10 * rays
    rise = np.array([0.0, 0.0, 0.05])
    above, _ = camera.project(middle + rise)
    below, _ = camera.project(middle - rise)
    vertical = below - above
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.einsum("nk,nk->n", way, vertical) / (length * np.linalg.norm(vertical, axis=1))
    grounded = camera.rays(lower)[:, 2] < 0
    good = (cosine > math.cos(UPRIGHT)) & grounded & (length >= LEAST_LENGTH * camera.height)
    kept: list[list[int]] = []
    for line in np.flatnonzero(good):
        home = next((group for group in kept if _beside(upper, lower, group[0], int(line), camera)), None)
        if home is None:
            kept.append([int(line)])
        else:
            home.append(int(line))
    return [_pole(upper[group], lower[group], float(scores[group].max())) for group in kept]


def _beside(upper: np.ndarray, lower: np.ndarray, first: int, second: int, camera: Camera) -> bool:
    """Whether two upright lines run beside each other at the width of a pole."""
    low = max(upper[first, 1], upper[second, 1])
    high = min(lower[first, 1], lower[second, 1])
    shorter = min(lower[first, 1] - upper[first, 1], lower[second, 1] - upper[second, 1])
    if high - low < _ALONG * shorter:
        return False
    row = 0.5 * (low + high)
    columns = [
        np.interp(row, [upper[line, 1], lower[line, 1]], [upper[line, 0], lower[line, 0]]) for line in (first, second)
    ]
    return bool(abs(columns[0] - columns[1]) <= WIDEST * camera.width)


def _pole(upper: np.ndarray, lower: np.ndarray, score: float) -> Detection:
    """A pole whose box stands over its foot: those that lean in the image lean by the view."""
    left, right = float(lower[:, 0].min()), float(lower[:, 0].max())
    box = (left - 0.5, float(upper[:, 1].min()), right + 0.5, float(lower[:, 1].max()))
    return Detection(box, "pole", min(score, 1.0))
