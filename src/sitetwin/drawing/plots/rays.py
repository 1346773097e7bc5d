"""The rays of one user in space, over what stands around them."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d import Axes3D
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection

from sitetwin.drawing.plots.inputs import axes_in_style, path_powers, rows_above
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Paths
from sitetwin.site import Site

_LIGHT = np.array([0.45, -0.35, 0.82])
_WALL = np.array(to_rgb("#d8d4cc"))
_MOST_TRIANGLES = 30_000
_LOWEST_VIEW = 25.0  # metres above the ground that are shown at least


def plot_rays(
    site: Site | None,
    paths: Paths,
    user: int,
    power: Any = None,
    *,
    floor_db: float = 40.0,
    margin: float = 15.0,
    ax: Axes | None = None,
) -> Axes:
    """Draw the paths that reach one user, in space, over the site.

    Args:
        site: What stands around the rays is drawn; None draws rays alone.
        paths: P paths.
        user: Index of the user.
        power: (P,) received over transmitted power of each path, or the gains of the paths. Colours show it; without
            it they show the number of interactions.
        floor_db: Paths further than this below the strongest are left out, where there are powers.
        margin: Metres of the site shown around the rays.
        ax: Three-dimensional axes (``projection="3d"``) to draw on; by default those of a new figure.

    Returns:
        The axes.

    Raises:
        SiteTwinError: There is no such user, no path reaches it, the powers do not fit the paths, or the axes are flat.
    """
    if ax is not None and not isinstance(ax, Axes3D):
        raise SiteTwinError('rays need axes in space; make them with projection="3d"')
    given = path_powers(paths, power) if power is not None else np.ones(paths.num_paths)
    rows = rows_above(paths, given, user, floor_db)
    lines = [_polyline(paths, int(row)) for row in rows]
    points = np.concatenate(lines)
    with axes_in_style(ax, 6.2, 5.2, projection="3d") as axes:
        space = cast(Axes3D, axes)
        low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
        if site is not None:
            low[2] = max(float(site.bounds[0, 2]), low[2])
            high[2] = max(high[2], low[2] + _LOWEST_VIEW)
            _draw_site(space, site, low, high)
        if power is not None:
            decibel = 10 * np.log10(given[rows])
            norm, colours = Normalize(decibel[0] - floor_db, decibel[0]), colormaps["viridis_r"]
            shades, label = colours(norm(decibel)), "path gain (dB)"
        else:
            depth = paths.depth[rows].astype(float)
            norm, colours = Normalize(0, max(paths.max_depth, 1)), colormaps["viridis"]
            shades, label = colours(norm(depth)), "number of interactions"
        widths = np.linspace(2.0, 0.8, len(rows)) if power is not None else np.full(len(rows), 1.4)
        space.add_collection3d(
            Line3DCollection(lines[::-1], colors=shades[::-1], linewidths=widths[::-1], zorder=5), autolim=False
        )
        _draw_ends(space, paths.transmitter, paths.users[user])
        _draw_bar(space, norm, colours, label, whole=power is None)
        _frame(space, low, high)
        space.set_title(f"user {user}: {len(rows)} path{'s' * (len(rows) != 1)}")
    return axes


def _polyline(paths: Paths, row: int) -> np.ndarray:
    """(V, 3) metres, from the transmitter over the vertices to the user."""
    user = np.searchsorted(paths.offsets, row, side="right") - 1
    bends = paths.vertices[row, : np.count_nonzero(paths.kinds[row])]
    return np.concatenate([paths.transmitter[None], bends, paths.users[user][None]])


def _draw_site(axes: Axes3D, site: Site, low: np.ndarray, high: np.ndarray) -> None:
    """The triangles near the rays, shaded as if the sun stood in the south-east."""
    corners = site.vertices[site.triangles]
    near = (corners[..., :2].max(axis=1) > low[:2]).all(axis=1) & (corners[..., :2].min(axis=1) < high[:2]).all(axis=1)
    corners = corners[near].copy()
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.sqrt((normal**2).sum(axis=1))
    largest = np.argsort(-area, kind="stable")[:_MOST_TRIANGLES]
    corners, normal, area = corners[largest], normal[largest], area[largest]
    corners[..., :2] = np.clip(corners[..., :2], low[:2], high[:2])
    unit = normal / np.maximum(area, 1e-12)[:, None]
    shade = 0.62 + 0.38 * np.abs(unit @ (_LIGHT / np.linalg.norm(_LIGHT)))
    axes.add_collection3d(
        Poly3DCollection(corners, facecolors=_WALL * shade[:, None], edgecolors="none", alpha=0.35, zorder=1),
        autolim=False,
    )


def _draw_ends(axes: Axes3D, transmitter: np.ndarray, user: np.ndarray) -> None:
    for place, marker, colour, label in (
        (transmitter, "^", "#D55E00", "transmitter"),
        (user, "o", "#0072B2", "user"),
    ):
        style = {"marker": marker, "color": colour, "markeredgecolor": "black", "markersize": 8, "linestyle": "none"}
        axes.plot([place[0]], [place[1]], [place[2]], label=label, zorder=10, **cast(Any, style))
    axes.legend(loc="upper left", handlelength=1.2)


def _draw_bar(axes: Axes3D, norm: Normalize, colours: Any, label: str, whole: bool) -> None:
    figure = cast(Figure, axes.figure)
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=axes, shrink=0.6, pad=0.1, aspect=24, label=label)
    if whole:
        bar.set_ticks(list(range(int(norm.vmax or 1) + 1)))


def _frame(axes: Axes3D, low: np.ndarray, high: np.ndarray) -> None:
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    axes.set(xlabel="east (m)", ylabel="north (m)", zlabel="height (m)")
    axes.set_box_aspect(tuple(np.maximum(high - low, 1e-3)), zoom=1.15)
    axes.view_init(elev=38, azim=-60)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.pane.set_visible(False)  # type: ignore[attr-defined]
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
