"""Lengths as map makers write them."""

from __future__ import annotations

import re

_LENGTH = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s*(m|cm|ft|')?\s*", re.ASCII)
_UNITS = {"m": 1.0, "cm": 0.01, "ft": 0.3048, "'": 0.3048}


def parse_length(text: str) -> float | None:
    """Metres, or None for what cannot be read."""
    match = _LENGTH.fullmatch(text[:40])
    return float(match[1].replace(",", ".")) * _UNITS[match[2] or "m"] if match else None
