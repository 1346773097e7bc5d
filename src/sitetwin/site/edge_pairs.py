"""How far away the next edge is across each face of an edge: where it is near, both bend the wave."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float

from sitetwin.site.facets import dot
from sitetwin.site.wedges import Wedges

_LEAST_BEND = 1e-3  # rad; a flatter edge is no obstacle
_PARALLEL = 0.05  # rad
_ACROSS = 0.9  # cosine between a face's way from the edge and the way to the other edge's line
_NEXT = 64  # of the edges of one face that come next after an edge, how many are tried with it

_KNOWN: WeakKeyDictionary[Wedges, np.ndarray] = WeakKeyDictionary()


def distance_across(wedges: Wedges) -> Float[np.ndarray, "wedges 2"]:
    """Find the nearest parallel edge on the other side of each face.

    Concave corners, cut rims and edges that stand for several (`Wedges.merged`) are left out.

    Args:
        wedges: W wedges.

    Returns:
        (W, 2) metres across face 0 and face n; inf where no edge runs beside that face's other side.
    """
    if wedges not in _KNOWN:
        _KNOWN[wedges] = _distance_across(wedges)
    return _KNOWN[wedges]


def _distance_across(wedges: Wedges) -> np.ndarray:
    result = np.full((len(wedges), 2), np.inf)
    usable = (wedges.exterior_angle > np.pi + _LEAST_BEND) & ~wedges.rim & ~wedges.merged
    edge, side = np.nonzero((wedges.facets >= 0) & usable[:, None])
    facet = wedges.facets[edge, side]
    order = np.lexsort((edge, facet))
    edge, side, facet = edge[order], side[order], facet[order]
    for step in range(1, min(_NEXT, len(facet) - 1) + 1):
        at = np.flatnonzero(facet[step:] == facet[:-step])
        if not len(at):
            break
        _note_pairs(result, wedges, (edge[at], side[at]), (edge[at + step], side[at + step]))
    return result


def _note_pairs(
    result: np.ndarray, wedges: Wedges, one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]
) -> None:
    """Enter the distance of those pairs (edge, side of its face) that face each other across a facet."""
    axis = wedges.direction[one[0]]
    turned = np.cross(axis, wedges.direction[other[0]])
    middle = [0.5 * (wedges.start + wedges.end)[edge] for edge, _ in (one, other)]
    apart = middle[1] - middle[0]
    along = dot(apart, axis)
    across = apart - along[:, None] * axis
    gap = np.sqrt(dot(across, across))
    overlap = np.abs(along) < 0.5 * (wedges.length[one[0]] + wedges.length[other[0]])
    good = (np.sqrt(dot(turned, turned)) <= _PARALLEL) & overlap & (gap > 0)
    good &= dot(across, wedges.tangents[one]) >= _ACROSS * gap
    good &= -dot(across, wedges.tangents[other]) >= _ACROSS * gap
    for edge, side in (one, other):
        np.minimum.at(result, (edge[good], side[good]), gap[good])
