"""Several stores side by side in one folder, which readers open as one tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sitetwin.errors import SiteTwinError
from sitetwin.store.array_files import read_metadata
from sitetwin.store.files import PARTIAL, canonical_json, disk_errors, own_place, write_file
from sitetwin.store.groups import consolidated
from sitetwin.store.tiles import TileStore, refuse_inside_store

_ROOT = "zarr.json"


def begin_collection(folder: str | Path, names: Sequence[str]) -> list[Path]:
    """Make the folder of several stores, or continue with an existing one.

    Args:
        folder: The folder; it is made with its parents if it does not exist.
        names: Names of the stores, below the folder.

    Returns:
        The place of each store; none is made here.

    Raises:
        SiteTwinError: The folder is a store itself, lies in one, holds something else, or cannot be written; or the
            place of a store is a symbolic link.
    """
    folder = Path(folder)
    places = [own_place(folder, name) for name in names]
    refuse_inside_store(places[0])
    with disk_errors("beginning stores", folder):
        folder.mkdir(parents=True, exist_ok=True)
        allowed = {PARTIAL, _ROOT, *names}
        strangers = sorted(child.name for child in folder.iterdir() if child.name not in allowed)
    if strangers:
        raise SiteTwinError(
            f"{folder} holds {strangers[0]!r}, which is none of the {len(names)} stores to be written there; "
            "choose another folder"
        )
    return places


def finish_collection(folder: str | Path, attributes: Mapping[str, Any], stores: Sequence[TileStore]) -> None:
    """Write the root group that makes finished stores one tree, for ``xarray.open_datatree(folder, engine="zarr")``.

    Raises:
        SiteTwinError: The disk cannot be written.
    """
    folder = Path(folder)
    metadata: dict[str, dict[str, Any]] = {}
    with disk_errors("finishing stores", folder):
        for store in stores:
            root = read_metadata(store.path / _ROOT)
            below = root["consolidated_metadata"]["metadata"]
            metadata[store.path.name] = {name: root[name] for name in ("zarr_format", "node_type", "attributes")}
            metadata |= {f"{store.path.name}/{name}": value for name, value in below.items()}
        write_file(folder / _ROOT, canonical_json(consolidated(attributes, metadata)).encode())
