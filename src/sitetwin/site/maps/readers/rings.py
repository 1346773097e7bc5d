"""Rings and areas out of lines: what polygons a multipolygon's ways enclose."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from sitetwin.site.maps.ledger import Kind

Position = tuple[float, float]
_Segment = tuple[Position, Position]

LARGEST_GAP = 1.0
"""Metres between the ends of a ring that is closed nevertheless."""

_MOST_ENDS = 200  # open ends beyond which no gaps are searched: that is a torn map, not a slip
_METRES_PER_DEGREE = 111_195.0  # on the mean sphere


@dataclass
class Assembly:
    """What came of a multipolygon's ways.

    Attributes:
        area: Polygon or MultiPolygon, valid; None if the ways enclose nothing.
        notes: Entries for the ledger: kind and wording.
    """

    area: BaseGeometry | None = None
    notes: list[tuple[Kind, str]] = field(default_factory=list)


def clean_ring(points: np.ndarray) -> np.ndarray | None:
    """A ring as a polygon's boundary needs it.

    Args:
        points: (N, 2) float64, with or without the first point again at the end.

    Returns:
        (M, 2) float64, closed, without points that repeat their predecessor; None if fewer than three corners are left.
    """
    if len(points) < 3:
        return None
    steps = np.any(points[1:] != points[:-1], axis=1)
    ring = points[np.concatenate([[True], steps])]
    if np.array_equal(ring[0], ring[-1]):
        ring = ring[:-1]
    if len(ring) < 3:
        return None
    return np.concatenate([ring, ring[:1]])


def assemble_area(outer: Sequence[np.ndarray], inner: Sequence[np.ndarray]) -> Assembly:
    """The area that ways enclose, by the even-odd rule: a ring in a ring is a hole, a ring in a hole an island.

    The rings need not be whole ways, nor all ways of one ring run the same way round. Segments that two ways share
    cancel, so that rings that touch along an edge merge. Roles are often wrong on maps; they decide one thing only:
    what no outer way bounds is no area.

    Args:
        outer: (N, 2) float64 each, degrees, of the ways with the role outer or none.
        inner: The same, of the ways with the role inner.

    Returns:
        The area, and what was repaired or dropped for it.
    """
    assembly = Assembly()
    segments = _segments([*outer, *inner])
    segments += _bridges(segments, assembly)
    if not segments:
        return assembly
    lines = shapely.linestrings(np.array(sorted(segments)))
    _, _, dangles, invalid = shapely.polygonize_full(lines)
    if not dangles.is_empty:
        assembly.notes.append(("dropped", "ring of a multipolygon that is not closed"))
    net = shapely.multilinestrings(lines)
    area = _built(net) if invalid.is_empty else None
    if area is None:
        area = _built(shapely.node(net))
        assembly.notes.append(("repaired", "rings of a multipolygon that cross or overlap"))
    bounded = {tuple(p) for line in outer for p in line.tolist()}
    faces = [] if area is None else [p for p in shapely.get_parts(area) if p.geom_type == "Polygon"]
    kept = [p for p in faces if any(c in bounded for c in p.exterior.coords)]
    if len(kept) < len(faces):
        assembly.notes.append(("dropped", "hole of a multipolygon outside every outer ring"))
    if kept:
        assembly.area = shapely.normalize(kept[0] if len(kept) == 1 else shapely.multipolygons(kept))
    return assembly


def _built(net: BaseGeometry) -> BaseGeometry | None:
    """The area between lines that meet at their ends only; None if they do not, and it cannot be told."""
    try:
        area = shapely.build_area(net)
    except shapely.GEOSException:
        return None
    return area if area.is_valid else None


def _segments(lines: Sequence[np.ndarray]) -> list[_Segment]:
    """The pieces between neighbouring points that occur an odd number of times."""
    count: Counter[_Segment] = Counter()
    for line in lines:
        points = [tuple(p) for p in line.tolist()]
        count.update((min(a, b), max(a, b)) for a, b in pairwise(points) if a != b)
    return [segment for segment, times in count.items() if times % 2]


def _bridges(segments: Sequence[_Segment], assembly: Assembly) -> list[_Segment]:
    """Segments over small gaps between open ends, the smallest gap first."""
    degree = Counter(point for segment in segments for point in segment)
    ends = sorted(point for point, times in degree.items() if times % 2)
    if len(ends) > _MOST_ENDS:
        return []
    gaps = sorted((_metres(a, b), a, b) for a, b in combinations(ends, 2))
    known, used = set(segments), set[Position]()
    bridges: list[_Segment] = []
    for gap, a, b in gaps:
        if gap <= LARGEST_GAP and not {a, b} & used and (a, b) not in known:
            bridges.append((a, b))
            used |= {a, b}
    if bridges:
        assembly.notes.append(("repaired", "ring of a multipolygon closed over a gap of less than a metre"))
    return bridges


def _metres(a: Position, b: Position) -> float:
    """Distance of near points on a sphere."""
    east = (a[0] - b[0]) * math.cos(math.radians((a[1] + b[1]) / 2))
    return math.hypot(east, a[1] - b[1]) * _METRES_PER_DEGREE
