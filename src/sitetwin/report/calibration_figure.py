"""The figure of a calibration: powers of held-out users before and after, and posteriors against priors."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from sitetwin.calibrate.channels.outcome import SiteCalibration
from sitetwin.calibrate.channels.result import IDENTIFIED, Estimate
from sitetwin.drawing.style import FULL_WIDTH, GREY, MARKERS, PALETTE, figure_style, new_figure, render

MOST_ROWS = 24
"""Parameters that are drawn: those that the measurement tells best."""


def draw_calibration(found: SiteCalibration) -> dict[str, bytes]:
    """Measured over traced power of held-out users, and how much narrower posteriors are than priors.

    Returns:
        The figure as ``png`` and ``svg``.
    """
    rows = sorted(found.cell.estimates, key=lambda one: one.ratio)[:MOST_ROWS]
    with figure_style():
        figure = new_figure(FULL_WIDTH, max(3.2, 0.2 * len(rows) + 0.9))
        left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": (1.0, 1.1)})
        _powers(left, found)
        _ratios(right, rows)
        return render(figure)


def _powers(axes: Axes, found: SiteCalibration) -> None:
    held = found.cell.held_out
    axes.set_xlabel("measured power (dB)")
    axes.set_ylabel("power of the twin (dB)")
    axes.set_title("Users of held-out blocks")
    if not len(held.measured_db):
        axes.text(0.5, 0.5, "none were held out", ha="center", va="center", transform=axes.transAxes)
        return
    ends = [f(np.concatenate([held.measured_db, held.before_db, held.after_db])) for f in (np.min, np.max)]
    axes.plot(ends, ends, color=GREY, linewidth=0.8)
    for at, (name, values) in enumerate((("before", held.before_db), ("after", held.after_db))):
        error = held.errors_db[at]
        style: dict[str, Any] = {
            "linestyle": "none",
            "marker": MARKERS[at],
            "color": PALETTE[1 - at],
            "markersize": 3.5,
        }
        axes.plot(held.measured_db, values, label=f"{name}: {error:.2f} dB (median)", **style)
    axes.legend()


def _ratios(axes: Axes, rows: list[Estimate]) -> None:
    place = np.arange(len(rows))[::-1]
    said = np.array([one.verdict for one in rows])
    ratio = np.array([one.ratio for one in rows])
    for name, colour in (("identified", PALETTE[0]), ("by its class", PALETTE[2]), ("not identified", GREY)):
        chosen = said == name
        if chosen.any():
            axes.barh(place[chosen], ratio[chosen], color=colour, height=0.6, label=name)
    axes.axvline(IDENTIFIED, color=PALETTE[1], linewidth=0.8)
    axes.set_yticks(place, [_short(one.parameter.name) for one in rows])
    axes.set_xlim(0, max(1.05, float(ratio.max(initial=0)) * 1.02))
    axes.set_xlabel("posterior over prior standard deviation")
    axes.legend(loc="upper right")


def _short(name: str) -> str:
    name = name.replace("relative_permittivity", "permittivity").replace("_", " ")
    return name if len(name) <= 34 else f"{name[:31]}..."
