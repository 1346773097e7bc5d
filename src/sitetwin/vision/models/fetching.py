"""Fetch packages with weights through the clients of their registries, and keep what is used of them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sitetwin import untrusted
from sitetwin.errors import SiteTwinError
from sitetwin.vision.models.pins import MODELS, Member, Pin

PATIENCE = 600.0
"""Seconds that a client may take."""

_COMMANDS = {
    "npm": ("npm", "pack", "--ignore-scripts", "--loglevel=error"),
    "pip": ("pip", "download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet"),
}


class RegistryError(SiteTwinError):
    """No registry gave the package: no network, no client, or a registry without it."""


def cache_folder() -> Path:
    """Return the folder of fetched networks.

    It is `vision/models` in the folder that SITETWIN_CACHE names, else in `sitetwin` of XDG_CACHE_HOME or `~/.cache`.

    Raises:
        SiteTwinError: No such folder has an absolute path.
    """
    own = os.environ.get("SITETWIN_CACHE")
    root = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "sitetwin"
    if not root.is_absolute():
        raise SiteTwinError(f"the cache '{root}' has no absolute path; set SITETWIN_CACHE to a folder with one")
    return root / "vision" / "models"


def pin_of(model: str | Pin) -> Pin:
    """Return the pin of a network by its name.

    Raises:
        SiteTwinError: There is none of this name.
    """
    if isinstance(model, Pin):
        return model
    if model not in MODELS:
        raise SiteTwinError(f"there is no network '{model}'; choose one of {', '.join(MODELS)}")
    return MODELS[model]


def is_fetched(model: str | Pin) -> bool:
    """Whether the files of a network lie in the cache, in their sizes; their checksums are taken when they are read."""
    pin = pin_of(model)
    return all(_size(path) == member.size for path, member in _kept(pin))


def fetch_model(model: str | Pin) -> Path:
    """Fetch a network, unless it lies in the cache.

    The client fetches the package from whatever registry it is set to. The archive's size and checksum are compared
    before it is opened, and those of each file before it is kept.

    Args:
        model: Name in `MODELS`, or a pin of your own.

    Returns:
        The folder with its files.

    Raises:
        RegistryError: The client is missing, or no registry gave the package.
        SiteTwinError: The package is not the pinned one, or the cache cannot be written.
    """
    pin = pin_of(model)
    folder = _folder(pin)
    if is_fetched(pin):
        try:
            model_files(pin)
            return folder
        except SiteTwinError:
            pass  # damaged on the disk: fetch it again
    with tempfile.TemporaryDirectory(prefix="sitetwin-model-") as scratch:
        what = f"package {pin.package} {pin.version}"
        mend = f"the registry of {pin.client} gave other bytes than the pinned ones: use another registry"
        data = untrusted.read_bytes(_packed(pin, Path(scratch)), what, pin.size, mend)
        _compare(data, pin.sha256, pin.size, what, mend)
        sizes = {member.path: member.size for member in pin.members}
        if pin.client == "npm":
            content = untrusted.read_tar(data, what, mend, sizes)
        else:
            content = untrusted.read_zip(data, what, mend, list(sizes))
        for member in pin.members:
            _compare(content[member.path], member.sha256, member.size, f"'{member.path}' of {what}", mend)
        _keep(pin, content)
    return folder


def model_files(model: str | Pin) -> list[bytes]:
    """Read the files of a fetched network, in the order of its pin.

    Raises:
        SiteTwinError: It is not fetched, or its files are damaged.
    """
    pin = pin_of(model)
    mend = f"fetch it with `sitetwin vision models fetch {pin.name}`"
    if not is_fetched(pin):
        raise SiteTwinError(f"the network {pin.name} is not on this machine; {mend}")
    contents = []
    for path, member in _kept(pin):
        data = untrusted.read_bytes(path, f"network '{path}'", member.size, mend)
        _compare(data, member.sha256, member.size, f"network '{path}'", mend)
        contents.append(data)
    return contents


def _packed(pin: Pin, scratch: Path) -> Path:
    """The archive that the client put into a folder."""
    before = _COMMANDS[pin.client]
    if shutil.which(before[0]) is None:
        raise RegistryError(f"the client {before[0]} is not installed; install it to fetch {pin.name}")
    wanted = f"{pin.package}@{pin.version}" if pin.client == "npm" else f"{pin.package}=={pin.version}"
    target = ("--pack-destination", str(scratch)) if pin.client == "npm" else ("--dest", str(scratch))
    _run([*before, *target, wanted], scratch, pin)
    files = [file for file in scratch.iterdir() if file.suffix in (".tgz", ".whl")]
    if len(files) != 1:
        raise RegistryError(f"{pin.client} brought {len(files)} files for {wanted}; check its settings")
    return files[0]


def _run(command: Sequence[str], scratch: Path, pin: Pin) -> None:
    mend = f"check the network and the registry that {pin.client} is set to"
    try:
        done = subprocess.run(
            command, cwd=scratch, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RegistryError(f"{pin.client} could not fetch {pin.package} ({type(error).__name__}); {mend}") from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).decode(errors="replace").split())[:160]
        raise RegistryError(f"{pin.client} could not fetch {pin.package} {pin.version} ({said}); {mend}")


def _keep(pin: Pin, content: dict[str, bytes]) -> None:
    """Put the files into the cache, each whole or not at all."""
    folder = _folder(pin)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, member in _kept(pin):
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
                file.write(content[member.path])
            os.replace(file.name, path)
    except OSError as error:
        raise SiteTwinError(
            f"the cache '{folder}' cannot be written ({error.strerror}); set SITETWIN_CACHE to another folder"
        ) from error


def _folder(pin: Pin) -> Path:
    return cache_folder() / f"{pin.name}-{pin.version}"


def _kept(pin: Pin) -> list[tuple[Path, Member]]:
    """Where each file lies: under its last name, so that no name of an archive leads out of the folder."""
    return [(_folder(pin) / Path(member.path).name, member) for member in pin.members]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else -1
    except OSError:
        return -1


def _compare(data: bytes, sha256: str, size: int, what: str, mend: str) -> None:
    if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
        raise SiteTwinError(f"{what} has another checksum or size than the pinned one; {mend}")
