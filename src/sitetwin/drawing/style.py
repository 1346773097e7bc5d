"""How the project's figures look, and how they become files whose bytes repeat.

Figures are built without pyplot, inside a context that starts from matplotlib's own defaults: neither the user's
matplotlibrc nor anything a figure does reaches the other.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

PNG_DPI = 150
FULL_WIDTH = 7.2
"""Width in inches of a figure across two columns of a paper."""

# Okabe and Ito's colours (Color Universal Design, 2008), told apart by every kind of colour vision; the darkest first.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#595959"
DASHES = (0, (2.6, 1.4))
"""What is not converged."""

SIGHT_COLOURS = ("#E69F00", "#0072B2")
"""Without and with a line of sight."""

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#4d4d4d",
    "axes.grid": True,
    "axes.labelsize": 9,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "font.family": ["DejaVu Sans"],  # matplotlib brings it: the same bytes on every machine
    "font.size": 9,
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 3.0,
    "legend.title_fontsize": 8,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "svg.hashsalt": "sitetwin",
    "text.parse_math": False,  # names come from files: a dollar sign in one is a dollar sign
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


@contextmanager
def figure_style() -> Iterator[None]:
    """The project's settings for as long as the block runs."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float, layout: Literal["constrained", "compressed"] = "constrained") -> Figure:
    """An empty figure of a size in inches, outside pyplot's registry; ``compressed`` suits axes of a fixed aspect."""
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def render(figure: Figure) -> dict[str, bytes]:
    """A figure as PNG and SVG: equal figures give equal bytes, for they carry no date."""
    files = {}
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        stream = io.BytesIO()
        figure.savefig(stream, format=kind, dpi=PNG_DPI, metadata=metadata)
        files[kind] = stream.getvalue()
        figure.set_layout_engine("none")  # the layout of the first drawing holds for the second
    return files


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, in their order; beyond seven they repeat."""
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(dict.fromkeys(names))}


def count_axis(axes: Axes, values: Sequence[int], width: float) -> None:
    """A logarithmic axis of counts, with ticks at the values that were measured.

    Args:
        axes: Its x axis is changed.
        values: The counts, above zero.
        width: Length of the axis in inches: labels closer than they are wide are left out, the largest stays.
    """
    values = sorted(set(values))
    axes.set_xscale("log")
    low, high = values[0], values[-1]
    margin = 1.25 if high == low else (high / low) ** 0.05
    axes.set_xlim(low / margin, high * margin)
    span = math.log(high * margin * margin / low)
    labelled: list[int] = []
    for value in reversed(values):
        room = 0.075 * (len(f"{value:,}") + 1.5)  # inches: a digit at 8 points, and a gap
        if not labelled or math.log(labelled[-1] / value) / span * width >= room:
            labelled.append(value)
    axes.xaxis.set_major_locator(FixedLocator(labelled))
    axes.xaxis.set_minor_locator(FixedLocator(values) if len(labelled) < len(values) else NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
