"""Frames of videos: decoded by FFmpeg, which OpenCV brings, in a process with little time and memory.

A forged file can end the process that a decoder runs in, name other files, or unpack to any size. Containers that may
name others (playlists, lists of files) are not among those that are opened.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted import video_child
from sitetwin.untrusted.files import read_head, regular_size, size_text
from sitetwin.untrusted.images import MOST_PIXELS
from sitetwin.untrusted.limited import answered

LARGEST_VIDEO = 2**32
"""Bytes of a video."""

MOST_FRAMES = 50_000
"""Frames of a video."""

LARGEST_FRAMES = 2**33
"""Bytes of the images that are unpacked from a video."""

_SECONDS, _BYTES_A_SECOND, _MOST_SECONDS = 20, 2**17, 3600
_MEMORY, _COPIES = 2**31, 24  # bytes of the process itself; bytes for each pixel of the largest frame
_LARGEST_FRAME = 2**24  # pixels
_ENVIRONMENT = {
    # No other file and no network is reached, and damaged frames end the decoding.
    "OPENCV_FFMPEG_CAPTURE_OPTIONS": "protocol_whitelist;file|format_whitelist;avi,mov,matroska|err_detect;explode",
    "OPENCV_LOG_LEVEL": "SILENT",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
}
_MEND = "give an AVI, MP4, MOV, MKV or WebM file, or cut it into images in a folder"


@dataclass(frozen=True, eq=False)
class VideoClock:
    """When the frames of a video were taken, as its container tells.

    Attributes:
        times: (F,) seconds from the first frame.
        rate: Frames per second that the container states; 0 where it states none.
        stated: Frames that the container states; 0 where it states none. Where there are fewer, some within were
            lost, or the number is an estimate of a container that keeps none.
    """

    times: Float[np.ndarray, " frames"]
    rate: float
    stated: float


def is_video(path: Path) -> bool:
    """Whether a file begins as a video does that is read: AVI, MP4 and MOV, Matroska and WebM.

    Raises:
        SiteTwinError: The file is missing, no regular file, or cannot be read.
    """
    head = read_head(path, 12)
    riff = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    return riff or head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free") or head[:4] == b"\x1a\x45\xdf\xa3"


def video_clock(path: Path, what: str) -> VideoClock:
    """Decode a video once, for the times of its frames.

    Args:
        path: The file.
        what: Kind and name of the file, for messages.

    Raises:
        SiteTwinError: The file is missing, no video of these kinds, damaged, cut short, without frames, beyond the
            limits of bytes, pixels and frames, or OpenCV is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="sitetwin-") as folder:
        return _asked(path, what, None, folder)


class FramesFolder:
    """A new folder of images, which is removed when nothing holds it any longer.

    Attributes:
        path: The folder.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="sitetwin-"))
        self._removal = weakref.finalize(self, shutil.rmtree, str(self.path), ignore_errors=True)

    def image(self, number: int) -> Path:
        """Return the file of a frame."""
        return self.path / f"{number:06d}.png"


def video_frames(path: Path, what: str, numbers: Sequence[int]) -> FramesFolder:
    """Unpack frames of a video as PNG images into a new folder: frame 12 is ``000012.png``.

    Args:
        path: The file.
        what: Kind and name of the file, for messages.
        numbers: Numbers of the frames, from 0.

    Returns:
        The folder.

    Raises:
        SiteTwinError: As `video_clock`, or a frame of these is not in the video, or the images take more than
            `LARGEST_FRAMES`.
    """
    folder = FramesFolder()
    if numbers:
        _asked(path, what, sorted(set(numbers)), str(folder.path))
    lacking = [number for number in numbers if not folder.image(number).is_file()]
    if lacking:
        raise SiteTwinError(f"{what} has no frame {lacking[0]}; its frames are counted from 0")
    return folder


def _asked(path: Path, what: str, keep: list[int] | None, folder: str) -> VideoClock:
    size = regular_size(path, what, _MEND)
    if size > LARGEST_VIDEO:
        raise SiteTwinError(f"{what} is larger than {size_text(LARGEST_VIDEO)}; cut it into shorter videos")
    if not is_video(path):
        raise SiteTwinError(f"{what} does not begin as a video does; {_MEND}")
    if find_spec("cv2") is None:
        raise SiteTwinError(f"{what}: reading videos needs OpenCV; install it with pip install 'sitetwin[vision]'")
    question = {
        "folder": folder,
        "file": str(path.absolute()),
        "keep": keep,
        "most_frames": MOST_FRAMES,
        "most_pixels": min(MOST_PIXELS, _LARGEST_FRAME),
        "most_bytes": LARGEST_FRAMES,
    }
    seconds = min(_SECONDS + size // _BYTES_A_SECOND, _MOST_SECONDS)
    arrays, text = answered(
        video_child.__file__,
        question,
        seconds,
        _MEMORY + _COPIES * _LARGEST_FRAME,
        _ENVIRONMENT,
        what=what,
        kind="video",
        mend=_MEND,
        too_long=f"takes more than {seconds} s to decode; cut it into shorter ones",
        broken=f"is damaged, or needs far more memory than one of its kind; {_MEND}",
    )
    return VideoClock(arrays["times"].astype(np.float64), float(text["rate"]), float(text["stated"]))
