"""Maps of what users have: a number, or the station that serves them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from sitetwin.drawing.maps import (
    MISSING,
    ROOFS,
    Extent,
    beyond,
    colour_bar,
    draw_masts,
    draw_roofs,
    frame_map,
    legend_below,
    map_height,
    mast_names,
    roof_heights,
    round_range,
)
from sitetwin.drawing.plots.inputs import axes_in_style, users_and_values
from sitetwin.drawing.raster import Raster
from sitetwin.drawing.style import FULL_WIDTH, PALETTE
from sitetwin.errors import SiteTwinError
from sitetwin.site import Site

_ROOF_CELLS = 700  # along the longer side
_STEP_SHARE = 20  # ends of the colours are multiples of about a twentieth of the range
_MOST_NAMES = 20


def plot_coverage(
    values: ArrayLike | xr.DataArray,
    users: ArrayLike | None = None,
    *,
    label: str | None = None,
    site: Site | None = None,
    transmitters: ArrayLike | None = None,
    transmitter_names: Sequence[str] | None = None,
    limits: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a map of one number per user, such as path gain, SINR or delay spread.

    Args:
        values: (U,) numbers, NaN for users without one; or an xarray.DataArray with the coordinates ``x`` and ``y``,
            whose ``long_name`` and ``units`` label the colours.
        users: (U, 2) or (U, 3) metres; may be left out where the values have coordinates.
        label: Label of the colour bar, with the unit.
        site: Its roofs are drawn below the users.
        transmitters: (N, 3) metres, or (3,) for one.
        transmitter_names: One for each; "BS1", "BS2" and so on by default.
        limits: Values at the ends of the colours; by default the middle 98 % of the values, rounded outwards.
        ax: Axes to draw on; by default those of a new figure.

    Returns:
        The axes.

    Raises:
        SiteTwinError: Values and users do not fit each other, or the limits do not rise.
    """
    number, place, own_label = users_and_values(values, users)
    masts = _masts(transmitters)
    raster = Raster(place)
    low, high = _limits(number) if limits is None else limits
    if not low < high:
        raise SiteTwinError(f"the limits of the colours are {low:g} and {high:g}; give a lower and a higher number")
    extent = _window(raster.extent, masts)
    with axes_in_style(ax, FULL_WIDTH, map_height(extent, FULL_WIDTH - 1.5) + 0.85) as axes:
        handles = _ground(axes, site, extent, number, raster)
        image = axes.imshow(
            np.ma.masked_invalid(raster.mean(np.clip(number, low - (high - low), high + (high - low)))),
            extent=raster.extent,
            origin="lower",
            cmap="viridis",
            norm=Normalize(low, high),
            interpolation="nearest",
            zorder=2,
        )
        colour_bar(axes, image, label or own_label or "value", extend=beyond(number, low, high))
        _finish(axes, extent, masts, handles, transmitter_names)
    return axes


