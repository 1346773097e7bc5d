"""Vehicles as closed bodies: one geometry for the tracer and for the camera."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.site.bodies import MovingObject
from sitetwin.site.materials import Material
from sitetwin.site.mesh import Mesh
from sitetwin.site.vehicle_shapes import SHAPES, sections, shell

BODY_METAL = Material("vehicle_metal", itu="metal")
"""Of the whole body: panes are coated with metal, or so thin beside the frame that they count as such."""

_SAME = 1e-3  # metres between the corners of a body and those of its type


@dataclass(frozen=True)
class Vehicle:
    """A vehicle at one moment.

    Attributes:
        name: Name of its object in a site.
        shape: A type of `SHAPES`.
        position: Point of the ground below its middle, metres.
        yaw: Heading, radians from east, counter-clockwise.
        speed: m/s along the heading.
        scale: Its size over that of its type.
        paint: Number that chooses its colours.

    Raises:
        SiteTwinError: There is no such type, a number is not finite, or the scale is not positive.
    """

    name: str
    shape: str
    position: tuple[float, float, float]
    yaw: float = 0.0
    speed: float = 0.0
    scale: float = 1.0
    paint: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "position", tuple(float(v) for v in self.position))
        if self.shape not in SHAPES:
            raise SiteTwinError(f"there is no vehicle of type '{self.shape}'; choose one of {', '.join(SHAPES)}")
        numbers = (*self.position, self.yaw, self.speed, self.scale)
        if len(self.position) != 3 or not all(map(math.isfinite, numbers)) or self.scale <= 0:
            raise SiteTwinError(
                f"vehicle '{self.name}' has the numbers {numbers}; give x, y, z, heading, speed and a positive scale"
            )

    @property
    def kind(self) -> str:
        """Class that a detector would name: "car", "van" or "bus"."""
        return SHAPES[self.shape].kind

    @property
    def size(self) -> tuple[float, float, float]:
        """Length, width and height, metres."""
        length, width, height = SHAPES[self.shape].size
        return length * self.scale, width * self.scale, height * self.scale

    def placed(self, points: Float[np.ndarray, "*points 3"]) -> Float[np.ndarray, "*points 3"]:
        """Return points (..., 3) of the vehicle's own frame (forward, left, up from the ground) in the site's frame."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        turn = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
        return points @ turn + np.array(self.position)

    def moved(self, seconds: float) -> Vehicle:
        """Return the vehicle after it has driven straight on for `seconds`."""
        x, y, z = self.position
        way = self.speed * seconds
        return replace(self, position=(x + way * math.cos(self.yaw), y + way * math.sin(self.yaw), z))


def vehicle_body(vehicle: Vehicle) -> MovingObject:
    """Return the body of a vehicle, which the tracer meets and the camera sees."""
    points = sections(vehicle.shape).reshape(-1, 3) * vehicle.scale
    heading = np.array([math.cos(vehicle.yaw), math.sin(vehicle.yaw), 0.0])
    return MovingObject(
        vehicle.name, vehicle.placed(points), shell(vehicle.shape)[0], BODY_METAL, vehicle.speed * heading
    )


def vehicle_of_body(site: Mesh, number: int, paint: int = 0) -> Vehicle | None:
    """Return the vehicle whose body an object of a site is, as `sitetwin.site.ParkedVehicles` leaves them.

    Args:
        site: The site.
        number: Of the object.
        paint: Chooses the vehicle's colours.

    Returns:
        The vehicle; None for a body of another form, such as a box.
    """
    used = site.triangles[site.triangle_object == number]
    if not used.size:
        return None
    corners = site.vertices[used.min() : used.max() + 1]
    for shape in SHAPES:
        form = sections(shape).reshape(-1, 3)
        if len(form) != len(corners):
            continue
        own, there = form - form.mean(axis=0), corners - corners.mean(axis=0)
        yaw = math.atan2(
            float(own[:, 0] @ there[:, 1] - own[:, 1] @ there[:, 0]),
            float(own[:, 0] @ there[:, 0] + own[:, 1] @ there[:, 1]),
        )
        scale = float(np.ptp(corners[:, 2]) / np.ptp(form[:, 2]))
        if scale <= 0:
            continue
        turned = Vehicle(site.objects[number], shape, (0.0, 0.0, 0.0), yaw, scale=scale, paint=paint)
        x, y, z = (corners - turned.placed(scale * form)).mean(axis=0).tolist()
        found = replace(turned, position=(x, y, z))
        if np.abs(found.placed(scale * form) - corners).max() < _SAME:
            return found
    return None
