"""Read lengths and counts as map makers write them: 12, 12 m, 12,5, 40', 6'2", 3;4."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

LONGEST = 10_000.0
"""Metres; a longer length on a map is a slip of the pen and reads as unknown."""

MOST = 500.0
"""Storeys; more of them read as unknown."""

_UNITS = {
    **dict.fromkeys(("", "m", "m.", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("mm", "millimetre", "millimetres", "millimeter", "millimeters"), 0.001),
    **dict.fromkeys(("cm", "centimetre", "centimetres", "centimeter", "centimeters"), 0.01),
    **dict.fromkeys(("dm", "decimetre", "decimetres", "decimeter", "decimeters"), 0.1),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), 1000.0),
    **dict.fromkeys(("'", "ft", "ft.", "foot", "feet"), 0.3048),
    **dict.fromkeys(('"', "in", "in.", "inch", "inches"), 0.0254),
}
"""Metres in a unit."""

# A comma before one, two, or four and more digits is a decimal comma; before three it could group thousands.
_NUMBER = r"(?:\d+(?:\.\d*|,(?:\d{1,2}|\d{4,}))?|\.\d+)"
_APPROXIMATELY = r"(?:[~≈]|(?:ca|approx|about)\b\.?)?"
_LENGTH = re.compile(rf"{_APPROXIMATELY}\s*\+?({_NUMBER})\s*([a-z]+\.?|['\"]|)")
_FEET_AND_INCHES = re.compile(
    rf"{_APPROXIMATELY}\s*(\d+)\s*(?:'|ft\.?|feet|foot)\s*({_NUMBER})\s*(?:\"|in\.?|inch(?:es)?|)"
)
_COUNT = re.compile(rf"\+?({_NUMBER})")
# Commas that separate: two and more of them, one before a space; between storeys also one before no part of a storey.
_LIST_OF_LENGTHS = re.compile(r"[^,]*(?:,[^,]*){2,}|[^,]*\d[^,]*,\s[^,]*\d[^,]*")
_THOUSANDS = re.compile(r"\d,\d{3}(?!\d)")
_LIST_OF_COUNTS = re.compile(rf"{_LIST_OF_LENGTHS.pattern}|\s*\d+,(?!(?:00?|50?|25|75)\s*$)\d{{1,2}}\s*")
_PRIMES = str.maketrans(
    dict.fromkeys("\u2032\u2019\u2018\u00b4`", "'") | dict.fromkeys("\u2033\u201d\u201c", '"')
)  # of typography
_LONGEST_TEXT = 255  # what OpenStreetMap allows a value


def parse_length(text: str | None) -> float | None:
    """Read a length such as the value of OpenStreetMap's ``height``, ``min_height`` or ``width``.

    A number alone is in metres; m, mm, cm, km, feet and inches are understood, in words or as ' and ", with a decimal
    point or comma, with the digits of any script, after "~" or "about". The largest of several values (``3;4``,
    ``3, 4``) counts, because an obstacle ends there.

    Args:
        text: The value, or None where there is none.

    Returns:
        Metres, from 0 to `LONGEST`; None if the text says nothing, something else, or something negative (``-1`` is how
        some data sets write "unknown").

    Example:
        >>> [parse_length(text) for text in ("12", "12,5 m", "3;4", "10 ft", "-1")]
        [12.0, 12.5, 4.0, 3.048, None]
    """
    return _largest(text, _one_length, LONGEST)


def parse_count(text: str | None) -> float | None:
    """Read a number of storeys such as a value of ``building:levels``: "3", "2.5", "0"; of "3;4" the largest.

    Storeys are whole, half or quarter, so that "2,5" is two and a half, and "1,2" are two values.

    Args:
        text: The value, or None where there is none.

    Returns:
        The number, from 0 to `MOST`; None if the text says nothing, something else, or something negative.
    """
    return _largest(text, _one_count, MOST)


def has_several(text: str, *, counts: bool = False) -> bool:
    """Return whether a text holds several values, of which the largest counts.

    Args:
        text: The value.
        counts: Whether it is a number of storeys, not a length.
    """
    return len(_parts(_plain(text), counts)) > 1


def _parts(text: str, counts: bool) -> list[str]:
    """The values between semicolons, and between commas that are no decimal commas."""
    values = []
    for part in text.split(";"):
        listed = _LIST_OF_COUNTS if counts else _LIST_OF_LENGTHS
        values += part.split(",") if listed.fullmatch(part) and not _THOUSANDS.search(part) else [part]
    return [value.strip() for value in values]


def _largest(text: str | None, read: Callable[[str], float | None], limit: float) -> float | None:
    """The largest of the values between semicolons that can be read and lie within the limit."""
    if text is None or len(text) > _LONGEST_TEXT:
        return None
    values = [read(part) for part in _parts(_plain(text), read is _one_count)]
    return max((v for v in values if v is not None and v <= limit), default=None)


def _one_length(text: str) -> float | None:
    if match := _FEET_AND_INCHES.fullmatch(text):
        return _number(match[1]) * _UNITS["ft"] + _number(match[2]) * _UNITS["in"]
    match = _LENGTH.fullmatch(text)
    if match is None or match[2] not in _UNITS:
        return None
    return _number(match[1]) * _UNITS[match[2]]


def _one_count(text: str) -> float | None:
    match = _COUNT.fullmatch(text)
    return _number(match[1]) if match else None


def _number(digits: str) -> float:
    return float(digits.replace(",", "."))


def _plain(text: str) -> str:
    """Lower case, ASCII digits, straight quotes."""
    text = unicodedata.normalize("NFKC", text.translate(_PRIMES)).translate(_PRIMES)
    return "".join(c if c.isascii() or (d := unicodedata.decimal(c, None)) is None else str(d) for c in text).lower()
