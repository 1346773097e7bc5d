"""A site on disk: a folder with ``site.json`` and ``arrays.npz``, written under another name and then renamed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError, said_of
from sitetwin.site.materials import Material
from sitetwin.site.mesh import check_vertices
from sitetwin.site.projection import Georeference
from sitetwin.site.same_place import refuse_another
from sitetwin.site.site import Site
from sitetwin.site.vegetation import Vegetation
from sitetwin.store.files import replace_folder
from sitetwin.untrusted import LARGEST_JSON, naming, parse_json, read_bytes
from sitetwin.untrusted.arrays import read_npz

FORMAT = "sitetwin-site"
VERSION = 1
_DESCRIPTION, _ARRAYS = "site.json", "arrays.npz"
_DTYPES = {
    "vertices": ("<f8", 2),
    "triangles": ("<i4", 2),
    "triangle_facet": ("<i4", 1),
    "triangle_object": ("<i4", 1),
    "facet_normal": ("<f8", 2),
    "facet_offset": ("<f8", 1),
    "facet_material": ("<i4", 1),
}


def save_site(site: Site, folder: str | Path, *, force: bool = False) -> Path:
    """Write a site to a folder; an existing site of the same place there is replaced in one step.

    Args:
        site: The site.
        folder: The folder to make.
        force: Whether to replace a site of another place, too.

    Raises:
        SiteTwinError: The folder holds something else, another site that is not to be replaced, or cannot be written
            (permissions, full disk).
    """
    folder = Path(folder)
    check_site_folder(folder)
    if not force and is_saved_site(folder):
        refuse_another(site, _description(folder), folder)
    description = {
        "format": FORMAT,
        "version": VERSION,
        "name": site.name,
        "hash": site.hash,
        "geometry_hash": site.geometry_hash,
        "objects": list(site.objects),
        "buildings": None if site.object_building is None else site.object_building.tolist(),
        "materials": [m.to_dict() for m in site.materials],
        "vegetation": site.vegetation.to_dict(),
        "georeference": vars(site.georeference) if site.georeference else None,
        "provenance": site.provenance,
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise SiteTwinError(f"the site cannot be written beside '{folder}': {error.strerror}") from error
    try:
        arrays = {key: np.ascontiguousarray(getattr(site, key), dtype) for key, (dtype, _) in _DTYPES.items()}
        np.savez(fresh / _ARRAYS, **arrays)  # type: ignore[arg-type]
        (fresh / _DESCRIPTION).write_text(json.dumps(description, indent=1), encoding="utf-8")
        fresh.chmod(0o755)
        replace_folder(fresh, folder)
        site.remember_place(folder)
    except OSError as error:
        raise SiteTwinError(
            f"the site cannot be written to '{folder}': {error.strerror}; free space or choose another folder"
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def check_site_folder(folder: str | Path) -> None:
    """Check that a site may be written to a folder, before the site is made.

    Raises:
        SiteTwinError: The folder holds something other than a site.
    """
    folder = Path(folder)
    if folder.exists() and not is_saved_site(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise SiteTwinError(f"'{folder}' holds something other than a site; choose another folder")


def is_saved_site(folder: str | Path) -> bool:
    """Return whether a folder looks like one that `save_site` wrote."""
    return os.path.isfile(Path(folder) / _DESCRIPTION)


def load_site(folder: str | Path) -> Site:
    """Read a site that `save_site` wrote, and check it against the hash in its description.

    Raises:
        SiteTwinError: The folder is not a site, or the site is of a newer version, truncated or changed.
    """
    with naming(folder, f"the site in '{folder}'"):
        return _load(Path(folder))


def _load(folder: Path) -> Site:
    description = _description(folder)
    arrays: dict[str, Any] = _arrays(folder)
    mend = "it was truncated or changed; make it again"
    try:
        georeference = description["georeference"]
        with said_of(f"the site in '{folder}'"):
            site = Site(
                name=str(description["name"]),
                objects=tuple(str(name) for name in description["objects"]),
                materials=tuple(Material.from_dict(m) for m in description["materials"]),
                vegetation=Vegetation.from_dict(description["vegetation"]),
                georeference=Georeference(**georeference) if georeference else None,
                provenance=dict(description["provenance"]),
                object_building=_buildings(description),
                **arrays,
            )
        expected = description["hash"]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
        raise SiteTwinError(f"the site in '{folder}' is incomplete ({error}); {mend}") from error
    check_vertices(site.vertices, f"site '{folder}'")
    if site.hash != expected:
        raise SiteTwinError(f"the site in '{folder}' does not match its own hash; {mend}")
    return site


def _buildings(description: dict[str, Any]) -> np.ndarray | None:
    """(O,) building of each object, if the source said."""
    said = description.get("buildings")
    if said is None:
        return None
    building = np.array(said, dtype=np.int32)
    if building.shape != (len(description["objects"]),):
        raise ValueError("buildings of other objects")
    return building


def _description(folder: Path) -> dict[str, Any]:
    path = folder / _DESCRIPTION
    if not path.is_file():
        raise SiteTwinError(f"'{folder}' is no saved site: it has no {_DESCRIPTION}")
    what, mend = f"'{path}'", "make the site again"
    description = parse_json(read_bytes(path, what, LARGEST_JSON, mend), what, mend)
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise SiteTwinError(f"'{path}' does not describe a site of sitetwin")
    if description.get("version") != VERSION:
        raise SiteTwinError(
            f"'{path}' has format version {description.get('version')}, this sitetwin reads {VERSION}; update sitetwin"
        )
    return description


def _arrays(folder: Path) -> dict[str, np.ndarray]:
    path = folder / _ARRAYS
    arrays = read_npz(path, f"'{path}'", "make the site again", _DTYPES)
    for key, (dtype, dimensions) in _DTYPES.items():
        if arrays[key].dtype != np.dtype(dtype) or arrays[key].ndim != dimensions:
            raise SiteTwinError(f"'{path}' is foreign: '{key}' has the wrong type; make the site again")
    return arrays
