"""One Zarr v3 group of labelled arrays: how it is written, always the same bytes for the same content, and read."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BytesCodec, ZstdCodec

from sitetwin.errors import SiteTwinError
from sitetwin.store.array_files import CHUNK_BYTES, check_array_files, read_metadata

ZSTD_LEVEL = 1  # coordinates barely compress: higher levels cost time and win some 2 %


@dataclass(frozen=True, eq=False)
class Array:
    """An array with its labels.

    Attributes:
        dims: Name of each axis. Arrays of one group that share a name share the length.
        data: The values; numbers or booleans, of one axis or more.
        attributes: JSON-serialisable, by custom `units` and `description`. `rows` names the axis that offsets divide:
            ``offsets[i]:offsets[i + 1]`` are the rows of group i along it.
    """

    dims: tuple[str, ...]
    data: np.ndarray
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Group:
    """Labelled arrays with attributes of their own."""

    arrays: dict[str, Array]
    attributes: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> np.ndarray:
        """The values of one array.

        Raises:
            SiteTwinError: There is none of this name.
        """
        if name not in self.arrays:
            raise SiteTwinError(f"what was read holds no array '{name}'; verify the store, or write it anew")
        return self.arrays[name].data


def check_arrays(arrays: Mapping[str, Array]) -> None:
    """Refuse what could not be read back as it was given.

    Raises:
        ValueError: Labels and axes differ, one label has two lengths, values are not plain numbers, or offsets do not
            lead through the rows that they divide.
    """
    sizes: dict[str, int] = {}
    for name, array in arrays.items():
        if array.data.ndim != len(array.dims) or not array.dims:
            raise ValueError(f"array {name!r} has {array.data.ndim} axes and the labels {array.dims}")
        if array.data.dtype.kind not in "biufc":
            raise ValueError(f"array {name!r} holds {array.data.dtype}, not numbers")
        for dim, size in zip(array.dims, array.data.shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                raise ValueError(f"axis {dim!r} has length {sizes[dim]} and, in {name!r}, {size}")
    for name, array in arrays.items():
        divided = array.attributes.get("rows")
        if isinstance(divided, str) and divided in sizes:
            _check_offsets(name, array.data, sizes[divided])


def _check_offsets(name: str, offsets: np.ndarray, rows: int) -> None:
    """Offsets lead through all rows in order: what follows them does not look."""
    sound = offsets.ndim == 1 and offsets.dtype.kind in "iu" and len(offsets) > 0
    if not sound or offsets[0] != 0 or offsets[-1] != rows or bool((offsets[1:] < offsets[:-1]).any()):
        raise ValueError(f"{name!r} do not rise from 0 to {rows}, the number of rows that they divide")


def chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Chunks run along the first axis and hold CHUNK_BYTES or less (one row, if a row is larger)."""
    row = tuple(max(1, n) for n in shape[1:])  # an empty axis still needs a chunk length
    rows = CHUNK_BYTES // (itemsize * math.prod(row))
    return (min(max(1, rows), max(1, shape[0])), *row)


def create_array(
    group: zarr.Group, name: str, shape: tuple[int, ...], dtype: np.dtype, dims: tuple[str, ...], attributes: dict
) -> zarr.Array:
    """An empty array in a group, little-endian, Zstandard, chunked along its first axis."""
    dtype = dtype.newbyteorder("=")
    return group.create_array(
        name,
        shape=shape,
        dtype=dtype,
        chunks=chunk_shape(shape, dtype.itemsize),
        serializer=BytesCodec() if dtype.itemsize == 1 else BytesCodec(endian="little"),
        compressors=ZstdCodec(level=ZSTD_LEVEL),
        fill_value=np.zeros((), dtype)[()],
        dimension_names=dims,
        attributes=attributes,
        # A chunk of zeros is written like any other: an absent file then always means a loss.
        config={"write_empty_chunks": True},
    )


def write_group(folder: Path, arrays: Mapping[str, Array], attributes: Mapping[str, Any]) -> None:
    """Write a group into an empty folder.

    Raises:
        ValueError: The arrays' labels contradict each other.
        OSError: The disk refuses.
    """
    check_arrays(arrays)
    group = zarr.create_group(folder, zarr_format=3, attributes=dict(attributes))
    for name, array in arrays.items():
        target = create_array(group, name, array.data.shape, array.data.dtype, array.dims, array.attributes)
        target[...] = array.data


def read_group(folder: Path, names: Collection[str] | None = None) -> Group:
    """Read a group into memory: the arrays of some names, or all.

    Raises:
        SiteTwinError: Metadata cannot be read.
        ValueError: The folder holds what is not written here, or its arrays contradict each other.
        OSError: The disk refuses.
    """
    metadata = read_metadata(folder / "zarr.json")
    if not isinstance(metadata, dict) or metadata != group_metadata(metadata.get("attributes") or {}):
        raise ValueError("its metadata are none that are written here")
    # Names come from the folder, not from `group.arrays()`, whose order is that of the file system.
    held = sorted(child.name for child in folder.iterdir() if child.is_dir())
    wanted = held if names is None else sorted(set(names) & set(held))
    for name in wanted:
        check_array_files(folder / name)
    group = zarr.open_group(folder, mode="r", zarr_format=3, use_consolidated=False)
    arrays = {}
    for name in wanted:
        stored = group[name]
        if not isinstance(stored, zarr.Array):
            raise ValueError(f"'{name}' is no array")
        dims = tuple(str(dim) for dim in stored.metadata.dimension_names)  # type: ignore[union-attr]
        arrays[name] = Array(dims, np.asarray(stored[...]), stored.attrs.asdict())
    check_arrays(arrays)
    return Group(arrays, group.attrs.asdict())


def group_metadata(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The `zarr.json` of a group, as a dictionary."""
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}


def consolidated(attributes: Mapping[str, Any], metadata: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The `zarr.json` of a root group that carries the metadata of everything below it.

    Readers then need not list folders, and do not stumble over files that are no part of Zarr.
    """
    inline = {"kind": "inline", "must_understand": False, "metadata": metadata}
    return {**group_metadata(attributes), "consolidated_metadata": inline}


def collect_metadata(root: Path, group: str) -> dict[str, dict[str, Any]]:
    """The `zarr.json` of a group below `root`, of its arrays and of the groups above it, by path.

    Groups above it have no attributes of their own.
    """
    parts = group.split("/")
    found = {"/".join(parts[:depth]): group_metadata({}) for depth in range(1, len(parts))}
    for file in sorted((root / group).glob("**/zarr.json")):
        found[file.parent.relative_to(root).as_posix()] = read_metadata(file)
    return found
