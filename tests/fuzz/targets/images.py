"""Targets: photographs and cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sitetwin.untrusted import MOST_PIXELS
from sitetwin.vision.camera_files import CameraFile, read_camera
from sitetwin.vision.images import read_image
from tests.fuzz.judge import Target


def _seeds() -> list[dict[str, bytes]]:
    picture = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    options = ((".jpg", []), (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), (".png", []))
    return [{f"street{ending}": cv2.imencode(ending, picture, flags)[1].tobytes()} for ending, flags in options]


def _read(folder: Path) -> Any:
    return read_image(next(iter(sorted(folder.iterdir()))))


def _check(image: np.ndarray) -> None:
    assert (image.ndim, image.shape[-1], image.dtype) == (3, 3, np.uint8), "no colours"
    assert 0 < image.size <= 3 * MOST_PIXELS, "no pixels, or too many"


def _cameras() -> list[dict[str, bytes]]:
    text = "position = [1.0, 2, 5.5]\nyaw = 0.3\nwidth = 96\nheight = 54\n"
    lens = "fx = 40.0\nfy = 40.0\ncx = 48.0\ncy = 27.0\ndistortion = [-0.05, 0.01, 0, 0, 0]\n"
    spread = f"covariance = {np.diag(np.arange(7.0)).tolist()}\n"
    return [{"camera.toml": part.encode()} for part in (text + lens + spread, text + "field_of_view = 1.9\n")]


def _check_camera(found: CameraFile) -> None:
    camera = found.camera
    rays = camera.rays(np.array([[0.0, 0.0], [camera.width, camera.height], [camera.cx, camera.cy]]))
    assert np.isfinite(rays[:2]).all(), "a corner shows nothing"
    assert np.allclose(np.linalg.norm(rays[:2], axis=1), 1), "no directions"


TARGETS = [
    Target("image", _read, _seeds, (b"\xff\xd8\xff", b"\xff\xd9", b"\xff\xc0", b"IHDR", b"IDAT", b"IEND"), _check),
    Target(
        "camera",
        lambda folder: read_camera(next(iter(sorted(folder.iterdir())))),
        _cameras,
        (b"position", b"fx", b"covariance", b"distortion", b"1e308", b"-0.0", b"field_of_view"),
        _check_camera,
    ),
]
