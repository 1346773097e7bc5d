"""The page of a study of rates, its table for the terminal, and what a decibel buys, in a sentence."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from sitetwin.drawing.style import figure_style
from sitetwin.report.frame import (
    inline_svg,
    interval,
    number,
    page_environment,
    paired_verdict,
    terminal_table,
    write_drawn_page,
)
from sitetwin.report.rates.figures import case_name, draw_figures
from sitetwin.studies.rates.results import RateRow, RatesResults, read_rates_results
from sitetwin.studies.records import Estimate


def write_rates_report(folder: Path | str) -> Path:
    """Draw the figures of a finished study and write its page.

    Args:
        folder: Folder with results.json; figures go to ``folder/figures``.

    Returns:
        Path of the page.

    Raises:
        SiteTwinError: The results are missing or another study's, or the disk cannot be written.
    """
    folder = Path(folder)
    results = read_rates_results(folder)
    with figure_style():
        figures = draw_figures(results)
    environment = page_environment(
        bits=_bits, percent=_percent, db=partial(interval, unit=""), verdict=paired_verdict, share=_share, count=_count
    )
    page = environment.get_template("rates.html.j2").render(
        r=results,
        sentences=rates_sentences(results),
        tables=_tables(results.rows),
        noise=_tables([row for row in results.noise if row.noise_snr_db is not None]),
        pairs=_pairs(results),
        figures=[(figure.caption, inline_svg(figure.files)) for figure in figures],
        configuration=json.dumps(results.configuration, indent=2, sort_keys=True),
    )
    return write_drawn_page(folder, page, figures)


def rates_table(results: RatesResults) -> Table:
    """NMSE and rates of every codec at every number of bits, to be printed by rich."""
    table = terminal_table("Codecs at equal bits (synthetic targets; 95 % over seeds)")
    for name in ("case", "codec", "trained on", "bits"):
        table.add_column(name, overflow="fold")
    for name in ("NMSE, dB", "SGCS", "rate, %", "ZF rate, %", "beam loss, dB"):
        table.add_column(name, justify="right")
    for row in results.rows:
        table.add_row(
            case_name(row.target, row.split),
            Text(row.method),
            row.source,
            _bits(row.bits),
            interval(row.nmse_db, unit=""),
            number(row.sgcs.mean, 3),
            _percent(row.rate_share),
            _percent(row.zf_share),
            number(row.beam_loss_db.mean, 2),
        )
    return table


def rates_sentences(results: RatesResults) -> list[str]:
    """What a decibel of NMSE buys, for each case and range, or that the table does not tell; and a position alone."""
    group = int(results.configuration.get("groups", 4))
    found = [
        f"On {case_name(w.target, w.split)}, NMSE from {w.from_db:g} to {w.to_db:g} dB: a decibel is worth "
        f"{w.rate_percent_per_db:.2f} % of the rate to one user and {w.zf_percent_per_db:.2f} % of the sum rate to "
        f"{group} users at once ({w.points} rows of the table)."
        for w in results.worth
    ]
    found = found or ["The table has too few rows in any range of NMSE to tell what a decibel is worth."]
    found += [
        f"On {case_name(p.target, p.split)}, the twin's own channel at each user's true place, in the true phase and "
        f"without any report, has an NMSE of {interval(p.nmse_db)}, {_percent(p.rate_share)} % of the rate and "
        f"{_percent(p.zf_share)} % of the sum rate: what a position alone is worth."
        for p in results.places
    ]
    return found


def _tables(rows: list[RateRow]) -> list[dict[str, Any]]:
    """A table for each case: a line for each codec and source, a column for each number of bits, or SNR."""
    found = []
    for target, split in dict.fromkeys((row.target, row.split) for row in rows):
        own = [row for row in rows if (row.target, row.split) == (target, split)]
        noisy = own[0].noise_snr_db is not None
        heads = list(dict.fromkeys(row.noise_snr_db if noisy else row.bits for row in own))
        lines = []
        for method, source in dict.fromkeys((row.method, row.source) for row in own):
            cells = {(r.noise_snr_db if noisy else r.bits): r for r in own if (r.method, r.source) == (method, source)}
            lines.append({"method": method, "source": source, "cells": [cells.get(head) for head in heads]})
        names = [f"{head:g} dB" if noisy else _bits(None if head is None else int(head)) for head in heads]
        found.append({"case": case_name(target, split), "heads": names, "lines": lines})
    return found


def _pairs(results: RatesResults) -> list[dict[str, Any]]:
    """Paired differences, a table for each case."""
    return [
        {
            "case": case_name(target, split),
            "rows": [p for p in results.pairs if (p.target, p.split) == (target, split)],
        }
        for target, split in dict.fromkeys((p.target, p.split) for p in results.pairs)
    ]


def _bits(bits: int | None) -> str:
    return "32 reals" if bits is None else f"{bits}"


def _percent(estimate: Estimate) -> str:
    return number(None if estimate.mean is None else 100 * estimate.mean, 1)


def _share(estimate: Estimate) -> str:
    return number(estimate.mean, 3)


def _count(value: int | None) -> str:
    return "\u2013" if value is None else f"{value:,}"
