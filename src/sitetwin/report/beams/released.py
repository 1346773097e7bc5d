"""The released curves of arXiv 2301.07682, beside those that were measured here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sitetwin.errors import SiteTwinError
from sitetwin.studies.beams.config import CURVES
from sitetwin.studies.beams.results import BeamResults, Method
from sitetwin.untrusted import read_table

_LARGEST = 2**24  # bytes of a table
_RELEASED = "dt_beam_prediction_curves.csv"
_METRICS = {"acc": "top", "pwr": "relative_power"}

_MOST_ROWS = 10**9


@dataclass(frozen=True)
class Released:
    """One released number of a curve at a training size: `figure` is the key of ours in the results, such as "top1"."""

    curve: str
    figure: str
    size: int
    mean: float
    std: float


@dataclass(frozen=True)
class Cell:
    """A figure of ours beside the released one; `apart` counts the latter's standard deviations between them."""

    label: str
    ours: float
    released: Released

    @property
    def apart(self) -> float:
        return abs(self.ours - self.released.mean) / max(self.released.std, 1e-9)


@dataclass(frozen=True)
class Row:
    """All figures of one curve at one size, by their labels."""

    name: str
    size: int
    cells: dict[str, Cell]


def read_published(path: Path) -> list[Released]:
    """Accuracies and relative powers of a table with the columns curve, metric, topk, n_train, mean, std.

    Args:
        path: The table, or a folder with ``dt_beam_prediction_curves.csv``.

    Raises:
        SiteTwinError: The file is missing or has other columns or rows.
    """
    path = path / _RELEASED if path.is_dir() else path
    names, *table = read_table(path, f"'{path}'", _LARGEST, "check the table's path") or [[]]
    try:
        rows = [row for cells in table if (row := dict(zip(names, cells, strict=False)))["metric"] in _METRICS]
        found = [
            Released(r["curve"], figure, int(r["n_train"]), float(r["mean"]), float(r["std"]))
            for r in rows
            for figure in [f"{_METRICS[r['metric']]}{int(r['topk'])}"]
        ]
    except (KeyError, ValueError) as error:
        raise SiteTwinError(f"'{path}' is no table curve,metric,topk,n_train,mean,std; give one") from error
    if not all(math.isfinite(r.mean) and math.isfinite(r.std) and 0 <= r.size <= _MOST_ROWS for r in found):
        raise SiteTwinError(f"'{path}' holds numbers that are not finite, or sizes that cannot be; mend the table")
    return found


def own_curves(results: BeamResults) -> dict[tuple[str, int], Method]:
    """The published network's rows by name and size: rows tuned on, rows of the twin, or measured rows."""
    return {(m.name, _size(m)): m for m in results.methods if m.split == "random" and m.name in CURVES.values()}


def _size(method: Method) -> int:
    return next(n for n in (method.n_tuned, method.n_train, method.n_real) if n is not None)


def beside(results: BeamResults, released: Sequence[Released]) -> list[Row]:
    """Our figures beside the released ones of the same curve and size, one row for both."""
    ordered = sorted(released, key=lambda r: (not r.figure.startswith("top"), r.figure))
    rows = []
    for (name, size), method in own_curves(results).items():
        cells = {}
        for one in ordered:
            ours = method.figure(one.figure)
            if (CURVES.get(one.curve), one.size) == (name, size) and ours is not None and ours.mean is not None:
                cells[_label(one.figure)] = Cell(_label(one.figure), ours.mean, one)
        if cells:
            rows.append(Row(name, size, cells))
    return rows


def _label(figure: str) -> str:
    return figure.replace("top", "top-").replace("relative_power", "power-")


def agreement(results: BeamResults, released: Sequence[Released]) -> dict[str, int]:
    """How many of the released figures ours were set beside, and within how many of their standard deviations ours lie.

    Returns:
        "figures", "within_one" and "within_two".
    """
    apart = [cell.apart for row in beside(results, released) for cell in row.cells.values()]
    return {"figures": len(apart), "within_one": sum(a <= 1 for a in apart), "within_two": sum(a <= 2 for a in apart)}
