"""The three layouts in which DeepSense 6G beam measurements are spread, each read into plain arrays.

- *official*: a scenario's folder with a CSV table whose cells name small text files (A. Alkhateeb et al., "DeepSense
  6G: A large-scale real-world multi-modal sensing and communication dataset", IEEE Commun. Mag. 61(9), 2023);
- *gathered*: NumPy arrays ``scenario<n>_<quantity>_1-<N>.npy`` with the beams in reverse (J. Morais et al.,
  arXiv 2205.09054);
- *paper*: MATLAB arrays in ``data/`` (S. Jiang, A. Alkhateeb, arXiv 2301.07682).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pyproj import Transformer

from sitetwin.channel.formats import read_npy, read_text_numbers
from sitetwin.errors import SiteTwinError
from sitetwin.store.mat_files import read_mat
from sitetwin.untrusted import parse_table, read_head, read_table

_GATHERED = re.compile(r"(scenario\d+)_unit1_pwr_60ghz_(\d+-\d+)\.npy")
_POWERS = Path("data", "real_beam_pwr.mat")
_LONGEST_HEADING = 1 << 14  # bytes
_DRIVE = re.compile(r"[0-9]{1,9}(\.0{0,9})?")  # tables that went through floating point say 3.0
_STAMP = re.compile(r"([0-9]{1,2})[:-]([0-9]{1,2})[:-]([0-9]{1,2})(?:\.([0-9]{1,9})|-([0-9]{1,6}))?")

LARGEST_TABLE = 1 << 26
"""Bytes of the table of a scenario."""

MOST_ROWS = 1 << 17
"""Its rows; each names files that are read. The longest drives have some ten thousand."""


@dataclass(frozen=True, eq=False)
class RawRows:
    """Content of a layout before any check of its numbers.

    Attributes:
        layout: "official", "gathered" or "paper".
        name: Name of the scenario.
        power: (N, B) linear, beams in the official order (falling azimuth); NaN where not measured.
        position: (N, 2) latitude and longitude of the user, degrees.
        station: (2,) latitude and longitude of the base station.
        drive: (N,) int64, or None where the layout does not tell drives apart.
        images: (N,) paths relative to the folder, "" where there is none; or None.
        boxes: (N,) paths of files of bounding boxes, relative to the folder, "" where there is none; or None.
        order: (N,) places of the rows in time, such as the column "index"; or None where the rows stand as measured.
        lidar: (N,) paths of laser scans, as `images`; or None.
        radar: (N,) paths of radar frames, as `images`; or None.
        label: (N,) int64 best beams as a table has them, whatever their base, -1 where there is none; or None.
        seconds: (N,) seconds of the day of the table's time stamps, NaN where there is none; or None.
        places: Name of the column or file of the users' positions.
        skipped: Rows left out so far, by reason.
        unreadable: Why the first file of each kind could not be read, one sentence each.
    """

    layout: str
    name: str
    power: np.ndarray
    position: np.ndarray
    station: np.ndarray
    drive: np.ndarray | None
    images: np.ndarray | None = None
    boxes: np.ndarray | None = None
    order: np.ndarray | None = None
    lidar: np.ndarray | None = None
    radar: np.ndarray | None = None
    label: np.ndarray | None = None
    seconds: np.ndarray | None = None
    places: str = ""
    skipped: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)


def read_layout(path: Path) -> RawRows:
    """Read a scenario in whatever layout it comes.

    Args:
        path: Folder of one scenario, or, of a folder that gathers several, the file with the powers of one.

    Raises:
        SiteTwinError: Nothing is there, several scenarios are, or a needed file or column is missing or damaged.
    """
    if path.is_file():
        match = _GATHERED.fullmatch(path.name)
        if not match:
            raise SiteTwinError(
                f"'{path}' is no file of beam powers; give the folder of a scenario, or its scenario<n>_unit1_pwr_*.npy"
            )
        return _gathered(path.parent, *match.groups())
    if not path.is_dir():
        raise SiteTwinError(f"there is no scenario at '{path}'; give the folder of a DeepSense 6G scenario")
    if (path / _POWERS).is_file():
        return _paper(path)
    gathered = [m for f in sorted(path.iterdir()) if (m := _GATHERED.fullmatch(f.name))]
    if len(gathered) > 1:
        names = ", ".join(m.group(0) for m in gathered)
        raise SiteTwinError(f"'{path}' gathers several scenarios; give the powers of one of them: {names}")
    if gathered:
        return _gathered(path, *gathered[0].groups())
    return _official(path)


def _official(folder: Path) -> RawRows:
    table = _table(folder)
    rows = Rows(folder, table)
    if rows.user == "unit2_loc_1":
        raise SiteTwinError(f"'{table}' is a table of sequences, of the challenge; read it with read_challenge")
    if rows.power is None:
        raise SiteTwinError(f"'{table}' has no column unit1_pwr_60ghz; give the table as it was published")
    read: list[tuple[np.ndarray, np.ndarray, dict[str, str]]] = []
    station: np.ndarray | None = None
    for row in rows.table:
        power = rows.numbers(row, rows.power)
        if power is None or not np.any(np.nan_to_num(power)):
            rows.skipped["without power"] += 1
            continue
        place = rows.numbers(row, rows.user)
        if place is None or len(place) < 2:
            rows.skipped["without position"] += 1
            continue
        if station is None:
            station = rows.numbers(row, rows.station)
        read.append((power, place[:2], row))
    if not read:
        left_out = ", ".join(f"{count} rows {reason}" for reason, count in rows.skipped.items()) or "it has no rows"
        raise SiteTwinError(
            f"no row of '{table}' has both beam powers and a position: {'; '.join([left_out, *rows.unreadable])}"
        )
    if station is None or len(station) < 2:
        why = f": {rows.why[rows.station]}" if rows.station in rows.why else ""
        raise SiteTwinError(f"no row of '{table}' names a readable file with the position of the base station{why}")
    beams = Counter(len(row[0]) for row in read).most_common(1)[0][0]
    whole = [row for row in read if len(row[0]) == beams]
    if len(whole) < len(read):
        rows.skipped["with another number of beams"] = len(read) - len(whole)
    powers, places, cells = zip(*whole, strict=True)
    drives = [rows.whole(row, rows.drive) for row in cells]
    known = rows.drive is not None and min(drives) >= 0
    return RawRows(
        layout="official",
        name=table.stem,
        power=np.stack(powers),
        position=np.stack(places),
        station=station[:2],
        drive=np.array(drives, dtype=np.int64) if known else None,
        images=rows.paths(cells, rows.image),
        boxes=rows.paths(cells, rows.box),
        order=_places_in_time(tuple(rows.cell(row, rows.order) for row in cells)),
        lidar=rows.paths(cells, rows.lidar),
        radar=rows.paths(cells, rows.radar),
        label=rows.labels(cells),
        seconds=rows.seconds(cells),
        places=rows.user or "",
        skipped=rows.skipped,
        unreadable=rows.unreadable,
    )


def _places_in_time(cells: tuple[str, ...]) -> np.ndarray | None:
    """The numbers by which a table orders its rows; None where a number is missing or stands twice."""
    try:
        numbers = np.array([float(cell) for cell in cells])
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() and len(np.unique(numbers)) == len(numbers) else None


def _table(folder: Path) -> Path:
    """The scenario's CSV table: the one with a column of beam powers."""
    tables = [f for f in sorted(folder.glob("*.csv")) if any("pwr" in name for name in columns(f))]
    if len(tables) == 1:
        if len(columns(tables[0])) == 1 and ";" in columns(tables[0])[0]:
            raise SiteTwinError(f"the columns of '{tables[0]}' are apart by semicolons; write it with commas")
        return tables[0]
    if len(tables) > 1 and len({tuple(columns(table)) for table in tables}) == 1:
        names = ", ".join(table.name for table in tables)
        raise SiteTwinError(
            f"'{folder}' holds one scenario in {len(tables)} tables of the same columns ({names}), as training data "
            "are shared; join them into one table, in the order of the column index"
        )
    found = ", ".join(f.name for f in tables) or "none"
    raise SiteTwinError(
        f"'{folder}' should hold one CSV table with a column of beam powers (unit1_pwr_60ghz), but has {found}; "
        "give the folder of one scenario"
    )


