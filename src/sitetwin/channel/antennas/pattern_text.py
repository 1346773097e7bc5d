"""Text and numbers of pattern files, as vendors write them."""

from __future__ import annotations

import math
import re
from pathlib import Path

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted import count_lines, read_bytes

LARGEST_FILE = 64 * 2**20
"""Bytes of a pattern file; a grid of one degree has some 2 MB."""

MOST_LINES = 2**19
"""Lines of a pattern file; a grid of half a degree has a quarter of a million."""

_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+")


def read_text(path: Path) -> str:
    """Read a text in UTF-8 or UTF-16 with its mark, or else in the Windows code page 1252.

    Vendors' files are of the nineties: their +-, degree and dash signs are single bytes.

    Raises:
        SiteTwinError: The file cannot be read, is larger than 64 MB, has more than `MOST_LINES`, or is no text.
    """
    what = f"antenna pattern {path}"
    data = read_bytes(path, what, LARGEST_FILE)
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        if wide:
            raise SiteTwinError(f"{what} cannot be read: {error}; save it as UTF-8") from error
        text = data.decode("cp1252", errors="replace")
    if "\0" in text:
        raise SiteTwinError(f"{what} cannot be read: it holds zero bytes, so that it is no text; check the file")
    if count_lines(text) > MOST_LINES:
        raise SiteTwinError(f"{what} has more than {MOST_LINES} lines; give a coarser grid")
    return text


def number(text: str, where: str) -> float:
    """A finite number with a decimal point or comma.

    Raises:
        SiteTwinError: It is not.
    """
    try:
        value = float(text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text)
    except ValueError:
        raise SiteTwinError(f"{where}: '{text[:40]}' is not a number") from None
    if not math.isfinite(value):
        raise SiteTwinError(f"{where}: '{text[:40]}' is not finite")
    return value
