"""Paths as a Parquet table: one row per path, for data frames and query engines."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.channel.fields.gains import PathGains
from sitetwin.channel.formats.source import GainSource, Progress
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Paths
from sitetwin.store.outputs import ATTRIBUTES, new_file, refuse_existing

_UNITS = {
    "user_position": "m",
    "vertices": "m",
    "length": "m",
    "delay": "s",
    "power_db": "dB",
    "gain_real": "1",
    "gain_imag": "1",
    "crossing_entry": "m",
    "crossing_exit": "m",
}


def write_parquet(source: GainSource, out: str | Path, progress: Progress | None = None) -> Path:
    """Write one row per path, one row group per tile of users; users without a path have no row.

    Args:
        source: Paths and gains.
        out: The file, ending in .parquet.
        progress: Called with the stage and its finished share.

    Raises:
        SiteTwinError: The package pyarrow is not installed, the file exists or has another ending, or the disk cannot
            be written.
    """
    if find_spec("pyarrow") is None:
        raise SiteTwinError("Parquet needs the package pyarrow; install it with `pip install 'sitetwin[formats]'`")
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = refuse_existing(out)
    if out.suffix != ".parquet":
        raise SiteTwinError(f"{out} does not end in .parquet; name the file so")
    tx, rx = source.request.tx.array.num_ports, source.request.rx.array.num_ports
    facts = source.facts(
        format="one row per path",
        transmitter_m=source.transmitter.tolist(),
        users=source.num_users,
        units=_UNITS,
        path="number of the path within its user",
        gain_order=f"lists of {rx} x {tx} gains, receive port major",
        power_db="10 log10 of the sum of |gain|^2 over the pairs of ports",
    )
    with new_file(out) as (file, _):
        writer = None
        try:
            for start, paths, gains, _ in source.tiles(progress):
                table = _table(start, paths, gains)
                if writer is None:
                    text = json.dumps(facts, sort_keys=True, allow_nan=False)
                    schema = table.schema.with_metadata({ATTRIBUTES: text})
                    writer = pq.ParquetWriter(file, schema, compression="zstd")
                writer.write_table(pa.table(table.columns, schema=schema))
        finally:
            if writer is not None:
                writer.close()
    return out


def _table(start: int, paths: Paths, gains: PathGains) -> Any:
    """The rows of one tile."""
    import pyarrow as pa

    owner = paths.user_of_path
    with np.errstate(divide="ignore"):
        power_db = 10 * np.log10(gains.power.numpy().sum(axis=(1, 2)))
    inside = paths.kinds > 0
    edges = np.concatenate([[0], np.cumsum(paths.depth)])
    crossings = paths.crossing_offsets

    def triples(array: np.ndarray) -> Any:
        return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(array, np.float64).ravel()), 3)

    def lists(offsets: np.ndarray, values: Any) -> Any:
        return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values)

    flat = gains.numpy().reshape(len(gains), -1)
    ports = np.arange(len(gains) + 1) * flat.shape[1]
    columns = {
        "user": pa.array(start + owner),
        "path": pa.array((np.arange(paths.num_paths) - paths.offsets[owner]).astype(np.int32)),
        "user_position": triples(paths.users[owner]),
        "kinds": lists(edges, pa.array(paths.kinds[inside])),
        "facets": lists(edges, pa.array(paths.facets[inside])),
        "vertices": lists(edges, triples(paths.vertices[inside])),
        "length": pa.array(paths.length),
        "delay": pa.array(paths.delay),
        "departure": triples(paths.departure),
        "arrival": triples(paths.arrival),
        "line_of_sight": pa.array(paths.depth == 0),
        "power_db": pa.array(power_db),
        "gain_real": lists(ports, pa.array(np.ascontiguousarray(flat.real).ravel())),
        "gain_imag": lists(ports, pa.array(np.ascontiguousarray(flat.imag).ravel())),
        "crossing_volume": lists(crossings, pa.array(paths.crossing_volume)),
        "crossing_entry": lists(crossings, pa.array(paths.crossing_entry)),
        "crossing_exit": lists(crossings, pa.array(paths.crossing_exit)),
    }
    return pa.table(columns)
