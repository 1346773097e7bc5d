"""The surfaces of a glTF document: its nodes with their transforms, meshes and materials."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.importers.gltf import Gltf, is_whole
from sitetwin.site.importers.surfaces import Surface
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.materials import Material
from sitetwin.site.mesh import check_triangle_count
from sitetwin.untrusted.arrays import as_float64

_TRIANGLES, _STRIP, _FAN = 4, 5, 6
_INDEX_TYPES = ("u1", "u2", "u4")
_FRACTIONS = {"i1": 127.0, "u1": 255.0, "i2": 32767.0, "u2": 65535.0}  # section 3.11, normalized integers
_VEGETATION = {"sitetwin": "vegetation"}

MOST_NODES = 2**16
"""Nodes of a document, and primitives of the meshes in it; a city of as many buildings takes some seconds to read."""


def gltf_surfaces(gltf: Gltf, ledger: Ledger) -> list[Surface]:
    """Return the triangles of every mesh node of the default scene, in the document's axes (y up) and metres.

    Args:
        gltf: The document.
        ledger: Account of the import; it records what is skipped: points and lines, skins, drawn canopies.

    Raises:
        SiteTwinError: An index, accessor or transform is malformed, nodes form a loop, or there are too many triangles,
            nodes or primitives.
    """
    surfaces: list[Surface] = []
    count = drawn = 0
    for number, (node, matrix) in enumerate(_mesh_nodes(gltf, ledger)):
        mesh = gltf.entry("meshes", node["mesh"])
        name = _text(node, "name") or _text(mesh, "name") or f"object {number}"
        if "skin" in node or mesh.get("weights"):
            ledger.note("assumed", "skinned or morphed mesh taken in its rest pose", name)
        primitives = mesh.get("primitives")
        if not isinstance(primitives, list):
            gltf.refuse("has a mesh without a list of primitives")
        drawn += len(primitives)
        if drawn > MOST_NODES:
            gltf.refuse(f"draws more than {MOST_NODES} primitives", "join those of one material")
        for primitive in primitives:
            if not isinstance(primitive, dict) or not isinstance(primitive.get("attributes"), dict):
                gltf.refuse("has a primitive without attributes")
            mode = gltf.whole(primitive, "mode", _TRIANGLES, 6)
            if mode < _TRIANGLES:
                ledger.note("dropped", "points or lines: they are no surface", name)
                continue
            position = primitive["attributes"].get("POSITION")
            corners = gltf.count(primitive.get("indices", position))
            count += corners // 3 if mode == _TRIANGLES else max(corners - 2, 0)
            check_triangle_count(count, f"'{gltf.where}'")
            triangles = _triangles(gltf, primitive, mode, gltf.count(position))
            used, index = np.unique(triangles, return_inverse=True)  # many primitives may share one large accessor
            vertices, triangles = _place(_positions(gltf, position, used), matrix), index.reshape(-1, 3)
            gltf.step = max(gltf.step, _step(gltf, position) * float(np.abs(matrix[:3, :3]).sum(axis=1).max()))
            with np.errstate(all="ignore"):  # what overflows is refused with the vertices
                mirrors = np.linalg.det(matrix[:3, :3]) < 0
            if mirrors:  # section 3.7.4: a mirror turns the winding
                triangles = triangles[:, ::-1]
            material, constants = _material(gltf, primitive, ledger)
            surfaces.append(Surface(number, name, material, vertices, triangles, constants))
    return surfaces


def _mesh_nodes(gltf: Gltf, ledger: Ledger) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Nodes with a mesh and their matrices into the scene, depth first in the document's order."""
    nodes = gltf.document.get("nodes")
    if isinstance(nodes, list) and len(nodes) > MOST_NODES:
        gltf.refuse(f"has {len(nodes)} nodes, more than {MOST_NODES}", "join objects, or cut it into smaller files")
    seen: set[int] = set()
    stack = [(index, np.eye(4)) for index in reversed(_roots(gltf))]
    while stack:
        index, above = stack.pop()
        node = gltf.entry("nodes", index)
        if index in seen:
            gltf.refuse("has a node with two parents or in a loop", "nodes must form a tree, export it again")
        seen.add(index)
        if node.get("extras") == _VEGETATION:
            ledger.note("dropped", "canopies drawn as meshes: vegetation is no surface", _text(node, "name"))
            continue
        if "EXT_mesh_gpu_instancing" in _object(node, "extensions"):
            gltf.refuse("holds instanced meshes (EXT_mesh_gpu_instancing)", "export each instance as a node of its own")
        with np.errstate(all="ignore"):  # what overflows is refused with the vertices
            matrix = _product(above, _local(gltf, node))
        if "mesh" in node:
            yield node, matrix
        children = node.get("children", [])
        if not isinstance(children, list):
            gltf.refuse("has a node whose children are no list")
        stack += [(child, matrix) for child in reversed(children)]


