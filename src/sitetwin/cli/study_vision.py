"""The command `sitetwin study vision`: the published vision twin on measured powers, and the closed loop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sitetwin.cli.console import out, progress_bars, say
from sitetwin.cli.failures import resumed_again
from sitetwin.cli.options.single import PROFILES, StudyFolder, choice
from sitetwin.cli.study_beams import POWER_UNITS

FIXES = ("stale", "extrapolated")
DETECTORS = ("ssd-open-images", "centernet", "both")
CAMERAS = ("known", "fitted")


def vision(
    to: StudyFolder,
    scenario: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of a DeepSense 6G scenario, a scenario<n>_unit1_pwr_60ghz_*.npy beside its positions, or a "
            "package of the challenge of 2022; may be given several times. Without any, the closed loop on synthetic "
            "streets is run."
        ),
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(
            help="Folder of recorded drives through synthetic streets (`campaign.json`) for the closed loop. Without "
            "it the loop records its own."
        ),
    ] = None,
    profile: Annotated[
        str,
        choice(
            *PROFILES,
            checked=False,
            help="quick (minutes), paper (the published protocol) or full (the drives dealt five times).",
        ),
    ] = "quick",
    codebook: Annotated[
        Path | None,
        typer.Option(
            help="Folder with built_in_beam_pattern_<n>.mat; codebook_beams in or beside each scenario by default. "
            "Without any, an ideal array stands for it."
        ),
    ] = None,
    power_unit: Annotated[
        str | None,
        choice(*POWER_UNITS, help="Unit of the measured powers: linear, or dB. By default the numbers decide."),
    ] = None,
    fixes: Annotated[
        str | None,
        choice(
            *FIXES,
            help="Positions in packages of the challenge, which give the first two of five: the second as it is, which "
            "is the default, or both continued at their speed. Other scenarios have the position of each row.",
        ),
    ] = None,
    detector: Annotated[
        str | None,
        choice(
            *DETECTORS,
            help="Network that finds objects in images of scenarios, for the paper's own twin, which is left out else; "
            "`sitetwin vision models fetch` brings it. The closed loop fetches and takes both by default.",
        ),
    ] = None,
    camera: Annotated[
        str | None,
        choice(*CAMERAS, help="Of the closed loop: known (default), or fitted to boxes and fixes of its other drives."),
    ] = None,
) -> None:
    """Judge the published vision twin on measured powers, beside its tables, or a traced one in a closed loop."""
    from sitetwin.report import closed_loop_table, printed_table, vision_table, write_vision_report
    from sitetwin.studies import run_vision_study, vision_study
    from sitetwin.studies.vision.results import read_vision_results
    from sitetwin.vision import load_detector

    study = vision_study(profile) if camera is None else vision_study(profile, camera)
    eyes = None if detector is None else load_detector(detector)
    with resumed_again(to), progress_bars() as tell:
        run_vision_study(
            study, scenario or [], to, codebook, power_unit, fixes, tell, eyes,  # type: ignore[arg-type]  # as read
            closed_loop=not scenario, recordings=frames,
        )  # fmt: skip
        page = write_vision_report(to)
    results = read_vision_results(to)
    if results.scenarios:
        out.print(vision_table(results))
    if results.loop is not None:
        out.print(closed_loop_table(results))
        out.print(printed_table(results))
    say(str(page))
