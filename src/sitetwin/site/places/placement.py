"""Check where radios may stand: outdoors or inside a building, above ground, not on a surface."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Shaped

from sitetwin.errors import SiteTwinError
from sitetwin.site.facets import dot
from sitetwin.site.mesh import LARGEST_COORDINATE, Mesh
from sitetwin.site.verticals import VerticalIndex

CLEARANCE = 1e-3
"""Metres: a transmitter nearer than this to a surface stands on it, and no ray leaves it cleanly."""

MOST_USERS = 20_000_000
"""Points of a grid; more do not fit the memory of an ordinary machine."""

_POINTS_AT_ONCE = 1 << 18  # of a grid, which bounds the memory of what is computed beside the positions
_MARGIN = 1.0  # metres, of the rectangle in which triangles are looked for
_WALKING_HEIGHT = 1.5  # metres above ground at which a place is called outdoors


def ground_height(
    site: Mesh, points_xy: Shaped[np.ndarray, "points 2"] | Sequence[Sequence[float]]
) -> Float[np.ndarray, " points"]:
    """Return the height of the ground under points.

    Args:
        site: The site, or a mesh alone.
        points_xy: (N, 2) x and y of the points, metres.

    Returns:
        (N,) float64, metres; NaN where the site has no ground.
    """
    points_xy = _finite(points_xy, 2)
    return _highest(_near(site.corners[site.is_ground], points_xy), points_xy)


def surface_height(
    site: Mesh, points_xy: Shaped[np.ndarray, "points 2"] | Sequence[Sequence[float]]
) -> Float[np.ndarray, " points"]:
    """Return the height of the highest surface at points: the roof, or the ground where there is no roof.

    Args:
        site: The site, or a mesh alone.
        points_xy: (N, 2) x and y of the points, metres.

    Returns:
        (N,) float64, metres; NaN where the site has no surface.
    """
    points_xy = _finite(points_xy, 2)
    return _highest(_near(site.corners, points_xy), points_xy)


def _near(corners: np.ndarray, points_xy: np.ndarray) -> np.ndarray:
    """The triangles that vertical lines through points may meet: those near the points' bounding rectangle."""
    if not len(points_xy):
        return corners[:0]
    low, high = points_xy.min(axis=0) - _MARGIN, points_xy.max(axis=0) + _MARGIN
    x, y = corners[..., 0], corners[..., 1]
    meets = (x.max(axis=1) >= low[0]) & (x.min(axis=1) <= high[0])
    return corners[meets & (y.max(axis=1) >= low[1]) & (y.min(axis=1) <= high[1])]


def _highest(corners: np.ndarray, points_xy: np.ndarray) -> np.ndarray:
    hits = VerticalIndex(corners).hits(points_xy)
    height = np.full(len(points_xy), -np.inf)
    np.maximum.at(height, hits.point, hits.z)
    return np.where(np.isfinite(height), height, np.nan)


def inside_building(
    site: Mesh, points: Shaped[np.ndarray, "points 3"] | Sequence[Sequence[float]]
) -> Bool[np.ndarray, " points"]:
    """Return whether points are inside a building, or enclosed in any other way.

    A point is in the open air, and outdoors, if nothing but the ground's own surfaces is above it, or if someone who
    walks from it at its height comes to a place under open sky or beyond the site: under a bridge, a deep eave or a
    carport, in a passage or a tunnel. It is inside if there is no such way; so a sheet encloses nothing, and a house
    without a floor is closed by the ground. Winding, names and objects play no part. Gaps narrower than about a metre
    may be missed. A point below both the ground and another surface is inside.

    Args:
        site: The site, or a mesh alone.
        points: (N, 3) positions, metres.

    Returns:
        (N,) bool.

    Raises:
        SiteTwinError: A position is NaN or infinite.
    """
    return site.open_air.enclosed(_finite(points, 3))


def outdoor_mask(
    site: Mesh, points_xy: Shaped[np.ndarray, "points 2"] | Sequence[Sequence[float]]
) -> Bool[np.ndarray, " points"]:
    """Return whether places in plan are outdoors, 1.5 m above the ground (above the lowest point without ground).

    Args:
        site: The site, or a mesh alone.
        points_xy: (N, 2) x and y of the points, metres.

    Returns:
        (N,) bool.

    Raises:
        SiteTwinError: A position is NaN or infinite.
    """
    points_xy = _finite(points_xy, 2)
    return ~inside_building(site, over_ground(site, points_xy, _WALKING_HEIGHT))


def over_ground(site: Mesh, points_xy: Float[np.ndarray, "points 2"], height: float) -> Float[np.ndarray, "points 3"]:
    """Return points (N, 3) at a height above the ground, or above the site's lowest point where it has no ground."""
    ground = ground_height(site, points_xy)
    ground = np.where(np.isnan(ground), site.bounds[0, 2], ground)
    return np.concatenate([points_xy, (ground + height)[:, None]], axis=1)


