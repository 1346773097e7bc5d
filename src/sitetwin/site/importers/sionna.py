"""Load Sionna RT scenes: built-in scenes by name, or a user's Mitsuba XML."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.assumed import assumed_record
from sitetwin.site.build import build_site
from sitetwin.site.importers.far_origin import check_finite, check_precision, place_mesh
from sitetwin.site.importers.meshes import MeshArrays, read_mesh, unit_cube, unit_rectangle
from sitetwin.site.importers.mitsuba_xml import LARGEST_SCENE_FILE, Shape, parse_scene
from sitetwin.site.importers.upward import choose_up, turned_up
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.mesh import check_triangle_count
from sitetwin.site.projection import Georeference
from sitetwin.site.site import Site
from sitetwin.untrusted import read_bytes

LARGEST_MESH_FILE = 2**30
"""Bytes."""


def _builtin_folder() -> Path:
    """Sionna RT's folder of scenes, found without importing it (which would start the ray caster)."""
    spec = importlib.util.find_spec("sionna")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        scenes = Path(folder) / "rt" / "scenes"
        if scenes.is_dir():
            return scenes
    raise SiteTwinError("Sionna RT's built-in scenes are not installed; run `pip install sionna-rt`")


def builtin_scenes() -> tuple[str, ...]:
    """List the names of the scenes that come with Sionna RT.

    Raises:
        SiteTwinError: Sionna RT is not installed.
    """
    return tuple(sorted(f.parent.name for f in _builtin_folder().glob("*/*.xml") if f.stem == f.parent.name))


def load_mitsuba(
    path: str | Path, *, up: str | None = None, crs: str | None = None, georeference: Georeference | None = None
) -> Site:
    """Make a site from a Mitsuba XML file as Sionna RT reads and writes it.

    Vertices are read in float64 and each shape of a scene stays an object of its own. Materials keep the slab thickness
    of the scene. A missing thickness becomes Sionna RT's 0.1 m and is listed in ``provenance["assumptions"]``. A scene
    far from its own origin gets its origin moved into it, as `load_mesh` does.

    Args:
        path: The scene file. The paths of its meshes are relative to its folder.
        up: Axis that points up, "x", "y" or "z"; "z" by default, unless the ground lies across another axis.
        crs: Projected reference system of the coordinates, such as "EPSG:25832".
        georeference: Where on earth the scene's own origin lies.

    Raises:
        SiteTwinError: The file, one of its meshes or one of its materials cannot be used, or its place or upward axis
            is in doubt; the message says which one and how to mend it.
    """
    return _load_xml(Path(path), "Mitsuba scene file", up, crs, georeference)


def load_builtin(text: str) -> Site:
    """Make a site from a scene that comes with Sionna RT, by its name (upper or lower case).

    Raises:
        SiteTwinError: There is no scene of that name; the message lists the names of all built-in scenes.
    """
    names = builtin_scenes()
    name = text.strip().lower()
    if name in names:
        return _load_xml(_builtin_folder() / name / f"{name}.xml", f"Sionna RT built-in scene '{name}'", up="z")
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    raise SiteTwinError(
        f"'{text}' is neither a saved site, nor a scene file (.xml, .glb, .gltf, .obj, .ply, CityJSON), "
        f"nor a Wireless InSite project, nor a built-in scene{hint} Built-in are: {', '.join(names)}"
    )


