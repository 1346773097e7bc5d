"""Traffic on a street: lanes of vehicles at steady speeds, one of which carries the user."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.vision.street import SHAPES, CanyonPlan, Vehicle

ANTENNA_OVER_ROOF = 0.12
"""Metres between the roof of the user's car and its antenna."""

SHARES = {"sedan": 0.26, "hatchback": 0.22, "suv": 0.16, "van": 0.20, "bus": 0.16}
"""Of the types of vehicles in traffic."""

_GAP, _LEAST_GAP = 10.0, 3.0  # mean gap beyond the least one, metres
_SPEEDS = (5.0, 12.0)  # m/s, of lanes
_ASIDE = 0.15  # spread across the lane, metres
_SCALE = 0.05
_ALONG_ROOF = 0.5  # half the spread of the antenna along the roof, metres


@dataclass(frozen=True)
class Traffic:
    """Vehicles of a drive.

    Attributes:
        vehicles: At time 0; the first is the user's car.
        antenna: Place of the user's antenna on its car: forward, left, up from the ground, metres.
    """

    vehicles: tuple[Vehicle, ...]
    antenna: tuple[float, float, float]

    def at(self, time: float, reach: float = math.inf) -> list[Vehicle]:
        """Return the vehicles at a time.

        Args:
            time: Seconds.
            reach: Metres from x = 0 along the street, beyond which vehicles are left out; the user's car never is.
        """
        moved = [vehicle.moved(time) for vehicle in self.vehicles]
        return [vehicle for k, vehicle in enumerate(moved) if not k or abs(vehicle.position[0]) <= reach]

    def antenna_at(self, time: float) -> Float[np.ndarray, " 3"]:
        """(3,) place of the user's antenna at a time, metres."""
        return self.vehicles[0].moved(time).placed(np.array(self.antenna))


def make_traffic(plan: CanyonPlan, lane: int, reach: float, duration: float, rng: np.random.Generator) -> Traffic:
    """Fill a street with vehicles so that it is full at all times of a drive.

    The user's car passes x = 0 at time 0. Vehicles of a lane drive at one speed, so that none runs into another.

    Args:
        plan: The street.
        lane: The user's lane, counted from the lowest y.
        reach: Metres on each side of x = 0 that are to be filled.
        duration: Seconds before and after time 0.
        rng: Source of randomness.

    Raises:
        SiteTwinError: There is no such lane.
    """
    if not 0 <= lane < 2 * plan.lanes:
        raise SiteTwinError(f"the street has no lane {lane}; choose 0 to {2 * plan.lanes - 1}")
    cars = [name for name in SHARES if SHAPES[name].kind == "car"]
    own_shape = str(rng.choice(cars))
    found: list[Vehicle] = []
    for number in range(2 * plan.lanes):
        speed = float(rng.uniform(*_SPEEDS))
        for shape, x in _row(own_shape if number == lane else None, reach + speed * duration, rng):
            found.append(_vehicle(plan, number, shape, x, speed, rng))
    own = next(k for k, v in enumerate(found) if v.position[0] == 0.0)
    vehicles = [found[own], *found[:own], *found[own + 1 :]]
    antenna = (float(rng.uniform(-1, 1)) * _ALONG_ROOF - 0.2, 0.0, vehicles[0].size[2] + ANTENNA_OVER_ROOF)
    return Traffic(tuple(_named(vehicle, k) for k, vehicle in enumerate(vehicles)), antenna)


def _row(own: str | None, reach: float, rng: np.random.Generator) -> list[tuple[str, float]]:
    """Types and places of the vehicles of one lane; the user's own stands at exactly 0."""
    names, shares = list(SHARES), np.array(list(SHARES.values()))

    def half(shape: str) -> float:
        return 0.5 * SHAPES[shape].size[0] * (1 + 3 * _SCALE)

    row: list[tuple[str, float]] = []
    if own is None:
        x = -reach
    else:
        row.append((own, 0.0))
        x = half(own)
        back = -half(own)
        while back > -reach:
            shape = str(rng.choice(names, p=shares))
            back -= _LEAST_GAP + float(rng.exponential(_GAP)) + half(shape)
            row.append((shape, back))
            back -= half(shape)
    while x < reach:
        shape = str(rng.choice(names, p=shares))
        x += _LEAST_GAP + float(rng.exponential(_GAP)) + half(shape)
        row.append((shape, x))
        x += half(shape)
    return row


def _vehicle(plan: CanyonPlan, lane: int, shape: str, x: float, speed: float, rng: np.random.Generator) -> Vehicle:
    y, heading = plan.lane_of(lane)
    scale = float(np.clip(np.exp(_SCALE * rng.standard_normal()), 1 - 2 * _SCALE, 1 + 2 * _SCALE))
    aside = y + _ASIDE * float(rng.standard_normal())
    return Vehicle("", shape, (x, aside, 0.0), heading, speed, scale, int(rng.integers(1000)))


def _named(vehicle: Vehicle, number: int) -> Vehicle:
    return replace(vehicle, name=f"vehicle-{number}")
