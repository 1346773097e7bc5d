"""How a user's power lies over delay and over direction."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes

from sitetwin.drawing.plots.inputs import axes_in_style, path_powers, rows_above
from sitetwin.drawing.style import GREY, MARKERS, PALETTE
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Paths

_FLOOR_DB = 50.0  # weaker paths than this below the strongest are left out
_CLASSES = ("line of sight", "1 interaction", "2 interactions", "3 or more")


def plot_power_delay_profile(
    paths: Paths, power: Any, user: int, *, floor_db: float = _FLOOR_DB, ax: Axes | None = None
) -> Axes:
    """Draw the power of each path of a user over its delay.

    Args:
        paths: P paths.
        power: (P,) received over transmitted power of each path, or the gains of the paths.
        user: Index of the user.
        floor_db: Paths further than this below the strongest are left out.
        ax: Axes to draw on; by default those of a new figure.

    Returns:
        The axes; each class of paths is a stem line with delays in nanoseconds and powers in dB.

    Raises:
        SiteTwinError: There is no such user, no path reaches it, or the powers do not fit the paths.
    """
    given = path_powers(paths, power)
    rows = rows_above(paths, given, user, floor_db)
    decibel = 10 * np.log10(given[rows])
    delay, low = 1e9 * paths.delay[rows], _floor(decibel)
    with axes_in_style(ax) as axes:
        for number, (here, colour, marker, label) in enumerate(_by_class(paths, rows)):
            axes.vlines(delay[here], low, decibel[here], color=colour, linewidth=1.1, zorder=3 - 0.1 * number)
            axes.plot(delay[here], decibel[here], marker, color=colour, markersize=4.5, label=label, zorder=4)
        axes.set(xlabel="delay (ns)", ylabel="path gain (dB)", ylim=(low, decibel.max() + 3))
        axes.margins(x=0.04)
        axes.legend(handlelength=1.0)
    return axes


def plot_angular_power_spectrum(
    paths: Paths,
    power: Any,
    user: int,
    *,
    side: Literal["departure", "arrival"] = "arrival",
    floor_db: float = _FLOOR_DB,
    ax: Axes | None = None,
) -> Axes:
    """Draw the power of each path of a user over its azimuth and elevation.

    Azimuth counts counter-clockwise from east, elevation up from the horizon. Arrivals point from the user to where the
    wave comes from. The larger and darker a mark, the stronger the path.

    Args:
        paths: P paths.
        power: (P,) received over transmitted power of each path, or the gains of the paths.
        user: Index of the user.
        side: Directions at the transmitter ("departure") or at the user ("arrival").
        floor_db: Paths further than this below the strongest are left out.
        ax: Axes to draw on; by default those of a new figure.

    Returns:
        The axes; the marks are a scatter of azimuths and elevations in degrees.

    Raises:
        SiteTwinError: The side is unknown, there is no such user, no path reaches it, or the powers do not fit.
    """
    if side not in ("departure", "arrival"):
        raise SiteTwinError(f"there is no side {side!r} of a path; choose departure or arrival")
    given = path_powers(paths, power)
    rows = rows_above(paths, given, user, floor_db)
    decibel = 10 * np.log10(given[rows])
    direction = (paths.departure if side == "departure" else paths.arrival)[rows]
    azimuth = np.degrees(np.arctan2(direction[:, 1], direction[:, 0]))
    elevation = np.degrees(np.arcsin(np.clip(direction[:, 2], -1, 1)))
    share = 1 + (decibel - decibel.max()) / floor_db
    with axes_in_style(ax) as axes:
        weak_first = slice(None, None, -1)
        marks = axes.scatter(
            azimuth[weak_first],
            elevation[weak_first],
            s=(12 + 90 * share**2)[weak_first],
            c=decibel[weak_first],
            cmap="viridis_r",
            vmin=decibel.max() - floor_db,
            vmax=decibel.max(),
            edgecolors="black",
            linewidths=0.4,
            zorder=3,
        )
        bar = axes.figure.colorbar(marks, ax=axes, pad=0.02, aspect=28, label="path gain (dB)")  # type: ignore[union-attr]
        bar.ax.grid(False)
        axes.axhline(0.0, color=GREY, linewidth=0.8, linestyle=":")
        axes.set(xlim=(-180, 180), xticks=range(-180, 181, 60), xlabel=f"azimuth of {side} (°)")
        axes.set_ylabel(f"elevation of {side} (°)")
        low, high = min(float(elevation.min()), 0.0), max(float(elevation.max()), 0.0)
        axes.set_ylim(max(10 * np.floor(low / 10 - 0.3), -95.0), min(10 * np.ceil(high / 10 + 0.3), 95.0))
    return axes


def _floor(decibel: np.ndarray) -> float:
    return float(5 * np.floor((decibel.min() - 4) / 5))


def _by_class(paths: Paths, rows: np.ndarray) -> list[tuple[np.ndarray, str, str, str]]:
    """Paths by their number of interactions: which ones, colour, marker and label; classes without any left out."""
    depth = np.minimum(paths.depth[rows], len(_CLASSES) - 1)
    return [
        (np.flatnonzero(depth == k), PALETTE[k], MARKERS[k], label)
        for k, label in enumerate(_CLASSES)
        if (depth == k).any()
    ]
