"""Radios in words: arrays by name, and radios as facts that a file can hold."""

from __future__ import annotations

import hashlib
import math
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sitetwin.channel.antennas.arrays import POLARISATIONS, AntennaArray, Radio
from sitetwin.channel.antennas.pattern_files import load_pattern
from sitetwin.channel.antennas.patterns import Pattern, antenna_pattern
from sitetwin.errors import SiteTwinError

MOST_ELEMENTS = 4096
"""Element positions of an array that is given by its name: the distances between all pairs are taken."""

HIGHEST_GAIN_DBI = 100.0
"""Of a pattern from a file."""

FORMS = "single, ula:32 or upa:8x8, with a polarisation where it is not V (upa:8x8:VH)"


def named_array(text: str, pattern: str | Pattern = "iso") -> AntennaArray:
    """A uniform array with half-wave spacing by its name.

    Args:
        text: "single", "ula:N" (N columns along local +y) or "upa:RxC" (rows by columns), each with an optional ":V",
            ":H", ":VH" or ":cross" for the polarisation; V by default.
        pattern: Name or pattern of the element.

    Raises:
        SiteTwinError: The name has another form, a count below 1, or an unknown polarisation or pattern.
    """
    kind, *words = text.strip().split(":")
    sizes = "1x1" if kind == "single" else words.pop(0) if words else ""
    sizes = f"1x{sizes}" if kind == "ula" else sizes
    counts = sizes.split("x")
    plain = len(counts) == 2 and all(count.isascii() and count.isdigit() for count in counts)
    if kind not in ("single", "ula", "upa") or len(words) > 1 or not plain:
        raise SiteTwinError(f"antenna array '{text}' is not understood; write {FORMS}")
    if math.prod(int(count) for count in counts) > MOST_ELEMENTS:
        raise SiteTwinError(f"antenna array '{text}' is too large; give at most {MOST_ELEMENTS} elements")
    polarisation = {name.lower(): name for name in POLARISATIONS}.get(words[0].lower(), words[0]) if words else "V"
    return AntennaArray.upa(int(counts[0]), int(counts[1]), pattern=pattern, polarisation=polarisation)


def named_pattern(text: str) -> Pattern:
    """A pattern by its name, or from a file where the text has an ending or a slash.

    Raises:
        SiteTwinError: The name is unknown, the file cannot be read, or its gain is absurd.
    """
    if Path(text).suffix == "" and "/" not in text:
        return antenna_pattern(text)
    pattern = load_pattern(text)
    peak = float(pattern.gain_db.max())
    if peak > HIGHEST_GAIN_DBI:
        raise SiteTwinError(
            f"antenna pattern {text} has a peak of {peak:g} dBi, more than {HIGHEST_GAIN_DBI:g} dBi; "
            "check its gains and their unit"
        )
    return pattern


def describe_radio(radio: Radio) -> dict[str, Any]:
    """What a radio is, JSON-serialisable: equal descriptions mean equal radios.

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
    """Class and parameters of a pattern; tables of a measured one by their SHA-256.

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
