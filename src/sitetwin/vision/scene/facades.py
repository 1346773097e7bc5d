"""Facades of a street from the depth that a camera sees: what stands for a map where there is none."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from sitetwin.errors import SiteTwinError
from sitetwin.site import Site, itu_material, place_objects
from sitetwin.site.bodies import box_object
from sitetwin.vision.camera import Camera
from sitetwin.vision.protocols import DepthMap

_HEIGHTS = (2.5, 14.0)  # metres over the ground between which walls are looked for: over cars and people
_STEP, _BIN = 1.0, 0.25  # metres along and across the street in which points are counted
_LEAST_AREA = 1.0  # square metres of wall that must be seen in a step
_SAME_WALL, _GAP = 0.5, 2  # metres across by which steps of one wall differ; steps that may be missing in it
_THICK = 5.0  # metres of the boxes that stand for houses
CUT_HEIGHT = 15.0  # metres, of walls that end over the image
_SPARSE = 2  # every second pixel of each second row


@dataclass(frozen=True)
class Facade:
    """A wall along the street.

    Attributes:
        start: (2,) one end in plan, metres.
        end: (2,) the other end, metres.
        height: Metres over the ground.
        outwards: (2,) unit vector from the camera's side into the house.
    """

    start: Float[np.ndarray, " 2"]
    end: Float[np.ndarray, " 2"]
    height: float
    outwards: Float[np.ndarray, " 2"]


def find_facades(
    camera: Camera,
    depth: DepthMap,
    heading: float,
    *,
    ground: float = 0.0,
    farthest: float = 60.0,
    moving: Bool[np.ndarray, "height width"] | None = None,
) -> list[Facade]:
    """Find the walls along a street.

    Points over the height of cars are counted in steps along the street; in each step and on each side the distance
    across it at which most of the wall's area lies is taken, and steps of about one distance are one wall.

    Args:
        camera: The camera with its place.
        depth: What it sees, of a network or a renderer.
        heading: Direction of the street, radians from east.
        ground: Height of the ground, metres.
        farthest: Metres from the camera beyond which nothing counts.
        moving: (height, width) pixels of vehicles, which do not count; None counts all.

    Raises:
        SiteTwinError: The depth is not of the camera's size.
    """
    values = depth.along_axis(camera)
    if values.shape != (camera.height, camera.width):
        raise SiteTwinError(
            f"the depth has {values.shape} pixels, the camera {(camera.height, camera.width)}; give that of its image"
        )
    grid = np.s_[::_SPARSE, ::_SPARSE]
    rays = camera.rays(camera.pixel_centres()[grid])
    along_axis = rays @ camera.axes[2]
    reach = values[grid] / along_axis
    used = np.isfinite(reach) & (reach > 0) & (reach < farthest)
    if moving is not None:
        used &= ~moving[grid]
    points = camera.position + rays[used] * reach[used][:, None]
    height = points[:, 2] - ground
    side = np.array([[math.cos(heading), math.sin(heading)], [-math.sin(heading), math.cos(heading)]])
    along, across = side @ (points[:, :2] - camera.position[:2]).T
    # A pixel's share of a wall along the street: its solid angle over the cosine between ray and wall.
    solid = (_SPARSE / camera.fx) * (_SPARSE / camera.fy) * along_axis[used] ** 3
    slant = np.abs(rays[used][:, :2] @ side[1])
    area = solid * reach[used] ** 2 / np.maximum(slant, 0.05)
    top_row = np.broadcast_to(np.arange(values.shape[0])[::_SPARSE, None] < 2 * _SPARSE, used.shape)[used]
    wall = (height > _HEIGHTS[0]) & (height < _HEIGHTS[1])
    found = []
    for sign in (1.0, -1.0):
        chosen = wall & (sign * across > 1.0)
        steps = _steps(along[chosen], sign * across[chosen], area[chosen])
        tops = {
            number: _top(height, along, sign * across, top_row, number, distance) for number, distance in steps.items()
        }
        found += [_facade(run, steps, tops, sign, side, camera) for run in _runs(steps)]
    return found


def _steps(along: np.ndarray, across: np.ndarray, area: np.ndarray) -> dict[int, float]:
    """Distance of the wall in each step along the street in which enough of one is seen."""
    step, place = np.floor(along / _STEP).astype(int), np.floor(across / _BIN).astype(int)
    found = {}
    for number in np.unique(step).tolist():
        own = step == number
        seen = np.bincount(place[own], weights=area[own])
        joined = seen + np.append(seen[1:], 0.0)  # a wall may lie on the border of two
        best = int(joined.argmax())
        if joined[best] >= _LEAST_AREA:
            members = own & ((place == best) | (place == best + 1))
            found[number] = float(np.median(across[members]))
    return found


def _top(
    height: np.ndarray, along: np.ndarray, across: np.ndarray, cut: np.ndarray, step: int, distance: float
) -> float:
    """Height of a wall in a step; one that the image's upper edge cuts is taken to be `CUT_HEIGHT` high or more."""
    own = (np.floor(along / _STEP) == step) & (np.abs(across - distance) < _SAME_WALL)
    highest = float(np.percentile(height[own], 99)) if own.any() else _HEIGHTS[0]
    return max(highest, CUT_HEIGHT) if cut[own].any() else highest


def _runs(steps: dict[int, float]) -> list[list[int]]:
    """Steps of one wall each."""
    runs: list[list[int]] = []
    for number in sorted(steps):
        if runs and number - runs[-1][-1] <= _GAP and abs(steps[number] - steps[runs[-1][-1]]) < _SAME_WALL:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def _facade(
    run: Collection[int], steps: dict[int, float], tops: dict[int, float], sign: float, side: np.ndarray, camera: Camera
) -> Facade:
    distance = sign * float(np.median([steps[number] for number in run]))
    low, high = min(run) * _STEP, (max(run) + 1) * _STEP
    ends = camera.position[:2] + np.array([[low, distance], [high, distance]]) @ side
    return Facade(ends[0], ends[1], float(np.median([tops[number] for number in run])), sign * side[1])


def facade_site(ground: Site, facades: Collection[Facade], level: float = 0.0) -> Site:
    """Return a site of the ground and of a house of concrete behind each facade.

    Args:
        ground: The ground alone.
        facades: The walls.
        level: Height of the ground, metres.
    """
    boxes = []
    for number, one in enumerate(facades):
        step = one.end - one.start
        middle = 0.5 * (one.start + one.end) + 0.5 * _THICK * one.outwards
        size = np.array([np.linalg.norm(step), _THICK, one.height])
        yaw = math.atan2(step[1], step[0])
        concrete = itu_material("concrete", 0.2)
        boxes.append(box_object(f"facade-{number}", np.array([*middle, level]), size, yaw=yaw, material=concrete))
    return place_objects(ground, boxes) if boxes else ground
