"""Which user a click means, and the rays that reach that user."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int, UInt8
from matplotlib import colormaps

from sitetwin.rays.paths import Interaction, Paths

WEAKEST_DB = -40.0
"""Rays this far below the strongest have the last colour; weaker ones are drawn in it too."""

REACH = math.radians(1.5)
"""Largest angle between a click and a user that it can mean."""

_TIE = math.radians(0.15)  # users this much farther from the click than the nearest one still count as hit
_MAP = "YlOrRd"
_TABLE_ROWS = 12
_GAP = " \N{EN SPACE}"  # the page sets columns without any
_WORDS = {
    Interaction.REFLECTION: "reflection",
    Interaction.CANOPY: "canopy",
    Interaction.DIFFRACTION: "diffraction",
    Interaction.TRANSMISSION: "wall",
    Interaction.DIFFUSE: "diffuse",
}


def picked_user(
    users: Float[np.ndarray, "users 3"], origin: Float[np.ndarray, " 3"], direction: Float[np.ndarray, " 3"]
) -> int | None:
    """Find the user that a click means: of those nearest to the line of sight in angle, the one nearest to the eye.

    Args:
        users: (U, 3) metres.
        origin: (3,) the eye, metres.
        direction: (3,) where the click points, of any length.

    Returns:
        The user's index, or None where no user lies within `REACH` of the line.
    """
    if not len(users):
        return None
    away = users - origin
    distance = np.sqrt((away**2).sum(axis=1))
    ahead = away @ (direction / np.sqrt((direction**2).sum()))
    across = np.sqrt(np.maximum(distance**2 - ahead**2, 0.0))
    angle = np.arctan2(across, ahead)
    if angle.min() > REACH:
        return None
    near = np.flatnonzero(angle <= angle.min() + _TIE)
    return int(near[np.argmin(distance[near])])


def strongest_first(paths: Paths, power: Float[np.ndarray, " paths"], user: int) -> Int[np.ndarray, " rows"]:
    """Return the rows of a user's paths with power, the strongest first."""
    rows = np.arange(paths.offsets[user], paths.offsets[user + 1])
    rows = rows[power[rows] > 0]
    return rows[np.argsort(-power[rows], kind="stable")]


def ray_segments(
    paths: Paths, power: Float[np.ndarray, " paths"], user: int
) -> tuple[Float[np.ndarray, "pieces 2 3"], UInt8[np.ndarray, "pieces 2 3"]]:
    """Return the polylines of a user's paths, from the transmitter over the vertices to the user.

    Args:
        paths: P paths.
        power: (P,) power of each path.
        user: Index of the user.

    Returns:
        (S, 2, 3) float64 ends of straight pieces, metres, and (S, 2, 3) uint8 their colours, by power below the
        strongest; strong paths come last, so that they are drawn over weak ones.
    """
    segments, colours = [np.zeros((0, 2, 3))], [np.zeros((0, 2, 3), dtype=np.uint8)]
    rows = strongest_first(paths, power, user)
    for row in rows[::-1]:
        bends = paths.vertices[row, : np.count_nonzero(paths.kinds[row])]
        points = np.concatenate([paths.transmitter[None], bends, paths.users[user][None]])
        pieces = np.stack([points[:-1], points[1:]], axis=1)
        below = 10 * math.log10(power[row] / power[rows[0]])
        share = 1 - min(below / WEAKEST_DB, 1.0)
        colour = np.rint(255 * np.array(colormaps[_MAP](0.3 + 0.7 * share)[:3])).astype(np.uint8)
        segments.append(pieces)
        colours.append(np.broadcast_to(colour, pieces.shape))
    return np.concatenate(segments), np.concatenate(colours)


def path_table(paths: Paths, power: Float[np.ndarray, " paths"], user: int) -> str:
    """Write a user's strongest paths as a Markdown table: power, delay, what happens on the way."""
    x, y, z = paths.users[user]
    rows = strongest_first(paths, power, user)
    lines = [f"**user {user}** at ({x:.1f}, {y:.1f}, {z:.1f}) m: {len(rows)} paths", ""]
    if not len(rows):
        return lines[0]
    lines += [f"| power (dB) | delay (ns) |{_GAP}path |", "| --: | --: | :-- |"]
    for row in rows[:_TABLE_ROWS]:
        lines.append(
            f"| {10 * math.log10(power[row]):.1f} | {1e9 * paths.delay[row]:.1f} |{_GAP}{_kind(paths, int(row))} |"
        )
    if len(rows) > _TABLE_ROWS:
        rest = float(power[rows[_TABLE_ROWS:]].sum())
        lines.append(f"| {10 * math.log10(rest):.1f} | |{_GAP}{len(rows) - _TABLE_ROWS} more together |")
    return "\n".join(lines)


def _kind(paths: Paths, row: int) -> str:
    words = [_WORDS[Interaction(k)] for k in paths.kinds[row] if k]
    crossed = int(paths.crossing_offsets[row + 1] - paths.crossing_offsets[row])
    leaves = f", {crossed} canop{'y' if crossed == 1 else 'ies'} crossed" if crossed else ""
    return (" + ".join(words) or "line of sight") + leaves
