"""The site from above: path gain, what sets target and twin apart, and which users train and which test."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.colorbar import Colorbar
from matplotlib.colors import BoundaryNorm, Colormap, LinearSegmentedColormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from sitetwin.drawing.style import FULL_WIDTH, new_figure
from sitetwin.report.csi.results import Scene

_GAIN_COLOURS = "plasma"  # perceptually uniform, readable with every colour vision, and without a green of its own
_DIFFERENCE_COLOURS = "PuOr"
_ROOFS = LinearSegmentedColormap.from_list("roofs", ["#c9c9c9", "#4f4f4f"])
_TREE = "#2e7d32"
_NO_PATH = "#e3e9f1"
SPLIT_NAMES = ("unused", "training", "test", "guard")
_SPLIT_COLOURS = ("#dcdcdc", "#0072B2", "#E69F00", "#a8a8a8")
_MOST_CELLS = 1200  # along the longer side: more than the pixels of the printed figure


class Raster:
    """Users' values as an image: one cell per user of a regular grid, the mean where several users share a cell.

    Args:
        users_xy: (U, 2) metres.
    """

    def __init__(self, users_xy: np.ndarray) -> None:
        low, high = users_xy.min(axis=0), users_xy.max(axis=0)
        cell = max(_spacing(users_xy), float((high - low).max()) / _MOST_CELLS, 1e-3)
        self.shape = tuple(int(n) for n in np.floor((high - low) / cell + 0.5 + 1e-6) + 1)[::-1]  # rows, columns
        columns = np.floor((users_xy - low) / cell + 0.5 + 1e-6).astype(np.int64)
        self._index = columns[:, 1] * self.shape[1] + columns[:, 0]
        corner = low - cell / 2
        self.extent = (
            float(corner[0]),
            float(corner[0] + cell * self.shape[1]),
            float(corner[1]),
            float(corner[1] + cell * self.shape[0]),
        )

    def mean(self, values: np.ndarray) -> np.ndarray:
        """(rows, columns) mean of the finite values in each cell, NaN where there is none; row 0 is south."""
        known = np.isfinite(values)
        cells = self.shape[0] * self.shape[1]
        count = np.bincount(self._index[known], minlength=cells)
        total = np.bincount(self._index[known], weights=values[known], minlength=cells)
        with np.errstate(invalid="ignore"):
            return (total / np.where(count, count, np.nan)).reshape(self.shape)

    def last(self, values: np.ndarray) -> np.ndarray:
        """(rows, columns) value of the last user in each cell, NaN where there is none: for labels."""
        image = np.full(self.shape[0] * self.shape[1], np.nan)
        image[self._index] = values
        return image.reshape(self.shape)


def _spacing(users_xy: np.ndarray) -> float:
    """Distance between neighbours in metres: the step of a regular grid, else about that of scattered users."""
    extent = users_xy.max(axis=0) - users_xy.min(axis=0)
    scattered = 1.3 * math.sqrt(max(float(extent[0] * extent[1]), 0.0) / len(users_xy))
    steps = []
    for axis in range(2):
        lines = np.unique(np.round(users_xy[:, axis], 3))
        if 1 < len(lines) <= max(len(users_xy) / 4, 2):
            steps.append(float(np.median(np.diff(lines))))
    return max(steps) if steps else max(scattered, float(extent.max()) / max(len(users_xy) - 1, 1), 1e-3)


def gain_map(scene: Scene, target: str) -> Figure:
    """Users coloured by the path gain of the target, over roofs, trees and the transmitter."""
    figure = new_figure(FULL_WIDTH, _height(scene, FULL_WIDTH - 1.4) + 0.85, "compressed")
    axes = figure.add_subplot()
    raster = Raster(scene.users_xy)
    _ground(axes, scene)
    without = ~np.isfinite(scene.power_db)
    if without.any():
        present = raster.last(np.where(np.isfinite(scene.power_db), np.nan, 0.0))
        present[np.isfinite(raster.mean(scene.power_db))] = np.nan
        _image(axes, present, raster, ListedColormap([_NO_PATH]), Normalize(0, 1))
    low, high = _round_range(scene.power_db, 5.0)
    image = _image(axes, raster.mean(scene.power_db), raster, _GAIN_COLOURS, Normalize(low, high))
    _trees(axes, scene)
    _transmitter(axes, scene)
    _frame(axes, scene)
    _colour_bar(figure, axes, image, f"path gain, {target} (dB)", scene.power_db)
    _legend(figure, scene, bool(without.any()))
    return figure


def worlds_map(scene: Scene, target: str) -> Figure | None:
    """Target minus twin, and the training and test blocks, side by side; None where neither is known."""
    drawn = [part for part, known in (("difference", scene.twin_power_db), ("split", scene.split)) if known is not None]
    if not drawn:
        return None
    width = FULL_WIDTH if len(drawn) == 2 else 0.62 * FULL_WIDTH
    figure = new_figure(width, _height(scene, width / len(drawn) - 0.5) + 1.5, "compressed")
    raster = Raster(scene.users_xy)
    for axes, part in zip(np.ravel(figure.subplots(1, len(drawn), sharey=True)), drawn, strict=True):
        _ground(axes, scene)
        if part == "difference":
            _difference(figure, axes, scene, raster, target)
        else:
            _blocks(figure, axes, scene, raster)
        _frame(axes, scene)
        axes.label_outer()
    return figure


def _difference(figure: Figure, axes: Axes, scene: Scene, raster: Raster, target: str) -> None:
    assert scene.twin_power_db is not None
    difference = scene.power_db - scene.twin_power_db
    known = np.abs(difference[np.isfinite(difference)])
    reach = max(1.0, math.ceil(float(np.percentile(known, 98)))) if known.size else 1.0
    image = _image(axes, raster.mean(difference), raster, _DIFFERENCE_COLOURS, Normalize(-reach, reach))
    _trees(axes, scene, filled=False)
    _transmitter(axes, scene)
    axes.set_title("What the twin does not see")
    _colour_bar(figure, axes, image, f"path gain, {target} minus twin (dB)", difference, below=True)


def _blocks(figure: Figure, axes: Axes, scene: Scene, raster: Raster) -> None:
    assert scene.split is not None
    codes = [code for code in (1, 2, 3, 0) if (scene.split == code).any()]
    place = np.full(len(SPLIT_NAMES), np.nan)
    place[codes] = np.arange(len(codes))
    known = np.isin(scene.split, codes)
    order = np.where(known, place[np.where(known, scene.split, 0).astype(np.int64)], np.nan)
    norm = BoundaryNorm(np.arange(len(codes) + 1) - 0.5, max(len(codes), 2))
    image = _image(axes, raster.last(order), raster, ListedColormap([_SPLIT_COLOURS[code] for code in codes]), norm)
    _transmitter(axes, scene)
    axes.set_title("Who trains and who tests")
    bar = _bar(figure, axes, image, "users", below=True, drawedges=True)
    bar.set_ticks(list(range(len(codes))), labels=[SPLIT_NAMES[code] for code in codes])
    bar.ax.tick_params(length=0)


def _ground(axes: Axes, scene: Scene) -> None:
    """Roofs in greys, the higher the darker."""
    axes.grid(False)
    if scene.height_map is None or scene.extent is None or not np.isfinite(scene.height_map).any():
        return
    norm = Normalize(float(np.nanmin(scene.height_map)), float(np.nanmax(scene.height_map)))
    axes.imshow(
        np.ma.masked_invalid(scene.height_map), extent=scene.extent, origin="lower", cmap=_ROOFS, norm=norm, zorder=1
    )


def _image(axes: Axes, values: np.ndarray, raster: Raster, colormap: str | Colormap, norm: Normalize) -> AxesImage:
    masked = np.ma.masked_invalid(values)
    return axes.imshow(
        masked, extent=raster.extent, origin="lower", cmap=colormap, norm=norm, interpolation="nearest", zorder=2
    )


def _trees(axes: Axes, scene: Scene, filled: bool = True) -> None:
    if len(scene.trees_xy) == 0:
        return
    diameter = 2.0 * scene.trees_radius
    axes.add_collection(
        EllipseCollection(
            diameter,
            diameter,
            np.zeros(len(diameter)),
            units="xy",
            offsets=scene.trees_xy,
            offset_transform=axes.transData,
            facecolors=_TREE if filled else "none",
            edgecolors="#0b3d0e" if filled else _TREE,
            linewidths=0.5 if filled else 0.7,
            alpha=0.85,
            zorder=3,
        ),
        autolim=False,
    )


def _transmitter(axes: Axes, scene: Scene) -> None:
    if scene.transmitter is None:
        return
    x, y = scene.transmitter[:2]
    axes.plot([x], [y], marker="^", markersize=9, color="white", markeredgecolor="black", markeredgewidth=1.1, zorder=5)
    text = axes.annotate(
        "BS", (x, y), xytext=(7, 5), textcoords="offset points", fontsize=8.5, fontweight="bold", zorder=6
    )
    text.set_path_effects([patheffects.withStroke(linewidth=2.2, foreground="white")])


def _window(scene: Scene) -> tuple[float, float, float, float]:
    """xmin, xmax, ymin, ymax of what is shown, metres: the users and the transmitter with a margin."""
    points = scene.users_xy
    if scene.transmitter is not None:
        points = np.concatenate([points, scene.transmitter[None, :2]])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = max(0.03 * float((high - low).max()), 1.0)
    return float(low[0]) - margin, float(high[0]) + margin, float(low[1]) - margin, float(high[1]) + margin


def _height(scene: Scene, width: float) -> float:
    """Height in inches of a map that is `width` inches wide, within reason."""
    xmin, xmax, ymin, ymax = _window(scene)
    return float(np.clip(width * (ymax - ymin) / (xmax - xmin), 0.4 * width, 1.4 * width))


def _frame(axes: Axes, scene: Scene) -> None:
    xmin, xmax, ymin, ymax = _window(scene)
    axes.set(xlim=(xmin, xmax), ylim=(ymin, ymax), aspect="equal", xlabel="east (m)", ylabel="north (m)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.spines[:].set_visible(True)


def _round_range(values: np.ndarray, step: float) -> tuple[float, float]:
    """Range of the middle 98 % of the values, rounded outwards."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return -step, 0.0
    low, high = np.percentile(known, [1, 99])
    low, high = step * math.floor(low / step), step * math.ceil(high / step)
    return (low, high) if high > low else (low, low + step)


