"""Made-up streets: two rows of houses, lanes between them, poles and trees on the pavements."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.site import Site, Vegetation, build_site, itu_material
from sitetwin.site.bodies import add_bodies
from sitetwin.site.vegetation import Cylinder, Ellipsoid, Volume
from sitetwin.vision.street.posts import pole_body

LANE = 3.3
"""Width of a lane, metres."""

_HOUSE = (10.0, 24.0)  # width of a house along the street, metres
_ALLEY, _ALLEY_SHARE = (3.0, 6.0), 0.25
_SETBACK = 0.8  # spread of the house fronts across the street, metres
_DEPTH = 10.0
_POLE_STEP, _TREE_STEP = 24.0, 17.0
_TURN = math.radians(0.6)  # spread of the houses' directions
_BALCONY, _FLOOR = (2.4, 1.1, 1.1), 3.2  # width, depth and height, and the height of a floor, metres
_BALCONY_SHARE, _BALCONY_STEP = 0.4, 5.2  # of the houses, and metres along their fronts
_FROM_KERB = 0.6  # of poles, metres
_MARGIN = 30.0  # ground beyond the houses, metres
_CORNERS = np.array([(i, j, k) for k in (0, 1) for j in (0, 1) for i in (0, 1)], dtype=float)
_FACES = np.array([(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (1, 3, 7, 5), (3, 2, 6, 7), (2, 0, 4, 6)])
_BOX = np.concatenate([_FACES[:, [0, 1, 2]], _FACES[:, [0, 2, 3]]])
_FRONTS = ("concrete", "marble", "plasterboard", "glass", "wood")  # known at 60 GHz; brick is not


@dataclass(frozen=True)
class CanyonPlan:
    """Measures of a street along the x axis, whose middle is y = 0.

    Attributes:
        lanes: Number of lanes each way.
        pavement: Width of each pavement, metres.
        heights: Lowest and highest house, metres.
        half_length: Metres of street on each side of x = 0.
        trees: Share of the places for trees that have one.
        seed: Chooses everything else.

    Raises:
        SiteTwinError: A number is out of its range.
    """

    lanes: int = 1
    pavement: float = 3.5
    heights: tuple[float, float] = (9.0, 18.0)
    half_length: float = 60.0
    trees: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        low, high = self.heights
        if not (1 <= self.lanes <= 4 and 1.5 <= self.pavement <= 20 and 3 <= low <= high <= 200):
            raise SiteTwinError(
                f"a street of {self.lanes} lanes, pavements of {self.pavement} m and houses of {low} to {high} m "
                "is none; give 1 to 4 lanes, 1.5 to 20 m, and 3 to 200 m"
            )
        if not (20 <= self.half_length <= 500 and 0 <= self.trees <= 1):
            raise SiteTwinError(
                f"a street of 2 x {self.half_length} m with a share of trees of {self.trees} is none; "
                "give 20 to 500 m, and 0 to 1"
            )

    @property
    def kerb(self) -> float:
        """Half the width of the carriageway, metres."""
        return self.lanes * LANE

    @property
    def front(self) -> float:
        """Distance of the house fronts from the middle of the street, metres."""
        return self.kerb + self.pavement

    def lane_of(self, number: int) -> tuple[float, float]:
        """Return y of the middle of a lane, metres, and its heading, radians; lanes are counted from the lower y."""
        y = (number + 0.5) * LANE - self.kerb
        return y, 0.0 if y < 0 else math.pi


@dataclass(frozen=True)
class Canyon:
    """A street that was made.

    Attributes:
        plan: Its measures.
        site: Houses with their balconies, ground, poles and trees.
        houses: Houses as a map draws them: boxes in line with the street, and the ground.
        ground: The ground alone.
        poles: (P, 3) feet of the lamp posts, metres.
        markings: White areas on the carriageway, corners (n, 3), metres.
        pavements: Areas of the pavements, corners (n, 3), metres.
    """

    plan: CanyonPlan
    site: Site
    houses: Site
    ground: Site
    poles: Float[np.ndarray, "poles 3"]
    markings: tuple[Float[np.ndarray, "corners 3"], ...]
    pavements: tuple[Float[np.ndarray, "corners 3"], ...]


def make_canyon(plan: CanyonPlan, name: str = "street") -> Canyon:
    """Make a street; the same plan gives the same street."""
    rng = np.random.default_rng(plan.seed)
    boxes, fronts = [], []
    for side in (1.0, -1.0):
        x = -plan.half_length
        while x < plan.half_length:
            width = float(rng.uniform(*_HOUSE))
            near = plan.front + float(rng.uniform(0.0, _SETBACK))
            height = float(rng.uniform(*plan.heights))
            low, high = sorted((side * near, side * (near + _DEPTH)))
            boxes.append((x, low, 0.0, width, high - low, height))
            fronts.append(int(rng.choice(len(_FRONTS), p=(0.5, 0.2, 0.05, 0.2, 0.05))))
            x += width + (float(rng.uniform(*_ALLEY)) if rng.random() < _ALLEY_SHARE else 0.0)
    blocks = np.array(boxes)
    houses = _houses(plan, name, blocks, fronts)
    turned = _TURN * rng.standard_normal(len(blocks))
    balconies, owner = _balconies(blocks, rng)
    real = _houses(plan, name, blocks, fronts, turned, balconies, owner)
    poles = _pole_feet(plan, rng)
    bodies = [pole_body(str(k), foot, rng.uniform(6.0, 9.0), rng.uniform(0.06, 0.11)) for k, foot in enumerate(poles)]
    site = add_bodies(real, bodies).variant(vegetation=Vegetation(_trees(plan, poles, rng)))
    ground = _houses(plan, f"{name}, ground", np.zeros((0, 6)), [])
    return Canyon(plan, site, houses, ground, poles, _markings(plan), _pavements(plan))


def _houses(
    plan: CanyonPlan,
    name: str,
    houses: np.ndarray,
    fronts: list[int],
    turned: np.ndarray | None = None,
    balconies: np.ndarray | None = None,
    owner_of: np.ndarray | None = None,
) -> Site:
    """Boxes (H, 6) of houses, turned about their middles, with balconies (B, 6) that belong to houses (B,)."""
    extra = np.zeros((0, 6)) if balconies is None else balconies
    boxes = np.concatenate([houses.reshape(-1, 6), extra])
    vertices = boxes[:, None, :3] + _CORNERS * boxes[:, None, 3:]
    if turned is not None and owner_of is not None:
        of = np.concatenate([np.arange(len(houses)), owner_of])
        middle = (houses[:, :2] + 0.5 * houses[:, 3:5])[of][:, None]
        c, s = np.cos(turned[of])[:, None], np.sin(turned[of])[:, None]
        away = vertices[..., :2] - middle
        vertices[..., :2] = middle + np.stack(
            [c * away[..., 0] - s * away[..., 1], s * away[..., 0] + c * away[..., 1]], -1
        )
    vertices = vertices.reshape(-1, 3)
    triangles = (_BOX + 8 * np.arange(len(boxes))[:, None, None]).reshape(-1, 3)
    reach_x, reach_y = plan.half_length + _MARGIN + _HOUSE[1], plan.front + _DEPTH + _MARGIN
    ground = np.array([(-reach_x, -reach_y), (reach_x, -reach_y), (reach_x, reach_y), (-reach_x, reach_y)])
    first = len(vertices)
    vertices = np.concatenate([vertices, np.column_stack([ground, np.zeros(4)])])
    triangles = np.concatenate([triangles, first + np.array([(0, 1, 2), (0, 2, 3)])])
    owner = np.concatenate([np.repeat(np.arange(len(boxes)), 12), np.full(2, len(boxes))])
    names = [*(f"house-{k}" for k in range(len(houses))), *(f"balcony-{k}" for k in range(len(extra))), "ground"]
    materials = [itu_material(front, 0.2) for front in _FRONTS] + [itu_material("concrete")]
    of_object = [*fronts, *[0] * len(extra), len(_FRONTS)]
    return build_site(name, vertices, triangles, owner, names, of_object, materials)


def _balconies(houses: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (B, 6) on the fronts of some houses, and their houses (B,)."""
    width, depth, height = _BALCONY
    found, owner = [], []
    for number, (x, y, _, along, across, top) in enumerate(houses.tolist()):
        if rng.random() >= _BALCONY_SHARE:
            continue
        near = y if y > 0 else y + across
        low = near - depth if y > 0 else near
        for z in np.arange(_FLOOR, top - _FLOOR, _FLOOR):
            for left in np.arange(x + 1.5, x + along - 1.5 - width, _BALCONY_STEP):
                # Its back lies within the house, so that no slit opens where the house is turned.
                found.append((left, low - (0.2 if y < 0 else 0.0), z, width, depth + 0.2, height))
                owner.append(number)
    return np.array(found).reshape(-1, 6), np.array(owner, dtype=np.int64)


