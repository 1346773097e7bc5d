"""Pictures of a coverage: one map per quantity, over roofs, trees and stations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sitetwin.channel.antennas.patterns import Isotropic
from sitetwin.channel.stations import Station
from sitetwin.drawing.maps import (
    MISSING,
    ROOFS,
    TREE,
    Extent,
    beyond,
    colour_bar,
    crowns_of,
    draw_crowns,
    draw_roofs,
    frame_map,
    map_height,
    roof_heights,
    round_range,
    write_name,
)
from sitetwin.drawing.style import FULL_WIDTH, PALETTE, new_figure
from sitetwin.site import Site
from sitetwin.studies.coverage.grid import GridRaster

_MOST_NAMES = 16  # of stations on one map
_LONGEST_NAME = 14  # characters beside the colour bar
_ROOF_CELLS = 800  # along the longer side


@dataclass(frozen=True, eq=False)
class Background:
    """What stands in the area.

    Attributes:
        roofs: (H, W) heights in metres, NaN on open ground; row 0 is south.
        extent: xmin, xmax, ymin, ymax of `roofs`, metres.
        trees: (T, 3) x, y and radius of crowns, metres.
        stations: All of them.
    """

    roofs: np.ndarray
    extent: Extent
    trees: np.ndarray
    stations: tuple[Station, ...]

    @classmethod
    def of(cls, site: Site, extent: Extent, stations: Sequence[Station]) -> Background:
        """Look down on a site: the users' cells and the stations near them, with a margin."""
        xmin, xmax, ymin, ymax = extent
        reach = 0.25 * max(xmax - xmin, ymax - ymin)
        near = [
            s.position
            for s in stations
            if xmin - reach <= s.position[0] <= xmax + reach and ymin - reach <= s.position[1] <= ymax + reach
        ]
        xmin, xmax = min([xmin, *(p[0] for p in near)]), max([xmax, *(p[0] for p in near)])
        ymin, ymax = min([ymin, *(p[1] for p in near)]), max([ymax, *(p[1] for p in near)])
        margin = 0.03 * max(xmax - xmin, ymax - ymin)
        window = (xmin - margin, xmax + margin, ymin - margin, ymax + margin)
        step = max(window[1] - window[0], window[3] - window[2]) / _ROOF_CELLS
        return cls(*roof_heights(site, window, step), crowns_of(site), tuple(stations))


def value_map(
    background: Background, raster: GridRaster, values: np.ndarray, label: str, step: float, missing: str
) -> Figure:
    """Draw users coloured by a number, over what stands there.

    Args:
        background: Roofs, trees, stations.
        raster: Places of the users.
        values: (U,); NaN where there is none.
        label: Label of the colour bar, with the unit.
        step: The colour bar's ends are multiples of it.
        missing: What NaN means, for the legend.
    """
    figure, axes = _begin(background)
    low, high = round_range(values, step)
    _missing(axes, raster, values)
    image = axes.imshow(
        np.ma.masked_invalid(raster.image(np.clip(values, low - step, high + step))),
        extent=raster.extent,
        origin="lower",
        cmap="viridis",
        norm=Normalize(low, high),
        interpolation="nearest",
        zorder=2,
    )
    colour_bar(axes, image, label, extend=beyond(values, low, high))
    _end(figure, axes, background, missing if np.isnan(values).any() else None)
    return figure