def user_grid(
    area: tuple[float, float, float, float], spacing: float, height: float, site: Mesh, *, allow_indoors: bool = False
) -> tuple[Float[np.ndarray, "users 3"], int]:
    """Place users on a regular grid over a rectangle, without positions inside buildings.

    Args:
        area: (xmin, ymin, xmax, ymax), metres; both ends belong to the grid where the spacing divides the side.
        spacing: Metres between neighbouring users.
        height: Height of the users in metres above the ground (above the site's lowest point where there is no ground).
        site: The site, or a mesh alone.
        allow_indoors: Keep positions inside buildings (for rooms).

    Returns:
        (N, 3) float64 positions in metres, row by row from the south, each row from the west; and the number of
        positions that were dropped inside buildings.

    Raises:
        SiteTwinError: A number is NaN or infinite, the area is empty or more than 1000 km away, the spacing is not
            positive, the grid would exceed `MOST_USERS` points, or every point lies inside a building.
    """
    xmin, ymin, xmax, ymax = area
    if not all(math.isfinite(v) for v in (*area, spacing, height)):
        raise SiteTwinError("the users' area, spacing or height is NaN or infinite; give finite metres")
    if not (xmax >= xmin and ymax >= ymin and spacing > 0):
        raise SiteTwinError(
            f"the users' area {tuple(area)} with spacing {spacing} m is empty; give xmin < xmax, ymin < ymax"
        )
    steps = [(high - low) / spacing + 1e-9 for low, high in ((xmin, xmax), (ymin, ymax))]
    if (steps[0] + 1) * (steps[1] + 1) > MOST_USERS:
        raise SiteTwinError(
            f"a grid of {steps[0] + 1:.6g} x {steps[1] + 1:.6g} users is too large (at most {MOST_USERS:,} in all); "
            f"choose a wider spacing than {spacing:g} m, or a smaller area"
        )
    nx, ny = (int(step) + 1 for step in steps)
    x, y = xmin + spacing * np.arange(nx, dtype=float), ymin + spacing * np.arange(ny, dtype=float)
    rows = max(1, _POINTS_AT_ONCE // nx)
    kept = []
    for first in range(0, ny, rows):
        block = np.stack(np.meshgrid(x, y[first : first + rows]), axis=-1).reshape(-1, 2)
        points = over_ground(site, block, height)
        kept.append(points if allow_indoors else points[~inside_building(site, points)])
    users = np.concatenate(kept)
    if not len(users):
        raise SiteTwinError(
            f"all {nx * ny} users of the area {tuple(area)} are inside buildings; move the area outdoors, or allow "
            "indoor positions if the scene is a room (--indoors, or allow_indoors=True)"
        )
    return users, nx * ny - len(users)


def check_transmitter(
    site: Mesh, position: Shaped[np.ndarray, " 3"] | Sequence[float], *, allow_indoors: bool = False
) -> Float[np.ndarray, " 3"]:
    """Check that a transmitter can stand at a position, and return the position.

    Args:
        site: The site, or a mesh alone.
        position: (3,) x, y, z, metres.
        allow_indoors: Accept a position inside a building (for rooms).

    Returns:
        The position as (3,) float64, metres.

    Raises:
        SiteTwinError: The position is NaN, below the ground, inside a building, or within 1 mm of a surface.
    """
    place = _finite(np.asarray(position, dtype=np.float64).reshape(1, -1), 3)[0]
    where = f"the transmitter at ({place[0]:g}, {place[1]:g}, {place[2]:g}) m"
    gap = distance_to_mesh(site, place)
    if gap < CLEARANCE:
        raise SiteTwinError(f"{where} stands on a surface; move it away by more than {1e3 * CLEARANCE:g} mm")
    ground = ground_height(site, place[None, :2])[0]
    if place[2] < ground:
        raise SiteTwinError(f"{where} is below the ground, which is at {ground:.2f} m there; raise it")
    if not allow_indoors and inside_building(site, place[None])[0]:
        raise SiteTwinError(
            f"{where} is inside a building; move it outdoors or above the roof, or allow indoor positions if the scene "
            "is a room (--indoors, or allow_indoors=True)"
        )
    return place


def distance_to_mesh(site: Mesh, point: Shaped[np.ndarray, " 3"] | Sequence[float]) -> float:
    """Return the distance of a point from the nearest triangle, metres.

    The closest point of a triangle is the foot on its plane if that lies inside, else the nearest point of its edges.
    """
    point, corners = np.asarray(point, dtype=np.float64), site.corners
    e1, e2, p = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], point - corners[:, 0]
    a, b, c, d, e = dot(e1, e1), dot(e1, e2), dot(e2, e2), dot(e1, p), dot(e2, p)
    det = a * c - b * b
    u, v = (c * d - b * e) / det, (a * e - b * d) / det
    foot = p - u[:, None] * e1 - v[:, None] * e2
    inside = (u >= 0) & (v >= 0) & (u + v <= 1)
    best = np.where(inside, dot(foot, foot), np.inf)
    for k in range(3):
        edge = corners[:, (k + 1) % 3] - corners[:, k]
        q = point - corners[:, k]
        t = np.clip(dot(q, edge) / dot(edge, edge), 0.0, 1.0)
        away = q - t[:, None] * edge
        best = np.minimum(best, dot(away, away))
    return float(np.sqrt(best.min()))


def _finite(points: np.ndarray | Sequence[Sequence[float]], columns: int) -> np.ndarray:
    points = np.ascontiguousarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != columns:
        raise SiteTwinError(f"positions need the shape (N, {columns}), not {points.shape}")
    bad = ~np.isfinite(points).all(axis=1)
    if bad.any():
        raise SiteTwinError(f"{int(bad.sum())} positions are NaN or infinite (the first is row {int(np.argmax(bad))})")
    if points.size and np.abs(points).max() > LARGEST_COORDINATE:
        far = points[np.argmax(np.abs(points).max(axis=1))]
        raise SiteTwinError(
            f"the position ({', '.join(f'{value:g}' for value in far)}) m lies more than "
            f"{LARGEST_COORDINATE / 1e3:g} km from the origin; give metres in the site's local frame"
        )
    return points
