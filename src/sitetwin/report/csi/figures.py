"""The figures of a CSI study, as PNG and SVG, from what lies in its folder."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sitetwin.drawing.style import (
    DASHES,
    FULL_WIDTH,
    GREY,
    MARKERS,
    PALETTE,
    colours,
    count_axis,
    figure_style,
    new_figure,
    render,
)
from sitetwin.report.csi import maps, summary
from sitetwin.report.csi.results import Curve, Refinement, Results, Study
from sitetwin.studies.csi.results import UNREFINED

KINDS = ("training", "refinement", "cdf")
"""Figures that are drawn once per split."""

_WIDTHS = {"target": 2.2, "twin": 1.3, "wrong_site": 0.9}  # points; in this order in the legend
_SOURCES = tuple(_WIDTHS)
_NMSE = "NMSE of test users (dB)"


def draw_figures(study: Study) -> dict[str, dict[str, bytes]]:
    """Every figure the study has the data for.

    Returns:
        For each figure, by name, its bytes as ``png`` and ``svg``. Figures of another split than the headline's carry
        the split in their name: ``training_random``.
    """
    drawn: dict[str, Figure | None] = {}
    with figure_style():
        results = study.results
        if study.scene is not None:
            target = summary.label("target_b" if "target_b" in results.worlds else summary.headline_target(results))
            drawn["scene"] = maps.gain_map(study.scene, target)
            drawn["worlds"] = maps.worlds_map(study.scene, target)
        makers: dict[str, Callable[[Results, str], Figure | None]] = {
            "training": training_figure,
            "refinement": refinement_figure,
            "cdf": cdf_figure,
        }
        for split in summary.splits(results):
            for kind, make in makers.items():
                drawn[figure_name(results, kind, split)] = make(results, split)
        return {name: render(figure) for name, figure in drawn.items() if figure is not None}


def figure_name(results: Results, kind: str, split: str) -> str:
    """Name of the figure of one kind and split, as its file is called."""
    if split == summary.headline_split(results):
        return kind
    return f"{kind}_{''.join(c if c.isalnum() and c.isascii() else '-' for c in split)}"


def is_figure(name: str) -> bool:
    """Whether a name is that of a figure of this page."""
    return name in ("scene", "worlds", "published", "correlation") or name.partition("_")[0] in KINDS


def training_figure(results: Results, split: str) -> Figure | None:
    """NMSE against training size: a panel per target, colour by codec, marker by what the codec was trained on."""
    curves = [c for c in results.curves if c.split == split and c.n_train > 0 and c.nmse_db.mean is not None]
    if not curves:
        return None
    codec_colours = colours([c.codec for c in results.curves])
    figure, panels, width = _panels(results, split, [c.target for c in curves])
    for target, axes in panels.items():
        here = [c for c in curves if c.target == target]
        for codec in codec_colours:
            for source in _order([c.source for c in here], _SOURCES):
                line = sorted((c for c in here if (c.codec, c.source) == (codec, source)), key=lambda c: c.n_train)
                _line(
                    axes,
                    [(c.n_train, c) for c in line],
                    codec_colours[codec],
                    _marker(source),
                    _WIDTHS.get(source, 1.0),
                )
        _finish(axes, here, summary.label(target))
        count_axis(axes, [c.n_train for c in curves], width)
        axes.set_xlabel("training samples")
    next(iter(panels.values())).set_ylabel(_NMSE)
    shown = {c.codec for c in curves}
    by_codec = [Line2D([], [], color=codec_colours[c], label=c) for c in codec_colours if c in shown]
    sources = _order([c.source for c in curves], _SOURCES)
    by_source = [
        Line2D([], [], color=GREY, linewidth=_WIDTHS.get(s, 1.0), marker=_marker(s), label=summary.label(s))
        for s in sources
    ]
    if not all(c.converged for c in curves):
        by_source.append(_not_converged())
    figure.legend(handles=by_codec, title="codec", loc="outside lower left", ncols=min(2, len(by_codec)))
    figure.legend(handles=by_source, title="trained on", loc="outside lower right", ncols=2)
    return figure


def refinement_figure(results: Results, split: str) -> Figure | None:
    """NMSE against target samples: a column per target, a row per codec, a line per method, both ends."""
    entries = [r for r in results.refinement if r.split == split and r.nmse_db.mean is not None]
    moves = [r for r in entries if r.method != UNREFINED and r.n_real > 0]
    if not moves:
        return None
    codecs = list(dict.fromkeys(r.codec for r in moves))
    targets = sorted({r.target for r in moves})
    methods = colours([r.method for r in moves])
    width = FULL_WIDTH if len(targets) > 1 else 0.66 * FULL_WIDTH
    figure = new_figure(width, 2.35 * len(codecs) + 1.15)
    grid = figure.subplots(len(codecs), len(targets), sharex=True, sharey="row", squeeze=False)
    for row, codec in zip(grid, codecs, strict=True):
        for axes, target in zip(row, targets, strict=True):
            here = [r for r in moves if (r.codec, r.target) == (codec, target)]
            for method in methods:
                line = sorted((r for r in here if r.method == method), key=lambda r: r.n_real)
                marker = MARKERS[list(methods).index(method) % len(MARKERS)]
                _line(axes, [(r.n_real, r) for r in line], methods[method], marker)
            ends = _ends(axes, results, (target, split, codec))
            _finish(axes, here, f"{codec}, {summary.label(target)}", [e for e in ends if e is not None])
            count_axis(axes, [r.n_real for r in moves], width / len(targets) - 0.6)
            axes.set(xlabel="samples of the target", ylabel=_NMSE)
            axes.label_outer()
    handles = [
        Line2D([], [], color=colour, marker=MARKERS[i % len(MARKERS)], label=name)
        for i, (name, colour) in enumerate(methods.items())
    ]
    handles.append(Line2D([], [], color=GREY, linestyle=":", label="twin only, not refined"))
    handles.append(Line2D([], [], color="black", linestyle="-.", linewidth=1.1, label="trained on the target alone"))
    if not all(r.converged for r in moves):
        handles.append(_not_converged())
    _legend_below(figure, handles)
    return figure


def _ends(axes: Axes, results: Results, place: tuple[str, str, str]) -> tuple[float | None, float | None]:
    """Horizontal lines: the twin-trained codec as it is, and the codec trained on the target with all there is."""
    before = summary.unrefined(results, *place)
    after = summary.target_trained(results, *place)
    low = before.mean if before else None
    high = after.nmse_db.mean if after else None
    if low is not None:
        axes.axhline(low, color=GREY, linestyle=":", zorder=1.5)
    if high is not None:
        axes.axhline(high, color="black", linestyle="-.", linewidth=1.1, zorder=1.5)
    return low, high


def cdf_figure(results: Results, split: str) -> Figure | None:
    """Share of test users below an NMSE, a panel per target."""
    entries = [d for d in results.cdf if d.split == split and len(d.nmse_db) == len(d.probability) > 1]
    if not entries:
        return None
    line_colours = colours([d.label for d in entries])
    patterns: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)))
    styles = {name: patterns[i // len(PALETTE) % 3] for i, name in enumerate(line_colours)}  # where colours repeat
    figure, panels, _ = _panels(results, split, [d.target for d in entries])
    ends = []
    for target, axes in panels.items():
        for entry in (d for d in entries if d.target == target):
            x = np.array([np.nan if v is None else v for v in entry.nmse_db])
            y = np.array([np.nan if v is None else v for v in entry.probability])
            axes.plot(x, y, color=line_colours[entry.label], linestyle=styles[entry.label], label=entry.label)
            shown = x[np.isfinite(x) & (y >= 0.02)]
            ends += [float(shown.min()), float(shown.max())] if shown.size else []
        axes.set_title(summary.label(target))
        axes.set_xlabel("NMSE of one user (dB)")
        axes.set_ylim(0, 1)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 0.95], ["0", "25 %", "50 %", "75 %", "95 %"])
    for axes in panels.values():
        if ends:
            axes.set_xlim(min(ends) - 1, max(ends) + 1)
    next(iter(panels.values())).set_ylabel("share of test users")
    handles = [Line2D([], [], color=line_colours[name], linestyle=styles[name], label=name) for name in line_colours]
    _legend_below(figure, handles)
    return figure


def _legend_below(figure: Figure, handles: Sequence[Line2D]) -> None:
    """A legend under the panels, in as many columns as its longest entry leaves room for."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    room = figure.get_figwidth() / (0.062 * longest + 0.6)  # inches: text at 8 points, the line before it, a gap
    figure.legend(handles=handles, loc="outside lower center", ncols=max(1, min(3, int(room))))


