"""Radios and patterns as facts that a file can hold."""

from __future__ import annotations

import hashlib
import math
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from sitetwin.channel.antennas.patterns import Pattern
from sitetwin.channel.antennas.radio import Radio
from sitetwin.errors import SiteTwinError


def describe_radio(radio: Radio) -> dict[str, Any]:
    """Describe a radio as a JSON-serialisable dictionary; equal descriptions mean equal radios.

    Raises:
        SiteTwinError: The pattern is of a class that cannot be described.
    """
    array = radio.array
    orientation = torch.as_tensor(radio.orientation, dtype=torch.float64).detach()
    return {
        "antennas": array.num_antennas,
        "rows_columns": list(array.shape) if array.shape else None,
        "row_column_spacing_wavelengths": list(array.spacing) if array.spacing else None,
        "positions_sha256": _hash_tensor(array.positions.double()),
        "port_slants_deg": [math.degrees(slant) for slant in array.slants],
        "pattern": describe_pattern(array.pattern),
        "orientation_rad": {"users": len(orientation), "sha256": _hash_tensor(orientation)}
        if radio.per_user
        else orientation.tolist(),
    }


def describe_pattern(pattern: Pattern) -> dict[str, Any]:
    """Describe a pattern by its class and parameters; tables of a measured pattern by their SHA-256.

    The name of a measured pattern is left out: it is often a path on somebody's disk.

    Raises:
        SiteTwinError: The pattern is no dataclass of numbers, texts and tensors.
    """
    kind = type(pattern).__name__
    if not is_dataclass(pattern):
        raise SiteTwinError(f"antenna pattern {kind} cannot be described in a file; make its class a dataclass")
    facts: dict[str, Any] = {"kind": kind}
    for field in fields(pattern):
        value = getattr(pattern, field.name)
        if isinstance(value, Tensor):
            facts[f"{field.name}_sha256"] = _hash_tensor(value)
        elif value is None or isinstance(value, bool | int | float):
            facts[field.name] = value
        elif not isinstance(value, str):
            raise SiteTwinError(
                f"antenna pattern {kind} cannot be described in a file: its '{field.name}' is a "
                f"{type(value).__name__}; use numbers and tensors"
            )
        elif field.name != "name":
            facts[field.name] = value
    return facts


def _hash_tensor(tensor: Tensor) -> str:
    """SHA-256 over shape and little-endian values."""
    values = tensor.detach().cpu().numpy()
    little = values.astype(values.dtype.newbyteorder("<"))
    return hashlib.sha256(str(values.shape).encode() + little.tobytes()).hexdigest()
