"""A calibration on disk: the site, the station, the parameters, and a page of text with a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from sitetwin.calibrate.channels.outcome import SiteCalibration
from sitetwin.calibrate.channels.result import IDENTIFIED
from sitetwin.channel.antennas.station_radio import StationRadio
from sitetwin.report.calibration_figure import draw_calibration
from sitetwin.site import save_site
from sitetwin.store.outputs import new_folder
from sitetwin.studies.frame import versions, write_json
from sitetwin.version import code_version

SITE, STATION, DOCUMENT, SUMMARY, FIGURE = "site", "station.toml", "calibration.json", "summary.md", "calibration"
"""Names in the folder: the calibrated site, the station's file, all numbers, the page, and its picture."""

ROOMS = ("calibrate", "channel", "measured", "rays", "site")
"""Folders of the package whose code decides the numbers."""


def write_calibration(found: SiteCalibration, folder: str | Path) -> Path:
    """Write a calibration into a new folder, whole or not at all.

    Args:
        found: What `sitetwin.calibrate_site` returned.
        folder: Folder to make. ``site`` in it is a saved site; ``station.toml`` the station, which `sitetwin trace
            --tx` and `sitetwin channels --bs-file` take; ``calibration.json`` holds all numbers, ``summary.md`` a page.

    Returns:
        The folder.

    Raises:
        SiteTwinError: Something is there already, or the disk refuses.
    """
    folder = Path(folder)
    station = StationRadio.of(found.position, found.radio)
    document = calibration_document(found, station)
    figure = draw_calibration(found)
    with new_folder(folder, "calibrate again") as place:
        save_site(found.site, place / SITE)
        (place / STATION).write_text(station.text(), encoding="utf-8")
        for kind, content in figure.items():
            (place / f"{FIGURE}.{kind}").write_bytes(content)
        write_json(place / DOCUMENT, document)
        (place / SUMMARY).write_text(summary(found, document), encoding="utf-8")
    return folder


def calibration_document(found: SiteCalibration, station: StationRadio) -> dict[str, Any]:
    """All numbers of a calibration, JSON-serialisable; equal calibrations give equal documents."""
    cell, held = found.cell, found.cell.held_out
    (before, after), (before_rmse, after_rmse) = held.errors_db, held.rmse_db
    return {
        "format": "sitetwin calibration",
        "carrier_hz": found.carrier_hz,
        "parameters": cell.rows(),
        "identified_below": IDENTIFIED,
        "stages": list(cell.stages),
        "stage_trials": [
            {name: _number(value) if isinstance(value, float) else value for name, value in vars(trial).items()}
            for trial in cell.trials
        ],
        "candidates": [vars(one) for one in cell.candidates],
        "misfit": cell.fit.nuisance.misfit,
        "share_of_outliers": cell.fit.nuisance.share,
        "dispersion": cell.fit.dispersion,
        "nats_per_tap": {name: _number(value) for name, value in vars(cell.losses).items()},
        "held_out": {
            "users": len(held.measured_db),
            "median_error_before_db": _number(before),
            "median_error_after_db": _number(after),
            "rmse_before_db": _number(before_rmse),
            "rmse_after_db": _number(after_rmse),
        },
        "station": station.model_dump(mode="json"),
        "offset_db": found.offset_db,
        "clock_ns": found.geometry.clock_ns,
        "users_offset_m": list(found.geometry.users),
        "notes": list(cell.notes),
        "differences": [entry for entry in found.site.provenance["differences"] if _ours(entry, found)],
        "hashes": {
            "site": found.parent_hash,
            "calibrated_site": found.site.hash,
            "geometry": found.site.geometry_hash,
            "measurements": found.measured_hash,
        },
        "versions": {**versions("numpy", "scipy", "torch"), "code": code_version(*ROOMS)},
    }


_OURS = ("split materials", "material values", "ground material", "wall material", "roof material")


