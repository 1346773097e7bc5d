"""Small videos whose frames tell their number."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

STEP = 8
"""Brightness between two frames."""


def write_video(path: Path, frames: int, code: str = "MJPG", fps: float = 10.0) -> Path:
    """Write a video whose frame k has the brightness `STEP` times k."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), fps, (64, 48))
    assert writer.isOpened()
    for k in range(frames):
        writer.write(np.full((48, 64, 3), STEP * k, np.uint8))
    writer.release()
    return path


def number_of(image: np.ndarray) -> int:
    """The number of the frame that an image was."""
    return round(float(image.mean()) / STEP)
