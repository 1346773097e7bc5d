"""The figure of a study of fidelity: what each error of a twin costs, a panel for each kind."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from sitetwin.drawing.style import FULL_WIDTH, GREY, MARKERS, PALETTE, new_figure, render
from sitetwin.report.frame import Drawn
from sitetwin.studies.fidelity.kinds import PERFECT, UNITS
from sitetwin.studies.fidelity.results import FidelityResults, TwinRow

WHOLE = ("plain", "wrong site")
"""Kinds of twins that differ in more than one thing: they share a panel."""

TITLES = {
    "trees": "trees of the twin",
    "walls": "walls displaced",
    "heights": "heights of roofs off",
    "materials": "all surfaces made of",
    "order": "reflections of the twin",
    "yaw": "array turned",
    "pattern": "elements of the twin",
    "station": "station elsewhere",
    "whole": "more than one thing",
}
_COLUMNS = 3


def cost_figure(results: FidelityResults) -> Drawn:
    """Costs over strengths, or a place for each choice; bars are intervals."""
    rows = [row for row in results.rows if row.kind != PERFECT and row.cost_db.mean is not None]
    panels: dict[str, list[TwinRow]] = {}
    for row in rows:
        panels.setdefault("whole" if row.kind in WHOLE else row.kind, []).append(row)
    lines = -(-len(panels) // _COLUMNS)
    figure = new_figure(FULL_WIDTH + 1.2, 2.5 * lines + 0.5)
    axes = figure.subplots(lines, _COLUMNS, sharey=True, squeeze=False)
    methods = list(dict.fromkeys(row.method for row in rows))
    entries: dict[str, Artist] = {}
    for place, (kind, own) in zip(axes.flat, panels.items(), strict=False):
        place.axhline(0.0, color=GREY, linewidth=0.8)
        place.set_title(TITLES.get(kind, kind))
        for number, method in enumerate(methods):
            look = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
            some = [row for row in own if row.method == method]
            if kind in UNITS:
                _over_strength(place, kind, some, look, method, results)
            else:
                _by_choice(place, some, look, method, (number - (len(methods) - 1) / 2) * 0.18)
        handles, labels = place.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    for place in axes.flat[len(panels) :]:
        place.set_visible(False)
    for line in axes:
        line[0].set_ylabel("cost, dB")
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=max(1, len(entries)))
    return Drawn("cost", _caption(results), render(figure))


def _caption(results: FidelityResults) -> str:
    drawn = {row.kind for row in results.rows}
    caption = (
        f"NMSE at {results.bits} bits with a codec of each twin, less that with the codec of the perfect twin, on the "
        "same users of the truth. Each panel has one thing wrong"
    )
    caption += ", but for the one of more than one thing. " if drawn & set(WHOLE) else ". "
    end = " (at the truth's own number, for reflections)" if "order" in drawn else ""
    if drawn & set(UNITS):
        caption += f"Lines begin at the perfect twin{end}, whose cost is 0 by construction. "
    return caption + "Bars are 95 % intervals over blocks of space."


def _over_strength(
    axes: Axes, kind: str, rows: Sequence[TwinRow], look: tuple[str, str], label: str, results: FidelityResults
) -> None:
    """A line from the perfect twin through all strengths."""
    colour, marker = look
    truth = float(results.truth.reflections) if kind == "order" else 0.0
    points = sorted([(truth, 0.0), *((row.strength or 0.0, row.cost_db.mean or 0.0) for row in rows)])
    axes.plot([x for x, _ in points], [y for _, y in points], color=colour, marker=marker, label=label)
    for row in rows:
        _bar(axes, row.strength or 0.0, row, colour)
    axes.set_xlabel(UNITS[kind])
    axes.set_xticks(sorted({x for x, _ in points}))


def _by_choice(axes: Axes, rows: Sequence[TwinRow], look: tuple[str, str], label: str, beside: float) -> None:
    """A point for each choice; codecs stand side by side."""
    colour, marker = look
    places = [place + beside for place in range(len(rows))]
    costs = [row.cost_db.mean or 0.0 for row in rows]
    axes.plot(places, costs, color=colour, marker=marker, linestyle="", label=label)
    for place, row in zip(places, rows, strict=True):
        _bar(axes, place, row, colour)
    axes.set_xticks(range(len(rows)), [row.choice or row.kind for row in rows])
    axes.set_xlim(-0.6, len(rows) - 0.4)


def _bar(axes: Axes, place: float, row: TwinRow, colour: str) -> None:
    if row.cost_db.has_interval and row.cost_db.low is not None and row.cost_db.high is not None:
        axes.vlines(place, row.cost_db.low, row.cost_db.high, color=colour, linewidth=0.8)
