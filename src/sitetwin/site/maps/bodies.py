"""Labelled triangles from which a `Site` is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Body:
    """Triangles that become one object of a site, with one material.

    Attributes:
        name: Object name. Surfaces of one building share the text before the last "-": "way/17-walls", "way/17-roof".
            Ground surfaces are called "ground" or "ground-<kind>" ("ground-asphalt").
        corners: (T, 3, 3) float64, metres; counter-clockwise seen from outside (ground: from above). Corners that
            belong together are equal to the bit.
        material: Name of the material in the site's table of materials.
    """

    name: str
    corners: Float[np.ndarray, "triangles 3 3"]
    material: str
