"""A coverage on disk: pictures, GeoTIFF, a table with one row per user, and a summary."""

from __future__ import annotations

import importlib.metadata
import io
import json
import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.channel.antennas.descriptions import describe_pattern
from sitetwin.channel.link_statistics import NOISE_TEMPERATURE, peak_gain_db, thermal_noise_w
from sitetwin.drawing.style import PNG_DPI, figure_style
from sitetwin.errors import SiteTwinWarning
from sitetwin.report.coverage.maps import Background, label_map, value_map
from sitetwin.report.coverage.rasters import GridRaster, can_write_geotiff, geotiff
from sitetwin.store.files import disk_errors, hash_bytes, write_file
from sitetwin.studies.coverage import Coverage
from sitetwin.version import __version__

SCHEMA = "sitetwin-coverage-1"
SUMMARY = "coverage.json"
TABLE = "coverage.csv"
PERCENTILES = (5, 10, 25, 50, 75, 90, 95)
THRESHOLDS = {
    "rsrp_dbm": (-120, -110, -100, -90, -80, -70),
    "sinr_db": (-6, 0, 5, 10, 15, 20, 25),
}
"""Of which the share of the users above is stated."""

_SIGHT_COLOURS = ("#E69F00", "#0072B2")
_ROWS_AT_ONCE = 20_000

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Quantity:
    """One map.

    Attributes:
        units: In table, GeoTIFF and summary; "" for labels.
        description: What it is.
        label: Of the colour bar.
        factor: From those units to the picture's.
        step: The colour bar's ends are multiples of it, in the picture's units; 0 for labels.
        missing: What no value means.
    """

    units: str
    description: str
    label: str = ""
    factor: float = 1.0
    step: float = 0.0
    missing: str = "user without a path"


def _spread(which: str) -> Quantity:
    text = f"circular standard deviation (3GPP TR 38.901, Annex A.1) of the {which}"
    return Quantity("rad", text, f"RMS spread, {which} (degrees)", 180 / math.pi, 5.0)


QUANTITIES = {
    "path_gain_db": Quantity(
        "dB",
        "received over transmitted power between the antenna of the serving station and a vertical isotropic one: "
        "sum of the path powers",
        "path gain (dB)",
        1.0,
        5.0,
    ),
    "rsrp_dbm": Quantity("dBm", "received power per resource element, of the best server", "RSRP (dBm)", 1.0, 5.0),
    "sinr_db": Quantity("dB", "signal over interference plus noise per resource element", "SINR (dB)", 1.0, 5.0),
    "best_server": Quantity("", "station with the largest RSRP", "best server"),
    "delay_spread_s": Quantity("s", "root mean square delay spread", "RMS delay spread (ns)", 1e9, 10.0),
    "azimuth_spread_departure_rad": _spread("azimuth of departure"),
    "zenith_spread_departure_rad": _spread("zenith of departure"),
    "azimuth_spread_arrival_rad": _spread("azimuth of arrival"),
    "zenith_spread_arrival_rad": _spread("zenith of arrival"),
    "rician_k_db": Quantity(
        "dB",
        "power of the line of sight over that of all other paths",
        "Rician K-factor (dB)",
        1.0,
        5.0,
        "no line of sight",
    ),
    "line_of_sight": Quantity(
        "", "whether the serving station is in line of sight", "serving station in line of sight"
    ),
}
"""The maps, by the name of their files and of their column."""


