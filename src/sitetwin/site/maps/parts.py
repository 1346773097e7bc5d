"""Assign building parts to outlines (OpenStreetMap's Simple 3D Buildings)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely

from sitetwin.site.maps.footprints import GRID, SMALLEST_AREA
from sitetwin.site.maps.ledger import Ledger

LEAST_SHARE = 0.5
"""Share of a part's area that must lie in an outline for the part to belong there."""

SEAM = 0.25
"""Metres: what remains of an outline between and beside its parts counts as drawn by mistake if it is at most twice as
wide."""

Polygons = tuple[shapely.Polygon, ...]


def outline_of_part(
    outlines: Sequence[Polygons], parts: Sequence[Polygons], related: Sequence[Sequence[int]]
) -> np.ndarray:
    """Find the outline of each part, (P,) int64, -1 for none.

    It is the outline that a relation names; of several, the one that holds most of the part. If no relation names one,
    it is the outline that holds most of the part, provided that it holds half or more.

    Args:
        outlines: Polygons of each outline.
        parts: Polygons of each part.
        related: For each part the outlines that relations name; may be empty.
    """
    result = np.full(len(parts), -1)
    if not outlines or not parts:
        return result
    whole = np.array([shapely.MultiPolygon(outline) for outline in outlines], dtype=object)
    tree = shapely.STRtree(whole)
    for number, (part, named) in enumerate(zip(parts, related, strict=True)):
        shape = shapely.MultiPolygon(part)
        near = np.array(named) if named else np.sort(tree.query(shape, predicate="intersects"))
        if len(near):
            common = shapely.area(shapely.intersection(whole[near], shape))
            if named or common.max() >= LEAST_SHARE * shape.area:
                result[number] = near[int(np.argmax(common))]
    return result


def uncovered(outline: Polygons, parts: Sequence[Polygons], key: str, ledger: Ledger) -> Polygons:
    """Return the part of an outline that its parts do not cover; narrow strips are left out.

    Args:
        outline: Polygons of the outline.
        parts: Polygons of each part of the outline.
        key: Key of the outline.
        ledger: Account of the import; it records what is replaced, kept and left out.
    """
    covers = shapely.union_all([polygon for part in parts for polygon in part], grid_size=GRID)
    rest = shapely.difference(shapely.MultiPolygon(outline), covers, grid_size=GRID)
    pieces = [p for p in shapely.get_parts(shapely.normalize(rest)) if p.geom_type == "Polygon" and p.area > 0]
    kept = tuple(p for p in pieces if p.area >= SMALLEST_AREA and not p.buffer(-SEAM, join_style="mitre").is_empty)
    ledger.note("read", "building outline replaced by its parts" + (" where they cover it" if kept else ""), key)
    if len(kept) < len(pieces):
        what = f"strips of a building outline beside its parts, up to {2 * SEAM:g} m wide"
        ledger.note("dropped", what, key, len(pieces) - len(kept))
    return kept