def label_map(
    background: Background,
    raster: GridRaster,
    labels: np.ndarray,
    names: Sequence[str],
    label: str,
    missing: str,
    colours: Sequence[Any] | None = None,
) -> Figure:
    """Draw users coloured by a name.

    Args:
        background: Roofs, trees, stations.
        raster: Places of the users.
        labels: (U,) index into `names`, NaN where there is none.
        names: What the colours mean.
        label: Label of the colour bar.
        missing: What NaN means, for the legend.
        colours: Colours of the names, in their order. By default they are colours that every eye tells apart for up to
            seven names, and twenty for more, which come round again.
    """
    figure, axes = _begin(background)
    _missing(axes, raster, labels)
    count = len(names)
    image = axes.imshow(
        np.ma.masked_invalid(raster.image(labels)),
        extent=raster.extent,
        origin="lower",
        cmap=ListedColormap(label_colours(count, colours)),
        norm=BoundaryNorm(np.arange(count + 1) - 0.5, count) if count > 1 else Normalize(-0.5, 0.5),
        interpolation="nearest",
        alpha=0.85,
        zorder=2,
    )
    bar = colour_bar(axes, image, label, drawedges=count > 1)
    shown = np.unique(np.linspace(0, count - 1, min(count, _MOST_NAMES)).round().astype(int))
    bar.set_ticks(shown.tolist(), labels=[_short(names[i]) for i in shown])
    bar.ax.minorticks_off()
    bar.ax.tick_params(length=0)
    _end(figure, axes, background, missing if np.isnan(labels).any() else None)
    return figure


def label_colours(count: int, colours: Sequence[Any] | None = None) -> list[Any]:
    """Return a colour for each of so many names, as `label_map` draws them."""
    if colours is None:
        colours = PALETTE if count <= len(PALETTE) else colormaps["tab20"].colors  # type: ignore[attr-defined]
    return [colours[number % len(colours)] for number in range(count)]


def _short(name: str) -> str:
    """A name cut in its middle: names of stations often differ at their ends."""
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}"


def _begin(background: Background) -> tuple[Figure, Axes]:
    figure = new_figure(FULL_WIDTH, map_height(background.extent, FULL_WIDTH - 1.5) + 0.85, "compressed")
    axes = figure.add_subplot()
    draw_roofs(axes, background.roofs, background.extent)
    return figure, axes


def _missing(axes: Axes, raster: GridRaster, values: np.ndarray) -> None:
    """Users without a value, in a pale colour of their own."""
    if not np.isnan(values).any():
        return
    image = raster.image(np.where(np.isnan(values), 0.0, np.nan))
    axes.imshow(
        np.ma.masked_invalid(image),
        extent=raster.extent,
        origin="lower",
        cmap=ListedColormap([MISSING]),
        norm=Normalize(0, 1),
        interpolation="nearest",
        zorder=2,
    )


def _end(figure: Figure, axes: Axes, background: Background, missing: str | None) -> None:
    """Trees, stations, axes and legend."""
    draw_crowns(axes, background.trees)
    _stations(axes, background)
    frame_map(axes, background.extent)
    handles = []
    if np.isfinite(background.roofs).any():
        handles.append(Patch(facecolor=ROOFS(0.5), label="building (darker: higher)"))
    if len(background.trees):
        handles.append(Patch(facecolor="none", edgecolor=TREE, label="tree"))
    if missing is not None:
        handles.append(Patch(facecolor=MISSING, edgecolor="#9aa5b1", label=missing))
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handlelength=1.2)


def _stations(axes: Axes, background: Background) -> None:
    """A mark at each position, the boresight of antennas that have one, and the names."""
    xmin, xmax, ymin, ymax = background.extent
    inside = [s for s in background.stations if xmin <= s.position[0] <= xmax and ymin <= s.position[1] <= ymax]
    arm = 0.035 * max(xmax - xmin, ymax - ymin)
    together: dict[tuple[float, float], list[str]] = {}
    for station in inside:
        x, y = station.position[:2]
        together.setdefault((x, y), []).append(str(station.name))
        if not isinstance(station.antenna, Isotropic):
            yaw = math.radians(station.yaw_deg)
            (line,) = axes.plot([x, x + arm * math.cos(yaw)], [y, y + arm * math.sin(yaw)], color="black", lw=1.6)
            line.set(zorder=4, path_effects=[patheffects.withStroke(linewidth=3.4, foreground="white")])
    for (x, y), names in together.items():
        axes.plot([x], [y], marker="o", markersize=6, color="white", markeredgecolor="black", zorder=5)
        if len(inside) <= _MOST_NAMES:
            write_name(axes, (x, y), ", ".join(names))
