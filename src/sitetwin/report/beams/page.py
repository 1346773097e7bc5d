"""What a beam prediction study found: one page with its figures, and a table for the terminal."""

from __future__ import annotations

import base64
import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator
from rich import box
from rich.table import Table
from rich.text import Text

from sitetwin.drawing.style import colours, figure_style, new_figure, render
from sitetwin.errors import SiteTwinError
from sitetwin.report.pages import page_environment
from sitetwin.store.files import disk_errors, write_file

PAGE = "report.html"
SCHEMA = "sitetwin.beams/1"
_SPLITS = {"random": "random split", "drives": "folds of whole drives"}
_RELEASED = "dt_beam_prediction_curves.csv"
_METRICS = {"acc": "top", "pwr": "relative_power"}
_TWIN_CURVES = {
    "real": "published network, measured rows",
    "real_compare_to_transfer": "published network, measured rows, batches of 8",
    "synth_measured": "published network, twin with measured codebook",
    "synth_uniform": "published network, twin with uniform codebook",
    "transfer_measured": "published network, twin with measured codebook then measured rows",
    "transfer_uniform": "published network, twin with uniform codebook then measured rows",
}


@dataclass(frozen=True)
class Released:
    """One released number of a curve at a training size: `figure` is the key of ours in the results, such as "top1"."""

    curve: str
    figure: str
    size: int
    mean: float
    std: float


def read_published(path: Path) -> list[Released]:
    """Accuracies and relative powers of a table with the columns curve, metric, topk, n_train, mean, std.

    Args:
        path: The table, or a folder with ``dt_beam_prediction_curves.csv``.

    Raises:
        SiteTwinError: The file is missing or has other columns or rows.
    """
    path = path / _RELEASED if path.is_dir() else path
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["metric"] in _METRICS]
        found = [
            Released(r["curve"], figure, int(r["n_train"]), float(r["mean"]), float(r["std"]))
            for r in rows
            for figure in [f"{_METRICS[r['metric']]}{int(r['topk'])}"]
        ]
    except OSError as error:
        raise SiteTwinError(f"'{path}' cannot be read ({error.strerror}); check --published") from error
    except (KeyError, ValueError, TypeError, UnicodeDecodeError, csv.Error) as error:
        raise SiteTwinError(f"'{path}' is no table curve,metric,topk,n_train,mean,std; check --published") from error
    if not all(math.isfinite(r.mean) and math.isfinite(r.std) for r in found):
        raise SiteTwinError(f"'{path}' holds numbers that are not finite; check --published")
    return found


def write_beams_report(folder: Path, released: Sequence[Released] = ()) -> Path:
    """Draw the figures of a finished study and write its page.

    Args:
        folder: With results.json; figures go to ``folder/figures``.
        released: Published figures, set beside those of the same protocol.

    Returns:
        Path of the page.

    Raises:
        SiteTwinError: The results are missing or not a beam study's, or the disk refuses.
    """
    results = _read(folder)
    with figure_style():
        figures = _figures(results, released)
    environment = page_environment()
    environment.filters["estimate"] = _estimate
    environment.filters["signed"] = partial(_estimate, sign="+")
    page = environment.get_template("beams.html.j2").render(
        r=results,
        groups=_groups(results),
        splits=_SPLITS,
        released=_beside(results, released),
        agreement=agreement(results, released),
        times=_times(folder),
        figures=[
            (caption, "data:image/svg+xml;base64," + base64.b64encode(files["svg"]).decode("ascii"))
            for _, caption, files in figures
        ],
    )
    with disk_errors("writing the report", folder):
        (folder / "figures").mkdir(exist_ok=True)
        for name, _, files in figures:
            for kind, content in files.items():
                write_file(folder / "figures" / f"{name}.{kind}", content)
        write_file(folder / PAGE, page.encode("utf-8"))
    return folder / PAGE


