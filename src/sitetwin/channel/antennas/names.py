"""Arrays and patterns by name, as the command line spells them."""

from __future__ import annotations

import math
from pathlib import Path

from sitetwin.channel.antennas.arrays import POLARISATIONS, AntennaArray
from sitetwin.channel.antennas.pattern_files import load_pattern
from sitetwin.channel.antennas.patterns import Pattern, antenna_pattern
from sitetwin.errors import SiteTwinError

MOST_ELEMENTS = 4096
"""Element positions of an array that is given by its name: the distances between all pairs are taken."""

FORMS = "single, ula:32 or upa:8x8, with a polarisation where it is not V (upa:8x8:VH)"


def named_array(text: str, pattern: str | Pattern = "iso", polarisation: str | None = None) -> AntennaArray:
    """Make a uniform array with half-wave spacing from its name.

    Args:
        text: "single", "ula:N" (N columns along local +y) or "upa:RxC" (rows by columns), each with an optional ":V",
            ":H", ":VH" or ":cross" for the polarisation; V by default.
        pattern: Name or pattern of the element.
        polarisation: Polarisation that replaces the one in the name.

    Raises:
        SiteTwinError: The name has another form, a count below 1, or an unknown polarisation or pattern, or two
            polarisations are given.
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
    if words and polarisation is not None:
        raise SiteTwinError(f"antenna array '{text}' names a polarisation and '{polarisation}' is given too; give one")
    wanted = words[0] if words else polarisation or "V"
    polarisation = {name.lower(): name for name in POLARISATIONS}.get(wanted.lower(), wanted)
    return AntennaArray.upa(int(counts[0]), int(counts[1]), pattern=pattern, polarisation=polarisation)


def named_pattern(text: str) -> Pattern:
    """Make a pattern from its name, or from a file if the text has an ending or a slash.

    Raises:
        SiteTwinError: The name is unknown, the file cannot be read, or its gain is absurd.
    """
    if Path(text).suffix == "" and "/" not in text:
        return antenna_pattern(text)
    return load_pattern(text)
