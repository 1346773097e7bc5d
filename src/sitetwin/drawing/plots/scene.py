"""A site from above: roofs by height, ground by material, canopies, and radios if there are some."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import EllipseCollection, PolyCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from sitetwin.drawing.maps import Extent, colour_bar, draw_masts, frame_map, legend_below, map_height, mast_names
from sitetwin.drawing.plots.inputs import axes_in_style
from sitetwin.drawing.style import FULL_WIDTH
from sitetwin.drawing.surface_colours import material_colours
from sitetwin.drawing.top_view import top_view
from sitetwin.errors import SiteTwinError
from sitetwin.site import Cylinder, Ellipsoid, ExtrudedPolygon, Site

_CELLS = 1200  # along the longer side: more than the pixels of the picture
_ROOFS = LinearSegmentedColormap.from_list("roofs", colormaps["magma_r"](np.linspace(0.08, 0.85, 64)))
_EMPTY = "#ffffff"
_CANOPY, _CANOPY_EDGE = "#3f8f45", "#1d5a25"
_USER = "#0072B2"
_MOST_GROUNDS = 8  # materials in the legend
_LEAST_ROOF = 0.2  # metres above the ground: what is lower is drawn as ground


def plot_scene(
    site: Site, transmitters: ArrayLike | None = None, users: ArrayLike | None = None, *, ax: Axes | None = None
) -> Axes:
    """Draw a site from above: roofs by height, ground by material, canopies, and radios if there are some.

    Args:
        site: The site.
        transmitters: (N, 3) metres, or (3,) for one.
        users: (U, 3) metres.
        ax: Axes to draw on; by default those of a new figure.

    Returns:
        The axes.

    Raises:
        SiteTwinError: Positions have another shape.
    """
    masts = None if transmitters is None else np.atleast_2d(np.asarray(transmitters, dtype=np.float64))
    people = None if users is None else np.atleast_2d(np.asarray(users, dtype=np.float64))
    extent = scene_extent(site, masts, people)
    with axes_in_style(ax, FULL_WIDTH, map_height(extent, FULL_WIDTH - 1.5) + 0.85) as axes:
        handles = draw_scene(axes, site, masts, people)
        legend_below(axes, handles)
    return axes


def draw_scene(axes: Axes, site: Site, transmitters: np.ndarray | None, users: np.ndarray | None) -> list[Patch]:
    """Draw a site from above; returns what a legend has to say."""
    extent = scene_extent(site, transmitters, users)
    axes.grid(False)
    handles = _surfaces(axes, site, extent)
    handles += _canopies(axes, site)
    if users is not None and len(users):
        axes.plot(users[:, 0], users[:, 1], ",", color=_USER, alpha=0.6, zorder=4, rasterized=True)
    if transmitters is not None:
        draw_masts(axes, transmitters, mast_names(len(transmitters)))
    _compass(axes, extent)
    frame_map(axes, extent)
    axes.set_title(site.name)
    return handles


def scene_extent(site: Site, transmitters: np.ndarray | None, users: np.ndarray | None) -> Extent:
    """What is shown: the mesh and the transmitters, with a margin.

    Raises:
        SiteTwinError: Positions have another shape.
    """
    for what, positions in (("transmitters", transmitters), ("users", users)):
        if positions is not None and (positions.ndim != 2 or positions.shape[1] != 3):
            raise SiteTwinError(f"{what} have the shape {positions.shape}; give an array of positions (N, 3) in metres")
    points = site.bounds[:, :2]
    if transmitters is not None and len(transmitters):
        points = np.concatenate([points, transmitters[:, :2]])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = max(0.02 * float((high - low).max()), 1.0)
    return float(low[0]) - margin, float(high[0]) + margin, float(low[1]) - margin, float(high[1]) + margin


def _surfaces(axes: Axes, site: Site, extent: Extent) -> list[Patch]:
    """Ground and roofs as one picture; returns what the legend says of the ground."""
    west, east, south, north = extent
    cell = max(east - west, north - south) / _CELLS
    shape = (max(math.ceil((north - south) / cell), 1), max(math.ceil((east - west) / cell), 1))
    is_ground = site.is_ground
    corners = site.vertices[site.triangles]
    rows = np.flatnonzero(is_ground)
    ground, below = top_view(corners[rows], (west, south), cell, shape)
    roof, above = top_view(corners[~is_ground], (west, south), cell, shape)
    image = np.ones((*shape, 3)) * to_rgb(_EMPTY)
    colours = np.array([to_rgb(colour) for colour in material_colours(site.materials)])
    material = np.full(shape, -1)
    material[below >= 0] = site.facet_material[site.triangle_facet[rows[below[below >= 0]]]]
    image[material >= 0] = 0.35 + 0.65 * colours[material[material >= 0]]  # pale: roofs and trees stand out
    floor = ground if len(rows) else np.full(shape, site.bounds[0, 2])
    height = roof - np.where(np.isnan(floor), np.nanmin(floor, initial=site.bounds[1, 2]), floor)
    built = (above >= 0) & (height > _LEAST_ROOF)
    if built.any():
        norm = Normalize(0.0, max(float(np.percentile(height[built], 99.5)), 1.0))
        image[built] = _ROOFS(norm(height[built]))[:, :3]
        over = bool((height[built] > norm.vmax).any())
        label = "height of roofs above the ground (m)"
        colour_bar(axes, ScalarMappable(norm, _ROOFS), label, extend="max" if over else "neither")
    cells = (west, west + shape[1] * cell, south, south + shape[0] * cell)
    axes.imshow(image, extent=cells, origin="lower", interpolation="antialiased", zorder=1)
    present, counts = np.unique(material[material >= 0], return_counts=True)
    common = present[np.argsort(-counts, kind="stable")][:_MOST_GROUNDS]
    return [Patch(color=tuple(0.35 + 0.65 * colours[m]), label=f"ground: {site.materials[m].name}") for m in common]


def _canopies(axes: Axes, site: Site) -> list[Patch]:
    volumes = [v for v, trunk in zip(site.vegetation.volumes, site.vegetation.is_trunk, strict=True) if not trunk]
    if not volumes:
        return []
    style: dict[str, Any] = {
        "facecolors": (*to_rgb(_CANOPY), 0.75),
        "edgecolors": _CANOPY_EDGE,
        "linewidths": 0.3,
        "zorder": 3,
    }
    round_ones = [
        (*v.centre[:2], 2 * v.semi_axes[0], 2 * v.semi_axes[1], math.degrees(v.yaw))
        if isinstance(v, Ellipsoid)
        else (*v.centre, 2 * v.radius, 2 * v.radius, 0.0)
        for v in volumes
        if isinstance(v, Ellipsoid | Cylinder)
    ]
    if round_ones:
        x, y, length, width, angle = np.array(round_ones).T
        crowns = EllipseCollection(
            length, width, angle, units="xy", offsets=np.column_stack([x, y]), offset_transform=axes.transData, **style
        )
        axes.add_collection(crowns, autolim=False)
    rings = [v.ring for v in volumes if isinstance(v, ExtrudedPolygon)]
    if rings:
        axes.add_collection(PolyCollection(rings, **style), autolim=False)
    return [Patch(facecolor=_CANOPY, edgecolor=_CANOPY_EDGE, label=f"canopy ({len(volumes):,})")]


def _compass(axes: Axes, extent: Extent) -> None:
    """A scale bar at the lower left and an arrow to the north at the upper right, legible on anything."""
    west, east, south, north = extent
    length = _round_length((east - west) / 4)
    x, y = west + 0.03 * (east - west), south + 0.03 * (north - south)
    halo: list[patheffects.AbstractPathEffect] = [patheffects.withStroke(linewidth=4, foreground="white")]
    axes.plot([x, x + length], [y, y], color="black", linewidth=2, zorder=7, path_effects=halo, solid_capstyle="butt")
    label = f"{length / 1e3:g} km" if length >= 1000 else f"{length:g} m"
    halo = [patheffects.withStroke(linewidth=2.2, foreground="white")]
    axes.annotate(
        label, (x + length / 2, y), xytext=(0, 4), textcoords="offset points", ha="center", fontsize=8, zorder=7
    ).set_path_effects(halo)
    arrow = {"arrowstyle": "-|>", "color": "black", "linewidth": 1.2, "path_effects": halo}
    axes.annotate(
        "N",
        xy=(0.965, 0.975),
        xytext=(0.965, 0.885),
        xycoords="axes fraction",
        textcoords="axes fraction",
        ha="center",
        va="center",
        fontsize=9,
        fontweight="bold",
        arrowprops=arrow,
        zorder=7,
    ).set_path_effects(halo)


def _round_length(most: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not longer, metres."""
    power = 10.0 ** math.floor(math.log10(most))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= most * (1 + 1e-9))
