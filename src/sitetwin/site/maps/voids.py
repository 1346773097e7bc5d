"""Find what cannot be ground in a raster of heights: voids that nobody marked as such, and spikes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

LOWEST, HIGHEST = -430.0, 8849.0
"""Metres: the shore of the Dead Sea and the top of Mount Everest; no land lies lower or higher."""

MARKS = (-99999.0, -32768.0, -32767.0, -9999.0, 32767.0, 65535.0)
"""Numbers that rasters write where they know no height, before any scale or offset."""

LEAST_JUMP, STEEPEST = 100.0, 4.0
"""A spike stands more than this many metres, and steeper than this slope, above or below all pixels around it.

The steepest walls of rock that a model of terrain resolves rise by less from pixel to pixel."""

_LARGEST_SHARE, _FEW = 0.05, 9  # of the pixels, and pixels: what is larger and stands apart may be a rock


@dataclass
class Findings:
    """What was taken as holes, over all parts of a raster.

    Attributes:
        impossible: Number of pixels whose height cannot be.
        example: One of these heights, metres.
        spikes: Number of pixels that belong to spikes.
        jump: Height of the spikes above or below all around them, metres.
        cliff: Highest step between neighbouring pixels that is kept, metres; 0 if none is as high as a spike.
    """

    impossible: int = 0
    example: float = 0.0
    spikes: int = 0
    jump: float = LEAST_JUMP
    cliff: float = 0.0

    @property
    def sentence(self) -> str:
        """What was found, for messages; empty if nothing was."""
        found = []
        if self.impossible:
            found.append(f"{self.impossible:,} pixels have heights that cannot be, such as {self.example:g} m")
        if self.spikes:
            found.append(f"{self.spikes:,} pixels stand {self.jump:g} m or more above or below all around them")
        return " and ".join(found)


def without_voids(
    raw: Float[np.ndarray, "rows columns"],
    metres: Float[np.ndarray, "rows columns"],
    pixel: float,
    findings: Findings,
) -> Float[np.ndarray, "rows columns"]:
    """Return heights with NaN where they cannot be ground.

    Args:
        raw: (R, C) float64, numbers as they stand in the file; NaN where the file itself says that there is no height.
        metres: (R, C) float64, their heights, metres.
        pixel: Side of a pixel, metres.
        findings: What was found is added to it.
    """
    with np.errstate(invalid="ignore"):
        wrong = ~np.isnan(raw) & (np.isin(raw, MARKS) | ~((metres >= LOWEST) & (metres <= HIGHEST)))
    heights = np.where(wrong, np.nan, metres)
    if wrong.any():
        findings.impossible += int(wrong.sum())
        findings.example = float(metres[wrong][0])
    jump = max(LEAST_JUMP, STEEPEST * pixel)
    spikes = _spikes(heights, jump)
    if spikes.any():
        findings.spikes, findings.jump = findings.spikes + int(spikes.sum()), jump
        heights[spikes] = np.nan
    steps = np.concatenate([np.abs(np.diff(heights, axis=axis)).ravel() for axis in (0, 1)])
    findings.cliff = max(findings.cliff, float(np.max(steps, where=steps > jump, initial=0.0)))
    return heights


def _spikes(heights: Float[np.ndarray, "rows columns"], jump: float) -> Bool[np.ndarray, "rows columns"]:
    """(R, C): small groups of pixels that differ from all their neighbours outside of the group by more than a jump."""
    number = np.arange(heights.size).reshape(heights.shape)
    pairs = np.concatenate(
        [
            np.stack([number[1:].ravel(), number[:-1].ravel()]),
            np.stack([number[:, 1:].ravel(), number[:, :-1].ravel()]),
        ],
        axis=1,
    )
    flat = heights.ravel()
    step = np.abs(flat[pairs[0]] - flat[pairs[1]])  # NaN beside a hole
    found = np.zeros(heights.size, dtype=bool)
    steep = pairs[:, step > jump]
    if steep.size:
        first, second = pairs[:, step <= jump]
        graph = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(heights.size, heights.size))
        _, group = connected_components(graph, directed=False)
        known = ~np.isnan(flat)
        size = np.bincount(group[known], minlength=int(group.max()) + 1)
        small = (size <= max(_FEW, _LARGEST_SHARE * int(known.sum()))) & (2 * size < size.max())
        stands_apart = np.zeros(len(size), dtype=bool)
        stands_apart[group[steep.ravel()]] = True
        found = known & (small & stands_apart)[group]
    return found.reshape(heights.shape)
