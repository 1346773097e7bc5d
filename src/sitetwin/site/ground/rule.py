"""Decide which triangles of a mesh are the ground, by what lies above, below and beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from sitetwin.site.ground.patches import Patches
from sitetwin.site.verticals import Hits, VerticalIndex

LAYER = 0.5
"""Metres: a surface that lies no higher above the ground is a layer of the ground, such as a road or a pavement."""

WIDE = 50.0
"""Metres, the narrower side in plan: a raised surface of this size that covers half of the site, or one of twice this
size, may be terrain; others are bridges and canopies."""

SOLID = 30.0
"""Metres, the narrower side in plan: of a closed body of this size, without other ground, the top may be terrain."""

STOOP = 2.0
"""Metres: nobody stands below a wide surface that is no higher above the ground, which is ground itself."""

HOUSE = 20.0
"""m2 in plan: what stands on a wide raised surface and is as large makes it ground."""

_MOSTLY = 0.5  # of an area or a rim
_FLAT_SOLID = 0.05  # height of a level body over its narrower side: at most this, and the body is a slab of ground
_THIN = 3.0  # metres, likewise: what is higher may be a hall
_UNEVEN = 1.0  # metres of relief: less is level
_UNEVEN_SHARE = 0.005  # of the longer side, likewise
_SAMPLES = 160  # to a side of the raster in plan
_MOST_TURNS = 16  # tried for the narrowest rectangle in plan
_STEP_APART = 1e-3  # metres: nearer hits on a vertical line are one surface


def find_ground(corners: Float[np.ndarray, "triangles 3 3"]) -> Bool[np.ndarray, " triangles"]:
    """Find the triangles of the ground.

    A surface is ground if no other surface of the ground lies below it, apart from layers thinner than `LAYER`, and if
    it is neither the underside of a body nor the top of one (surfaces of which half the rim or more has walls that
    rise, or hang). Two exceptions: a raised surface that is `WIDE` is terrain over a base plane if it is
    uneven, too low to stand below, or built upon; and tops of bodies that cover half the site are the ground if they
    are thin slabs, or uneven and at least `SOLID` wide, because terrain is often a solid with a skirt. The walls and
    undersides of a body whose tops are all ground are ground too.

    Args:
        corners: (T, 3, 3) triangle corners, metres. Names, winding and objects play no part.

    Returns:
        (T,) bool.
    """
    if not len(corners):
        return np.zeros(0, dtype=bool)
    patches = Patches.of(corners)
    return _Decision(corners, patches, _Columns.of(corners, patches.lying)).ground()


@dataclass(frozen=True, eq=False)
class _Columns:
    """Vertical lines through a raster and through triangles, with the lying surfaces on each, from below upwards.

    Attributes:
        point, triangle, z: (H,) one row for each hit, sorted by point, then by height.
        weight: (H,) area in plan that the hit stands for, m2.
        points: Number of lines that hit anything.
    """

    point: np.ndarray
    triangle: np.ndarray
    z: np.ndarray
    weight: np.ndarray
    points: int

    @classmethod
    def of(cls, corners: np.ndarray, lying: np.ndarray) -> _Columns:
        rows = np.flatnonzero(lying)
        index = VerticalIndex(corners[rows])
        flat = corners[rows][..., :2].reshape(-1, 2)
        low, size = flat.min(axis=0, initial=np.inf), np.zeros(2)
        if len(rows):
            size = flat.max(axis=0) - low
        share = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
        raster = np.stack(np.meshgrid(share, share), axis=-1).reshape(-1, 2) * size + (low if len(rows) else 0.0)
        hits = index.hits(raster)
        seen = np.zeros(len(rows), dtype=bool)
        seen[hits.triangle] = True
        middles = corners[rows[~seen]][..., :2].mean(axis=1)
        more = index.hits(middles)
        e1, e2 = (corners[rows[~seen]][:, k, :2] - corners[rows[~seen]][:, 0, :2] for k in (1, 2))
        cell = float(size[0] * size[1]) / len(raster)
        weights = np.concatenate(
            [np.full(len(hits.point), cell), 0.5 * np.abs(e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0])[more.point]]
        )
        both = Hits(
            np.concatenate([hits.point, more.point + len(raster)]),
            np.concatenate([hits.triangle, more.triangle]),
            np.concatenate([hits.z, more.z]),
        )
        order = np.lexsort((both.z, both.point))
        return cls(
            both.point[order], rows[both.triangle[order]], both.z[order], weights[order], len(np.unique(both.point))
        )

    def share(self, yes: np.ndarray, label: np.ndarray) -> np.ndarray:
        """By label (T,): the share of its area in plan for which `yes` (H,) holds; 0 where no line meets it."""
        of_hit, size = label[self.triangle], len(label)
        total = np.bincount(of_hit, self.weight, size)
        return np.bincount(of_hit, self.weight * yes, size) / np.where(total > 0, total, 1.0)

    def gap_below(self, counts: np.ndarray, least: float = _STEP_APART) -> np.ndarray:
        """(H,) metres down to the next surface of triangles that count (T,) and lie more than `least` below."""
        gap = np.full(len(self.z), np.inf)
        below = np.flatnonzero(counts[self.triangle])
        # Of the sorted rows that count, the last one before (point, z - least).
        order = np.lexsort((np.r_[self.z[below], self.z - least], np.r_[self.point[below], self.point]))
        is_query = order >= len(below)
        last = np.maximum.accumulate(np.where(is_query, -1, np.arange(len(order))))
        query, found = order[is_query] - len(below), last[is_query]
        known = found >= 0
        row = below[order[found[known]]]
        target = query[known]
        same = self.point[row] == self.point[target]
        gap[target[same]] = self.z[target[same]] - self.z[row[same]]
        return gap


class _Decision:
    """One mesh on its way to the answer."""

    def __init__(self, corners: np.ndarray, patches: Patches, columns: _Columns) -> None:
        self.corners, self.patches, self.columns = corners, patches, columns

    def ground(self) -> np.ndarray:
        patches, columns = self.patches, self.columns
        top = np.full(columns.point.max(initial=-1) + 1, -np.inf)
        np.maximum.at(top, columns.point, columns.z)
        covered = columns.share(columns.z < top[columns.point] - _STEP_APART, patches.patch)[patches.patch]
        underside = patches.lying & (patches.walled_up >= _MOSTLY) & (covered >= _MOSTLY)
        possible = patches.lying & ~underside
        body_top = possible & (patches.walled_down >= _MOSTLY)
        sheet = possible & ~body_top
        raised = self._raised(sheet)
        ground = sheet & ~raised
        for rows in self._clusters(sheet & raised, WIDE):
            ground |= rows if self._is_terrain(rows, ground, body_top) else False
        solids = self._clusters(body_top, 0.0) if self._cover(body_top) >= _MOSTLY else []
        for rows in solids:
            ground |= rows if self._cover(rows) >= _MOSTLY and self._is_solid_terrain(rows, ground) else False
        ground |= self._layers(possible, ground)
        return np.asarray(ground | self._below(possible, ground))

    def _below(self, possible: np.ndarray, ground: np.ndarray) -> np.ndarray:
        """(T,) bool: skirts, cliffs and undersides of bodies all of whose tops are ground, but nothing that rises."""
        body, size = self.patches.body, len(self.corners)
        mixed = np.bincount(body, possible & ~ground, size) > 0
        rows = np.flatnonzero(~ground & ((np.bincount(body, ground, size) > 0) & ~mixed)[body])
        highest = self.corners[rows, self.corners[rows][..., 2].argmax(axis=1)]
        hits = VerticalIndex(self.corners[ground]).hits(np.ascontiguousarray(highest[:, :2]))
        level = np.full(len(rows), -np.inf)
        np.maximum.at(level, hits.point, hits.z)
        found = np.zeros(size, dtype=bool)
        found[rows[highest[:, 2] <= level + _STEP_APART]] = True
        return found

    def _raised(self, base: np.ndarray) -> np.ndarray:
        """(T,) bool: of triangles, and of whole patches, the greater part lies above surfaces of `base`."""
        above = np.isfinite(self.columns.gap_below(base, LAYER))
        patch = self.patches.patch
        triangle = self.columns.share(above, np.arange(len(self.corners)))
        return np.asarray((triangle >= _MOSTLY) | (self.columns.share(above, patch)[patch] >= _MOSTLY))

    def _cover(self, chosen: np.ndarray) -> float:
        """The share of the site's area in plan over which one of the chosen triangles lies."""
        columns = self.columns
        area = np.zeros(columns.point.max(initial=-1) + 1)
        area[columns.point] = columns.weight
        hit = np.zeros(len(area), dtype=bool)
        hit[columns.point[chosen[columns.triangle]]] = True
        return float(area[hit].sum() / max(area.sum(), 1e-12))

    def _is_terrain(self, rows: np.ndarray, ground: np.ndarray, body_top: np.ndarray) -> bool:
        """Whether raised surfaces are terrain over a base plane: uneven, too low to stand below, or built upon."""
        narrow, _, uneven, _ = self._measures(rows)
        if narrow < WIDE or (narrow < 2 * WIDE and self._cover(rows) < _MOSTLY):
            return False
        patch, columns = self.patches.patch, self.columns
        if uneven or self._gap(rows, ground) <= STOOP:
            return True
        bears = body_top & (columns.share(np.isfinite(columns.gap_below(rows)), patch)[patch] >= _MOSTLY)
        area = np.bincount(columns.triangle, columns.weight * bears[columns.triangle], len(patch))
        return bool((np.bincount(patch, area, len(patch)) >= HOUSE).any())

    def _is_solid_terrain(self, rows: np.ndarray, ground: np.ndarray) -> bool:
        """Whether the tops of bodies are the ground: thin, or wide and uneven; over other ground, wider or lower."""
        narrow, _, uneven, thick = self._measures(rows)
        thin = thick <= min(_FLAT_SOLID * narrow, _THIN)
        gap = self._gap(rows, ground)
        if np.isfinite(gap):
            return narrow >= WIDE and (gap <= STOOP or (uneven and narrow >= 2 * WIDE))
        return thin or (uneven and narrow >= SOLID)

    def _gap(self, rows: np.ndarray, ground: np.ndarray) -> float:
        """The median height of surfaces above the ground below, metres; infinite where most have none below."""
        gaps = self.columns.gap_below(ground)[rows[self.columns.triangle]]
        return float(np.median(gaps)) if len(gaps) else np.inf

    def _measures(self, rows: np.ndarray) -> tuple[float, float, bool, float]:
        """Narrower and longer side in plan, whether the surfaces are uneven, and their height over the walls' feet."""
        points = self.corners[rows].reshape(-1, 3)
        narrow, long = _sides(points[:, :2])
        relief = float(np.ptp(points[:, 2]))
        thick = float(points[:, 2].max() - self.patches.foot[rows].min())
        return narrow, long, relief >= max(_UNEVEN, _UNEVEN_SHARE * long), thick

    def _clusters(self, chosen: np.ndarray, least: float) -> list[np.ndarray]:
        """(T,) bool each: the chosen triangles of each cluster that is not plainly smaller in plan than `least`."""
        rows = np.flatnonzero(chosen)
        rows = rows[np.argsort(self.patches.cluster[rows], kind="stable")]
        if not len(rows):
            return []
        starts = np.flatnonzero(np.diff(self.patches.cluster[rows], prepend=-1))
        flat = self.corners[rows][..., :2]
        low = np.minimum.reduceat(flat.min(axis=1), starts)
        high = np.maximum.reduceat(flat.max(axis=1), starts)
        size = np.hypot(*(high - low).T)
        if least == 0.0:  # only those that may cover the site
            least = 0.5 * float(np.hypot(*np.ptp(flat.reshape(-1, 2), axis=0)))
        parts = [part for part, wide in zip(np.split(rows, starts[1:]), size, strict=True) if wide >= least]
        return [np.isin(np.arange(len(chosen)), part) for part in parts]

    def _layers(self, possible: np.ndarray, ground: np.ndarray) -> np.ndarray:
        """(T,) bool: patches that lie on the ground, at most `LAYER` above it over their greater part."""
        patch = self.patches.patch
        near = self.columns.gap_below(ground, 0.0) <= LAYER
        return np.asarray(possible & (self.columns.share(near, patch)[patch] >= _MOSTLY))


def _sides(points: np.ndarray) -> tuple[float, float]:
    """The narrower and the longer side in plan of the narrowest of some rectangles about points (N, 2), metres."""
    angle = np.pi / 2 * np.arange(_MOST_TURNS) / _MOST_TURNS
    along = points @ np.stack([np.cos(angle), np.sin(angle)])
    across = points @ np.stack([-np.sin(angle), np.cos(angle)])
    sides = np.sort(np.stack([np.ptp(along, axis=0), np.ptp(across, axis=0)]), axis=0)
    return tuple(sides[:, int(np.argmin(sides[0]))].tolist())  # type: ignore[return-value]
