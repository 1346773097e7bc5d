"""Fig. 4 and Fig. 5 of arXiv 2402.19434, ours beside the released curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sitetwin.drawing.style import (
    DASHES,
    FULL_WIDTH,
    GREY,
    MARKERS,
    colours,
    count_axis,
    figure_style,
    new_figure,
    render,
)
from sitetwin.report.csi.paper import (
    CURVES,
    NAIVE_RANDOM,
    NAIVE_WORST,
    REHEARSAL,
    TARGET,
    TWIN,
    WRONG,
    Beside,
    Point,
    codecs_of,
)
from sitetwin.report.csi.results import Results
from sitetwin.studies.csi.results import Correlation

_PANELS = (
    ("trained", (TARGET, TWIN, WRONG), "training samples"),
    ("refined", (NAIVE_RANDOM, NAIVE_WORST, REHEARSAL), "samples of the target"),
)
_SHORT = {
    TARGET: "target",
    TWIN: "twin",
    WRONG: "another site",
    NAIVE_RANDOM: "random, alone",
    NAIVE_WORST: "high NMSE, alone",
    REHEARSAL: "high NMSE, rehearsal",
}


PAPER_FIGURES = ("published", "correlation")
"""Names of the figures in the paper's form."""


def draw_beside(results: Results, beside: Beside | None) -> dict[str, dict[str, bytes]]:
    """The figures in the paper's form, by name; none for a study that was not run so."""
    if beside is None:
        return {}
    with figure_style():
        made = (curves_figure(beside.points, beside.released), correlation_figure(results.correlation))
        return {name: render(figure) for name, figure in zip(PAPER_FIGURES, made, strict=True) if figure is not None}


def curves_figure(points: Sequence[Point], released: Sequence[Point]) -> Figure | None:
    """Fig. 4: a row per codec, trained at the left and refined at the right; released curves dashed."""
    codecs = codecs_of(points) or (["released"] if released else [])
    if not codecs:
        return None
    tones = colours(list(CURVES.values()))
    figure = new_figure(FULL_WIDTH, 2.5 * len(codecs) + 1.0)
    grid = figure.subplots(len(codecs), 2, sharey=True, squeeze=False)
    for row, codec in zip(grid, codecs, strict=True):
        for axes, (title, curves, label) in zip(row, _PANELS, strict=True):
            sizes = [p.size for p in (*points, *released) if p.curve in curves]
            for curve in curves:
                marker = MARKERS[curves.index(curve)]
                theirs = sorted((p for p in released if p.curve == curve), key=lambda p: p.size)
                axes.plot([p.size for p in theirs], [p.mean for p in theirs], color=tones[curve], ls=DASHES, lw=1.0)
                ours = sorted((p for p in points if (p.codec, p.curve) == (codec, curve)), key=lambda p: p.size)
                axes.errorbar(
                    [p.size for p in ours],
                    [p.mean for p in ours],
                    yerr=[p.spread or 0.0 for p in ours],
                    color=tones[curve],
                    marker=marker,
                    markersize=4,
                    lw=1.5,
                )
            axes.set_title(f"{codec}, {title}")
            if sizes:
                count_axis(axes, sizes, FULL_WIDTH / 2 - 0.6)
            axes.set_xlabel(label)
        row[0].set_ylabel("NMSE of test users (dB)")
    handles = [
        Line2D([], [], color=tones[curve], marker=MARKERS[i], markersize=4, label=_SHORT[curve])
        for _, curves, _ in _PANELS
        for i, curve in enumerate(curves)
    ]
    if released:
        handles.append(Line2D([], [], color=GREY, ls=DASHES, lw=1.0, label="released (CSINet+, its Boston)"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def correlation_figure(rows: Sequence[Correlation]) -> Figure | None:
    """Fig. 5: share of the chosen matrices up to a greatest correlation with the twin's."""
    if not rows:
        return None
    tones = colours([f"{row.codec}, {row.rule}" for row in rows])
    figure = new_figure(FULL_WIDTH, 3.2)
    axes = figure.subplots()
    for row in rows:
        x = np.array([np.nan if v is None else v for v in row.correlation])
        y = np.array([np.nan if v is None else v for v in row.probability])
        name = f"{row.codec}, {row.rule}"
        axes.step(x, y, where="post", color=tones[name], label=f"{row.samples} samples: {row.rule} ({row.codec})")
    axes.set(xlabel="greatest correlation with a matrix of the twin", ylabel="share of the samples", ylim=(0, 1.01))
    figure.legend(loc="outside lower center")
    return figure