def _panels(results: Results, split: str, present: Sequence[str]) -> tuple[Figure, dict[str, Axes], float]:
    """A figure with a panel per target that has data, and the panels' width in inches."""
    targets = [t for t in summary.targets(results, split) if t in set(present)]
    width = FULL_WIDTH if len(targets) > 1 else 0.66 * FULL_WIDTH
    figure = new_figure(width, 4.0)
    axes = np.ravel(figure.subplots(1, len(targets), sharey=True))
    return figure, dict(zip(targets, axes, strict=True)), width / len(targets) - 0.5


def _line(
    axes: Axes, points: Sequence[tuple[int, Curve | Refinement]], colour: str, marker: str, width: float = 1.6
) -> None:
    """A curve with its band; dashed and hollow where it is not converged; a lone point has an error bar instead."""
    x = np.array([count for count, _ in points], dtype=float)
    mean, low, high = (
        np.array(
            [[np.nan if v is None else v for v in (p.nmse_db.mean, p.nmse_db.low, p.nmse_db.high)] for _, p in points]
        )
        .reshape(-1, 3)
        .T
    )
    settled = [p.converged for _, p in points]
    for i, (a, b) in enumerate(itertools.pairwise(settled)):
        style = "-" if a and b else DASHES
        axes.plot(x[i : i + 2], mean[i : i + 2], color=colour, linestyle=style, linewidth=width, zorder=3)
    for i, done in enumerate(settled):
        fill = colour if done else "white"
        axes.plot(x[i : i + 1], mean[i : i + 1], color=colour, marker=marker, markerfacecolor=fill, ls="", zorder=3.5)
    known = np.array([p.nmse_db.has_interval for _, p in points], dtype=bool)
    if known.sum() > 1:
        axes.fill_between(x[known], low[known], high[known], color=colour, alpha=0.2, linewidth=0, zorder=2)
    elif known.any():
        axes.vlines(x[known], low[known], high[known], color=colour, linewidth=1.0, zorder=2.5)


