"""Assemble rings and areas from lines: the polygons that a multipolygon's ways enclose."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from sitetwin.site.maps.crowding import refuse_crowds
from sitetwin.site.maps.even_odd import enclosed
from sitetwin.site.maps.ledger import Kind

Position = tuple[float, float]
_Segment = tuple[Position, Position]

LARGEST_GAP = 1.0
"""Metres between the ends of a ring that is closed nevertheless."""

_MOST_ENDS = 200  # open ends beyond which no gaps are searched: that is a torn map, not a slip
_METRES_PER_DEGREE = 111_195.0  # on the mean sphere


@dataclass
class Assembly:
    """The area that a multipolygon's ways enclose, with notes on repairs.

    Attributes:
        area: Polygon or MultiPolygon, valid; None if the ways enclose nothing.
        notes: Entries for the ledger: kind and wording.
    """

    area: BaseGeometry | None = None
    notes: list[tuple[Kind, str]] = field(default_factory=list)


def clean_ring(points: np.ndarray) -> np.ndarray | None:
    """Clean a ring, so that it can bound a polygon.

    Args:
        points: (N, 2) float64 corners, with or without the first point again at the end.

    Returns:
        (M, 2) float64, closed, without points that repeat their predecessor; None if fewer than three corners are left.
    """
    if len(points) < 3:
        return None
    steps = np.any(points[1:] != points[:-1], axis=1)
    ring = points[np.concatenate([[True], steps])]
    if (ring[0] == ring[-1]).all():
        ring = ring[:-1]
    if len(ring) < 3:
        return None
    return np.concatenate([ring, ring[:1]])


def assemble_area(outer: Sequence[np.ndarray], inner: Sequence[np.ndarray], name: str = "multipolygon") -> Assembly:
    """Assemble the area that ways enclose, by the even-odd rule: a ring in a ring is a hole, one in a hole an island.

    A ring may consist of several ways, which may run in different directions. Segments that two ways share cancel, so
    that rings that touch along an edge merge. Roles are often wrong on maps. They decide only one thing: an area must
    be bounded by an outer way.

    Args:
        outer: Lines, (N, 2) float64 each, degrees, of the ways with the role outer or no role.
        inner: Lines, (N, 2) float64 each, degrees, of the ways with the role inner.
        name: Key of the multipolygon, for the message.

    Returns:
        The area, and what was repaired or dropped to make it.

    Raises:
        SiteTwinError: The ways cross more often than anybody can mean.
    """
    assembly = Assembly()
    segments = _segments([*outer, *inner])
    segments = _without_dangles([*segments, *_bridges(segments, assembly)], assembly)
    if not segments:
        return assembly
    ends = np.array(sorted(segments), dtype=np.float64)
    refuse_crowds(shapely.linestrings(ends), [name] * len(ends), "rings of a multipolygon")
    parts, crossing = enclosed(ends)
    if crossing:
        assembly.notes.append(("repaired", "rings of a multipolygon that cross or overlap"))
    bounded = {tuple(p) for line in outer for p in line.tolist()}
    kept = [p for p in parts if any(c in bounded for c in p.exterior.coords)]
    if len(kept) < len(parts):
        assembly.notes.append(("dropped", "hole of a multipolygon outside every outer ring"))
    if kept:
        assembly.area = shapely.normalize(kept[0] if len(kept) == 1 else shapely.multipolygons(kept))
    return assembly


def _without_dangles(segments: Sequence[_Segment], assembly: Assembly) -> list[_Segment]:
    """The segments but for those that lead nowhere: chains with a free end."""
    at: dict[Position, set[_Segment]] = defaultdict(set)
    for segment in segments:
        for point in segment:
            at[point].add(segment)
    loose = [point for point, around in at.items() if len(around) == 1]
    if loose:
        assembly.notes.append(("dropped", "ring of a multipolygon that is not closed"))
    removed: set[_Segment] = set()
    while loose:
        point = loose.pop()
        for segment in list(at[point]):
            other = segment[1] if segment[0] == point else segment[0]
            removed.add(segment)
            at[point].discard(segment)
            at[other].discard(segment)
            if len(at[other]) == 1:
                loose.append(other)
    return [segment for segment in segments if segment not in removed]


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
