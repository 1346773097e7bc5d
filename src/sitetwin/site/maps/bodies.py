"""Labelled triangles from which a `Site` is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Body:
    """Triangles that become one object of a site, with one material.

    Attributes:
        name: Object name, such as "way/17-walls", "way/17-roof", "ground" or "ground-asphalt".
        corners: (T, 3, 3) float64, metres; counter-clockwise seen from outside (ground: from above). Corners that
            belong together are equal to the bit.
        material: Name of the material in the site's table of materials.
        building: Key of the building that the object is a part of; None for the ground.
    """

    name: str
    corners: Float[np.ndarray, "triangles 3 3"]
    material: str
    building: str | None = None


def buildings_of(bodies: Sequence[Body]) -> list[int]:
    """Return the number of the building that each body belongs to; the ground gets numbers of its own."""
    numbers: dict[str, int] = {}
    return [
        number if body.building is None else numbers.setdefault(body.building, number)
        for number, body in enumerate(bodies)
    ]