def _roots(gltf: Gltf) -> list[Any]:
    """Nodes of the default scene, or all nodes without a parent where the document has no scene."""
    if gltf.document.get("scenes"):
        roots = gltf.entry("scenes", gltf.document.get("scene", 0)).get("nodes", [])
        if not isinstance(roots, list):
            gltf.refuse("has a scene whose nodes are no list")
        return roots
    nodes = gltf.document.get("nodes", [])
    size = len(nodes) if isinstance(nodes, list) else 0
    inner: set[int] = set()
    for index in range(size):
        children = gltf.entry("nodes", index).get("children", [])
        inner |= {child for child in children if is_whole(child)} if isinstance(children, list) else set()
    return [index for index in range(size) if index not in inner]


def _local(gltf: Gltf, node: dict[str, Any]) -> np.ndarray:
    """(4, 4) matrix of a node: its own, or translation, rotation and scale (section 3.5.3)."""
    if "matrix" in node:
        matrix = gltf.numbers(node, "matrix", [0.0] * 16).reshape(4, 4).T  # stored column by column
        if not np.array_equal(matrix[3], [0, 0, 0, 1]):
            gltf.refuse("has a node whose matrix is not affine")
        return matrix
    x, y, z, w = gltf.numbers(node, "rotation", (0.0, 0.0, 0.0, 1.0))
    size = float(np.sqrt(x * x + y * y + z * z + w * w))
    if not 1e-3 < size < 1e3:
        gltf.refuse("has a node whose rotation is no unit quaternion")
    x, y, z, w = x / size, y / size, z / size, w / size
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn * gltf.numbers(node, "scale", (1.0, 1.0, 1.0))
    matrix[:3, 3] = gltf.numbers(node, "translation", (0.0, 0.0, 0.0))
    return matrix


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Matrix product, summed in a fixed order."""
    return np.sum(a[:, :, None] * b[None, :, :], axis=1)


def _place(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    if np.array_equal(matrix, np.eye(4)):
        return points
    with np.errstate(all="ignore"):  # what overflows is refused with the vertices
        return np.stack([np.sum(points * matrix[k, :3], axis=1) + matrix[k, 3] for k in range(3)], axis=1)


def _positions(gltf: Gltf, index: Any, rows: np.ndarray) -> np.ndarray:
    """(V, 3) float64 positions of some rows; quantised ones are decoded (KHR_mesh_quantization)."""
    stored, is_fraction = gltf.accessor(index, "VEC3")
    stored, kind = stored[rows], stored.dtype.str[1:]
    if is_fraction and kind in _FRACTIONS:
        return np.maximum(stored.astype(np.float64) / _FRACTIONS[kind], -1.0)
    return as_float64(stored)


def _step(gltf: Gltf, index: Any) -> float:
    """The step between the positions that an accessor can hold, in its own unit; 0 for floating point."""
    stored, is_fraction = gltf.accessor(index, "VEC3")
    kind = stored.dtype.str[1:]
    if stored.dtype.kind == "f":
        return 0.0
    return 1.0 / _FRACTIONS.get(kind, 1.0) if is_fraction else 1.0


def _triangles(gltf: Gltf, primitive: dict[str, Any], mode: int, size: int) -> np.ndarray:
    """(T, 3) int64 vertex indices (section 3.7.2.1)."""
    if "indices" in primitive:
        stored, _ = gltf.accessor(primitive["indices"], "SCALAR")
        if stored.dtype.str[1:] not in _INDEX_TYPES:
            gltf.refuse("has vertex indices that are no unsigned integers")
        index = stored[:, 0].astype(np.int64)
    else:
        index = np.arange(len(gltf.accessor(primitive["attributes"].get("POSITION"), "VEC3")[0]))
    if len(index) and index.max() >= size:
        gltf.refuse("has a triangle that names a vertex it does not have")
    if mode == _TRIANGLES:
        if len(index) % 3:
            gltf.refuse("has a list of triangles whose corners are no multiple of three")
        return index.reshape(-1, 3)
    steps = np.arange(max(len(index) - 2, 0))
    if mode == _FAN:
        return np.stack([index[steps + 1], index[steps + 2], index[np.zeros_like(steps)]], axis=1)
    odd = steps % 2
    return np.stack([index[steps], index[steps + 1 + odd], index[steps + 2 - odd]], axis=1)


def _material(gltf: Gltf, primitive: dict[str, Any], ledger: Ledger) -> tuple[str, Material | None]:
    """Name of a primitive's material, and its radio constants where a site was exported with them."""
    if "material" not in primitive:
        return "", None
    entry = gltf.entry("materials", primitive["material"])
    name = _text(entry, "name") or f"material {primitive['material']}"
    stored = _object(entry, "extras").get("radio_material")
    if stored is None:
        return name, None
    try:
        return name, Material.from_dict(stored)
    except (SiteTwinError, TypeError, ValueError):
        ledger.note("dropped", "radio constants of a material that are malformed", name)
        return name, None


def _text(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    return value.strip() if isinstance(value, str) else ""


def _object(entry: dict[str, Any], key: str) -> dict[str, Any]:
    value = entry.get(key)
    return value if isinstance(value, dict) else {}
