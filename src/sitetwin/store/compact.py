"""Make one flat data set from a store of tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr

from sitetwin.errors import SiteTwinError
from sitetwin.store.files import canonical_json, disk_errors, folder_in_the_making, sweep_partials
from sitetwin.store.groups import Array, collect_metadata, consolidated, create_array
from sitetwin.store.manifest import tile_group
from sitetwin.store.tiles import TileStore, refuse_inside_store


def compact(store: TileStore, out: str | Path) -> None:
    """Join all tiles of a finished store into one Zarr v3 group that ``xarray.open_zarr`` reads.

    Arrays are joined along their first axis; offsets (arrays with the attribute `rows`) are shifted to count the
    joined rows. One tile is in memory at a time. Groups beside the tiles are left out.

    Raises:
        SiteTwinError: Tiles are missing or damaged, `out` exists, or the disk cannot be written.
    """
    out = Path(out)
    if not store.tiles:
        raise SiteTwinError(f"{store.path} has no tiles, so there is nothing to compact")
    missing = store.missing_tiles()
    if missing:
        raise SiteTwinError(
            f"{store.path} is not finished: {len(missing)} of {len(store.tiles)} tiles are missing; "
            "resume the run that makes it"
        )
    refuse_inside_store(out)
    if out.exists():
        raise SiteTwinError(f"{out} exists already; choose another place for the compact data set")
    lengths = _joined_lengths(store)
    with disk_errors("compacting", out, again="compact again"):
        out.parent.mkdir(parents=True, exist_ok=True)
        sweep_partials(out.parent, out.name)
        with folder_in_the_making(out.parent, out) as folder:
            _write_flat(store, lengths, folder)


def _joined_lengths(store: TileStore) -> dict[str, int]:
    """Length of each array's first axis once the tiles are joined, from the tiles' metadata alone.

    Raises:
        SiteTwinError: Two tiles hold different arrays.
    """
    lengths: dict[str, int] = {}
    first: dict[str, Any] = {}
    for index in range(len(store.tiles)):
        group = tile_group(index)
        metadata = collect_metadata(store.path, group)
        try:
            arrays = {k.rpartition("/")[2]: v for k, v in metadata.items() if v["node_type"] == "array"}
            kinds = {name: (array["data_type"], array["shape"][1:]) for name, array in arrays.items()}
            counts = {name: int(array["shape"][0]) for name, array in arrays.items()}
            divides = {name for name, array in arrays.items() if "rows" in array["attributes"]}
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise SiteTwinError(f"{group} of {store.path} has damaged metadata; verify the store") from error
        if first and kinds != first:
            raise SiteTwinError(f"{group} of {store.path} holds other arrays than the tiles before; verify the store")
        first = kinds
        for name, count in counts.items():
            # Offsets have one entry more than the rows that they divide; joined, the tiles share the edges.
            shared = 1 if name in divides and name in lengths else 0
            lengths[name] = lengths.get(name, 0) + count - shared
    return lengths


def _write_flat(store: TileStore, lengths: dict[str, int], folder: Path) -> None:
    attributes = {
        **store.attributes,
        "configuration": store.configuration,
        "configuration_hash": store.configuration_hash,
    }
    root = zarr.create_group(folder, zarr_format=3, attributes=attributes)
    written = dict.fromkeys(lengths, 0)
    last_offset = dict.fromkeys(lengths, 0)
    for index in range(len(store.tiles)):
        for name, array in store.read_tile(index).arrays.items():
            if index == 0:
                _create_joined(root, name, array, lengths[name])
            rows = array.data
            if "rows" in array.attributes:
                rows = rows + rows.dtype.type(last_offset[name])
                last_offset[name] = int(rows[-1])
                rows = rows if index == 0 else rows[1:]
            target = root[name]
            assert isinstance(target, zarr.Array)
            target[written[name] : written[name] + len(rows)] = rows
            written[name] += len(rows)
    metadata = {name: collect_metadata(folder, name)[name] for name in sorted(lengths)}
    (folder / "zarr.json").write_text(canonical_json(consolidated(attributes, metadata)))


def _create_joined(root: zarr.Group, name: str, array: Array, length: int) -> None:
    shape = (length, *array.data.shape[1:])
    create_array(root, name, shape, np.dtype(array.data.dtype), array.dims, array.attributes)
