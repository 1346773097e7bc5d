"""Read Wavefront OBJ: vertices, and polygons with the object and the material they belong to."""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sitetwin.errors import SiteTwinError

MOST_LINES = 2**21
"""Lines of a mesh in text. A site of the million triangles that they can hold takes most of a gigabyte to build."""

LARGEST_TEXT_MESH = 2**27
"""Bytes of a mesh file in text (OBJ, ASCII PLY)."""

LONGEST_LINE = 2**20
"""Bytes of one line of it."""

MOST_CLIPPING = 2**30
"""Squares of the corners of all polygons of an OBJ file together: cutting one into triangles may take so many steps."""


class ObjFace(NamedTuple):
    """One polygon: vertex indices in order around, the latest ``o`` or ``g`` and the latest ``usemtl``."""

    corners: tuple[int, ...]
    object: str
    material: str


def text_lines(data: bytes, where: str) -> Iterator[bytes]:
    """The lines of a mesh file in text, one after the other.

    Args:
        data: Content of the file.
        where: Name of the file, for messages.

    Raises:
        SiteTwinError: The file has more than `LARGEST_TEXT_MESH` bytes, more than `MOST_LINES` lines, or a line of more
            than `LONGEST_LINE` bytes.
    """
    if len(data) > LARGEST_TEXT_MESH:
        raise SiteTwinError(
            f"mesh file '{where}' has more than {LARGEST_TEXT_MESH >> 20} MB of text; export it as binary PLY"
        )
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if data.count(b"\n") > MOST_LINES:
        raise SiteTwinError(f"mesh file '{where}' has more than {MOST_LINES} lines of text; export it as binary PLY")
    for line in io.BytesIO(data):
        if len(line) > LONGEST_LINE:
            raise SiteTwinError(
                f"mesh file '{where}' has a line of more than {LONGEST_LINE >> 20} MiB of text; export it again"
            )
        yield line


def parse_obj(data: bytes, where: str) -> tuple[np.ndarray, list[ObjFace]]:
    """Read an OBJ file; texture coordinates, normals, curves and material libraries are ignored.

    Args:
        data: Content of the file.
        where: Name of the file, for messages.

    Returns:
        (V, 3) float64 vertices in the file's unit, and the polygons; indices of the polygons are not checked.

    Raises:
        SiteTwinError: The file is too large, or its polygons have too many corners.
        ValueError: A number is malformed.
    """
    vertices, faces = array("d"), list[ObjFace]()
    group, material, clipping = "", "", 0
    for line in text_lines(data, where):
        words = line.split()
        if words[:1] == [b"v"]:
            x, y, z = (float(word) for word in words[1:4])
            vertices.extend((x, y, z))
        elif words[:1] == [b"f"]:
            clipping += (len(words) - 1) ** 2
            if clipping > MOST_CLIPPING:
                raise SiteTwinError(
                    f"mesh file '{where}' has polygons of too many corners, up to one of {len(words) - 1}; triangulate "
                    "it before the export"
                )
            corners = [int(word.split(b"/")[0]) for word in words[1:]]
            known = len(vertices) // 3
            faces.append(ObjFace(tuple(c - 1 if c > 0 else known + c for c in corners), group, material))
        elif words[:1] in ([b"o"], [b"g"]):
            group = _name(words)
        elif words[:1] == [b"usemtl"]:
            material = _name(words)
    return np.array(vertices, dtype=np.float64).reshape(-1, 3), faces


def _name(words: list[bytes]) -> str:
    """The rest of a line."""
    return b" ".join(words[1:]).decode("utf-8", "replace")
