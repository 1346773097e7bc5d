"""The figure of a convergence table: what is found and what is missed, against the rays shot."""

from __future__ import annotations

from matplotlib.ticker import FuncFormatter, MaxNLocator

from sitetwin.drawing.style import FULL_WIDTH, GREY, MARKERS, PALETTE, figure_style, new_figure, render
from sitetwin.rays import Convergence

_FLOOR = 1e-6  # what is less is drawn here, for nothing has no place on a logarithmic axis


def draw_convergence(table: Convergence) -> dict[str, bytes]:
    """Valid paths, and the missed shares of pairs and of power with their upper limits.

    Returns:
        The figure as ``png`` and ``svg``.
    """
    columns = table.columns()
    rays = columns["rays"] / 1e6
    with figure_style():
        figure = new_figure(FULL_WIDTH, 2.8)
        left, right = figure.subplots(1, 2)
        left.plot(rays, columns["paths"], marker=MARKERS[0], color=PALETTE[0])
        left.yaxis.set_major_locator(MaxNLocator(integer=True))
        left.set_ylabel(f"valid paths of {table.probe_users:,} users")
        for place, (name, label) in enumerate(
            (("missed_pairs", "of (chain, user) pairs"), ("missed_power", "of power"))
        ):
            style = {"color": PALETTE[place], "marker": MARKERS[place]}
            right.plot(rays, columns[name].clip(_FLOOR), label=label, **style)
            right.plot(rays, columns[f"{name}_high"].clip(_FLOOR), linestyle=":", linewidth=1.0, color=PALETTE[place])
        right.plot([], [], linestyle=":", linewidth=1.0, color=GREY, label=f"upper limit, {table.confidence:.0%}")
        right.set_yscale("log")
        right.yaxis.set_major_formatter(
            FuncFormatter(lambda share, _: f"{share:g}" if share > _FLOOR else f"≤ {_FLOOR:g}")
        )
        right.set_ylabel("estimated share missed")
        right.legend()
        for axes in (left, right):
            axes.set_xlabel("rays shot (millions)")
        return render(figure)
