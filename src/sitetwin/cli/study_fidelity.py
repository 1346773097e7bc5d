"""The command `sitetwin study fidelity`: how true a twin must be for CSI feedback."""

from __future__ import annotations

from typing import Annotated

import typer

from sitetwin.cli.console import out, progress_bars, say
from sitetwin.cli.failures import resumed_again
from sitetwin.cli.options.single import CellFile, StudyFolder, choice


def fidelity(
    to: StudyFolder,
    profile: Annotated[
        str,
        choice(
            "quick", "full", help="quick (one or two strengths, one seed) or full (all strengths, five seeds: hours)."
        ),
    ] = "quick",
    cell: CellFile = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="Codecs, by the names of `sitetwin codec fit --method`, separated by commas; hybrid,klt-entropy,paths."
        ),
    ] = None,
    bits: Annotated[int | None, typer.Option(min=1, help="Bits of a report; 128.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Number of seeds.")] = None,
) -> None:
    """Say what each error of a twin costs CSI feedback: trees, walls, roofs, materials, reflections, array, station."""
    from sitetwin.report import fidelity_sentences, fidelity_table, write_fidelity_report
    from sitetwin.studies import fidelity_study, read_cells, run_fidelity_study
    from sitetwin.studies.fidelity.results import read_fidelity_results

    cells = () if cell is None else read_cells(cell)
    names = None if methods is None else [name.strip() for name in methods.split(",")]
    study = fidelity_study(profile, *cells, methods=names, bits=bits, seeds=seeds)
    with resumed_again(to), progress_bars() as tell:
        run_fidelity_study(study, to, tell)
        tell("report", 0.0)
        page = write_fidelity_report(to)
        tell("report", 1.0)
    results = read_fidelity_results(to)
    out.print(fidelity_table(results))
    for sentence in fidelity_sentences(results):
        out.print(sentence, markup=False)
    say(str(page))
