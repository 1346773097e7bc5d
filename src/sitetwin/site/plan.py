"""Buildings in plan: which bodies of a mesh are buildings, which area they cover, and which of them touch."""

from __future__ import annotations

import numpy as np
import shapely
from jaxtyping import Bool, Float, Int, Shaped

from sitetwin.site.facets import components
from sitetwin.site.mesh import Mesh

PARKED = "parked_vehicle_"
"""Parked vehicles are called so, and numbered; what makes them no buildings is `Mesh.object_building`."""

TOUCHING = 0.05
"""Metres in plan: buildings nearer than this touch, as the houses of a row do."""

_UPRIGHT = 1e-6  # m2 in plan: triangles of less are walls


def standing_buildings(mesh: Mesh) -> Bool[np.ndarray, " buildings"]:
    """Return (B,) bool: which entries of `Mesh.buildings` are buildings, neither ground nor parked vehicles."""
    names, building = mesh.buildings
    stands = np.ones(len(names), dtype=bool)
    if mesh.object_building is not None:
        stands[building[mesh.object_building < 0]] = False
    stands[building[list(mesh.ground_objects)]] = False
    return stands


def lying(corners: Float[np.ndarray, "triangles 3 3"]) -> Bool[np.ndarray, " triangles"]:
    """Return (T,) bool: which triangles (T, 3, 3) cover an area in plan."""
    e1, e2 = (corners[:, k, :2] - corners[:, 0, :2] for k in (1, 2))
    return np.asarray(np.abs(e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]) > 2 * _UPRIGHT)


def plan_shapes(corners: Float[np.ndarray, "triangles 3 3"]) -> Shaped[np.ndarray, " lying"]:
    """Return triangles seen from above as (T',) shapely polygons, without the upright ones.

    Args:
        corners: (T, 3, 3) corners of the triangles, metres.
    """
    return np.asarray(shapely.polygons(corners[lying(corners)][:, [0, 1, 2, 0], :2]))


def footprints(mesh: Mesh, chosen: Bool[np.ndarray, " buildings"]) -> Shaped[np.ndarray, " buildings"]:
    """Return the area that each building covers in plan, (B,) shapely geometries; empty for those not chosen.

    Args:
        mesh: The mesh; a site is one.
        chosen: (B,) bool, which entries of `Mesh.buildings` are chosen.
    """
    of_triangle = mesh.buildings[1][mesh.triangle_object]
    order = np.argsort(of_triangle, kind="stable")
    starts = np.searchsorted(of_triangle[order], np.arange(len(chosen) + 1))
    shapes = np.full(len(chosen), shapely.from_wkt("POLYGON EMPTY"), dtype=object)
    for k in np.flatnonzero(chosen):
        rows = order[starts[k] : starts[k + 1]]
        shapes[k] = shapely.union_all(plan_shapes(mesh.vertices[mesh.triangles[rows]]), grid_size=1e-6)
    return shapes


def touching_groups(mesh: Mesh, chosen: Bool[np.ndarray, " buildings"]) -> Int[np.ndarray, " buildings"]:
    """Group buildings that touch in plan, directly or through others: (B,) int64, lowest building of each group.

    Args:
        mesh: The mesh; a site is one.
        chosen: (B,) bool, which buildings are grouped; each other building is a group by itself.
    """
    shapes = footprints(mesh, chosen)
    rows = np.flatnonzero(chosen & ~shapely.is_empty(shapes))
    tree = shapely.STRtree(shapes[rows])
    first, second = tree.query(shapes[rows], predicate="dwithin", distance=TOUCHING)
    return components(len(chosen), rows[first], rows[second])
