"""The beam prediction study: what a twin of a street is worth for predicting beams that were really measured.

After S. Jiang, A. Alkhateeb, "Digital twin based beam prediction: Can we train in the digital world and deploy in
reality?", arXiv 2301.07682, on DeepSense 6G data; and beyond it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from sitetwin.calibrate import Track
from sitetwin.calibrate.geometry import Street
from sitetwin.errors import SiteTwinError
from sitetwin.learn.beams.metrics import label_ceiling
from sitetwin.learn.beams.splits import drive_folds, random_splits
from sitetwin.measured import read_codebook, read_deepsense, read_lanes
from sitetwin.measured.plausible import PowerUnit
from sitetwin.store.files import disk_errors
from sitetwin.studies.beams.bench import Bench
from sitetwin.studies.beams.config import HEADLINE, BeamStudy
from sitetwin.studies.beams.emulation import emulation, sensitivity
from sitetwin.studies.beams.registry import RIVALS, parts_of, rows_of
from sitetwin.studies.beams.results import SCHEMA, BeamResults
from sitetwin.studies.beams.scores import paired_difference
from sitetwin.studies.beams.stress import stressed
from sitetwin.studies.beams.twin import StreetTwin, build_twin
from sitetwin.studies.frame import Progress, claim_folder, read_part, silent, versions, write_part, write_results
from sitetwin.studies.records import checked_record
from sitetwin.untrusted import opened

_FEWEST_ROWS = 10  # of a pool
_LIBRARIES = ("numpy", "torch", "xarray", "pyproj")
# Whose code decides the results.
_ROOMS = ("backend.py", "compiled.py", "site", "rays", "channel", "measured", "learn", "calibrate", "studies/beams")


def run_beam_study(
    study: BeamStudy,
    scenario: str | Path,
    folder: str | Path,
    codebook: str | Path | None = None,
    site: str | Path | None = None,
    progress: Progress = silent,
    power_unit: PowerUnit | None = None,
) -> Path:
    """Run the study into a folder, or finish one that was interrupted there.

    Args:
        study: The configuration.
        scenario: Path of a scenario that `read_deepsense` reads.
        folder: Folder for results.json, run.json and the finished parts.
        codebook: Folder of the measured codebook; ``codebook_beams`` inside the scenario by default.
        site: Folder of the street's geometry with ``georeference.json``; without it the twin is the line of sight, and
            what needs twin-trained networks is left out.
        progress: Called with the stage and its finished share.
        power_unit: "linear" or "dB", the unit of the measured powers; by default as `read_deepsense` finds it.

    Returns:
        Path of results.json.

    Raises:
        SiteTwinError: The scenario, codebook or site cannot be used, or the folder holds another study or one that
            another version of the code began.
    """
    started = time.perf_counter()
    scenario, folder = Path(scenario), Path(folder)
    site = None if site is None else Path(site)
    data = _usable(study, read_deepsense(scenario, power_unit=power_unit))
    book = read_codebook(Path(codebook) if codebook is not None else scenario / "codebook_beams", data.sizes["beam"])
    data, book = stressed(data, book, study.stress)
    lanes = read_lanes(scenario)
    torch.set_num_threads(1)
    progress("twin", 0.0)
    twin = build_twin(site, data, study.twin) if site is not None else None
    progress("twin", 1.0)
    # The folder is claimed no earlier: a site that was refused may be mended and tried again.
    key = claim_folder(folder, study, _ROOMS, _identity(data, book, lanes, site))
    methods: list[dict[str, Any]] = []
    benches = list(_benches(study, data, book, twin, lanes))
    jobs = [(bench, part) for bench in benches for part in parts_of(bench)]
    for number, (bench, part) in enumerate(jobs):
        progress("methods", number / len(jobs))
        name = f"{part}-{bench.split}-{len(bench.beams)}"
        methods += _part(folder, key, name, partial(rows_of, part, bench))
    progress("methods", 1.0)
    studies: dict[str, list[dict[str, Any]]] = {"emulation": [], "sensitivity": []}
    if twin is not None:
        for name, study_of in (("emulation", emulation), ("sensitivity", sensitivity)):
            progress(name, 0.0)
            studies[name] = _part(folder, key, name, partial(study_of, benches[0], twin))
            progress(name, 1.0)
    timings = [row.pop("timing") for row in studies["emulation"]]
    _pair(study, methods)
    document = {
        "schema": SCHEMA,
        "title": f"Beam prediction with a digital twin, {data.attrs['scenario']}",
        "profile": study.profile,
        "configuration": study.model_dump(mode="json"),
        "configuration_hash": key,
        "versions": versions(*_LIBRARIES),
        "data": _facts(data),
        "twin": twin.facts if twin else {},
        "ceilings": _ceilings(study, data),
        "headline_method": HEADLINE,
        "methods": methods,
        **studies,
        "notes": _notes(study, data, twin, benches),
    }
    run = {
        "emulation": timings,
        "seconds": time.perf_counter() - started,
    }
    return write_results(folder, checked_record(BeamResults, document), run)


def _identity(data: xr.Dataset, book: xr.DataArray, lanes: np.ndarray | None, site: Path | None) -> str:
    """SHA-256 over all that goes into the results beside the configuration: measurements, codebook, lanes, geometry."""
    digest = hashlib.sha256()
    columns = (data.power, data.latitude, data.longitude, data.drive)
    station = np.array([data.attrs["station_latitude"], data.attrs["station_longitude"]])
    for values in (*(column.values for column in columns), station, book.values, lanes):
        digest.update(
            b"none" if values is None else f"{values.shape}".encode() + np.ascontiguousarray(values).tobytes()
        )
    if site is not None:
        with disk_errors("reading the site", site):
            files = sorted(f for f in site.rglob("*") if f.is_file()) if site.is_dir() else [site]
            for file in files:
                with opened(file, str(file)) as stream:
                    content = hashlib.file_digest(stream, "sha256").digest()
                digest.update(file.relative_to(site).as_posix().encode() + content)
    return digest.hexdigest()


def _protocol(study: BeamStudy, data: xr.Dataset) -> np.ndarray:
    """Official numbers of the beams of the published protocol that work."""
    protocol = np.arange(study.first_beam, data.sizes["beam"], study.beam_step)
    return protocol[~data.dead.values[protocol]]


def _usable(study: BeamStudy, data: xr.Dataset) -> xr.Dataset:
    """The rows with a power on the beams of the protocol; those without are counted with the reader's."""
    beams = _protocol(study, data)
    if len(beams) < 2:
        raise SiteTwinError(
            f"{data.attrs['scenario']} has power on {len(beams)} of every {study.beam_step}th of its beams; at least "
            "two are needed to choose from"
        )
    keep = np.isfinite(data.power.values[:, beams]).any(axis=1)
    if keep.all():
        return data
    left_out = int((~keep).sum())
    kept = data.isel(sample=keep)
    if not keep.any():
        raise SiteTwinError(f"no row of {data.attrs['scenario']} has power on the beams in use")
    return kept.assign_attrs(
        skipped=[*data.attrs["skipped"], f"{left_out} without power on the beams in use"],
        skipped_rows=data.attrs["skipped_rows"] + left_out,
        masked_powers=int(np.isnan(kept.power.values).sum()),
    )


