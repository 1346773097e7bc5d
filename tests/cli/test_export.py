"""`sitetwin export`: every format from the command line, and one sentence for what cannot be."""

import re

import numpy as np
import pytest
from typer.testing import CliRunner

from sitetwin.cli import app as cli


def run(*words):
    return CliRunner().invoke(cli.app, [str(word) for word in words])


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paths") / "p"
    result = run(
        "trace", "simple_street_canyon", "--tx", "-33,0,32", "--area", "-30,-8,30,8", "--spacing", 8, "--depth", 1,
        "--out", folder, "--tile-users", 7,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def channels(paths):
    folder = paths.parent / "c"
    result = run("channels", paths, "--out", folder, "--bs-array", "ula:2", "--subcarriers", 8)
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.mark.parametrize(
    ("form", "name", "more"),
    [
        ("deepmimo", "toy", []),
        ("deepmimo", "few", ["--max-paths", 2, "--pattern", "tr38901", "--bs-yaw", 10]),
        ("sionna-cir", "c.npz", ["--bs-array", "upa:2x2:VH"]),
        ("npz", "p.npz", []),
        ("mat", "p.mat", ["--foliage", "none"]),
        ("parquet", "p.parquet", []),
    ],
)
def test_paths_in_every_format(paths, tmp_path, form, name, more):
    if form == "parquet":
        pytest.importorskip("pyarrow")
    result = run("export", paths, "--format", form, "--out", tmp_path / name, *more)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(tmp_path / name)
    assert [f.name for f in tmp_path.iterdir()] == [name]
    again = run("export", paths, "--format", form, "--out", tmp_path / name, *more)
    assert again.exit_code == 1
    assert "exists already; remove it" in again.stderr


@pytest.mark.parametrize("form", ["npz", "mat"])
def test_channels(channels, tmp_path, form):
    result = run("export", channels, "--format", form, "--out", tmp_path / f"c.{form}")
    assert result.exit_code == 0, result.stderr
    if form == "npz":
        with np.load(tmp_path / "c.npz", allow_pickle=False) as file:
            assert file["cfr"].shape[1:] == (1, 2, 8)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "hdf5", "--out", "o"], "--format is 'hdf5'; choose one of deepmimo"),
        (["--format", "npz", "--out", "o.mat"], r"does not end in \.npz"),
        (["--format", "parquet", "--out", "o.csv"], r"does not end in \.parquet"),
        (["--format", "sionna-cir", "--out", "o.h5"], r"does not end in \.npz"),
        (["--format", "deepmimo", "--out", "Munich"], "lowers names"),
        (["--format", "deepmimo", "--out", "o", "--bs-array", "ula:4"], "single antenna"),
        (["--format", "deepmimo", "--out", "o", "--max-paths", "26"], "1 to 25"),
        (["--format", "npz", "--out", "o.npz", "--max-paths", "3"], "--max-paths says nothing to npz"),
        (["--format", "npz", "--out", "o.npz", "--carrier", "nan"], "--carrier"),
        (["--format", "npz", "--out", "o.npz", "--season", "spring"], "--season"),
        (["--format", "npz", "--out", "o.npz", "--pattern", "cone"], "pattern 'cone' is unknown"),
        (["--format", "npz", "--out", "o.npz", "--scene", "box"], "another geometry"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(paths, tmp_path, monkeypatch, words, said):
    if "parquet" in words:
        pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    result = run("export", paths, *words)
    assert result.exit_code == 1
    assert re.search(said, result.stderr), result.stderr
    assert result.stderr.startswith("sitetwin: error: ")
    assert result.stderr.count("\n") == 1
    assert "unexpected" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_channels_become_no_paths(channels, tmp_path):
    result = run("export", channels, "--format", "deepmimo", "--out", tmp_path / "o")
    assert result.exit_code == 1
    assert "holds channels, from which no deepmimo can be made" in result.stderr


def test_a_folder_that_is_no_store(tmp_path):
    result = run("export", tmp_path, "--format", "npz", "--out", tmp_path / "o.npz")
    assert result.exit_code == 1
    assert "is not a sitetwin store" in result.stderr


def test_a_damaged_tile_is_refused(paths, tmp_path):
    import shutil

    shutil.copytree(paths, tmp_path / "p")
    next((tmp_path / "p" / "tiles" / "000000" / "length").rglob("0")).write_bytes(b"x")
    result = run("export", tmp_path / "p", "--format", "npz", "--out", tmp_path / "o.npz")
    assert result.exit_code == 1
    assert "damaged" in result.stderr or "checksum" in result.stderr, result.stderr
    assert not (tmp_path / "o.npz").exists()
