"""Tell a CityJSON file from other JSON by its own members, wherever they stand in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted import LARGEST_JSON, parse_json, read_head

_HEAD = 1 << 16  # bytes in which the members are sought first
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:,]', re.DOTALL)
_SIGN = re.compile(rb'"CityObjects"|"type"\s*:\s*"CityJSON')


def is_cityjson(path: Path) -> bool:
    """Return whether a JSON file is CityJSON or a sequence of it: by its type, or by its city objects.

    Members within others do not count: a map may tell of CityJSON, too. A large file whose first members do not say
    what it is is parsed whole. Of a file that is no sound JSON, the words alone decide which reader says so.

    Raises:
        SiteTwinError: The file cannot be read.
    """
    told = _told_by(_first_members(read_head(path, _HEAD)))
    if told is not None:
        return told
    data = read_head(path, LARGEST_JSON)
    for text in (data, data.strip().partition(b"\n")[0]):
        try:
            document = parse_json(text, f"'{path}'", half_characters=True)
        except SiteTwinError:
            continue
        return isinstance(document, dict) and bool(_told_by((key, document[key]) for key in document))
    return _SIGN.search(data) is not None


def _told_by(members: Any) -> bool | None:
    """Whether outermost members are those of CityJSON, or None where none tells it."""
    for key, value in members:
        if key == "CityObjects":
            return True
        if key == "type" and isinstance(value, str):
            return value.startswith("CityJSON")
        if key in ("elements", "features"):
            return False
    return None


def _first_members(head: bytes) -> Iterator[tuple[str, str | None]]:
    """Names of the outermost members in the beginning of a document, with those values that are texts."""
    depth, key, named = 0, "", False
    for match in _TOKEN.finditer(head):
        token = match[0]
        if token in (b"{", b"["):
            if depth == 1 and named:
                yield key, None
            depth, named = depth + 1, False
        elif token in (b"}", b"]"):
            depth -= 1
            if depth <= 0:
                return
        elif token == b":":
            named = depth == 1
        elif token == b",":
            named = False
        elif depth == 1 and named:
            yield key, token[1:-1].decode("utf-8", "replace")
            named = False
        elif depth == 1:
            key = token[1:-1].decode("utf-8", "replace")