def columns(table: Path) -> list[str]:
    """Names of the columns of a table, in small letters; none where it cannot be read."""
    try:
        head = read_head(table, _LONGEST_HEADING).decode("utf-8-sig", errors="ignore")
        return [name.strip().lower() for name in next(iter(parse_table(head.partition("\n")[0], str(table))), [])]
    except SiteTwinError:
        return []


class Rows:
    """A CSV table whose cells name files below its folder; columns are found whatever their capitals.

    Attributes:
        table: Cells of each row by column, columns in small letters.
        names: Columns.
        skipped: Rows left out so far, by reason.
        why: By column, why the first of its files that could not be read could not.
    """

    def __init__(self, folder: Path, table: Path) -> None:
        self.folder, self.skipped = folder, Counter[str]()
        self.why: dict[str | None, str] = {}
        self.names = columns(table)
        self.power = self.column("unit1_pwr_60ghz") or self._like("pwr_60ghz")
        self.station = self.column("unit1_loc")
        self.user = self.column("unit2_loc_cal", "unit2_loc", "unit2_loc_1")
        for name, found in (("unit1_loc", self.station), ("unit2_loc", self.user)):
            if found is None:
                raise SiteTwinError(f"'{table}' has no column {name}; give the table as it was published")
        self.drive, self.image = self.column("seq_index"), self.column("unit1_rgb")
        self.lidar, self.radar = self.column("unit1_lidar"), self.column("unit1_radar")
        self.label = self.column("unit1_beam", "unit1_beam_index")
        self.time = self.column("time_stamp") or self._like("time_stamp[")
        self.box = self._like("bbox") or self._like("bounding_box")
        self.order = self.column("index", "frame", "time_index")
        lines = [cells for cells in read_table(table, f"'{table}'", LARGEST_TABLE, "copy it again") if cells]
        if len(lines) - 1 > MOST_ROWS:
            raise SiteTwinError(
                f"'{table}' has {len(lines) - 1} rows, more than {MOST_ROWS}; leave out what is not needed"
            )
        self.table = [dict(zip(self.names, cells, strict=False)) for cells in lines[1:]]

    def column(self, *wanted: str) -> str | None:
        """The first of some columns that the table has."""
        return next((name for want in wanted for name in self.names if name == want), None)

    def _like(self, part: str) -> str | None:
        return next((name for name in self.names if part in name), None)

    @staticmethod
    def cell(row: dict[str, str], column: str | None) -> str:
        """A cell; empty where the table has no such column."""
        return (row.get(column) or "").strip() if column else ""

    def whole(self, row: dict[str, str], column: str | None) -> int:
        """The whole number of a cell, such as 3 or 3.0; -1 where it holds none."""
        text = self.cell(row, column)
        return int(text.split(".")[0]) if _DRIVE.fullmatch(text) else -1

    def paths(self, cells: Sequence[dict[str, str]], column: str | None) -> np.ndarray | None:
        """The cells of a column of paths; None where the table has no such column."""
        return np.array([self.cell(row, column) for row in cells], dtype=np.str_) if column else None

    def labels(self, cells: Sequence[dict[str, str]]) -> np.ndarray | None:
        """Best beams as the table has them, -1 where there is none; None where it has no such column."""
        return np.array([self.whole(row, self.label) for row in cells], dtype=np.int64) if self.label else None

    def seconds(self, cells: Sequence[dict[str, str]]) -> np.ndarray | None:
        """Seconds of the day, NaN where a time stamp is none; None where the table has no such column."""
        return np.array([seconds_of_day(self.cell(row, self.time)) for row in cells]) if self.time else None

    def numbers(self, row: dict[str, str], column: str | None) -> np.ndarray | None:
        """Numbers of the file that a cell names; None, with the reason kept, if it is missing or damaged."""
        try:
            return read_text_numbers(member(self.folder, self.cell(row, column)))
        except SiteTwinError as error:
            self.why.setdefault(column, str(error))
            return None

    @property
    def unreadable(self) -> list[str]:
        """Why the first unreadable file of each column could not be read."""
        return list(self.why.values())