def _colour_bar(
    figure: Figure, axes: Axes, image: AxesImage, title: str, values: np.ndarray, below: bool = False
) -> None:
    """A colour bar with an arrow at each end beyond which some values lie."""
    known = values[np.isfinite(values)]
    under = bool(known.size and known.min() < image.norm.vmin)
    over = bool(known.size and known.max() > image.norm.vmax)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[under, over]
    _bar(figure, axes, image, title, below, extend=extend)


def _bar(figure: Figure, axes: Axes, image: AxesImage, title: str, below: bool, **options: Any) -> Colorbar:
    place: dict[str, Any] = {"location": "bottom", "aspect": 30} if below else {"location": "right", "aspect": 32}
    bar = figure.colorbar(image, ax=axes, pad=0.02, shrink=0.92, label=title, **place, **options)
    bar.outline.set_linewidth(0.5)
    bar.ax.grid(False)
    return bar


def _legend(figure: Figure, scene: Scene, pathless: bool) -> None:
    handles = []
    if scene.height_map is not None:
        handles.append(Patch(facecolor=_ROOFS(0.5), label="building (darker: higher)"))
    if len(scene.trees_xy):
        handles.append(Patch(facecolor=_TREE, edgecolor="#0b3d0e", label="tree"))
    if pathless:
        handles.append(Patch(facecolor=_NO_PATH, edgecolor="#9aa5b1", label="user without a path"))
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handlelength=1.2)
