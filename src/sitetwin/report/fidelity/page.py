"""The page of a study of fidelity, its table for the terminal, and what matters, in sentences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from sitetwin.drawing.style import figure_style
from sitetwin.report.fidelity.figures import WHOLE, cost_figure
from sitetwin.report.frame import inline_svg, interval, page_environment, terminal_table, write_drawn_page
from sitetwin.studies.fidelity.kinds import PERFECT
from sitetwin.studies.fidelity.results import FidelityResults, TwinRow, read_fidelity_results
from sitetwin.studies.records import Estimate

_MOST = 3  # single errors that are named as those that matter most
_cost = partial(interval, signed=True, digits=2)


def write_fidelity_report(folder: Path | str) -> Path:
    """Draw the figure of a finished study and write its page.

    Args:
        folder: Folder with results.json; the figure goes to ``folder/figures``.

    Returns:
        Path of the page.

    Raises:
        SiteTwinError: The results are missing or another study's, or the disk cannot be written.
    """
    folder = Path(folder)
    results = read_fidelity_results(folder)
    with figure_style():
        figures = [cost_figure(results)] if any(row.kind != PERFECT for row in results.rows) else []
    environment = page_environment(
        db=partial(interval, unit=""), cost=partial(_cost, unit=""), verdict=_verdict, seeds=_seeds
    )
    page = environment.get_template("fidelity.html.j2").render(
        r=results,
        sentences=fidelity_sentences(results),
        methods=_methods(results),
        lines=_lines(results),
        figures=[(figure.caption, inline_svg(figure.files)) for figure in figures],
        configuration=json.dumps(results.configuration, indent=2, sort_keys=True),
    )
    return write_drawn_page(folder, page, figures)


def fidelity_table(results: FidelityResults) -> Table:
    """NMSE and cost of every codec of every twin, to be printed by rich."""
    table = terminal_table(f"What a twin may have wrong, at {results.bits} bits (synthetic truth; 95 % over blocks)")
    for name in ("twin", "codec"):
        table.add_column(name, overflow="fold")
    for name in ("NMSE, dB", "cost, dB"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in results.rows:
        perfect = row.kind == PERFECT
        table.add_row(
            Text(row.name),
            Text(row.method),
            interval(row.nmse_db, unit=""),
            "" if perfect else _cost(row.cost_db, unit=""),
            "" if perfect else _verdict(row.cost_db),
        )
    return table


def fidelity_sentences(results: FidelityResults) -> list[str]:
    """What matters most and what does not matter, of the first codec."""
    method = next(iter(_methods(results)), None)
    own = [row for row in results.rows if row.method == method and row.cost_db.mean is not None]
    perfect = next((row for row in own if row.kind == PERFECT), None)
    if perfect is None:
        return ["The results hold no perfect twin, so that nothing can be compared."]
    found = [f"With the perfect twin, the codec {method} has an NMSE of {interval(perfect.nmse_db)}."]
    found += [f"{_said(row, capital=True)} costs {_cost(row.cost_db)}." for row in own if row.kind in WHOLE]
    single = [row for row in own if row.kind not in (PERFECT, *WHOLE)]
    told = sorted((row for row in single if _sign(row.cost_db) > 0), key=lambda row: -(row.cost_db.mean or 0.0))
    if told:
        found.append(f"Of single errors these matter most: {_listed(told[:_MOST])}.")
    if told[_MOST:]:
        found.append(f"These cost less: {_listed(told[_MOST:])}.")
    level = [row for row in single if _sign(row.cost_db) == 0]
    if level:
        found.append(f"The interval does not tell these from the perfect twin: {_listed(level)}.")
    better = [row for row in single if _sign(row.cost_db) < 0]
    if better:
        found.append(f"These are better than the perfect twin: {_listed(better)}.")
    return found


def _listed(rows: Sequence[TwinRow]) -> str:
    return "; ".join(f"{_said(row)} ({_cost(row.cost_db)})" for row in rows)


def _said(row: TwinRow, capital: bool = False) -> str:
    """A twin in a sentence."""
    said = {"plain": "the plain twin, all that is usually wrong at once,", "wrong site": "the wrong site"}.get(
        row.kind, row.name
    )
    return said[0].upper() + said[1:] if capital else said


def _methods(results: FidelityResults) -> list[str]:
    return list(dict.fromkeys(row.method for row in results.rows))


def _lines(results: FidelityResults) -> list[dict[str, Any]]:
    """A line for each twin, a cell for each codec."""
    cells = {(row.name, row.method): row for row in results.rows}
    methods = _methods(results)
    return [
        {"name": name, "cells": [cells.get((name, method)) for method in methods]}
        for name in dict.fromkeys(row.name for row in results.rows)
    ]


def _sign(cost: Estimate) -> int:
    """1 where the interval is above zero, -1 where it is below, 0 where it holds zero or there is none."""
    if not cost.has_interval or cost.low is None or cost.high is None:
        return 0
    return 1 if cost.low > 0 else -1 if cost.high < 0 else 0


def _verdict(cost: Estimate) -> str:
    if not cost.has_interval:
        return "no interval"
    return {1: "worse", 0: "not told apart", -1: "better"}[_sign(cost)]


def _seeds(cost: Estimate) -> str:
    """Costs of single seeds, where there are several."""
    if len(cost.values) < 2:
        return ""
    return "seeds: " + ", ".join(f"{value:+.2f}" for value in cost.values if value is not None)
