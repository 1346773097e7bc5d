"""The page of a study of codecs over time, and its tables for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from sitetwin.drawing.style import figure_style
from sitetwin.report.frame import inline_svg, interval, number, page_environment, terminal_table, write_drawn_page
from sitetwin.report.upkeep.figures import draw_figures
from sitetwin.studies.upkeep.results import LOOKED_AFTER, NEVER, ONCE, SeasonRun, UpkeepResults, read_upkeep_results

LIVES = (LOOKED_AFTER, ONCE, NEVER)
IN_LEAF, SOME, BARE, TURNED = SPANS = ("all trees in leaf", "some in leaf", "all bare", "array turned")
CHANGES = "leaves fall"
_SHOWN_MS = (0.0, 5.0, 10.0, 20.0, 30.0, 50.0)
_LESS = {0: "", 3: "k", 6: "M", 9: "G", 12: "T"}


def write_upkeep_report(folder: Path) -> Path:
    """Draw the figures of a finished study and write its page.

    Args:
        folder: Folder with results.json; figures go to ``folder/figures``.

    Returns:
        Path of the page.

    Raises:
        SiteTwinError: The results are missing or another study's, or the disk cannot be written.
    """
    results = read_upkeep_results(folder)
    with figure_style():
        figures = draw_figures(results)
    page = (
        page_environment(amount=amount)
        .get_template("upkeep.html.j2")
        .render(
            r=results,
            seasons=[_season(run) for run in results.seasons],
            lives=LIVES,
            ageing=ageing_rows(results),
            delays=_delays(results),
            figures=[(figure.caption, inline_svg(figure.files)) for figure in figures],
        )
    )
    return write_drawn_page(folder, page, figures)


def amount(value: float, unit: str = "bit") -> str:
    """A number of bits and the like with three digits: ``5.24 Mbit``."""
    power = next((p for p in (12, 9, 6, 3) if abs(value) >= 10**p), 0)
    return f"{value / 10**power:.3g} {_LESS[power]}{unit}"


def _season(run: SeasonRun) -> dict[str, Any]:
    """One run over the days, for the page: means over days in leaf, bare and between."""
    spans = {
        IN_LEAF: [day for day in run.days if day.in_leaf == 1 and not day.turned],
        SOME: [day for day in run.days if 0 < day.in_leaf < 1 and not day.turned],
        BARE: [day for day in run.days if day.in_leaf == 0 and not day.turned],
        TURNED: [day for day in run.days if day.turned],
    }
    means = {
        span: {
            life: (
                sum(day.nmse_db[life] for day in days) / len(days),
                sum(day.sgcs[life] for day in days) / len(days),
            )
            for life in LIVES
        }
        for span, days in spans.items()
        if days
    }
    return {"run": run, "means": means}


def _delays(results: UpkeepResults) -> list[float]:
    """Delays that tables show: those of the list that were judged, else all."""
    judged = results.ageing[0].delay_ms if results.ageing else []
    shown = [one for one in judged if any(abs(one - wanted) < 1e-6 for wanted in _SHOWN_MS)]
    return shown if len(shown) > 1 else judged


def ageing_rows(results: UpkeepResults) -> list[dict[str, Any]]:
    """Rows of the table of delays: codec, speed, use, and at each delay the NMSE and the similarity."""
    rows = []
    for one in results.ageing:
        at = [one.delay_ms.index(delay) for delay in _delays(results)]
        rows.append({"row": one, "nmse_db": [one.nmse_db[k] for k in at], "sgcs": [one.sgcs[k] for k in at]})
    return rows


def upkeep_tables(results: UpkeepResults) -> list[Table]:
    """How codecs serve over the days, and how reports age, to be printed by rich."""
    days = terminal_table("NMSE in dB, mean over days (looked after / updated once / never updated)")
    for name in ("codec", "seed", "days", "in leaf", "some", "bare", "turned", "alarms", "updates", "uploads"):
        days.add_column(name, overflow="fold")
    for run in results.seasons:
        means = _season(run)["means"]
        cells = [
            " / ".join(number(means[span][life][0], 1) for life in LIVES) if span in means else "" for span in SPANS
        ]
        happened = [event.what for event in run.events]
        days.add_row(
            Text(run.method),
            str(run.seed),
            CHANGES if run.changes else "always summer",
            *cells,
            str(happened.count("alarm")),
            str(happened.count("updated")),
            str(run.counts["uploads"]),
        )
    ageing = terminal_table("Cosine similarity against the feedback delay")
    for name in ("codec", "m/s", "used"):
        ageing.add_column(name, overflow="fold")
    for delay in _delays(results):
        ageing.add_column(f"{delay:g} ms", justify="right")
    for row in ageing_rows(results):
        one = row["row"]
        cells = [interval(value, unit="", digits=3) for value in row["sgcs"]]
        ageing.add_row(Text(one.method or "lossless"), f"{one.speed:g}", one.used, *cells)
    return [days, ageing]
