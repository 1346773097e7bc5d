"""The page of a precoding study, and its table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from sitetwin.drawing.style import figure_style
from sitetwin.report.frame import inline_svg, interval, page_environment, terminal_table, write_page
from sitetwin.report.precoding.figures import SPLITS, draw_figures
from sitetwin.studies.precoding.results import PrecodingResults, Row, read_precoding_results
from sitetwin.studies.records import Estimate

PUBLISHED_NMSE_DB = {"twin": 8.2392, "U-Net": -21.2773}
"""Table III of arXiv 2501.16504: Case 1, the fine-tuned ray-traced channel, and Case 2, the network's."""

_TABLE3 = {
    "Case 1: ray-traced twin": "twin",
    "Case 2: U-Net on the twin": "U-Net",
    "U-Net of single taps, as the text says": "U-Net, single taps",
    "MLP": "MLP",
    "nearest measurement, no twin": "nearest measurement",
}
"""Rows of our Table III: the two of the paper, and what it does not print."""

_TITLES = {
    "rays": "Rays and mechanisms (Fig. 4)",
    "materials": "Materials (Fig. 5)",
    "networks": "Networks and controls (Fig. 6, Table III)",
    "statistics": "The twin as statistics",
}


def write_precoding_report(folder: Path) -> Path:
    """Draw the figures of a finished study and write its page.

    Args:
        folder: Folder with results.json; figures go to ``folder/figures``.

    Returns:
        Path of the page.

    Raises:
        SiteTwinError: The results are missing or not a precoding study's, or the disk cannot be written.
    """
    results = read_precoding_results(folder)
    with figure_style():
        figures = draw_figures(results)
    environment = page_environment(
        loss=_loss, share=partial(interval, unit="", digits=3), nmse=partial(interval, unit="")
    )
    page = environment.get_template("precoding.html.j2").render(
        r=results,
        groups=_groups(results),
        splits=SPLITS,
        published=_table3(results),
        figures=[(figure.caption, inline_svg(figure.files)) for figure in figures],
    )
    ours = {figure.name for figure in figures}
    return write_page(
        folder, page, {f.name: f.files for f in figures}, lambda name: name.startswith("fig") or name in ours
    )


def precoding_table(results: dict[str, Any] | PrecodingResults) -> Table:
    """SNR losses and NMSEs of the methods at each carrier and split, to be printed by rich.

    Args:
        results: The content of `results.json`, parsed or already typed.
    """
    typed = results if isinstance(results, PrecodingResults) else PrecodingResults.model_validate(results)
    kind = "synthetic targets" if typed.synthetic else "measured channels"
    table = terminal_table(f"SNR loss against the genie at a bit error rate of 1e-3 ({kind}; 95 % over seeds)")
    for name in ("MHz", "split", "method"):
        table.add_column(name, overflow="fold")
    for name in ("loss, dB", "median user, dB", "NMSE, dB", "efficiency"):
        table.add_column(name, justify="right")
    for row in typed.rows:
        if row.figure in ("networks", "statistics"):
            table.add_row(
                f"{row.carrier_hz / 1e6:g}",
                row.split,
                Text(row.method),
                _loss(row.loss_db),
                _loss(row.user_loss_db),
                interval(row.nmse_gain_db, unit=""),
                interval(row.efficiency, unit="", digits=3),
            )
    return table


def _loss(estimate: Estimate | None) -> str:
    """An SNR loss, or in how many seeds the bit error rate is never reached; nothing where it was not computed."""
    if estimate is None:
        return ""
    if estimate.mean is not None:
        return interval(estimate, unit="", digits=2)
    never = sum(value is None for value in estimate.values)
    return f"not reached in {never} of {len(estimate.values)} seeds"


def _groups(results: PrecodingResults) -> list[dict[str, Any]]:
    """Rows of each table: one for each comparison, carrier and split."""
    keys = dict.fromkeys((row.figure, row.carrier_hz, row.split) for row in results.rows)
    return [
        {
            "title": _TITLES[figure],
            "carrier_mhz": carrier / 1e6,
            "split": SPLITS[split],
            "rows": [r for r in results.rows if (r.figure, r.carrier_hz, r.split) == (figure, carrier, split)],
        }
        for figure, carrier, split in keys
    ]


def _table3(results: PrecodingResults) -> list[dict[str, Any]]:
    """The two printed values beside ours, at the carrier and in the split of the paper, and what stands beside them."""
    rows: Sequence[Row] = [r for r in results.rows if r.figure == "networks" and r.split == "random"]
    carrier = min((r.carrier_hz for r in rows), default=0.0)
    found = []
    for label, method in _TABLE3.items():
        ours = next((r for r in rows if r.method == method and r.carrier_hz == carrier), None)
        if ours is not None:
            printed = PUBLISHED_NMSE_DB.get(method)
            found.append({"label": label, "printed": printed, "ours": ours, "carrier_mhz": carrier / 1e6})
    return found
