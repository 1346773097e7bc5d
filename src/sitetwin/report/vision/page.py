"""The page of a vision study in the form of the paper's tables, and its table for the terminal."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from sitetwin.drawing.style import figure_style
from sitetwin.report.frame import inline_svg, interval, page_environment, terminal_table, write_page
from sitetwin.report.vision.closed_loop import loop_groups
from sitetwin.report.vision.drives import drives_part
from sitetwin.report.vision.figures import draw_figures, label
from sitetwin.report.vision.printed import LOSSES, printed_tables
from sitetwin.studies.vision.published import SCENARIOS, TABLE_1, TABLE_2, TABLE_3
from sitetwin.studies.vision.results import TOLD, TOLD_AHEAD, Row, ScenarioResults, VisionResults, read_vision_results


def write_vision_report(folder: Path) -> Path:
    """Draw the figures of a finished study and write its page.

    Args:
        folder: Folder with results.json; figures go to ``folder/figures``.

    Returns:
        Path of the page.

    Raises:
        SiteTwinError: The results are missing or not a vision study's, or the disk cannot be written.
    """
    results = read_vision_results(folder)
    with figure_style():
        figures = draw_figures(results)
    environment = page_environment(
        share=partial(interval, unit="", digits=3),
        gain=partial(interval, unit="", digits=3, signed=True),
        loss=partial(interval, unit="", digits=2),
    )
    page = environment.get_template("vision.html.j2").render(
        r=results,
        table_1=_table_1(results),
        table_2=_table_2(results),
        table_3=_table_3(results),
        scenarios=[(one, _rows(one, "predicted"), _rows(one, "explained")) for one in results.scenarios],
        loop_groups=loop_groups(results),
        label=label,
        told=(TOLD, TOLD_AHEAD),
        figures=[(figure.caption, inline_svg(figure.files)) for figure in figures],
        **printed_tables(results),
        **drives_part(folder, environment),
    )
    return write_page(folder, page, {f.name: f.files for f in figures}, lambda name: name.startswith("accuracy-"))


def vision_table(results: dict[str, Any] | VisionResults) -> Table:
    """Accuracies and losses of every method on every scenario, to be printed by rich.

    Args:
        results: The content of `results.json`, parsed or already typed.
    """
    typed = results if isinstance(results, VisionResults) else VisionResults.model_validate(results)
    table = terminal_table("The vision twin on measured powers (drives apart; 95 % over drives)")
    for name in ("scenario", "method"):
        table.add_column(name, overflow="fold")
    for name in ("DBA", "top-1", "50 %, dB", "95 %, dB"):
        table.add_column(name, justify="right")
    for one in typed.scenarios:
        for row in one.rows:
            table.add_row(
                one.name,
                Text(label(row)),
                interval(row.dba, unit="", digits=3),
                f"{row.top1:.3f}",
                f"{row.p50_top1:.2f}",
                f"{row.p95_top1:.2f}",
            )
    return table


def _rows(one: ScenarioResults, task: str) -> list[Row]:
    return [row for row in one.rows if row.task == task]


def _ours(results: VisionResults) -> dict[str, dict[str, Row]]:
    """Predicting rows of each scenario of the challenge that is there: by label, then by scenario."""
    found: dict[str, dict[str, Row]] = {}
    for one in results.scenarios:
        if one.name in SCENARIOS:
            for row in _rows(one, "predicted"):
                found.setdefault(label(row), {})[one.name] = row
    return found


def _table_1(results: VisionResults) -> list[dict[str, Any]]:
    """Distance-based accuracy: printed rows, then ours where scenarios 31 to 34 are there."""
    rows: list[dict[str, Any]] = [
        {
            "method": method,
            "source": "printed",
            "converged": None,
            "cells": [*(cells[name] for name in SCENARIOS), cells["overall"], None],
        }
        for method, cells in TABLE_1.items()
    ]
    overall = {(one.method, one.whole_pool): one for one in results.overall}
    for name, of in _ours(results).items():
        cells = [of[s].dba.mean if s in of else None for s in SCENARIOS]
        first = next(iter(of.values()))
        total = overall.get((first.method, first.whole_pool))
        rows.append(
            {
                "method": name,
                "source": "ours",
                "converged": False if any(row.converged is False for row in of.values()) else None,
                "cells": [*cells, total.weights if total else None, total.samples if total else None],
            }
        )
    return rows


def _table_2(results: VisionResults) -> list[dict[str, Any]]:
    """Accuracy of wide beams in per cent: printed rows, then ours on every scenario."""
    rows: list[dict[str, Any]] = [
        {"method": method, "scenario": "not stated", "source": "printed", "converged": None, "cells": cells}
        for method, cells in TABLE_2.items()
    ]
    for one in results.scenarios:
        for row in _rows(one, "predicted"):
            if row.wide_top1 is not None and row.wide_top2 is not None:
                cells = (100 * row.wide_top1, 100 * row.wide_top2)
                rows.append(_our_row(row, one.name, cells))
    return rows


def _our_row(row: Row, scenario: str, cells: tuple[float, ...]) -> dict[str, Any]:
    return {
        "method": label(row),
        "scenario": scenario,
        "source": "ours",
        "converged": row.converged,
        "cells": cells,
    }


def _table_3(results: VisionResults) -> list[dict[str, Any]]:
    """Lost power: printed rows, then ours on every scenario."""
    rows: list[dict[str, Any]] = [
        {"method": method, "scenario": name, "source": "printed", "converged": None, "cells": cells}
        for (method, name), cells in TABLE_3.items()
    ]
    for one in results.scenarios:
        for row in _rows(one, "predicted"):
            cells = tuple(getattr(row, name) for name in LOSSES)
            rows.append(_our_row(row, one.name, cells))
    return rows
