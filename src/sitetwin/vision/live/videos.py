"""Which frame of a video belongs to which row of a table, and these frames as images."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.untrusted.video import FramesFolder, VideoClock, video_clock, video_frames

_MOST_DIGITS = 9
_SLACK = 0.1  # of a frame's time by which a row may lie outside of the half time about a frame, for rounded times


def frames_of_video(
    path: Path, names: Sequence[str] | None, times: Float[np.ndarray, " rows"], what: str, fps: float | None = None
) -> tuple[list[Path | None], FramesFolder]:
    """Unpack the frames that belong to the rows of a table.

    With names, they are numbers of frames from 0. Without, where there are as many rows as frames, they belong together
    in their order; else a row takes the frame nearest to its time, which counts from the first frame, if one lies
    within half the time between frames.

    Args:
        path: The video.
        names: Cells of the column ``frame``, or None without that column.
        times: (R,) of the rows, seconds.
        what: Kind and name of the table, for messages.
        fps: Frames per second; None for the times of the container.

    Returns:
        The image of each row, None where there is none, and the folder that holds them.

    Raises:
        SiteTwinError: The video cannot be read whole, its times do not rise, frames are counted in a video that has
            lost some, or no row belongs to a frame.

    Warns:
        SiteTwinWarning: Rows and frames that were taken in their order have other times.
    """
    said = f"video '{path}'"
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise SiteTwinError(f"{fps:g} frames per second are none; give a positive number")
    clock = video_clock(path, said)
    taken = clock.times if fps is None else np.arange(len(clock.times)) / fps
    if names is not None or len(times) == len(taken):
        _check_numbers(clock, said)
    if names is not None:
        numbers = [int(name) if _counts(name) and int(name) < len(taken) else None for name in names]
        lacking = "'frame' is a number from 0"
    elif len(times) == len(taken):
        numbers, lacking = list(range(len(taken))), ""
        _compare(times, taken, said, what)
    else:
        numbers = _nearest(times, taken, said)
        lacking = f"time_s counts from the first frame, and the video lasts {taken[-1]:.2f} s"
    if all(number is None for number in numbers):
        raise SiteTwinError(f"no row of {what} belongs to a frame of {said}: {lacking}; mend the table")
    folder = video_frames(path, said, sorted({number for number in numbers if number is not None}))
    return [None if number is None else folder.image(number) for number in numbers], folder


def _check_numbers(clock: VideoClock, said: str) -> None:
    """Refuse to count frames where some may be lost."""
    if len(clock.times) < round(clock.stated):
        raise SiteTwinError(
            f"{said} states {clock.stated:.0f} frames and {len(clock.times)} can be decoded, so that frames cannot be "
            "told by their number; give a table without the column 'frame' whose time_s counts from the first frame"
        )


def _nearest(times: np.ndarray, taken: np.ndarray, said: str) -> list[int | None]:
    """The frame of each time, where one lies within half a frame."""
    if not (np.diff(taken) > 0).all():  # NaN does not rise
        raise SiteTwinError(f"the times that {said} states do not rise; give its frames per second")
    if len(taken) < 2:
        return [0 if abs(time - taken[0]) < 1e-3 else None for time in times]
    after = np.clip(np.searchsorted(taken, times), 1, len(taken) - 1)
    nearest = np.where(times - taken[after - 1] <= taken[after] - times, after - 1, after)
    half = (0.5 + _SLACK) * float(np.median(np.diff(taken)))
    return [int(k) if abs(time - taken[k]) <= half else None for k, time in zip(nearest, times, strict=True)]


def _compare(times: np.ndarray, taken: np.ndarray, said: str, what: str) -> None:
    """Say where rows and frames in their order have other times."""
    apart = float(np.abs((times - times[0]) - taken).max())
    if len(taken) > 1 and not apart <= 0.5 * float(np.median(np.diff(taken))):  # NaN is apart, too
        warnings.warn(
            f"{what} has a row for each frame of {said}, taken in their order; by its clock they lie up to "
            f"{apart:.2f} s apart",
            SiteTwinWarning,
            stacklevel=4,
        )


def _counts(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
