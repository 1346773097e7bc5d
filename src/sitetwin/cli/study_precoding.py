"""The command `sitetwin study precoding`: what a channel twin is worth to a precoding transmitter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sitetwin.cli.console import out, progress_bars, say
from sitetwin.cli.failures import resumed_again
from sitetwin.cli.options.single import PROFILES, StudyFolder, choice
from sitetwin.errors import SiteTwinError


def precoding(
    to: StudyFolder,
    profile: Annotated[
        str,
        choice(
            *PROFILES,
            checked=False,
            help="quick (minutes), paper (the published sizes: half an hour) or full (all of five seeds).",
        ),
    ] = "quick",
    cell: Annotated[
        Path | None,
        typer.Option(help="TOML file of a base station and the drives past it; a street canyon by default."),
    ] = None,
    measured: Annotated[
        Path | None,
        typer.Option(
            help="Measured channels (npz, h5, mat, tfrecords) at the place of --cell, in the target's stead.",
        ),
    ] = None,
    splits: Annotated[
        str | None,
        typer.Option(
            help="How users are split, separated by commas: random, blocks, drives; all that place or file allow by "
            "default."
        ),
    ] = None,
) -> None:
    """Measure what a channel twin is worth to a precoding transmitter, by bit error rates."""
    from sitetwin.report import precoding_table, write_precoding_report
    from sitetwin.studies import precoding_study, read_place, run_precoding_study
    from sitetwin.studies.precoding.results import read_precoding_results

    if measured is not None and cell is None:
        raise SiteTwinError("measured channels need the place where they were measured; give it with --cell")
    study = precoding_study(profile) if cell is None else precoding_study(profile, read_place(cell))
    wanted = None if splits is None else [one.strip() for one in splits.split(",")]
    with resumed_again(to), progress_bars() as tell:
        run_precoding_study(study, to, tell, measured, wanted)
        tell("report", 0.0)
        page = write_precoding_report(to)
        tell("report", 1.0)
    out.print(precoding_table(read_precoding_results(to)))
    say(str(page))
