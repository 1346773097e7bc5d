"""Cut a plane into areas: no gap, no overlap, and every corner shared by all triangles that meet there.

All outlines are cut at their crossings on a grid of 1 mm (snap rounding) before any face is built, so that neighbours
have the same corners to the bit. Then no ray passes through a crack, and no edge is mistaken for a free edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Float, Int

from sitetwin.site.maps.bodies import Body
from sitetwin.site.maps.triangles import triangulate

GRID = 1e-3
"""Metres: corners lie on multiples of it."""


@dataclass(frozen=True)
class Cells:
    """Square cells that limit the size of polygons that are cut into triangles, and form the facets of a terrain.

    Attributes:
        x: (I,) lines between the cells, ascending, metres, multiples of `GRID`, `size` apart.
        y: (J,) lines between the cells, ascending, metres, multiples of `GRID`, `size` apart.
        size: Side length of a cell, metres.
        diagonal: Whether each cell is two triangles, cut from its south-west to its north-east corner.
    """

    x: Float[np.ndarray, " columns"]
    y: Float[np.ndarray, " rows"]
    size: float
    diagonal: bool

    @classmethod
    def over(cls, extent: tuple[float, float, float, float], size: float, *, diagonal: bool) -> Cells:
        """Make cells that cover a rectangle, with corners at multiples of their size."""
        size = max(round(size / GRID), 1) * GRID
        first = [int(np.floor(v / size)) for v in extent[:2]]
        last = [int(np.ceil(v / size)) for v in extent[2:]]
        x, y = (
            np.round(np.arange(a, max(b, a + 1) + 1) * size / GRID) * GRID for a, b in zip(first, last, strict=True)
        )
        return cls(x, y, size, diagonal)

    def lines(self) -> list[shapely.Geometry]:
        """The lines between the cells."""
        x, y = self.x, self.y
        ends = [((a, y[0]), (a, y[-1])) for a in x] + [((x[0], b), (x[-1], b)) for b in y]
        if self.diagonal:
            columns, rows = len(x) - 1, len(y) - 1
            for k in range(1 - rows, columns):
                i, j = max(k, 0), max(-k, 0)
                steps = min(columns - i, rows - j)
                ends.append(((x[i], y[j]), (x[i + steps], y[j + steps])))
        return list(shapely.linestrings(np.array(ends)))

    def number(self, points: Float[np.ndarray, "points 2"]) -> Int[np.ndarray, " points"]:
        """(N,) int64: the cell, or triangle of a cell, that points (N, 2) lie in."""
        i = np.clip(np.searchsorted(self.x, points[:, 0], side="right") - 1, 0, len(self.x) - 2)
        j = np.clip(np.searchsorted(self.y, points[:, 1], side="right") - 1, 0, len(self.y) - 2)
        cell = i * (len(self.y) - 1) + j
        if not self.diagonal:
            return cell
        return 2 * cell + (points[:, 1] - self.y[j] > points[:, 0] - self.x[i])


def partition(
    extent: tuple[float, float, float, float],
    areas: Sequence[shapely.Geometry],
    kinds: Sequence[int],
    cells: Cells | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a rectangle into triangles; each has the kind of the first area that covers it.

    Args:
        extent: (west, south, east, north), metres.
        areas: Polygons, the topmost first.
        kinds: Kind of each area.
        cells: Cells at whose lines the rectangle is cut as well, or None.

    Returns:
        (T, 3, 2) float64 corners, counter-clockwise, metres on the grid of 1 mm, and (T,) int64 the kind of each
        triangle, 0 where no area is.

    Raises:
        SiteTwinError: A face cannot be cut into triangles.
    """
    frame = shapely.box(*(round(v / GRID) * GRID for v in extent))
    outlines = shapely.boundary(np.array([frame, *areas], dtype=object))
    lines = shapely.union_all([*outlines, *(cells.lines() if cells else ())], grid_size=GRID)
    faces = shapely.get_parts(shapely.polygonize([lines]))
    inner = shapely.point_on_surface(faces)
    inside = shapely.intersects(frame, inner)
    faces, inner = faces[inside], inner[inside]
    kind = _kind_of(inner, areas, np.asarray(kinds, dtype=np.int64))
    cell = cells.number(shapely.get_coordinates(inner)) if cells else np.zeros(len(faces), dtype=np.int64)
    faces, kind = _dissolve(faces, kind, cell)
    corners, owner = triangulate(faces)
    return corners, kind[owner]


def _kind_of(points: np.ndarray, areas: Sequence[shapely.Geometry], kinds: np.ndarray) -> np.ndarray:
    """(N,) kind of the first area over each point."""
    first = np.full(len(points), len(areas), dtype=np.int64)
    if len(areas):
        area, point = shapely.STRtree(points).query(list(areas), predicate="intersects")  # GEOS prepares the areas
        np.minimum.at(first, point, area)
    return np.append(kinds, 0)[first]


def _dissolve(faces: np.ndarray, kind: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Faces of one kind in one cell as one; their outer corners stay, so that neighbours still agree."""
    order = np.lexsort((cell, kind))
    fresh = np.flatnonzero((np.diff(kind[order], prepend=-1) != 0) | (np.diff(cell[order], prepend=-1) != 0))
    merged: list[shapely.Geometry] = []
    owner: list[int] = []
    for group in np.split(order, fresh[1:]) if len(order) else []:
        union = faces[group[:1]] if len(group) == 1 else shapely.get_parts(shapely.coverage_union_all(faces[group]))
        merged.extend(union)
        owner.extend([int(kind[group[0]])] * len(union))
    return np.array(merged, dtype=object), np.array(owner, dtype=np.int64)


def bodies(corners: np.ndarray, kind: np.ndarray, names: Sequence[str], materials: Sequence[str]) -> list[Body]:
    """Make a body of each kind that occurs.

    Args:
        corners: (T, 3, 3) corners of the triangles, metres.
        kind: (T,) int64, kind of each triangle, an index into `names` and `materials`.
        names: Object name of each kind.
        materials: Material name of each kind.
    """
    order = [np.flatnonzero(kind == k) for k in range(len(names))]
    return [
        Body(names[k], np.ascontiguousarray(corners[rows]), materials[k]) for k, rows in enumerate(order) if len(rows)
    ]
