"""Data of a site that several checks use, computed once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from sitetwin.site.check.edges import weld
from sitetwin.site.check.findings import EXAMPLES
from sitetwin.site.check.places import Bodies, Ground
from sitetwin.site.facets import norm
from sitetwin.site.site import Site


@dataclass(eq=False)
class View:
    """Data of a site that several checks use, computed once."""

    site: Site
    is_ground: Bool[np.ndarray, " triangles"] = field(init=False)
    corners: Float[np.ndarray, "triangles 3 3"] = field(init=False)
    normal: Float[np.ndarray, "triangles 3"] = field(init=False)
    area: Float[np.ndarray, " triangles"] = field(init=False)

    def __post_init__(self) -> None:
        site = self.site
        self.is_ground = site.is_ground
        self.corners = site.corners
        cross = np.cross(self.corners[:, 1] - self.corners[:, 0], self.corners[:, 2] - self.corners[:, 0])
        twice = norm(cross)
        self.normal = cross / np.maximum(twice, 1e-300)[:, None]
        self.area = 0.5 * twice

    @cached_property
    def standing(self) -> Int[np.ndarray, " standing"]:
        """(S,) int64, triangles of buildings."""
        return np.flatnonzero(~self.is_ground)

    @cached_property
    def owner(self) -> Int[np.ndarray, " standing"]:
        """(S,) int64, building of each triangle in `standing`."""
        return self.site.buildings[1][self.site.triangle_object[self.standing]].astype(np.int64)

    @cached_property
    def bodies(self) -> Bodies:
        return Bodies.of(self.site.buildings[0], self.corners[self.standing], self.owner)

    @cached_property
    def ground(self) -> Ground:
        return Ground(self.corners[self.is_ground])

    @cached_property
    def labels(self) -> Int[np.ndarray, "triangles 3"]:
        """(T, 3) int64, corners of all triangles, equal for equal places."""
        return weld(self.site.vertices)[self.site.triangles]

    def names(self, buildings: np.ndarray) -> tuple[str, ...]:
        """Names of the first few different buildings of a list."""
        _, first = np.unique(buildings, return_index=True)
        return tuple(self.site.buildings[0][int(buildings[i])] for i in np.sort(first)[:EXAMPLES])

    def object_names(self, triangles: np.ndarray) -> tuple[str, ...]:
        """Names of the first few different objects of a list of triangles."""
        objects = self.site.triangle_object[triangles]
        _, first = np.unique(objects, return_index=True)
        return tuple(self.site.objects[int(objects[i])] for i in np.sort(first)[:EXAMPLES])
