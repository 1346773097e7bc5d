"""Size and wholeness of JPEG and PNG images, before a decoder asks for memory."""

from __future__ import annotations

import zlib

from sitetwin.errors import SiteTwinError

LARGEST_IMAGE = 2**26
"""Bytes of an image file."""

MOST_PIXELS = 2**26
"""Pixels of an image."""

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_ALONE = {0x01, *range(0xD0, 0xD8)}  # markers of JPEG that carry nothing
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END = 0xDA, b"\xff\xd9"


def image_size(data: bytes, what: str, mend: str) -> tuple[int, int]:
    """Look at an image without decoding it.

    Decoders show the part of an image that was cut short and fill the rest, without a word; here it is refused.

    Args:
        data: The file.
        what: Kind and name of the file, for messages.
        mend: What the user can do.

    Returns:
        Width and height, pixels, before the camera's orientation is applied.

    Raises:
        SiteTwinError: It is no JPEG or PNG, is damaged or cut short, or has more than `MOST_PIXELS`.
    """
    try:
        if data.startswith(_PNG):
            width, height = _png(data)
        elif data.startswith(_JPEG):
            width, height = _jpeg(data)
        else:
            raise ValueError("it begins as neither JPEG nor PNG does")
        if width < 1 or height < 1:
            raise ValueError("it has no pixels")
    except (ValueError, IndexError) as error:
        raise SiteTwinError(f"{what} is no whole image ({error or 'it is cut short'}); {mend}") from error
    if width * height > MOST_PIXELS:
        raise SiteTwinError(f"{what} has {width} x {height} pixels, more than {MOST_PIXELS}; {mend}")
    return width, height


def _png(data: bytes) -> tuple[int, int]:
    at, size, kind = len(_PNG), None, b""
    while kind != b"IEND":
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        whole = data[at + 4 : at + 8 + length]
        if len(whole) != 4 + length or zlib.crc32(whole).to_bytes(4, "big") != data[at + 8 + length : at + 12 + length]:
            raise ValueError("a part of it is cut short or damaged")
        if size is None:
            if kind != b"IHDR" or length != 13:
                raise ValueError("it does not begin with its size")
            size = int.from_bytes(whole[4:8], "big"), int.from_bytes(whole[8:12], "big")
        at += 12 + length
    assert size is not None  # the first part is none without it
    return size


def _jpeg(data: bytes) -> tuple[int, int]:
    at, size = 2, None
    while True:
        if data[at] != 0xFF:
            raise ValueError("a part of it is damaged")
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        at += 1
        if marker in _ALONE:
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            raise ValueError("it is cut short")
        if marker in _FRAMES:
            if size is not None or length < 8:
                raise ValueError("it has two sizes")
            size = int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 3 : at + 5], "big")
        at += length
        if marker == _SCAN:
            break
    if size is None:
        raise ValueError("it has no size")
    if data.find(_END, at) < 0:
        raise ValueError("its end is missing")
    return size
