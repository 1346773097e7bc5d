"""What a beam prediction study found: one page with its figures, and a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from sitetwin.drawing.style import figure_style
from sitetwin.errors import SiteTwinError
from sitetwin.report.beams.figures import SPLITS, draw_figures, places
from sitetwin.report.beams.released import Released, agreement, beside
from sitetwin.report.frame import inline_svg, interval, number, page_environment, terminal_table, write_page
from sitetwin.studies.beams.results import BeamResults, Method, read_results
from sitetwin.studies.frame import RUN
from sitetwin.studies.records import read_json

_share = partial(interval, unit="", digits=3)


def write_beams_report(folder: Path, released: Sequence[Released] = ()) -> Path:
    """Draw the figures of a finished study and write its page.

    Args:
        folder: Folder with results.json; figures go to ``folder/figures``.
        released: Published figures, set beside those of the same protocol.

    Returns:
        Path of the page.

    Raises:
        SiteTwinError: The results are missing or not a beam study's, or the disk cannot be written.
    """
    results = read_results(folder)
    with figure_style():
        figures = draw_figures(results, released)
    environment = page_environment(
        share=lambda value, digits=3: _share(value, digits=digits), signed=partial(_share, signed=True)
    )
    page = environment.get_template("beams.html.j2").render(
        r=results,
        groups=_groups(results),
        splits=SPLITS,
        released=beside(results, released),
        agreement=agreement(results, released),
        times=_times(folder),
        figures=[(figure.caption, inline_svg(figure.files)) for figure in figures],
    )
    return write_page(folder, page, {figure.name: figure.files for figure in figures})


def beams_table(results: BeamResults) -> Table:
    """List the headline's rows and their references, for the terminal."""
    table = terminal_table("Top-1 accuracy and power loss (95 % intervals over drives)")
    for name in ("method", "split", "beams"):
        table.add_column(name, overflow="fold")
    for name in ("measured\nrows", "top-1", "top-3", "loss dB"):
        table.add_column(name, justify="right")
    for row in results.methods:
        table.add_row(
            Text(row.name, style="bold" if row.headline else ""),
            row.split,
            str(row.beams),
            str(row.n_real),
            _share(row.top1),
            number(row.top3.mean, 3),
            number(row.power_loss_db.mean, 2),
        )
    return table


def _times(folder: Path) -> list[dict[str, Any]]:
    """CPU times of tracer and network, which a run notes apart from its results; none if it has not."""
    try:
        return list(read_json(folder / RUN)["emulation"])
    except (SiteTwinError, KeyError, TypeError):
        return []


def _groups(results: BeamResults) -> list[dict[str, str | int | list[Method]]]:
    return [
        {"split": s, "beams": b, "rows": [m for m in results.methods if (m.split, m.beams) == (s, b)]}
        for s, b in places(results)
    ]
