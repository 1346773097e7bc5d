"""A site's wedges and facets as the diffraction kernels need them, and the geometry that they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sitetwin.backend import mitsuba
from sitetwin.rays.caster import RayCaster, lift_off, origin_offset
from sitetwin.rays.course import cross_rectangle
from sitetwin.rays.device import array3, gather3, to_device
from sitetwin.site import Site, Wedges
from sitetwin.site.edge_joining import CLOSED_GAP
from sitetwin.site.facets import dot

WEDGE_ROW = 20  # doubles per wedge in its table
FACET_ROW = 12  # doubles per facet in its table
_LEAST_BEND = 1e-3  # rad; a flatter edge is no obstacle
_TILT = 10.0  # a line tilted by 1 / 10 rad against a thin wall's top bends at one of its two edges alone


class EdgeScene:
    """A site, its ray caster and a transmitter, with tables on the device.

    Attributes:
        site: The site.
        caster: Ray caster of the same site.
        transmitter: (3,) float64, position of the transmitter, metres.
        source: The same, Dr.Jit Array3f64.
        wedges: Dr.Jit Float64, see `wedge_table`.
        facets: Dr.Jit Float64, see `facet_table`.
        any_aside: Whether rays to some edge end beside it (`Wedges.standoff`).
    """

    def __init__(self, site: Site, caster: RayCaster, transmitter: np.ndarray) -> None:
        self.site, self.caster, self.transmitter = site, caster, transmitter
        self.source = array3(transmitter[None])
        self.wedges = to_device(mitsuba().Float64, wedge_table(site.wedges))
        self.facets = to_device(mitsuba().Float64, facet_table(site, caster))
        self.any_aside = bool(site.wedges.standoff.any())

    @property
    def convex(self) -> np.ndarray:
        """(W',) int64, the wedges that diffract: all but concave corners, which only reflect, and cut rims."""
        wedges = self.site.wedges
        return np.flatnonzero((wedges.exterior_angle > np.pi + _LEAST_BEND) & ~wedges.rim)

    def apart(self, wedge: np.ndarray, facet: np.ndarray) -> np.ndarray:
        """(N,) bool: the facet's plane does not hold the wedge's edge; a face does not reflect what runs along it."""
        wedges, normal, offset = self.site.wedges, self.site.facet_normal[facet], self.site.facet_offset[facet]
        heights = [np.abs(dot(end[wedge], normal) - offset) for end in (wedges.start, wedges.end)]
        aside = np.sqrt(dot(wedges.standoff[wedge], wedges.standoff[wedge])).max(axis=1, initial=0.0)
        return np.maximum(*heights) > np.maximum(CLOSED_GAP, aside)

    def wedge(self, wedge: Any) -> WedgeLanes:
        """Wedges for lanes (Dr.Jit UInt32)."""
        import drjit as dr

        row = wedge * WEDGE_ROW
        start, direction, normal, outward = (gather3(self.wedges, row + column) for column in (0, 3, 7, 10))
        length, exterior = (dr.gather(mitsuba().Float64, self.wedges, row + column) for column in (6, 13))
        aside = (gather3(self.wedges, row + 14), gather3(self.wedges, row + 17)) if self.any_aside else None
        return WedgeLanes(start, direction, length, normal, outward, exterior, aside)

    def mirror(self, point: Any, facet: Any) -> Any:
        """Points mirrored in the planes of facets (Dr.Jit)."""
        import drjit as dr

        row = facet * FACET_ROW
        normal, offset = gather3(self.facets, row), dr.gather(mitsuba().Float64, self.facets, row + 3)
        return point - normal * (2 * (dr.dot(normal, point) - offset))

    def crossing(self, point: Any, image: Any, facet: Any) -> tuple[Any, Any]:
        """Where the line from `point` to `image` meets a facet's plane; whether between them and on its rectangle."""
        import drjit as dr

        mi = mitsuba()
        row = facet * FACET_ROW
        normal, axis = gather3(self.facets, row), gather3(self.facets, row + 4)
        offset = dr.gather(mi.Float64, self.facets, row + 3)
        bounds = [dr.gather(mi.Float64, self.facets, row + 7 + k) for k in range(4)]
        crossing, between, on_facet = cross_rectangle(point, image, (normal, offset), axis, bounds)
        return crossing, between & on_facet

    def lift_off(self, point: Any, facet: Any, towards: Any) -> Any:
        """Points of facets, moved off them towards other points."""
        return lift_off(point, gather3(self.facets, facet * FACET_ROW), towards)


@dataclass(frozen=True, eq=False)
class WedgeLanes:
    """Wedges, one lane each (Dr.Jit); see `wedge_table`."""

    start: Any
    direction: Any
    length: Any
    normal: Any
    outward: Any
    exterior: Any
    aside: Any

    def lifted(self, point: Any, phi: Any) -> Any:
        """Points of the edges, moved off both faces, where rays to the azimuth phi begin."""
        import drjit as dr

        point = point + self.outward * origin_offset(point)
        if self.aside is None:
            return point
        return point + dr.select(phi < 0.5 * self.exterior, self.aside[0], self.aside[1])

    def moved(self, across_s: Any, across_t: Any) -> Any:
        """Where between its outermost edges a merged edge bends the path from source to target.

        The one that is the higher above the straight line bends it first; the way from one to the other is continuous,
        and the same in both directions.

        Args:
            across_s: From the edge to the source, perpendicular to it.
            across_t: The same for the target.

        Returns:
            The way from the edge to the point, perpendicular to it.
        """
        import drjit as dr

        assert self.aside is not None
        half = 0.5 * (self.aside[1] - self.aside[0])
        line = dr.cross(self.direction, across_t - across_s)
        shadow = abs(self.angle(across_t) - self.angle(across_s)) > dr.pi
        upwards = (dr.dot(line, across_s) < 0) == shadow
        size = dr.norm(half) * dr.norm(line)
        slope = dr.select(size > 0, dr.dot(line, half) / size, 0)
        share = dr.clip(_TILT * slope, -1, 1)
        return half * dr.select(upwards, share, -share)

    def angle(self, across: Any) -> Any:
        """The angle phi of vectors across the edge, from face 0, in [0, 2 pi)."""
        import drjit as dr

        angle = dr.atan2(dr.dot(self.normal, across), dr.dot(dr.cross(self.normal, self.direction), across))
        return dr.select(angle < 0, angle + 2 * dr.pi, angle)

    def open(self, phi: Any) -> Any:
        """Whether an angle lies in the open space, off both faces."""
        return (phi > 0) & (phi < self.exterior)


def wedge_table(wedges: Wedges) -> np.ndarray:
    """(W * `WEDGE_ROW`,) float64: the numbers of each wedge that the kernels need.

    These are start, direction, length, normal 0, outward direction, exterior angle, and the two standoffs.
    The outward direction halves the open space: a point moved along it leaves both faces.
    """
    half = 0.5 * wedges.exterior_angle[:, None]
    table = np.zeros((len(wedges), WEDGE_ROW))
    table[:, 0:3], table[:, 3:6], table[:, 6] = wedges.start, wedges.direction, wedges.length
    table[:, 7:10] = wedges.normals[:, 0]
    table[:, 10:13] = np.cos(half) * wedges.tangents[:, 0] + np.sin(half) * wedges.normals[:, 0]
    table[:, 13] = wedges.exterior_angle
    table[:, 14:17], table[:, 17:20] = wedges.standoff[:, 0], wedges.standoff[:, 1]
    return table.ravel()


def facet_table(site: Site, caster: RayCaster) -> np.ndarray:
    """(F * `FACET_ROW`,) float64: normal, offset and bounding rectangle of each facet."""
    frames = caster.frames
    table = np.zeros((site.num_facets, FACET_ROW))
    table[:, 0:3], table[:, 3], table[:, 4:7] = site.facet_normal, site.facet_offset, frames.axis
    table[:, 7:9], table[:, 9:11] = frames.low, frames.high
    return table.ravel()
