"""Make a `Site` from a Wireless InSite project: a folder, its .setup file or single mesh files."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site.build import build_site
from sitetwin.site.importers.blocks import Source, clip, parse_blocks, read_file
from sitetwin.site.importers.connected import connected_bodies
from sitetwin.site.importers.far_origin import check_finite, place_mesh
from sitetwin.site.importers.insite_mesh import KINDS, InsiteMesh, parse_mesh, ring_of, triangles_of
from sitetwin.site.importers.insite_study import scatters_diffusely
from sitetwin.site.importers.overlaps import overlapping_bodies
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.materials import Material
from sitetwin.site.projection import Georeference
from sitetwin.site.site import Site

_SAME_ORIGIN = 1e-7  # degrees, a centimetre
_LEVEL = 1e-3  # m


@dataclass(frozen=True, eq=False)
class _File:
    """A mesh file, read."""

    path: Path
    mesh: InsiteMesh
    sha256: str


@dataclass(frozen=True, eq=False)
class _Body:
    """Triangles of one object-to-be: (T, 3, 3) corners in metres, and their material's name."""

    base: str
    corners: np.ndarray
    material: np.ndarray


def is_insite(path: Path) -> bool:
    """Return whether `load_insite` reads a path: by its suffix, or because the folder holds such a file."""
    try:
        if path.is_dir():
            return any(f.suffix.lower() in KINDS for f in path.iterdir())
    except OSError:
        return False
    return path.suffix.lower() in (*KINDS, ".setup")


def load_insite(path: str | Path) -> Site:
    """Make a site from a Wireless InSite project or from one of its mesh files.

    From a project (its folder, or its ``.setup`` file) the active cities, terrains, objects and floor plans are read,
    in the project's order. From a folder without a ``.setup`` file all of them are read. Each connected body of a city
    is an object of its own, so that buildings can be told apart where the file has them all in one structure; bodies of
    one material that overlap in a plane (streets laid over each other, shared walls) are one object. A face that
    repeats an earlier one, corner for corner and facing alike, is left out, because a ray meets only one of two
    surfaces in one place. The ground is a half-space of its material. Foliage is not read.

    Args:
        path: Folder, ``.setup``, ``.city``, ``.ter``, ``.object`` or ``.flp`` file.

    Raises:
        SiteTwinError: A file is missing, truncated or malformed, or holds something that cannot be a site; the message
            names the file, the line and how to mend it.
    """
    path = Path(path)
    assumptions: list[str] = []
    files = [_read(file) for file in _mesh_files(path, assumptions)]
    _check_heights(files, assumptions)
    for file in files:
        assumptions += file.mesh.assumptions
    bodies = _join(list(_bodies(files, assumptions)))
    names = _names([body.base for body in bodies])
    in_use = {name for body in bodies for name in body.material.tolist()}
    materials = {name: material for name, material in _common_materials(files).items() if name in in_use}
    order = {name: k for k, name in enumerate(materials)}
    objects: list[str] = []
    object_material: list[int] = []
    building: list[int] = []
    corners, owner = [], []
    for number, (name, body) in enumerate(zip(names, bodies, strict=True)):
        used = list(dict.fromkeys(body.material.tolist()))
        for material in used:
            rows = body.corners[body.material == material]
            corners.append(rows)
            owner.append(np.full(len(rows), len(objects)))
            objects.append(name if len(used) == 1 else f"{name}-part_{material}")
            object_material.append(order[material])
            building.append(number)
    points = np.concatenate(corners).reshape(-1, 3)
    vertices, index = np.unique(points, axis=0, return_inverse=True)
    ledger = Ledger()
    placed = place_mesh(str(path), vertices, ledger, georeference=_georeference(files))
    return build_site(
        path.stem or path.resolve().name,
        placed.vertices,
        index.reshape(-1, 3),
        np.concatenate(owner),
        objects,
        object_material,
        list(materials.values()),
        object_building=building if len(bodies) < len(objects) else None,
        georeference=placed.georeference,
        provenance={
            "source": {
                "kind": "Wireless InSite",
                "files": {file.path.name: file.sha256 for file in files},
                **({"origin": list(placed.origin)} if any(placed.origin) else {}),
            },
            "assumptions": [
                "triangles are two-sided; vertices have the single precision of the mesh files",
                *dict.fromkeys([*assumptions, *(entry.what for entry in ledger.entries)]),
            ],
            "differences": [],
        },
    )


def _mesh_files(path: Path, assumptions: list[str]) -> list[Path]:
    """The mesh files to read, in order."""
    if not path.is_dir():
        return _features(path, assumptions) if path.suffix.lower() == ".setup" else [path]
    setups = sorted(f for f in path.iterdir() if f.suffix.lower() == ".setup")
    if len(setups) > 1:
        raise SiteTwinError(f"'{path}' holds {len(setups)} projects; name one of them, such as '{setups[0]}'")
    if setups:
        return _features(setups[0], assumptions)
    return sorted(f for f in path.iterdir() if f.suffix.lower() in KINDS)


