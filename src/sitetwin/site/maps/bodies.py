"""Labelled triangles on their way from a map to a `Site`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Body:
    """Triangles that become one object of a site: one surface material, one facing.

    Attributes:
        name: Object name. Surfaces of one building share what stands before the last "-": "way/17-walls",
            "way/17-roof". Ground surfaces are called "ground" or "ground-<kind>" ("ground-asphalt").
        corners: (T, 3, 3) float64, metres; counter-clockwise seen from outside (ground: from above). Corners that
            belong together are equal to the bit.
        material: Name in the site's table of materials.
    """

    name: str
    corners: Float[np.ndarray, "triangles 3 3"]
    material: str
