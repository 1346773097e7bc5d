"""The page of a study of calibrated power, and its table for the terminal."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from rich.table import Table

from sitetwin.drawing.style import FULL_WIDTH, figure_style, new_figure, render
from sitetwin.report.frame import (
    Drawn,
    inline_svg,
    interval,
    number,
    page_environment,
    paired_verdict,
    terminal_table,
    write_drawn_page,
)
from sitetwin.studies.calibration.config import TWIN
from sitetwin.studies.calibration.results import CalibrationStudyResults, read_calibration_study

_RANGE_DB = 15.0


def write_calibration_study(folder: Path | str) -> Path:
    """Draw the figures of a finished study and write its page.

    Args:
        folder: Folder with results.json; figures go to ``folder/figures``.

    Returns:
        Path of the page.

    Raises:
        SiteTwinError: The results are missing or another study's, or the disk cannot be written.
    """
    folder = Path(folder)
    results = read_calibration_study(folder)
    with figure_style():
        figures = [_residual_map(results)]
        if len(results.configuration.get("rows", ())) > 1:
            figures.append(_over_rows(results))
    environment = page_environment(db=partial(interval, unit="", digits=2), percent=_percent, verdict=paired_verdict)
    page = environment.get_template("calibration_study.html.j2").render(
        r=results,
        figures=[(figure.caption, inline_svg(figure.files)) for figure in figures],
        configuration=json.dumps(results.configuration, indent=2, sort_keys=True),
    )
    return write_drawn_page(folder, page, figures)


def calibration_study_table(results: CalibrationStudyResults) -> Table:
    """RMSE, coverage and the difference to the twin of every method, to be printed by rich."""
    table = terminal_table("RMSE of left-out rows (95 % over blocks)")
    for name in ("split", "rows a cell", "method"):
        table.add_column(name)
    for name in ("RMSE, dB", "cells, dB", "within 90 %", "twin less it, dB"):
        table.add_column(name, justify="right")
    against = {(p.split, p.rows, p.b): p.difference_db for p in results.pairs if p.a == TWIN}
    for row in results.rows:
        table.add_row(
            row.split,
            str(row.rows),
            row.method,
            interval(row.rmse_db, unit="", digits=2),
            " ".join(number(v, 2) for v in row.cells_db),
            _percent(row.covered),
            interval(against.get((row.split, row.rows, row.method)), unit="", digits=2, signed=True),
        )
    return table


def _residual_map(results: CalibrationStudyResults) -> Drawn:
    """Errors of the twin at left-out rows, a panel for each cell."""
    count = len(results.residuals)
    columns = min(count, 2)
    lines = -(-count // columns)
    figure = new_figure(FULL_WIDTH, 3.2 * lines)
    panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    shown = None
    for axes, cell in zip(panels, results.residuals, strict=False):
        shown = axes.scatter(
            cell.east_m, cell.north_m, c=cell.error_db, s=2, cmap="RdBu_r", vmin=-_RANGE_DB, vmax=_RANGE_DB
        )
        axes.plot(0, 0, marker="^", color="black")
        axes.set_title(f"cell {cell.cell}")
        axes.set_aspect("equal")
        axes.set_xlabel("east of the station, m")
    panels[0].set_ylabel("north, m")
    for axes in panels[count:]:
        axes.set_axis_off()
    if shown is not None:
        figure.colorbar(shown, ax=list(panels), label="predicted less measured, dB", shrink=0.7)
    caption = "What the twin missed at left-out rows of the first seed: red where it predicts too much."
    return Drawn("residuals", caption, render(figure))


def _over_rows(results: CalibrationStudyResults) -> Drawn:
    """RMSE over the number of rows."""
    splits = list(dict.fromkeys(row.split for row in results.rows))
    figure = new_figure(FULL_WIDTH, 3.6)
    panels = figure.subplots(1, len(splits), squeeze=False, sharey=True)[0]
    for axes, split in zip(panels, splits, strict=True):
        for method in dict.fromkeys(row.method for row in results.rows):
            own = [row for row in results.rows if (row.split, row.method) == (split, method)]
            axes.plot([row.rows for row in own], [row.rmse_db.mean for row in own], marker="o", label=method)
        axes.set_xscale("log")
        axes.set_title(f"{split} held out")
        axes.set_xlabel("measured rows of a cell")
    panels[0].set_ylabel("RMSE of left-out rows, dB")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return Drawn("over-rows", "RMSE of left-out rows over the number of measured rows of each cell.", render(figure))


def _percent(share: float | None) -> str:
    return number(None if share is None else 100 * share, 1)
