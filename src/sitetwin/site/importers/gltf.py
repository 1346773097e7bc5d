"""Read glTF 2.0 files strictly: the container, its buffers and accessors. Nothing is fetched from elsewhere.

Sections named in comments are those of the Khronos glTF 2.0 specification.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeGuard
from urllib.parse import unquote

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.importers.blocks import read_file
from sitetwin.untrusted import parse_json

LARGEST_GLTF_FILE = 2**30
"""Bytes of a GLB file or of a buffer."""

LARGEST_JSON = 2**27
"""Bytes of a document, of which each takes up to twenty of memory while it is read."""

_JSON, _BINARY = 0x4E4F534A, 0x004E4942
_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_GEOMETRY_KEPT = ("KHR_mesh_quantization", "KHR_texture_", "KHR_materials_", "KHR_lights_", "EXT_texture_", "KHR_xmp")
"""Beginnings of the names of extensions that leave every position where the plain reading has it."""

_COMPRESSION = ("KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_meshopt_compression")


@dataclass(eq=False)
class Gltf:
    """A document with its buffers.

    Attributes:
        where: Name of the file, for messages.
        document: The JSON.
        folder: Where external buffers lie.
        binary: The buffer within a GLB file, or None.
        digested: Content of the external files that were read, by name.
        step: Largest step between quantised positions (KHR_mesh_quantization) after the nodes' transforms; 0 for none.
    """

    where: str
    document: dict[str, Any]
    folder: Path
    binary: bytes | None
    digested: dict[str, bytes] = field(default_factory=dict)
    step: float = 0.0
    _buffers: dict[int, bytes] = field(default_factory=dict)

    def refuse(self, what: str, mend: str = "export it again") -> NoReturn:
        """Raise the error for a fault in the file."""
        raise SiteTwinError(f"'{self.where}' {what}; {mend}")

    def entry(self, table: str, index: Any) -> dict[str, Any]:
        """Return an entry of one of the document's tables."""
        rows = self.document.get(table, [])
        if not isinstance(rows, list) or not is_whole(index) or not 0 <= index < len(rows):
            self.refuse(f"names an entry of '{table}' that it does not have")
        if not isinstance(rows[index], dict):
            self.refuse(f"has an entry in '{table}' that is no object")
        return rows[index]

    def whole(self, entry: dict[str, Any], key: str, default: int | None = None, largest: int = 2**40) -> int:
        """Return a whole number from 0 to `largest` of an entry."""
        value = entry.get(key, default)
        if not is_whole(value) or not 0 <= value <= largest:
            self.refuse(f"has a '{key}' that is no whole number from 0 to {largest}")
        return value

    def numbers(self, entry: dict[str, Any], key: str, default: Sequence[float]) -> np.ndarray:
        """Return a list with as many finite numbers as the default has."""
        values = entry.get(key, default)
        if (
            not isinstance(values, (list, tuple))
            or len(values) != len(default)
            or not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
        ):
            self.refuse(f"has a '{key}' that is no list of {len(default)} numbers")
        try:
            array = np.array(values, dtype=np.float64)
        except OverflowError:
            array = np.full(len(default), np.inf)
        if not np.isfinite(array).all():
            self.refuse(f"has a '{key}' with NaN or infinity")
        return array

    def count(self, index: Any) -> int:
        """Return the number of elements of an accessor without reading them."""
        return self.whole(self.entry("accessors", index), "count")

    def accessor(self, index: Any, kind: str) -> tuple[np.ndarray, bool]:
        """Read the elements of an accessor (section 3.6.2) after a check against its view and buffer.

        Args:
            index: Index of the accessor in the document's table.
            kind: Type that the accessor must have, "SCALAR" or "VEC3".

        Returns:
            (count, width) array in the stored type, and whether integers stand for fractions.

        Raises:
            SiteTwinError: The accessor has another type, reaches beyond its buffer, is sparse or has no data.
        """
        entry = self.entry("accessors", index)
        code = entry.get("componentType")
        if entry.get("type") != kind or not is_whole(code) or code not in _COMPONENTS:
            self.refuse(f"has an accessor of another type where {kind} is due")
        if "sparse" in entry or "bufferView" not in entry:
            self.refuse("has an accessor that is sparse or without data", "export it with plain accessors")
        component = np.dtype(_COMPONENTS[code])
        size = component.itemsize * _WIDTHS[kind]
        count = self.whole(entry, "count")
        view = self.entry("bufferViews", entry["bufferView"])
        extensions = view.get("extensions")
        if isinstance(extensions, dict) and any(name in extensions for name in _COMPRESSION):
            self._refuse_compression()
        data = self._buffer(view.get("buffer"))
        start, length = self.whole(view, "byteOffset", 0), self.whole(view, "byteLength")
        stride = self.whole(view, "byteStride", size, 252) or size
        offset = self.whole(entry, "byteOffset", 0)
        if start + length > len(data) or (count and offset + stride * (count - 1) + size > length):
            self.refuse("has an accessor that runs out of its buffer", "it is truncated or damaged, export it again")
        if count == 0:
            return np.zeros((0, _WIDTHS[kind]), component), False
        array = np.ndarray(
            (count, _WIDTHS[kind]), component, data, offset=start + offset, strides=(stride, component.itemsize)
        )
        return array, entry.get("normalized") is True

    def check_extensions(self) -> None:
        """Refuse compressed meshes and unknown required extensions, which this reader would read wrongly."""
        required = self.document.get("extensionsRequired", [])
        if not isinstance(required, list):
            self.refuse("has a malformed list of required extensions")
        for name in map(str, required):
            if name in _COMPRESSION:
                self._refuse_compression()
            if not name.startswith(_GEOMETRY_KEPT):
                self.refuse(f"requires the extension {name[:60]}, which is not known here", "export it without")

    def _refuse_compression(self) -> NoReturn:
        self.refuse("holds compressed meshes (Draco or meshopt)", "export it without compression")

    def _buffer(self, index: Any) -> bytes:
        entry = self.entry("buffers", index)
        if index not in self._buffers:
            uri = entry.get("uri")
            if uri is None:
                if index != 0 or self.binary is None:
                    self.refuse("has a buffer without data", "copy the whole file, or export it as .glb")
                data = self.binary
            elif isinstance(uri, str):
                data = self._resolve(uri)
            else:
                self.refuse("has a buffer whose address is no text")
            if len(data) < self.whole(entry, "byteLength"):
                self.refuse("has a buffer that is shorter than it says", "it is truncated, copy or export it again")
            self._buffers[index] = data
        return self._buffers[index]

    def _resolve(self, uri: str) -> bytes:
        """The data of an address: within the document, or a file in its own folder; nothing else is opened."""
        if uri.startswith("data:"):
            head, _, text = uri.partition(",")
            if not head.endswith(";base64"):
                self.refuse("has a buffer within the document that is not in base64")
            try:
                return base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                self.refuse("has a buffer within the document that is no base64")
        relative = unquote(uri, errors="replace")
        mend = "only files beside it are opened, so put the buffer there or export as .glb"
        if "\0" in relative or ":" in relative or "\\" in relative or relative.startswith("/"):
            self.refuse(f"names the buffer '{relative[:60]!r}', which is no file beside it", mend)
        try:
            root = self.folder.resolve()
            path = (root / relative).resolve()
            path.is_file()  # raises where a name is longer than any file's
        except (OSError, ValueError, RuntimeError):  # also links in a circle, half a character
            self.refuse(f"names the buffer '{relative[:60]!r}', which cannot be found", mend)
        if not path.is_relative_to(root):
            self.refuse(f"names the buffer '{relative[:60]}', which lies outside its folder", mend)
        if relative not in self.digested:
            self.digested[relative] = read_file(path, LARGEST_GLTF_FILE)
        return self.digested[relative]


