"""Targets: stations, places of transmitters, antenna patterns and codebooks."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch

from sitetwin.channel import StationRadio, load_pattern, read_station_radio
from sitetwin.channel.stations import Station, named_stations, read_stations
from sitetwin.face.transmitter_texts import read_transmitters
from sitetwin.measured.deepsense import read_codebook
from tests.fuzz.judge import Target
from tests.fuzz.targets.properties import finite

_STATIONS: list[dict[str, Any]] = [
    {"name": "north", "position": [1.0, 2.0, 30.0], "eirp_dbm": 46.0, "carrier_hz": 3.5e9, "pattern": "tr38901"},
    {
        "position": [5, 2, 25],
        "power_dbm": 40,
        "gain_dbi": 0.0,
        "cable_loss_db": 1,
        "azimuth_deg": 120,
        "downtilt_deg": 6,
    },
    {
        "latitude": 52.5,
        "longitude": 13.4,
        "height_m": 3,
        "above": "roof",
        "eirp_dbm": 30,
        "load": 0.5,
        "spacing_hz": 15e3,
    },
]


def _stations_toml() -> list[dict[str, bytes]]:
    rows = []
    for station in _STATIONS:
        rows += ["[[stations]]", *(f"{key} = {json.dumps(value)}" for key, value in station.items())]
    return [{"cells.toml": "\n".join(rows).encode()}]


def _cuts(angles: int = 360) -> bytes:
    ahead = [min(12 * (min(a, 360 - a) / 65) ** 2, 30) for a in range(360)]
    up = [min(12 * (min(a, 360 - a) / 10) ** 2, 25) for a in range(360)]
    up[180] = ahead[180]
    step = 360 // angles
    lines = ["NAME sector", "MAKE x", "FREQUENCY 3500", "GAIN 17.0 dBi", "TILT ELECTRICAL"]
    for name, cut in (("HORIZONTAL", ahead), ("VERTICAL", up)):
        lines += [f"{name} {angles}", *(f"{a} {cut[a]:.2f}" for a in range(0, 360, step))]
    return "\n".join(lines).encode()


def _pattern_grid() -> bytes:
    rows = ["theta_deg,phi_deg,gain_dbi,phase_deg"]
    for theta in range(0, 181, 30):
        rows += [f"{theta},{phi},{4 * np.sin(np.radians(theta)) - 4:.3f},{phi / 2}" for phi in range(0, 360, 60)]
    return "\n".join(rows).encode()


def _codebook() -> list[dict[str, bytes]]:
    files = {}
    for beam in range(2):
        stream = io.BytesIO()
        pattern = 0.1 + np.exp(-0.5 * ((np.arange(211) - 60 - 80 * beam) / 9.0) ** 2)
        scipy.io.savemat(stream, {"beam_pattern": pattern[None].astype(np.float32)}, do_compression=bool(beam))
        files[f"built_in_beam_pattern_{beam}.mat"] = stream.getvalue()
    return [files]


def _only(folder: Path) -> Path:
    return next(iter(sorted(folder.iterdir())))


def _check_stations(stations: list[Any]) -> None:
    for station in stations:
        sector = station if isinstance(station, Station) else station.sector
        finite(sector)
        assert abs(np.array(sector.position)).max() <= 1e6, "a station far away"
        finite(sector.downlink)


def _check_pattern(pattern: Any) -> None:
    theta, phi = (torch.linspace(0, end, 19, dtype=torch.float64) for end in (3.14159, 6.28))
    finite(list(pattern(theta, phi)))


_KEYS = (
    b"position",
    b"eirp_dbm",
    b"carrier_hz",
    b"pattern",
    b"load",
    b"azimuth_deg",
    b"power_dbm",
    b"gain_dbi",
    b"latitude",
)
_KEYS += (b"stations", b"yaw_deg", b"subcarriers", b"spacing_hz", b"above", b"roof", b"name", b"tr38901", b"hw_dipole")
_MSI = (b"HORIZONTAL", b"VERTICAL", b"GAIN", b"dBd", b"dBi", b"TILT", b"FREQUENCY", b"360", b"-", b"+/-", b"NAME")


def _check_station_radio(station: StationRadio) -> None:
    finite([np.array([*station.position, station.yaw_deg, station.downtilt_deg, station.roll_deg])])


TARGETS = (
    Target(
        "stations-toml",
        lambda f: named_stations(read_stations(_only(f))),
        _stations_toml,
        _KEYS,
        _check_stations,
        named=False,
    ),
    Target(
        "stations-json",
        lambda folder: read_stations(_only(folder)),
        lambda: [{"cells.json": json.dumps({"stations": _STATIONS}).encode()}],
        _KEYS,
        _check_stations,
    ),
    Target(
        "station-radio",
        lambda folder: read_station_radio(_only(folder)),
        lambda: [
            {"station.toml": b'position = [1.5, 2, 30]\nyaw_deg = 12.5\narray = "ula:4"\npattern = "iso"\n'},
            {"station.toml": b'position = [0, -2, 3]\npattern = "tr38901"\nbeamwidth_deg = 70\nroll_deg = -1\n'},
        ],
        (b"position", b"yaw_deg", b"downtilt_deg", b"array", b"beamwidth_deg", b"="),
        _check_station_radio,
    ),
    Target(
        "transmitters",
        lambda folder: read_transmitters([str(_only(folder))]),
        lambda: [{"masts.txt": b"# masts\n1.5,2,30\n-7,8e1,12.25\nlatlon:52.5,13.4,20\nlatlon:52.5,13.4,roof+3\n"}],
        (b"latlon:", b"roof+", b"#", b","),
        finite,
    ),
    Target(
        "pattern-msi",
        lambda folder: load_pattern(_only(folder)),
        lambda: [{"sector.msi": _cuts()}, {"sector.pln": _cuts(36)}, {"sector.txt": _cuts(72)}],
        _MSI,
        _check_pattern,
    ),
    Target(
        "pattern-csv",
        lambda folder: load_pattern(_only(folder)),
        lambda: [{"sector.csv": _pattern_grid()}],
        (b"theta", b"phi", b"gain_dbi", b"phase", b"180", b";"),
        _check_pattern,
    ),
    Target("codebook", lambda folder: read_codebook(folder, 2), _codebook, (), finite),
)
