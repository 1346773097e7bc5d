"""The ground as a camera meets it: a level, or the ground of a site with its slopes."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.site import Mesh

FARTHEST = 2000.0
"""Metres beyond which the ground is not looked for."""

_AT_ONCE = 1 << 21
_RIM, _ABOVE = 1e-9, 1e5


class Ground:
    """What rays are met with.

    Args:
        corners: (T, 3, 3) triangle corners, metres; none of them for a level ground.
        level: Height of a ground without triangles, metres.

    Raises:
        SiteTwinError: A number is not finite.
    """

    def __init__(self, corners: Float[np.ndarray, "triangles 3 3"] | None = None, level: float = 0.0) -> None:
        if not math.isfinite(level) or (corners is not None and not np.isfinite(corners).all()):
            raise SiteTwinError("a height of the ground is not finite; give metres")
        self._level = level if corners is None else None
        if corners is not None:
            self._corner = corners[:, 0]
            self._edges = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
            normal = np.cross(*self._edges)
            length = np.linalg.norm(normal, axis=1, keepdims=True)
            normal /= np.maximum(length, 1e-300)
            self._normal = np.where(normal[:, 2:] < 0, -normal, normal)
            self._low, self._high = corners[..., :2].min(axis=1), corners[..., :2].max(axis=1)

    @classmethod
    def of_site(cls, site: Mesh) -> Ground:
        """Return the ground of a site.

        Raises:
            SiteTwinError: The site has no ground.
        """
        corners = site.corners[site.is_ground]
        if not len(corners):
            raise SiteTwinError("the site has no ground on which objects stand; give the height of a level one")
        return cls(corners)

    def near(self, place: Float[np.ndarray, " 2"], reach: float) -> Ground:
        """Return the ground about a place, which is asked many times in less time.

        Args:
            place: (2,) metres.
            reach: Metres to each side; beyond it there may be no ground.
        """
        if self._level is not None:
            return self
        made = Ground.__new__(Ground)
        inside = ((self._low <= place + reach) & (self._high >= place - reach)).all(axis=1)
        made._level, made._corner, made._normal = None, self._corner[inside], self._normal[inside]
        made._edges = self._edges[0][inside], self._edges[1][inside]
        made._low, made._high = self._low[inside], self._high[inside]
        return made

    def meet(
        self, origin: Float[np.ndarray, "*rays 3"], direction: Float[np.ndarray, "*rays 3"]
    ) -> tuple[Float[np.ndarray, "*rays 3"], Float[np.ndarray, "*rays 3"]]:
        """Find where rays meet the ground first.

        Args:
            origin: (..., 3) metres.
            direction: (..., 3) unit vectors.

        Returns:
            (..., 3) points, metres, and (..., 3) unit normals there, upwards; NaN where no ground is met within
            `FARTHEST`.
        """
        shape = np.broadcast_shapes(origin.shape, direction.shape)
        start = np.broadcast_to(origin, shape).reshape(-1, 3)
        way = np.broadcast_to(direction, shape).reshape(-1, 3)
        if self._level is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                length = (self._level - start[:, 2]) / way[:, 2]
            normal = np.tile([0.0, 0.0, 1.0], (len(start), 1))
        else:
            length, normal = self._first(start, way)
        with np.errstate(invalid="ignore"):
            good = (length > 0) & (length <= FARTHEST)
            points = start + way * np.where(good, length, np.nan)[:, None]
        return points.reshape(shape), np.where(good[:, None], normal, np.nan).reshape(shape)

    def height(self, places: Float[np.ndarray, "*points 2"]) -> Float[np.ndarray, "*points"]:
        """Return (...) metres: the height of the ground at places (..., 2); NaN where there is none."""
        if self._level is not None:
            return np.full(places.shape[:-1], self._level)
        flat = places.reshape(-1, 2)
        start = np.column_stack([flat, np.full(len(flat), _ABOVE)])
        length, _ = self._first(start, np.tile([0.0, 0.0, -1.0], (len(flat), 1)))
        return np.where(np.isfinite(length), _ABOVE - length, np.nan).reshape(places.shape[:-1])

    def _first(self, start: np.ndarray, way: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N,) length to the first triangle, infinite without one, and (N, 3) its normal (Moeller and Trumbore)."""
        length, normal = np.full(len(start), np.inf), np.zeros((len(start), 3))
        if not len(self._corner):
            return length, normal
        first, second = self._edges
        step = max(1, _AT_ONCE // max(1, len(first)))
        for at in range(0, len(start), step):
            rows = slice(at, at + step)
            across = np.cross(way[rows, None], second[None])
            determinant = np.einsum("ntk,tk->nt", across, first)
            offset = start[rows, None] - self._corner[None]
            with np.errstate(divide="ignore", invalid="ignore"):
                u = np.einsum("ntk,ntk->nt", offset, across) / determinant
                turned = np.cross(offset, first[None])
                v = np.einsum("nk,ntk->nt", way[rows], turned) / determinant
                reach = np.einsum("ntk,tk->nt", turned, second) / determinant
                hit = (u >= -_RIM) & (v >= -_RIM) & (u + v <= 1 + _RIM) & (reach > 0)
            reach = np.where(hit, reach, np.inf)
            nearest = reach.argmin(axis=1)
            length[rows] = reach[np.arange(len(nearest)), nearest]
            normal[rows] = self._normal[nearest]
        return length, normal
