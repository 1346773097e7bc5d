"""Targets: what studies and models leave on disk, the cells that they are given, manifests of stores."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from sitetwin.learn import (
    ChannelCorrector,
    ChannelPairs,
    CorrectorSchedule,
    CsiCodec,
    MlpCorrector,
    MlpSize,
    NearestMeasurement,
    PositionCorrector,
    UNetCorrector,
    UNetSize,
    WienerCorrector,
)
from sitetwin.learn.beams.base import BeamPredictor, BeamSet
from sitetwin.learn.beams.predictors import LookupBeams, MajorityBeams, NearestBeams
from sitetwin.learn.csi.adaptive import AdaptiveCodec, AdaptiveConfig
from sitetwin.learn.csi.base import Budget
from sitetwin.learn.csi.controls import MeanCodec, TwinLookupCodec, ZeroCodec
from sitetwin.learn.csi.klt import GlobalKltCodec, KltCodec, KltConfig
from sitetwin.learn.csi.mixer import MixerCodec, MixerConfig
from sitetwin.learn.csi.training import COSINE
from sitetwin.report.beams.released import read_published
from sitetwin.report.csi.paper import read_network, read_released
from sitetwin.report.csi.results import read_study
from sitetwin.store.manifest import Manifest, read_manifest
from sitetwin.studies.beams.results import read_results
from sitetwin.studies.beams.twin import _in_box
from sitetwin.studies.coverage.results import SCHEMA, SUMMARY, read_coverage_results
from sitetwin.studies.csi.config import read_cells
from sitetwin.studies.csi.networks import read_matrices
from sitetwin.studies.fidelity.results import SCHEMA as FIDELITY
from sitetwin.studies.fidelity.results import read_fidelity_results
from sitetwin.studies.frame import read_part
from sitetwin.studies.precoding.config import read_place
from tests.fuzz.containers import json_text
from tests.fuzz.judge import Target
from tests.fuzz.targets.properties import finite, plausible
from tests.report.made_up import make_study

TAPS, BEAMS, ANTENNAS = 12, 8, 2
_BEAM_RESULTS = Path(__file__).resolve().parents[3] / "docs" / "results" / "beams-scenario5" / "results.json"


def _only(folder: Path) -> Path:
    return next(iter(sorted(folder.iterdir())))


@cache
def _codecs() -> dict[str, CsiCodec]:
    """One fitted codec of each kind that is soon fitted, by the name of its file."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(30, TAPS, BEAMS)) + 1j * rng.normal(size=(30, TAPS, BEAMS))
    data = xr.DataArray(values.astype(np.complex64), dims=("user", "delay", "angle"))
    few = Budget(8, 8)
    small = AdaptiveConfig(states=4, front_rank=16, hidden=16, generator_hidden=8)
    made: dict[str, CsiCodec] = {
        "klt": KltCodec(KltConfig(zones=4), few),
        "global": GlobalKltCodec(few),
        "adaptive": AdaptiveCodec(small, replace(COSINE, epochs=1), budget=few),
        "mixer": MixerCodec(MixerConfig(1, 4, 4), replace(COSINE, epochs=1), budget=few),
        "zero": ZeroCodec(),
        "mean": MeanCodec(),
        "lookup": TwinLookupCodec(20),
    }
    return {name: codec.fit(data, torch.Generator().manual_seed(0)) for name, codec in made.items()}


@cache
def _predictors() -> dict[str, BeamPredictor]:
    rng = np.random.default_rng(2)
    rows = BeamSet(rng.uniform(-20, 20, (12, 2)), rng.uniform(0.1, 1, (12, BEAMS)))
    made: dict[str, BeamPredictor] = {"nearest": NearestBeams(), "majority": MajorityBeams(), "table": LookupBeams()}
    return {name: predictor.fit(rows) for name, predictor in made.items()}