def coverage_values(coverage: Coverage) -> dict[str, np.ndarray]:
    """(U,) float64 of each quantity, NaN where there is none; best server and line of sight as numbers."""
    served = coverage.serving >= 0
    rsrp = np.take_along_axis(coverage.received, np.maximum(coverage.serving, 0)[None], axis=0)[0]
    values = {
        "path_gain_db": _db(coverage.of_serving("path_gain")),
        "rsrp_dbm": _db(np.where(served, rsrp, np.nan)) + 30,
        "sinr_db": _db(coverage.sinr),
        "best_server": np.where(served, coverage.serving, np.nan),
        "delay_spread_s": coverage.of_serving("delay_spread"),
        "azimuth_spread_departure_rad": coverage.of_serving("azimuth_spread_departure"),
        "zenith_spread_departure_rad": coverage.of_serving("zenith_spread_departure"),
        "azimuth_spread_arrival_rad": coverage.of_serving("azimuth_spread_arrival"),
        "zenith_spread_arrival_rad": coverage.of_serving("zenith_spread_arrival"),
        "rician_k_db": _db(coverage.of_serving("rician_k")),
        "line_of_sight": coverage.of_serving("line_of_sight"),
    }
    assert list(values) == list(QUANTITIES)
    return values


def _db(value: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return 10 * np.log10(value)


def write_coverage(coverage: Coverage, folder: str | Path, progress: Progress | None = None) -> dict[str, Any]:
    """Write pictures, GeoTIFF, table and summary, each whole or not at all; the summary comes last.

    Args:
        coverage: From `run_coverage`.
        folder: Where the files go.
        progress: Told the stage and its finished share.

    Returns:
        The summary, as `coverage.json` holds it.

    Raises:
        SiteTwinError: The disk refuses.
    """
    tell = progress or (lambda stage, share: None)
    folder = Path(folder)
    values = coverage_values(coverage)
    with_geotiff = can_write_geotiff()
    if not with_geotiff:
        warnings.warn(
            "GeoTIFF files are left out, for the package rasterio is not installed; install it with "
            "`pip install 'sitetwin[geo]'` and run the same command with --resume",
            SiteTwinWarning,
            stacklevel=2,
        )
    hashes: dict[str, str] = {}

    def put(name: str, data: bytes) -> None:
        write_file(folder / name, data)
        hashes[name] = hash_bytes(data)

    with disk_errors("writing maps", folder, "run it again with --resume"):
        folder.mkdir(parents=True, exist_ok=True)
        raster = GridRaster(coverage.users[:, :2], np.array(coverage.area.bounds[:2]), coverage.area.spacing)
        background = Background.of(coverage.site, raster.extent, coverage.stations)
        for done, (name, value) in enumerate(values.items()):
            put(f"{name}.png", _picture(coverage, background, raster, name, value))
            if with_geotiff:
                put(f"{name}.tif", geotiff(raster, value, coverage.site.georeference, _tags(coverage, name)))
            tell("maps", (done + 1) / len(values))
        put(TABLE, _table(coverage, values, lambda share: tell("table", share)))
        summary = _summary(coverage, values, hashes)
        text = json.dumps(summary, indent=1, allow_nan=False) + "\n"
        write_file(folder / SUMMARY, text.encode())
    return summary


def _picture(coverage: Coverage, background: Background, raster: GridRaster, name: str, value: np.ndarray) -> bytes:
    quantity = QUANTITIES[name]
    with figure_style():
        if name == "best_server":
            names = [str(station.name) for station in coverage.stations]
            figure = label_map(background, raster, value, names, quantity.label, quantity.missing)
        elif name == "line_of_sight":
            names = ["no", "yes"]
            figure = label_map(background, raster, value, names, quantity.label, quantity.missing, _SIGHT_COLOURS)
        else:
            shown = value * quantity.factor
            figure = value_map(background, raster, shown, quantity.label, quantity.step, quantity.missing)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return stream.getvalue()


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
    every = _db(np.where(coverage.received > 0, coverage.received, np.nan)) + 30
    columns = {f"rsrp_dbm {name}": row for name, row in zip(names, every, strict=True)}
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


def _summary(coverage: Coverage, values: dict[str, np.ndarray], hashes: dict[str, str]) -> dict[str, Any]:
    site, area, settings = coverage.site, coverage.area, coverage.settings
    count = len(coverage.users)
    options = settings.options
    foliage = options.foliage if options.foliage is None or isinstance(options.foliage, str) else options.foliage.name
    return {
        "schema": SCHEMA,
        "versions": {
            "sitetwin": __version__,
            **{name: importlib.metadata.version(name) for name in ("numpy", "torch", "mitsuba", "drjit", "matplotlib")},
        },
        "site": {
            "name": site.name,
            "hash": site.hash,
            "geometry_hash": site.geometry_hash,
            "georeference": asdict(site.georeference) if site.georeference else None,
        },
        "settings": {
            "area_m": list(area.bounds),
            "spacing_m": area.spacing,
            "height_m": area.height,
            "indoors": area.indoors,
            "trace": asdict(settings.trace),
            "season": options.season,
            "foliage": foliage,
            "out_of_range": options.out_of_range,
            "atmosphere": asdict(options.atmosphere) if options.atmosphere else None,
            "diffuse_seed": options.diffuse_seed,
            "noise_figure_db": settings.noise_figure_db,
            "noise_temperature_k": NOISE_TEMPERATURE,
        },
        "conventions": {
            "frame": "local east, north, up; metres",
            "path_gain": "sum of path powers (mean over small-scale fading), with the station's antenna gain",
            "rsrp": "power per resource element: EIRP less peak gain, over the subcarriers, times path gain",
            "sinr": "RSRP over interference (other stations' RSRP times load, where bands meet) plus k T F spacing",
            "links": "all quantities are of the link to the best server",
            "share": "of the users, each of whom stands for spacing^2 of area; without a path is below any threshold",
        },
        "users": {
            "count": count,
            "dropped_inside_buildings": coverage.dropped,
            "without_a_path": int(np.count_nonzero(coverage.serving < 0)),
        },
        "stations": [_station(coverage, index) for index in range(len(coverage.stations))],
        "quantities": {name: _statistics(name, value) for name, value in values.items()},
        "files": hashes,
    }


def _station(coverage: Coverage, index: int) -> dict[str, Any]:
    station = coverage.stations[index]
    served = int(np.count_nonzero(coverage.serving == index))
    downlink = station.downlink
    return {
        **station.model_dump(mode="json"),
        "pattern": Path(station.pattern).name,  # of a measured one not the folder, which is somebody's own
        "antenna": describe_pattern(station.antenna),
        "antenna_peak_gain_dbi": peak_gain_db(station.antenna),
        "antenna_power_dbm": downlink.power_dbm,
        "power_per_resource_element_dbm": 10 * math.log10(downlink.power_per_element_w) + 30,
        "noise_per_resource_element_dbm": 10
        * math.log10(thermal_noise_w(station.spacing_hz, coverage.settings.noise_figure_db))
        + 30,
        "served_users": served,
        "served_share": served / len(coverage.users),
        "served_area_m2": served * coverage.area.spacing**2,
        "line_of_sight_share": float(np.mean(coverage.links[index].line_of_sight)),
        "paths": coverage.stores[index],
        **coverage.chains[index],
    }


def _statistics(name: str, value: np.ndarray) -> dict[str, Any]:
    """Percentiles among the users with a value, and shares of all users."""
    quantity = QUANTITIES[name]
    known = value[~np.isnan(value)]
    facts: dict[str, Any] = {"units": quantity.units, "description": quantity.description}
    facts["share_with_a_value"] = len(known) / len(value)
    if name == "best_server":
        return facts
    if name == "line_of_sight":
        return {**facts, "share": float(np.count_nonzero(known == 1) / len(value))}
    if len(known):
        # Values that occur, not means of neighbours: a Rician K may be infinite, which JSON cannot say.
        found = np.percentile(known, PERCENTILES, method="inverted_cdf").tolist()
        facts["percentiles"] = {
            str(percent): number if math.isfinite(number) else None
            for percent, number in zip(PERCENTILES, found, strict=True)
        }
    if name in THRESHOLDS:
        facts["share_above"] = {
            str(limit): float(np.count_nonzero(known >= limit) / len(value)) for limit in THRESHOLDS[name]
        }
    return facts