def member(folder: Path, cell: str) -> Path:
    """The file of a scenario's folder that a cell of its table names, with or without "./" or "/" before it.

    Raises:
        SiteTwinError: It names no file in the folder.
    """
    name = cell.replace("\\", "/").lstrip("./")
    path = folder / name
    if not name or "\0" in name or ".." in path.parts:
        raise SiteTwinError(f"'{name}' names no file in the folder of the scenario")
    return path


def seconds_of_day(stamp: str) -> float:
    """Seconds of the day of a time stamp such as 03-23-11-091800, 03:23:11.5 or 03:23:11; NaN for anything else.

    Behind a hyphen stand microseconds, behind a point a fraction of a second.
    """
    match = _STAMP.fullmatch(stamp.strip("[]'\" "))
    if match is None:
        return float("nan")
    hours, minutes, seconds, fraction, micros = match.groups()
    if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 60:
        return float("nan")
    part = int(micros) / 1e6 if micros else float(f"0.{fraction}") if fraction else 0.0
    return 3600.0 * int(hours) + 60.0 * int(minutes) + int(seconds) + part


def _gathered(folder: Path, scenario: str, span: str) -> RawRows:
    def there(quantity: str) -> Path:
        return folder / f"{scenario}_{quantity}_{span}.npy"

    power = read_npy(there("unit1_pwr_60ghz"))
    calibrated = there("unit2_loc_cal")
    position = read_npy(calibrated if calibrated.is_file() else there("unit2_loc"))
    station = read_npy(there("unit1_loc"))
    drive = read_npy(there("seq_index")) if there("seq_index").is_file() else None
    _check_shapes(folder, power, {"unit2_loc": position, "unit1_loc": station, "seq_index": drive})
    return RawRows(
        layout="gathered",
        name=scenario,
        power=power[:, ::-1],
        places="unit2_loc_cal" if calibrated.is_file() else "unit2_loc",
        position=position,
        station=np.median(station, axis=0),
        drive=None if drive is None else _drive_numbers(folder, drive),
    )


