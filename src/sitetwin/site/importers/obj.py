"""Read Wavefront OBJ: vertices, and polygons with the object and the material they belong to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sitetwin.errors import SiteTwinError

MOST_LINES = 2**22
"""Lines of a mesh in text."""

LARGEST_TEXT_MESH = 2**27
"""Bytes of a mesh file in text (OBJ, ASCII PLY), of which each takes up to twenty of memory while it is read."""


class ObjFace(NamedTuple):
    """One polygon: vertex indices in order around, the latest ``o`` or ``g`` and the latest ``usemtl``."""

    corners: tuple[int, ...]
    object: str
    material: str


def check_text(data: bytes, where: str) -> None:
    """Refuse a text file that would need too much memory.

    Raises:
        SiteTwinError: The file has more than `LARGEST_TEXT_MESH` bytes, or more than `MOST_LINES` lines.
    """
    if len(data) > LARGEST_TEXT_MESH:
        raise SiteTwinError(
            f"mesh file '{where}' has more than {LARGEST_TEXT_MESH >> 20} MB of text; export it as binary PLY"
        )
    if data.count(b"\n") > MOST_LINES:
        raise SiteTwinError(f"mesh file '{where}' has more than {MOST_LINES} lines of text; export it as binary PLY")


def parse_obj(data: bytes, where: str) -> tuple[np.ndarray, list[ObjFace]]:
    """Read an OBJ file; texture coordinates, normals, curves and material libraries are ignored.

    Args:
        data: Content of the file.
        where: Name of the file, for messages.

    Returns:
        (V, 3) float64 vertices in the file's unit, and the polygons; indices of the polygons are not checked.

    Raises:
        SiteTwinError: The file is too large.
        ValueError: A number is malformed.
    """
    check_text(data, where)
    vertices: list[list[float]] = []
    faces: list[ObjFace] = []
    group, material = "", ""
    for line in data.decode("utf-8", "replace").splitlines():
        words = line.split()
        if words[:1] == ["v"]:
            vertices.append([float(w) for w in words[1:4]])
        elif words[:1] == ["f"]:
            corners = [int(w.split("/")[0]) for w in words[1:]]
            faces.append(ObjFace(tuple(c - 1 if c > 0 else len(vertices) + c for c in corners), group, material))
        elif words[:1] in (["o"], ["g"]):
            group = " ".join(words[1:])
        elif words[:1] == ["usemtl"]:
            material = " ".join(words[1:])
    return np.array(vertices, dtype=np.float64).reshape(-1, 3), faces