def beams_table(results: dict[str, Any]) -> Table:
    """The headline's rows and their references, for the terminal."""
    table = Table(
        title=Text("Top-1 accuracy and power loss (95 % intervals over drives)"),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for name in ("method", "split", "beams"):
        table.add_column(name, overflow="fold")
    for name in ("measured\nrows", "top-1", "top-3", "loss dB"):
        table.add_column(name, justify="right")
    for row in results["methods"]:
        table.add_row(
            Text(row["name"], style="bold" if row["headline"] else ""),
            row["split"],
            str(row["beams"]),
            str(row["n_real"]),
            _estimate(row["top1"]),
            f"{row['top3']['mean']:.3f}",
            f"{row['power_loss_db']['mean']:.2f}",
        )
    return table


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "results.json"
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SiteTwinError(f"'{path}' is missing or damaged; run the study again") from error
    if not isinstance(results, dict) or results.get("schema") != SCHEMA:
        raise SiteTwinError(f"'{path}' holds no results of a beam study ({SCHEMA}); give the folder of one")
    return results


def _times(folder: Path) -> list[dict[str, Any]]:
    """CPU times of tracer and network, which a run notes apart from its results; none if it has not."""
    try:
        return list(json.loads((folder / "run.json").read_text(encoding="utf-8"))["emulation"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _estimate(value: dict[str, Any], digits: int = 3, sign: str = "") -> str:
    text = f"{value['mean']:{sign}.{digits}f}"
    if value.get("low") is None:
        return text
    return f"{text} [{value['low']:{sign}.{digits}f}, {value['high']:{sign}.{digits}f}]"


def _places(results: dict[str, Any]) -> list[tuple[str, int]]:
    return list(dict.fromkeys((m["split"], m["beams"]) for m in results["methods"]))


def _groups(results: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"split": s, "beams": b, "rows": [m for m in results["methods"] if (m["split"], m["beams"]) == (s, b)]}
        for s, b in _places(results)
    ]


def _ours(results: dict[str, Any]) -> dict[tuple[str, int], dict[str, Any]]:
    """The published network's rows by name and size: rows tuned on, rows of the twin, or measured rows."""
    return {
        (m["name"], m.get("n_tuned", m.get("n_train", m["n_real"]))): m
        for m in results["methods"]
        if m["split"] == "random" and m["name"] in _TWIN_CURVES.values()
    }


def _beside(results: dict[str, Any], released: Sequence[Released]) -> list[dict[str, Any]]:
    """Our figures beside the released ones of the same curve and size, one row for both."""
    rows = []
    for (name, size), m in _ours(results).items():
        cells = [
            {"label": _label(r.figure), "ours": m[r.figure]["mean"], "r": r}
            for r in sorted(released, key=lambda r: (not r.figure.startswith("top"), r.figure))
            if (_TWIN_CURVES.get(r.curve), r.size) == (name, size) and r.figure in m
        ]
        for cell in cells:
            cell["apart"] = abs(cell["ours"] - cell["r"].mean) / max(cell["r"].std, 1e-9)
        if cells:
            rows.append({"name": name, "size": size, "cells": cells, "by_label": {c["label"]: c for c in cells}})
    return rows


def _label(figure: str) -> str:
    return figure.replace("top", "top-").replace("relative_power", "power-")


def agreement(results: dict[str, Any], released: Sequence[Released]) -> dict[str, int]:
    """How many of the released figures ours were set beside, and within how many of their standard deviations ours lie.

    Returns:
        "figures", "within_one" and "within_two".
    """
    apart = [cell["apart"] for row in _beside(results, released) for cell in row["cells"]]
    return {"figures": len(apart), "within_one": sum(a <= 1 for a in apart), "within_two": sum(a <= 2 for a in apart)}


def _figures(results: dict[str, Any], released: Sequence[Released]) -> list[tuple[str, str, dict[str, bytes]]]:
    figures = []
    for split, beams in _places(results):
        rows = [m for m in results["methods"] if (m["split"], m["beams"]) == (split, beams)]
        figure = new_figure(9.0, 3.8)
        left, right = figure.subplots(1, 2)
        _curves(left, rows, "top1", "top-1 accuracy")
        _curves(right, rows, "power_loss_db", "power loss, dB")
        right.set_yscale("log")
        right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        right.yaxis.set_minor_formatter(NullFormatter())
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        caption = f"{_SPLITS.get(split, split)}, {beams} beams: accuracy and power loss against measured rows."
        figures.append((f"{split}-{beams}", caption, render(figure)))
    if ours := _ours(results):
        figures.append(_published_figure(ours, released))
    return figures


def _published_figure(
    ours: dict[tuple[str, int], dict[str, Any]], released: Sequence[Released]
) -> tuple[str, str, dict[str, bytes]]:
    """The paper's curves: ours as lines, the released ones dotted in a band of one standard deviation."""
    figure = new_figure(9.0, 4.2)
    left, right = figure.subplots(1, 2, sharey=True)
    names = dict.fromkeys(name for name, _ in ours)
    for name, colour in colours(list(names)).items():
        tuned = name in (_TWIN_CURVES["real_compare_to_transfer"], *list(_TWIN_CURVES.values())[4:])
        axes = right if tuned else left
        points = sorted((size, m["top1"]["mean"]) for (own, size), m in ours.items() if own == name)
        label = name.removeprefix("published network, ")
        axes.plot([p[0] for p in points], [p[1] for p in points], "o-", color=colour, ms=3.5, label=label)
        theirs = sorted(
            (r.size, r.mean, r.std) for r in released if _TWIN_CURVES.get(r.curve) == name and r.figure == "top1"
        )
        if theirs:
            x, mean, std = (list(column) for column in zip(*theirs, strict=True))
            axes.plot(x, mean, ":", color=colour, lw=1.2)
            low, high = ([m + sign * s for m, s in zip(mean, std, strict=True)] for sign in (-1, 1))
            axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
    left.set_ylabel("top-1 accuracy")
    left.set_xlabel("training rows")
    right.set_xlabel("measured rows (tuning, or training in batches of 8)")
    handles, labels = (a + b for a, b in zip(*(x.get_legend_handles_labels() for x in (left, right)), strict=True))
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    caption = "The published network's curves, random split: here (lines with points)"
    caption += " and released (dotted, with one standard deviation over 30 repetitions)." if released else "."
    return "published", caption, render(figure)


def _curves(axes: Axes, rows: list[dict[str, Any]], key: str, label: str) -> None:
    names = [m["name"] for m in rows if m["n_real"] > 0 and "note" not in m]
    headline = {m["name"] for m in rows if m["headline"]}
    several = [name for name in dict.fromkeys(names) if names.count(name) > 1 or name in headline]
    for name, colour in colours(several).items():
        points = sorted((m["n_real"], m[key]) for m in rows if m["name"] == name)
        x = [p[0] for p in points]
        axes.plot(x, [p[1]["mean"] for p in points], "o-", color=colour, ms=3, label=name)
        if all(p[1]["low"] is not None for p in points):
            axes.fill_between(
                x, [p[1]["low"] for p in points], [p[1]["high"] for p in points], color=colour, alpha=0.15, lw=0
            )
    sizes = sorted({m["n_real"] for m in rows if m["name"] in several and m["n_real"] > 0})
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("measured rows used")
    axes.set_ylabel(label)
