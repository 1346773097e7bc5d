"""The command `sitetwin study csi`: what a digital twin of a city is worth for CSI feedback."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sitetwin.cli.console import out, progress_bars, say
from sitetwin.cli.failures import resumed_again
from sitetwin.cli.options.single import PROFILES, StudyFolder, choice


def csi(
    to: StudyFolder,
    profile: Annotated[
        str,
        choice(
            *PROFILES,
            checked=False,
            help="quick (minutes to hours), paper (the published protocol: a day or more) or full (all sizes: days).",
        ),
    ] = "quick",
    cell: Annotated[
        Path | None, typer.Option(help="TOML file of a base station and its users on a site; Munich by default.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes; one per core by default.")] = None,
) -> None:
    """Measure what a digital twin of a city is worth to CSI feedback, from the city to a refined codec."""
    from sitetwin.report import methods_table, write_report
    from sitetwin.studies import csi_study, read_cell, run_csi_study
    from sitetwin.studies.records import read_json

    study = csi_study(profile) if cell is None else csi_study(profile, read_cell(cell))
    with resumed_again(to), progress_bars() as tell:
        run_csi_study(study, to, tell, workers)
        tell("report", 0.0)
        page = write_report(to)
        tell("report", 1.0)
    results = read_json(to / "results.json")
    out.print(methods_table(results))
    out.print(results["headline"]["text"], markup=False)
    say(str(page))
