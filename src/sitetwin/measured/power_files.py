"""Tables of power that somebody measured along streets: one row for each reading.

A table (CSV) has a heading. Columns are known by their names, upper or lower case, in any order:

- power, dBm: ``power_dbm``, ``rsrp_dbm`` or ``rsrp``;
- place: ``latitude`` or ``lat`` and ``longitude``, ``lon`` or ``lng``, WGS84 degrees; or ``x_m``, ``y_m`` and, if
  known, ``z_m``, metres in the site's frame;
- cell: ``cell``, ``cell_id`` or ``pci``, any word; one cell by default;
- receiver: ``receiver``, ``device`` or ``phone``, any word; one receiver by default;
- carrier: ``carrier_hz``, ``carrier_mhz`` or ``carrier_ghz``.

Other columns are not read, and are named in the notes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Shaped

from sitetwin.errors import SiteTwinError
from sitetwin.hertz import CARRIERS_HZ
from sitetwin.measured.named_arrays import LARGEST_MEASUREMENT
from sitetwin.measured.plausible import check_degrees
from sitetwin.site.mesh import LARGEST_COORDINATE
from sitetwin.untrusted import read_table

_MEANINGS = {
    "power": {"power_dbm": 1.0, "rsrp_dbm": 1.0, "rsrp": 1.0},
    "latitude": {"latitude": 1.0, "lat": 1.0},
    "longitude": {"longitude": 1.0, "lon": 1.0, "lng": 1.0},
    "x": {"x_m": 1.0},
    "y": {"y_m": 1.0},
    "z": {"z_m": 1.0},
    "carrier": {"carrier_hz": 1.0, "carrier_mhz": 1e6, "carrier_ghz": 1e9},
    "cell": {"cell": 1.0, "cell_id": 1.0, "pci": 1.0},
    "receiver": {"receiver": 1.0, "device": 1.0, "phone": 1.0},
}
"""By meaning, the names of columns, and what numbers are multiplied with."""

UNNAMED_CELL = "cell"
"""Name of the cell in tables that name none."""

_WORDS = ("cell", "receiver")
_MEND = "see the reference of measured power"
_LONGEST_WORD = 64
_WEAKEST, _STRONGEST = -180.0, 30.0  # dBm
_MOST_WRONG = 0.5  # share of powers that are none, from which the column is no power
_FEWEST = 8  # powers of which a unit can be told
_INDEX = 127  # largest index that 3GPP TS 38.133 reports for RSRP
_NAMED = 8  # names in a sentence


def read_powers(path: Path | str) -> xr.Dataset:
    """Read measured power of a drive test from a ``.csv`` file.

    Args:
        path: The file.

    Returns:
        Along ``sample``: ``power`` float64, dBm; ``cell`` and ``receiver``, texts; ``latitude`` and ``longitude`` in
        degrees, or ``x``, ``y`` and perhaps ``z`` in metres of the site's frame; ``carrier``, Hz, NaN where unknown.
        Rows without a place or a power are left out: the attribute ``left_out`` counts them by reason, and ``notes``
        says what is not read. ``samples_in_the_file`` is their number before.

    Raises:
        SiteTwinError: The file is missing or damaged, lacks a column, has two columns of one meaning, powers that are
            no dBm, places that are no degrees, or no row that can be used.
    """
    where, what = Path(path), f"the measured powers '{path}'"
    if where.suffix.lower() != ".csv":
        raise SiteTwinError(f"{what} end in '{where.suffix}'; give a .csv file, apart by commas")
    rows = [row for row in read_table(where, what, LARGEST_MEASUREMENT) if row]
    if len(rows) < 2:
        raise SiteTwinError(f"{what} have no rows; {_MEND}")
    columns, unread = _columns(rows, what)
    values = {
        name: _words(cells, name, what) if name in _WORDS else _numbers(cells, _MEANINGS[name][title], title, what)
        for name, (title, cells) in columns.items()
    }
    placed = _placed(values, what)
    powered = _powered(values["power"], columns["power"][0], what, placed)
    named = np.ones(len(placed), dtype=bool)
    for name in _WORDS:
        if name in values:
            named &= values[name] != ""
    kept = placed & powered & named
    reasons = {
        "without a position": ~placed,
        "without a power that a receiver reports": placed & ~powered,
        "without the name of cell or receiver": placed & powered & ~named,
    }
    left_out = {reason: int(rows.sum()) for reason, rows in reasons.items() if rows.any()}
    if not kept.any():
        said = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise SiteTwinError(f"{what}: none of {len(kept)} rows can be used ({said}); check the file")
    return _as_dataset(values, kept, left_out, unread)


def _as_dataset(
    values: Mapping[str, np.ndarray], kept: np.ndarray, left_out: dict[str, int], unread: Sequence[str]
) -> xr.Dataset:
    count = int(kept.sum())
    found = {name: ("sample", column[kept]) for name, column in values.items()}
    found.setdefault("cell", ("sample", np.full(count, UNNAMED_CELL)))
    found.setdefault("receiver", ("sample", np.full(count, "receiver")))
    found.setdefault("carrier", ("sample", np.full(count, np.nan)))
    said = ", ".join(f"'{name[:40]}'" for name in unread[:_NAMED]) + (", ..." if len(unread) > _NAMED else "")
    notes = [f"columns that were not read: {said}"] if unread else []
    data = xr.Dataset(found, attrs={"left_out": left_out, "notes": notes, "samples_in_the_file": len(kept)})
    data["power"].attrs["units"] = "dBm"
    return data


def _columns(rows: list[list[str]], what: str) -> tuple[dict[str, tuple[str, list[str]]], list[str]]:
    """Title and cells of each column that has a meaning, and titles of the others."""
    heading = [cell.strip() for cell in rows[0]]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(heading):
            raise SiteTwinError(f"{what}: row {number} has {len(row)} cells, the heading {len(heading)}; mend the row")
    found: dict[str, tuple[str, list[str]]] = {}
    unread = []
    for at, title in enumerate(heading):
        meaning = next((name for name, titles in _MEANINGS.items() if title.lower() in titles), None)
        if meaning is None:
            unread.append(title)
        elif meaning in found:
            raise SiteTwinError(
                f"{what}: the columns '{found[meaning][0]}' and '{title}' both give the {meaning}; keep one"
            )
        else:
            found[meaning] = (title.lower(), [row[at].strip() for row in rows[1:]])
    if "power" not in found:
        raise SiteTwinError(
            f"{what} have no column of power among {', '.join(repr(t[:40]) for t in heading[:_NAMED])}; name it "
            f"{', '.join(_MEANINGS['power'])}"
        )
    there = [{"latitude", "longitude"} <= set(found), {"x", "y"} <= set(found)]
    if sum(there) != 1:
        said = "degrees and metres both" if all(there) else "no columns of position"
        raise SiteTwinError(f"{what} have {said}; give latitude and longitude, or x_m and y_m in the site's frame")
    for name in ("x", "y", "z") if there[0] else ("latitude", "longitude"):
        if name in found:
            unread.append(found.pop(name)[0])
    return found, unread


def _numbers(cells: list[str], scale: float, title: str, what: str) -> Float[np.ndarray, " rows"]:
    """Numbers of a column; NaN where a cell is empty."""
    try:
        return scale * np.array([cell or "nan" for cell in cells], dtype="U32").astype(np.float64)
    except ValueError as error:
        raise SiteTwinError(
            f"{what}: a cell of '{title}' is no number ({str(error)[:60]}); leave cells without a value empty"
        ) from error


def _words(cells: list[str], name: str, what: str) -> Shaped[np.ndarray, " rows"]:
    for number, cell in enumerate(cells, start=2):
        if len(cell) > _LONGEST_WORD or not (cell.isprintable() or not cell):
            raise SiteTwinError(
                f"{what}: row {number} names a {name} by more than {_LONGEST_WORD} characters, or by ones that cannot "
                "be printed; give a short name"
            )
    return np.array(cells)


def _placed(values: Mapping[str, np.ndarray], what: str) -> Bool[np.ndarray, " rows"]:
    """Which rows have a place. Receivers without a fix write (0, 0) degrees."""
    if "x" in values:
        plan = np.stack([values[name] for name in ("x", "y", "z") if name in values], axis=1)
        near = np.isfinite(plan).all(axis=1)
        if near.any() and (np.abs(plan[near]) > LARGEST_COORDINATE).any(axis=1).all():
            raise SiteTwinError(
                f"{what}: a position lies beyond {LARGEST_COORDINATE:g} m; are they metres of the site?"
            )
        return np.asarray(near & (np.abs(np.nan_to_num(plan)) <= LARGEST_COORDINATE).all(axis=1))
    globe = np.stack([values["latitude"], values["longitude"]], axis=1)
    with np.errstate(invalid="ignore"):
        fixed = np.isfinite(globe).all(axis=1) & (globe != 0).any(axis=1)
        there = fixed & (np.abs(globe) <= [90.0, 180.0]).all(axis=1)
    if fixed.any() and not there.any():
        raise SiteTwinError(
            f"{what}: no row has a latitude and longitude, such as ({globe[fixed][0, 0]:g}, {globe[fixed][0, 1]:g}); "
            "give WGS84 degrees"
        )
    check_degrees(globe[there])
    return np.asarray(there)


def _powered(
    power: Float[np.ndarray, " rows"], title: str, what: str, placed: Bool[np.ndarray, " rows"]
) -> Bool[np.ndarray, " rows"]:
    """Which rows have a power; a column whose numbers are mostly no dBm is refused."""
    with np.errstate(invalid="ignore"):
        fine = (power >= _WEAKEST) & (power <= _STRONGEST) & (power != 0)
    known = power[np.isfinite(power) & (power != 0)]
    if len(known) < _FEWEST:
        return np.asarray(fine)
    said = f"{what}: '{title}' reaches from {known.min():g} to {known.max():g}"
    if (np.abs(known) < 1).all():
        raise SiteTwinError(f"{said}, so that it looks like watts or milliwatts; give dBm")
    if (known >= 0).mean() > _MOST_WRONG:
        if known.max() <= _INDEX and (known == np.round(known)).all():
            raise SiteTwinError(
                f"{said} in whole numbers, so that it looks like a reported index, or a loss; give dBm: the index less "
                "156 for NR and 141 for LTE (3GPP TS 38.133, 36.133), or the loss with a minus sign"
            )
        raise SiteTwinError(f"{said}, so that it looks linear or like a loss; give received power in dBm")
    wrong = float(np.mean((known < _WEAKEST) | (known > _STRONGEST)))
    if wrong > _MOST_WRONG:
        raise SiteTwinError(f"{said}: {wrong:.0%} are no powers that a receiver reports; give dBm")
    some = power[fine & placed]
    if len(some) >= _FEWEST and np.ptp(some) == 0:
        raise SiteTwinError(f"{what}: all powers are {some[0]:g} dBm, which no drive test finds; check the column")
    return np.asarray(fine)


def carriers_of(data: xr.Dataset, what: str) -> Float[np.ndarray, " rows"]:
    """Carriers, Hz, NaN where unknown.

    Raises:
        SiteTwinError: One is no carrier of a radio.
    """
    carrier = np.asarray(data["carrier"].values, dtype=np.float64)
    known = carrier[np.isfinite(carrier)]
    wrong = known[(known < CARRIERS_HZ[0]) | (known > CARRIERS_HZ[1])]
    if len(wrong):
        raise SiteTwinError(
            f"{what}: {wrong[0]:g} Hz is no carrier; name the column by its unit: carrier_hz, carrier_mhz, carrier_ghz"
        )
    return carrier
