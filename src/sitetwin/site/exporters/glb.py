"""Export to binary glTF 2.0 (GLB), for viewers and modelling programs."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.site.canopy_meshes import canopy_mesh
from sitetwin.site.exporters.files import write_file
from sitetwin.site.exporters.parts import parts_of
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.materials import Material
from sitetwin.site.site import Site

VEGETATION_MARK = {"sitetwin": "vegetation"}
"""The ``extras`` of the node that holds the canopies, which are no surfaces."""

_COLOURS = {
    "vacuum": "ffffff",
    "concrete": "a8a8a4",
    "brick": "a5533c",
    "plasterboard": "e6e1d3",
    "wood": "a67c4d",
    "glass": "8fb8cf",
    "clear_acrylic": "c9dde6",
    "ceiling_board": "d9d6c8",
    "chipboard": "b8935f",
    "plywood": "c29c68",
    "marble": "d8d2c4",
    "floorboard": "94693c",
    "vinyl_tile": "b9b4a6",
    "carpet_tile": "6d6f86",
    "asphalt_concrete": "55565a",
    "metal": "7d8794",
    "very_dry_ground": "c9b68d",
    "medium_dry_ground": "8f8a5b",
    "wet_ground": "5d6b46",
    "fresh_water": "4f86a8",
    "sea_water": "2f6690",
    "moist_soil": "75623f",
}
"""sRGB of the materials of ITU-R P.2040 and P.527."""

_OTHER_COLOURS = ("b07aa1", "76b7b2", "edc948", "f28e2b", "9c755f", "4e79a7")
_LEAVES = {"broadleaved": "5a8f3d", "needleleaved": "2f6147"}
_TRIANGLES, _VERTEX_BUFFER, _INDEX_BUFFER, _FLOAT, _UNSIGNED = 4, 34962, 34963, 5126, 5125


def export_glb(site: Site, path: str | Path, vegetation: bool = True) -> Ledger:
    """Write a site as a binary glTF 2.0 file: one node per object, coloured by material, y up, metres.

    Canopies are drawn as closed meshes under one node "vegetation", whose ``extras`` mark it; they are drawings of a
    medium, not surfaces, and `sitetwin` leaves that node out when it reads the file. The radio constants of each
    material and the georeference stand in ``extras``, where other programs may ignore them. Vertices are rounded to
    single precision. The same site gives the same bytes.

    Args:
        site: The site.
        path: The file to write.
        vegetation: Whether the canopies are drawn.

    Returns:
        The account of the export: what was written, rounded and left out.

    Raises:
        SiteTwinError: The file cannot be written (permissions, full disk).
    """
    ledger = Ledger()
    scene = _Builder()
    for material in site.materials:
        scene.add_material(material.name, _colour(material, site.materials), {"radio_material": material.to_dict()})
    roots = []
    for index, parts in groupby(parts_of(site), key=lambda part: part.object):
        surfaces = [(part.vertices, part.triangles, part.material) for part in parts]
        roots.append(scene.add_node(site.objects[index], surfaces))
    ledger.note("read", "objects written", count=len(roots))
    volumes = site.vegetation.volumes
    if vegetation and volumes:
        first = {leaf: scene.add_material(f"leaves {leaf}", _linear(code), {}) for leaf, code in _LEAVES.items()}
        children = [
            scene.add_node(f"{volume.shape} {k}", [(*canopy_mesh(volume), first[volume.leaf_type])])
            for k, volume in enumerate(volumes)
        ]
        roots.append(scene.add_group("vegetation", children, VEGETATION_MARK))
        ledger.note("read", "canopies drawn", count=len(volumes))
    elif volumes:
        ledger.note("dropped", "canopy, as asked", count=len(volumes))
    ledger.note("repaired", "vertices rounded to single precision", count=scene.num_vertices)
    extras = {"georeference": vars(site.georeference)} if site.georeference else {}
    write_file(Path(path), scene.to_bytes(site.name, roots, extras))
    return ledger


class _Builder:
    """A glTF document while it grows: JSON tables and one buffer."""

    def __init__(self) -> None:
        self.num_vertices = 0
        self._buffer: list[bytes] = []
        self._size = 0
        self._tables: dict[str, list[dict[str, Any]]] = {
            key: [] for key in ("nodes", "meshes", "materials", "accessors", "bufferViews")
        }

    def _add(self, table: str, entry: dict[str, Any]) -> int:
        self._tables[table].append(entry)
        return len(self._tables[table]) - 1

    def add_material(self, name: str, colour: list[float], extras: dict[str, Any]) -> int:
        factors = {"baseColorFactor": [*colour, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.9}
        entry = {"name": name, "pbrMetallicRoughness": factors, "doubleSided": True}
        return self._add("materials", {**entry, "extras": extras} if extras else entry)

    def add_node(self, name: str, surfaces: list[tuple[np.ndarray, np.ndarray, int]]) -> int:
        """A node with a mesh of (vertices, triangles, material) surfaces."""
        primitives = []
        for vertices, triangles, material in surfaces:
            # East-north-up to glTF's right-handed axes with y up: x east, y up, z south.
            turned = np.stack([vertices[:, 0], vertices[:, 2], -vertices[:, 1]], axis=1).astype("<f4")
            position = self._accessor(turned, _FLOAT, "VEC3", _VERTEX_BUFFER)
            self._tables["accessors"][position] |= {
                "min": turned.min(axis=0).astype(float).tolist(),
                "max": turned.max(axis=0).astype(float).tolist(),
            }
            indices = self._accessor(triangles.reshape(-1).astype("<u4"), _UNSIGNED, "SCALAR", _INDEX_BUFFER)
            primitives.append(
                {"attributes": {"POSITION": position}, "indices": indices, "material": material, "mode": _TRIANGLES}
            )
            self.num_vertices += len(vertices)
        return self._add("nodes", {"name": name, "mesh": self._add("meshes", {"primitives": primitives})})

    def add_group(self, name: str, children: list[int], extras: dict[str, Any]) -> int:
        return self._add("nodes", {"name": name, "children": children, "extras": extras})

    def _accessor(self, values: np.ndarray, component: int, kind: str, target: int) -> int:
        data = values.tobytes()  # four bytes per number: each view stays aligned
        view = {"buffer": 0, "byteOffset": self._size, "byteLength": len(data), "target": target}
        self._buffer.append(data)
        self._size += len(data)
        entry = {"bufferView": self._add("bufferViews", view), "componentType": component, "count": len(values)}
        return self._add("accessors", {**entry, "type": kind})

    def to_bytes(self, name: str, roots: list[int], extras: dict[str, Any]) -> bytes:
        asset: dict[str, Any] = {"version": "2.0", "generator": "sitetwin"}
        document = {
            "asset": {**asset, "extras": extras} if extras else asset,
            "scene": 0,
            "scenes": [{"name": name, "nodes": roots}],
            **self._tables,
            "buffers": [{"byteLength": self._size}],
        }
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
        chunks = b"".join(_chunks(text, b"".join(self._buffer)))
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _chunks(text: bytes, data: bytes) -> Iterator[bytes]:
    """The two chunks of a GLB file, each padded to four bytes: JSON with spaces, binary with zeros."""
    for kind, content, pad in ((b"JSON", text, b" "), (b"BIN\0", data, b"\0")):
        content += pad * (-len(content) % 4)
        yield struct.pack("<I4s", len(content), kind) + content


def _colour(material: Material, all_materials: tuple[Material, ...]) -> list[float]:
    if material.itu is not None:
        return _linear(_COLOURS[material.itu])
    others = [m.name for m in all_materials if m.itu is None]
    return _linear(_OTHER_COLOURS[others.index(material.name) % len(_OTHER_COLOURS)])


def _linear(code: str) -> list[float]:
    """Linear RGB, as glTF wants base colours, of an sRGB code "rrggbb" (IEC 61966-2-1)."""
    encoded = [int(code[k : k + 2], 16) / 255.0 for k in (0, 2, 4)]
    return [round(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4, 6) for c in encoded]