def is_whole(value: Any) -> TypeGuard[int]:
    """Return whether a JSON value is a whole number (true and false are not)."""
    return isinstance(value, int) and not isinstance(value, bool)


def read_gltf(path: Path) -> tuple[Gltf, bytes]:
    """Read a .glb or .gltf file.

    Returns:
        The document, its extensions checked, and the bytes of the file.

    Raises:
        SiteTwinError: The file is missing, too large, truncated, not glTF 2.0, or needs an unknown extension.
    """
    data = read_file(path, LARGEST_GLTF_FILE)
    text, binary = _chunks(data, str(path)) if data[:4] == b"glTF" else (data, None)
    gltf = Gltf(str(path), load_json(text, str(path)), path.parent, binary)
    asset = gltf.document.get("asset")
    if not isinstance(asset, dict) or not str(asset.get("version")).startswith("2."):
        gltf.refuse("is no glTF 2.0 file: its asset names no version 2", "export it as glTF 2.0")
    gltf.check_extensions()
    return gltf, data


def load_json(text: bytes, where: str, largest: int = LARGEST_JSON) -> dict[str, Any]:
    """Parse a JSON object of at most so many bytes; NaN and infinity, which JSON does not have, are refused.

    Raises:
        SiteTwinError: The text is too large, not JSON, nested too deeply, or not an object.
    """
    mend = "it is truncated or damaged, copy or export it again"
    document = parse_json(text, f"'{where}'", mend, largest=largest, constant=_no_constant)
    if not isinstance(document, dict):
        raise SiteTwinError(f"'{where}' holds no JSON object; check that it is the right file")
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _chunks(data: bytes, where: str) -> tuple[bytes, bytes | None]:
    """JSON and binary chunk of a GLB file (section 4.4)."""
    mend = "it is truncated or damaged, copy or export it again"
    if len(data) < 20:
        raise SiteTwinError(f"'{where}' ends within its header; {mend}")
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise SiteTwinError(f"'{where}' is binary glTF of version {version}; export it as glTF 2.0")
    if length > len(data):
        raise SiteTwinError(f"'{where}' promises {length} bytes and has {len(data)}; {mend}")
    found: dict[int, bytes] = {}
    position = 12
    while position + 8 <= length:
        size, kind = struct.unpack_from("<II", data, position)
        position += 8
        if position + size > length:
            raise SiteTwinError(f"'{where}' has a chunk that runs out of the file; {mend}")
        found.setdefault(kind, data[position : position + size])
        position += size
    if _JSON not in found:
        raise SiteTwinError(f"'{where}' has no JSON chunk; {mend}")
    return found[_JSON], found.get(_BINARY)
