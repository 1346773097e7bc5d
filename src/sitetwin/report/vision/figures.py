"""Figures of a vision study: distance-based accuracy of the methods, scenario by scenario."""

from __future__ import annotations

from collections.abc import Sequence

from sitetwin.drawing.style import colours, new_figure, render
from sitetwin.report.frame import Drawn
from sitetwin.studies.vision.results import Row, ScenarioResults, VisionResults

TASKS = {
    "explained": "Powers that profiles give back",
    "predicted": "Powers on drives that were not seen",
}


def draw_figures(results: VisionResults) -> list[Drawn]:
    """One figure for each task: a panel for each scenario."""
    drawn = []
    for task, title in TASKS.items():
        scenarios = [one for one in results.scenarios if any(row.task == task for row in one.rows)]
        if scenarios:
            caption = f"{title}: distance-based accuracy, 95 % over drives."
            drawn.append(Drawn(f"accuracy-{task}", caption, _bars(scenarios, task)))
    return drawn


def label(row: Row) -> str:
    """Method and what it has seen."""
    if row.beams_measured is not None:
        return f"{row.method} ({row.beams_measured} beams)"
    if row.whole_pool:
        return f"{row.method} (all other drives)"
    return f"{row.method} ({row.calibration_rows} rows)" if row.calibration_rows is not None else row.method


def _bars(scenarios: Sequence[ScenarioResults], task: str) -> dict[str, bytes]:
    of = [{label(row): row for row in one.rows if row.task == task} for one in scenarios]
    names = list(dict.fromkeys(name for rows in of for name in rows))
    figure = new_figure(3.6 + 2.6 * len(scenarios), 1.2 + 0.32 * len(names))
    panels = figure.subplots(1, len(scenarios), sharey=True, squeeze=False)[0]
    colour = colours(list(dict.fromkeys(row.method for rows in of for row in rows.values())))
    for axes, one, rows in zip(panels, scenarios, of, strict=True):
        for name, row in rows.items():
            place = names.index(name)
            axes.barh(place, row.dba.mean or 0.0, color=colour[row.method], height=0.7)
            if row.dba.has_interval:
                axes.plot([row.dba.low, row.dba.high], [place, place], color="black", lw=1)
        axes.set_xlim(0, 1)
        axes.set_xlabel("DBA")
        axes.set_title(one.name)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    return render(figure)
