"""Make a `Site` from mesh files of modelling programs (glTF, OBJ, PLY)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.assumed import assumed_record
from sitetwin.site.build import build_site
from sitetwin.site.edge_joining import CLOSED_GAP
from sitetwin.site.importers.blocks import read_file
from sitetwin.site.importers.connected import connected_bodies
from sitetwin.site.importers.far_origin import PlacedMesh, check_finite, check_precision, place_mesh
from sitetwin.site.importers.gltf import Gltf, read_gltf
from sitetwin.site.importers.gltf_nodes import gltf_surfaces
from sitetwin.site.importers.meshes import read_mesh
from sitetwin.site.importers.obj import ObjFace, parse_obj
from sitetwin.site.importers.polygons import triangulate_rings
from sitetwin.site.importers.surfaces import NamedParts, Surface, name_parts
from sitetwin.site.importers.upward import Axis, choose_up, turned_up
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.mesh import check_triangle_count, check_vertices
from sitetwin.site.objects import join_objects
from sitetwin.site.projection import Georeference, check_origin
from sitetwin.site.site import Site, with_position_step

MESH_SUFFIXES = (".glb", ".gltf", ".obj", ".ply")

MOST_OBJECTS = 2**17
"""Named groups of an OBJ file, and connected bodies of a mesh without names; each becomes an object."""

UNITS = {
    "m": 1.0,
    "km": 1e3,
    "cm": 1e-2,
    "mm": 1e-3,
    "ft": 0.3048,
    "us-ft": 1200.0 / 3937.0,
    "in": 0.0254,
}
"""Metres in a unit of length."""

_WIDEST = 20e3  # m; no site is wider
_HIGHEST = 1e3  # m; above the tallest building, and above what a site's terrain rises
_NARROWEST = 1.0  # m; no site is narrower, unless its unit is given
_SMALL, _LOW, _SEVERAL = 20.0, 0.1, 3  # m, m and objects: several that are all so small are a city in kilometres
_LARGEST_MESH_FILE = 2**30  # bytes


def load_mesh(
    path: str | Path,
    *,
    unit: str | None = None,
    up: str | None = None,
    crs: str | None = None,
    georeference: Georeference | None = None,
    ledger: Ledger | None = None,
) -> Site:
    """Make a site from a glTF (.glb, .gltf), Wavefront OBJ or PLY file.

    Each mesh node of a glTF file and each object or group of an OBJ file is an object of the site; where a file names
    no objects, each connected body becomes an object. A material is known by its name (``itu_concrete``,
    ``Brick.001``); unknown materials become concrete. Slabs are 0.1 m thick, soils are half-spaces. Positions keep the
    precision of the file. A mesh that lies more than 10 km from its own origin, as in map coordinates, gets its origin
    moved into it; ``provenance["source"]["origin"]`` says where the new one lies in the file's coordinates.

    Args:
        path: The file.
        unit: Unit of its coordinates, a key of `UNITS`. By default the unit is metres, and a mesh wider than 20 km or
            higher than 1 km is refused, because it was probably drawn in centimetres or millimetres, and so is one
            that is narrower than 1 m (kilometres or degrees); give "m" to take it as it is.
        up: Axis that points up, "x", "y" or "z": by default "y" for glTF, whose specification says so, and "z" for
            others, unless the ground of the model lies across another axis. Then the model is turned, with a warning.
        crs: Projected reference system of the coordinates, such as "EPSG:25832" or "EPSG:25832+7837". The mesh is put
            into a local frame around its middle, x east and y north, and the site knows its place on earth.
        georeference: Where on earth the file's own origin lies; by default the place that `export_glb` wrote to the
            file, if any.
        ledger: Account of the import, which is filled; it also stands in ``provenance["import"]``.

    Raises:
        SiteTwinError: The file is missing, malformed, truncated, compressed, too large, of a doubtful unit or upward
            axis, far from an origin that is said to lie on earth, or of coordinates that lost their decimetres to
            single precision; the message says how to mend it.
    """
    path, ledger = Path(path), ledger if ledger is not None else Ledger()
    if unit is not None and unit not in UNITS:
        raise SiteTwinError(f"'{unit}' is no unit of length; choose one of {', '.join(UNITS)}")
    if unit is not None and crs is not None:
        raise SiteTwinError(f"{crs} has a unit of its own, so that the unit {unit} says nothing; leave it out")
    kind = path.suffix.lower()
    if kind not in MESH_SUFFIXES:
        raise SiteTwinError(f"'{path}' is no mesh file known here; give one of {', '.join(MESH_SUFFIXES)}")
    surfaces, files, gltf = _read(path, kind, ledger)
    if gltf is not None and crs is None:
        georeference = georeference or _stored_origin(gltf, ledger)
    if gltf is not None and gltf.document["asset"].get("generator") == "sitetwin":
        up = up or "y"
    usual: Axis = "y" if kind in (".glb", ".gltf") else "z"
    vertices = np.concatenate([surface.vertices for surface in surfaces])
    check_precision(vertices, str(path), ledger, UNITS[unit or "m"])
    upward = choose_up(_corners(surfaces), usual, up, str(path), ledger)
    vertices = turned_up(vertices, upward)
    if unit is None and crs is None:
        _check_unit(vertices, path, len({surface.owner for surface in surfaces}))
    with np.errstate(over="ignore"):  # what overflows is refused with the site
        vertices = vertices * UNITS[unit or "m"]
    check_finite(vertices, f"'{path}'")
    placed = place_mesh(str(path), vertices, ledger, georeference=georeference, crs=crs)
    step = gltf.step * UNITS[unit or "m"] if gltf is not None else 0.0
    if step > CLOSED_GAP:
        ledger.note("assumed", f"positions are quantised in steps of {step:.2g} m: edges so near to each other are one")
    parts = name_parts(surfaces, ledger)
    ledger.note("read", "mesh objects", count=len(parts.objects))
    source = {
        "kind": f"mesh file ({path.suffix.lower()})",
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
        "unit": unit or "m",
        "up": upward,
        **({"crs": crs} if crs is not None else {}),
        **({"origin": list(placed.origin)} if any(placed.origin) else {}),
    }
    return with_position_step(_site(path, placed, surfaces, parts, source, ledger), step)


def _read(path: Path, kind: str, ledger: Ledger) -> tuple[list[Surface], dict[str, bytes], Gltf | None]:
    """The surfaces of a file, the content of the file and of those it names, and its document if it is glTF."""
    gltf = None
    if kind in (".glb", ".gltf"):
        gltf, data = read_gltf(path)
        surfaces = gltf_surfaces(gltf, ledger)
        files = {path.name: data, **gltf.digested}
    else:
        data = read_file(path, _LARGEST_MESH_FILE)
        surfaces = _obj_surfaces(data, path, ledger) if kind == ".obj" else _ply_surfaces(data, path, ledger)
        files = {path.name: data}
    surfaces = [surface for surface in surfaces if len(surface.triangles)]
    if not surfaces:
        raise SiteTwinError(f"'{path}' has no triangle; export a file with at least one surface")
    for surface in surfaces:
        _check_finite(surface, path)
    return surfaces, files, gltf


def _corners(surfaces: list[Surface]) -> np.ndarray:
    """(T, 3, 3) triangles of all surfaces."""
    return np.concatenate([surface.vertices[surface.triangles] for surface in surfaces])


def _site(
    path: Path,
    placed: PlacedMesh,
    surfaces: list[Surface],
    parts: NamedParts,
    source: dict[str, Any],
    ledger: Ledger,
) -> Site:
    first = np.cumsum([0] + [len(surface.vertices) for surface in surfaces[:-1]])
    site = build_site(
        path.stem,
        placed.vertices,
        np.concatenate([surface.triangles + start for surface, start in zip(surfaces, first, strict=True)]),
        np.repeat(parts.part, [len(surface.triangles) for surface in surfaces]),
        parts.objects,
        parts.object_material,
        parts.materials,
        georeference=placed.georeference,
        provenance={
            "source": source,
            "assumptions": [
                "triangles are two-sided",
                *(
                    ": ".join([e.what, *filter(None, [", ".join(e.examples)])])
                    for e in ledger.entries
                    if e.kind == "assumed"
                ),
            ],
            "import": ledger.to_list(),
            **assumed_record(parts.assumed),
        },
    )
    owner = np.zeros(len(parts.objects), dtype=np.int64)
    owner[list(parts.part)] = [surface.owner for surface in surfaces]
    if len(np.unique(owner)) == len(owner):
        return site
    return replace(site, object_building=join_objects(site.buildings[1], owner))


def _check_finite(surface: Surface, path: Path) -> None:
    bad = ~np.isfinite(surface.vertices).all(axis=1)
    if bad.any():
        raise SiteTwinError(
            f"'{path}': object '{surface.object}' has a vertex that is NaN or infinite; repair the mesh"
        )


def _check_unit(vertices: np.ndarray, path: Path, objects: int) -> None:
    """Refuse a mesh that is too large or too small to be in metres; nothing is scaled silently."""
    with np.errstate(over="ignore"):
        extent = np.ptp(vertices, axis=0)
    width, height = float(extent[:2].max()), float(extent[2])
    if width < _NARROWEST or (objects >= _SEVERAL and width < _SMALL and 0 < height < _LOW):
        raise SiteTwinError(
            f"'{path}' would be {width:.3g} m wide and {height:.3g} m high in metres, which no site is; give its unit "
            "(--unit km, or --unit m to take it as it is), or put it into a projected system in metres if its "
            "coordinates are degrees"
        )
    if width <= _WIDEST and height <= _HIGHEST:
        return
    choices = ", ".join(f"'{u}' makes it {width * UNITS[u]:,.4g} m by {height * UNITS[u]:,.4g} m" for u in ("cm", "mm"))
    others = ", ".join(u for u in UNITS if u not in ("m", "cm", "mm"))
    raise SiteTwinError(
        f"'{path}' would be {width:,.4g} m wide and {height:,.4g} m high in metres, which no site is; give its unit "
        f"(--unit cm): {choices}, 'm' takes it as it is, and others are {others}"
    )


def _stored_origin(gltf: Gltf, ledger: Ledger) -> Georeference | None:
    """The origin that a site was exported with."""
    extras = gltf.document["asset"].get("extras")
    stored = extras.get("georeference") if isinstance(extras, dict) else None
    if stored is None:
        return None
    if isinstance(stored, dict):
        latitude, longitude, datum = (stored.get(key) for key in ("latitude", "longitude", "vertical_datum"))
        if _is_angle(latitude) and _is_angle(longitude) and isinstance(datum, str):
            return check_origin(latitude, longitude, datum)
    ledger.note("dropped", "origin on earth that is malformed")
    return None


def _is_angle(value: Any) -> TypeGuard[float]:
    """Whether a JSON value is a number of degrees (whole numbers may be too large for a float)."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 360


