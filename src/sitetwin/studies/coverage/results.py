"""`coverage.json`: one schema, which is written and read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from pydantic import Field

from sitetwin.channel.antennas.descriptions import describe_pattern
from sitetwin.channel.link_statistics import NOISE_TEMPERATURE, peak_gain_db, thermal_noise_w
from sitetwin.studies.coverage.coverage import Coverage
from sitetwin.studies.coverage.quantities import QUANTITIES
from sitetwin.studies.frame import versions
from sitetwin.studies.records import Number, Record, checked_record, read_document

Schema = Literal["sitetwin-coverage-1"]
(SCHEMA,) = get_args(Schema)
SUMMARY = "coverage.json"
PERCENTILES = (5, 10, 25, 50, 75, 90, 95)
THRESHOLDS = {
    "rsrp_dbm": (-120, -110, -100, -90, -80, -70),
    "sinr_db": (-6, 0, 5, 10, 15, 20, 25),
}
"""The share of the users above each of them is stated."""

_LIBRARIES = ("numpy", "torch", "mitsuba", "drjit", "matplotlib")
_CONVENTIONS = {
    "frame": "local east, north, up; metres",
    "path_gain": "sum of path powers (mean over small-scale fading), with the station's antenna gain",
    "rsrp": "power per resource element: EIRP less peak gain, over the subcarriers, times path gain",
    "sinr": "RSRP over interference (other stations' RSRP times load, where bands meet) plus k T F spacing",
    "links": "all quantities are of the link to the best server",
    "share": "of the users, each of whom stands for spacing^2 of area; without a path is below any threshold",
}


class SiteFacts(Record):
    """The site that was covered."""

    name: str
    hash: str
    geometry_hash: str
    georeference: dict[str, Any] | None


class Settings(Record):
    """How the coverage was made."""

    area_m: tuple[float, float, float, float]
    spacing_m: float
    height_m: float
    indoors: bool
    trace: dict[str, Any]
    season: str
    foliage: str | None
    out_of_range: str
    atmosphere: dict[str, float] | None
    diffuse_seed: int
    noise_figure_db: float
    noise_temperature_k: float


class Users(Record):
    """How many users there are, and how many of them receive nothing."""

    count: int
    dropped_inside_buildings: int
    without_a_path: int


class StationFacts(Record):
    """A station as it was given, and what it serves.

    Attributes:
        name: The station's name; it and what follows up to `load` are those of `Station`.
        antenna: Kind and parameters of its pattern.
        antenna_peak_gain_dbi: Largest gain of the pattern.
        antenna_power_dbm: Power that the antenna is fed with.
        power_per_resource_element_dbm: Power that one resource element is fed with.
        noise_per_resource_element_dbm: Noise of a user's receiver.
        served_users: Users whose best server it is.
        served_share: Their share of all users.
        served_area_m2: Area that they stand for.
        line_of_sight_share: Share of all users that see it.
        paths: Folder of its paths.
        chains_hash: Hash of its chains.
        unseen_share: Estimated share of valid (chain, user) pairs that the tracer missed.
        unseen_high: Its upper limit at 95 % confidence; None in results of older versions.
        probe_users: Number of users on whom it was estimated; None in results of older versions.
        paths_configuration_hash: Hash of the configuration of that store.
    """

    name: str
    position: tuple[float, float, float]
    eirp_dbm: float
    carrier_hz: float
    subcarriers: int
    spacing_hz: float
    yaw_deg: float
    downtilt_deg: float
    roll_deg: float
    pattern: str
    load: float
    antenna: dict[str, Any]
    antenna_peak_gain_dbi: float
    antenna_power_dbm: float
    power_per_resource_element_dbm: float
    noise_per_resource_element_dbm: float
    served_users: int
    served_share: float
    served_area_m2: float
    line_of_sight_share: float
    paths: str
    chains_hash: str | None
    unseen_share: float
    unseen_high: Number = None
    probe_users: int | None = None
    paths_configuration_hash: str


class QuantityFacts(Record):
    """How a quantity is spread over the users.

    Attributes:
        units: Units of the numbers; "" for labels.
        description: What the quantity is.
        share_with_a_value: Share of all users.
        share: Share of all users whose label is "yes"; of labels alone.
        percentiles: Values among the users with a value, by per cent; None where the value is infinite.
        share_above: Share of all users at or above a threshold.
    """

    units: str
    description: str
    share_with_a_value: float
    share: float | None = None
    percentiles: dict[str, Number] | None = None
    share_above: dict[str, float] | None = None


class CoverageResults(Record):
    """All that `coverage.json` holds.

    Attributes:
        files: SHA-256 of each file beside it, by name.
    """

    schema_version: Schema = Field(alias="schema")
    versions: dict[str, str]
    site: SiteFacts
    settings: Settings
    conventions: dict[str, str]
    users: Users
    stations: list[StationFacts]
    quantities: dict[str, QuantityFacts]
    files: dict[str, str]


def summarise(coverage: Coverage, files: Mapping[str, str]) -> CoverageResults:
    """Sum up a coverage.

    Args:
        coverage: Coverage from `run_coverage`.
        files: SHA-256 of the files that were written of it, by name.
    """
    site = coverage.site
    document = {
        "schema": SCHEMA,
        "versions": versions(*_LIBRARIES),
        "site": {
            "name": site.name,
            "hash": site.hash,
            "geometry_hash": site.geometry_hash,
            "georeference": asdict(site.georeference) if site.georeference else None,
        },
        "settings": _settings(coverage),
        "conventions": _CONVENTIONS,
        "users": {
            "count": len(coverage.users),
            "dropped_inside_buildings": coverage.dropped,
            "without_a_path": int(np.count_nonzero(coverage.serving < 0)),
        },
        "stations": [_station(coverage, index) for index in range(len(coverage.stations))],
        "quantities": {name: _statistics(name, coverage.values(name)) for name in QUANTITIES},
        "files": dict(files),
    }
    return checked_record(CoverageResults, document)


def read_coverage_results(folder: str | Path) -> CoverageResults:
    """Read the summary of a finished coverage.

    Args:
        folder: Folder of the coverage.

    Raises:
        SiteTwinError: It is missing, damaged, or of another schema.
    """
    path = Path(folder) / SUMMARY
    refusal = f"'{path}' is no summary of a coverage ({SCHEMA}); give the folder of one"
    return read_document(CoverageResults, path, "schema", SCHEMA, refusal, f"the numbers in '{path}'")


def _settings(coverage: Coverage) -> dict[str, Any]:
    area, settings = coverage.area, coverage.settings
    options = settings.options
    foliage = options.foliage if options.foliage is None or isinstance(options.foliage, str) else options.foliage.name
    return {
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