def _ours(entry: dict[str, Any], found: SiteCalibration) -> bool:
    """Whether a difference of the site comes from the calibration."""
    return entry["what"] in _OURS and entry not in found.parent_differences


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def summary(found: SiteCalibration, document: dict[str, Any]) -> str:
    """The page of text (Markdown)."""
    held, station = document["held_out"], document["station"]
    told = [row for row in document["parameters"] if row["identified"]]
    lines = [
        f"# Calibration of {found.site.name}",
        "",
        f"At {found.carrier_hz / 1e6:,.6g} MHz, {len(told)} of {len(document['parameters'])} parameters are "
        f"identified: the standard deviation of their posterior is at most {IDENTIFIED:g} times that of their prior. "
        "The others stay near their priors, and their values say little. What is told of a building *by its class* "
        "comes from other buildings: its own ratio compares it with what they leave open.",
        "",
        f"![Powers of held-out users, and posteriors against priors]({FIGURE}.png)",
        "",
        *_held_out_lines(held, document["nats_per_tap"]),
        *_stage_lines(found),
        *_candidate_lines(found),
        "## Station",
        "",
        f"- It stands at {', '.join(f'{v:.2f}' for v in station['position'])} m, turned to {station['yaw_deg']:.2f} "
        f"degrees from east with a downtilt of {station['downtilt_deg']:.2f} degrees: `{STATION}`.",
        f"- Measured power is {found.offset_db:+.2f} dB over traced power, and measured delays are "
        f"{found.geometry.clock_ns:+.2f} ns over traced ones.",
        f"- Users stand {found.geometry.users[0]:+.2f} m east and {found.geometry.users[1]:+.2f} m north of their "
        "measured positions.",
        "",
        "## Parameters",
        "",
        "| parameter | unit | prior | posterior | posterior / prior sd | |",
        "|---|---|---|---|---|---|",
        *(_row(row) for row in document["parameters"]),
        "",
    ]
    if document["notes"]:
        lines += ["## To know", "", *(f"- {note}" for note in document["notes"]), ""]
    return "\n".join(lines)


def _held_out_lines(held: dict[str, Any], nats: dict[str, Any]) -> list[str]:
    if not held["users"]:
        return ["No users were held out: they stand in too few blocks to spare one.", ""]
    before, after = held["median_error_before_db"], held["median_error_after_db"]
    return [
        f"On {held['users']:,} users of held-out blocks, the median error of the power was {before:.2f} dB with the "
        f"offset alone, and is {after:.2f} dB after calibration to the other blocks (root of the mean square: "
        f"{held['rmse_before_db']:.2f} and {held['rmse_after_db']:.2f} dB). Paths that share a tap fade, which no sum "
        "of their powers follows; the log-likelihood of a tap, which knows of it, changed by "
        f"{nats['held_out_before'] - nats['held_out_after']:+.3f} nats.",
        "",
    ]


def _stage_lines(found: SiteCalibration) -> list[str]:
    """Which stages were kept, and why."""
    return [
        "## Stages",
        "",
        "A stage is kept if users of blocks that were left out of its fit agree. Powers are mean absolute errors of "
        "those users without and with the stage.",
        "",
        "| stage | kept | log-likelihood of a tap (nats) | power (dB) | why |",
        "|---|---|---|---|---|",
        *(
            f"| {trial.stage} | {'yes' if trial.kept else 'no'} | {_signed(trial.nats_per_tap)} | "
            f"{_two(trial.power_before_db)} → {_two(trial.power_after_db)} | {trial.why} |"
            for trial in found.cell.trials
        ),
        "",
    ]


def _candidate_lines(found: SiteCalibration) -> list[str]:
    """Which materials were taken."""
    if not found.cell.candidates:
        return []
    return [
        "## Candidates",
        "",
        "The fitted materials are taken unless others are clearly better, by two standard errors and 0.1 dB: a part of "
        "their change from the prior, the site's own, or ready-made ones of ground, walls and roofs. Powers are mean "
        "absolute errors of users of left-out blocks, about the constant that fits the others. What a candidate is "
        "behind comes with its standard error over blocks.",
        "",
        "| candidate | power (dB) | behind the one that was taken (dB) | taken |",
        "|---|---|---|---|",
        *(
            f"| {one.name} | {one.error_db:.2f} | {one.behind_db:+.2f} ± {one.noise_db:.2f} | "
            f"{'yes' if one.chosen else 'no'} |"
            for one in found.cell.candidates
        ),
        "",
    ]


def _signed(value: float) -> str:
    return f"{value:+.3f}" if math.isfinite(value) else ""


def _two(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "unknown"


def _row(row: dict[str, Any]) -> str:
    prior, posterior = (f"{row[value]:.4g} ± {row[sd]:.2g}" for value, sd in (("prior", "prior_sd"), ("value", "sd")))
    name = str(row["name"]).replace("|", "/")
    own = "" if row["own_ratio"] is None else f" (own {row['own_ratio']:.2f})"
    return f"| {name} | {row['unit']} | {prior} | {posterior} | {row['ratio']:.2f}{own} | {row['verdict']} |"
