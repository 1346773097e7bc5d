"""glTF documents, written from scratch for the tests (not by the exporter under test)."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import numpy as np

from sitetwin.site.importers.meshes import unit_cube


def cube_document() -> tuple[dict[str, Any], bytes]:
    """A cube from (-1, -1, -1) to (1, 1, 1) as one node: float positions, 16-bit indices, one material."""
    vertices, faces = unit_cube()
    positions, indices = vertices.astype("<f4").tobytes(), faces.astype("<u2").tobytes()
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "house", "mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "material": 0}]}],
        "materials": [{"name": "itu_brick"}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 8, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 36, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": len(positions)},
            {"buffer": 0, "byteOffset": len(positions), "byteLength": len(indices)},
        ],
        "buffers": [{"byteLength": len(positions) + len(indices)}],
    }
    return document, positions + indices


def glb(document: dict[str, Any] | bytes, data: bytes | None) -> bytes:
    """A GLB file of a document and its binary chunk."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text
    if data is not None:
        data += b"\0" * (-len(data) % 4)
        body += struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def data_uri(data: bytes) -> str:
    """A buffer within the document."""
    return "data:application/octet-stream;base64," + base64.b64encode(data).decode()


def quaternion(axis: np.ndarray, angle: float) -> list[float]:
    """(x, y, z, w) of a rotation by `angle` radians about a unit axis."""
    return [*(np.sin(angle / 2) * axis).tolist(), float(np.cos(angle / 2))]
