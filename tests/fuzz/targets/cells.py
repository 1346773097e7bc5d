"""Targets: codecs of cells, their reports, and channels whose axes are named."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import scipy.io

from sitetwin.channel import ChannelRequest, OfdmGrid, Radio
from sitetwin.errors import said_of
from sitetwin.learn import (
    Budget,
    CellCodec,
    CellLink,
    CodecMonitor,
    KltCodec,
    KltConfig,
    MonitorSettings,
    Reports,
    load_monitor,
    save_monitor,
)
from sitetwin.learn.cell import codec_file
from sitetwin.learn.cell.matrices import matrices_of, named
from sitetwin.measured import read_named_csi, read_reported_errors
from tests.fuzz.judge import Target
from tests.fuzz.targets.properties import finite

USERS, ANTENNAS, SUBCARRIERS, TAPS = 24, 4, 16, 6
_GRID = OfdmGrid(3.5e9, SUBCARRIERS, 120e3)
_AXES = ("user", "antenna", "subcarrier")


@cache
def _channels() -> np.ndarray:
    rng = np.random.default_rng(1)
    taps = rng.normal(size=(USERS, ANTENNAS, TAPS)) + 1j * rng.normal(size=(USERS, ANTENNAS, TAPS))
    return np.fft.fftshift(np.fft.fft(taps, SUBCARRIERS, axis=2), axes=2).astype(np.complex64)


def _labels() -> dict[str, Any]:
    """What an export says of such channels."""
    request = ChannelRequest(_GRID, tx=Radio(f"ula:{ANTENNAS}"))
    return {**request.value_attributes(), **request.configuration(), **request.conventions()}


@cache
def _codecs() -> tuple[CellCodec, ...]:
    """A codec and its second version, and codecs that know no site."""
    link = CellLink.of_radio(Radio(f"ula:{ANTENNAS}"), _GRID, TAPS)
    first = CellCodec(KltCodec(KltConfig(zones=4), Budget(8, 4))).fit(_channels(), axes=_AXES, link=link)
    siteless = (CellCodec(name, 64).fit(_channels(), axes=_AXES, link=link) for name in ("omp", "etype2"))
    return first, first.update(_channels(), 4, axes=_AXES), *siteless


def _codec_files() -> list[dict[str, bytes]]:
    with tempfile.TemporaryDirectory() as folder:
        for number, codec in enumerate(_codecs()):
            codec.save(Path(folder) / f"{number}.codec")
        return [{"cell.codec": (Path(folder) / f"{number}.codec").read_bytes()} for number in range(len(_codecs()))]


def _forged(folder: Path) -> CellCodec:
    """The codec of a file whose hash is taken to be right, as whoever forges one makes it."""
    with patch.object(codec_file, "content_hash", lambda about, tensors: about.hash):
        return CellCodec.load(folder / "cell.codec")


def _check_codec(codec: CellCodec) -> None:
    taps, beams = codec.coder.shape
    rng = np.random.default_rng(0)
    h = rng.normal(size=(3, taps, beams)) + 1j * rng.normal(size=(3, taps, beams))
    found = codec.decode(codec.encode(h, axes=("user", "delay", "angle")))
    assert found.shape == (3, taps, beams)


def _report_files() -> list[dict[str, bytes]]:
    with tempfile.TemporaryDirectory() as folder:
        _codecs()[0].encode(_channels(), axes=_AXES).save(Path(folder) / "r.npz")
        return [{"reports.npz": (Path(folder) / "r.npz").read_bytes()}]


def _decoded(folder: Path) -> np.ndarray:
    reports = Reports.load(folder / "reports.npz")
    codec = _codecs()[0]
    if reports.codec != codec.hash:
        return np.zeros(1)
    with said_of(f"the reports '{folder / 'reports.npz'}'"):
        return np.abs(codec.decode(reports).values)


def _matrices(folder: Path) -> np.ndarray:
    file = next(iter(sorted(folder.iterdir())))
    with said_of(f"the channels '{file}'"):
        return matrices_of(named(read_named_csi(file)), _codecs()[0].link, skip_silent=True).csi.x.numpy()


def _channel_files() -> list[dict[str, bytes]]:
    h, frequency = _channels(), _GRID.frequencies_hz.numpy()
    files = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        np.savez(place / "a.npz", h=h, frequency=frequency, axes=np.array(",".join(_AXES)))
        np.savez(place / "b.npz", h_re=h.real, h_im=h.imag, frequency=frequency)
        scipy.io.savemat(place / "c.mat", {"h": h, "frequency": frequency})
        np.savez(
            place / "d.npz",
            cfr=h[:, None],
            axis_frequency=frequency,
            attributes=np.array(json.dumps(_labels())),
        )
        for file in sorted(place.iterdir()):
            files.append({f"channels{file.suffix}": file.read_bytes()})
    return files


def _error_files() -> list[dict[str, bytes]]:
    values = np.linspace(-20.0, -5.0, 12)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        np.savez(place / "a.npz", nmse_db=values)
        scipy.io.savemat(place / "b.mat", {"nmse_db": values})
        return [{f"errors{file.suffix}": file.read_bytes()} for file in sorted(place.iterdir())]


def _check_errors(found: np.ndarray) -> None:
    assert found.ndim == 1
    assert len(found)
    assert (np.isfinite(found) & (found >= 0)).all()


def _monitor_files() -> list[dict[str, bytes]]:
    """A monitor that waits for a change, and one that collects uploads."""
    files = []
    with tempfile.TemporaryDirectory() as folder:
        for number, ask in enumerate((False, True)):
            monitor = CodecMonitor(_codecs()[0], MonitorSettings(recent=8))
            if ask:
                monitor.ask()
            monitor.observe(_channels(), axes=_AXES)
            save_monitor(monitor, Path(folder) / f"{number}.state")
            files.append({"cell.state": (Path(folder) / f"{number}.state").read_bytes()})
    return files


def _check_monitor(monitor: CodecMonitor) -> None:
    monitor.observe(_channels()[:4], axes=_AXES)
    assert json.dumps(monitor.facts(), allow_nan=False)


_WORDS = (b"F32", b"F64", b"I64", b"data_offsets", b"shape", b"dtype", b"__metadata__", b"sitetwin", b"complex")
_WORDS += (b"parents", b"version", b"klt", b"fixed-rate", b"csinet+", b"adaptive", b"rows_columns", b"zones", b"taps")
_WORDS += (b"omp", b"etype2", b"sizes", b"combination", b"oversampling")
_NUMPY = (b"descr", b"<f4", b"<c8", b"<U4", b"|O", b"fortran_order", b"True", b"shape", b"h_re", b"axes", b"delay")

TARGETS = (
    Target("cell-codec", lambda f: CellCodec.load(f / "cell.codec"), _codec_files, _WORDS, _check_codec),
    Target("forged-codec", _forged, _codec_files, _WORDS, _check_codec),
    Target("csi-reports", _decoded, _report_files, _NUMPY, finite),
    Target(
        "reported-errors", lambda f: read_reported_errors(next(iter(f.iterdir()))), _error_files, _NUMPY, _check_errors
    ),
    Target(
        "codec-monitor",
        lambda f: load_monitor(f / "cell.state", _codecs()[0]),
        _monitor_files,
        (b"codec monitor", b"settings", b"levels", b"threshold", b"keep", b"waited", b"null", b"recent"),
        _check_monitor,
    ),
    Target("named-channels", _matrices, _channel_files, _NUMPY, finite),
)