def _obj_surfaces(data: bytes, path: Path, ledger: Ledger) -> list[Surface]:
    """Surfaces of an OBJ file, one for each object and material."""
    try:
        vertices, faces = parse_obj(data, str(path))
    except (ValueError, IndexError, OverflowError, MemoryError) as error:
        raise SiteTwinError(f"mesh file '{path}' is malformed or truncated; export it again") from error
    check_triangle_count(sum(max(len(face.corners) - 2, 0) for face in faces), f"mesh file '{path}'")
    if any(not 0 <= corner < len(vertices) for face in faces for corner in face.corners):
        raise SiteTwinError(f"mesh file '{path}' has a face that names a vertex it does not have; export it again")
    if not np.isfinite(vertices).all():
        raise SiteTwinError(f"mesh file '{path}' has a vertex that is NaN or infinite; repair the mesh")
    groups: dict[tuple[str, str], list[ObjFace]] = {}
    for face in faces:
        if len(face.corners) < 3:
            ledger.note("dropped", "face of less than three corners", face.object)
        else:
            groups.setdefault((face.object, face.material), []).append(face)
    _check_objects(len(groups), path.name)
    named = any(name for name, _ in groups)
    surfaces: list[Surface] = []
    owners: dict[str, int] = {}
    for (name, material), members in groups.items():
        triangles = _faces_to_triangles(vertices, members)
        if not len(triangles):
            continue
        if named:
            owner = owners.setdefault(name, len(owners))
            used, index = np.unique(triangles, return_inverse=True)
            surfaces.append(Surface(owner, name or path.stem, material, vertices[used], index.reshape(-1, 3)))
        else:
            surfaces += _bodies(vertices[triangles], path.stem, material, len(surfaces), ledger)
    return surfaces


