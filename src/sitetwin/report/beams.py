"""What a beam prediction study found: one page with its figures, and a table for the terminal."""

from __future__ import annotations

import base64
import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.axes import Axes
from rich import box
from rich.table import Table
from rich.text import Text

from sitetwin.errors import SiteTwinError
from sitetwin.report.style import colours, figure_style, new_figure, render
from sitetwin.store.files import disk_errors, write_file

PAGE = "report.html"
SCHEMA = "sitetwin.beams/1"
_SPLITS = {"random": "random split", "drives": "folds of whole drives"}
_RELEASED = "dt_beam_prediction_curves.csv"
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
    """One released number: accuracy of the first `topk` picks of a curve at a training size."""

    curve: str
    topk: int
    size: int
    mean: float
    std: float


def read_published(path: Path) -> list[Released]:
    """Accuracies of a table with the columns curve, metric, topk, n_train, mean, std.

    Args:
        path: The table, or a folder with ``dt_beam_prediction_curves.csv``.

    Raises:
        SiteTwinError: The file is missing or has other columns or rows.
    """
    path = path / _RELEASED if path.is_dir() else path
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["metric"] == "acc"]
        found = [
            Released(r["curve"], int(r["topk"]), int(r["n_train"]), float(r["mean"]), float(r["std"])) for r in rows
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
        released: Published accuracies, drawn beside those of the same protocol.

    Returns:
        Path of the page.

    Raises:
        SiteTwinError: The results are missing or not a beam study's, or the disk refuses.
    """
    results = _read(folder)
    with figure_style():
        figures = _figures(results, released)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sitetwin.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["estimate"] = _estimate
    page = environment.get_template("beams.html.j2").render(
        r=results,
        groups=_groups(results),
        splits=_SPLITS,
        released=_beside(results, released),
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


def _estimate(value: dict[str, Any], digits: int = 3) -> str:
    text = f"{value['mean']:.{digits}f}"
    if value.get("low") is None:
        return text
    return f"{text} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"


def _places(results: dict[str, Any]) -> list[tuple[str, int]]:
    return list(dict.fromkeys((m["split"], m["beams"]) for m in results["methods"]))


def _groups(results: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"split": s, "beams": b, "rows": [m for m in results["methods"] if (m["split"], m["beams"]) == (s, b)]}
        for s, b in _places(results)
    ]


def _beside(results: dict[str, Any], released: Sequence[Released]) -> list[dict[str, Any]]:
    """Our accuracy and the released one, with the same curve, size and number of picks."""
    ours = {}
    for m in results["methods"]:
        if m["split"] == "random" and m["name"] in _TWIN_CURVES.values():
            size = m.get("n_tuned", m.get("n_train", m["n_real"]))
            ours[m["name"], size] = m
    rows = []
    for r in released:
        m = ours.get((_TWIN_CURVES.get(r.curve, ""), r.size))
        if m is not None and f"top{r.topk}" in m:
            mean = m[f"top{r.topk}"]["mean"]
            rows.append({"name": m["name"], "size": r.size, "topk": r.topk, "ours": mean, "r": r})
    return rows


def _figures(results: dict[str, Any], released: Sequence[Released]) -> list[tuple[str, str, dict[str, bytes]]]:
    figures = []
    for split, beams in _places(results):
        rows = [m for m in results["methods"] if (m["split"], m["beams"]) == (split, beams)]
        figure = new_figure(9.0, 3.6)
        left, right = figure.subplots(1, 2)
        _curves(left, rows, "top1", "top-1 accuracy")
        _curves(right, rows, "power_loss_db", "power loss, dB")
        right.set_yscale("log")
        own = split == "random" and [r for r in released if r.curve == "real" and r.topk == 1]
        if own:
            left.errorbar(
                [r.size for r in own],
                [r.mean for r in own],
                [r.std for r in own],
                color="#7f7f7f",
                ls=":",
                lw=1,
                label="released, measured rows",
            )
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        caption = f"{_SPLITS.get(split, split)}, {beams} beams: accuracy and power loss against measured rows."
        figures.append((f"{split}-{beams}", caption, render(figure)))
    return figures


def _curves(axes: Axes, rows: list[dict[str, Any]], key: str, label: str) -> None:
    names = [m["name"] for m in rows if m["n_real"] > 0 and "note" not in m]
    several = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    for name, colour in colours(several).items():
        points = sorted((m["n_real"], m[key]) for m in rows if m["name"] == name)
        x = [p[0] for p in points]
        axes.plot(x, [p[1]["mean"] for p in points], "o-", color=colour, ms=3, label=name)
        if all(p[1]["low"] is not None for p in points):
            axes.fill_between(
                x, [p[1]["low"] for p in points], [p[1]["high"] for p in points], color=colour, alpha=0.15, lw=0
            )
    axes.set_xscale("log")
    axes.set_xlabel("measured rows used")
    axes.set_ylabel(label)
