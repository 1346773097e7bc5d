"""The command `sitetwin study calibration`: what a map and a few measured rows of power are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sitetwin.cli.console import out, progress_bars, say
from sitetwin.cli.failures import resumed_again
from sitetwin.cli.options.single import StudyFolder, choice
from sitetwin.errors import SiteTwinError


def calibration(
    to: StudyFolder,
    site: Annotated[str, typer.Option(help="The site: saved folder, built-in scene or file.")],
    measured: Annotated[Path, typer.Option(help="Measured power (.csv), as the reference of measured power says.")],
    stations: Annotated[
        Path, typer.Option(help="Stations (.toml or .json), each with the name that its cell has in the measured rows.")
    ],
    profile: Annotated[
        str,
        choice(
            "quick",
            "paper",
            "full",
            help="quick (one seed, 200 rows), paper (six seeds, both splits, cells together) or full (25 to 800 rows).",
        ),
    ] = "quick",
    rows: Annotated[str | None, typer.Option(help="Measured rows of each cell, separated by commas.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Number of seeds.")] = None,
) -> None:
    """Predict power where nothing was measured, and compare the twin with controls on held-out blocks."""
    from sitetwin.channel.stations import read_stations
    from sitetwin.report import calibration_study_table, write_calibration_study
    from sitetwin.site import open_site
    from sitetwin.studies import calibration_study, run_calibration_study
    from sitetwin.studies.calibration.results import read_calibration_study

    study = calibration_study(profile, rows=None if rows is None else _whole(rows), seeds=seeds)
    with resumed_again(to), progress_bars() as tell:
        run_calibration_study(study, open_site(site), measured, read_stations(stations), to, tell)
        tell("report", 0.0)
        page = write_calibration_study(to)
        tell("report", 1.0)
    out.print(calibration_study_table(read_calibration_study(to)))
    say(str(page))


def _whole(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and len(word) < 6 for word in words):
        raise SiteTwinError(f"'{text[:40]}' is no list of numbers of rows; give whole numbers, as 100,200")
    return [int(word) for word in words]
