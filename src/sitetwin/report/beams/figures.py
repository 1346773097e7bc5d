"""The figures of a beam study: accuracy and power loss against measured rows, and the published curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from sitetwin.drawing.style import colours, new_figure, render
from sitetwin.report.beams.released import Released, own_curves
from sitetwin.report.frame import Drawn
from sitetwin.studies.beams.config import CURVES
from sitetwin.studies.beams.results import BeamResults, Method

SPLITS = {"random": "random split", "drives": "folds of whole drives"}
_TUNED = ("real_compare_to_transfer", "transfer_measured", "transfer_uniform")  # drawn against the rows of tuning


def places(results: BeamResults) -> list[tuple[str, int]]:
    """Every combination of split and number of beams, in the order of the results."""
    return list(dict.fromkeys((m.split, m.beams) for m in results.methods))


def draw_figures(results: BeamResults, released: Sequence[Released]) -> list[Drawn]:
    """One figure for each split and number of beams, and that of the published curves where they were run."""
    drawn = []
    for split, beams in places(results):
        rows = [m for m in results.methods if (m.split, m.beams) == (split, beams)]
        figure = new_figure(9.0, 3.8)
        left, right = figure.subplots(1, 2)
        _curves(left, rows, "top1", "top-1 accuracy")
        _curves(right, rows, "power_loss_db", "power loss, dB")
        right.set_yscale("log")
        right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        right.yaxis.set_minor_formatter(NullFormatter())
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        caption = f"{SPLITS.get(split, split)}, {beams} beams: accuracy and power loss against measured rows."
        drawn.append(Drawn(f"{split}-{beams}", caption, render(figure)))
    if ours := own_curves(results):
        drawn.append(_published_figure(ours, released))
    return drawn


def _published_figure(ours: dict[tuple[str, int], Method], released: Sequence[Released]) -> Drawn:
    """The paper's curves: ours as lines, the released ones dotted in a band of one standard deviation."""
    figure = new_figure(9.0, 4.2)
    left, right = figure.subplots(1, 2, sharey=True)
    names = dict.fromkeys(name for name, _ in ours)
    for name, colour in colours(list(names)).items():
        axes = right if name in [CURVES[curve] for curve in _TUNED] else left
        points = sorted((s, m.top1.mean) for (own, s), m in ours.items() if own == name and m.top1.mean is not None)
        label = name.removeprefix("published network, ")
        axes.plot([p[0] for p in points], [p[1] for p in points], "o-", color=colour, ms=3.5, label=label)
        theirs = sorted((r.size, r.mean, r.std) for r in released if CURVES.get(r.curve) == name and r.figure == "top1")
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
    return Drawn("published", caption, render(figure))


def _curves(axes: Axes, rows: list[Method], figure: str, label: str) -> None:
    """A line with its band for each method that was run at several sizes, and for the headline's."""
    names = [m.name for m in rows if m.n_real > 0 and m.note is None]
    headline = {m.name for m in rows if m.headline}
    several = [name for name in dict.fromkeys(names) if names.count(name) > 1 or name in headline]
    for name, colour in colours(several).items():
        found = ((m.n_real, m.figure(figure)) for m in rows if m.name == name)
        points = sorted(((n, e) for n, e in found if e is not None), key=lambda point: point[0])
        x = [n for n, _ in points]
        mean, low, high = (np.array([getattr(e, end) for _, e in points], float) for end in ("mean", "low", "high"))
        axes.plot(x, mean, "o-", color=colour, ms=3, label=name)
        if all(e.has_interval for _, e in points):
            axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
    sizes = sorted({m.n_real for m in rows if m.name in several and m.n_real > 0})
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("measured rows used")
    axes.set_ylabel(label)
