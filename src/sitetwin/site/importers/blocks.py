"""The grammar of Wireless InSite's files: a statement a line, in blocks ``begin_<tag> label`` ... ``end_<tag>``."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted import read_bytes

FARTHEST_POINT = 1e9
"""Coordinates beyond it are impossible in every unit and reference system of the earth."""

LARGEST_FILE = 2**28
"""Bytes of a file that is read whole."""

MOST_LINES = 2**22
"""Lines of a file; a face of four corners takes eight of them, and a city some hundred thousand faces."""

_BEGIN = re.compile(r"begin_<([A-Za-z0-9_:]{1,64})>\s*(.*)", re.DOTALL)
_END = re.compile(r"end_<([A-Za-z0-9_:]{1,64})>")
_DEEPEST = 32


@dataclass(slots=True)
class Block:
    """One block of a file.

    Attributes:
        tag: Kind of the block, such as "face".
        label: Rest of the block's first line, such as the name of a material.
        line: Number of the block's first line, counted from 1.
        statements: Line number and text of the block's own lines, without the lines of inner blocks.
        children: The inner blocks, in file order.
    """

    tag: str
    label: str
    line: int
    statements: list[tuple[int, str]] = field(default_factory=list)
    children: list[Block] = field(default_factory=list)

    def named(self, *tags: str) -> list[Block]:
        """Return the children of the given kinds, in file order."""
        return [child for child in self.children if child.tag in tags]

    def walk(self, tag: str) -> Iterator[Block]:
        """Return all inner blocks of one kind, at any depth."""
        for child in self.children:
            if child.tag == tag:
                yield child
            yield from child.walk(tag)

    def has(self, word: str) -> bool:
        """Return whether one of the block's own lines is this word alone."""
        return any(text == word for _, text in self.statements)

    def get(self, key: str) -> tuple[int, str] | None:
        """Return line and value of the block's first statement ``key value``, or None."""
        for line, text in self.statements:
            words = text.split(None, 1)
            if words[0] == key and len(words) == 2:
                return line, words[1]
        return None


@dataclass(frozen=True)
class Source:
    """A file being read, for messages.

    Attributes:
        where: Name of the file.
    """

    where: str

    def refuse(self, line: int, what: str, mend: str) -> NoReturn:
        """Raise the error for a fault in one line."""
        raise SiteTwinError(f"'{self.where}', line {line}: {what}; {mend}")

    def need(self, block: Block, key: str) -> tuple[int, str]:
        """Return line and value of a statement that a block must have."""
        found = block.get(key)
        if found is None:
            self.refuse(
                block.line, f"the block <{block.tag}> has no statement '{key}'", "export the file again from InSite"
            )
        return found

    def number(self, line: int, text: str, what: str) -> float:
        """Read a finite number."""
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self.refuse(line, f"{what} is '{clip(text)}', which is no finite number", "correct it")
        return value

    def count(self, line: int, text: str, what: str, largest: int) -> int:
        """Read a whole number from 0 to `largest`."""
        if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) <= largest):
            self.refuse(line, f"{what} is '{clip(text)}', not a whole number up to {largest}", "correct it")
        return int(text)

    def point(self, line: int, text: str) -> tuple[float, float, float]:
        """Read three finite coordinates."""
        try:
            x, y, z = map(float, text.split())
        except ValueError:
            self.refuse(line, f"'{clip(text)}' should be the three coordinates of a point", "correct it")
        if not (abs(x) <= FARTHEST_POINT and abs(y) <= FARTHEST_POINT and abs(z) <= FARTHEST_POINT):  # NaN fails too
            what = f"the point '{clip(text)}' is NaN or infinite, or beyond {FARTHEST_POINT:g}"
            self.refuse(line, what, "correct it")
        return x, y, z

    def points(self, block: Block, largest: int) -> list[tuple[float, float, float]]:
        """Read the points after a block's statement ``nVertices n``, which must be its last statement."""
        line, text = self.need(block, "nVertices")
        size = self.count(line, text, "the number of vertices", largest)
        rows = [(n, text) for n, text in block.statements if n > line]
        if len(rows) != size:
            self.refuse(
                line,
                f"the block <{block.tag}> promises {size} vertices and lists {len(rows)}",
                "it was cut or edited, export it again",
            )
        return [self.point(n, text) for n, text in rows]


def clip(text: str) -> str:
    """Shorten a text for a message."""
    return text if len(text) <= 60 else text[:57] + "..."


def read_file(path: Path, limit: int = LARGEST_FILE) -> bytes:
    """Read the bytes of a file.

    Raises:
        SiteTwinError: The file does not exist, is larger than the limit, or cannot be read.
    """
    if not os.path.isfile(path):  # False also for a name that is too long
        raise SiteTwinError(f"'{path}' does not exist or is no file; check the path")
    return read_bytes(path, f"'{path}'", limit, "check its permissions, or cut it into smaller files")


def parse_blocks(data: bytes, where: str) -> Block:
    """Parse a whole file into blocks.

    Args:
        data: Content of the file: UTF-8, or else read as Latin-1.
        where: Name of the file, for messages.

    Returns:
        A block without a tag that holds the file's outermost blocks and statements.

    Raises:
        SiteTwinError: A block has no end (the file is truncated), an end has no beginning, blocks nest too deeply, or
            the file is binary or has more than `MOST_LINES`.
    """
    source = Source(where)
    if b"\0" in data:
        raise SiteTwinError(f"'{where}' is a binary file, not a text file of Wireless InSite; check the path")
    if data.count(b"\n") > MOST_LINES:
        raise SiteTwinError(f"'{where}' has more than {MOST_LINES} lines; export a smaller area")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    root = Block("", "", 1)
    open_blocks = [root]
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        if line.startswith("begin_<"):
            _begin(source, open_blocks, number, line)
        elif line.startswith("end_<"):
            _end(source, open_blocks, number, line)
        elif line:
            open_blocks[-1].statements.append((number, line))
    if len(open_blocks) > 1:
        left = open_blocks[-1]
        source.refuse(
            left.line, f"the block <{left.tag}> is never ended", "the file is truncated, copy or export it again"
        )
    return root


def _begin(source: Source, open_blocks: list[Block], number: int, line: str) -> None:
    match = _BEGIN.fullmatch(line)
    if match is None:
        source.refuse(number, f"'{clip(line)}' does not begin a block as begin_<tag> does", "correct it")
    if len(open_blocks) > _DEEPEST:
        source.refuse(number, f"blocks nest more than {_DEEPEST} deep", "this is no file of Wireless InSite")
    block = Block(match[1], match[2], number)
    open_blocks[-1].children.append(block)
    open_blocks.append(block)


def _end(source: Source, open_blocks: list[Block], number: int, line: str) -> None:
    match = _END.fullmatch(line)
    opened = open_blocks[-1]
    if match is None or match[1] != opened.tag:
        expected = f"end_<{opened.tag}> (begun in line {opened.line})" if opened.tag else "no block is open"
        source.refuse(number, f"'{clip(line)}' where {expected} is due", "a part is missing, export the file again")
    open_blocks.pop()
