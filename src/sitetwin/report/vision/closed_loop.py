"""Tables of the closed loop, for the page and for the terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from sitetwin.report.frame import interval, number, terminal_table
from sitetwin.studies.vision.results import LoopRow, VisionResults

_TITLES = {
    "blocked": "Blocked moments",
    "clear": "Moments in line of sight",
    "natural share": "All moments, weighted to the natural share of blockage",
}


def loop_groups(results: VisionResults) -> list[tuple[str, list[LoopRow]]]:
    """Return rows of each group of moments with its title; nothing where no loop was run."""
    if results.loop is None:
        return []
    rows = results.loop.rows
    return [(title, [row for row in rows if row.moments == group]) for group, title in _TITLES.items()]


def closed_loop_table(results: VisionResults) -> Table:
    """Accuracies and losses of the closed loop, to be printed by rich; without rows where no loop was run.

    Args:
        results: What the study found.
    """
    table = terminal_table("The closed loop, on synthetic streets (95 % over drives)")
    for name in ("moments", "method"):
        table.add_column(name, overflow="fold")
    for name in ("layer 1, top-1", "DBA", "median loss, dB (10 log)", "(20 log)"):
        table.add_column(name, justify="right")
    for title, rows in loop_groups(results):
        for row in rows:
            table.add_row(
                f"{title} ({row.count})",
                Text(row.method),
                interval(row.l1, unit="", digits=3),
                interval(row.dba, unit="", digits=3),
                interval(row.loss, unit="", digits=2),
                number(row.loss_20log, 2),
            )
    return table