def _features(setup: Path, assumptions: list[str]) -> list[Path]:
    """Files of the active features of a project; they are looked for beside it, whatever folder it names."""
    source = Source(str(setup))
    root = parse_blocks(read_file(setup), str(setup))
    state = "scatters" if scatters_diffusely(root, source) else "does not scatter"
    assumptions.append(
        f"the project {state} diffusely in its own run; here coefficients of materials act where a trace asks for "
        "diffuse paths"
    )
    files = []
    for block in root.walk("feature"):
        _, text = source.need(block, "filename")
        name = re.split(r"[\\/]", text)[-1]
        file = setup.parent / name
        if not block.has("active"):
            assumptions.append(f"feature '{name}' is not active in the project and is left out")
        elif file.suffix.lower() not in KINDS:
            _note(assumptions, f"feature '{clip(name)}' is not a surface mesh and is left out")
        elif not file.is_file():
            _note(assumptions, f"feature '{clip(name)}' of the project is absent and is left out")
        else:
            files.append(file)
    if not files:
        raise SiteTwinError(f"'{setup}' has no active surface mesh beside it; copy its .city and .ter files there")
    return files


def _note(assumptions: list[str], what: str) -> None:
    """Keep an assumption that the user should hear of."""
    assumptions.append(what)
    warnings.warn(what, SiteTwinWarning, stacklevel=2)


def _read(path: Path) -> _File:
    data = read_file(path)
    mesh = parse_mesh(data, str(path))
    for face in mesh.faces:
        check_finite(face.corners, f"'{path}', face of line {face.line}")
    return _File(path, mesh, hashlib.sha256(data).hexdigest())


def _georeference(files: list[_File]) -> Georeference | None:
    """The common origin of the files; 0, 0 stands for none."""
    origins = {(f.mesh.latitude, f.mesh.longitude): f for f in files if (f.mesh.latitude, f.mesh.longitude) != (0, 0)}
    if not origins:
        return None
    (latitude, longitude), first = next(iter(origins.items()))
    for (other_latitude, other_longitude), file in origins.items():
        if max(abs(other_latitude - latitude), abs(other_longitude - longitude)) > _SAME_ORIGIN:
            raise SiteTwinError(
                f"'{file.path}' has its origin at {other_latitude:g}, {other_longitude:g} and '{first.path}' at "
                f"{latitude:g}, {longitude:g}; save all files of the project with one origin"
            )
    return Georeference(latitude, longitude)


def _check_heights(files: list[_File], assumptions: list[str]) -> None:
    """Say so where heights count from a terrain that is not level: they are taken as they stand."""
    ground = [face.corners[:, 2] for f in files if f.mesh.kind == "terrain" for face in f.mesh.faces]
    if not ground or np.abs(np.concatenate(ground)).max() <= _LEVEL:
        return
    for file in files:
        if file.mesh.kind != "terrain" and file.mesh.above_terrain:
            _note(assumptions, f"heights of '{file.path.name}' are given above the terrain but taken above zero")


def _bodies(files: list[_File], assumptions: list[str]) -> Iterator[_Body]:
    """The connected bodies of cities, the parts of everything else; repeated faces left out."""
    seen: set[tuple[tuple[float, ...], ...]] = set()
    materials = _material_names(files)
    for file, names in zip(files, materials, strict=True):
        fresh = []
        for face in file.mesh.faces:
            ring = ring_of(face)
            if ring not in seen:
                seen.add(ring)
                fresh.append(face)
        repeated = len(file.mesh.faces) - len(fresh)
        if repeated:
            assumptions.append(f"{repeated} faces of '{file.path.name}' repeat earlier faces and are left out")
        for part in dict.fromkeys(face.part for face in fresh):
            faces = [face for face in fresh if face.part == part]
            corners, owner = triangles_of(faces, str(file.path))
            if not len(corners):
                continue
            base = file.mesh.parts[part] or file.path.stem
            label = np.zeros(len(corners), np.int64)
            if file.mesh.kind == "city":
                label = connected_bodies(corners)
            elif file.mesh.kind == "terrain":
                base = f"terrain {base}"
            material = np.array([names[faces[k].material] for k in owner])
            for body in range(label.max() + 1):
                yield _Body(base, corners[label == body], material[label == body])


def _join(bodies: list[_Body]) -> list[_Body]:
    """The bodies, those that overlap in a plane joined, so that their coincident faces become one facet."""
    corners = np.concatenate([body.corners for body in bodies])
    owner = np.repeat(np.arange(len(bodies)), [len(body.corners) for body in bodies])
    material = np.concatenate([body.material for body in bodies])
    group = overlapping_bodies(corners, owner, np.unique(material, return_inverse=True)[1].reshape(-1))[owner]
    return [_Body(bodies[k].base, corners[group == k], material[group == k]) for k in np.unique(group)]


def _names(bases: list[str]) -> list[str]:
    """Object names: numbered where several bodies have one label."""
    total, used = Counter(bases), Counter[str]()
    names = []
    for base in bases:
        used[base] += 1
        names.append(base if total[base] == 1 else f"{base} {used[base]}")
    return names


def _material_names(files: list[_File]) -> list[dict[int, str]]:
    """For each file the site's name of each material number: the file's own unless two materials share it."""
    taken: dict[str, Material] = {}
    named = []
    for file in files:
        names = {}
        for number, material in file.mesh.materials.items():
            name, count = material.name, 1
            while name in taken and replace(taken[name], name=material.name) != material:
                count += 1
                name = f"{material.name} ({count})"
            taken[name] = replace(material, name=name)
            names[number] = name
        named.append(names)
    return named


def _common_materials(files: list[_File]) -> dict[str, Material]:
    """The site's materials by name."""
    return {
        names[number]: replace(material, name=names[number])
        for file, names in zip(files, _material_names(files), strict=True)
        for number, material in file.mesh.materials.items()
    }
