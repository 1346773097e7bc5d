"""Types of vehicles as closed bodies, which the tracer meets and a camera sees.

A body is lofted through eight-cornered sections, from the rear to the front. Each section lies across the vehicle:
sill, widest line, shoulder and top, left and right.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int

CORNERS = 8
"""Of a section."""


@dataclass(frozen=True)
class Shape:
    """How a type of vehicle is built.

    Attributes:
        kind: Class that a detector would name: "car", "van" or "bus".
        size: Length, width and height, metres.
        along: Place of each section, share of the length, ascending from -0.5 at the rear.
        levels: For each section the heights of sill, widest line, shoulder and top, shares of the height.
        widths: For each section the half widths of the same, shares of the width.
        panes: Strips between two sections whose sides over the shoulder are glass.
        screens: Strips whose top is glass: front and rear window.
        wheels: Places of the axles, shares of the length.
        wheel: Radius of the wheels, metres.
    """

    kind: str
    size: tuple[float, float, float]
    along: tuple[float, ...]
    levels: tuple[tuple[float, float, float, float], ...]
    widths: tuple[tuple[float, float, float, float], ...]
    panes: tuple[int, ...]
    screens: tuple[int, ...]
    wheels: tuple[float, ...]
    wheel: float


_SIDE = (0.470, 0.500, 0.470, 0.400)
_CABIN = (0.470, 0.500, 0.468, 0.345)
_NOSE = (0.440, 0.470, 0.440, 0.360)
_BOX = (0.485, 0.500, 0.500, 0.470)

SHAPES: dict[str, Shape] = {
    "sedan": Shape(
        "car",
        (4.65, 1.82, 1.46),
        (-0.5, -0.46, -0.34, -0.2, 0.03, 0.2, 0.42, 0.5),
        (
            (0.21, 0.38, 0.55, 0.61),
            (0.14, 0.38, 0.61, 0.68),
            (0.13, 0.40, 0.63, 0.70),
            (0.13, 0.40, 0.64, 0.97),
            (0.13, 0.40, 0.63, 1.0),
            (0.13, 0.39, 0.61, 0.68),
            (0.14, 0.36, 0.49, 0.55),
            (0.18, 0.32, 0.42, 0.46),
        ),
        (_NOSE, _SIDE, _SIDE, _CABIN, _CABIN, _SIDE, _SIDE, _NOSE),
        (2, 3, 4),
        (2, 4),
        (-0.29, 0.30),
        0.33,
    ),
    "hatchback": Shape(
        "car",
        (4.1, 1.77, 1.50),
        (-0.5, -0.475, -0.38, 0.04, 0.22, 0.42, 0.5),
        (
            (0.20, 0.38, 0.57, 0.62),
            (0.13, 0.38, 0.62, 0.70),
            (0.13, 0.40, 0.64, 0.97),
            (0.13, 0.40, 0.63, 1.0),
            (0.13, 0.39, 0.60, 0.67),
            (0.14, 0.36, 0.50, 0.56),
            (0.18, 0.32, 0.42, 0.46),
        ),
        (_NOSE, _SIDE, _CABIN, _CABIN, _SIDE, _SIDE, _NOSE),
        (1, 2, 3),
        (1, 3),
        (-0.31, 0.31),
        0.32,
    ),
    "suv": Shape(
        "car",
        (4.6, 1.88, 1.70),
        (-0.5, -0.48, -0.42, 0.05, 0.19, 0.44, 0.5),
        (
            (0.22, 0.40, 0.58, 0.63),
            (0.16, 0.40, 0.63, 0.69),
            (0.16, 0.42, 0.65, 0.98),
            (0.16, 0.42, 0.64, 1.0),
            (0.16, 0.42, 0.61, 0.67),
            (0.17, 0.40, 0.54, 0.59),
            (0.20, 0.36, 0.47, 0.52),
        ),
        (_NOSE, _SIDE, _CABIN, _CABIN, _SIDE, _SIDE, _NOSE),
        (1, 2, 3),
        (1, 3),
        (-0.30, 0.31),
        0.37,
    ),
    "van": Shape(
        "van",
        (5.4, 2.0, 2.35),
        (-0.5, -0.49, 0.22, 0.38, 0.48, 0.5),
        (
            (0.16, 0.30, 0.55, 0.97),
            (0.14, 0.30, 0.55, 1.0),
            (0.14, 0.30, 0.55, 1.0),
            (0.14, 0.30, 0.50, 0.58),
            (0.14, 0.28, 0.40, 0.46),
            (0.16, 0.26, 0.34, 0.38),
        ),
        (_BOX, _BOX, _BOX, (0.48, 0.5, 0.48, 0.42), (0.46, 0.48, 0.45, 0.38), (0.44, 0.46, 0.43, 0.36)),
        (2,),
        (2,),
        (-0.29, 0.33),
        0.34,
    ),
    "bus": Shape(
        "bus",
        (12.0, 2.55, 3.15),
        (-0.5, -0.497, 0.485, 0.5),
        (
            (0.13, 0.30, 0.42, 0.95),
            (0.11, 0.30, 0.42, 1.0),
            (0.11, 0.30, 0.42, 1.0),
            (0.12, 0.28, 0.40, 0.94),
        ),
        (_BOX, _BOX, _BOX, _BOX),
        (),
        (),
        (-0.27, 0.28),
        0.48,
    ),
}
"""Types of vehicles. Sizes are those of common models of each class, to within 5 %, by judgement."""


@cache
def sections(shape: str) -> Float[np.ndarray, "_sections 8 3"]:
    """Return the sections of a type, (S, 8, 3) metres in the vehicle's frame: left sill, over the top, right sill."""
    form = SHAPES[shape]
    length, width, height = form.size
    x = length * np.array(form.along)
    up, half = height * np.array(form.levels), width * np.array(form.widths)
    ring = np.empty((len(x), CORNERS, 3))
    ring[:, :, 0] = x[:, None]
    ring[:, :4, 1], ring[:, 4:, 1] = half, -half[:, ::-1]
    ring[:, :4, 2], ring[:, 4:, 2] = up, up[:, ::-1]
    return ring


@cache
def shell(shape: str) -> tuple[Int[np.ndarray, "_triangles 3"], Int[np.ndarray, "_triangles 2"]]:
    """Return the triangles of a type's body, (T, 3) outwards, and of each its strip and side of the section (T, 2).

    The strip is -1 at the rear end and the number of strips at the front end.
    """
    count = len(SHAPES[shape].along)
    triangles, owners = [], []
    for strip in range(count - 1):
        for side in range(CORNERS):
            following = (side + 1) % CORNERS
            a, b = strip * CORNERS + side, strip * CORNERS + following
            triangles += [(a, b, b + CORNERS), (a, b + CORNERS, a + CORNERS)]
            owners += [(strip, side)] * 2
    last = (count - 1) * CORNERS
    for corner in range(1, CORNERS - 1):
        triangles += [(0, corner + 1, corner), (last, last + corner, last + corner + 1)]
        owners += [(-1, 0), (count - 1, 0)]
    return np.array(triangles, dtype=np.int32), np.array(owners, dtype=np.int32)
