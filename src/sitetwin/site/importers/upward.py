"""Find the axis of a mesh that points up, by what stands on what.

Modelling programs write y or z up, whatever a format says: Blender exports OBJ with y up unless it is told otherwise.
A site is much wider than it is high, so that its flattest axis is the only candidate. Two kinds of evidence speak for
it: a *ground* that spans the whole model, lies open in part, and carries what stands on it; or, without a ground,
*feet*: several bodies that begin on one level, or walls that are all upright. Where neither is there (a cube, a room, a
screen), the geometry does not tell.
"""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
import shapely
from jaxtyping import Float

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site.facets import norm
from sitetwin.site.importers.connected import connected_bodies
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.verticals import VerticalIndex

Axis = Literal["x", "y", "z"]
AXES: tuple[Axis, ...] = ("x", "y", "z")

_NO_SITE = 1e9  # in any unit: no model is wider
_FLAT = 0.5  # of the smaller width: a site is not higher
_SAMPLES = 32  # along each side of the plan
_COVERED = 0.9  # share of the plan (its convex hull) that a ground spans
_OPEN = 0.1  # share of the plan where nothing stands on the ground
_THIN = 0.1  # of the height: a slab of ground, seen from above and below
_LEVEL = 0.5  # upward part of a unit normal: less is a wall
_STANDS = 0.05  # of the height: a body that begins so near to the ground stands on it
_BODIES = 5  # least number whose feet tell something
_MOST_BODIES = 200_000  # triangles among which bodies are sought
_UPRIGHT = 0.02  # part of a unit normal along an axis: less is parallel to it, as much from 1 is across


def turned_up(vertices: Float[np.ndarray, "vertices 3"], up: Axis) -> Float[np.ndarray, "vertices 3"]:
    """Turn vertices such that an axis of the file becomes z; right-handed axes stay right-handed.

    Args:
        vertices: (V, 3) in the axes of the file.
        up: Axis of the file that points up.
    """
    x, y, z = vertices.T
    columns = {"x": (y, z, x), "y": (x, -z, y), "z": (x, y, z)}[up]
    return vertices if up == "z" else np.stack(columns, axis=1)


def choose_up(
    corners: Float[np.ndarray, "triangles 3 3"], usual: Axis, given: str | None, where: str, ledger: Ledger
) -> Axis:
    """Return the axis that points up: the given one, else the usual one of the format unless the geometry says better.

    Args:
        corners: (T, 3, 3) triangles in the axes of the file.
        usual: Axis of the format.
        given: Axis that the user gives, or None.
        where: Name of the file, for messages.
        ledger: Account of the import; it records what was decided.

    Raises:
        SiteTwinError: The given axis is none of them; or none is given, and feet or walls, but no ground, speak for
            another axis than the usual one, a ground speaks for another axis in a model that is as high as wide, or
            the model hangs below its ground.
    """
    if given is not None:
        for axis_name in AXES:
            if given == axis_name:
                return axis_name
        raise SiteTwinError(f"'{given}' is no upward axis; choose x, y or z")
    with np.errstate(over="ignore"):
        wide = np.ptp(corners.reshape(-1, 3), axis=0).max() > _NO_SITE
    if wide:  # it is refused for its width
        return usual
    candidate = _flattest(corners)
    if candidate is None:
        return _of_towers(corners, usual, where)
    axis = AXES.index(candidate)
    if _on_its_head(corners, axis):
        raise SiteTwinError(
            f"'{where}' stands on its head along {candidate}: what should stand on its ground hangs below it; turn the "
            "model by half a turn and export it again"
        )
    if candidate == usual:
        return usual
    if _has_ground(corners, axis):
        said = f"{candidate} points up, not {usual} as is usual in such files: the ground lies across {candidate}"
        ledger.note("assumed", said)
        warnings.warn(f"'{where}': {said}; if not so, give the axis (--up {usual})", SiteTwinWarning, stacklevel=3)
        return candidate
    if _on_one_level(corners, axis) or _upright(corners, axis):
        raise SiteTwinError(
            f"'{where}' seems to lie on its side: what stands in it rises along {candidate}, and {usual} is taken as "
            f"up; say which axis points up (--up {candidate}, or --up {usual} if it is right so)"
        )
    ledger.note("assumed", f"{usual} points up: the geometry does not tell")
    return usual


def _of_towers(corners: np.ndarray, usual: Axis, where: str) -> Axis:
    """The usual axis of a model that is as high as wide, unless its ground lies across another one alone."""
    if not _has_ground(corners, AXES.index(usual)):
        for axis, name in enumerate(AXES):
            if name != usual and _has_ground(corners, axis):
                raise SiteTwinError(
                    f"'{where}' seems to lie on its side: its ground lies across {name}, and {usual} is taken as up; "
                    f"say which axis points up (--up {name}, or --up {usual} if it is right so)"
                )
    return usual


