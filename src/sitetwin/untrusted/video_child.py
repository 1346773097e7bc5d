"""Decode a video by FFmpeg, as a program of its own: files of strangers get little time and memory.

`sitetwin.untrusted.limited` lets this program run. It imports nothing of the package, so that it starts quickly.
`video.py` asks the question and checks the answer.
"""

from __future__ import annotations

import json
import math
import os
from typing import Any

_TRUNCATED = 1.5  # frames that may lack at the end by the length that the file states


class RefusalError(Exception):
    """What is wrong with a file, and how to mend it."""


def answer(question: dict[str, Any]) -> None:
    """Read what the question names and write the answer.

    Args:
        question: `answer`, the file to write; `file`; `keep`, numbers of the frames that are written as images, or null
            for the times of all frames alone; `folder` for the images; `most_frames`, `most_pixels` of a frame and
            `most_bytes` of all images.
    """
    import numpy as np

    text: dict[str, Any] = {}
    times: list[float] = []
    try:
        times = _decoded(question, text)
    except RefusalError as refusal:
        text = {"refused": str(refusal)}
    except Exception as error:  # whatever the decoder and its wrapper meet, this process ends here
        said = " ".join(str(error).split())[:100] or type(error).__name__
        text = {"refused": f"is damaged or no video ({said}); copy it again"}
    np.savez(question["answer"], text=np.frombuffer(json.dumps(text).encode(), dtype=np.uint8), times=np.array(times))


def _decoded(question: dict[str, Any], text: dict[str, Any]) -> list[float]:
    """Times of the frames, seconds from the first, as the container tells them."""
    import cv2

    cv2.setNumThreads(1)
    video = cv2.VideoCapture(question["file"], cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not video.isOpened():
        raise RefusalError("cannot be opened as a video; it is cut short, damaged, or of a codec that is not read")
    width, height = (int(video.get(axis)) for axis in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width < 1 or height < 1 or width * height > question["most_pixels"]:
        raise RefusalError(f"has frames of {width} x {height} pixels, beyond {question['most_pixels']}; scale it down")
    rate, stated = float(video.get(cv2.CAP_PROP_FPS)), float(video.get(cv2.CAP_PROP_FRAME_COUNT))
    keep = None if question["keep"] is None else set(question["keep"])
    times: list[float] = []
    written = 0
    while video.grab():
        if len(times) >= question["most_frames"]:
            raise RefusalError(f"has more than {question['most_frames']} frames; cut it into shorter ones")
        times.append(1e-3 * float(video.get(cv2.CAP_PROP_POS_MSEC)))
        if keep is not None and len(times) - 1 in keep:
            good, image = video.retrieve()
            if not good:
                raise RefusalError(f"has a frame {len(times) - 1} that cannot be decoded; copy the file again")
            written += _written(cv2, image, os.path.join(question["folder"], f"{len(times) - 1:06d}.png"))
            if written > question["most_bytes"]:
                raise RefusalError("unpacks to more images than there is room for; cut it into shorter videos")
            if len(times) > max(keep):
                break
    if not times:
        raise RefusalError("has no frames; give a video of the camera")
    if keep is None:
        _check_whole(times, rate, stated)
    text["rate"] = rate if math.isfinite(rate) and rate > 0 else 0.0
    text["stated"] = stated if math.isfinite(stated) and stated > 0 else 0.0
    return [time - times[0] for time in times]


def _written(cv2: Any, image: Any, path: str) -> int:
    """Bytes of an image that was written without losses."""
    good, packed = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not good:
        raise RefusalError("has a frame that cannot be written as an image; convert it")
    with open(path, "wb") as file:
        file.write(packed.tobytes())
    return int(packed.size)


def _check_whole(times: list[float], rate: float, stated: float) -> None:
    """Refuse a video that ends before the end that it states by number and by time (some state one of them only)."""
    if not (math.isfinite(stated) and stated > 0 and math.isfinite(rate) and rate > 0):
        return
    lasts = times[-1] - times[0]
    if len(times) < stated and lasts < (stated - _TRUNCATED) / rate:
        raise RefusalError(
            f"states {stated:.0f} frames and {len(times)} can be decoded; it is cut short or damaged: copy it again"
        )
