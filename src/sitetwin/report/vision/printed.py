"""Tables I to III of the paper's own chain on rendered moments, beside the printed ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from sitetwin.report.frame import number, terminal_table
from sitetwin.studies.vision.published import SCENARIOS, TABLE_1, TABLE_2, TABLE_3
from sitetwin.studies.vision.results import PrintedRow, VisionResults

LOSSES = ("p50_top1", "p50_top2", "p50_top3", "p95_top1", "p95_top2", "p95_top3")
JUDGED_ON = {"streets": "streets not seen", "drives": "streets seen, other drives", "": "nothing is fitted"}
_UNSEEN = SCENARIOS[0]


def printed_tables(results: VisionResults) -> dict[str, Any]:
    """The three tables, the switches, and what profiles give back; nothing where the chain was not run."""
    chain = results.loop.printed if results.loop is not None else None
    if chain is None:
        return {"chain": None}
    rows = [row for row in chain.rows if not row.switched]
    return {
        "chain": chain,
        "chain_1": _table_1(rows),
        "chain_2": _table_2(rows),
        "chain_3": _table_3(rows),
        "switches": [row for row in chain.rows if row.switched],
        "judged_on": JUDGED_ON,
    }


def name_of(row: PrintedRow) -> str:
    """Method and what saw."""
    return f"{row.method}, {row.perception}" if row.perception else row.method


def _table_1(rows: Sequence[PrintedRow]) -> list[dict[str, Any]]:
    """Distance-based accuracy on streets that no fit has seen, and on seen ones; overall, half of each."""
    found = []
    for method, cells in TABLE_1.items():
        seen = sum(cells[name] for name in SCENARIOS if name != _UNSEEN) / (len(SCENARIOS) - 1)
        found.append(_cells(method, "printed", None, cells[_UNSEEN], seen, cells["overall"]))
    of: dict[str, dict[str, PrintedRow]] = {}
    for row in rows:
        of.setdefault(name_of(row), {})[row.split] = row
    for name, by_split in of.items():
        elsewhere, here = (by_split.get(split, by_split.get("")) for split in ("streets", "drives"))
        dba = [None if one is None else one.dba.mean for one in (elsewhere, here)]
        overall = None if dba[0] is None or dba[1] is None else 0.5 * dba[0] + 0.5 * dba[1]
        found.append(_cells(name, "ours, synthetic", elsewhere or here, dba[0], dba[1], overall))
    return found


def _cells(
    method: str, source: str, row: PrintedRow | None, unseen: float | None, seen: float | None, overall: float | None
) -> dict[str, Any]:
    return {"method": method, "source": source, "row": row, "cells": [unseen, seen, overall]}


def _table_2(rows: Sequence[PrintedRow]) -> list[dict[str, Any]]:
    """Accuracy of wide beams, per cent."""
    found: list[dict[str, Any]] = [
        {"method": method, "on": "not stated", "source": "printed", "row": None, "cells": cells}
        for method, cells in TABLE_2.items()
    ]
    for row in rows:
        if row.wide_top1 is not None and row.wide_top2 is not None:
            cells = (100 * row.wide_top1, 100 * row.wide_top2)
            found.append(_ours(row, cells))
    return found


def _table_3(rows: Sequence[PrintedRow]) -> list[dict[str, Any]]:
    """Lost power with factor 20: the paper's percentiles, then medians of true line of sight and true blockage."""
    found: list[dict[str, Any]] = [
        {
            "method": method,
            "on": f"scenario {name}",
            "source": "printed",
            "row": None,
            "cells": (*cells, None, None),
        }
        for (method, name), cells in TABLE_3.items()
    ]
    for row in rows:
        losses = tuple(getattr(row, name) for name in LOSSES)
        found.append(_ours(row, (*losses, row.los_top1, row.nlos_top1)))
    return found


def _ours(row: PrintedRow, cells: tuple[float | None, ...]) -> dict[str, Any]:
    return {
        "method": name_of(row),
        "on": JUDGED_ON[row.split],
        "source": "ours, synthetic",
        "row": row,
        "cells": cells,
    }


def printed_table(results: VisionResults) -> Table:
    """The chain on rendered moments, to be printed by rich; without rows where it was not run.

    Args:
        results: What the study found.
    """
    table = terminal_table("The paper's own chain on the same synthetic moments (losses: 20 log)")
    for name in ("method", "judged on"):
        table.add_column(name, overflow="fold")
    for name in ("DBA", "blocked", "L1 top-1", "50 %, dB", "95 %, dB"):
        table.add_column(name, justify="right")
    chain = results.loop.printed if results.loop is not None else None
    for row in chain.rows if chain is not None else ():
        if not row.switched:
            ended = "; not converged" if row.converged is False else ""
            table.add_row(
                Text(name_of(row) + ended),
                JUDGED_ON[row.split],
                number(row.dba.mean, 3),
                number(row.nlos_dba, 3),
                number(row.wide_top1, 3),
                f"{row.p50_top1:.2f}",
                f"{row.p95_top1:.2f}",
            )
    return table
