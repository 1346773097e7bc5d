"""What a site's plan says of a user's power without knowing the height of any building.

*Roof steps.* The straight line from the mast to a user on the ground falls from the mast's height to nothing. Where the
line leaves a building in plan, at ``s`` of its length ``D``, it has ``1 - s / D`` of the mast's height left, and a flat
roof that is higher blocks it. The least share over all buildings, rho, orders users by the height of roofs that would
block them; four soft steps over rho let measured powers say where roofs do.

*Near clutter.* Distance behind the last building that the line crosses, distance to the nearest wall, and the shares of
built ground within 30 m and 60 m. Positions are off by metres, so steps and distances are means over five points.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from jaxtyping import Float
from scipy.special import expit

from sitetwin.site import Site
from sitetwin.site.plan import footprints, standing_buildings

ROOF_STEPS = (0.25, 0.5, 0.75, 1.0)
"""Shares of the mast's height at which the soft steps stand."""

ROOFS = tuple(f"roof_{step:g}" for step in ROOF_STEPS)
NEAR = ("behind", "wall", "built_30", "built_60")
"""Names of the features."""

_STEP_WIDTH = 0.05  # of the mast's height
_OPEN = 2.0  # rho of a line that crosses no building
_SMALLEST = 15.0  # m2: smaller footprints are no buildings that shadow a street
_JITTER = 6.0  # metres of the position's error
_OPEN_M, _BEHIND_M, _WALL_M = 200.0, 30.0, 15.0
_DISCS = (30.0, 60.0)  # metres


@dataclass(frozen=True, eq=False)
class Plan:
    """A site's buildings in plan.

    Attributes:
        site: The site.
    """

    site: Site

    @cached_property
    def parts(self) -> np.ndarray:
        """(parts,) shapely polygons that do not overlap."""
        shapes = footprints(self.site, standing_buildings(self.site))
        parts = shapely.get_parts(shapely.union_all(shapes))
        return np.asarray(parts[shapely.area(parts) > _SMALLEST])

    @cached_property
    def tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.parts)

    def features(
        self, mast: Float[np.ndarray, " 2"], users: Float[np.ndarray, "users 2"]
    ) -> dict[str, Float[np.ndarray, " users"]]:
        """Roof steps and near clutter.

        Args:
            mast: Of the station, metres.
            users: Metres.

        Returns:
            By the names `ROOFS` and `NEAR`, each about 0 to 1.
        """
        rho, behind = [], []
        for along, across in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
            points = _beside(mast, users, _JITTER * along, _JITTER * across)
            least = self.least_share(mast, points)
            rho.append(least)
            behind.append(np.where(least < _OPEN, least * np.hypot(*(points - mast).T), _OPEN_M))
        found = {
            name: np.mean([expit((step - one) / _STEP_WIDTH) for one in rho], axis=0)
            for name, step in zip(ROOFS, ROOF_STEPS, strict=True)
        }
        found["behind"] = np.exp(-np.mean(behind, axis=0) / _BEHIND_M)
        found["wall"] = np.exp(-self._to_walls(users) / _WALL_M)
        for radius in _DISCS:
            found[f"built_{radius:g}"] = 2 * self._built_share(users, radius)
        return found

    def least_share(
        self, mast: Float[np.ndarray, " 2"], users: Float[np.ndarray, "users 2"]
    ) -> Float[np.ndarray, " users"]:
        """Least share rho of the mast's height that the line to each user has where it leaves a building.

        Returns:
            0 for users within a building, 2 where the line crosses none.
        """
        lines = shapely.linestrings(np.stack([np.broadcast_to(mast, users.shape), users], axis=1))
        line, part = self.tree.query(lines, predicate="intersects")
        rho = np.full(len(users), _OPEN)
        if not len(line):
            return rho
        crossed = shapely.bounds(shapely.intersection(lines[line], self.parts[part]))
        step = users[line] - mast
        axis = (np.abs(step[:, 1]) > np.abs(step[:, 0])).astype(int)
        each = np.arange(len(line))
        length = step[each, axis]
        end = np.where(length > 0, crossed[each, axis + 2], crossed[each, axis])
        with np.errstate(divide="ignore", invalid="ignore"):
            share = 1 - (end - mast[axis]) / length
        known = np.isfinite(share)
        np.minimum.at(rho, line[known], np.clip(share[known], 0.0, 1.0))
        return rho

    def _to_walls(self, users: np.ndarray) -> np.ndarray:
        """Metres to the nearest wall, from within a building too."""
        if not len(self.parts):
            return np.full(len(users), np.inf)
        walls = shapely.boundary(self.parts)
        pair, away = shapely.STRtree(walls).query_nearest(
            shapely.points(users), return_distance=True, all_matches=False
        )
        found = np.empty(len(users))
        found[pair[0]] = away
        return found

    def _built_share(self, users: np.ndarray, radius: float) -> np.ndarray:
        """Share of the ground within some metres that buildings cover."""
        discs = shapely.buffer(shapely.points(users), radius)
        disc, part = self.tree.query(discs, predicate="intersects")
        covered = shapely.area(shapely.intersection(discs[disc], self.parts[part]))
        return np.asarray(np.bincount(disc, covered, len(users)) / shapely.area(discs))


def _beside(mast: np.ndarray, users: np.ndarray, along: float, across: float) -> np.ndarray:
    """Points beside users, some metres along and across the direction from the mast."""
    step = users - mast
    away = np.hypot(*step.T)[:, None]
    ahead = np.where(away > 0, step / np.where(away > 0, away, 1.0), [1.0, 0.0])
    moved: np.ndarray = users + along * ahead + across * np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)
    return moved
