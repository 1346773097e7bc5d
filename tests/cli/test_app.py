import warnings

import pytest
from typer.testing import CliRunner

import sitetwin
from sitetwin.cli import app as cli
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.store import TileStore


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(cli.app, [str(a) for a in arguments])


def test_version(run):
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout == f"sitetwin {sitetwin.__version__}\n"


def raising(error: BaseException):
    def fail(*arguments, **options):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (SiteTwinError("the map is upside down; turn it"), 1, "sitetwin: error: the map is upside down; turn it\n"),
        (KeyboardInterrupt(), 130, "sitetwin: stopped by Ctrl-C\n"),
        (
            ValueError("bad\nshape"),
            1,
            "sitetwin: error: unexpected ValueError: bad; `sitetwin --debug ...` shows where\n",
        ),
        (MemoryError(), 1, "sitetwin: error: the memory is full; work with fewer users or a smaller batch\n"),
    ],
)
def test_failures_are_one_sentence(run, monkeypatch, error, status, said):
    monkeypatch.setattr(TileStore, "open", raising(error))
    result = run("store", "info", "anywhere")
    assert result.exit_code == status
    assert result.stderr == said


def test_debug_shows_the_traceback(run, monkeypatch):
    monkeypatch.setattr(TileStore, "open", raising(ValueError("bad shape")))
    result = run("--debug", "store", "info", "anywhere")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].endswith("unexpected ValueError: bad shape")


def test_warnings_are_sentences(run, monkeypatch, tmp_path):
    def warn(path):
        warnings.warn("the frequency was clamped", SiteTwinWarning, stacklevel=2)
        raise SiteTwinError("and stop")

    monkeypatch.setattr(TileStore, "open", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always", SiteTwinWarning)
        result = run("store", "info", tmp_path)
    assert "sitetwin: note: the frequency was clamped\n" in result.stderr


def test_wrong_options_are_the_command_lines_own_business(run):
    assert run("store", "info").exit_code == 2
    assert run("no-such-command").exit_code == 2
