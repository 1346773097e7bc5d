"""`sitetwin store verify`, `compact` and `info`."""

import re

import numpy as np
import pytest
from typer.testing import CliRunner

from sitetwin.cli import app as cli
from sitetwin.store import Array, TileStore


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(cli.app, [str(a) for a in arguments])


@pytest.fixture
def store(tmp_path):
    made = TileStore.create(tmp_path / "s", {"kind": "test", "depth": 3}, {"title": "[bold]x"}, [(0, 2), (2, 4)])
    for index in range(2):
        made.write_tile(index, {"users": Array(("user", "xyz"), np.full((2, 3), float(index)))})
    return made


def test_store_commands_on_a_whole_store(run, store, tmp_path):
    assert run("store", "verify", store.path).exit_code == 0
    info = run("store", "info", store.path)
    assert info.exit_code == 0
    assert "2 of 2" in info.stdout
    assert "[bold]x" in info.stdout  # data is never markup
    assert run("store", "compact", store.path, tmp_path / "flat").exit_code == 0
    assert (tmp_path / "flat" / "zarr.json").is_file()


def test_store_verify_names_what_is_wrong(run, store):
    (store.path / "tiles/000001/users/c/0/0").write_bytes(b"")
    result = run("store", "verify", store.path)
    assert result.exit_code == 1
    assert "damaged: tiles/000001" in result.stdout
    assert "resume" in result.stderr


@pytest.mark.parametrize("command", ["verify", "info"])
def test_a_folder_that_is_no_store(run, tmp_path, command):
    result = run("store", command, tmp_path)
    assert result.exit_code == 1
    assert re.fullmatch(r"sitetwin: error: .* is not a sitetwin store: .*; check the path\n", result.stderr)
