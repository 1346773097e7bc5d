"""The figures of a study of codecs over time: days with their events, and reports that age."""

from __future__ import annotations

from matplotlib.axes import Axes

from sitetwin.drawing.style import DASHES, FULL_WIDTH, GREY, PALETTE, new_figure, render
from sitetwin.report.frame import Drawn
from sitetwin.studies.upkeep.results import LOOKED_AFTER, NEVER, ONCE, Ageing, SeasonRun, UpkeepResults

_COLOURS = {LOOKED_AFTER: PALETTE[0], ONCE: PALETTE[1], NEVER: PALETTE[2]}
_STYLES = {"held": "-", "predicted": DASHES, "known Dopplers": (0, (1, 1.2))}
_LOWEST_DB = -45.0  # errors below, as of users that stand still and lose nothing, are not drawn
_LEAF = "#cfe5c5"


def draw_figures(results: UpkeepResults) -> list[Drawn]:
    """For each codec the days of its first seed, and how its reports age."""
    drawn = []
    for method in dict.fromkeys(run.method for run in results.seasons):
        run = next(run for run in results.seasons if run.method == method and run.changes)
        caption = (
            f"{method}, seed {run.seed}: error and cosine similarity of users who never upload. Green: trees in "
            "leaf. Red dots: the array is turned. Grey lines: alarms; blue lines: versions that came into use."
        )
        drawn.append(Drawn(f"days-{_plain(method)}", caption, _days(run)))
    for method in dict.fromkeys(one.method for one in results.ageing):
        own = [one for one in results.ageing if one.method == method]
        what = f"{method}, {results.configuration['bits']} bits" if method else "Reports that lose nothing"
        caption = f"{what}: error and cosine similarity against the feedback delay, by the users' speed."
        drawn.append(Drawn(f"ageing-{_plain(method) or 'lossless'}", caption, _ageing(own)))
    return drawn


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def _days(run: SeasonRun) -> dict[str, bytes]:
    figure = new_figure(FULL_WIDTH, 4.6)
    error, similarity = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    days = [one.day for one in run.days]
    for life, colour in _COLOURS.items():
        line = DASHES if life == ONCE else "-"  # as long as there was one update, it lies on the first
        error.plot(days, [one.nmse_db[life] for one in run.days], color=colour, ls=line, label=life)
        similarity.plot(days, [one.sgcs[life] for one in run.days], color=colour, ls=line)
    error.set_ylabel("NMSE (dB)")
    similarity.set_ylabel("cosine similarity")
    similarity.set_xlabel("day")
    for axes in (error, similarity):
        leaves = axes.twinx()
        leaves.fill_between(days, [one.in_leaf for one in run.days], color=_LEAF, alpha=0.6, lw=0)
        leaves.set(ylim=(0, 1), yticks=[])
        axes.set_zorder(leaves.get_zorder() + 1)
        axes.patch.set_visible(False)
        axes.set_xlim(days[0], days[-1])
        _mark(axes, run)
    figure.legend(*error.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return render(figure)


def _mark(axes: Axes, run: SeasonRun) -> None:
    turned = [day.day for day in run.days if day.turned]
    if turned:
        axes.axvline(turned[0], color=PALETTE[1], lw=1.2, ls=(0, (1, 1.2)))
    for event in run.events:
        new = event.what == "updated"
        axes.axvline(event.day, color=PALETTE[0] if new else GREY, lw=1.2 if new else 0.8, ls="-" if new else DASHES)


def _ageing(rows: list[Ageing]) -> dict[str, bytes]:
    figure = new_figure(FULL_WIDTH, 3.6)
    error, similarity = figure.subplots(1, 2)
    speeds = sorted({row.speed for row in rows})
    for row in rows:
        colour = PALETTE[speeds.index(row.speed) % len(PALETTE)]
        label = f"{row.speed:g} m/s, {row.used}"
        for axes, values in ((error, row.nmse_db), (similarity, row.sgcs)):
            means = [float("nan") if one.mean is None else one.mean for one in values]
            axes.plot(row.delay_ms, means, color=colour, ls=_STYLES[row.used], label=label)
    error.set_ylim(bottom=max(error.get_ylim()[0], _LOWEST_DB))
    error.set_ylabel("NMSE (dB)")
    similarity.set_ylabel("cosine similarity")
    for axes in (error, similarity):
        axes.set_xlabel("feedback delay (ms)")
        axes.set_xlim(rows[0].delay_ms[0], rows[0].delay_ms[-1])
    figure.legend(*error.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return render(figure)
