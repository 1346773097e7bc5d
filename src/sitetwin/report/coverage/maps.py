"""Pictures of a coverage: one map per quantity, over roofs, trees and stations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import EllipseCollection
from matplotlib.colorbar import Colorbar
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from sitetwin.channel.antennas.patterns import Isotropic
from sitetwin.channel.stations import Station
from sitetwin.drawing.style import FULL_WIDTH, PALETTE, new_figure
from sitetwin.report.coverage.rasters import GridRaster
from sitetwin.site import Ellipsoid, Site, surface_height

_ROOFS = LinearSegmentedColormap.from_list("roofs", ["#cfcfcf", "#585858"])
_MISSING = "#e9edf4"
_TREE = "#2e7d32"
_MOST_NAMES = 16  # of stations on one map
_LONGEST_NAME = 14  # characters beside the colour bar
_ROOF_CELLS = 800  # along the longer side
_BARE = 0.5  # metres above the lowest point: what is lower is ground


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
    extent: tuple[float, float, float, float]
    trees: np.ndarray
    stations: tuple[Station, ...]

    @classmethod
    def of(cls, site: Site, extent: tuple[float, float, float, float], stations: Sequence[Station]) -> Background:
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
        x, y = np.arange(window[0], window[1], step) + step / 2, np.arange(window[2], window[3], step) + step / 2
        height = surface_height(site, np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
        open_ground = ~(height > site.bounds[0, 2] + _BARE)
        roofs = np.where(open_ground, np.nan, height).reshape(len(y), len(x))
        covered = (window[0], window[0] + len(x) * step, window[2], window[2] + len(y) * step)
        crowns = [v for v in site.vegetation.volumes if isinstance(v, Ellipsoid)]
        trees = np.array([(*v.centre[:2], v.semi_axes[0]) for v in crowns], dtype=np.float64).reshape(-1, 3)
        return cls(roofs, covered, trees, tuple(stations))


def value_map(
    background: Background, raster: GridRaster, values: np.ndarray, label: str, step: float, missing: str
) -> Figure:
    """Users coloured by a number, over what stands there.

    Args:
        background: Roofs, trees, stations.
        raster: Where the users are.
        values: (U,); NaN where there is none.
        label: Of the colour bar, with the unit.
        step: The colour bar's ends are multiples of it.
        missing: What NaN means, for the legend.
    """
    figure, axes = _begin(background)
    low, high = _round_range(values, step)
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
    known = values[~np.isnan(values)]
    under, over = bool(known.size and known.min() < low), bool(known.size and known.max() > high)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[under, over]
    _bar(figure, axes, image, label, extend=extend)
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
    """Users coloured by a name.

    Args:
        background: Roofs, trees, stations.
        raster: Where the users are.
        labels: (U,) index into `names`, NaN where there is none.
        names: What the colours mean.
        label: Of the colour bar.
        missing: What NaN means, for the legend.
        colours: Of the names, in their order; by default colours that every eye tells apart for up to seven names,
            twenty for more, which come round again.
    """
    figure, axes = _begin(background)
    _missing(axes, raster, labels)
    count = len(names)
    if colours is None:
        colours = PALETTE if count <= len(PALETTE) else colormaps["tab20"].colors  # type: ignore[attr-defined]
    image = axes.imshow(
        np.ma.masked_invalid(raster.image(labels)),
        extent=raster.extent,
        origin="lower",
        cmap=ListedColormap([colours[i % len(colours)] for i in range(count)]),
        norm=BoundaryNorm(np.arange(count + 1) - 0.5, count) if count > 1 else Normalize(-0.5, 0.5),
        interpolation="nearest",
        alpha=0.85,
        zorder=2,
    )
    bar = _bar(figure, axes, image, label, drawedges=count > 1)
    shown = np.unique(np.linspace(0, count - 1, min(count, _MOST_NAMES)).round().astype(int))
    bar.set_ticks(shown.tolist(), labels=[_short(names[i]) for i in shown])
    bar.ax.minorticks_off()
    bar.ax.tick_params(length=0)
    _end(figure, axes, background, missing if np.isnan(labels).any() else None)
    return figure


def _short(name: str) -> str:
    """A name cut in its middle: names of stations often differ at their ends."""
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}"


def _begin(background: Background) -> tuple[Figure, Axes]:
    xmin, xmax, ymin, ymax = background.extent
    width = FULL_WIDTH - 1.5
    height = float(np.clip(width * (ymax - ymin) / (xmax - xmin), 0.4 * width, 1.4 * width))
    figure = new_figure(FULL_WIDTH, height + 0.85, "compressed")
    axes = figure.add_subplot()
    axes.grid(False)
    roofs = background.roofs
    if np.isfinite(roofs).any():
        norm = Normalize(float(np.nanmin(roofs)), max(float(np.nanmax(roofs)), float(np.nanmin(roofs)) + 1.0))
        axes.imshow(
            np.ma.masked_invalid(roofs), extent=background.extent, origin="lower", cmap=_ROOFS, norm=norm, zorder=1
        )
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
        cmap=ListedColormap([_MISSING]),
        norm=Normalize(0, 1),
        interpolation="nearest",
        zorder=2,
    )


def _bar(figure: Figure, axes: Axes, image: ScalarMappable, label: str, **options: Any) -> Colorbar:
    bar = figure.colorbar(image, ax=axes, pad=0.02, shrink=0.92, aspect=32, label=label, **options)
    bar.outline.set_linewidth(0.5)
    bar.ax.grid(False)
    return bar


def _end(figure: Figure, axes: Axes, background: Background, missing: str | None) -> None:
    """Trees, stations, axes and legend."""
    trees = background.trees
    if len(trees):
        crowns = EllipseCollection(
            2 * trees[:, 2],
            2 * trees[:, 2],
            np.zeros(len(trees)),
            units="xy",
            offsets=trees[:, :2],
            offset_transform=axes.transData,
            facecolors="none",
            edgecolors=_TREE,
            linewidths=0.7,
            zorder=3,
        )
        axes.add_collection(crowns, autolim=False)
    _stations(axes, background)
    xmin, xmax, ymin, ymax = background.extent
    axes.set(xlim=(xmin, xmax), ylim=(ymin, ymax), aspect="equal", xlabel="east (m)", ylabel="north (m)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.spines[:].set_visible(True)
    handles = []
    if np.isfinite(background.roofs).any():
        handles.append(Patch(facecolor=_ROOFS(0.5), label="building (darker: higher)"))
    if len(trees):
        handles.append(Patch(facecolor="none", edgecolor=_TREE, label="tree"))
    if missing is not None:
        handles.append(Patch(facecolor=_MISSING, edgecolor="#9aa5b1", label=missing))
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
        if len(inside) > _MOST_NAMES:
            continue
        text = axes.annotate(
            ", ".join(names), (x, y), xytext=(6, 5), textcoords="offset points", fontsize=8, fontweight="bold", zorder=6
        )
        text.set_path_effects([patheffects.withStroke(linewidth=2.2, foreground="white")])


def _round_range(values: np.ndarray, step: float) -> tuple[float, float]:
    """Range of the middle 98 % of the finite values, rounded outwards."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return -step, 0.0
    low, high = np.percentile(known, [1, 99])
    low, high = step * math.floor(low / step), step * math.ceil(high / step)
    return (low, high) if high > low else (low, low + step)
