"""Beams of one station: a predictor fitted to its own measurements, kept in one file, and judged on others."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from sitetwin.calibrate.predictor import CalibratedBeams
from sitetwin.calibrate.track import Track
from sitetwin.errors import SiteTwinError, said_of
from sitetwin.learn.beams.metrics import power_ratio, rank_of_best, ranking
from sitetwin.learn.model_files import ModelFile, read_model, write_model
from sitetwin.learn.statistics import bootstrap_blocks
from sitetwin.measured.plausible import check_codebook
from sitetwin.store.files import disk_errors, write_file
from sitetwin.version import code_version

VERSION = 1
"""Of the file."""

_FAR_M, _FARTHER_M = 20.0, 20.0  # from every measured row: there, and so much farther, rows say nothing
_MOST_BEAMS = 1 << 12
_ONE_PLACE_M = 1.0
_INTERVAL_S = 0.1  # between fixes of DeepSense 6G, in which the priors count the lag
_DRAWS = 1000


@dataclass(frozen=True, eq=False)
class BeamRanking:
    """What a predictor says of users, in the order in which they were asked about.

    Attributes:
        probability: Of each beam to be the best.
        order: Numbers of the beams, the most probable first.
        sweep: How many of them to sweep.
        row: Of the table, from 1, where each user stands.
        drive: Of each user.
        notes: What was assumed, one sentence each.
    """

    probability: Float[np.ndarray, "users beams"]
    order: Int[np.ndarray, "users beams"]
    sweep: Int[np.ndarray, " users"]
    row: Int[np.ndarray, " users"]
    drive: Int[np.ndarray, " users"]
    notes: list[str]

    def write(self, path: Path | str) -> None:
        """Write a CSV with one line for each user, in the order of their rows.

        Columns: ``row``, ``drive``, the three most probable beams with their probabilities, ``beams_to_sweep``, and
        ``sweep``, the numbers of these beams apart by blanks, the most probable first.

        Raises:
            SiteTwinError: The disk cannot be written.
        """
        best = min(3, self.order.shape[1])
        names = [f"{what}_{k + 1}" for k in range(best) for what in ("beam", "probability")]
        ranked = np.sort(self.probability, axis=1)[:, ::-1]
        lines = [",".join(["row", "drive", *names, "beams_to_sweep", "sweep"])]
        for user in np.argsort(self.row, kind="stable"):
            order, count = self.order[user], int(self.sweep[user])
            pairs = [text for k in range(best) for text in (str(order[k]), f"{ranked[user, k]:.4f}")]
            swept = " ".join(map(str, order[:count]))
            lines.append(",".join([str(self.row[user]), str(self.drive[user]), *pairs, str(count), swept]))
        with disk_errors("writing the beams", Path(path).parent):
            write_file(Path(path), ("\n".join(lines) + "\n").encode())


class SiteBeams:
    """A predictor of the best beams of one station from positions, for the station's own beams and measurements.

    The work is done by `CalibratedBeams`; this class knows the station, the beams that work, and what a table of
    measurements holds. `sitetwin.fit_beams` makes one of a file.

    Args:
        predictor: Not fitted yet.
        beams: Numbers of the beams that are predicted.
        count: Number of beams of the measurements, those that do not work included.
        station: Latitude and longitude of the station, degrees; None where positions are metres from it.
        labels_only: Whether the measurements said which beam was best, and no powers.
    """

    kind: ClassVar[str] = "site beams"

    def __init__(
        self,
        predictor: CalibratedBeams,
        beams: Int[np.ndarray, " beams"],
        count: int,
        station: tuple[float, float] | None = None,
        labels_only: bool = False,
    ) -> None:
        self.predictor, self.beams, self.count, self.station = predictor, beams, count, station
        self.labels_only = labels_only
        self.notes: list[str] = []
        self._place = np.zeros((0, 2))
        self._last_drive = -1

    @classmethod
    def of(cls, measured: xr.Dataset, book: xr.DataArray | None = None, seed: int = 0) -> SiteBeams:
        """Fit to measurements.

        Args:
            measured: Of `sitetwin.measured.read_beam_table` or `read_deepsense`.
            book: Of `sitetwin.measured.read_beam_codebook`; without one nothing is known of the array, and what was
                measured near by answers.
            seed: Of the fit.

        Raises:
            SiteTwinError: The codebook does not go with the measurements, or they cannot be learnt from.
        """
        beams, labels_only = np.flatnonzero(~measured.dead.values), _labels_only(measured)
        if book is not None and book.sizes["beam"] != measured.sizes["beam"]:
            raise SiteTwinError(
                f"the codebook has {book.sizes['beam']} beams where the measurements have {measured.sizes['beam']}; "
                "give the codebook of this array"
            )
        power, usable = _powers(measured, beams)
        patterns = None if book is None else (book.values[beams], book.azimuth.values)
        found = cls(CalibratedBeams(*(patterns or ())), beams, measured.sizes["beam"], _station(measured), labels_only)
        if patterns is not None:
            local = np.stack([measured.east.values, measured.north.values], axis=1)[usable]
            found.notes += check_codebook(*patterns, power, local)
            if labels_only:  # the powers that the codebook has where the best beam looks
                power = patterns[0][:, patterns[0].argmax(axis=1)][:, power.argmax(axis=1)].T
        found.notes += _notes_of(measured)
        found._fit(found._track(measured).rows(usable), power, seed)
        return found

    def _fit(self, track: Track, power: np.ndarray, seed: int) -> None:
        self.predictor.fit(track, power, seed)
        self._place, self._last_drive = track.position, int(track.drive.max())

    @property
    def account(self) -> dict[str, Any]:
        """What the predictor was made of, and what it decided (`CalibratedBeams.account`)."""
        return {
            "beams": len(self.beams),
            "drives": len(np.unique(self.predictor.rows[0].drive)),
            "measured": "best beams" if self.labels_only else "powers",
            "codebook": self.predictor.pattern is not None,
            **self.predictor.account,
            "map": "no map was used",
            "notes": self.notes,
        }

    def station_of(self, source: Path | str) -> tuple[float, float] | None:
        """The station, for a table of users; a scenario says its own, which is compared."""
        return None if Path(source).is_dir() or Path(source).suffix.lower() == ".npy" else self.station

    def predict(self, asked: xr.Dataset, reliability: float = 0.95) -> BeamRanking:
        """Rank the beams of users of drives that come after those that were measured.

        Args:
            asked: As for `of`; its powers, if any, are not read.
            reliability: Wanted share of users whose best beam is among those swept.

        Raises:
            SiteTwinError: The station is another one, or the reliability is out of range.
        """
        track = self._track(asked)
        later = Track(track.position, track.velocity, track.drive + self._last_drive + 1)
        probability = self.predictor.predict_proba(later, causal=True)
        probability, notes = self._widened(probability, track.position)
        sweep = self.predictor.sweep(probability, reliability)
        drive = asked.drive.values
        row = asked.row.values if "row" in asked else np.arange(1, len(drive) + 1)
        return BeamRanking(probability, self.beams[ranking(probability)], sweep, row, drive, notes)

    def _widened(self, probability: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Without a codebook nothing is known of places far from all measured rows: all beams alike."""
        if self.predictor.pattern is not None:
            return probability, []
        away = cKDTree(self._place).query(place)[0]
        share = np.clip((away - _FAR_M) / _FARTHER_M, 0, 1)[:, None]
        far = int((away > _FAR_M).sum())
        notes = [
            f"{far} of {len(place)} users are farther than {_FAR_M:g} m from every measured row, and no codebook says "
            "which beams look there: more beams are swept"
        ]
        return (1 - share) * probability + share / probability.shape[1], notes if far else []

    def evaluate(self, measured: xr.Dataset, reliability: float = 0.95, seed: int = 0) -> dict[str, Any]:
        """Judge the predictor on measurements that it was not fitted to.

        Args:
            measured: As for `of`.
            reliability: Asked reliability.
            seed: Of the bootstrap over drives.

        Returns:
            ``rows``, ``drives``, ``top1``, ``top3``, ``power_loss_db`` (not of best beams alone), ``asked``,
            ``delivered``, ``beams_swept``, each with the ends of its 95 % interval over drives (None of a single
            drive) as ``<name>_low`` and ``<name>_high``; and ``notes``.

        Raises:
            SiteTwinError: The measurements are of another station or other beams.
        """
        if measured.sizes["beam"] <= self.beams.max():
            raise SiteTwinError(
                f"the measurements have {measured.sizes['beam']} beams where the predictor knows beam "
                f"{self.beams.max()}; give measurements of the same beams"
            )
        told = self.predict(measured, reliability)
        power, usable = _powers(measured, self.beams)
        probability, sweep = told.probability[usable], told.sweep[usable]
        rank, drive = rank_of_best(probability, power), measured.drive.values[usable]
        columns = {"top1": rank < 1, "top3": rank < 3, "delivered": rank < sweep, "beams_swept": sweep}
        if not _labels_only(measured):
            columns["power_loss_db"] = 1 / power_ratio(probability, power)
        found: dict[str, Any] = {"rows": len(rank), "drives": len(np.unique(drive)), "asked": reliability}
        for name, values in columns.items():
            found |= _interval(name, values.astype(np.float64), drive, seed)
        return found | {"notes": [*told.notes, *self._seen_before(measured)]}

    def _seen_before(self, measured: xr.Dataset) -> list[str]:
        place = np.stack([measured.east.values, measured.north.values], axis=1)
        same = int((cKDTree(self._place).query(place)[0] < 1e-6).sum())
        return [f"{same} of {len(place)} rows stand where the predictor was fitted: they flatter it"] if same else []

    def _track(self, rows: xr.Dataset) -> Track:
        """The track of measurements, if they are of this station."""
        station = _station(rows)
        if (self.station is None) != (station is None):
            raise SiteTwinError(
                "the predictor and the table should both have degrees, or both metres from the station; give the "
                "same kind"
            )
        if self.station and station and not np.allclose(self.station, station, atol=5e-5, rtol=0):
            raise SiteTwinError(
                f"the table is of a station at {station} and the predictor of one at {self.station}; fit one to each"
            )
        time = rows.time.values if "time" in rows and np.isfinite(rows.time.values).all() else None
        track = Track.of(np.stack([rows.east.values, rows.north.values], axis=1), rows.drive.values, time)
        if time is None or rows.attrs.get("layout") != "table":
            return track
        # A table may hold a few of the sweeps only: speeds of all tables are made those of one interval.
        return Track(track.position, track.velocity * _per_interval(time, track.drive)[:, None], track.drive)

    def save(self, path: Path | str) -> None:
        """Write the predictor into one file of plain numbers; `load` fits it anew to the rows in it.

        Raises:
            SiteTwinError: The predictor is not fitted, or the disk cannot be written.
        """
        parameters, arrays = self.predictor.parts()
        arrays = {**arrays, "beams": torch.from_numpy(self.beams.astype(np.int64))}
        about = {
            "version": VERSION,
            "code": code_version(),
            "count": self.count,
            "station": None if self.station is None else list(self.station),
            "labels_only": self.labels_only,
            "notes": self.notes,
            "predictor": parameters,
            "hash": _hash(arrays),
        }
        write_model(Path(path), self.kind, about, arrays)

    @classmethod
    def load(cls, path: Path | str) -> SiteBeams:
        """Read a predictor that `save` wrote. The file is not trusted: nothing is executed, all of it is checked.

        Raises:
            SiteTwinError: The file is missing, damaged, or holds something else.
        """
        file = read_model(Path(path), cls.kind)
        if file.parameter("version", int) != VERSION:
            raise file.refusal("it is of another version of the format")
        if file.parameter("hash", str) != _hash(file.arrays):
            raise file.refusal("its numbers are not those that were saved")
        beams = file.array("beams", "beams", torch.int64).numpy()
        if not len(beams) or beams.min() < 0 or beams.max() >= _MOST_BEAMS or len(np.unique(beams)) < len(beams):
            raise file.refusal("its beams are not numbered")
        count = file.parameter("count", int)
        if not beams.max() < count <= _MOST_BEAMS:
            raise file.refusal("it has more beams than it was measured with")
        station = file.parameter("station", tuple[float, float] | None)
        with said_of(str(path)):
            inner = ModelFile(file.path, file.parameter("predictor", dict[str, Any]), file.arrays)
            found = cls(CalibratedBeams.of_parts(inner), beams, count, station, file.parameter("labels_only", bool))
            track, power, _ = found.predictor.rows
            if power.shape[1] != len(beams):
                raise file.refusal("its powers are of other beams")
        found.notes = file.parameter("notes", list[str])
        found._place, found._last_drive = track.position, int(track.drive.max())
        return found


