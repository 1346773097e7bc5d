"""The command `sitetwin study beams`: beam prediction on measured scenarios."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sitetwin.cli.console import out, progress_bars, say
from sitetwin.cli.failures import resumed_again
from sitetwin.cli.options.single import PROFILES, StudyFolder, choice

POWER_UNITS = ("linear", "dB")
STRESS_NAMES = (
    "added-power",
    "gain",
    "codebook-turned-by--25",
    "codebook-turned-by-25",
    "added-power-and-codebook-turned-by--15",
    "array-turned-by-20",
    "station-moved",
)


def beams(
    scenario: Annotated[
        Path,
        typer.Option(
            help="Folder of a DeepSense 6G scenario, of the release of arXiv 2301.07682, or a "
            "scenario<n>_unit1_pwr_60ghz_*.npy beside its positions."
        ),
    ],
    to: StudyFolder,
    profile: Annotated[
        str,
        choice(
            *PROFILES,
            checked=False,
            help="quick (minutes: all methods at few sizes), paper (the published protocol) or full (also folds of "
            "whole drives, all beams, and the twin without its parts).",
        ),
    ] = "quick",
    codebook: Annotated[
        Path | None,
        typer.Option(help="Folder with built_in_beam_pattern_<n>.mat; codebook_beams in the scenario by default."),
    ] = None,
    site: Annotated[
        Path | None,
        typer.Option(help="Folder of the street's geometry, with georeference.json; without it, line of sight alone."),
    ] = None,
    power_unit: Annotated[
        str | None,
        choice(
            *POWER_UNITS,
            help="Unit of the measured powers: linear, or dB. By default the numbers decide, and numbers that may be "
            "either are refused.",
        ),
    ] = None,
    stress: Annotated[
        str | None,
        choice(
            *STRESS_NAMES,
            help="Put measurements and codebook under a stress that a method should not notice.",
        ),
    ] = None,
    published: Annotated[
        Path | None, typer.Option(help="Table curve,metric,topk,n_train,mean,std of released results, to show beside.")
    ] = None,
) -> None:
    """Predict beams from positions, on measured powers, with a calibrated twin, the published network and baselines."""
    from sitetwin.report.beams.page import beams_table, write_beams_report
    from sitetwin.report.beams.released import read_published
    from sitetwin.studies.beams.config import beam_study
    from sitetwin.studies.beams.results import read_results
    from sitetwin.studies.beams.study import run_beam_study

    study = beam_study(profile, stress)
    released = read_published(published) if published is not None else []
    with resumed_again(to), progress_bars() as tell:
        run_beam_study(study, scenario, to, codebook, site, tell, power_unit)  # type: ignore[arg-type]  # checked as read
        page = write_beams_report(to, released)
    out.print(beams_table(read_results(to)))
    say(str(page))
