"""One world of the closed loop: a street with a station and a camera, and the map that the twin has of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sitetwin.channel import AntennaArray
from sitetwin.errors import SiteTwinError
from sitetwin.site import GeometryError, Site, itu_material
from sitetwin.site.places.pose import Pose
from sitetwin.vision.camera import Camera
from sitetwin.vision.render import LIGHTS, Lamp, Renderer, painted_ground
from sitetwin.vision.render.street_looks import MARKING, PAVEMENT
from sitetwin.vision.scene import Station
from sitetwin.vision.street import Canyon, CanyonPlan, make_canyon

ELEMENTS = 16
"""Of the station's array."""

LAMP_CD = 900.0
_LAMP_HEIGHT = 7.5
_CLEAR_OF_POLES, _CLEAR_OF_TREES = 1.2, 3.5  # metres along the street


@dataclass(frozen=True)
class WorldPlan:
    """What a world is made from.

    Attributes:
        name: Name of its folder.
        street: The street.
        height: Of station and camera over the ground, metres.
        back: Distance of both from the kerb, metres.
        turn: Boresight against the direction across the street, radians, counter-clockwise.
        tilt: Downtilt of the camera, radians; the array is not tilted.
        light: A name of `LIGHTS`.
        wall_sigma: Error of the map's walls in each horizontal direction, metres.
        height_sigma: Error of the map's roof heights, metres.

    Raises:
        SiteTwinError: The light is unknown, or the station does not stand over the pavement.
    """

    name: str
    street: CanyonPlan
    height: float = 6.0
    back: float = 0.8
    turn: float = 0.0
    tilt: float = math.radians(12.0)
    light: str = "day"
    wall_sigma: float = 0.3
    height_sigma: float = 0.5

    def __post_init__(self) -> None:
        if self.light not in LIGHTS:
            raise SiteTwinError(f"there is no light '{self.light}'; choose one of {', '.join(LIGHTS)}")
        if not (2.0 <= self.height <= 30.0 and 0.0 < self.back < self.street.pavement and abs(self.turn) < math.pi / 2):
            raise SiteTwinError(
                f"a station {self.height} m high, {self.back} m behind the kerb and turned by {self.turn} rad does not "
                "stand on the pavement and look at the street"
            )


@dataclass(frozen=True, eq=False)
class World:
    """A world that was made.

    Attributes:
        plan: What it was made from.
        canyon: The street as it is: houses of several materials, poles, trees.
        station: The radio.
        camera: The camera, at the same place.
        known: The site that the twin has: houses that are off, all of one material, without poles and trees.
        bare: The ground alone, for twins without a map.
    """

    plan: WorldPlan
    canyon: Canyon
    station: Station
    camera: Camera
    known: Site
    bare: Site

    def renderer(self) -> Renderer:
        """Return the camera before this street."""
        canyon = self.canyon
        lamps = [Lamp((x, y, _LAMP_HEIGHT), LAMP_CD, (0.0, 0.0, -1.0)) for x, y, _ in canyon.poles.tolist()]
        painted = [painted_ground(list(canyon.pavements), PAVEMENT), painted_ground(list(canyon.markings), MARKING)]
        return Renderer(canyon.site, self.camera, LIGHTS[self.plan.light], lamps=lamps, painted=painted)


def make_world(plan: WorldPlan) -> World:
    """Make a world; the same plan gives the same world.

    Raises:
        SiteTwinError: Poles and trees leave no place for the station.
    """
    canyon = make_canyon(plan.street, plan.name)
    x, y = _station_x(canyon), -(plan.street.kerb + plan.back)
    yaw = math.pi / 2 + plan.turn
    place = (x, y, plan.height)
    station = Station(Pose(place, yaw), AntennaArray.ula(ELEMENTS))
    camera = Camera.from_view(Pose(place, yaw, plan.tilt))
    rng = np.random.default_rng([plan.street.seed, 1])
    concrete = {material.name: itu_material("concrete", 0.2) for material in canyon.houses.materials}
    known = canyon.houses.variant(
        name=f"{plan.name}, map",
        walls=GeometryError(sigma=plan.wall_sigma),
        heights=GeometryError(sigma=plan.height_sigma),
        materials=concrete,
        rng=rng,
    )
    return World(plan, canyon, station, camera, known, canyon.ground)


def default_worlds(count: int = 10, seed: int = 0) -> list[WorldPlan]:
    """Return plans of streets of different width, height, light and view.

    Args:
        count: Number of streets.
        seed: Chooses them.

    Raises:
        SiteTwinError: No street is asked for.
    """
    if count < 1:
        raise SiteTwinError(f"{count} streets are no world; ask for one or more")
    rng = np.random.default_rng([seed, 2])
    lights = ("day", "day", "dusk", "day", "night")
    plans = []
    for number in range(count):
        low = float(rng.uniform(7.0, 14.0))
        street = CanyonPlan(
            lanes=(2, 2, 3)[number % 3],
            pavement=float(rng.uniform(2.5, 5.5)),
            heights=(low, low + float(rng.uniform(3.0, 12.0))),
            half_length=80.0,
            trees=float(rng.uniform(0.0, 0.5)),
            seed=1000 * seed + number,
        )
        plans.append(
            WorldPlan(
                f"street-{number:02d}",
                street,
                height=float(rng.uniform(5.0, 6.5)),
                back=float(rng.uniform(0.5, street.pavement - 0.5)),
                turn=math.radians(float(rng.uniform(-25.0, 25.0))),
                tilt=math.radians(float(rng.uniform(8.0, 15.0))),
                light=lights[number % len(lights)],
            )
        )
    return plans


def _station_x(canyon: Canyon) -> float:
    """The place nearest to the middle of the street that is clear of poles and trees on the station's side."""
    poles = canyon.poles[canyon.poles[:, 1] < 0, 0]
    trees = [v.centre[0] for v in canyon.site.vegetation.volumes if v.centre[1] < 0]  # type: ignore[union-attr]
    for x in sorted(np.arange(-15.0, 15.01, 0.25), key=abs):
        clear = np.abs(poles - x).min(initial=np.inf) >= _CLEAR_OF_POLES
        if clear and np.abs(np.array(trees) - x).min(initial=np.inf) >= _CLEAR_OF_TREES:
            return float(x)
    raise SiteTwinError("poles and trees leave no place for the station; plant fewer trees")
