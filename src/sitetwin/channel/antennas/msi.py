"""Patterns from Planet files (.msi, .pln): a gain, and attenuations over two cuts.

Source: "MSI", the definition of the format at radiomobile.pe1mew.nl. What vendors write beside it is read where it has
one meaning: units before or behind the gain, decimal commas, blank lines, a repeated end of the circle, angles from
-180 to 180, other steps, and columns of gains relative to the peak in place of attenuations.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass, field
from typing import NoReturn

import torch
from torch import Tensor

from sitetwin.channel.antennas.pattern_text import number
from sitetwin.channel.antennas.patterns import SampledPattern
from sitetwin.errors import SiteTwinError, SiteTwinWarning

DIPOLE_GAIN_DB = 2.15
"""dBd to dBi."""

_CUT = 360
_CUTS = ("HORIZONTAL", "VERTICAL")
_ROWS = (12, 36_000)  # least and most of a cut
_WIDEST_GAP = 30.0  # degrees between rows
_DEEPEST_LOSS = 100.0  # dB; no antenna range sees a deeper null
_LEVEL = 0.5  # dB that a column may pass the peak by, where measured columns are set against a nominal gain
_OFF_PEAK = 3.0  # dB; the cuts must come as near to the peak as this, and to each other ahead
_TILT_APART = 2.0  # degrees between the tilt that is named and that of the vertical cut

_SECTION = re.compile(r"(HORIZONTAL|VERTICAL)\s*[:=]?\s*(\d*)", re.IGNORECASE)
_GAIN = re.compile(r"GAIN\b\s*[:=]?(.*)", re.IGNORECASE)
_TILT = re.compile(r"(?:ELECTRICAL_TILT|TILT)\b(.*)", re.IGNORECASE)
_ROW = re.compile(r"[-+.,]?\d")
_NUMBER = r"[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)"
_UNIT_FIRST = re.compile(rf"[(\[]?\s*(dB\w*)\s*[)\]]?\s*[:=]?\s*({_NUMBER})\s*", re.IGNORECASE)
_UNIT_LAST = re.compile(rf"({_NUMBER})\s*[(\[]?\s*(dB\w*)?\s*[)\]]?\s*(.*)", re.IGNORECASE)
_TOLERANCE = re.compile(rf"(?:\+/-|\+-|\u00b1)\s*{_NUMBER}\s*(?:dB\b)?", re.IGNORECASE)


@dataclass
class _Cut:
    """Rows of one cut: degrees as they stand in the file, and what stands beside them in dB."""

    announced: int | None
    angles: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


def parse_msi(text: str, name: str = "msi") -> SampledPattern:
    """A pattern from the text of an MSI Planet file.

    The two cuts hold attenuations below the peak: HORIZONTAL over azimuth, VERTICAL over the elevation angle counted
    from boresight downwards (90 is the nadir, 270 the zenith). Azimuth is taken counter-clockwise here and clockwise
    in the file. Columns without a positive value are gains relative to the peak and are turned around, with a
    `SiteTwinWarning`; a gain without a unit is in dBd, as the format has it, with another.

    Between the cuts the usual planning-tool summation with a weight for the rear is used: ahead of the antenna the
    losses of the front vertical cut and of the horizontal cut add up; behind it the vertical cut of the back is blended
    in by azimuth, so that both cuts are returned exactly. No direction gets more than the best one of the cuts::

        L(theta, phi) = L_H(phi) - [(1 - w) L_H(0) + w L_H(180)] + (1 - w) L_V(front) + w L_V(back),  w = |phi| / 180.

    Raises:
        SiteTwinError: A section is missing, a number malformed, the file is cut short, or it describes no antenna:
            columns of both signs, attenuations above 100 dB, cuts that stay away from the peak or contradict each
            other, or a named tilt that the vertical cut has upside down.
    """
    gain_db: float | None = None
    named = True
    cuts: dict[str, _Cut] = {}
    current: _Cut | None = None
    tilt: float | None = None
    for at, line in enumerate(text.splitlines(), start=1):
        where, line = f"{name}, line {at}", line.strip()
        if not line:
            continue
        if current is not None and _ROW.match(line):
            _read_row(current, line, where)
            continue
        current = None
        if section := _SECTION.fullmatch(line):
            current = _begin_cut(cuts, section[1].upper(), section[2], where)
        elif gain := _GAIN.match(line):
            value, named = _read_gain(gain[1].strip(), where)
            if gain_db is not None and value != gain_db:
                raise SiteTwinError(f"{where}: GAIN is given before with another value; keep one")
            gain_db = value
        elif said := _TILT.match(line):
            tilt = _named_tilt(said[1]) if _named_tilt(said[1]) is not None else tilt
    for key in _CUTS:
        if key not in cuts:
            raise SiteTwinError(f"{name}: the {key} cut is missing; an .msi file needs HORIZONTAL and VERTICAL")
    if gain_db is None:
        raise SiteTwinError(f"{name}: the GAIN line is missing; add for instance 'GAIN 17.5 dBi'")
    losses = [_around(cuts[key], key, name) for key in _CUTS]
    horizontal, vertical = _as_losses(losses, gain_db, name)
    _check_tilt(vertical, tilt, name)
    if not named:
        warnings.warn(
            f"{name}: GAIN has no unit and counts in dBd, as the format has it ({gain_db:g} dBi); write the unit too",
            SiteTwinWarning,
            stacklevel=2,
        )
    return _from_cuts(gain_db, horizontal, vertical, name)


def _begin_cut(cuts: dict[str, _Cut], key: str, count: str, where: str) -> _Cut:
    if key in cuts:
        raise SiteTwinError(f"{where}: a second {key} cut; keep one")
    if count and not _ROWS[0] <= int(count) <= _ROWS[1]:
        raise SiteTwinError(f"{where}: {key} announces {count} rows; a cut has {_ROWS[0]} to {_ROWS[1]}")
    cuts[key] = _Cut(int(count) if count else None)
    return cuts[key]


def _read_row(cut: _Cut, line: str, where: str) -> None:
    """An angle and an attenuation, with spaces, tabs, semicolons or commas between, and decimal points or commas."""
    words = [word.strip(",") for word in re.split(r"[\s;]+", line) if word.strip(",")]
    if len(words) == 1:
        parts = words[0].split(",")
        words = [f"{parts[0]}.{parts[1]}", f"{parts[2]}.{parts[3]}"] if len(parts) == 4 else parts
    if len(words) != 2:
        raise SiteTwinError(f"{where}: expected an angle and an attenuation in dB, found '{line[:40]}'")
    if len(cut.angles) >= _ROWS[1]:
        raise SiteTwinError(f"{where}: more than {_ROWS[1]} rows in a cut; thin them out")
    cut.angles.append(number(words[0], where))
    cut.values.append(number(words[1], where))


def _read_gain(text: str, where: str) -> tuple[float, bool]:
    """Peak gain in dBi from what follows GAIN, in dBd unless it says dBi, and whether it names a unit."""
    if not text:
        raise SiteTwinError(f"{where}: GAIN has no value; write for instance 'GAIN 17.5 dBi'")
    plain = _TOLERANCE.sub("", text)
    if first := _UNIT_FIRST.fullmatch(plain):
        value_text, unit, rest = first[2], first[1], ""
    elif last := _UNIT_LAST.fullmatch(plain):
        value_text, unit, rest = last[1], last[2] or "", last[3]
    else:
        number(text.split()[0], where)
        raise SiteTwinError(f"{where}: GAIN '{text[:40]}' is not understood; write for instance 'GAIN 17.5 dBi'")
    value = number(value_text, where)
    if re.search(r"\d", rest):
        raise SiteTwinError(f"{where}: GAIN '{text[:40]}' holds several numbers; keep the one of this pattern, in dBi")
    if unit.lower() not in ("dbi", "dbd") and (unit or rest):
        raise SiteTwinError(f"{where}: the unit of GAIN is '{(unit or rest)[:40]}'; only dBi and dBd are known")
    return (value if unit.lower() == "dbi" else value + DIPOLE_GAIN_DB), bool(unit)


def _named_tilt(text: str) -> float | None:
    """Electrical downtilt in degrees, if one is named."""
    found = re.search(_NUMBER, text)
    return None if found is None or "MECH" in text.upper() else number(found[0].rstrip(".,"), "TILT")


def _around(cut: _Cut, key: str, name: str) -> Tensor:
    """(360,) dB at whole degrees, linear between the rows."""
    if cut.announced is not None and len(cut.angles) < cut.announced:
        raise SiteTwinError(
            f"{name}: {key} promises {cut.announced} rows but {len(cut.angles)} follow; the file is cut short"
        )
    seen: dict[float, tuple[float, float]] = {}
    for angle, value in zip(cut.angles, cut.values, strict=True):
        raw, known = seen.setdefault(angle % 360.0 % 360.0, (angle, value))  # twice: -1e-17 % 360 is 360
        if (raw, known) != (angle, value) and (raw == angle or abs(known - value) > _LEVEL):
            _refuse_angles(cut, key, name)
    grid = sorted(seen)
    doubled = len(set(cut.angles)) < len(cut.angles)
    if doubled or not grid or max(b - a for a, b in zip(grid, [*grid[1:], grid[0] + 360.0], strict=True)) > _WIDEST_GAP:
        _refuse_angles(cut, key, name)
    known_values = torch.tensor([seen[angle][1] for angle in grid], dtype=torch.float64)
    return _interpolate_circle(torch.tensor(grid, dtype=torch.float64), known_values)


def _refuse_angles(cut: _Cut, key: str, name: str) -> NoReturn:
    steps = {round(b - a, 6) for a, b in zip(cut.values, cut.values[1:], strict=False)}
    swapped = len(cut.values) > 1 and len(steps) == 1 and steps.pop() != 0
    why = "; the columns seem to be swapped: the angle comes first" if swapped else ""
    raise SiteTwinError(f"{name}: {key} must list each angle once and leave no gap above {_WIDEST_GAP:g} degrees{why}")


def _interpolate_circle(angles: Tensor, values: Tensor) -> Tensor:
    """(360,) linear interpolation at whole degrees."""
    angles = torch.cat([angles[-1:] - 360, angles, angles[:1] + 360])
    values = torch.cat([values[-1:], values, values[:1]])
    wanted = torch.arange(_CUT, dtype=torch.float64)
    lower = (torch.searchsorted(angles, wanted, right=True) - 1).clamp(0, len(angles) - 2)
    share = (wanted - angles[lower]) / (angles[lower + 1] - angles[lower])
    return values[lower] + share * (values[lower + 1] - values[lower])


def _as_losses(cuts: list[Tensor], gain_db: float, name: str) -> list[Tensor]:
    """The cuts as attenuations below the peak, whichever sign the file has; checked for sense."""
    least, most = min(float(cut.min()) for cut in cuts), max(float(cut.max()) for cut in cuts)
    if most <= 0 > least or (most <= _LEVEL and least < -_LEVEL):
        warnings.warn(
            f"{name}: the columns hold no attenuations but gains relative to the peak (0 to {least:g} dB); they are "
            "turned around",
            SiteTwinWarning,
            stacklevel=3,
        )
        cuts, least, most = [-cut for cut in cuts], -most, -least
    if least < -_LEVEL:
        raise SiteTwinError(
            f"{name}: the columns hold values of both signs ({least:g} to {most:g} dB), so that they are neither "
            "attenuations below the peak nor gains relative to it; write attenuations, 0 at the peak"
        )
    if most > _DEEPEST_LOSS:
        raise SiteTwinError(
            f"{name}: an attenuation of {most:g} dB cannot be; write at most {_DEEPEST_LOSS:g} dB, also for a null"
        )
    _check_peak(cuts, gain_db, least, name)
    return cuts


def _check_peak(cuts: list[Tensor], gain_db: float, least: float, name: str) -> None:
    """Refuse columns that are not relative to the peak, or not to the same one."""
    stated = (gain_db, gain_db - DIPOLE_GAIN_DB)
    absolute = all(
        float(cut[0]) == float(cut.max()) > float(cut.min()) and min(abs(float(cut[0]) - s) for s in stated) < 0.05
        for cut in cuts
    )
    if absolute or least > _OFF_PEAK:
        raise SiteTwinError(
            f"{name}: the columns are no attenuations below the peak, which has 0 (the least is {least:g} dB); if they "
            "hold gains in dBi, write GAIN less each of them"
        )
    horizontal, vertical = (float(cut[0]) for cut in cuts)
    if horizontal > vertical + _OFF_PEAK:
        raise SiteTwinError(
            f"{name}: at 0 degrees HORIZONTAL is {horizontal:g} dB below the peak and VERTICAL {vertical:g} dB; "
            "VERTICAL must be the cut at azimuth 0: turn the angles of HORIZONTAL until the beam stands at 0"
        )


def _check_tilt(vertical: Tensor, tilt: float | None, name: str) -> None:
    """Compare a named downtilt with that of the vertical cut, which counts downwards."""
    if tilt is None or not _TILT_APART < abs(tilt) <= 90:
        return
    front = vertical[torch.arange(-90, 91) % _CUT]
    best = torch.nonzero(front <= front.min() + 0.01).flatten().double() - 90
    peak = float(best.mean())
    if abs(abs(tilt) - peak) <= _TILT_APART or abs(tilt - peak) <= _TILT_APART:
        return
    if abs(tilt + peak) <= _TILT_APART:
        raise SiteTwinError(
            f"{name}: the file names a downtilt of {tilt:g} degrees, but VERTICAL peaks {-peak:g} degrees above the "
            "horizon (its angles count downwards, 90 is the nadir); write 360 less each angle of VERTICAL"
        )
    warnings.warn(
        f"{name}: the file names a tilt of {tilt:g} degrees, but VERTICAL peaks {peak:g} degrees below the horizon; "
        "the columns are used as they stand",
        SiteTwinWarning,
        stacklevel=3,
    )


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
    least = torch.minimum(horizontal.min(), vertical.min())
    radians = math.pi / 180
    return SampledPattern(
        theta=torch.arange(181, dtype=torch.float64) * radians,
        phi=azimuth.double() * radians,
        gain_db=gain_db - loss.clamp_min(float(least)),
        name=name,
    )