def _drive_numbers(folder: Path, drive: np.ndarray) -> np.ndarray:
    if not np.isfinite(drive).all() or np.abs(drive).max(initial=0) > 1e9:
        raise SiteTwinError(f"the drive numbers (seq_index) in '{folder}' are no whole numbers; copy them again")
    return drive.astype(np.int64)


def _paper(folder: Path) -> RawRows:
    power = read_mat(folder / _POWERS)
    position = read_mat(folder / "data" / "ue_gps_pos.mat")
    relative = read_mat(folder / "data" / "ue_relative_pos.mat")
    _check_shapes(folder, power, {"ue_gps_pos": position, "ue_relative_pos": relative, "": None})
    return RawRows(
        layout="paper",
        name=folder.resolve().name,
        places="ue_gps_pos",
        power=power,
        position=position,
        station=_station(position, relative, folder),
        drive=None,
    )


def _station(position: np.ndarray, relative: np.ndarray, folder: Path) -> np.ndarray:
    """(2,) latitude and longitude of the base station, from users' positions on the globe and relative to it in UTM."""
    good = np.isfinite(position).all(axis=1) & np.isfinite(relative).all(axis=1)
    good &= (np.abs(position[:, 0]) < 84) & (np.abs(position[:, 1]) <= 180)
    if not good.any():
        raise SiteTwinError(f"no row in '{folder}' has a position; copy the data again")
    lat, lon = np.median(position[good], axis=0)
    zone = min(int((lon + 180) // 6) + 1, 60)
    utm = Transformer.from_crs("EPSG:4326", f"EPSG:{(32600 if lat >= 0 else 32700) + zone}", always_xy=True)
    east, north = utm.transform(position[good, 1], position[good, 0])
    origin = np.median(np.stack([east, north], axis=1) - relative[good], axis=0)
    longitude, latitude = utm.transform(float(origin[0]), float(origin[1]), direction="INVERSE")
    return np.array([latitude, longitude])


def _check_shapes(folder: Path, power: np.ndarray, others: dict[str, np.ndarray | None]) -> None:
    if power.ndim != 2 or not power.size:
        raise SiteTwinError(f"the beam powers in '{folder}' have the shape {power.shape}, not (samples, beams)")
    for name, array in others.items():
        if array is None:
            continue
        wanted = (len(power),) if name == "seq_index" else (len(power), 2)
        if array.shape != wanted:
            raise SiteTwinError(
                f"in '{folder}' {name} has the shape {array.shape} where the {len(power)} rows of beam powers ask for "
                f"{wanted}; copy the data again"
            )
