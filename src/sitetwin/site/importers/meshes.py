"""Read triangle meshes: PLY, Wavefront OBJ, and Mitsuba's unit cube and rectangle.

Written in NumPy on purpose: a broken or hostile file ends in one sentence, never inside a native library.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from functools import cache
from itertools import islice

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.importers.obj import parse_obj, text_lines
from sitetwin.site.mesh import check_triangle_count
from sitetwin.untrusted.arrays import as_float64

_PLY_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_LARGEST_HEADER = 65536
_FACES_AT_ONCE = 2**18

MeshArrays = tuple[np.ndarray, np.ndarray]
"""Vertices (V, 3) float64 in metres, triangles (T, 3) int64."""


def read_mesh(data: bytes, kind: str, where: str) -> MeshArrays:
    """Read a mesh file of kind "ply" or "obj".

    Args:
        data: Content of the file.
        kind: "ply" or "obj".
        where: Name of the file, for messages.

    Raises:
        SiteTwinError: The file is truncated, malformed, too large, or holds faces of more than four corners.
    """
    try:
        vertices, faces = _read_ply(data, where) if kind == "ply" else _read_obj(data, where)
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError) as error:
        raise SiteTwinError(f"mesh file '{where}' is malformed or truncated; export it again") from error
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise SiteTwinError(f"mesh file '{where}' has a face that names a vertex it does not have; export it again")
    return vertices, faces


@cache
def unit_cube() -> MeshArrays:
    """Make Mitsuba's `cube`: corners at (-1, -1, -1) and (1, 1, 1), faces outwards; the arrays are shared by all."""
    vertices = np.array([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)], dtype=np.float64)
    quads = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    return _shared(vertices, _triangulate(quads))


@cache
def unit_rectangle() -> MeshArrays:
    """Make Mitsuba's `rectangle`: from (-1, -1, 0) to (1, 1, 0), facing +z; the arrays are shared by all."""
    vertices = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], dtype=np.float64)
    return _shared(vertices, _triangulate([(0, 1, 2, 3)]))


def _shared(vertices: np.ndarray, faces: np.ndarray) -> MeshArrays:
    """The arrays, which nobody can change any more."""
    for values in (vertices, faces):
        values.setflags(write=False)
    return vertices, faces


