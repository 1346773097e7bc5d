"""The area that rings enclose by the even-odd rule, however often they cross: a place in two rings is outside.

The rings are cut at their crossings into a net, and its faces are found. Who goes from one face to the next passes one
edge of the net, and so changes sides: the faces fall into two sets, of which one is outside. This takes time in
proportion to the crossings, where GEOS's `make_valid` takes the third power of the corners.
"""

from __future__ import annotations

import numpy as np
import shapely
from jaxtyping import Bool, Float, Shaped
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps.arrangement import directed_edges, distinct_points
from sitetwin.site.maps.crowding import count_crossings, refuse_crowds, segments_of

MOST_PARTS = 5_000
"""Parts into which an area of the ground or of plants may fall that crosses itself: a few seconds of work."""

_FEW_CROSSINGS = 100  # up to which GEOS repairs in a tenth of a second
_FEW_FACES = 2_000  # whose union takes less than half a second
_SAME_LENGTH = 1e-12  # share by which the net may be shorter than the segments, if none lies on another
_POINTS_AT_ONCE = 1 << 22


def valid_area(geometry: shapely.Geometry, name: str) -> shapely.Geometry:
    """Return a polygon or multipolygon as it is if it is valid, else the area that it encloses by the even-odd rule.

    Args:
        geometry: Polygon or MultiPolygon; anything else is left to GEOS's `make_valid`.
        name: What it is, for the message.

    Raises:
        SiteTwinError: It crosses itself more often than anybody can mean.
    """
    if geometry.is_valid:
        return geometry
    ends, owner = segments_of([geometry])
    is_area = str(geometry.geom_type).endswith("Polygon")
    if not is_area or count_crossings(ends, owner, _FEW_CROSSINGS).count <= _FEW_CROSSINGS:
        return shapely.make_valid(geometry)
    refuse_crowds([geometry], [name], "lines of an area")
    order = np.lexsort((ends[..., 1], ends[..., 0]), axis=1)
    ends = np.take_along_axis(ends, order[..., None], axis=1)
    ends, times = np.unique(ends, axis=0, return_counts=True)
    parts, _ = enclosed(ends[times % 2 == 1])
    return shapely.normalize(shapely.multipolygons(parts))


def few_parts(geometry: shapely.Geometry, name: str) -> shapely.Geometry:
    """Do as `valid_area` for an area of the ground or of plants, whose parts are cut and filled one by one.

    Args:
        geometry: Polygon or MultiPolygon.
        name: What it is, for the message.

    Raises:
        SiteTwinError: It crosses itself so often that it falls into more than `MOST_PARTS` parts.
    """
    area = valid_area(geometry, name)
    parts = int(shapely.get_num_geometries(area))
    if area is not geometry and parts > MOST_PARTS:
        raise SiteTwinError(
            f"the outline of '{name}' crosses itself so often that it encloses {parts:,} separate areas, and at most "
            f"{MOST_PARTS:,} are taken: no map is drawn like this; repair or remove it"
        )
    return area


def enclosed(ends: Float[np.ndarray, "segments 2 2"]) -> tuple[Shaped[np.ndarray, " parts"], bool]:
    """Return the areas that segments enclose by the even-odd rule.

    Args:
        ends: (S, 2, 2) float64, two ends of each segment; no segment is there twice.

    Returns:
        (P,) polygons, of which no two share more than corners; and whether segments cross or overlap.
    """
    net = shapely.node(shapely.multilinestrings(shapely.linestrings(ends)))
    lines = shapely.get_parts(net)
    crossing = shapely.get_num_coordinates(net) - len(lines) != len(ends)
    faces = shapely.orient_polygons(shapely.get_parts(shapely.polygonize(lines)))
    doubled = shapely.length(net) < (1 - _SAME_LENGTH) * np.hypot(*(ends[:, 1] - ends[:, 0]).T).sum()
    odd = None if doubled else _by_neighbours(faces)
    if odd is None:
        odd = _by_rays(shapely.get_coordinates(shapely.point_on_surface(faces)), ends)
    elif np.count_nonzero(odd) > _FEW_FACES:  # they meet at corners only: along each edge lies an even face
        return faces[odd], bool(crossing)
    return shapely.get_parts(_joined(faces[odd])), bool(crossing)


def _joined(faces: np.ndarray) -> shapely.Geometry:
    """The union of faces of one net; of many by their common edges, unless rounding has made some overlap."""
    if len(faces) > _FEW_FACES:
        try:
            return shapely.coverage_union_all(faces)
        except shapely.errors.GEOSException:
            pass
    return shapely.union_all(faces)


def _by_neighbours(faces: np.ndarray) -> Bool[np.ndarray, " faces"] | None:
    """Whether an odd number of edges lies between each face and the outside; None if that depends on the way."""
    begin, end, face = directed_edges(faces)
    if not len(face):
        return np.zeros(0, dtype=bool)
    points, index = distinct_points(np.concatenate([begin, end]))
    first, second = np.split(index, 2)
    edge = np.unique(np.minimum(first, second) * len(points) + np.maximum(first, second), return_inverse=True)[1]
    sides = np.full((int(edge.max()) + 1, 2), len(faces))  # beyond the last face is the outside
    sides[edge, (first < second).astype(np.int64)] = face
    size = len(faces) + 1
    graph = coo_array((np.ones(len(sides), dtype=np.int8), sides.T), shape=(size, size)).tocsr()
    order, before = breadth_first_order(graph, len(faces), directed=False)
    odd = np.zeros(size, dtype=bool)
    for here, there in zip(order[1:].tolist(), before[order[1:]].tolist(), strict=True):
        odd[here] = not odd[there]
    if len(order) < size or (odd[sides[:, 0]] == odd[sides[:, 1]]).any():
        return None
    return odd[:-1]


def _by_rays(
    points: Float[np.ndarray, "points 2"], ends: Float[np.ndarray, "segments 2 2"]
) -> Bool[np.ndarray, " points"]:
    """Whether a ray from each point to the east crosses an odd number of segments."""
    (x0, y0), (x1, y1) = ends[:, 0].T, ends[:, 1].T
    odd = np.zeros(len(points), dtype=bool)
    order = np.argsort(points[:, 1], kind="stable")
    step = max(_POINTS_AT_ONCE // max(len(ends), 1), 1)
    for start in range(0, len(order), step):
        rows = order[start : start + step]
        x, y = points[rows].T[..., None]
        near = (np.minimum(y0, y1) <= y.max()) & (np.maximum(y0, y1) >= y.min()) & (np.maximum(x0, x1) >= x.min())
        a, b, c, d = x0[near], y0[near], x1[near], y1[near]
        spans = (b > y) != (d > y)
        with np.errstate(divide="ignore", invalid="ignore"):  # level segments, which span nothing
            at = a + (y - b) / (d - b) * (c - a)
        odd[rows] = np.count_nonzero(spans & (at > x), axis=1) % 2
    return odd