def _benches(
    study: BeamStudy, data: xr.Dataset, book: xr.DataArray, twin: StreetTwin | None, lanes: np.ndarray | None
) -> Iterator[Bench]:
    """Every combination of split and set of beams: the protocol's sixteen, and all that work.

    With fewer drives than folds each drive is a fold of its own; a single drive has no folds.
    """
    east_north = np.stack([data.east.values, data.north.values], axis=1)
    drive = data.drive.values
    track = Track.of(east_north, drive)
    axis_rad = Street.of(track).axis_rad
    protocol, alive = _protocol(study, data), np.flatnonzero(~data.dead.values)
    peaks = book.azimuth.values[book.values[alive].argmax(axis=1)]
    uniform = np.linspace(peaks[0], peaks[-1], data.sizes["beam"])
    random = random_splits(len(drive), study.repeats, study.seed)
    dealt = min(study.folds, len(np.unique(drive)))
    repeats = range(study.fold_repeats if dealt > 1 else 0)
    folds = [fold for r in repeats for fold in drive_folds(drive, dealt, study.seed + r)]
    for beams, kind, splits, per in (
        (protocol, "random", random, 1),
        (protocol, "drives", folds, dealt),
        (alive, "drives", folds, dealt),
    ):
        if not splits:
            continue
        fewest = min(len(split.pool) for split in splits)
        if fewest < _FEWEST_ROWS:
            raise SiteTwinError(
                f"{data.attrs['scenario']} leaves {fewest} rows to learn from in a split ({kind}); at least "
                f"{_FEWEST_ROWS} are needed"
            )
        yield Bench(
            study=study,
            data=data,
            track=track,
            axis_rad=axis_rad,
            east_north=east_north,
            power=data.power.values[:, beams],
            pattern=book.values[beams],
            azimuth=book.azimuth.values,
            beams=beams,
            uniform=uniform[beams],
            split=kind,
            splits=splits,
            per_repeat=per,
            twin=twin,
            lanes=lanes,
        )


