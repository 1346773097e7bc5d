"""Write plain arrays for NumPy (NPZ) and MATLAB (MAT version 5): paths with gains, or channels of a data set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from sitetwin.channel.formats.source import GainSource, Progress
from sitetwin.channel.stored import check_holds_channels, check_whole, read_channel_tile
from sitetwin.channel.user_delays import stored_facts
from sitetwin.errors import SiteTwinError
from sitetwin.rays.jobs.io import LAYOUT, paths_to_arrays
from sitetwin.store import TileStore
from sitetwin.store.outputs import ATTRIBUTES, Spool, new_file, refuse_existing
from sitetwin.version import __version__

LARGEST_MAT_ARRAY = 2**31 - 1
"""Bytes of one variable of a MAT file of version 5."""

_OFFSETS = ("offsets", "crossing_offsets")


def write_path_arrays(source: GainSource, out: str | Path, progress: Progress | None = None) -> Path:
    """Write paths and their gains: the arrays of a store of paths (see docs/reference/store.md), `delay`, and `gain`.

    Args:
        source: Paths and gains.
        out: Path of the new file, ending in .npz or .mat.
        progress: Called with the stage and its finished share.

    Raises:
        SiteTwinError: The file exists or has another ending, an array is too large for MAT, or the disk cannot be
            written.
    """
    out = _checked(out)
    with new_file(out) as (file, scratch):
        spool = Spool(scratch)
        ends = dict.fromkeys(_OFFSETS, 0)
        for start, paths, gains, _ in source.tiles(progress):
            arrays = {name: array.data for name, array in paths_to_arrays(paths).items()}
            for name in _OFFSETS:  # counted on over the tiles; the leading zero stands once
                last = int(arrays[name][-1])
                arrays[name] = arrays[name][0 if start == 0 else 1 :] + ends[name]
                ends[name] += last
            spool.append({**arrays, "delay": paths.delay, "gain": gains.numpy()})
        axes = {name: list(dims) for name, (dims, _) in LAYOUT.items()}
        units = {name: facts["units"] for name, (_, facts) in LAYOUT.items() if "units" in facts}
        facts = source.facts(
            format="paths and their gains",
            transmitter_m=source.transmitter.tolist(),
            axes={**axes, "delay": ["path"], "gain": ["path", "rx_port", "tx_port"]},
            units={**units, "delay": "s", "gain": "1"},
            ragged="paths of user u are rows offsets[u] to offsets[u + 1] - 1, counted from 0; likewise "
            "crossing_offsets divides the crossings among the paths",
            descriptions={name: facts["description"] for name, (_, facts) in LAYOUT.items()},
        )
        _write(file, out, spool, facts)
    return out


def write_channel_arrays(store: TileStore, out: str | Path, progress: Progress | None = None) -> Path:
    """Write a data set of channels as plain arrays, with all tiles joined and the axes of the data set.

    Args:
        store: Finished data set of channels.
        out: Path of the new file, ending in .npz or .mat.
        progress: Called with the stage and its finished share.

    Raises:
        SiteTwinError: The file exists or has another ending, the store does not hold channels or is not finished, an
            array is too large for MAT, or the disk cannot be written.
    """
    out = _checked(out)
    check_holds_channels(store)
    check_whole(store)
    tell = progress or (lambda stage, share: None)
    axes: dict[str, list[str]] = {}
    notes: dict[str, Any] = {}
    with new_file(out) as (file, scratch):
        spool = Spool(scratch)
        end = 0
        for index in range(len(store.tiles)):
            group = read_channel_tile(store, index)
            arrays = {name: array.data for name, array in group.arrays.items()}
            if "offsets" in arrays:
                last = int(arrays["offsets"][-1])
                arrays["offsets"] = arrays["offsets"][0 if index == 0 else 1 :] + end
                end += last
            spool.append(arrays)
            axes |= {name: list(array.dims) for name, array in group.arrays.items()}
            notes |= {name: array.attributes for name, array in group.arrays.items()}
            _refuse_large(spool, out)
            tell("export", (index + 1) / len(store.tiles))
        shared = store.read_group("axes")
        for name, array in shared.arrays.items():
            axis = f"axis_{name}"
            spool.append({axis: array.data})
            axes[axis], notes[axis] = list(array.dims), array.attributes
        facts = {
            **store.attributes,
            **stored_facts(store),
            "made_by": f"sitetwin {__version__}",
            "configuration_hash": store.configuration_hash,
            "axes": axes,
            "arrays": notes,
        }
        _write(file, out, spool, facts)
    return out


def _checked(out: str | Path) -> Path:
    out = refuse_existing(out)
    if out.suffix not in (".npz", ".mat"):
        raise SiteTwinError(f"{out} ends neither in .npz nor in .mat; name the file so")
    return out


def _refuse_large(spool: Spool, out: Path) -> None:
    if out.suffix != ".mat":
        return
    for name in spool.shapes:
        if spool.nbytes(name) > LARGEST_MAT_ARRAY:
            raise SiteTwinError(
                f"the array '{name}' is larger than the 2 GB that a MAT file of version 5 holds; export it as npz, or "
                "read the Zarr store itself"
            )


def _write(file: Path, out: Path, spool: Spool, facts: Mapping[str, Any]) -> None:
    if out.suffix == ".npz":
        spool.write_npz(file, facts)
        return
    _refuse_large(spool, out)
    content: dict[str, Any] = {name: np.asarray(spool.array(name)) for name in spool.shapes}
    content[ATTRIBUTES] = json.dumps(facts, sort_keys=True, allow_nan=False)
    # The leading 116 bytes of the file say when it was made: another text makes equal content equal bytes.
    scipy.io.savemat(file, content, format="5", do_compression=True, oned_as="column")
    with file.open("r+b") as stream:
        stream.write(f"MATLAB 5.0 MAT-file, made by sitetwin {__version__}".ljust(116).encode())
