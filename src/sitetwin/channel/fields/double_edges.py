"""Warn where one diffraction is not enough: two edges of a body in each other's transition zone."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from sitetwin.errors import SiteTwinWarning
from sitetwin.rays.paths import Interaction, Paths
from sitetwin.site.earth_surface import SPEED_OF_LIGHT
from sitetwin.site.edge_pairs import distance_across
from sitetwin.site.wedges import Wedges

ZONE = 0.25
"""Wavelengths of detour: two rays that differ less are in each other's transition zone."""

THICK = 10.0
"""Wavelengths: behind walls thinner than this a second diffraction is as strong as what users in shadow often have."""


@dataclass(frozen=True)
class DoubleEdges:
    """Where a second diffraction is missing.

    Attributes:
        diffracted: Number of paths that bend at an edge which acts at the frequency.
        paths: Number of those that graze the face between two edges, so that both edges bend the wave.
        edges: Number of edges of these paths.
        shadowed: Number of users with neither line of sight nor a diffracted path, where the site has walls between one
            and `THICK` wavelengths thick; 0 where it has none.
        walls: Number of edges of such walls.
    """

    diffracted: int
    paths: int
    edges: int
    shadowed: int
    walls: int


def find_double_edges(paths: Paths, site: Any, frequency_hz: float) -> DoubleEdges:
    """Find the paths and users that lack a second diffraction.

    A path is one of them if the detour over the next edge of the face that it grazes is less than `ZONE`, and if it
    bends into the shadow, or so little that the wave that passes is in the same zone.

    Args:
        paths: The paths.
        site: The site of the paths.
        frequency_hz: Frequency, Hz.
    """
    wave = SPEED_OF_LIGHT / frequency_hz
    across = distance_across(site.wedges)
    across = np.where((site.wedges.wavelengths[:, 1] > wave)[:, None], across, np.inf)
    thick = ((across >= wave) & (across < THICK * wave)).any(axis=1)
    row, at = np.nonzero(paths.kinds == Interaction.DIFFRACTION)
    first, last = site.wedges.wavelengths[paths.facets[row, at]].T
    acts = (first <= wave) & (wave < last)
    row, at = row[acts], at[acts]
    concerned = _graze(paths, site.wedges, across, row, at, wave)
    shadowed = 0
    if thick.any():
        seen = np.zeros(paths.num_users, dtype=bool)
        user = paths.user_of_path
        seen[user[row]] = True
        seen[user[paths.depth == 0]] = True
        shadowed = int((~seen).sum())
    edges = np.unique(paths.facets[row, at][concerned])
    return DoubleEdges(len(row), int(concerned.sum()), len(edges), shadowed, int(thick.sum()))


def _graze(
    paths: Paths,
    wedges: Any,
    across: Float[np.ndarray, "wedges 2"],
    row: np.ndarray,
    at: np.ndarray,
    wave: float,
) -> Bool[np.ndarray, " diffracted"]:
    """(N,) bool for the paths `row` with their diffraction at vertex `at`."""
    wedge = paths.facets[row, at]
    found = np.zeros(len(row), dtype=bool)
    near = np.flatnonzero(np.isfinite(across[wedge]).any(axis=1))
    row, at, wedge = row[near], at[near], wedge[near]
    points = np.concatenate(
        [
            np.broadcast_to(paths.transmitter, (len(row), 1, 3)),
            paths.vertices[row],
            np.zeros((len(row), 1, 3)),
        ],
        axis=1,
    )
    lane = np.arange(len(row))
    points[lane, paths.depth[row] + 1] = paths.users[paths.user_of_path[row]]
    here = points[lane, at + 1]
    steps = [points[lane, at + 1 + k] - here for k in (-1, 1)]
    legs = np.sqrt(np.einsum("nij,nij->ni", d := np.diff(points, axis=1), d))
    before = np.where(np.arange(legs.shape[1]) <= at[:, None], legs, 0.0).sum(axis=1)
    after = paths.length[row] - before
    result = np.zeros(len(near), dtype=bool)
    tangent, normal = wedges.tangents[wedge, 0], wedges.normals[wedge, 0]
    phi = np.stack([_angle(step, tangent, normal) for step in steps], axis=1)
    bend = np.abs(np.abs(phi[:, 1] - phi[:, 0]) - np.pi)
    shadow = np.abs(phi[:, 1] - phi[:, 0]) > np.pi
    little = 0.5 * before * after / paths.length[row] * bend**2 < ZONE * wave
    for side in (0, 1):
        from_face = phi if side == 0 else wedges.exterior_angle[wedge][:, None] - phi
        grazing = from_face.min(axis=1)
        far = np.where(from_face[:, 0] < from_face[:, 1], before, after)
        width = across[wedge, side]
        detour = 0.5 * np.minimum(width, 1e9) * far / (np.minimum(width, 1e9) + far) * grazing**2
        result |= np.isfinite(width) & (far > width) & (detour < ZONE * wave) & (shadow | little)
    found[near] = result
    return found


def _angle(step: np.ndarray, tangent: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """(N,) the angle of ways from edges, from face 0, in [0, 2 pi)."""
    angle = np.arctan2(np.einsum("ni,ni->n", step, normal), np.einsum("ni,ni->n", step, tangent))
    return np.asarray(angle % (2 * np.pi))


def warn_of_double_edges(paths: Paths, site: Any, frequency_hz: float) -> None:
    """Warn where a second diffraction is missing; of edges made by hand nothing is known."""
    if not isinstance(site.wedges, Wedges):
        return
    found = find_double_edges(paths, site, frequency_hz)
    said = []
    if found.paths:
        said.append(
            f"{found.paths:,} of {found.diffracted:,} diffracted paths, at {found.edges:,} edges, graze the face "
            "between two edges that both bend the wave: there the field may be too weak by up to 20 dB near grazing, "
            "or too strong by some dB"
        )
    if found.shadowed:
        said.append(
            f"{found.shadowed:,} of {paths.num_users:,} users have neither line of sight nor a diffracted path, and "
            f"the site has walls (with {found.walls:,} edges) between one and {THICK:g} wavelengths thick: what these "
            "would diffract over both edges to users behind them is missing"
        )
    if said:
        warnings.warn(
            f"a path bends at one edge only, double diffraction is not modelled. At {frequency_hz / 1e9:g} GHz "
            + "; ".join(said),
            SiteTwinWarning,
            stacklevel=4,
        )