def _station(rows: xr.Dataset) -> tuple[float, float] | None:
    """Latitude and longitude of the station; None where positions are metres from it."""
    latitude, longitude = float(rows.attrs["station_latitude"]), float(rows.attrs["station_longitude"])
    return (latitude, longitude) if np.isfinite([latitude, longitude]).all() else None


def _per_interval(time: np.ndarray, drive: np.ndarray) -> np.ndarray:
    """What turns metres per usual interval of each row's drive into metres per `_INTERVAL_S`."""
    factor = np.zeros(len(time))
    for number in np.unique(drive):
        steps = np.diff(np.sort(time[drive == number]))
        steps = steps[steps > 0]
        factor[drive == number] = _INTERVAL_S / np.median(steps) if len(steps) else 0.0
    return factor


def _labels_only(rows: xr.Dataset) -> bool:
    return rows.attrs.get("labels") == "yes"


def _powers(measured: xr.Dataset, beams: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Powers on some beams, of the rows that have any there, and these rows; of best beams alone, zero elsewhere."""
    power = measured.power.values[:, beams]
    usable = np.flatnonzero((np.nan_to_num(power) > 0).any(axis=1))
    if not len(usable) or len(beams) < 2:
        raise SiteTwinError("no row has power on two working beams; check the measurements")
    power = power[usable]
    return np.nan_to_num(power) if _labels_only(measured) else power, usable


def _notes_of(measured: xr.Dataset) -> list[str]:
    """What the measurements do not say."""
    notes = []
    place = np.stack([measured.east.values, measured.north.values], axis=1)
    if (np.ptp(place, axis=0) < _ONE_PLACE_M).all():
        notes.append(f"all {len(place)} rows were measured at one place: nothing can be told of other places")
    if len(np.unique(measured.drive.values)) == 1:
        notes.append("all rows are of one drive: nothing can be told of a drive that was not measured")
    return notes


def _hash(arrays: Any) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = arrays[name].contiguous().numpy()
        digest.update(f"{name} {values.shape} {values.dtype}".encode() + values.tobytes())
    return digest.hexdigest()


def _interval(name: str, values: np.ndarray, drive: np.ndarray, seed: int) -> dict[str, float | None]:
    """Mean over rows of one figure, with its 95 % interval over drives; of the power loss in dB."""

    def figure(rows: torch.Tensor) -> float:
        mean = float(rows.mean())
        return float(10 * np.log10(mean)) if name == "power_loss_db" else mean

    table = torch.from_numpy(values)
    if len(np.unique(drive)) < 2:
        return {name: figure(table), f"{name}_low": None, f"{name}_high": None}
    rng = torch.Generator().manual_seed(seed)
    found = bootstrap_blocks(table, torch.from_numpy(drive), rng, figure, draws=_DRAWS)
    return {name: found.estimate, f"{name}_low": found.low, f"{name}_high": found.high}