def _saved(models: Callable[[], dict[str, Any]]) -> Callable[[], list[dict[str, bytes]]]:
    def seeds() -> list[dict[str, bytes]]:
        found = []
        for name, model in models().items():
            with tempfile.TemporaryDirectory() as folder:
                model.save(Path(folder) / "m.npz")
                found.append({f"{name}.npz": (Path(folder) / "m.npz").read_bytes()})
        return found

    return seeds


def _check_codec(codec: CsiCodec) -> None:
    if codec.fitted_shape == (TAPS, BEAMS):
        x = torch.randn(2, TAPS, BEAMS, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
        assert codec.decode(codec.encode(x)).shape == x.shape, "another shape than the codec's"


def _check_predictor(predictor: BeamPredictor) -> None:
    finite(predictor.rows.position)


@cache
def _correctors() -> dict[str, ChannelCorrector]:
    rng = torch.Generator().manual_seed(3)
    twin, measured = (torch.randn(8, ANTENNAS, TAPS, dtype=torch.complex64, generator=rng) for _ in range(2))
    pairs = ChannelPairs(twin, measured, torch.rand(8, 3, dtype=torch.float64, generator=rng))
    short, small = CorrectorSchedule(1), MlpSize((4,))
    made: dict[str, ChannelCorrector] = {
        "linear": WienerCorrector(),
        "nearest": NearestMeasurement(),
        "position": PositionCorrector(short, small),
        "mlp": MlpCorrector(short, size=small),
        "unet": UNetCorrector(short, size=UNetSize((4, 4))),
    }
    return {name: one.fit(pairs, torch.Generator().manual_seed(0)) for name, one in made.items()}


def _check_corrector(corrector: ChannelCorrector) -> None:
    if corrector.shape == (ANTENNAS, TAPS):
        twin = torch.randn(2, ANTENNAS, TAPS, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
        assert corrector.predict(twin, torch.zeros(2, 3, dtype=torch.float64)).shape == twin.shape, "another shape"


_PLACE = b"""scene = "munich"
base_station = [-30.0, 60.0, 15.0]
yaw_deg = 10.0
drives = [[[42.0, 121.0], [-46.0, 168.0]], [[-5.0, 48.0], [95.0, 49.0]]]
user_height = 1.5
"""

_CELL = b"""scene = "munich"
base_station = [8.5, 21.0, 27.0]
yaw_deg = -90.0
area = [-100.0, -50.0, 100.0, 50.0]
spacing = 0.5
user_height = 1.5
"""


def _csi_study() -> list[dict[str, bytes]]:
    with tempfile.TemporaryDirectory() as folder:
        make_study(Path(folder))
        return [{file.name: file.read_bytes() for file in Path(folder).iterdir() if file.is_file()}]


def _beam_study() -> list[dict[str, bytes]]:
    document = json.loads(_BEAM_RESULTS.read_text(encoding="utf-8"))
    document["methods"] = document["methods"][:2]
    return [{"results.json": json_text(document)}]


def _fidelity() -> list[dict[str, bytes]]:
    estimate = {"mean": -10.0, "low": -11.0, "high": -9.0, "n": 4, "values": [-10.0], "kind": "over blocks of space"}
    row = {
        "kind": "walls", "strength": 0.5, "choice": None, "name": "walls, 0.5 m rms", "method": "hybrid",
        "used_bits": 120.0, "nmse_db": estimate, "cost_db": estimate,
    }  # fmt: skip
    truth = {
        "scene": "munich", "site_hash": "0", "canopies": 3, "scatter_centres": 12, "reflections": 3, "users": 9,
        "without_path": 1, "completeness": {},
    }  # fmt: skip
    document = {
        "schema_name": FIDELITY, "title": "t", "profile": "quick", "configuration": {}, "configuration_hash": "0",
        "seeds": [0], "versions": {}, "truth": truth, "test_users": 4, "bits": 128, "rows": [row],
        "left_out": [{"name": "station, 1 m", "seed": 0, "why": "wall"}], "notes": ["n"],
    }  # fmt: skip
    return [{"results.json": json_text(document)}]


def _coverage() -> list[dict[str, bytes]]:
    station = {
        "name": "BS1", "position": [0.0, 0.0, 20.0], "eirp_dbm": 46.0, "carrier_hz": 3.5e9, "subcarriers": 12,
        "spacing_hz": 3e4, "yaw_deg": 0.0, "downtilt_deg": 0.0, "roll_deg": 0.0, "pattern": "iso", "load": 1.0,
        "antenna": {"kind": "Isotropic"}, "antenna_peak_gain_dbi": 0.0, "antenna_power_dbm": 46.0,
        "power_per_resource_element_dbm": 35.0, "noise_per_resource_element_dbm": -129.0, "served_users": 3,
        "served_share": 1.0, "served_area_m2": 3.0, "line_of_sight_share": 0.5, "paths": "p", "chains_hash": None,
        "unseen_share": 0.0, "paths_configuration_hash": "0" * 64,
    }  # fmt: skip
    settings = {
        "area_m": [0.0, 0.0, 2.0, 2.0], "spacing_m": 1.0, "height_m": 1.5, "indoors": False, "trace": {},
        "season": "leaf",
        "foliage": None, "out_of_range": "clamp", "atmosphere": None, "diffuse_seed": 0, "noise_figure_db": 7.0,
        "noise_temperature_k": 290.0,
    }  # fmt: skip
    quantity = {"units": "dBm", "description": "x", "share_with_a_value": 1.0, "percentiles": {"50": -80.0}}
    document = {
        "schema": SCHEMA, "versions": {"sitetwin": "0"}, "settings": settings, "conventions": {}, "stations": [station],
        "site": {"name": "a", "hash": "0", "geometry_hash": "0", "georeference": None}, "files": {"a.npz": "0"},
        "users": {"count": 3, "dropped_inside_buildings": 0, "without_a_path": 0}, "quantities": {"rsrp_dbm": quantity},
    }  # fmt: skip
    return [{SUMMARY: json_text(document)}]


def _manifest() -> list[dict[str, bytes]]:
    sums = {"tiles/000000": "a" * 64, "users": "b" * 64}
    manifest = Manifest({"kind": "paths", "transmitter": [0.0, 1.0, 2.0]}, {"site": "a"}, ((0, 4), (4, 7)), sums)
    return [{"manifest.json": manifest.to_bytes()}]


def _check_manifest(manifest: Manifest) -> None:
    edges = [edge for tile in manifest.tiles for edge in tile]
    assert not edges or (edges[0] == 0 and edges[1:-1:2] == edges[2::2]), "tiles with gaps"


_PUBLISHED = b"""curve,metric,topk,n_train,mean,std
real,acc,1,10,0.5,0.02
real,acc,2,10,0.7,0.02
synth_measured,pwr,1,20,0.9,0.01
"""

_STREET = xr.Dataset(attrs={"station_longitude": 13.4005, "station_latitude": 52.5005})
_BOX = {"x": [-50.0, 50.0], "y": [-60.0, 60.0], "lat": [52.5, 52.501], "lon": [13.4, 13.401]}
_MODEL = (
    b"model.json",
    b"format",
    b"kind",
    b"parameters",
    b"shape",
    b"reals",
    b"<f4",
    b"<c8",
    b"fortran_order",
    b"True",
)

_RELEASED_CSI = b"curve,n_train,nmse_db,std_db,n_seeds\nall_avg_nmse_train_on_synth,10,2.1807,0.1878,10\n"
_NETWORK = {
    "schema": "sitetwin.csi-network/1", "codec": "CSINet+", "source": "twin", "n_train": 5120, "target": "target_a",
    "split": "random", "score_db": -17.0, "nmse_db": -17.1, "converged": True,
}  # fmt: skip


def _matrices_file() -> bytes:
    content = io.BytesIO()
    x = np.random.default_rng(0).standard_normal((3, TAPS, BEAMS, 2)).astype(np.float32).view(np.complex64)[..., 0]
    np.savez(content, x=x, axes=np.array("user,delay,angle"))
    return content.getvalue()


TARGETS = (
    Target("codecs", lambda f: type(_codecs()[_only(f).stem]).load(_only(f)), _saved(_codecs), _MODEL, _check_codec),
    Target(
        "predictors",
        lambda f: type(_predictors()[_only(f).stem]).load(_only(f)),
        _saved(_predictors),
        _MODEL,
        _check_predictor,
    ),
    Target(
        "cell",
        lambda folder: read_cells(_only(folder)),
        lambda: [{"cell.toml": _CELL}, {"cell.toml": _CELL + b'wrong_site = "florence"\n'}],
        (b"scene", b"base_station", b"yaw_deg", b"area", b"spacing", b"user_height", b"wrong_site"),
        plausible,
    ),
    Target(
        "drives-past-a-station",
        lambda folder: read_place(_only(folder)),
        lambda: [{"cell.toml": _PLACE}],
        (b"scene", b"base_station", b"yaw_deg", b"drives", b"user_height"),
        plausible,
    ),
    Target(
        "correctors",
        lambda f: type(_correctors()[_only(f).stem]).load(_only(f)),
        _saved(_correctors),
        _MODEL,
        _check_corrector,
    ),
    Target(
        "csi-study",
        lambda folder: read_study(folder),
        _csi_study,
        (b"schema", b"methods", b"curves", b"scene"),
        None,
        0.5,
    ),
    Target(
        "beam-study",
        lambda folder: read_results(folder),
        _beam_study,
        (b"schema", b"methods", b"top1"),
        lambda results: finite(results.methods),
        0.7,
    ),
    Target(
        "fidelity-study",
        lambda folder: read_fidelity_results(folder),
        _fidelity,
        (b"schema_name", b"rows", b"nmse_db", b"strength"),
        lambda results: finite(results.rows),
        0.7,
    ),
    Target("coverage-summary", lambda folder: read_coverage_results(folder), _coverage, (b"schema", b"stations"), None),
    Target(
        "study-part",
        lambda folder: read_part(folder / "part.json", "k"),
        lambda: [{"part.json": b'{"key": "k", "content": [1.5]}'}],
    ),
    Target(
        "published-curves",
        lambda f: read_published(_only(f)),
        lambda: [{"curves.csv": _PUBLISHED}],
        (b"acc", b"pwr"),
        finite,
    ),
    Target(
        "released-csi-curves",
        lambda f: read_released(_only(f)),
        lambda: [{"curves.csv": _RELEASED_CSI}],
        (b"all_avg_nmse_train_on_synth", b"nmse_db", b"n_train"),
        lambda points: finite([(p.size, p.mean, p.spread) for p in points]),
    ),
    Target(
        "csi-network",
        lambda f: read_network(_only(f)),
        lambda: [{"row.json": json_text(_NETWORK)}],
        (b"schema", b"score_db", b"n_train"),
        lambda row: finite([row.n_train, row.n_real]),
    ),
    Target(
        "csi-matrices",
        lambda f: read_matrices(_only(f)),
        lambda: [{"twin.npz": _matrices_file()}],
        (b"<c8", b"fortran_order", b"shape"),
        lambda x: finite([x.abs()]),
    ),
    Target(
        "box-of-meshes",
        lambda folder: _in_box(folder, _STREET),
        lambda: [{"georeference.json": json_text(_BOX)}],
        (),
        finite,
    ),
    Target(
        "manifest", lambda folder: read_manifest(folder), _manifest, (b"tiles", b"sha256", b"groups"), _check_manifest
    ),
)
