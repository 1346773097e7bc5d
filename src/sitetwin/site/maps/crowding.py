"""How often the outlines of a map cross: the work of cutting them into faces grows with it, whatever the file's size.

A kilobyte of corners can cross itself thousands of times, a megabyte a hundred million times. No survey draws that.
So the crossings are counted before outlines are cut at them, and too many are refused in a sentence that names them.
Where streets and areas cover the ground, one segment in eight crosses another: large maps may cross more often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Float, Int, Shaped

from sitetwin.errors import SiteTwinError

MOST_CROSSINGS = 100_000
"""Crossings of outlines that are cut together: some ten seconds of work. A city of 22,000 buildings has some 160."""

SEGMENTS_OF_A_CROSSING = 4
"""Lines of more segments may cross more often: once for so many of them."""

_FEW = 600  # segments that cannot cross more often than that
_FIRST = 64  # segments whose neighbours are looked at first
_PAIRS_AT_ONCE = 250_000
_MOST_PAIRS = 1_000_000  # looked at, after which the rest is judged by them


@dataclass(frozen=True)
class Crossings:
    """How often segments cross.

    Attributes:
        count: Number of pairs of segments that cross in their insides.
        exact: Whether all segments were looked at; else `count` is judged by a random part of them.
        worst: The owner whose segments cross others most often among those looked at; -1 where none does.
    """

    count: int
    exact: bool
    worst: int


def count_crossings(
    ends: Float[np.ndarray, "segments 2 2"], owner: Int[np.ndarray, " segments"], most: int
) -> Crossings:
    """Count the pairs of segments that cross in their insides; touching and lying in one another do not count.

    The segments are taken in a random order that is always the same. The count ends when it is above `most` for
    certain, or after a million pairs of segments whose boxes meet: so it takes a second at most.

    Args:
        ends: (S, 2, 2) float64, two ends of each segment.
        owner: (S,) int64, what each segment belongs to.
        most: Number above which the exact one does not matter.
    """
    lines = shapely.linestrings(ends)
    tree, order = shapely.STRtree(lines), np.random.default_rng(0).permutation(len(ends))
    score = np.zeros(int(owner.max()) + 1 if len(owner) else 0, dtype=np.int64)
    done = pairs = found = 0
    step = _FIRST
    while done < len(order) and found <= 2 * most and pairs < _MOST_PAIRS:
        chosen = order[done : done + step]
        one, other = tree.query(lines[chosen])
        one = chosen[one]
        one = one[_cross(ends[one], ends[other])]
        done, pairs, found = done + len(chosen), pairs + len(other), found + len(one)
        score += np.bincount(owner[one], minlength=len(score))
        step = int(np.clip(_PAIRS_AT_ONCE * done / max(pairs, 1), 1, 1 << 16))
    exact = done == len(order)
    count = found // 2 if exact else round(0.5 * found * len(order) / max(done, 1))
    return Crossings(count, exact, int(score.argmax()) if found else -1)


def _cross(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N,) bool: whether each end lies on another side of the other segment, and none on it."""
    (a, b), (c, d) = (one[:, 0], one[:, 1]), (other[:, 0], other[:, 1])
    return (_side(a, b, c) * _side(a, b, d) < 0) & (_side(c, d, a) * _side(c, d, b) < 0)


def _side(a: np.ndarray, b: np.ndarray, point: np.ndarray) -> np.ndarray:
    u, v = b - a, point - a
    return np.sign(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])


def refuse_crowds(
    lines: Shaped[np.ndarray, " lines"] | Sequence[shapely.Geometry], names: Sequence[str], what: str
) -> None:
    """Refuse outlines that cross so often that nobody can mean it, and that cutting them would take minutes.

    Args:
        lines: (L,) geometries whose lines are cut at their crossings.
        names: Name of each, for the message.
        what: What they are, for the message, such as "outlines of buildings".

    Raises:
        SiteTwinError: They cross more than `MOST_CROSSINGS` times, and more than once in `SEGMENTS_OF_A_CROSSING` of
            their segments.
    """
    ends, owner = segments_of(lines)
    if len(ends) <= _FEW:
        return
    most = max(MOST_CROSSINGS, len(ends) // SEGMENTS_OF_A_CROSSING)
    crossings = count_crossings(ends, owner, most)
    if crossings.count > most:
        raise SiteTwinError(
            f"the {what} cross one another about {crossings.count:,} times, '{names[crossings.worst]}' the most, and "
            f"at most {most:,} times are taken: no map is drawn like this; repair or remove what is drawn "
            "across, or import a smaller part of the map"
        )


def segments_of(
    lines: Shaped[np.ndarray, " lines"] | Sequence[shapely.Geometry],
) -> tuple[Float[np.ndarray, "segments 2 2"], Int[np.ndarray, " segments"]]:
    """Return the segments (S, 2, 2) of lines and outlines, and the geometry (S,) that each belongs to."""
    parts, owner = shapely.get_parts(np.asarray(lines, dtype=object), return_index=True)
    parts, part = shapely.get_parts(parts, return_index=True)  # twice: areas in a collection
    owner = owner[part]
    is_area = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    rings, polygon = shapely.get_rings(parts[is_area], return_index=True)
    curves = np.concatenate([rings, parts[~is_area]])
    owner = np.concatenate([owner[is_area][polygon], owner[~is_area]])
    points, curve = shapely.get_coordinates(curves, return_index=True)
    joined = np.flatnonzero((curve[1:] == curve[:-1]) & (points[1:] != points[:-1]).any(axis=1))
    return np.stack([points[joined], points[joined + 1]], axis=1), owner[curve[joined]]
