"""Targets: files of plain numbers, measured powers, values to look at, impulse responses."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io

from sitetwin.channel.formats import CirGenerator, read_npy, read_text_numbers
from sitetwin.measured import read_challenge, read_csi, read_dichasus, read_powers, read_profiles
from sitetwin.measured.deepsense import read_deepsense, read_lanes
from sitetwin.store.mat_files import read_mat
from sitetwin.view.sources import read_values
from tests.fuzz.containers import json_text
from tests.fuzz.judge import Target
from tests.fuzz.targets.properties import finite, plausible
from tests.measured import deepsense_folders, test_csi


def _npy(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def _npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _npz_packed(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _mat(packed: bool) -> bytes:
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"users": np.arange(12.0).reshape(6, 2)}, do_compression=packed)
    return stream.getvalue()


def _folder(write: Callable[[Path], Path]) -> Callable[[], list[dict[str, bytes]]]:
    def seeds() -> list[dict[str, bytes]]:
        with tempfile.TemporaryDirectory() as scratch:
            root = write(Path(scratch) / "scenario1")
            return [{str(f.relative_to(root)): f.read_bytes() for f in sorted(root.rglob("*")) if f.is_file()}]

    return seeds


def _cir() -> list[dict[str, bytes]]:
    rng = np.random.default_rng(0)
    a = (rng.normal(size=(3, 1, 1, 1, 2, 4, 1)) + 0j).astype(np.complex64)
    tau = np.abs(rng.normal(size=(3, 1, 1, 4))).astype(np.float32) * 1e-7
    return [{"cir.npz": _npz(a=a, tau=tau, sitetwin=np.array("{}"), attributes=np.array('{"format": "x"}'))}]


def _measured() -> list[dict[str, bytes]]:
    """Channels of five users at three antennas and eight subcarriers, as an archive and as MATLAB files."""
    arrays: dict[str, Any] = {
        "h": test_csi.channels(),
        "frequency": test_csi.FREQUENCY,
        "position": test_csi.positions(),
        "time": np.arange(5.0),
    }
    seeds = [{"street.npz": _npz(**arrays)}]
    for packed in (False, True):
        stream = io.BytesIO()
        scipy.io.savemat(stream, {**arrays, "h": arrays["h"].astype(complex)}, do_compression=packed)
        seeds.append({"street.mat": stream.getvalue()})
    return seeds


def _hdf5() -> list[dict[str, bytes]]:
    """The same as HDF5, as it is and packed."""
    seeds = []
    for packed in ({}, {"compression": "gzip", "shuffle": True, "chunks": True}):
        stream = io.BytesIO()
        with h5py.File(stream, "w") as file:
            for name, value in (
                ("h", test_csi.channels()),
                ("frequency", test_csi.FREQUENCY),
                ("position", test_csi.positions()),
            ):
                file.create_dataset(name, data=value, **packed)
        seeds.append({"street.h5": stream.getvalue()})
    return seeds


def _records() -> list[dict[str, bytes]]:
    with tempfile.TemporaryDirectory() as folder:
        file = test_csi.dichasus(Path(folder) / "x", test_csi.channels(), test_csi.positions())
        offsets = json_text({"sto": [0.1, 0.2, -0.3], "cpo": [1.0, 2.0, 3.0]})
        return [{"hall.tfrecords": file.read_bytes(), "offsets.json": offsets}]


def _dichasus(folder: Path) -> Any:
    return read_dichasus([folder / "hall.tfrecords"], 3.4e9, 5e7, folder / "offsets.json")


def _check_csi(data: Any) -> None:
    finite([np.abs(data["csi"].values), data["frequency"].values])
    assert data["csi"].shape[0] > 0, "no sample"
    plausible([data[name].values for name in ("x", "y", "z", "latitude", "longitude") if name in data])


def _profiles() -> list[dict[str, bytes]]:
    power = -90.0 - np.arange(12.0).reshape(3, 4)
    place = np.arange(9.0).reshape(3, 3)
    lines = ["profile,x_m,y_m,z_m,delay_ns,power_db,carrier_hz"]
    lines += [f"{u},{u}.5,2,1.5,{10 * n},{power[u, n]},3.5e9" for u in range(3) for n in range(4)]
    return [
        {"p.csv": "\n".join(lines).encode()},
        {"p.npz": _npz(power_db=power, delay_s=np.arange(4) * 1e-8, position=place, carrier_hz=np.array(3.5e9))},
        {"p.npz": _npz(power=10 ** (power / 10), delay_ns=np.arange(4.0), latitude=place[0], longitude=place[1])},
    ]


def _check_profiles(data: Any) -> None:
    finite([data["power"].values, data["delay"].values])
    assert (data["power"].values >= 0).all(), "a negative power"
    assert data["power"].shape[0] > 0, "no profile"
    assert (np.diff(data["delay"].values) > 0).all(), "delays that do not rise"
    plausible([data[name].values for name in ("x", "y", "z", "latitude", "longitude") if name in data])


def _powers() -> list[dict[str, bytes]]:
    metres = "cell,receiver,x_m,y_m,power_dbm,carrier_mhz\n" + "".join(
        f"A,one,{k},2,-{80 + k},3500\n" for k in range(9)
    )
    degrees = "PCI,device,latitude,longitude,rsrp\n" + "".join(f"7,one,36.00{k},-78.9,-{80 + k}\n" for k in range(9))
    return [{"drive.csv": metres.encode()}, {"drive.csv": degrees.encode()}]


def _check_powers(data: Any) -> None:
    finite([data["power"].values])
    assert data.sizes["sample"] + sum(data.attrs["left_out"].values()) == data.attrs["samples_in_the_file"]
    assert data.sizes["sample"] > 0, "no row"
    plausible([data[name].values for name in ("x", "y", "z", "latitude", "longitude") if name in data])


def _only(folder: Path) -> Path:
    return next(iter(sorted(folder.iterdir())))


def _check_measured(data: Any) -> None:
    power = data.power.values
    assert power.ndim == 2, "another shape"
    assert power.size, "no power"
    assert (np.isnan(power) | ((power > 0) & (power < np.inf))).all(), "a power that is none"
    plausible([data.east.values, data.north.values, data.latitude.values, data.drive.values])


def _check_challenge(data: Any) -> None:
    power, label = data.power.values, data.label.values
    assert (np.isnan(power) | ((power > 0) & (power < np.inf))).all(), "a power that is none"
    assert ((label >= -1) & (label < power.shape[1])).all(), "a label that is no beam"
    place = np.stack([data[name].values for name in ("latitude", "longitude")])
    assert np.isfinite(place).all(axis=0).any(axis=1).all(), "a row without position"
    plausible([np.nan_to_num(data[name].values) for name in ("east", "north", "latitude", "longitude")])


def _check_values(found: dict[str, np.ndarray]) -> None:
    assert found, "no columns"
    assert {(array.dtype, array.ndim) for array in found.values()} == {(np.dtype(np.float64), 1)}, "no plain columns"


def _check_cir(generator: CirGenerator) -> None:
    for a, tau in generator():
        finite([a.numpy(), tau.numpy()])


def _check_array(array: np.ndarray) -> None:
    assert array.dtype == np.float64, "no array of numbers"


_CSV = b"x,y,sinr db,label\n1,2,3.5,a\n4,5,,b\n7,8,nan,c\n"

TARGETS = (
    Target(
        "number-text",
        lambda folder: read_text_numbers(_only(folder)),
        lambda: [{"power.txt": b"0.5\n1.25e-3\n7\n"}, {"power.txt": b"1, 2; 3 4\n5 6\n"}],
        (b",", b";", b"nan", b"inf"),
        _check_array,
    ),
    Target(
        "npy",
        lambda folder: read_npy(_only(folder)),
        lambda: [{"power.npy": _npy(np.arange(12.0).reshape(3, 4))}, {"power.npy": _npy(np.arange(5, dtype=np.int32))}],
        (b"<f8", b"|O", b"fortran_order", b"True", b"shape", b"descr"),
        _check_array,
    ),
    Target(
        "mat",
        lambda folder: read_mat(_only(folder)),
        lambda: [{"u.mat": _mat(False)}, {"u.mat": _mat(True)}],
        (),
        _check_array,
    ),
    Target(
        "deepsense-official",
        lambda folder: read_deepsense(folder),
        _folder(lambda folder: deepsense_folders.write_official(folder, 8)),
        (b"unit1_pwr_60ghz", b"unit1_loc", b"unit2_loc", b"seq_index", b"index", b"../", b"unit2_loc_cal"),
        _check_measured,
        0.5,
    ),
    Target(
        "deepsense-camera",
        lambda folder: read_deepsense(folder),
        _folder(lambda folder: deepsense_folders.write_camera_scenario(folder, 8)),
        (b"unit1_beam", b"time_stamp", b"unit1_lidar", b"nan", b"-1", b"01-02-03-000004"),
        _check_measured,
        0.5,
    ),
    Target(
        "deepsense-challenge",
        lambda folder: read_challenge(folder),
        _folder(lambda folder: deepsense_folders.write_challenge(folder, 4)),
        (b"unit2_loc_1", b"unit1_beam", b"scenario32", b"scenario", b"unit1_rgb_1", b"nan", b"../"),
        _check_challenge,
        0.5,
    ),
    Target(
        "deepsense-gathered",
        lambda f: read_deepsense(f),
        _folder(deepsense_folders.write_gathered),
        (),
        _check_measured,
    ),
    Target(
        "deepsense-paper", lambda f: read_deepsense(f), _folder(deepsense_folders.write_paper), (), _check_measured, 0.7
    ),
    Target("measured-channels", lambda f: read_csi(_only(f)), _measured, (b"h", b"frequency", b"position"), _check_csi),
    Target(
        "measured-profiles",
        lambda f: read_profiles(_only(f)),
        _profiles,
        (b"profile", b"power_db", b"delay_ns", b"carrier_hz", b"position", b","),
        _check_profiles,
    ),
    Target(
        "measured-powers",
        lambda f: read_powers(_only(f)),
        _powers,
        (b"cell", b"receiver", b"power_dbm", b"x_m", b"latitude", b"rsrp", b"carrier_mhz", b","),
        _check_powers,
    ),
    Target("measured-hdf5", lambda f: read_csi(_only(f)), _hdf5, (b"h", b"frequency"), _check_csi, 0.1),
    Target("dichasus", _dichasus, _records, (b"csi", b"time", b"pos-tachy", b"sto", b"cpo"), _check_csi),
    Target(
        "lanes",
        lambda folder: read_lanes(folder),
        lambda: [{"data/synth_UE_loc.mat": _mat(True)}],
        (),
        lambda users: users is None or plausible(users),
    ),
    Target(
        "values",
        lambda folder: read_values(_only(folder)),
        lambda: [
            {"sinr.csv": _CSV},
            {"sinr.npz": _npz(sinr=np.arange(5.0), rank=np.arange(5))},
            {"sinr.npz": _npz_packed(sinr=np.arange(5.0))},
        ],
        (b"x", b"y", b"sinr", b'"', b","),
        _check_values,
    ),
    Target("sionna-cir", lambda folder: CirGenerator(_only(folder)), _cir, (), _check_cir),
)
