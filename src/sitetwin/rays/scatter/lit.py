"""Tiles that a transmitter lights, and bounds of the power that they scatter to users."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sitetwin.backend import mitsuba
from sitetwin.rays.caster import RayCaster
from sitetwin.rays.device import array3
from sitetwin.rays.scatter.roughness import Roughness
from sitetwin.rays.scatter.tiles import surface_tiles
from sitetwin.site import Site
from sitetwin.site.facets import dot, norm

_SLACK = 1e-9  # relative; bounds are widened by this much against rounding


@dataclass(frozen=True, eq=False)
class LitTiles:
    """The tiles that scatter and that the transmitter sees, L of them.

    The power bound of a tile for a user is ``pi S^2 A cos_i f_s / (d1^2 d2^2)``: what a tile that reflects all would
    scatter to it. For Lambertian tiles it is ``S^2 A cos_i cos_s / (d1^2 d2^2)``.

    Attributes:
        tile: (L,) int64, index into the tiles, ascending.
        centre: (L, 3) metres.
        facet: (L,) int32.
        normal: (L, 3) unit normals on the lit side.
        offset: (L,) metres, of the planes with those normals.
        weight: (L,) ``S^2 A cos_i / d1^2``; for tiles with lobes times pi over the integral of the lobes.
        incident: (L, 3) unit directions from the transmitter.
        rough: Scattering of each.
    """

    tile: np.ndarray
    centre: np.ndarray
    facet: np.ndarray
    normal: np.ndarray
    offset: np.ndarray
    weight: np.ndarray
    incident: np.ndarray
    rough: Roughness

    @classmethod
    def of(cls, site: Site, caster: RayCaster, transmitter: np.ndarray, tile_m: float) -> LitTiles:
        """Find the tiles of surfaces that scatter which the transmitter sees.

        Args:
            site: The site.
            caster: Ray caster of the same site.
            transmitter: (3,) position of the transmitter, metres.
            tile_m: Longest edge of a tile, metres.
        """
        tiles, facets = surface_tiles(site, tile_m), Roughness.of(site)
        tile = np.flatnonzero(facets.power[tiles.facet] > 0)
        centre, facet = tiles.centre[tile], tiles.facet[tile]
        height = dot(site.facet_normal[facet], transmitter) - site.facet_offset[facet]
        seen = sees(caster, np.broadcast_to(transmitter, centre.shape), centre, facet) & (height != 0)
        tile, centre, facet, height = tile[seen], centre[seen], facet[seen], height[seen]
        side = np.where(height < 0, -1.0, 1.0)
        step = centre - transmitter
        square = step[:, 0] ** 2 + step[:, 1] ** 2 + step[:, 2] ** 2
        rough = facets.take(facet)
        weight = rough.power * (tiles.area[tile] * np.abs(height) / (square * np.sqrt(square)))
        lobed = np.flatnonzero(~np.isnan(rough.forward))
        weight[lobed] *= np.pi / rough.take(lobed).integral((np.abs(height) / np.sqrt(square))[lobed])
        return cls(
            tile,
            centre,
            facet,
            side[:, None] * site.facet_normal[facet],
            side * site.facet_offset[facet],
            weight,
            step / np.sqrt(square)[:, None],
            rough,
        )

    def take(self, index: np.ndarray) -> LitTiles:
        """Take some of the tiles."""
        return LitTiles(
            self.tile[index],
            self.centre[index],
            self.facet[index],
            self.normal[index],
            self.offset[index],
            self.weight[index],
            self.incident[index],
            self.rough.take(index),
        )

    @cached_property
    def _lobed(self) -> LitTiles:
        """Those with lobes."""
        return self.take(self._lobes_at)

    @cached_property
    def _lobes_at(self) -> np.ndarray:
        return np.flatnonzero(~np.isnan(self.rough.forward))

    @cached_property
    def _mirrored(self) -> np.ndarray:
        return self.incident - 2 * dot(self.incident, self.normal)[:, None] * self.normal

    def strengths(self, points: np.ndarray) -> np.ndarray:
        """The power bound for users, 1/m2 times pi; 0 or less where the user is behind the tile.

        Args:
            points: (..., L or 1, 3) positions of the users, metres.

        Returns:
            (..., L).
        """
        step = [points[..., axis] - self.centre[:, axis] for axis in range(3)]
        square = step[0] * step[0] + step[1] * step[1] + step[2] * step[2]
        height = dot(self.normal, points) - self.offset
        found = self.weight * height / (square * np.sqrt(square))
        if len(self._lobes_at):
            everywhere = np.broadcast_to(points, (*found.shape, 3))
            found[..., self._lobes_at] = self._lobed._of_lobes(everywhere[..., self._lobes_at, :])
        return np.asarray(found)

    def _of_lobes(self, points: np.ndarray) -> np.ndarray:
        step = points - self.centre
        distance = norm(step)
        lobes = self.rough.lobes(dot(step, self._mirrored) / distance, -dot(step, self.incident) / distance)
        before = dot(self.normal, step) > 0
        return np.where(before, self.weight * lobes / (distance * distance), 0.0)

    def strong_for(self, low: np.ndarray, high: np.ndarray, needed: int) -> np.ndarray:
        """Find all tiles that may be among the `needed` strongest of any user within a box."""
        gap = np.maximum(np.maximum(low - self.centre, self.centre - high), 0.0)
        reach = np.maximum(np.abs(low - self.centre), np.abs(high - self.centre))
        one, other = self.normal * low, self.normal * high
        top = np.maximum(one, other).sum(axis=1) - self.offset
        bottom = np.minimum(one, other).sum(axis=1) - self.offset
        gap, reach = (gap * gap).sum(axis=1), (reach * reach).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            most = self.weight * top / gap**1.5 * (1 + _SLACK)
            least = self.weight * np.maximum(bottom, 0) / reach**1.5 * (1 - _SLACK)
            if len(self._lobes_at):
                at = self._lobes_at
                upper, lower = self._lobed._lobe_bounds(low, high)
                most[at] = self.weight[at] * upper / gap[at] * (1 + _SLACK)
                least[at] = np.where(bottom[at] > 0, self.weight[at] * lower / reach[at] * (1 - _SLACK), 0.0)
        possible = top > 0
        if np.count_nonzero(possible) > needed:
            possible &= ~(most < np.partition(least, -needed)[-needed])  # NaN: no bound, where a box holds the tile
        return np.flatnonzero(possible)

    def _lobe_bounds(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Largest and least sum of the lobes towards the ball around a box."""
        step, radius = 0.5 * (low + high) - self.centre, 0.5 * float(np.linalg.norm(high - low))
        distance = norm(step)
        spread = np.where(distance > radius, np.arcsin(np.minimum(radius / np.maximum(distance, 1e-300), 1.0)), np.pi)
        ways = [
            np.arccos(np.clip(dot(step, axis) / np.maximum(distance, 1e-300), -1, 1))
            for axis in (self._mirrored, -self.incident)
        ]
        upper = self.rough.lobes(*(np.cos(np.maximum(way - spread, 0.0)) for way in ways))
        lower = self.rough.lobes(*(np.cos(np.minimum(way + spread, np.pi)) for way in ways))
        return upper, lower


def sees(caster: RayCaster, start: np.ndarray, centre: np.ndarray, facet: np.ndarray) -> np.ndarray:
    """(N,) bool: the first thing that the ray towards a tile's centre meets is the tile's facet."""
    import drjit as dr

    mi = mitsuba()
    if not len(facet):
        return np.zeros(0, dtype=bool)
    lanes = dr.zeros(mi.Float64, len(facet))
    hit = caster.first_facet(
        array3(np.array(start)) + lanes, array3(centre) + lanes, dr.full(mi.Bool, True, len(facet))
    )
    return np.asarray(hit.numpy()) == facet
