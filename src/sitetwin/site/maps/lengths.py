"""Numbers in the words of a map: lengths and counts."""

from __future__ import annotations

import math


def parse_length(text: str) -> float | None:
    """Metres of a plain number ("12", "12.5 m"), or None."""
    return parse_count(text.strip().removesuffix("m"))


def parse_count(text: str) -> float | None:
    """A finite plain number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
