"""The site from above: path gain, what sets target and twin apart, and which users train and which test."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch

from sitetwin.drawing.maps import (
    ROOFS,
    TREE,
    TREE_EDGE,
    Extent,
    beyond,
    colour_bar,
    draw_crowns,
    draw_masts,
    draw_roofs,
    frame_map,
    map_height,
    round_range,
)
from sitetwin.drawing.raster import Raster
from sitetwin.drawing.style import FULL_WIDTH, new_figure
from sitetwin.report.csi.results import Scene

_GAIN_COLOURS = "plasma"  # perceptually uniform, readable with every colour vision, and without a green of its own
_DIFFERENCE_COLOURS = "PuOr"
_NO_PATH = "#e3e9f1"
SPLIT_NAMES = ("unused", "training", "test", "guard")
_SPLIT_COLOURS = ("#dcdcdc", "#0072B2", "#E69F00", "#a8a8a8")


def gain_map(scene: Scene, target: str) -> Figure:
    """Users coloured by the path gain of the target, over roofs, trees and the transmitter."""
    figure = new_figure(FULL_WIDTH, map_height(_window(scene), FULL_WIDTH - 1.4) + 0.85, "compressed")
    axes = figure.add_subplot()
    raster = Raster(scene.users_xy)
    draw_roofs(axes, scene.height_map, scene.extent)
    without = ~np.isfinite(scene.power_db)
    if without.any():
        present = raster.last(np.where(np.isfinite(scene.power_db), np.nan, 0.0))
        present[np.isfinite(raster.mean(scene.power_db))] = np.nan
        _image(axes, present, raster, ListedColormap([_NO_PATH]), Normalize(0, 1))
    low, high = round_range(scene.power_db, 5.0)
    image = _image(axes, raster.mean(scene.power_db), raster, _GAIN_COLOURS, Normalize(low, high))
    draw_crowns(axes, _crowns(scene), filled=True)
    _transmitter(axes, scene)
    frame_map(axes, _window(scene))
    _value_bar(axes, image, f"path gain, {target} (dB)", scene.power_db)
    _legend(figure, scene, bool(without.any()))
    return figure


def worlds_map(scene: Scene, target: str) -> Figure | None:
    """Target minus twin, and the training and test blocks, side by side; None where neither is known."""
    drawn = [part for part, known in (("difference", scene.twin_power_db), ("split", scene.split)) if known is not None]
    if not drawn:
        return None
    width = FULL_WIDTH if len(drawn) == 2 else 0.62 * FULL_WIDTH
    figure = new_figure(width, map_height(_window(scene), width / len(drawn) - 0.5) + 1.5, "compressed")
    raster = Raster(scene.users_xy)
    for axes, part in zip(np.ravel(figure.subplots(1, len(drawn), sharey=True)), drawn, strict=True):
        draw_roofs(axes, scene.height_map, scene.extent)
        if part == "difference":
            _difference(axes, scene, raster, target)
        else:
            _blocks(axes, scene, raster)
        frame_map(axes, _window(scene))
        axes.label_outer()
    return figure


def _difference(axes: Axes, scene: Scene, raster: Raster, target: str) -> None:
    assert scene.twin_power_db is not None
    difference = scene.power_db - scene.twin_power_db
    known = np.abs(difference[np.isfinite(difference)])
    reach = max(1.0, math.ceil(float(np.percentile(known, 98)))) if known.size else 1.0
    image = _image(axes, raster.mean(difference), raster, _DIFFERENCE_COLOURS, Normalize(-reach, reach))
    draw_crowns(axes, _crowns(scene))
    _transmitter(axes, scene)
    axes.set_title("What the twin does not see")
    _value_bar(axes, image, f"path gain, {target} minus twin (dB)", difference, below=True)


def _blocks(axes: Axes, scene: Scene, raster: Raster) -> None:
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
    bar = colour_bar(axes, image, "users", below=True, drawedges=True)
    bar.set_ticks(list(range(len(codes))), labels=[SPLIT_NAMES[code] for code in codes])
    bar.ax.tick_params(length=0)


def _image(axes: Axes, values: np.ndarray, raster: Raster, colormap: str | Colormap, norm: Normalize) -> AxesImage:
    masked = np.ma.masked_invalid(values)
    return axes.imshow(
        masked, extent=raster.extent, origin="lower", cmap=colormap, norm=norm, interpolation="nearest", zorder=2
    )


def _window(scene: Scene) -> Extent:
    """xmin, xmax, ymin, ymax of what is shown, metres: the users and the transmitter with a margin."""
    points = scene.users_xy
    if scene.transmitter is not None:
        points = np.concatenate([points, scene.transmitter[None, :2]])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = max(0.03 * float((high - low).max()), 1.0)
    return float(low[0]) - margin, float(high[0]) + margin, float(low[1]) - margin, float(high[1]) + margin


def _crowns(scene: Scene) -> np.ndarray:
    """(T, 3) x, y and radius of crowns, metres."""
    return np.column_stack([scene.trees_xy, scene.trees_radius])


def _transmitter(axes: Axes, scene: Scene) -> None:
    if scene.transmitter is not None:
        draw_masts(axes, scene.transmitter[None], ["BS"])


def _value_bar(axes: Axes, image: AxesImage, title: str, values: np.ndarray, below: bool = False) -> None:
    """A colour bar with an arrow at each end beyond which some values lie."""
    low, high = image.get_clim()
    assert low is not None
    assert high is not None
    known = values[np.isfinite(values)]
    colour_bar(axes, image, title, below, extend=beyond(known, low, high))


def _legend(figure: Figure, scene: Scene, pathless: bool) -> None:
    handles = []
    if scene.height_map is not None:
        handles.append(Patch(facecolor=ROOFS(0.5), label="building (darker: higher)"))
    if len(scene.trees_xy):
        handles.append(Patch(facecolor=TREE, edgecolor=TREE_EDGE, label="tree"))
    if pathless:
        handles.append(Patch(facecolor=_NO_PATH, edgecolor="#9aa5b1", label="user without a path"))
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handlelength=1.2)
