"""Gather the parts of shapefiles: beside one another, in a folder, or in a zip archive; and check that they fit.

ESRI Shapefile Technical Description (1998): a main file .shp, an index .shx, a dBASE table .dbf; .prj names the
reference system and .cpg the encoding of texts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import NoReturn

from sitetwin import untrusted
from sitetwin.errors import SiteTwinError
from sitetwin.untrusted.packed import checked_members, opened_zip

Parts = dict[str, bytes]

MAGIC = b"\x00\x00\x27\x0a"
"""First bytes of .shp and .shx."""

_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
_NEEDED = (".shp", ".dbf")
_MULTIPATCH = 31
_HEADER, _MOST_SHAPEFILES = 100, 200


def beside(path: Path, largest: int) -> dict[str, Parts]:
    """Return the parts of one shapefile: files of the same name, in any case, in the same folder.

    Raises:
        SiteTwinError: A part is missing, too large, damaged, or cannot be read.
    """
    return _read(_groups(_listed(path.parent, path.name), stem=path.stem), path.name, largest)


def in_folder(path: Path, largest: int) -> dict[str, Parts]:
    """Return the parts of all shapefiles of a folder, by their names.

    Raises:
        SiteTwinError: There is no shapefile, or as `beside`.
    """
    return _read(_groups(_listed(path, path.name)), path.name, largest)


def in_archive(data: bytes, where: str, largest: int) -> dict[str, Parts]:
    """Return the parts of all shapefiles of a zip archive, by their names; the folders within it do not count.

    Raises:
        SiteTwinError: The archive is damaged, encrypted, grows beyond reason or holds no shapefile, or as `beside`.
    """
    mend = "unpack it and give the .shp inside, or download it again"
    with opened_zip(data, f"'{where}'", mend) as archive:
        groups = _members(archive.namelist(), where)
        items = checked_members(archive, [name for parts in groups.values() for name in parts.values()])
        if sum(item.file_size for item in items) > largest:
            _refuse(where, f"holds more than {largest >> 20} MB; export the part that is wanted")
        found = {
            name: {suffix: archive.read(member) for suffix, member in parts.items()} for name, parts in groups.items()
        }
    return _checked(found, where)


def _members(names: Iterable[str], where: str) -> dict[str, dict[str, str]]:
    """The parts of shapefiles among the members of an archive."""
    found: dict[str, dict[str, str]] = {}
    for member in names:
        name = PurePosixPath(member.replace("\\", "/"))
        if name.suffix.lower() not in _PARTS or name.name.startswith("._") or "__MACOSX" in name.parts:
            continue
        if found.setdefault(name.stem, {}).setdefault(name.suffix.lower(), member) != member:
            _refuse(where, f"holds two files '{name.name[:60]}'; unpack it and give the right .shp")
    found = {name: parts for name, parts in found.items() if ".shp" in parts}
    if not found:
        _refuse(where, "is a packed archive without a shapefile; unpack it and give the file inside")
    return found


def _listed(folder: Path, where: str) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        _refuse(where, f"lies in a folder that cannot be listed ({error.strerror}); check its permissions")


def _groups(files: Iterable[Path], stem: str | None = None) -> dict[str, dict[str, Path]]:
    """The parts of shapefiles among files."""
    found: dict[str, dict[str, Path]] = {}
    for file in files:
        if file.suffix.lower() in _PARTS and (stem is None or file.stem.lower() == stem.lower()):
            exact = stem is None or file.stem == stem
            group = found.setdefault(file.stem if stem is None else stem, {})
            if exact or file.suffix.lower() not in group:
                group[file.suffix.lower()] = file
    return {name: parts for name, parts in found.items() if ".shp" in parts}


def _read(groups: dict[str, dict[str, Path]], where: str, largest: int) -> dict[str, Parts]:
    if not groups:
        _refuse(where, "does not exist as a file and holds no shapefile (.shp); check the path")
    left = largest
    found: dict[str, Parts] = {}
    for name, files in groups.items():
        found[name] = {}
        for suffix, file in files.items():
            found[name][suffix] = untrusted.read_bytes(file, f"'{file.name}'", left)
            left -= len(found[name][suffix])
    return _checked(found, where)


def _checked(found: dict[str, Parts], where: str) -> dict[str, Parts]:
    """The shapefiles, if each has what it needs in full."""
    if len(found) > _MOST_SHAPEFILES:
        _refuse(where, f"holds more than {_MOST_SHAPEFILES} shapefiles; give those that are wanted")
    for name, parts in found.items():
        for suffix in _NEEDED:
            if suffix not in parts:
                _refuse(f"{name}.shp", f"lacks its part {name}{suffix}; put it beside it")
        size = _check_header(parts[".shp"], f"{name}.shp")
        if ".shx" in parts:
            shapes = (_check_header(parts[".shx"], f"{name}.shx") - _HEADER) // 8
        else:
            shapes = _count_shapes(parts[".shp"], size, f"{name}.shp")
        rows = _check_table(parts[".dbf"], f"{name}.dbf")
        if rows != shapes:
            _refuse(f"{name}.dbf", f"has {rows} rows for the {shapes} shapes of {name}.shp; export both again")
    return found


def _check_header(data: bytes, where: str) -> int:
    """Check .shp or .shx, which have the same header; the number of bytes that it says."""
    if len(data) < _HEADER or not data.startswith(MAGIC):
        _refuse(where, "is no part of a shapefile; export it again")
    words, kind = struct.unpack_from(">i", data, 24)[0], struct.unpack_from("<i", data, 32)[0]
    if not _HEADER <= 2 * words <= len(data):
        _refuse(where, f"was cut short: it says {2 * words} bytes and has {len(data)}; copy it again")
    if kind == _MULTIPATCH:
        _refuse(where, "holds multipatches, which are bodies in space; export footprints, or a mesh such as .glb")
    return int(2 * words)


def _count_shapes(data: bytes, size: int, where: str) -> int:
    """The number of shapes of a .shp without its index, one after the other."""
    place, count = _HEADER, 0
    while place + 8 <= size:
        length = struct.unpack_from(">i", data, place + 4)[0]
        if length < 2 or place + 8 + 2 * length > size:
            _refuse(where, f"is damaged: its shape {count + 1} has an impossible length; export it again")
        place, count = place + 8 + 2 * length, count + 1
    return count


def _check_table(data: bytes, where: str) -> int:
    """Check .dbf; the number of its rows."""
    if len(data) < 33:
        _refuse(where, "is no dBASE table; export it again")
    rows, header, width = struct.unpack_from("<IHH", data, 4)
    if header < 33 or width < 1 or header + rows * width > len(data):
        _refuse(where, f"was cut short or is damaged: it says {rows} rows, which it does not hold; copy it again")
    return int(rows)


def _refuse(where: str, what: str) -> NoReturn:
    raise SiteTwinError(f"'{where}' {what}")
