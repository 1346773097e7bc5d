"""The command `sitetwin study rates`: codecs and all that they must beat, at equal bits."""

from __future__ import annotations

from typing import Annotated

import typer

from sitetwin.cli.console import out, progress_bars, say
from sitetwin.cli.failures import resumed_again
from sitetwin.cli.options.single import CellFile, StudyFolder, choice
from sitetwin.errors import SiteTwinError


def rates(
    to: StudyFolder,
    profile: Annotated[
        str, choice("quick", "full", help="quick (two cases, three seeds) or full (four cases, five seeds: hours).")
    ] = "quick",
    cell: CellFile = None,
    methods: Annotated[
        str | None,
        typer.Option(help="Codecs, by the names of `sitetwin codec fit --method`, separated by commas; the fast ones."),
    ] = None,
    sources: Annotated[
        str | None,
        typer.Option(
            help="What they are trained on, separated by commas: twin, target, wrong site, refined (the twin and 40 of "
            "the target), shuffled (its control), umi, cdl-a to cdl-e; the first three in quick."
        ),
    ] = None,
    bits: Annotated[
        str | None,
        typer.Option(help="Bits of a report, separated by commas; 64,128,256 in quick, five in full."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Number of seeds.")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of networks; their own by default, which takes hours.")
    ] = None,
) -> None:
    """Compare codecs of the twin with those that need no twin, at equal bits: errors, rates, beams and costs."""
    from sitetwin.report import rates_sentences, rates_table, write_rates_report
    from sitetwin.studies import rates_study, read_cells, run_rates_study
    from sitetwin.studies.rates.results import read_rates_results

    cells = () if cell is None else read_cells(cell)
    study = rates_study(
        profile,
        *cells,
        methods=_names(methods),
        sources=_names(sources),
        bits=None if bits is None else [_whole(one) for one in _names(bits) or []],
        seeds=seeds,
        epochs=epochs,
    )
    with resumed_again(to), progress_bars() as tell:
        run_rates_study(study, to, tell)
        tell("report", 0.0)
        page = write_rates_report(to)
        tell("report", 1.0)
    results = read_rates_results(to)
    out.print(rates_table(results))
    for sentence in rates_sentences(results):
        out.print(sentence, markup=False)
    say(str(page))


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",")]


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise SiteTwinError(f"'{text}' is no number of bits; give whole numbers, separated by commas, as 64,128")
    return int(text)