def _part(folder: Path, key: str, name: str, make: Callable[[], Iterable[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The rows of a part, read back if a stopped run has finished it."""
    path = folder / "parts" / f"{name}.json"
    rows = read_part(path, key)
    if not isinstance(rows, list):
        rows = list(make())
        write_part(path, key, rows)
    return rows


def _pair(study: BeamStudy, methods: list[dict[str, Any]]) -> None:
    """Give the headline its paired differences from the best baseline: on as many rows, and on the whole pool."""
    for row in methods:
        if not row["headline"]:
            continue
        same = [m for m in methods if (m["split"], m["beams"]) == (row["split"], row["beams"]) and m["name"] in RIVALS]
        sizes = dict.fromkeys((row["n_real"], max(m["n_real"] for m in same)))
        best = [max((m for m in same if m["n_real"] == size), key=lambda m: m["top1"]["mean"]) for size in sizes]
        row["paired"] = [
            {
                "against": m["name"],
                "n_real": m["n_real"],
                "top1": paired_difference(row, m, study.bootstrap_draws, study.seed),
            }
            for m in best
        ]


def _facts(data: xr.Dataset) -> dict[str, Any]:
    attributes = ("scenario", "layout", "skipped", "skipped_rows", "masked_powers", "drive_source")
    return {
        **{name: data.attrs[name] for name in attributes},
        "rows": data.sizes["sample"],
        "beams": data.sizes["beam"],
        "dead_beams": np.flatnonzero(data.dead.values).tolist(),
        "drives": len(np.unique(data.drive.values)),
    }


def _ceilings(study: BeamStudy, data: xr.Dataset) -> list[dict[str, Any]]:
    """What label noise leaves of top-1, estimated from how often neighbours in time agree on the best beam.

    Nothing where no drive has rows near to each other.
    """
    place = np.stack([data.east.values, data.north.values], axis=1)
    protocol, alive = _protocol(study, data), np.flatnonzero(~data.dead.values)
    found = {len(b): label_ceiling(data.power.values[:, b], place, data.drive.values) for b in (protocol, alive)}
    return [{"beams": beams, "label_noise_top1": round(top1, 4)} for beams, top1 in found.items() if np.isfinite(top1)]


def _notes(study: BeamStudy, data: xr.Dataset, twin: StreetTwin | None, benches: list[Bench]) -> list[str]:
    notes = [
        "The powers are measured. n_real counts every row whose powers a method has seen, of all beams in use.",
        "Rows are chosen from GPS positions, GPS speed and drive number. Test rows are never in the pool.",
        "The calibrated twin uses the drive's GPS fixes so far (speed, direction; for its first two those after), "
        "the other methods the last fix. Turns of the array are told from measured rows of earlier and later drives. "
        "No map was used for it.",
        "The headline and the baselines used no map; where a site was given, the networks trained on its twin used it.",
        "The turn of the array in a drive is told from measured rows of all drives, later ones included; the method "
        "'turns from earlier drives' takes those of the same drive and earlier ones alone.",
        "Paired differences are taken against the baseline with the highest top-1 on the test rows themselves, which "
        "favours the baseline.",
        f"Positions were read from {data.attrs.get('position_source', 'the table')}.",
        "Intervals draw whole drives; in the folds every drive is tested once in each deal.",
        "Priors of the calibrated twin are one fixed set for all scenarios, sizes and splits. Those of boresight, "
        "station and lag were set after all nine position scenarios of DeepSense 6G had been looked at, the rest on "
        "scenarios 1, 3, 5 and 6.",
    ]
    notes += [f"Of the measurements: {note}." for note in data.attrs["notes"]]
    fewest = min(bench.fewest for bench in benches)
    asked = {*study.real_sizes, *study.drive_sizes, *study.network_sizes, *study.transfer_sizes}
    if left_out := sorted(size for size in asked if size > fewest):
        notes.append(
            f"The smallest pool has {fewest} rows; larger sizes are left out: {', '.join(map(str, left_out))}."
        )
    if study.fold_repeats == 0:
        notes.append("This is the published protocol: nothing here was tested on a drive that was not measured.")
    elif all(bench.split != "drives" for bench in benches):
        notes.append("There is one drive only: nothing here was tested on a drive that was not measured.")
    elif benches[-1].per_repeat < study.folds:
        notes.append(f"There are {benches[-1].per_repeat} drives only: each is a fold of its own.")
    if data.attrs["drive_source"] != "table":
        notes.append("This layout does not number the drives; they are told apart by the turns of the track.")
    if twin:
        a = study.twin
        notes.append(
            f"Assumed, as no source says it: station {a.station_height_m:g} m, car {a.user_height_m:g} m above the "
            f"ground, {a.bandwidth_hz / 1e6:g} MHz in {a.subcarriers} subcarriers."
        )
    return notes