def _pole_feet(plan: CanyonPlan, rng: np.random.Generator) -> np.ndarray:
    along = np.arange(-plan.half_length + 5.0, plan.half_length, _POLE_STEP)
    feet = [
        (x + rng.uniform(-3, 3), side * (plan.kerb + _FROM_KERB), 0.0)
        for side in (1.0, -1.0)
        for x in along + (0.5 * _POLE_STEP if side < 0 else 0.0)
    ]
    return np.array(feet)


def _trees(plan: CanyonPlan, poles: np.ndarray, rng: np.random.Generator) -> tuple[Volume, ...]:
    """Crowns and trunks on the pavements, clear of poles."""
    found: list[Volume] = []
    for side in (1.0, -1.0):
        for place in np.arange(-plan.half_length, plan.half_length, _TREE_STEP):
            x, y = float(place + rng.uniform(-3, 3)), side * (plan.kerb + 1.2)
            radius, trunk = float(rng.uniform(1.2, 2.0)), float(rng.uniform(2.8, 3.6))
            if rng.random() >= plan.trees or np.hypot(poles[:, 0] - x, poles[:, 1] - y).min() < 3.0:
                continue
            rise = float(rng.uniform(1.6, 2.6))
            found.append(Ellipsoid((x, y, trunk + rise), (radius, radius, rise)))
            found.append(Cylinder((x, y), 0.14, 0.0, trunk + 0.5, part="trunk"))
    return tuple(found)


def _area(x: tuple[float, float], y: tuple[float, float]) -> np.ndarray:
    return np.array([(x[0], y[0], 0.0), (x[1], y[0], 0.0), (x[1], y[1], 0.0), (x[0], y[1], 0.0)])


def _markings(plan: CanyonPlan) -> tuple[np.ndarray, ...]:
    """Broken lines between lanes, and one along each kerb."""
    ends = (-plan.half_length, plan.half_length)
    found = [_area(ends, (plan.kerb - 0.32, plan.kerb - 0.2)), _area(ends, (-plan.kerb + 0.2, -plan.kerb + 0.32))]
    for line in range(1, 2 * plan.lanes):
        y = line * LANE - plan.kerb
        found += [_area((x, x + 3.0), (y - 0.06, y + 0.06)) for x in np.arange(ends[0], ends[1], 7.5)]
    return tuple(found)


def _pavements(plan: CanyonPlan) -> tuple[np.ndarray, ...]:
    ends = (-plan.half_length - _MARGIN, plan.half_length + _MARGIN)
    far = plan.front + _SETBACK
    return _area(ends, (plan.kerb, far)), _area(ends, (-far, -plan.kerb))
