"""DeepSense 6G beam measurements as one data set: powers of all beams, positions and drives; every loss counted."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import xarray as xr

from sitetwin.errors import SiteTwinError, SiteTwinWarning, said_of
from sitetwin.measured.deepsense_labels import labels_from_zero
from sitetwin.measured.deepsense_layouts import RawRows, read_layout
from sitetwin.measured.plausible import (
    PowerUnit,
    check_bearing,
    check_degrees,
    check_order,
    drive_notes,
    left_out_notes,
    linear_powers,
    masked_note,
    silent_note,
)
from sitetwin.measured.positions import about_origin
from sitetwin.site import Georeference
from sitetwin.site.mesh import LARGEST_COORDINATE
from sitetwin.store.mat_files import read_mat

DEAD_BEAMS = (0, 63)
"""Beams of the 64 of the DeepSense 6G array whose patterns are degenerate: first and last of the codebook."""

_ANGLE_SAMPLES = 211
_AMPLITUDES = (1e-100, 1e100)  # peaks of patterns, whose squares are finite
_GAP_M = 30.0  # between fixes of one drive: rows in between may have been left out
_TURN_M = 2.0  # of backward motion that makes a U-turn


def read_deepsense(path: str | Path, max_range_m: float = 300.0, power_unit: PowerUnit | None = None) -> xr.Dataset:
    """Read one scenario in any of three layouts (see `sitetwin.measured.deepsense_layouts`).

    Rows are left out, counted and named in the attribute ``skipped`` where they have no power, no position, a position
    that is no place on the globe or outside the site, or repeat an earlier row number for number. Single powers that
    are NaN, infinite, zero or negative are masked (NaN) and counted in ``masked_powers``. Rows are sorted by the column
    ``index`` of a table that has one. A drive ends where neighbouring rows lie farther than 30 m apart.

    Units, order in time and the sign of the beams are tested (`sitetwin.measured.plausible`). Doubts stand in the
    attribute ``notes`` and are warned of.

    Args:
        path: Folder of a scenario; of a folder that gathers several, the file with the powers of one.
        max_range_m: Radius of the site around the base station, metres.
        power_unit: "linear" or "dB", the unit in which the powers are written; by default the numbers decide, and
            numbers that may be decibels are refused.

    Returns:
        Dimensions ``sample`` and ``beam`` (official order: falling azimuth, from 0). Variables: ``power`` (sample,
        beam) linear; ``latitude``, ``longitude`` degrees; ``east``, ``north`` metres from the base station (transverse
        Mercator about it, scale 1); ``drive`` int64; ``dead`` (beam,) bool, beams that are never the answer;
        ``image``, ``boxes``, ``lidar``, ``radar`` paths, ``label`` (int64, from 0, -1 where there is none) and ``time``
        in seconds of the day, where the scenario has them. Attributes say the layout, the station, and the counts.

    Raises:
        SiteTwinError: Files are missing or damaged, or no row is left; the message names which. Or the rows cannot be
            what they are taken for: powers in dB, positions in radians, rows out of order, beams mirrored.
    """
    if not max_range_m > 0:
        raise SiteTwinError(f"the radius of the site must be positive, not {max_range_m:g} m")
    raw = read_layout(Path(path))
    where = f"the scenario '{path}'"
    with said_of(where):
        _check_station(raw)
        power = linear_powers(raw.power, power_unit)
        check_degrees(np.concatenate([raw.position, raw.station[None]]))
    local = about_origin(raw.position, Georeference(float(raw.station[0]), float(raw.station[1])))
    keep = np.ones(len(power), dtype=bool)
    skipped = raw.skipped.copy()

    def drop(rows: np.ndarray, reason: str) -> None:
        hit = keep & rows
        if hit.any():
            skipped[reason] += int(hit.sum())
            keep[hit] = False

    drop(np.asarray(np.isnan(power).all(axis=1)), "without power")
    drop(~np.isfinite(local).all(axis=1), "without position")
    with np.errstate(invalid="ignore"):
        drop(np.hypot(local[:, 0], local[:, 1]) > max_range_m, f"farther than {max_range_m:g} m from the base station")
    drop(_repeats(power, raw.position, keep), "repeating an earlier row")
    if not keep.any():
        left_out = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
        raise SiteTwinError(f"no row of '{path}' can be used: {left_out}")
    rows = np.flatnonzero(keep)
    if raw.order is not None:
        rows = rows[np.argsort(raw.order[rows], kind="stable")]
    drive, notes = _drives(raw, rows, local)
    dead = _dead(power[rows])
    label, of_labels = (None, []) if raw.label is None else labels_from_zero(raw.label[rows], power[rows])
    with said_of(where):
        check_order(local[rows], drive, raw.drive is not None)
        silent = int(np.isnan(power[rows]).all(axis=0)[_working(power.shape[1])].sum())
        notes = [
            *(f"some files could not be read: {why}" for why in raw.unreadable),
            *notes,
            *masked_note(power[rows][:, ~dead]),
            *left_out_notes(skipped, len(keep)),
            *silent_note(silent, power.shape[1]),
            *of_labels,
            *(check_bearing(power[rows], local[rows]) or drive_notes(power[rows], local[rows], drive)),
        ]
    for note in notes:
        warnings.warn(f"{raw.name}: {note}", SiteTwinWarning, stacklevel=2)
    found = _data_set(raw, rows, power, local, drive, dead, skipped, notes)
    if label is not None:
        found["label"] = ("sample", label, {"long_name": "best beam as published, from 0; -1 for none"})
    if raw.seconds is not None:
        found["time"] = ("sample", raw.seconds[rows], {"units": "s", "long_name": "time of the day"})
    return found


def _drives(raw: RawRows, rows: np.ndarray, local: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Drive of each row in the order of time; a numbered drive that jumps is cut there, which becomes a note."""
    if raw.drive is None:
        return drives_of_track(local[rows]), []
    drive = raw.drive[rows]
    jump = np.zeros(len(rows), dtype=bool)
    order = np.argsort(drive, kind="stable")  # rows of a drive need not be neighbours
    far = np.hypot(*np.diff(local[rows][order], axis=0).T) > _GAP_M
    jump[order[1:]] = far & (np.diff(drive[order]) == 0)
    if not jump.any():
        return drive, []
    cut = np.zeros(len(rows), dtype=np.int64)
    cut[order] = np.cumsum(np.concatenate([[0], (np.diff(drive[order]) != 0) | jump[order[1:]]]))
    return cut, [
        f"{int(jump.sum())} times a numbered drive jumps by more than {_GAP_M:g} m; it is cut there, and the drives "
        f"are numbered anew ({len(np.unique(cut))} instead of {len(np.unique(drive))})"
    ]