def _triangulate(faces: Sequence[tuple[int, ...]]) -> np.ndarray:
    rows = []
    for face in faces:
        rows.append(face[:3])
        if len(face) == 4:
            rows.append((face[0], face[2], face[3]))
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def _read_ply(data: bytes, where: str) -> MeshArrays:
    end = data.find(b"end_header", 0, _LARGEST_HEADER)
    body = data.find(b"\n", end) + 1
    if not data.startswith(b"ply") or end < 0 or body == 0:
        raise SiteTwinError(f"mesh file '{where}' is not a PLY file (its header is missing or too long)")
    form = ""
    elements: list[tuple[str, int, list[list[str]]]] = []
    for line in data[:end].decode("ascii", "replace").splitlines():
        words = line.split()
        if words[:1] == ["format"]:
            form = words[1]
        elif words[:1] == ["element"]:
            elements.append((words[1], int(words[2]), []))
        elif words[:1] == ["property"]:
            elements[-1][2].append(words[1:])
    if any(count < 0 or count > len(data) for _, count, _ in elements):
        raise SiteTwinError(f"mesh file '{where}' promises more elements than it has bytes; it is truncated")
    for name, count, _ in elements:
        check_triangle_count(count if name == "face" else count // 3, f"mesh file '{where}'")
    if form == "ascii":
        return _ply_ascii(data[body:], elements, where)
    if form not in ("binary_little_endian", "binary_big_endian"):
        raise SiteTwinError(f"mesh file '{where}' has the unknown PLY format '{form}'; export it as binary PLY")
    return _ply_binary(data[body:], elements, "<" if form == "binary_little_endian" else ">", where)


def _ply_binary(data: bytes, elements: list, order: str, where: str) -> MeshArrays:
    position, vertices, faces = 0, np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    for name, count, properties in elements:
        if not any(p[0] == "list" for p in properties):
            dtype = np.dtype([(p[1], order + _PLY_TYPES[p[0]]) for p in properties])
            rows = np.frombuffer(data, dtype, count, position)
            position += count * dtype.itemsize
            if name == "vertex":
                vertices = as_float64(np.stack([rows[axis] for axis in "xyz"], axis=1))
        elif name == "face":
            faces, position = _ply_faces(data, count, properties, order, position, where)
        else:
            raise SiteTwinError(f"mesh file '{where}' has a list in its element '{name}'; only faces may have one")
    return vertices, faces


def _ply_faces(
    data: bytes, count: int, properties: list, order: str, position: int, where: str
) -> tuple[np.ndarray, int]:
    """Faces of a binary PLY; the usual all-triangle file is read in one piece."""
    which = _corner_property(properties, where)
    fields: list[tuple] = []
    for k, words in enumerate(properties):
        if k == which:
            fields += [("_count", order + _PLY_TYPES[words[1]]), ("_corners", order + _PLY_TYPES[words[2]], (3,))]
        else:
            fields.append((f"_other{k}", order + _PLY_TYPES[words[0]]))
    dtype = np.dtype(fields)
    if position + count * dtype.itemsize <= len(data):
        rows = np.frombuffer(data, dtype, count, position)
        if (rows["_count"] == 3).all():
            return rows["_corners"].astype(np.int64), position + count * dtype.itemsize
    return _mixed_faces(data, count, fields, which, position, where)


def _mixed_faces(
    data: bytes, count: int, fields: list[tuple], which: int, position: int, where: str
) -> tuple[np.ndarray, int]:
    """Faces of three and four corners; first where each of them begins, then their corners, many at once."""
    before, after = (sum(np.dtype(f[1]).itemsize for f in part) for part in (fields[:which], fields[which + 2 :]))
    size_type, index_type = (np.dtype(f[1]) for f in fields[which : which + 2])
    read_size = struct.Struct(fields[which][1][0] + size_type.char).unpack_from
    lead, width = before + size_type.itemsize, index_type.itemsize
    starts, sizes = np.empty(count, np.int64), np.empty(count, np.int8)
    for face in range(count):
        try:
            (size,) = read_size(data, position + before)
        except struct.error as error:
            raise ValueError("the faces are cut off") from error
        if size != 3 and size != 4:
            _check_corners(size, where)
        starts[face], sizes[face] = position + lead, size
        position += lead + int(size) * width + after
    if position > len(data):
        raise ValueError("the faces are cut off")
    return _split_quads(_gathered(data, starts, sizes, index_type), sizes), position


def _gathered(data: bytes, starts: np.ndarray, sizes: np.ndarray, index_type: np.dtype) -> np.ndarray:
    """(F, 4) corners from where they begin; those of triangles repeat their last one."""
    content, corners = np.frombuffer(data, np.uint8), np.empty((len(starts), 4), np.int64)
    offsets = np.arange(index_type.itemsize)
    for corner in range(4):
        for rows in np.array_split(np.arange(len(starts)), len(starts) // _FACES_AT_ONCE + 1):
            first = starts[rows] + np.minimum(corner, sizes[rows] - 1) * index_type.itemsize
            corners[rows, corner] = content[first[:, None] + offsets].view(index_type)[:, 0]
    return corners


def _split_quads(corners: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Triangles in the order of the faces (F, 4); a face of four corners gives two."""
    both = np.stack([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]], axis=1)
    kept = np.stack([np.ones(len(sizes), bool), sizes == 4], axis=1)
    return both[kept]


def _ply_ascii(data: bytes, elements: list, where: str) -> MeshArrays:
    lines, vertices, faces = text_lines(data, where), np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    for name, count, properties in elements:
        rows = (line.split() for line in islice(lines, count))
        if name == "vertex":
            columns = [[p[-1] for p in properties].index(axis) for axis in "xyz"]
            numbers = array("d", (float(row[c]) for row in rows for c in columns))
            vertices, lines_read = np.array(numbers).reshape(-1, 3), len(numbers) // 3
        elif name == "face":
            lead = _corner_property(properties, where)
            polygons = [_ascii_face(row, lead, where) for row in rows]
            faces, lines_read = _triangulate(polygons), len(polygons)
        else:
            lines_read = sum(1 for _ in rows)
        if lines_read < count:
            raise SiteTwinError(f"mesh file '{where}' is truncated; export it again")
    return vertices, faces


def _ascii_face(row: list[bytes], lead: int, where: str) -> tuple[int, ...]:
    """Corners of a face whose list begins at the word `lead`."""
    size = int(row[lead])
    _check_corners(size, where)
    corners = tuple(int(word) for word in row[lead + 1 : lead + 1 + size])
    if len(corners) < size:
        raise ValueError("short face")
    return corners


def _corner_property(properties: list, where: str) -> int:
    lists = [k for k, words in enumerate(properties) if words[0] == "list"]
    if len(lists) != 1 or properties[lists[0]][-1] not in ("vertex_indices", "vertex_index"):
        raise SiteTwinError(f"mesh file '{where}' needs exactly one list per face, named vertex_indices")
    return lists[0]


def _check_corners(size: int, where: str) -> None:
    if size not in (3, 4):
        raise SiteTwinError(f"mesh file '{where}' has a face of {size} corners; triangulate it before the export")


def _read_obj(data: bytes, where: str) -> MeshArrays:
    vertices, faces = parse_obj(data, where)
    for face in faces:
        _check_corners(len(face.corners), where)
    return vertices, _triangulate([face.corners for face in faces])