def _load_xml(
    path: Path,
    source: str,
    up: str | None = None,
    crs: str | None = None,
    georeference: Georeference | None = None,
) -> Site:
    data = _read(path, LARGEST_SCENE_FILE, f"scene file '{path}'")
    scene = parse_scene(data, str(path))
    digests: dict[str, str] = {}
    ledger = Ledger()
    stored: list[np.ndarray] = []
    vertices, triangles, owner, first, count = [], [], [], 0, 0
    for number, shape in enumerate(scene.shapes):
        points, faces = _shape_mesh(shape, path.parent, digests, stored)
        vertices.append(points)
        triangles.append(faces + first)
        owner.append(np.full(len(faces), number))
        first, count = first + len(points), count + len(faces)
        check_triangle_count(count, f"scene file '{path}'")  # many shapes may name one large file
    order = {name: k for k, name in enumerate(scene.materials)}
    if stored:
        check_precision(np.concatenate(stored), str(path), ledger)
    points, corners = np.concatenate(vertices), np.concatenate(triangles)
    upward = choose_up(points[corners], "z", up, str(path), ledger)
    placed = place_mesh(str(path), turned_up(points, upward), ledger, georeference=georeference, crs=crs)
    facts = _provenance(path.name, data, source, digests, (*scene.assumptions, *(e.what for e in ledger.entries)))
    if upward != "z":
        facts["source"]["up"] = upward
    if any(placed.origin):
        facts["source"]["origin"] = list(placed.origin)
    return build_site(
        path.stem,
        placed.vertices,
        corners,
        np.concatenate(owner),
        [s.name for s in scene.shapes],
        [order[s.material] for s in scene.shapes],
        list(scene.materials.values()),
        georeference=placed.georeference,
        provenance={
            **facts,
            **assumed_record((scene.materials[name], "thickness") for name in scene.thickness_assumed),
        },
    )


def _shape_mesh(shape: Shape, folder: Path, digests: dict[str, str], stored: list[np.ndarray]) -> MeshArrays:
    """The shape's mesh in world coordinates; notes the SHA-256 of the file it came from, and its points there."""
    if shape.filename is None:
        points, faces = unit_cube() if shape.kind == "cube" else unit_rectangle()
    else:
        relative = Path(shape.filename.replace("\\", "/"))
        if relative.is_absolute() or ":" in "".join(relative.parts[:1]):
            raise SiteTwinError(
                f"shape '{shape.name}' names its mesh file by an absolute path; use a path relative to the scene file"
            )
        if not _lies_within(folder, folder / relative):
            raise SiteTwinError(
                f"shape '{shape.name}' names the mesh file '{str(relative)[:60]}', which lies outside the folder of "
                "the scene file; put it beside the scene file"
            )
        data = _read(folder / relative, LARGEST_MESH_FILE, f"mesh file '{folder / relative}' of shape '{shape.name}'")
        digests[relative.as_posix()] = hashlib.sha256(data).hexdigest()
        points, faces = read_mesh(data, shape.kind, str(folder / relative))
        check_finite(points, f"shape '{shape.name}'")
        stored.append(points)
    if not np.array_equal(shape.to_world, np.eye(4)):
        matrix = shape.to_world
        with np.errstate(all="ignore"):  # what overflows is refused at once
            points = np.stack([np.sum(points * matrix[k, :3], axis=1) + matrix[k, 3] for k in range(3)], axis=1)
        check_finite(points, f"shape '{shape.name}'")
    return points, faces[:, ::-1] if shape.flip else faces


def _lies_within(folder: Path, file: Path) -> bool:
    """Whether a file lies in a folder once all links are followed."""
    try:
        return file.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # half a character, a null byte, links in a circle
        return False


def _read(path: Path, limit: int, what: str) -> bytes:
    if not os.path.isfile(path):  # False also for a name that is too long
        raise SiteTwinError(f"{what} does not exist or is no file; check the path")
    return read_bytes(path, what, limit, "check its name and permissions, or cut it into smaller files")


def _provenance(
    name: str, data: bytes, source: str, digests: dict[str, str], assumptions: tuple[str, ...]
) -> dict[str, Any]:
    """Sources by hash; `meshes_sha256` is the hash of what ``sha256sum`` prints for the meshes, sorted by name."""
    listing = "".join(f"{digest}  {file}\n" for file, digest in sorted(digests.items()))
    return {
        "source": {
            "kind": source,
            "scene_file": name,
            "scene_sha256": hashlib.sha256(data).hexdigest(),
            "mesh_files": len(digests),
            "meshes_sha256": hashlib.sha256(listing.encode()).hexdigest(),
        },
        "assumptions": [
            "every surface is a slab of the thickness in the scene file, the ground included",
            "triangles are two-sided; vertices have the single precision of the mesh files",
            *assumptions,
        ],
        "differences": [],
    }