def plot_best_server(
    serving: ArrayLike | xr.DataArray,
    users: ArrayLike | None = None,
    *,
    names: Sequence[str] | None = None,
    site: Site | None = None,
    transmitters: ArrayLike | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a map of the station that serves each user.

    Args:
        serving: (U,) index of the station, -1 for none; or an xarray.DataArray with the coordinates ``x`` and ``y``.
        users: (U, 2) or (U, 3) metres; may be left out where `serving` has coordinates.
        names: Names of the stations, in the order of the indices.
        site: Its roofs are drawn below the users.
        transmitters: (N, 3) metres, of the stations in the order of the indices.
        ax: Axes to draw on; by default those of a new figure.

    Returns:
        The axes.

    Raises:
        SiteTwinError: Stations and users do not fit each other, an index has no name, or there are more than 20
            stations, whose colours would look alike.
    """
    index, place, _ = users_and_values(serving, users)
    masts = _masts(transmitters)
    if (index != np.rint(index)).any() or index.min() < -1:
        raise SiteTwinError("the serving stations must be whole numbers from 0, or -1 for none")
    count = max(int(index.max()) + 1, len(masts), 1)
    if names is None:
        names = mast_names(count)
    if len(names) < count:
        raise SiteTwinError(f"there are {len(names)} names for {count} stations; give one for each")
    return plot_labels(
        np.where(index >= 0, index, np.nan),
        place,
        names,
        site=site,
        transmitters=transmitters,
        transmitter_names=names,
        ax=ax,
    )


def plot_labels(
    labels: ArrayLike | xr.DataArray,
    users: ArrayLike | None,
    names: Sequence[str],
    *,
    title: str | None = None,
    colours: Sequence[str] | None = None,
    site: Site | None = None,
    transmitters: ArrayLike | None = None,
    transmitter_names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a map of one label per user, such as the best server or whether there is a line of sight.

    Args:
        labels: (U,) index into `names`, NaN for users without one; or an xarray.DataArray with the coordinates ``x``
            and ``y``.
        users: (U, 2) or (U, 3) metres; None takes the coordinates.
        names: What the labels mean; the legend shows those that occur.
        title: Title of the legend.
        colours: One for each name; by default colours that every eye tells apart for up to seven names.
        site: Its roofs are drawn below the users.
        transmitters: (N, 3) metres, or (3,) for one.
        transmitter_names: One for each; "BS1", "BS2" and so on by default.
        ax: Axes to draw on; by default those of a new figure.

    Returns:
        The axes.

    Raises:
        SiteTwinError: Labels and users do not fit each other, a label has no name, or there are more than 20 names,
            whose colours would look alike.
    """
    index, place, _ = users_and_values(labels, users)
    known = index[~np.isnan(index)]
    if ((known < 0) | (known >= len(names)) | (known != np.rint(known))).any():
        raise SiteTwinError(f"the labels must be whole numbers from 0 to {len(names) - 1}, or NaN for none")
    if len(names) > _MOST_NAMES:
        raise SiteTwinError(f"{len(names)} names have no colours that can be told apart; show at most {_MOST_NAMES}")
    table = colours or (PALETTE if len(names) <= len(PALETTE) else colormaps["tab20"].colors)  # type: ignore[attr-defined]
    masts = _masts(transmitters)
    raster = Raster(place)
    extent = _window(raster.extent, masts)
    with axes_in_style(ax, FULL_WIDTH, map_height(extent, FULL_WIDTH - 1.5) + 0.85) as axes:
        handles = _ground(axes, site, extent, index, raster)
        axes.imshow(
            np.ma.masked_invalid(raster.last(index)),
            extent=raster.extent,
            origin="lower",
            cmap=ListedColormap(list(table[: len(names)])),
            norm=Normalize(-0.5, len(names) - 0.5),
            interpolation="nearest",
            alpha=0.85,
            zorder=2,
        )
        shown = np.unique(known).astype(int)
        handles = [Patch(facecolor=table[i], alpha=0.85, label=names[i]) for i in shown] + handles
        _finish(axes, extent, masts, handles, transmitter_names, title)
    return axes


def _masts(transmitters: ArrayLike | None) -> np.ndarray:
    """(N, 3) positions of transmitters."""
    if transmitters is None:
        return np.zeros((0, 3))
    masts = np.atleast_2d(np.asarray(transmitters, dtype=np.float64))
    if masts.ndim != 2 or masts.shape[1] not in (2, 3) or not np.isfinite(masts).all():
        raise SiteTwinError(f"transmitters have the shape {masts.shape}; give finite positions (N, 3) in metres")
    return masts


def _limits(number: np.ndarray) -> tuple[float, float]:
    """The middle 98 % of the values, rounded outwards to a round step."""
    known = number[np.isfinite(number)]
    if not known.size:
        return 0.0, 1.0
    low, high = np.percentile(known, [1, 99])
    span = float(high - low) or max(abs(float(high)), 1.0)
    power = 10.0 ** np.floor(np.log10(span / _STEP_SHARE))
    step = next(s * power for s in (1.0, 2.0, 5.0, 10.0) if s * power >= span / _STEP_SHARE)
    return round_range(number, float(step))


def _window(extent: Extent, masts: np.ndarray) -> Extent:
    """The users and the transmitters near them, with a margin."""
    xmin, xmax, ymin, ymax = extent
    reach = 0.25 * max(xmax - xmin, ymax - ymin)
    near = [m for m in masts if xmin - reach <= m[0] <= xmax + reach and ymin - reach <= m[1] <= ymax + reach]
    x, y = [xmin, xmax, *(m[0] for m in near)], [ymin, ymax, *(m[1] for m in near)]
    margin = 0.03 * max(max(x) - min(x), max(y) - min(y))
    return float(min(x) - margin), float(max(x) + margin), float(min(y) - margin), float(max(y) + margin)


def _ground(axes: Axes, site: Site | None, extent: Extent, values: np.ndarray, raster: Raster) -> list[Patch]:
    """Draw roofs, and users without a value; returns what the legend says of them."""
    handles = []
    axes.grid(False)
    if site is not None:
        step = max(extent[1] - extent[0], extent[3] - extent[2]) / _ROOF_CELLS
        if draw_roofs(axes, *roof_heights(site, extent, step)):
            handles.append(Patch(facecolor=ROOFS(0.5), label="building (darker: higher)"))
    if np.isnan(values).any():
        axes.imshow(
            np.ma.masked_invalid(raster.last(np.where(np.isnan(values), 0.0, np.nan))),
            extent=raster.extent,
            origin="lower",
            cmap=ListedColormap([MISSING]),
            norm=Normalize(0, 1),
            interpolation="nearest",
            zorder=2,
        )
        handles.append(Patch(facecolor=MISSING, edgecolor="#9aa5b1", label="no value"))
    return handles


def _finish(
    axes: Axes,
    extent: Extent,
    masts: np.ndarray,
    handles: list[Patch],
    names: Sequence[str] | None = None,
    title: str | None = None,
) -> None:
    """Draw the transmitters within the map, those at one place under one mark, then the frame and the legend."""
    together: dict[tuple[float, float], list[str]] = {}
    for (x, y), name in zip(masts[:, :2].tolist(), names or mast_names(len(masts)), strict=False):
        if extent[0] <= x <= extent[1] and extent[2] <= y <= extent[3]:
            together.setdefault((x, y), []).append(name)
    draw_masts(axes, np.array(list(together)).reshape(-1, 2), [", ".join(found) for found in together.values()])
    frame_map(axes, extent)
    legend_below(axes, handles, title)
