"""JSON, TOML and tables of text, within limits of size, depth, digits and cells."""

from __future__ import annotations

import csv
import json
import math
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted.files import read_bytes, short, size_text

LARGEST_TOML = 2**20
"""Bytes of a table of settings."""

LARGEST_JSON = 2**28
"""Bytes of a JSON document that no reader limits further."""

LARGEST_WHOLE = 2**63
"""Whole numbers of settings lie below it: no array holds larger ones."""

FREE_PARSED = 5 * 2**27
"""Bytes of memory that a JSON document may take when it is parsed, whatever its size."""

MOST_PARSED = 12
"""Times its own size that a larger one may take. Maps and city models take five to ten; brackets alone take 24."""

MOST_CELLS = 2**23
"""Cells of a table of text, empty ones too."""

_MEMORY = {b"{": 192, b"[": 72, b",": 32, b'"': 16}  # bytes that each of these in a document stands for
_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_MOST_DIGITS = 4300  # of a whole number, by Python's own limit
_DEEPEST_KEY = 16  # words of one dotted key of TOML, whose parser takes time by the square of them
_WORD = r"(?:[A-Za-z0-9_-]{1,99}|\"[^\"\n]{0,99}\"|'[^'\n]{0,99}')"
_LONG_KEY = re.compile(rf"(?<![\w-])(?:{_WORD}[ \t]{{0,9}}\.[ \t]{{0,9}}){{{_DEEPEST_KEY}}}")
_ALIKE = bytes.maketrans(b"123456789E", b"000000000e")
_EXPONENTS = (b"e000", b"e+000")
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")


def read_text(path: Path, what: str, largest: int, mend: str = "check the path") -> str:
    """Read a text in UTF-8, with or without a byte-order mark.

    Args:
        path: The file.
        what: Kind and name of the file, for messages.
        largest: Largest size, bytes.
        mend: What the user can do.

    Raises:
        SiteTwinError: The file cannot be read (`read_bytes`), or is no text in UTF-8.
    """
    return _decoded(read_bytes(path, what, largest, mend), what, mend)


