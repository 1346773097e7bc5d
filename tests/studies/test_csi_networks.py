"""Single trainings of CSINet+ from matrices in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sitetwin.errors import SiteTwinError
from sitetwin.learn import CsiNetPlus
from sitetwin.learn.csi.codec import reconstruct
from sitetwin.learn.csi.fair_refinement import LEARNING_RATES
from sitetwin.learn.csi.metrics import nmse, to_db
from sitetwin.studies import NetworkRun, train_network

SHORT: dict[str, Any] = {"size": 12, "epochs": 3, "refinement_epochs": 2, "test_users": 10}


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """A folder of random 8 x 8 matrices, as `write_csi_sets` names them."""
    rng = np.random.default_rng(1)
    for name in ("twin", "wrong_site", "target_a-random-train", "target_a-random-test"):
        x = rng.standard_normal((16, 8, 8, 2)).astype(np.float32).view(np.complex64)[..., 0]
        np.savez(tmp_path / f"{name}.npz", x=x / np.linalg.norm(x, axis=(1, 2), keepdims=True))
    return tmp_path


def test_a_training_leaves_a_row_and_is_not_repeated(sets: Path, tmp_path: Path) -> None:
    run = NetworkRun(**SHORT, seed=3)
    path = train_network(sets, tmp_path / "out", run)
    row = json.loads(path.read_text())
    assert row["schema"] == "sitetwin.csi-network/1"
    assert (row["source"], row["n_train"], row["method"], row["n_real"]) == ("twin", 12, "", 0)
    assert (row["epochs"], row["score_epochs"]) == (3, 1)  # the last 50 of 160, as a share
    assert not row["converged"]
    x = torch.from_numpy(np.load(sets / "target_a-random-test.npz")["x"][:10])
    codec = CsiNetPlus.load(path.with_suffix(".model"))  # the network of the row, ready for use
    assert to_db(nmse(x, reconstruct(codec, x)).mean()) == pytest.approx(row["nmse_db"], abs=1e-3)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "out" / "checkpoints").iterdir()}
    assert train_network(sets, tmp_path / "out", run).read_text() == path.read_text()  # its time too
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_a_refinement_starts_from_the_network_of_the_twin(sets: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    naive = json.loads(train_network(sets, out, NetworkRun(**SHORT, refinement="naive", count=4)).read_text())
    assert (naive["method"], naive["n_real"], naive["epochs"]) == ("naive, high NMSE", 4, 2)
    assert len(list((out / "checkpoints").iterdir())) == 2  # of the twin's network and of its refinement
    train_network(sets, out, NetworkRun(**SHORT, refinement="rehearsal", rule="random", count=4))
    assert len(list((out / "checkpoints").iterdir())) == 3
    assert len(list(out.glob("csinet-*.json"))) == 2


def test_naive_tuning_at_its_best_tells_its_learning_rate(sets: Path, tmp_path: Path) -> None:
    run = NetworkRun(**SHORT, refinement="tuned", count=8)
    row = json.loads(train_network(sets, tmp_path / "out", run).read_text())
    assert row["method"] == "tuned, high NMSE"
    assert row["learning_rate"] in (None, *LEARNING_RATES)
    assert row["score_db"] == row["nmse_db"]
    with pytest.raises(SiteTwinError, match="at least two measured"):
        train_network(sets, tmp_path / "out", NetworkRun(**SHORT, refinement="tuned", count=1))


def test_only_the_published_length_counts_as_converged() -> None:
    assert NetworkRun().converged
    assert NetworkRun(refinement="naive", count=10).converged
    assert not NetworkRun(epochs=159).converged
    assert not NetworkRun(refinement="naive", count=10, refinement_epochs=99).converged
    assert NetworkRun(batch=4).name != NetworkRun().name


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": 17}, "17 training matrices"),
        ({"test_users": 17}, "17 test matrices"),
        ({"size": 0}, "size"),
        ({"refinement": "naive"}, "count"),
        ({"count": 3}, "refinement"),
        ({"refinement": "naive", "count": 17}, "17 samples"),
        ({"refinement": "naive", "count": 3, "source": "target"}, "network of the twin"),
        ({"source": "Twin"}, "source must be one of twin"),
        ({"rule": "worst"}, "rule must be one of random, high-nmse"),
        ({"case": ("target_b", "blocks")}, "target_b-blocks-test.npz"),
    ],
)
def test_what_cannot_be_trained_is_refused(sets: Path, tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SiteTwinError, match=words):
        train_network(sets, tmp_path / "out", NetworkRun(**{**SHORT, "epochs": 1, **changes}))


@pytest.mark.parametrize("x", [np.zeros((4, 8, 8)), np.zeros((4, 8), np.complex64), np.full((4, 8, 8), np.nan + 0j)])
def test_files_without_matrices_are_refused(sets: Path, tmp_path: Path, x: np.ndarray) -> None:
    np.savez(sets / "twin.npz", x=x if x.dtype != complex else x.astype(np.complex64))
    with pytest.raises(SiteTwinError, match=r"twin\.npz"):
        train_network(sets, tmp_path / "out", NetworkRun(**SHORT))
