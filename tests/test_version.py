"""The version of the code that made a result."""

import importlib
from importlib import metadata

import pytest

from sitetwin import version


def test_one_changed_line_is_another_version(tmp_path, monkeypatch):
    for room in ("a", "b"):
        (tmp_path / room / "deep" / "__pycache__").mkdir(parents=True)
        (tmp_path / room / "deep" / "code.py").write_text("x = 1\n")
    monkeypatch.setattr(version, "files", lambda package: tmp_path)
    version_of = version.code_version.__wrapped__
    before = version_of("a", "b")
    assert before == version_of("b", "a")
    assert before.startswith(version.__version__ + "+")
    (tmp_path / "b" / "deep" / "__pycache__" / "code.pyc").write_bytes(b"0")
    assert version_of("a", "b") == before
    (tmp_path / "b" / "deep" / "code.py").write_text("x = 2\n")
    assert version_of("a", "b") != before
    assert version_of("a") != before


def test_a_single_file_has_a_say_too(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    for name in ("a/code.py", "backend.py", "other.py"):
        (tmp_path / name).write_text("x = 1\n")
    monkeypatch.setattr(version, "files", lambda package: tmp_path)
    version_of = version.code_version.__wrapped__
    before, without = version_of("a", "backend.py"), version_of("a")
    assert before != without
    (tmp_path / "other.py").write_text("x = 2\n")
    assert version_of("a", "backend.py") == before
    (tmp_path / "backend.py").write_text("x = 2\n")
    assert version_of("a", "backend.py") != before
    assert version_of("a") == without


@pytest.mark.parametrize("name", ["no such room", "no_such_file.py"])
def test_a_room_that_is_not_there_is_an_error(name):
    with pytest.raises(FileNotFoundError):
        version.code_version(name)


@pytest.mark.parametrize(
    "home",
    [
        "channel.io.ROOMS",
        "rays.jobs.io.ROOMS",
        "studies.coverage.study._ROOMS",
        "studies.csi.study._ROOMS",
        "studies.beams.study._ROOMS",
    ],
)
def test_what_is_traced_depends_on_the_choice_of_the_tracer(home):
    """`backend` chooses the variant of Mitsuba and its options, which decide the last bits of paths."""
    module, _, name = f"sitetwin.{home}".rpartition(".")
    rooms = getattr(importlib.import_module(module), name)
    assert {"backend.py", "rays", "site"} <= set(rooms)
    assert version.code_version(*rooms)


def test_the_installed_package_has_the_version_of_the_source():
    assert metadata.version("sitetwin") == version.__version__