def _finish(axes: Axes, entries: Sequence[Curve | Refinement], title: str, more: Sequence[float] = ()) -> None:
    """Title and limits: bands that are far wider than the curves may leave the panel, so that curves stay apart."""
    axes.set_title(title)
    means = [e.nmse_db.mean for e in entries if e.nmse_db.mean is not None] + list(more)
    if not means:
        return
    span = max(max(means) - min(means), 2.0)
    bounds = [v for e in entries for v in (e.nmse_db.low, e.nmse_db.high) if v is not None and e.nmse_db.has_interval]
    low = max(min([*means, *bounds]), min(means) - 0.35 * span) - 0.08 * span
    high = min(max([*means, *bounds]), max(means) + 0.35 * span) + 0.08 * span
    if axes.get_autoscaley_on():
        axes.set_ylim(low, high)
    else:  # panels that share the axis: both fit
        shared = axes.get_ylim()
        axes.set_ylim(min(low, shared[0]), max(high, shared[1]))


def _not_converged() -> Line2D:
    return Line2D([], [], color=GREY, linestyle=DASHES, marker="o", markerfacecolor="white", label="not converged")


def _marker(source: str) -> str:
    return MARKERS[_SOURCES.index(source) if source in _SOURCES else len(_SOURCES)]


def _order(names: Sequence[str], first: Sequence[str]) -> list[str]:
    """Distinct names, those of `first` in its order, then the others."""
    return sorted(set(names), key=lambda n: (first.index(n) if n in first else len(first), n))
