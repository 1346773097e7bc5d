"""How quantities are spread over users: histogram of paths, cumulative distribution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike

from sitetwin.drawing.plots.inputs import axes_in_style
from sitetwin.drawing.style import PALETTE
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Interaction, Paths

KINDS = ("line of sight", "reflection", "edge", "wall", "canopy", "diffuse", "mixed")
"""Kinds of paths: what all their interactions are, or "mixed"."""

_MOST_BARS = 40
_DASHES = ("-", "--", "-.", ":")
_OF_KIND = {
    Interaction.REFLECTION: "reflection",
    Interaction.DIFFRACTION: "edge",
    Interaction.TRANSMISSION: "wall",
    Interaction.CANOPY: "canopy",
    Interaction.DIFFUSE: "diffuse",
}


def plot_path_histogram(paths: Paths, by: Literal["user", "kind"] = "user", *, ax: Axes | None = None) -> Axes:
    """Draw how many paths users have, or how many paths there are of each kind.

    Args:
        paths: P paths of U users.
        by: "user" draws the share of the users over their number of paths, "kind" the mean number of paths per user
            over what happens on the way.
        ax: Axes to draw on; by default those of a new figure.

    Returns:
        The axes.

    Raises:
        SiteTwinError: There are no users, or `by` is something else.
    """
    if by not in ("user", "kind"):
        raise SiteTwinError(f"paths cannot be counted by {by!r}; choose user or kind")
    if not paths.num_users:
        raise SiteTwinError("there are no users to count paths of; trace to at least one")
    with axes_in_style(ax) as axes:
        if by == "user":
            counts = paths.counts
            width = max(1, int(np.ceil((counts.max() + 1) / _MOST_BARS)))
            edges = np.arange(0, counts.max() + width + 1, width)
            share = np.histogram(counts, edges)[0] / len(counts)
            middle = edges[:-1] + (width - 1) / 2
            axes.bar(middle, share, width=0.9 * width, color=PALETTE[0])
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            axes.set(xlabel="paths per user", ylabel="share of the users")
            axes.axvline(counts.mean(), color=PALETTE[1], linestyle="--", label=f"mean: {counts.mean():.1f}")
            axes.legend()
        else:
            found = path_kinds(paths)
            names = [name for name in KINDS if (found == name).any()]
            mean = [float((found == name).sum()) / paths.num_users for name in names]
            bars = axes.barh(names, mean, color=PALETTE[0], height=0.7)
            axes.bar_label(bars, fmt="%.3g", padding=3, fontsize=8)
            axes.invert_yaxis()
            axes.grid(False, axis="y")
            axes.margins(x=0.12)
            axes.set(xlabel="mean number of paths per user")
    return axes


def path_kinds(paths: Paths) -> np.ndarray:
    """(P,) one of `KINDS` for each path."""
    found = np.full(paths.num_paths, "mixed", dtype="U16")
    found[paths.depth == 0] = "line of sight"
    for kind, name in _OF_KIND.items():
        alone = ((paths.kinds == kind) | (paths.kinds == Interaction.NONE)).all(axis=1)
        found[alone & (paths.depth > 0)] = name
    return found


def plot_cdf(values: ArrayLike | Mapping[str, ArrayLike], *, label: str = "value", ax: Axes | None = None) -> Axes:
    """Draw the cumulative distribution of one quantity, or of several side by side.

    Args:
        values: Numbers of any shape, or several sets of them by name. Those that are not finite are left out.
        label: Label of the quantity, with its unit.
        ax: Axes to draw on; by default those of a new figure.

    Returns:
        The axes; each line steps by one over the number of values at each value.

    Raises:
        SiteTwinError: A set holds no finite number.
    """
    sets = dict(values) if isinstance(values, Mapping) else {"": values}
    if not sets:
        raise SiteTwinError("there are no values to draw; give at least one set")
    with axes_in_style(ax) as axes:
        for number, (name, given) in enumerate(sets.items()):
            known = np.asarray(given, dtype=np.float64).ravel()
            known = np.sort(known[np.isfinite(known)])
            if not len(known):
                raise SiteTwinError(f"the values{f' of {name!r}' if name else ''} hold no finite number")
            colour = PALETTE[number % len(PALETTE)]
            share = np.arange(len(known) + 1) / len(known)
            axes.step(
                np.concatenate([known[:1], known]),
                share,
                where="post",
                color=colour,
                linestyle=_DASHES[number // len(PALETTE) % len(_DASHES)],
                label=name or None,
            )
        axes.set(xlabel=label, ylabel="share of the values at or below", ylim=(0, 1))
        if any(sets):
            axes.legend()
    return axes
