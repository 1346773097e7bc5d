"""Targets: tables of one's own beam measurements, and codebooks."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import xarray as xr

from sitetwin.measured import read_beam_codebook, read_beam_table
from tests.fuzz.judge import Target
from tests.fuzz.targets.properties import finite

_STATION = (40.76, -111.85)


def _only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def _tables() -> list[dict[str, bytes]]:
    rows = [f"{t},{40.76 + 2e-5 * (t - 6)},-111.8498,{t // 6},{0.1 + 0.1 * (t % 3)},0.2,0.05" for t in range(12)]
    powers = "\n".join(["time,latitude,longitude,drive,power_0,power_1,power_2", *rows])
    labels = "\n".join(["east_m,north_m,best_beam", *(f"12,{2 * k},{k % 3}" for k in range(12))])
    return [{"rows.csv": powers.encode()}, {"rows.csv": labels.encode()}]


def _codebooks() -> list[dict[str, bytes]]:
    weights = io.BytesIO()
    np.savez(weights, weights=np.exp(1j * np.arange(12).reshape(3, 4)))
    patterns = "azimuth_deg,beam_0_db,beam_1_db,beam_2_db\n-60,-20,-3,0\n0,-3,0,-9\n60,0,-9,-20\n"
    angles = "beam,azimuth_deg\n0,40\n1,0\n2,-40\n"
    return [{"book.csv": patterns.encode()}, {"book.csv": angles.encode()}, {"book.npz": weights.getvalue()}]


def _rows(data: xr.Dataset) -> None:
    power = data["power"].values
    assert len(power) > 0
    assert (np.isfinite(power).any(axis=1)).all()
    assert (power[np.isfinite(power)] > 0).all()
    finite([data["east"].values, data["north"].values])


def _patterns(book: xr.DataArray) -> None:
    finite(book.values)
    assert (np.diff(book["azimuth"].values) > 0).all()
    assert np.allclose(book.values.max(axis=1), 1)


TARGETS = (
    Target(
        "beam-table",
        lambda f: read_beam_table(_only(f), _STATION, beams=3),
        _tables,
        (b"power_1_db", b"best_beam", b"east_m", b"drive"),
        _rows,
    ),
    Target(
        "beam-codebook",
        lambda f: read_beam_codebook(_only(f), 3, antennas=8),
        _codebooks,
        (b"azimuth_deg", b"beam_0", b"weights"),
        _patterns,
    ),
)