def _decoded(data: bytes, what: str, mend: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SiteTwinError(f"{what} is no text in UTF-8; {mend}") from error


def read_json(path: Path, what: str, largest: int = LARGEST_JSON, mend: str = "mend it, or export it again") -> Any:
    """Read a JSON document from a file; what `read_bytes` and `parse_json` refuse is refused."""
    return parse_json(read_bytes(path, what, largest, mend), what, mend, largest=largest)


def parse_json(
    data: bytes,
    what: str,
    mend: str = "mend it, or export it again",
    *,
    largest: int = LARGEST_JSON,
    constant: Callable[[str], Any] | None = None,
    half_characters: bool = False,
) -> Any:
    """Parse a JSON document.

    Args:
        data: The text in UTF-8, with or without a byte-order mark, UTF-16 or UTF-32.
        what: Kind and name of the file, for messages.
        mend: What the user can do.
        largest: Largest size of the text, bytes.
        constant: What NaN and infinities become, from their names; floats by default.
        half_characters: Let lone surrogates pass, for a reader that replaces them.

    Raises:
        SiteTwinError: The text is too large, no JSON, nests too deeply, or holds a whole number of 64 bits or more,
            a number beyond all that a float holds, or half a character (a lone surrogate).
    """
    if len(data) > largest:
        raise SiteTwinError(f"{what} has more than {size_text(largest)} of JSON; cut it into smaller files")
    memory = sum(cost * data.count(mark) for mark, cost in _MEMORY.items())
    if memory > max(FREE_PARSED, MOST_PARSED * len(data)):
        raise SiteTwinError(
            f"{what} has more values in its {size_text(len(data))} of JSON than can be held ({size_text(memory)}); "
            "cut it into smaller files"
        )
    try:
        text = data.decode(json.detect_encoding(data))
        checked: Any = {"parse_int": _whole, "parse_float": _finite} if _has_long_numbers(data) else {}
        value = json.loads(text, parse_constant=constant, **checked)
        if not half_characters and _HALF_CHARACTER.search(data):
            _refuse_half_characters(value)
        return value
    except RecursionError as error:
        raise SiteTwinError(f"{what} nests the brackets of its JSON too deeply; {mend}") from error
    except (ValueError, MemoryError) as error:
        raise SiteTwinError(f"{what} is no well-formed JSON ({_fault(error)}); {mend}") from error


def parse_toml(data: bytes, what: str, mend: str = "mend it") -> dict[str, Any]:
    """Parse a TOML document.

    Args:
        data: The text in UTF-8.
        what: Kind and name of the file, for messages.
        mend: What the user can do.

    Raises:
        SiteTwinError: The text is too large, no TOML, nests too deeply, or holds a whole number of 64 bits or
            more, NaN or an infinity.
    """
    if len(data) > LARGEST_TOML:
        raise SiteTwinError(f"{what} is larger than {size_text(LARGEST_TOML)}, which no table of settings is; {mend}")
    try:
        text = data.decode("utf-8")
        if _LONG_KEY.search(text):
            raise SiteTwinError(f"{what} nests tables too deeply: it has a key of {_DEEPEST_KEY} words or more; {mend}")
        content = tomllib.loads(text)
        _refuse_numbers(content)
    except RecursionError as error:
        raise SiteTwinError(f"{what} nests brackets too deeply; {mend}") from error
    except ValueError as error:  # of TOML, of UTF-8, and of numbers with thousands of digits
        raise SiteTwinError(f"{what} is no TOML: {_fault(error)}; {mend}") from error
    return content


def _fault(error: Exception) -> str:
    """What is wrong with a text: Python's own words for long numbers and half characters tell its users nothing."""
    said = short(error)
    if said.startswith("Exceeds the limit"):
        return f"a whole number has more than {_MOST_DIGITS} digits"
    return "a text holds half a character" if "surrogates not allowed" in said else said


def read_table(path: Path, what: str, largest: int, mend: str = "copy or export it again") -> list[list[str]]:
    """Read a table of text whose cells are apart by commas; what `read_text` and `parse_table` refuse is refused."""
    return parse_table(read_text(path, what, largest, mend), what, mend)


def count_lines(text: str) -> int:
    """Ends of lines in a text, of every kind at which `str.splitlines` cuts it."""
    return sum(map(text.count, _LINE_ENDS)) - text.count("\r\n")


def parse_table(text: str, what: str, mend: str = "copy or export it again", separator: str = ",") -> list[list[str]]:
    """Cut a table of text into its cells.

    Args:
        text: The table. Blanks after a separator do not count.
        what: Kind and name of the file, for messages.
        mend: What the user can do.
        separator: What stands between cells.

    Returns:
        The cells of each row; an empty line is a row without cells.

    Raises:
        SiteTwinError: The table has more than `MOST_CELLS` cells, one of more than 131072 characters, or quotation
            marks without an end.
    """
    if text.count(separator) + count_lines(text) > MOST_CELLS:
        raise SiteTwinError(f"{what} has more than {MOST_CELLS} cells; leave out what is not needed")
    try:
        return list(csv.reader(text.splitlines(keepends=True), delimiter=separator, skipinitialspace=True))
    except csv.Error as error:
        raise SiteTwinError(f"{what} is no table of text ({short(error)}); {mend}") from error


def _has_long_numbers(data: bytes) -> bool:
    """Whether there are as many digits as a number beyond 64 bits or beyond a float has; others are parsed faster."""
    alike = data.replace(b"\0", b"").translate(_ALIKE)  # UTF-16 and UTF-32 have zero bytes between digits
    return b"0" * 19 in alike or any(mark in alike for mark in _EXPONENTS)


def _whole(text: str) -> int:
    """A whole number that an array holds."""
    value = int(text)
    if not -LARGEST_WHOLE <= value < LARGEST_WHOLE:
        raise ValueError(f"the whole number {text[:30]} has more than 64 bits")
    return value


def _finite(text: str) -> float:
    """A number that a float holds."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:30]} is larger than all that a float holds")
    return value


def _refuse_numbers(content: Any) -> None:
    """Refuse whole numbers of 64 bits or more, NaN and infinities: no setting is one."""
    left = [("", content)]
    while left:
        name, value = left.pop()
        if isinstance(value, dict):
            left += value.items()
        elif isinstance(value, list):
            left += ((name, one) for one in value)
        elif isinstance(value, int) and not -LARGEST_WHOLE <= value < LARGEST_WHOLE:
            raise ValueError(f"'{name[:60]}' has a whole number of more than 64 bits")
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name[:60]} = {value} is not a finite number")


def _refuse_half_characters(content: Any) -> None:
    left = [content]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += [*value, *value.values()]
        elif isinstance(value, list):
            left += value
        elif isinstance(value, str) and not value.isascii():
            value.encode("utf-8")  # UnicodeEncodeError, a ValueError, says which
