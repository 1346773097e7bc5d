"""The version of the code that made a result."""

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


def test_a_room_that_is_not_there_is_an_error():
    with pytest.raises(FileNotFoundError):
        version.code_version("no such room")


def test_the_installed_package_has_the_version_of_the_source():
    assert metadata.version("sitetwin") == version.__version__
