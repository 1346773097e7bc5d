"""The table of methods for the terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from sitetwin.report.csi import summary
from sitetwin.report.csi.results import Results, parse_results
from sitetwin.report.csi.summary import Cell, feedback, label, short_count
from sitetwin.report.frame import interval, terminal_table


def methods_table(results: dict[str, Any] | Results) -> Table:
    """Costs and errors of the methods at the headline's size, to be printed by rich.

    Args:
        results: The content of `results.json`, parsed or already typed.

    Raises:
        SiteTwinError: The results are not those of a CSI study.
    """
    typed = results if isinstance(results, Results) else parse_results(results)
    target, split, size = (
        label(summary.headline_target(typed)),
        label(summary.headline_split(typed)),
        summary.headline_size(typed),
    )
    samples = f", {size:,} training samples" if size is not None else ""
    table = terminal_table(f"NMSE in dB on {target}, {split}{samples} (95 % intervals)")
    n_real = typed.headline.n_real if typed.headline else None
    table.add_column("method", overflow="fold", min_width=11)
    table.add_column("feedback", min_width=8)
    table.add_column("MACs\nUE", justify="right")
    for name in (
        "trained on\ntwin",
        f"twin + {n_real}\ntarget samples" if n_real is not None else "refined",
        "trained on\ntarget",
    ):
        table.add_column(name, justify="right", width=14)  # as wide as an interval
    for row in summary.method_rows(typed):
        method = row.method
        table.add_row(
            Text(method.name),
            Text(_stacked(feedback(method))),
            Text(short_count(method.macs_ue)),
            *(_cell(cell) for cell in (row.twin, row.refined, row.target)),
        )
    for control in typed.controls:
        if (control.target, control.split) != (summary.headline_target(typed), summary.headline_split(typed)):
            continue
        estimate = Text(interval(control.nmse_db, unit="").replace(" [", "\n["), style="dim")
        table.add_row(
            Text(control.name, style="dim"), Text(_stacked(control.feedback), style="dim"), "", estimate, "", ""
        )
    return table


def _stacked(sent: str) -> str:
    """What is fed back, one part per line."""
    return sent.replace(" + ", "\n+ ")


def _cell(cell: Cell | None) -> Text:
    """Mean, interval beneath, then what must be known about it."""
    if cell is None:
        return Text("–", style="dim")  # noqa: RUF001
    text = Text(interval(cell.estimate, unit="").replace(" [", "\n["), style="" if cell.converged else "yellow")
    for remark in cell.remarks:
        text.append(f"\n{remark}", style="dim")
    return text