def _faces_to_triangles(vertices: np.ndarray, faces: list[ObjFace]) -> np.ndarray:
    rows = []
    for face in faces:
        corners = np.array(face.corners, dtype=np.int64)
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused with the vertices
            rows.append(corners[None] if len(corners) == 3 else corners[triangulate_rings([vertices[corners]])])
    return np.concatenate(rows)


def _ply_surfaces(data: bytes, path: Path, ledger: Ledger) -> list[Surface]:
    """The connected bodies of a PLY file, which has no names."""
    vertices, triangles = read_mesh(data, "ply", str(path))
    check_triangle_count(len(triangles), f"mesh file '{path}'")
    if not np.isfinite(vertices).all():
        check_vertices(vertices, f"mesh file '{path}'")
    return _bodies(vertices[triangles], path.stem, "", 0, ledger) if len(triangles) else []


def _bodies(corners: np.ndarray, name: str, material: str, first: int, ledger: Ledger) -> list[Surface]:
    """Surfaces of the connected bodies among triangles (T, 3, 3)."""
    label = connected_bodies(corners)
    _check_objects(int(label.max(initial=-1)) + 1, name)
    order = np.argsort(label, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    if len(groups) > 1:
        ledger.note("assumed", "connected bodies are objects, the file names none", count=len(groups))
    surfaces = []
    for k, rows in enumerate(groups):
        vertices, index = np.unique(corners[rows].reshape(-1, 3), axis=0, return_inverse=True)
        surfaces.append(Surface(first + k, name, material, vertices, index.reshape(-1, 3)))
    return surfaces


def _check_objects(count: int, name: str) -> None:
    if count > MOST_OBJECTS:
        raise SiteTwinError(
            f"mesh file '{name}' has {count} objects, more than {MOST_OBJECTS} (triangles that share no corner are "
            "apart); join what belongs together, or cut out the area that matters"
        )
