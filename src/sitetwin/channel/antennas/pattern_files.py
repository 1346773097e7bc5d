"""Measured antenna patterns from files: .msi (also .pln) cuts and CSV grids."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from sitetwin.channel.antennas.msi import parse_msi
from sitetwin.channel.antennas.pattern_text import number, read_text
from sitetwin.channel.antennas.patterns import SampledPattern, mean_gain
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.untrusted import parse_table

HIGHEST_GAIN_DBI = 100.0
"""Largest gain that a pattern from a file may have."""

_LONGEST_LINE = 10_000  # characters of a CSV file
_MORE_THAN_FED = 10.0  # dB beyond what it gets; two cuts tell the rest of the sphere only roughly
_WRONG_NAMES = (
    re.compile(r"^(?:phi|az|elev)"),
    re.compile(r"^(?:theta|zen|elev)"),
    re.compile(r"loss|atten|dbd|dbm|dbu|lin|power|phase|watt"),
    re.compile(r"gain|db|mag|abs|amp|dir|real|imag"),
)
"""By column, names that say that it holds something else than theta, phi, gain and phase."""


def load_pattern(path: str | Path) -> SampledPattern:
    """Read a measured pattern by the ending of its file name: .msi or .pln (two cuts), .csv (grid).

    Files of two cuts are known by their GAIN, HORIZONTAL and VERTICAL lines under the endings .txt and .prn too.

    Raises:
        SiteTwinError: The file is missing, unreadable, of another kind, or malformed, or its gain is above 100 dBi.
    """
    path = Path(path)
    text = read_text(path)
    ending = path.suffix.lower()
    if ending in (".msi", ".pln") or (ending in (".txt", ".prn") and _has_cuts(text)):
        pattern = parse_msi(text, str(path))
    elif ending == ".csv":
        pattern = parse_csv(text, str(path))
    else:
        raise SiteTwinError(f"antenna pattern {path}: ending '{ending}' is unknown; give a .msi, .pln or .csv file")
    _check_gain(pattern, path)
    return pattern


def _has_cuts(text: str) -> bool:
    starts = {words[0].upper() for line in text.splitlines() if (words := line.split(maxsplit=1))}
    return {"GAIN", "HORIZONTAL", "VERTICAL"} <= starts


def _check_gain(pattern: SampledPattern, path: Path) -> None:
    """Refuse an absurd gain, and say so if the antenna radiates more than it gets."""
    peak, least = float(pattern.gain_db.max()), float(pattern.gain_db.min())
    if peak > HIGHEST_GAIN_DBI:
        raise SiteTwinError(
            f"antenna pattern {path} has a peak of {peak:g} dBi, more than {HIGHEST_GAIN_DBI:g} dBi; "
            "check its gains and their unit"
        )
    if peak == least:
        return  # no beam is described that the gain could be compared with
    radiated_db = 10 * math.log10(mean_gain(pattern, 90))
    if radiated_db > _MORE_THAN_FED:
        warnings.warn(
            f"antenna pattern {path} radiates {radiated_db:.0f} dB more than it is fed: its peak of {peak:g} dBi does "
            "not go with the width of its beam; check the gain and its unit",
            SiteTwinWarning,
            stacklevel=3,
        )


def parse_csv(text: str, name: str = "csv") -> SampledPattern:
    """A pattern from CSV rows: theta, phi in degrees, gain in dBi and, if there is a fourth column, phase in degrees.

    The rows must fill a grid: the same azimuths for each zenith, zenith from 0 to 180, azimuth around the whole circle
    (0 to 360 exclusive, -180 to 180, or with the end repeated). A heading line is optional. Columns may be separated by
    commas, or by semicolons, tabs or spaces, with decimal points or commas then.

    Raises:
        SiteTwinError: A row is malformed, missing or doubled, the heading names other columns or another order, or the
            grid does not cover the sphere.
    """
    rows: dict[tuple[float, float], tuple[float, float]] = {}
    width = 0
    lines = text.splitlines()
    if any(len(line) > _LONGEST_LINE for line in lines):
        raise SiteTwinError(
            f"{name} has a line of more than {_LONGEST_LINE} characters; give theta, phi, gain [, phase]"
        )
    for at, words in _split(lines, name):
        where = f"{name}, line {at}"
        if not rows and not width and not _is_number(words[0]):
            _check_heading(words, where)
            continue
        width = width or len(words)
        if len(words) != width or width not in (3, 4):
            raise SiteTwinError(f"{where}: expected theta, phi, gain [, phase], found {len(words)} columns")
        theta, phi, gain, *phase = (number(w, where) for w in words)
        if not 0 <= theta <= 180 or not -360 <= phi <= 360:
            raise SiteTwinError(f"{where}: theta {theta:g} must lie in 0..180 and phi {phi:g} in -360..360 degrees")
        value = (gain, phase[0] if phase else 0.0)
        place = (round(theta, 6), round(phi % 360.0, 6) % 360.0)
        if place in rows and max(abs(a - b) for a, b in zip(rows[place], value, strict=True)) > 1e-6:
            raise SiteTwinError(f"{where}: direction theta {theta:g}, phi {phi:g} was given before with another value")
        rows[place] = value
    return _from_rows(rows, width == 4, name)


def _split(lines: list[str], name: str) -> Iterator[tuple[int, list[str]]]:
    """Number and words of each line that is no comment and not empty; the first line of numbers tells the separator."""
    told = next((line for line in lines if re.match(r"\s*[-+.,]?\d", line)), "")
    separator = next((mark for mark in ";\t," if mark in told), " ")
    if separator == "," and " " in told.strip() and not re.search(r",\s|\s,", told):
        separator = " "  # decimal commas between spaces
    for at, words in enumerate(parse_table("\n".join(lines), name, separator=separator), start=1):
        words = [word.strip() for word in words if separator != " " or word.strip()]
        if words and "".join(words) and not words[0].startswith("#"):
            yield at, words


def _check_heading(words: list[str], where: str) -> None:
    """Refuse a heading whose names say that the columns are others, or in another order."""
    for word, wrong in zip(words, _WRONG_NAMES, strict=False):
        if wrong.search(word.lower().strip("\"' ")):
            raise SiteTwinError(
                f"{where}: a column is named '{word[:40]}'; give theta (zenith), phi (azimuth) in degrees, gain in dBi "
                "and, where there is a fourth, phase in degrees, in this order"
            )


def _is_number(text: str) -> bool:
    try:
        number(text, "")
    except SiteTwinError:
        return False
    return True


def _from_rows(rows: dict[tuple[float, float], tuple[float, float]], phased: bool, name: str) -> SampledPattern:
    """Check that the rows fill a grid over the sphere and lay them out."""
    thetas, phis = sorted({t for t, _ in rows}), sorted({p for _, p in rows})
    if len(thetas) < 2 or thetas[0] != 0 or thetas[-1] != 180:
        raise SiteTwinError(f"{name}: zenith angles must run from 0 to 180 degrees")
    if max(b - a for a, b in zip(phis, [*phis[1:], phis[0] + 360.0], strict=True)) > 90:
        raise SiteTwinError(f"{name}: azimuth angles must go around the whole circle with no gap above 90 degrees")
    missing = next(((t, p) for t in thetas for p in phis if (t, p) not in rows), None)
    if missing is not None:
        raise SiteTwinError(f"{name}: no row for theta {missing[0]:g}, phi {missing[1]:g}; the grid must be filled")
    table = torch.tensor([[rows[t, p] for p in phis] for t in thetas], dtype=torch.float64)
    return SampledPattern(
        theta=torch.deg2rad(torch.tensor(thetas, dtype=torch.float64)),
        phi=torch.deg2rad(torch.tensor(phis, dtype=torch.float64)),
        gain_db=table[..., 0],
        phase=torch.deg2rad(table[..., 1]) if phased else None,
        name=name,
    )


def write_csv(pattern: SampledPattern) -> str:
    """The CSV text of a sampled pattern, as `parse_csv` reads it."""
    heading = "theta_deg,phi_deg,gain_dbi" + (",phase_deg" if pattern.phase is not None else "")
    lines = [heading]
    for a, theta in enumerate(torch.rad2deg(pattern.theta).tolist()):
        for b, phi in enumerate(torch.rad2deg(pattern.phi).tolist()):
            row = [theta, phi, float(pattern.gain_db[a, b])]
            if pattern.phase is not None:
                row.append(math.degrees(float(pattern.phase[a, b])))
            lines.append(",".join(f"{value:.9g}" for value in row))
    return "\n".join(lines) + "\n"
