"""Trained models on disk: one file of plain arrays and a JSON header. Nothing in it is ever executed.

The file is an uncompressed ``.npz``, which NumPy alone can read too. Files may come from strangers: sizes are believed
only where the bytes are there, and a model checks every array against the sizes that its header claims.
"""

from __future__ import annotations

import ast
import io
import json
import math
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.store.files import disk_errors, write_file
from sitetwin.untrusted import is_missing, parse_json, read_zip

FORMAT = "sitetwin.model/1"
_HEADER = "model.json"
_LONGEST_HEADER = 1 << 20
_TYPES = {
    "<f4": torch.float32,
    "<f8": torch.float64,
    "<c8": torch.complex64,
    "<i8": torch.int64,
}


def write_model(path: Path, kind: str, parameters: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> None:
    """Write a model beside its place and rename it into it.

    Args:
        path: File to write.
        kind: Kind of the model, such as "klt".
        parameters: JSON-serialisable.
        arrays: Numbers of the model: float32, float64, complex64 or int64.

    Raises:
        SiteTwinError: The disk refuses.
    """
    content = io.BytesIO()
    header = {"format": FORMAT, "kind": kind, "parameters": dict(parameters)}
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(_HEADER), json.dumps(header, sort_keys=True, allow_nan=False))
        for name, tensor in arrays.items():
            part = io.BytesIO()
            np.save(part, tensor.detach().cpu().contiguous().resolve_conj().numpy(), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), part.getvalue())
    with disk_errors("saving the model", path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, content.getvalue())


@dataclass(frozen=True, eq=False)
class ModelFile:
    """What a model's file holds, none of it believed yet.

    Attributes:
        path: Path of the file, for messages.
        parameters: Parameters from the header.
        arrays: Finite numbers.
    """

    path: Path
    parameters: dict[str, Any]
    arrays: dict[str, Tensor]
    _sizes: dict[str, int] = field(default_factory=dict)

    def refusal(self, reason: str) -> SiteTwinError:
        """The error to raise where the content makes no model."""
        return SiteTwinError(f"{self.path} holds no usable model ({reason}); save the model again")

    def parameter(self, name: str, wanted: Any) -> Any:
        """One of the parameters, as the type that it should have.

        Raises:
            SiteTwinError: It is missing or of another type.
        """
        if name not in self.parameters:
            raise self.refusal(f"it lacks the parameter {name}")
        try:
            return TypeAdapter(wanted).validate_json(json.dumps(self.parameters[name]))
        except (ValidationError, ValueError) as error:
            raise self.refusal(f"its parameter {name} is wrong") from error

    def array(self, name: str, shape: str, dtype: torch.dtype) -> Tensor:
        """One of the arrays, checked against the sizes that other arrays of the file have.

        Args:
            name: Name of the array.
            shape: Names of its axes, apart by blanks; axes of one name have one size, in all arrays.
            dtype: Type of the array's numbers.

        Raises:
            SiteTwinError: It is missing, or of another type or shape.
        """
        axes, found = shape.split(), self.arrays.get(name)
        if found is None or found.dtype != dtype or found.ndim != len(axes):
            raise self.refusal(f"the array {name} is missing or of another type")
        for axis, size in zip(axes, found.shape, strict=True):
            if self._sizes.setdefault(axis, size) != size:
                raise self.refusal(f"the array {name} has {size} {axis} where others have {self._sizes[axis]}")
        return found


def read_model(path: Path, kind: str) -> ModelFile:
    """Read a model's file.

    Args:
        path: The file.
        kind: What the model must be.

    Raises:
        SiteTwinError: The file is missing, damaged, no model, or a model of another kind.
    """
    path = Path(path)
    if is_missing(path):
        raise SiteTwinError(f"there is no model at {path}; check the path")
    try:
        members = read_zip(path, str(path), "save the model again")
        header = _header(members.pop(_HEADER))
        arrays = {name.removesuffix(".npy"): _array(name, content) for name, content in members.items()}
    except Exception as error:  # whatever the parsers of ZIP, JSON and NumPy meet in bytes of a stranger
        raise SiteTwinError(f"{path} is damaged or holds no model of sitetwin; save the model again") from error
    if header.get("kind") != kind:
        raise SiteTwinError(f"{path} holds a model of the kind {str(header.get('kind'))[:40]!r}, not {kind!r}")
    for name, tensor in arrays.items():
        if not bool(torch.isfinite(torch.view_as_real(tensor) if tensor.is_complex() else tensor).all()):
            raise SiteTwinError(f"{path} holds numbers that are not finite ({name[:40]}); save the model again")
    return ModelFile(path, header["parameters"], arrays)


def _header(content: bytes) -> dict[str, Any]:
    header = parse_json(content, _HEADER, largest=_LONGEST_HEADER)
    if header["format"] != FORMAT or not isinstance(header["parameters"], dict):
        raise ValueError("another format")
    return dict(header)


def _array(name: str, content: bytes) -> Tensor:
    """An array whose bytes are all there: a claim of a size alone reserves no memory."""
    if not name.endswith(".npy"):
        raise ValueError("no plain array")
    if content[:8] != b"\x93NUMPY\x01\x00":
        raise ValueError("no array of version 1")
    (length,) = struct.unpack("<H", content[8:10])
    about = ast.literal_eval(content[10 : 10 + length].decode("latin1"))
    shape, dtype = about["shape"], about["descr"]
    if about["fortran_order"] or dtype not in _TYPES or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("another layout")
    data = np.frombuffer(content, dtype=np.dtype(dtype), offset=10 + length)
    if math.prod(shape) != data.size:
        raise ValueError("another size")
    return torch.from_numpy(data.reshape(shape).copy())
