"""A coverage on disk: pictures, GeoTIFF, a table with one row per user, and a summary."""

from __future__ import annotations

import io
import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sitetwin.drawing.maps import round_range
from sitetwin.drawing.style import PNG_DPI, SIGHT_COLOURS, figure_style
from sitetwin.errors import SiteTwinWarning
from sitetwin.report.coverage.maps import Background, label_colours, label_map, value_map
from sitetwin.report.coverage.rasters import can_write_geotiff, category_names, coloured_geotiff, geotiff, label_geotiff
from sitetwin.store.files import disk_errors, hash_bytes, write_file
from sitetwin.studies.coverage.coverage import SIGHT_NAMES, Coverage
from sitetwin.studies.coverage.grid import GridRaster
from sitetwin.studies.coverage.quantities import QUANTITIES
from sitetwin.studies.coverage.results import SUMMARY, CoverageResults, summarise
from sitetwin.studies.records import as_document

TABLE = "coverage.csv"

_ROWS_AT_ONCE = 20_000

Progress = Callable[[str, float], None]


def write_coverage(coverage: Coverage, folder: str | Path, progress: Progress | None = None) -> CoverageResults:
    """Write pictures, GeoTIFF, table and summary, each whole or not at all; the summary comes last.

    Args:
        coverage: Coverage from `run_coverage`.
        folder: Folder that the files go to.
        progress: Function that is told the stage and its finished share.

    Returns:
        The summary, as `coverage.json` holds it.

    Raises:
        SiteTwinError: The disk refuses.
    """
    tell = progress or (lambda stage, share: None)
    folder = Path(folder)
    values = {name: coverage.values(name) for name in QUANTITIES}
    with_geotiff = can_write_geotiff()
    if not with_geotiff:
        warnings.warn(
            "GeoTIFF files are left out, for the package rasterio is not installed; install it with "
            "`pip install 'sitetwin[geo]'` and write the maps again",
            SiteTwinWarning,
            stacklevel=2,
        )
    hashes: dict[str, str] = {}

    def put(name: str, data: bytes) -> None:
        write_file(folder / name, data)
        hashes[name] = hash_bytes(data)

    with disk_errors("writing maps", folder, "resume the coverage"):
        folder.mkdir(parents=True, exist_ok=True)
        raster = coverage.raster
        background = Background.of(coverage.site, raster.extent, coverage.stations)
        for done, (name, value) in enumerate(values.items()):
            put(f"{name}.png", _picture(coverage, background, raster, name, value))
            if with_geotiff:
                for file, data in _rasters(coverage, raster, name, value).items():
                    put(file, data)
            tell("maps", (done + 1) / len(values))
        put(TABLE, _table(coverage, values, lambda share: tell("table", share)))
        summary = summarise(coverage, hashes)
        text = json.dumps(as_document(summary), indent=1, allow_nan=False) + "\n"
        write_file(folder / SUMMARY, text.encode())
    return summary


def _picture(coverage: Coverage, background: Background, raster: GridRaster, name: str, value: np.ndarray) -> bytes:
    quantity = QUANTITIES[name]
    with figure_style():
        if name == "best_server":
            names = [str(station.name) for station in coverage.stations]
            figure = label_map(background, raster, value, names, quantity.label, quantity.missing)
        elif name == "line_of_sight":
            figure = label_map(background, raster, value, SIGHT_NAMES, quantity.label, quantity.missing, SIGHT_COLOURS)
        else:
            shown = value * quantity.factor
            figure = value_map(background, raster, shown, quantity.label, quantity.step, quantity.missing)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return stream.getvalue()


def _rasters(coverage: Coverage, raster: GridRaster, name: str, value: np.ndarray) -> dict[str, bytes]:
    """The GeoTIFF files of a quantity: its numbers and a picture of them, or labels with their names and colours."""
    place, tags, quantity = coverage.site.georeference, _tags(coverage, name), QUANTITIES[name]
    if name in ("best_server", "line_of_sight"):
        sight = name == "line_of_sight"
        names = list(SIGHT_NAMES) if sight else [str(station.name) for station in coverage.stations]
        colours = label_colours(len(names), SIGHT_COLOURS if sight else None)
        return {
            f"{name}.tif": label_geotiff(raster, value, colours, place, tags),
            f"{name}.tif.aux.xml": category_names(names),
        }
    shown = value * quantity.factor
    picture = coloured_geotiff(raster, shown, round_range(shown, quantity.step), place, tags)
    return {f"{name}.tif": geotiff(raster, value, place, tags), f"{name}_colours.tif": picture}


def _tags(coverage: Coverage, name: str) -> dict[str, str]:
    quantity = QUANTITIES[name]
    tags = {"units": quantity.units, "description": quantity.description, "site_hash": coverage.site.hash}
    if name == "best_server":
        names = ", ".join(f"{index}: {station.name}" for index, station in enumerate(coverage.stations))
        tags["description"] = f"{quantity.description} ({names})"
    return tags


def _table(coverage: Coverage, values: dict[str, np.ndarray], tell: Callable[[float], None]) -> bytes:
    """Comma-separated values: a user per row; an empty field where there is no value."""
    names = [str(station.name) for station in coverage.stations]
    columns = {f"rsrp_dbm {name}": row for name, row in zip(names, coverage.received_dbm, strict=True)}
    header = ["x_m", "y_m", "z_m", *values, *columns]
    parts = [",".join(_quoted(word) for word in header) + "\n"]
    numbers = np.stack([*coverage.users.T, *values.values(), *columns.values()], axis=1)
    server, sight = header.index("best_server"), header.index("line_of_sight")
    for start in range(0, len(numbers), _ROWS_AT_ONCE):
        for row in numbers[start : start + _ROWS_AT_ONCE].tolist():
            words = ["" if math.isnan(value) else f"{value:.8g}" for value in row]
            if words[server]:
                words[server] = _quoted(names[int(row[server])])
                words[sight] = str(int(row[sight]))
            parts.append(",".join(words) + "\n")
        tell(min(1.0, (start + _ROWS_AT_ONCE) / len(numbers)))
    return "".join(parts).encode()


def _quoted(word: str) -> str:
    """A field of a table as RFC 4180 wants it."""
    return '"' + word.replace('"', '""') + '"' if '"' in word else word
