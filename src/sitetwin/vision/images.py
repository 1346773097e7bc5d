"""Images from files: refused in a sentence, or flagged and blank in the middle of a drive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from sitetwin import untrusted
from sitetwin.errors import SiteTwinError
from sitetwin.vision import flags
from sitetwin.vision.camera import Camera
from sitetwin.vision.frames import Frame
from sitetwin.vision.networks.runtime import need

DARK_BELOW = 60.0
"""Mean of the brightest channel, of 255, below which an image is dark."""


def read_image(path: str | Path) -> UInt8[np.ndarray, "height width 3"]:
    """Read a JPEG or PNG image.

    Args:
        path: The file.

    Returns:
        (height, width, 3) red, green, blue; turned as its camera's orientation says, without an alpha channel.

    Raises:
        SiteTwinError: OpenCV is not installed, or the file is missing, no whole JPEG or PNG, or has too many pixels.
    """
    need("cv2")
    import cv2

    path = Path(path)
    what, mend = f"image '{path}'", "give a whole JPEG or PNG file"
    data = untrusted.read_bytes(path, what, untrusted.LARGEST_IMAGE, mend)
    untrusted.image_size(data, what, mend)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise SiteTwinError(f"{what} cannot be decoded; {mend}") from error
    if image is None:
        raise SiteTwinError(f"{what} cannot be decoded; {mend}")
    return np.ascontiguousarray(image[..., ::-1])


def frame_from_file(path: str | Path | None, camera: Camera, time: float | None = None) -> Frame:
    """Read the frame of a moment for a camera, whatever the file holds: a drive does not end with one broken image.

    Args:
        path: The file; None where there is no image of the moment.
        camera: Whose image it is. A larger or smaller image of the same shape is scaled to it.
        time: Seconds.

    Returns:
        The frame; where the image is missing, broken or of another shape it is black and flagged.
    """
    source = "" if path is None else str(path)
    flagged: tuple[str, ...] = ()
    image = np.zeros((camera.height, camera.width, 3), np.uint8)
    if path is None or untrusted.is_missing(Path(path)):
        return Frame(image, time, source, flags=(flags.NO_IMAGE,))
    try:
        read = read_image(path)
    except SiteTwinError:
        need("cv2")  # a missing package is no broken image
        return Frame(image, time, source, flags=(flags.BROKEN_IMAGE,))
    if read.shape[:2] != (camera.height, camera.width):
        try:
            camera.resized(read.shape[1], read.shape[0])
        except SiteTwinError:
            return Frame(image, time, source, flags=(flags.WRONG_SIZE,))
        read, flagged = scaled(read, camera.width, camera.height), (flags.RESIZED,)
    if is_dark(read):
        flagged += (flags.DARK,)
    return Frame(read, time, source, flags=flagged)


def scaled(image: UInt8[np.ndarray, "height width 3"], width: int, height: int) -> UInt8[np.ndarray, "rows columns 3"]:
    """Return an image in another size, pixels."""
    import cv2

    smaller = width * height < image.shape[0] * image.shape[1]
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR))


def is_dark(image: UInt8[np.ndarray, "height width 3"]) -> bool:
    """Whether an image was taken at night, by its brightness."""
    return bool(image[::4, ::4].max(axis=-1).mean() < DARK_BELOW)