def _data_set(
    raw: RawRows,
    keep: np.ndarray,
    power: np.ndarray,
    local: np.ndarray,
    drive: np.ndarray,
    dead: np.ndarray,
    skipped: Counter[str],
    notes: list[str],
) -> xr.Dataset:
    """The rows `keep`, with names and units."""
    return xr.Dataset(
        {
            "power": (("sample", "beam"), power[keep], {"units": "1", "long_name": "received power, linear"}),
            "latitude": ("sample", raw.position[keep, 0], {"units": "degree_north"}),
            "longitude": ("sample", raw.position[keep, 1], {"units": "degree_east"}),
            "east": ("sample", local[keep, 0], {"units": "m"}),
            "north": ("sample", local[keep, 1], {"units": "m"}),
            "drive": ("sample", drive),
            "dead": ("beam", dead),
            **{
                name: ("sample", paths[keep])
                for name, paths in (
                    ("image", raw.images),
                    ("boxes", raw.boxes),
                    ("lidar", raw.lidar),
                    ("radar", raw.radar),
                )
                if paths is not None
            },
        },
        attrs={
            "title": f"measured beam powers, {raw.name}",
            "scenario": raw.name,
            "layout": raw.layout,
            "position_source": raw.places,
            "station_latitude": float(raw.station[0]),
            "station_longitude": float(raw.station[1]),
            "drive_source": "table" if raw.drive is not None else "turns of the track",
            "skipped": [f"{count} {reason}" for reason, count in sorted(skipped.items())],
            "skipped_rows": int(sum(skipped.values())),
            "masked_powers": int(np.isnan(power[keep]).sum()),
            "notes": notes,
            "synthetic": "no",
        },
    )


