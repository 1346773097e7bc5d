"""The command `sitetwin study csi`: what a digital twin of a city is worth for CSI feedback."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sitetwin.cli.console import out, progress_bars, say
from sitetwin.cli.failures import resumed_again
from sitetwin.cli.options.single import PROFILES, CellFile, StudyFolder, choice


def csi(
    to: StudyFolder,
    profile: Annotated[
        str,
        choice(
            "demo",
            *PROFILES,
            checked=False,
            help="demo (a minute or two), quick (minutes to hours), paper (the published protocol: a day or more) "
            "or full (all sizes: days).",
        ),
    ] = "quick",
    cell: CellFile = None,
    codec: Annotated[
        list[str] | None,
        typer.Option(help='Run this codec only, as "KLT mixture"; may be given several times. All by default.'),
    ] = None,
    published: Annotated[
        Path | None, typer.Option(help="Table curve,n_train,nmse_db,std_db of released results, to show beside.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes; one per core by default.")] = None,
) -> None:
    """Measure what a digital twin of a city is worth to CSI feedback, from the city to a refined codec."""
    from sitetwin.report import methods_table, write_report
    from sitetwin.report.csi.paper import read_released
    from sitetwin.studies import csi_study, read_cells, run_csi_study
    from sitetwin.studies.records import read_json

    if published is not None:
        read_released(published)  # a table that is refused is refused before the hours of the study
    codecs = None if codec is None else tuple(codec)
    study = csi_study(profile, codecs=codecs) if cell is None else csi_study(profile, *read_cells(cell), codecs=codecs)
    with resumed_again(to), progress_bars() as tell:
        run_csi_study(study, to, tell, workers)
        tell("report", 0.0)
        page = write_report(to, published)
        tell("report", 1.0)
    results = read_json(to / "results.json")
    out.print(methods_table(results))
    out.print(results["headline"]["text"], markup=False)
    say(str(page))


def csi_sets(
    to: StudyFolder,
    profile: Annotated[str, choice(*PROFILES, checked=False, help="Profile of the study whose matrices these are.")] = (
        "paper"
    ),
    cell: CellFile = None,
    seed: Annotated[int, typer.Option(help="One of the study's seeds.")] = 0,
    case: Annotated[
        list[str] | None,
        typer.Option(help="Target and split, as target_a/random; may be given several times. All by default."),
    ] = None,
) -> None:
    """Write the matrices that a seed of the CSI study trains and tests with, for a codec that is trained elsewhere."""
    from sitetwin.studies import csi_study, read_cells, write_csi_sets

    study = csi_study(profile) if cell is None else csi_study(profile, *read_cells(cell))
    wanted = None if case is None else tuple((one.partition("/")[0], one.partition("/")[2]) for one in case)
    with progress_bars() as tell:
        files = write_csi_sets(study, to, seed, wanted, tell)
    for file in files:
        say(str(file))


def csi_network(
    sets: Annotated[Path, typer.Option(help="Folder that `sitetwin study csi-sets` wrote.")],
    to: StudyFolder,
    source: Annotated[str, choice("twin", "wrong_site", "target", help="What it is trained on.")] = "twin",
    size: Annotated[int, typer.Option(min=1, help="Training samples.")] = 5120,
    refine: Annotated[
        str | None,
        choice(
            "naive",
            "rehearsal",
            "tuned",
            help="Refine the network of the twin with target samples: as published, or naively at its best.",
        ),
    ] = None,
    rule: Annotated[str, choice("random", "high-nmse", help="How target samples are chosen.")] = "high-nmse",
    count: Annotated[int, typer.Option(min=0, help="Target samples of a refinement.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Samples per step: 32 (journal's code) or 4 (conference's).")] = 32,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of the training; fewer than 160 are a trial.")] = 160,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and choice.")] = 0,
) -> None:
    """Train CSINet+ once by the published recipe, from matrices in files; a run that was stopped goes on."""
    from sitetwin.studies import NetworkRun, train_network
    from sitetwin.studies.records import read_json

    run = NetworkRun(source, size, refine, rule, count, batch=batch, epochs=epochs, seed=seed)
    with progress_bars() as tell:
        path = train_network(sets, to, run, tell)
    row = read_json(path)
    out.print(f"{run.name}: score {row['score_db']} dB over {row['score_epochs']} epochs, final {row['nmse_db']} dB")
    say(str(path))
