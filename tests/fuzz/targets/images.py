"""Targets: photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sitetwin.untrusted import MOST_PIXELS
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


TARGETS = [
    Target("image", _read, _seeds, (b"\xff\xd8\xff", b"\xff\xd9", b"\xff\xc0", b"IHDR", b"IDAT", b"IEND"), _check)
]
