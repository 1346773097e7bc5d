"""What all maps are made of: roofs, crowns, masts, colour bars, round scales and the frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from jaxtyping import Float
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import EllipseCollection
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from sitetwin.site import Ellipsoid, Site, surface_height

Extent = tuple[float, float, float, float]
"""xmin, xmax, ymin, ymax, metres."""

ROOFS = LinearSegmentedColormap.from_list("roofs", ["#cfcfcf", "#585858"])
"""Roofs below values: the higher, the darker."""

MISSING = "#e9edf4"
"""Users without a value."""

TREE, TREE_EDGE = "#2e7d32", "#0b3d0e"
_LABEL_ROOM = 0.42  # inches that ticks and the label of an axis take
_BARE = 0.5  # metres above the lowest point: what is lower is ground


def round_range(values: np.ndarray, step: float) -> tuple[float, float]:
    """Find the range of the middle 98 % of the finite values, its ends rounded outwards to multiples of a step."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return -step, 0.0
    low, high = np.percentile(known, [1, 99])
    low, high = step * math.floor(low / step), step * math.ceil(high / step)
    return (low, high) if high > low else (low, low + step)


def beyond(values: np.ndarray, low: float, high: float) -> str:
    """Name the ends of a colour bar beyond which values lie: "neither", "min", "max" or "both"."""
    known = values[~np.isnan(values)]
    under, over = bool(known.size and known.min() < low), bool(known.size and known.max() > high)
    return {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[under, over]


def colour_bar(axes: Axes, image: ScalarMappable, label: str, below: bool = False, **options: Any) -> Colorbar:
    """Draw a slim colour bar to the right of a map, or below it."""
    place: dict[str, Any] = {"location": "bottom", "aspect": 30} if below else {"location": "right", "aspect": 32}
    figure = cast(Figure, axes.figure)
    bar = figure.colorbar(image, ax=axes, pad=0.02, shrink=0.92, label=label, **place, **options)
    cast(Any, bar.outline).set_linewidth(0.5)
    bar.ax.grid(False)
    return bar


def map_height(extent: Extent, width: float) -> float:
    """Choose the height in inches of a map that is `width` inches wide, within reason."""
    xmin, xmax, ymin, ymax = extent
    return float(np.clip(width * (ymax - ymin) / (xmax - xmin), 0.4 * width, 1.4 * width))


def frame_map(axes: Axes, extent: Extent) -> None:
    """Set limits, equal scales, labels and a box."""
    xmin, xmax, ymin, ymax = extent
    axes.set(xlim=(xmin, xmax), ylim=(ymin, ymax), aspect="equal", xlabel="east (m)", ylabel="north (m)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.spines[:].set_visible(True)


def roof_heights(site: Site, extent: Extent, step: float) -> tuple[Float[np.ndarray, "rows columns"], Extent]:
    """Look at the heights of what is built, from above.

    Args:
        site: The site.
        extent: What to look at.
        step: Side of a cell, metres.

    Returns:
        Heights in metres, NaN on open ground, row 0 in the south; and the extent of the cells.
    """
    xmin, xmax, ymin, ymax = extent
    x, y = np.arange(xmin, xmax, step) + step / 2, np.arange(ymin, ymax, step) + step / 2
    height = surface_height(site, np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
    open_ground = ~(height > site.bounds[0, 2] + _BARE)
    roofs = np.where(open_ground, np.nan, height).reshape(len(y), len(x))
    return roofs, (xmin, xmin + len(x) * step, ymin, ymin + len(y) * step)


def draw_roofs(axes: Axes, heights: np.ndarray | None, extent: Extent | None) -> bool:
    """Draw roofs in greys; returns whether there are any."""
    axes.grid(False)
    if heights is None or extent is None or not np.isfinite(heights).any():
        return False
    low, high = float(np.nanmin(heights)), float(np.nanmax(heights))
    axes.imshow(
        np.ma.masked_invalid(heights),
        extent=extent,
        origin="lower",
        cmap=ROOFS,
        norm=Normalize(low, max(high, low + 1.0)),
        zorder=1,
    )
    return True


def crowns_of(site: Site) -> Float[np.ndarray, "crowns 3"]:
    """Return east, north and radius of the round crowns of a site, metres."""
    crowns = [v for v in site.vegetation.volumes if isinstance(v, Ellipsoid)]
    return np.array([(*v.centre[:2], v.semi_axes[0]) for v in crowns], dtype=np.float64).reshape(-1, 3)


def draw_crowns(axes: Axes, crowns: Float[np.ndarray, "crowns 3"], filled: bool = False) -> None:
    """Draw crowns (x, y, radius) as circles."""
    if not len(crowns):
        return
    diameter = 2.0 * crowns[:, 2]
    circles = EllipseCollection(
        diameter,
        diameter,
        np.zeros(len(crowns)),
        units="xy",
        offsets=crowns[:, :2],
        offset_transform=axes.transData,
        facecolors=TREE if filled else "none",
        edgecolors=TREE_EDGE if filled else TREE,
        linewidths=0.5 if filled else 0.7,
        alpha=0.85 if filled else 1.0,
        zorder=3,
    )
    axes.add_collection(circles, autolim=False)


def draw_masts(axes: Axes, places: np.ndarray, names: Sequence[str], **options: Any) -> None:
    """Mark transmitters (N, 2 or 3) with a white sign and a name that is legible on anything."""
    style = {"marker": "^", "markersize": 8, "color": "white", "markeredgecolor": "black", "markeredgewidth": 1}
    for place, name in zip(places, names, strict=True):
        axes.plot([place[0]], [place[1]], zorder=5, linestyle="none", **{**style, **options})
        write_name(axes, place, name)


def write_name(axes: Axes, place: Sequence[float] | np.ndarray, name: str) -> None:
    """Write a name beside a place, with a halo."""
    at = (float(place[0]), float(place[1]))
    text = axes.annotate(name, at, xytext=(6, 5), textcoords="offset points", fontsize=8, fontweight="bold", zorder=6)
    text.set_path_effects([patheffects.withStroke(linewidth=2.2, foreground="white")])


def legend_below(axes: Axes, handles: Sequence[Patch], title: str | None = None) -> None:
    """Draw a legend in one line, or a few, below the label of the axis."""
    if handles:
        below = ScaledTranslation(0.0, -_LABEL_ROOM, cast(Figure, axes.figure).dpi_scale_trans)
        axes.legend(
            handles=list(handles),
            title=title,
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            bbox_transform=axes.transAxes + below,
            ncols=min(len(handles), 5),
            handlelength=1.2,
            columnspacing=1.4,
        )


def mast_names(count: int) -> list[str]:
    """Name transmitters that have no names: "BS", or "BS1", "BS2" and so on."""
    return ["BS"] if count == 1 else [f"BS{number + 1}" for number in range(count)]
