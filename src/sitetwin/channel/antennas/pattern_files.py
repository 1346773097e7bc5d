"""Measured antenna patterns from files: .msi (also .pln) cuts and CSV grids."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import torch
from torch import Tensor

from sitetwin.channel.antennas.patterns import SampledPattern
from sitetwin.errors import SiteTwinError

DIPOLE_GAIN_DB = 2.15
"""dBd to dBi."""

_CUT = 360


_LONGEST_LINE = 10_000  # characters of a CSV file


def load_pattern(path: str | Path) -> SampledPattern:
    """Read a measured pattern by the ending of its file name: .msi or .pln (two cuts), .csv (grid).

    Raises:
        SiteTwinError: The file is missing, unreadable, of another kind, or malformed.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig", errors="strict")
    except (OSError, UnicodeDecodeError) as error:
        raise SiteTwinError(f"antenna pattern {path} cannot be read: {error}") from error
    ending = path.suffix.lower()
    if ending in (".msi", ".pln"):
        return parse_msi(text, str(path))
    if ending == ".csv":
        return parse_csv(text, str(path))
    raise SiteTwinError(f"antenna pattern {path}: ending '{ending}' is unknown; give a .msi, .pln or .csv file")


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise SiteTwinError(f"{where}: '{text}' is not a number") from None
    if not math.isfinite(value):
        raise SiteTwinError(f"{where}: '{text}' is not finite")
    return value


def _msi_gain(words: list[str], where: str) -> float:
    """Peak gain in dBi from a GAIN line: dBd unless it says dBi (the format's custom)."""
    if not words:
        raise SiteTwinError(f"{where}: GAIN has no value; write for instance 'GAIN 17.5 dBi'")
    unit = words[1].lower() if len(words) > 1 else "dbd"
    value_text = words[0]
    for suffix in ("dbi", "dbd"):
        if value_text.lower().endswith(suffix):
            value_text, unit = value_text[: -len(suffix)], suffix
    if unit not in ("dbi", "dbd"):
        raise SiteTwinError(f"{where}: the unit of GAIN is '{words[1]}'; only dBi and dBd are known")
    return _number(value_text, where) + (DIPOLE_GAIN_DB if unit == "dbd" else 0.0)


def _msi_cut(lines: list[tuple[int, str]], count: int, name: str, cut: str) -> Tensor:
    """(360,) attenuation in dB at whole degrees, from `count` lines of angle and attenuation."""
    if len(lines) < count:
        raise SiteTwinError(f"{name}: {cut} promises {count} rows but {len(lines)} follow; the file is cut short")
    angles, losses = [], []
    for number, line in lines[:count]:
        words = line.replace(",", " ").split()
        where = f"{name}, line {number}"
        if len(words) != 2:
            raise SiteTwinError(f"{where}: expected an angle and an attenuation in dB, found '{line.strip()}'")
        angles.append(_number(words[0], where) % 360.0)
        losses.append(_number(words[1], where))
    order = sorted(range(count), key=lambda i: angles[i])
    grid = [angles[i] for i in order]
    gaps = [b - a for a, b in zip(grid, [*grid[1:], grid[0] + 360.0], strict=True)]
    if min(gaps) <= 0 or max(gaps) > 30.0:
        raise SiteTwinError(f"{name}: {cut} must list each angle once and leave no gap above 30 degrees")
    known = torch.tensor([losses[i] for i in order], dtype=torch.float64)
    return _interpolate_circle(torch.tensor(grid, dtype=torch.float64), known)


def _interpolate_circle(angles: Tensor, values: Tensor) -> Tensor:
    """(360,) linear interpolation at whole degrees."""
    angles = torch.cat([angles[-1:] - 360, angles, angles[:1] + 360])
    values = torch.cat([values[-1:], values, values[:1]])
    wanted = torch.arange(_CUT, dtype=torch.float64)
    lower = (torch.searchsorted(angles, wanted, right=True) - 1).clamp(0, len(angles) - 2)
    share = (wanted - angles[lower]) / (angles[lower + 1] - angles[lower])
    return values[lower] + share * (values[lower + 1] - values[lower])