def read_codebook(folder: str | Path, beams: int) -> xr.DataArray:
    """Measured azimuth patterns of the beams, as power relative to each beam's peak.

    The files hold amplitudes at 211 angles. File ``63 - i`` belongs to beam i of the official order; the angle axis of
    their authors runs from 176 to -4 degrees with boresight at 90 and is right up to a scale and an offset, which
    differ from site to site. The first sample is unstable and replaced by the second.

    Args:
        folder: Folder with the files ``built_in_beam_pattern_<n>.mat``.
        beams: Number of beams of the measurements.

    Returns:
        (beam, azimuth): linear power, azimuth in radians from boresight, rising, to the left positive.

    Raises:
        SiteTwinError: A file is missing or damaged, or the codebook has another number of beams.
    """
    folder = Path(folder)
    count = len(list(folder.glob("built_in_beam_pattern_*.mat"))) if folder.is_dir() else 0
    if count != beams:
        raise SiteTwinError(
            f"the codebook '{folder}' has {count} beams where the measurements have {beams}; give the codebook of this "
            "array (built_in_beam_pattern_<n>.mat)"
        )
    rows = []
    for beam in range(beams):
        path = folder / f"built_in_beam_pattern_{beams - 1 - beam}.mat"
        pattern = read_mat(path).ravel()
        low, high = _AMPLITUDES
        sound = len(pattern) == _ANGLE_SAMPLES and low < pattern.max() and (np.abs(pattern) < high).all()  # NaN fails
        if not sound:
            raise SiteTwinError(f"'{path}' holds no pattern of {_ANGLE_SAMPLES} angles; copy it again")
        pattern[0] = pattern[1]
        rows.append(pattern[::-1] ** 2 / pattern.max() ** 2)
    azimuth = np.radians(np.linspace(176, -4, _ANGLE_SAMPLES) - 90)[::-1]
    return xr.DataArray(
        np.stack(rows), dims=("beam", "azimuth"), coords={"azimuth": azimuth}, name="pattern", attrs={"units": "1"}
    )


def read_lanes(folder: str | Path) -> np.ndarray | None:
    """(M, 2) metres east and north of the station: users of the published twin, where the release has them.

    Their frame is UTM's grid, as that of the release's relative positions: half a degree from true north there.

    Args:
        folder: Folder of the paper's release; other layouts have no lanes.

    Raises:
        SiteTwinError: The file is damaged or holds something else.
    """
    path = Path(folder) / "data" / "synth_UE_loc.mat"
    if not path.is_file():
        return None
    users = read_mat(path)
    known = users.ndim == 2 and users.shape[1] == 2 and len(users) > 0
    if not known or not (np.abs(users) <= LARGEST_COORDINATE).all():  # NaN fails too
        raise SiteTwinError(f"'{path}' holds no positions (users, 2) in metres; copy it again, or remove it")
    return users.astype(np.float64)


def drives_of_track(local: np.ndarray) -> np.ndarray:
    """(N,) int64 from 0: drives of a track whose rows follow each other in time, apart at U-turns and long gaps.

    Args:
        local: (N, 2) metres.
    """
    axis = np.linalg.svd(local - local.mean(axis=0), full_matrices=False)[2][0]
    s = local @ axis
    starts = [0]
    sign, extreme = 0.0, 0  # direction of the drive, row of its farthest fix so far
    for n in range(1, len(local)):
        moved = float(s[n] - s[extreme])
        if float(np.hypot(*(local[n] - local[n - 1]))) > _GAP_M:
            starts.append(n)
            sign, extreme = 0.0, n
        elif sign and moved * sign < -_TURN_M:
            starts.append(extreme + 1)
            sign, extreme = -sign, n
        elif not sign and abs(moved) > _TURN_M:
            sign, extreme = float(np.sign(moved)), n
        elif sign and moved * sign > 0:
            extreme = n
    return np.searchsorted(starts, np.arange(len(local)), side="right").astype(np.int64) - 1


def _check_station(raw: RawRows) -> None:
    latitude, longitude = raw.station
    if not (abs(latitude) < 84 and abs(longitude) <= 180):  # NaN fails too
        raise SiteTwinError(
            f"the base station of {raw.name} is at latitude {latitude:g}, longitude {longitude:g}, which is no place "
            "that can be mapped; check the file of its position"
        )


def _repeats(power: np.ndarray, position: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """(N,) bool: rows equal to an earlier kept one in every power and in position."""
    rows = np.flatnonzero(keep)
    seen = np.zeros(len(power), dtype=bool)
    everything = np.concatenate([np.nan_to_num(power[rows], nan=-1.0), position[rows]], axis=1)
    first = np.unique(everything, axis=0, return_index=True)[1]
    seen[np.setdiff1d(rows, rows[first])] = True
    return seen


def _dead(power: np.ndarray) -> np.ndarray:
    """(B,) bool: the codebook's degenerate beams, and beams without any power."""
    return np.isnan(power).all(axis=0) | ~_working(power.shape[1])


def _working(beams: int) -> np.ndarray:
    """(B,) bool: beams that the official codebook does not lack."""
    working = np.ones(beams, dtype=bool)
    if beams == DEAD_BEAMS[1] + 1:
        working[list(DEAD_BEAMS)] = False
    return working
