"""The sea of a map: what lies to the right of its coastlines, for `natural=coastline` has the land on its left.

The coastlines and the rim of the ground enclose faces; the side on which a face lies along its coasts tells land from
water. What cannot be decided is not built, and the account says why: a coastline that ends within the ground, one that
contradicts another, and one that would put the buildings into the sea.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import shapely
from jaxtyping import Float
from shapely.geometry.base import BaseGeometry

from sitetwin.site.maps.crowding import refuse_crowds
from sitetwin.site.maps.features import Feature
from sitetwin.site.maps.ledger import Ledger

SEA: dict[str, str] = {"natural": "bay"}
"""Tags of the sea, by which the rules choose its material."""

_BESIDE = 1e-3  # metres from a coastline at which its sides are looked at
_CUT, _BEND = 1.0, 8e-8  # metres, and 1/metre: how far from the rim a coastline ends that was cut there
_CONTRADICTION = 0.01  # share of a face's coasts that may lie on the wrong side: corners narrower than `_BESIDE`


def find_sea(
    coast: Sequence[BaseGeometry],
    extent: tuple[float, float, float, float],
    built: Sequence[BaseGeometry],
    ledger: Ledger,
    bounds: tuple[float, float, float, float] | None = None,
) -> Feature | None:
    """Return the sea within a rectangle, or None where there is none or it cannot be told.

    Args:
        coast: Coastlines, with the land on their left; metres, not cut.
        extent: (west, south, east, north) of the rectangle, metres.
        built: Outlines of buildings, by which the direction of the coastlines is checked.
        ledger: Account of the import; it records what was read, and why the sea was left out.
        bounds: The rectangle that the files cover, metres: the sea ends there, and coastlines that were cut at it do.

    Raises:
        SiteTwinError: Coastlines cross more often than anybody can mean.
    """
    if not coast:
        return None
    refuse_crowds(coast, ["natural=coastline"] * len(coast), "coastlines")
    frame = shapely.box(*extent)
    if bounds is not None and shapely.area(shapely.intersection(frame, shapely.box(*bounds))) > 0:
        frame = shapely.intersection(frame, shapely.box(*bounds))
        coast = _to_the_rim(coast, frame)
    ends = np.concatenate([_segments(line) for line in coast])
    inside = ends[shapely.intersects(shapely.linestrings(ends), frame)]
    sea = _by_faces(inside, frame) if len(inside) else _by_the_nearest(ends, frame)
    places = shapely.point_on_surface(np.array([shape for shape in built if not shape.is_empty], dtype=object))
    if _has_loose_end(coast, frame):
        ledger.note("dropped", "coastline that ends within the ground: the sea is not built")
    elif sea is None:
        ledger.note("dropped", "coastlines that contradict each other: the sea is not built")
    elif sea.is_empty:
        ledger.note("read", "coastline: all of the ground is land")
    elif len(places) and shapely.intersects(sea, places).mean() > 0.5:
        ledger.note("dropped", "coastline with most buildings on the side of the sea: the sea is not built")
    else:
        ledger.note("read", "sea, on the right of the coastlines")
        return Feature("sea", sea, SEA)
    return None


def _segments(line: BaseGeometry) -> Float[np.ndarray, "segments 2 2"]:
    points = shapely.get_coordinates(line)
    ends = np.stack([points[:-1], points[1:]], axis=1)
    return ends[(ends[:, 0] != ends[:, 1]).any(axis=1)]


def _to_the_rim(coast: Sequence[BaseGeometry], frame: BaseGeometry) -> list[BaseGeometry]:
    """Coastlines of which the loose ends that were cut at the rim of the frame cross it.

    A rectangle of degrees and one in metres differ by the bend of a circle of latitude.
    """
    west, south, east, north = frame.bounds
    tolerance = _CUT + _BEND * max(east - west, north - south) ** 2
    rim, made = shapely.boundary(frame), []
    loose = set(_loose_ends(coast))
    for line in coast:
        points = shapely.get_coordinates(line)
        for at, end in ((0, points[0]), (len(points), points[-1])):
            point = shapely.Point(end)
            if tuple(end.tolist()) in loose and shapely.distance(rim, point) <= tolerance:
                foot = shapely.get_coordinates(shapely.shortest_line(point, rim))[1]
                outwards = foot - shapely.get_coordinates(shapely.centroid(frame))[0]
                points = np.insert(points, len(points) if at else 0, foot + outwards * _BESIDE, axis=0)
        made.append(shapely.LineString(points))
    return made


def _has_loose_end(coast: Sequence[BaseGeometry], frame: BaseGeometry) -> bool:
    """Whether a coastline begins or ends within the frame where no other goes on."""
    loose = _loose_ends(coast)
    return bool(loose) and bool(shapely.contains_properly(frame, shapely.points(np.array(loose))).any())


def _loose_ends(coast: Sequence[BaseGeometry]) -> list[tuple[float, ...]]:
    """Points where a coastline begins or ends and no other goes on."""
    balance: Counter[tuple[float, ...]] = Counter()
    for line in coast:
        points = shapely.get_coordinates(line)
        balance[tuple(points[0].tolist())] += 1
        balance[tuple(points[-1].tolist())] -= 1
    return [point for point, count in balance.items() if count]


def _by_faces(ends: Float[np.ndarray, "segments 2 2"], frame: BaseGeometry) -> BaseGeometry | None:
    """The faces on the right of coastlines; None if a face lies on both sides."""
    cut = shapely.intersection(shapely.linestrings(ends), frame)
    lines = shapely.union_all([*cut, shapely.boundary(frame)])
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(lines)))
    length = shapely.length(cut)
    kept = length > 0
    middle = shapely.get_coordinates(shapely.line_interpolate_point(cut[kept], 0.5, normalized=True))
    along = ends[kept, 1] - ends[kept, 0]
    left = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.hypot(*along.T)[:, None]
    votes = np.zeros((2, len(faces)))
    for side, sign in enumerate((1.0, -1.0)):
        beside = shapely.STRtree(shapely.points(middle + sign * _BESIDE * left))
        face, point = beside.query(faces, predicate="intersects")  # GEOS prepares the faces
        order = np.argsort(point, kind="stable")
        np.add.at(votes[side], face[order], length[kept][point[order]])
    land, water = votes
    if (np.minimum(land, water) > _CONTRADICTION * (land + water)).any():
        return None
    return shapely.union_all(faces[water > land])


def _by_the_nearest(ends: Float[np.ndarray, "segments 2 2"], frame: BaseGeometry) -> BaseGeometry:
    """The whole frame, or nothing of it, by the side of the nearest coast: no other coast lies between."""
    middle = shapely.centroid(frame)
    distance = shapely.distance(shapely.linestrings(ends), middle)
    near = ends[distance <= distance.min() + 1e-9]  # two, where a corner is the nearest
    along = near[:, 1] - near[:, 0]
    left = (np.stack([-along[:, 1], along[:, 0]], axis=1) / np.hypot(*along.T)[:, None]).sum(axis=0)
    foot = shapely.get_coordinates(shapely.shortest_line(shapely.LineString(near[0]), middle))
    return frame if float(left @ (foot[1] - foot[0])) < 0 else shapely.Polygon()