def parse_msi(text: str, name: str = "msi") -> SampledPattern:
    """A pattern from the text of an MSI Planet file.

    The two cuts hold attenuations below the peak: HORIZONTAL over azimuth, VERTICAL over the elevation angle counted
    from boresight downwards (90 is the nadir, 270 the zenith). Azimuth is taken counter-clockwise here and clockwise
    in the file. Between the cuts the usual planning-tool summation with a weight for the rear is used: ahead of the
    antenna the losses of the front vertical cut and of the horizontal cut add up; behind it the vertical cut of the
    back is blended in by azimuth, so that both cuts are returned exactly::

        L(theta, phi) = L_H(phi) - [(1 - w) L_H(0) + w L_H(180)] + (1 - w) L_V(front) + w L_V(back),  w = |phi| / 180.

    Raises:
        SiteTwinError: A section is missing, a number malformed, or the file is cut short.
    """
    gain_db, cuts = None, {}
    lines = list(enumerate(text.splitlines(), start=1))
    at = 0
    while at < len(lines):
        number, line = lines[at]
        words = line.split()
        at += 1
        key = words[0].upper() if words else ""
        where = f"{name}, line {number}"
        if key == "GAIN":
            gain_db = _msi_gain(words[1:], where)
        elif key in ("HORIZONTAL", "VERTICAL"):
            count = int(_number(words[1], where)) if len(words) > 1 else _CUT
            if not 12 <= count <= 36000:
                raise SiteTwinError(f"{where}: {key} announces {count} rows; a cut has 12 to 36000")
            cuts[key] = _msi_cut(lines[at:], count, name, key)
            at += count
    for key in ("HORIZONTAL", "VERTICAL"):
        if key not in cuts:
            raise SiteTwinError(f"{name}: the {key} cut is missing; an .msi file needs HORIZONTAL and VERTICAL")
    if gain_db is None:
        raise SiteTwinError(f"{name}: the GAIN line is missing; add for instance 'GAIN 17.5 dBi'")
    return _from_cuts(gain_db, cuts["HORIZONTAL"], cuts["VERTICAL"], name)


def _from_cuts(gain_db: float, horizontal: Tensor, vertical: Tensor, name: str) -> SampledPattern:
    """Gain over the sphere at whole degrees from the two cuts of attenuation."""
    azimuth = torch.arange(_CUT)
    elevation_down = torch.arange(181) - 90  # theta - 90 degrees
    around = horizontal[(-azimuth) % _CUT]  # clockwise in the file, counter-clockwise here
    rear = torch.minimum(azimuth, _CUT - azimuth).double() / 180
    front_cut = vertical[elevation_down % _CUT]
    back_cut = vertical[(180 - elevation_down) % _CUT]
    reference = (1 - rear) * horizontal[0] + rear * horizontal[180]
    loss = (around - reference)[None, :] + front_cut[:, None] * (1 - rear)[None, :] + back_cut[:, None] * rear[None, :]
    radians = math.pi / 180
    return SampledPattern(
        theta=torch.arange(181, dtype=torch.float64) * radians,
        phi=azimuth.double() * radians,
        gain_db=gain_db - loss,
        name=name,
    )


def parse_csv(text: str, name: str = "csv") -> SampledPattern:
    """A pattern from CSV rows: theta, phi in degrees, gain in dBi and, if there is a fourth column, phase in degrees.

    The rows must fill a grid: the same azimuths for each zenith, zenith from 0 to 180, azimuth around the whole circle
    (0 to 360 exclusive, -180 to 180, or with the end repeated). A heading line is optional.

    Raises:
        SiteTwinError: A row is malformed, missing or doubled, or the grid does not cover the sphere.
    """
    rows: dict[tuple[float, float], tuple[float, float]] = {}
    width = 0
    lines = text.splitlines()
    if any(len(line) > _LONGEST_LINE for line in lines):
        raise SiteTwinError(
            f"{name} has a line of more than {_LONGEST_LINE} characters; give theta, phi, gain [, phase]"
        )
    for number, words in enumerate(csv.reader(lines), start=1):
        where = f"{name}, line {number}"
        if not words or not "".join(words).strip() or words[0].lstrip().startswith("#"):
            continue
        if not rows and not width and not _is_number(words[0]):
            continue
        width = width or len(words)
        if len(words) != width or width not in (3, 4):
            raise SiteTwinError(f"{where}: expected theta, phi, gain [, phase], found {len(words)} columns")
        theta, phi, gain, *phase = (_number(w, where) for w in words)
        if not 0 <= theta <= 180 or not -360 <= phi <= 360:
            raise SiteTwinError(f"{where}: theta {theta:g} must lie in 0..180 and phi {phi:g} in -360..360 degrees")
        value = (gain, phase[0] if phase else 0.0)
        place = (round(theta, 6), round(phi % 360.0, 6) % 360.0)
        if place in rows and max(abs(a - b) for a, b in zip(rows[place], value, strict=True)) > 1e-6:
            raise SiteTwinError(f"{where}: direction theta {theta:g}, phi {phi:g} was given before with another value")
        rows[place] = value
    return _from_rows(rows, width == 4, name)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
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
