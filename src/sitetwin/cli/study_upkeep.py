"""The command `sitetwin study upkeep`: a codec over time, while leaves fall and users move."""

from __future__ import annotations

from typing import Annotated

import typer

from sitetwin.cli.console import out, progress_bars, say
from sitetwin.cli.failures import resumed_again
from sitetwin.cli.options.single import CellFile, StudyFolder, choice


def upkeep(
    to: StudyFolder,
    profile: Annotated[
        str, choice("quick", "full", help="quick (minutes, one seed) or full (five seeds, and summers without end).")
    ] = "quick",
    cell: CellFile = None,
    methods: Annotated[
        str, typer.Option(help="Codecs, by the names of `sitetwin codec fit --method`, separated by commas.")
    ] = "klt",
) -> None:
    """Use a codec while leaves fall and users move: what is noticed, collected and updated, and how reports age."""
    from sitetwin.report import upkeep_tables, write_upkeep_report
    from sitetwin.studies import read_cell, run_upkeep_study, upkeep_study
    from sitetwin.studies.upkeep.results import read_upkeep_results

    names = tuple(name.strip() for name in methods.split(","))
    chosen = {} if cell is None else {"cell": read_cell(cell)}
    study = upkeep_study(profile, methods=names, **chosen)
    with resumed_again(to), progress_bars() as tell:
        run_upkeep_study(study, to, tell)
        tell("report", 0.0)
        page = write_upkeep_report(to)
        tell("report", 1.0)
    for table in upkeep_tables(read_upkeep_results(to)):
        out.print(table)
    say(str(page))
