"""Codecs of cells on disk: one safetensors file with the link, the versions and the hash of all that it holds."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.cell.link import CellLink
from sitetwin.learn.model_files import ModelFile
from sitetwin.store.outputs import new_file
from sitetwin.untrusted import parse_json
from sitetwin.untrusted.tensors import TYPES, read_safetensors

FORMAT = "sitetwin.codec/1"

_MEND = "copy it again, or fit a new codec"
_ABOUT = "sitetwin"
_NAMES = {np.dtype(dtype): name for name, dtype in TYPES.items()}
_MOST_VERSIONS = 10_000


class About(BaseModel):
    """What the header of a codec's file says.

    Attributes:
        format: Format of the file.
        version: Version of the codec: 1 after a fit, one more after each update.
        parents: Hashes of the earlier versions, the first one first.
        made_by: Version of the package.
        link: The link, as `CellLink` has it.
        kind: Kind of the coder.
        shape: Delay taps and beams.
        parameters: Parameters of the coder.
        training: What the codec was fitted to and updated with.
        complex: Names of the tensors whose last axis holds real and imaginary part.
        hash: SHA-256 of all else.
    """

    model_config = ConfigDict(extra="forbid")

    format: str
    version: int = Field(ge=1, le=_MOST_VERSIONS)
    parents: tuple[str, ...]
    made_by: str
    link: dict[str, Any]
    kind: str
    shape: tuple[int, int]
    parameters: dict[str, Any]
    training: dict[str, Any]
    complex: tuple[str, ...]
    hash: str = ""


@dataclass(frozen=True, eq=False)
class CodecContent:
    """All that a codec's file holds, before it is written or after it was read and checked.

    Attributes:
        about: The header.
        tensors: Numbers of the coder.
    """

    about: About
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    def model_file(self, path: Path) -> ModelFile:
        """The coder's part, for what restores it."""
        return ModelFile(path, self.about.parameters, dict(self.tensors))


def content_hash(about: About, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a header without its hash, and of names, types, shapes and bytes of tensors."""
    digest = hashlib.sha256(_json({**about.model_dump(mode="json"), "hash": ""}))
    for name, array in sorted(_plain(tensors).items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def write_codec(path: Path, content: CodecContent) -> None:
    """Write a codec's file, which is not there yet.

    Raises:
        SiteTwinError: Something is there, or the disk cannot be written.
    """
    header: dict[str, Any] = {"__metadata__": {_ABOUT: _json(content.about.model_dump(mode="json")).decode()}}
    arrays, end = sorted(_plain(content.tensors).items(), key=lambda item: (-item[1].dtype.itemsize, item[0])), 0
    for name, array in arrays:
        place = [end, end := end + array.nbytes]
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": place}
    text = _json(header)
    text += b" " * (-len(text) % 8)
    with new_file(path, "write it again") as (file, _), file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for _name, array in arrays:
            stream.write(array.tobytes())


def read_codec(path: Path) -> CodecContent:
    """Read a codec's file. It is not trusted: nothing in it is executed, and its hash must be that of its content.

    Raises:
        SiteTwinError: The file is missing, truncated, damaged, altered, or holds something else.
    """
    what = f"the codec '{path}'"
    texts, arrays = read_safetensors(path, what, _MEND)
    if _ABOUT not in texts:
        raise SiteTwinError(f"{what} is a file of tensors, but not of sitetwin's; give a codec of `sitetwin codec fit`")
    try:
        about = About.model_validate(parse_json(texts[_ABOUT].encode(), what, _MEND))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))[:60]
        raise SiteTwinError(f"{what}: its header is wrong at '{where}' ({first['msg'][:100]}); {_MEND}") from error
    if about.format != FORMAT:
        raise SiteTwinError(f"{what} is of the format '{about.format[:40]}', and this version reads {FORMAT}")
    tensors = {}
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise SiteTwinError(f"{what} holds numbers that are not finite ({name[:40]}); {_MEND}")
        tensor = torch.from_numpy(array)
        if name in about.complex:
            if tensor.dtype != torch.float32 or tensor.shape[-1:] != (2,):
                raise SiteTwinError(f"{what}: the tensor {name[:40]} has no real and imaginary parts; {_MEND}")
            empty = torch.zeros(tensor.shape[:-1], dtype=torch.complex64)  # torch takes no view of it
            tensor = torch.view_as_complex(tensor) if tensor.numel() else empty
        tensors[name] = tensor
    if content_hash(about, tensors) != about.hash:
        raise SiteTwinError(f"{what} was altered since it was written: its hash is another; {_MEND}")
    if len(about.parents) != about.version - 1:
        raise SiteTwinError(f"{what} does not name each of its earlier versions; {_MEND}")
    return CodecContent(about, tensors)


def link_of(about: About, what: str) -> CellLink:
    """The link of a header.

    Raises:
        SiteTwinError: It is none.
    """
    try:
        return TypeAdapter(CellLink).validate_python(about.link)
    except ValidationError as error:
        first = error.errors()[0]
        raise SiteTwinError(f"{what}: its link is wrong ({first['msg'][:100]}); {_MEND}") from error


def link_table(link: CellLink) -> dict[str, Any]:
    """The link as the header holds it."""
    return asdict(link)


def complex_names(tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Names of the complex tensors, in order."""
    return tuple(sorted(name for name, tensor in tensors.items() if tensor.is_complex()))


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Tensors as arrays of real numbers."""
    return {
        name: (torch.view_as_real(t.resolve_conj().contiguous()) if t.is_complex() else t.contiguous()).cpu().numpy()
        for name, t in tensors.items()
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":")).encode()