def _on_its_head(corners: np.ndarray, axis: int) -> bool:
    """Whether bodies hang below a ground that carries nothing."""
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = norm(normal) * (np.abs(normal[:, axis]) > _LEVEL * norm(normal))
    heights = corners[..., axis]
    middle = 0.5 * (heights.min() + heights.max())
    if (area * (heights.mean(axis=1) - middle)).sum() <= 0:  # the ground is most of what lies level
        return False
    turned = corners.copy()
    turned[..., axis] *= -1
    return not _has_ground(corners, axis) and _has_ground(turned, axis, bodies=True)


def _flattest(corners: np.ndarray) -> Axis | None:
    """The axis along which a mesh is much smaller than along both others."""
    points = corners.reshape(-1, 3)
    size = points.max(axis=0) - points.min(axis=0)
    axis = int(size.argmin())
    return AXES[axis] if size[axis] <= _FLAT * np.delete(size, axis).min() and size.max() > 0 else None


def _has_ground(corners: np.ndarray, axis: int, bodies: bool = False) -> bool:
    """Whether a sheet or slab across an axis spans the model, lies open in part, and carries the rest of it.

    With `bodies`, something must also lie over it (over a pit, nothing does).
    """
    local = corners - corners.reshape(-1, 3).min(axis=0)
    turned = turned_up(local.reshape(-1, 3), AXES[axis]).reshape(-1, 3, 3)
    points = turned.reshape(-1, 3)
    low, high = points.min(axis=0), points.max(axis=0)
    height = high[2] - low[2]
    cross = np.cross(turned[:, 1] - turned[:, 0], turned[:, 2] - turned[:, 0])
    level = np.abs(cross[:, 2]) > _LEVEL * norm(cross)
    if height == 0 or level.all():
        return False
    steps = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    plan = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2) * (high - low)[:2] + low[:2]
    hull = shapely.multipoints(points[:, :2]).convex_hull
    plan = plan[shapely.contains_xy(hull, plan[:, 0], plan[:, 1])]
    hits = VerticalIndex(turned[level]).hits(plan)
    lowest, highest = np.full(len(plan), np.inf), np.full(len(plan), -np.inf)
    np.minimum.at(lowest, hits.point, hits.z)
    np.maximum.at(highest, hits.point, hits.z)
    met = np.isfinite(lowest)
    if not len(plan) or met.mean() < _COVERED:
        return False
    is_open = highest[met] - lowest[met] <= _THIN * height
    if is_open.mean() < _OPEN or (bodies and is_open.all()):
        return False
    return _stand_on(turned, plan[met], lowest[met], is_open, height)


def _stand_on(corners: np.ndarray, plan: np.ndarray, lowest: np.ndarray, is_open: np.ndarray, height: float) -> bool:
    """Whether what rises from the ground begins on it: the walls reach down to the lowest surface beside them.

    And they stand above the open ground, so that nothing hangs below it.
    """
    from scipy.spatial import cKDTree

    tops, feet = corners[..., 2].max(axis=1), corners[..., 2].min(axis=1)
    walls = tops - feet > _STANDS * height
    if not walls.any():
        return False
    middle = corners[walls].mean(axis=1)
    under = lowest[cKDTree(plan).query(middle[:, :2])[1]]
    beside = lowest[is_open][cKDTree(plan[is_open]).query(middle[:, :2])[1]]
    area = norm(np.cross(corners[walls, 1] - corners[walls, 0], corners[walls, 2] - corners[walls, 0]))
    begins = (feet[walls] <= under + _STANDS * height) & (0.5 * (feet + tops)[walls] > beside)
    return bool(area[begins].sum() >= 0.5 * area.sum())


def _on_one_level(corners: np.ndarray, axis: int) -> bool:
    """Whether several bodies all over the plan begin on one level along an axis, and on many along the others."""
    if len(corners) > _MOST_BODIES:
        return False
    body = connected_bodies(corners)
    count = int(body.max()) + 1
    if count < _BODIES:
        return False
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, body, corners.min(axis=1))
    np.maximum.at(high, body, corners.max(axis=1))
    size = high.max(axis=0) - low.min(axis=0)
    level = np.median(low, axis=0)
    together = (np.abs(low - level) <= 0.02 * size).mean(axis=0)
    return bool(together[axis] >= 0.9 and np.delete(together, axis).max() <= 0.5)


def _upright(corners: np.ndarray, axis: int) -> bool:
    """Whether most surfaces are parallel to an axis or across it, and far less so for the other axes."""
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    twice = norm(cross)
    part = np.abs(cross) / np.maximum(twice, 1e-300)[:, None]
    share = (((part < _UPRIGHT) | (part > 1 - _UPRIGHT)) * twice[:, None]).sum(axis=0) / max(twice.sum(), 1e-300)
    return bool(share[axis] >= 0.6 and share[axis] >= 2 * np.delete(share, axis).max())
