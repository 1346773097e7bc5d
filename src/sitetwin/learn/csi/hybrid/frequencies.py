"""Tables of frequencies: whole numbers that add up to one total, at least one for each symbol."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from sitetwin.learn.csi.hybrid.range_coder import TOTAL
from sitetwin.learn.csi.hybrid.report import HIGHEST, LARGEST, LOWEST, OCTAVE

_WIDER, _WIDER_SHARE = 2.5, 0.12  # a coefficient's law: some users have stronger ones than the zone's others


def cumulative(weights: Float[np.ndarray, "*rows symbols"]) -> Int64[np.ndarray, "*rows edges"]:
    """Cumulative frequencies of weights along the last axis, each symbol with at least one of `TOTAL`."""
    count = weights.shape[-1]
    shares = weights / weights.sum(axis=-1, keepdims=True)
    inner = np.floor(np.cumsum(shares, axis=-1) * (TOTAL - count) + 0.5).astype(np.int64) + np.arange(1, count + 1)
    inner[..., -1] = TOTAL
    return np.concatenate([np.zeros((*weights.shape[:-1], 1), np.int64), inner], axis=-1)


def lengths(edges: Int64[np.ndarray, "*rows edges"]) -> Float32[np.ndarray, "*rows symbols"]:
    """Bits of each symbol."""
    shares = np.diff(edges, axis=-1)
    return (math.log2(TOTAL) - np.log2(np.maximum(shares, 1))).astype(np.float32)


def coefficient_tables() -> tuple[Int64[np.ndarray, "levels edges"], Float32[np.ndarray, "levels values"]]:
    """Frequencies of rounded coefficients for each level of their standard deviation, and their means."""
    ratio = 2.0 ** (np.arange(LOWEST, HIGHEST + 1) / OCTAVE)
    edges = np.arange(-LARGEST, LARGEST + 2) - 0.5
    fine = (np.arange(-16 * LARGEST - 8, 16 * LARGEST + 8) + 0.5) / 16  # sixteen points in each cell
    narrow = math.sqrt((1 - _WIDER_SHARE * _WIDER**2) / (1 - _WIDER_SHARE)) if _WIDER_SHARE * _WIDER**2 < 1 else 0.6
    weights, points = np.zeros((len(ratio), len(edges) - 1)), np.zeros((len(ratio), len(edges) - 1), np.float32)
    for k, spread in enumerate(ratio):
        density = (1 - _WIDER_SHARE) * _normal(fine, narrow * spread) + _WIDER_SHARE * _normal(fine, _WIDER * spread)
        cells = density.reshape(-1, 16) + 1e-300
        weights[k] = cells.sum(axis=1)
        points[k] = (cells * fine.reshape(-1, 16)).sum(axis=1) / weights[k]
    return cumulative(weights), points


def _normal(x: Float64[np.ndarray, " points"], spread: float) -> Float64[np.ndarray, " points"]:
    return np.exp(-0.5 * (x / spread) ** 2) / spread


RATIOS = 24
"""Classes of the ratio of an amplitude to the one before it."""


def amplitude_tables(ratios: Int64[np.ndarray, "most classes"]) -> Int64[np.ndarray, "most before edges"]:
    """Frequencies of amplitudes 1 to n for each n from 0 to `LARGEST`, by weights of classes of their ratio to n."""
    most, classes = ratios.shape
    below = np.concatenate([np.zeros((most, 1)), np.cumsum(ratios / ratios.sum(axis=1, keepdims=True), axis=1)], axis=1)
    rows = np.full((most, LARGEST + 1, LARGEST + 1), TOTAL, np.int64)
    rows[:, 0, 0] = 0
    for before in range(1, LARGEST + 1):
        edges = np.clip((np.arange(before + 1) + 0.5) / before, 0, 1)
        edges[0], edges[-1] = 0, 1
        for path in range(most):
            shares = np.diff(np.interp(edges, np.arange(classes + 1) / classes, below[path]))
            rows[path, before, : before + 1] = cumulative(shares + 1e-6)
    return rows


def flat_ratios(most: int) -> Int64[np.ndarray, "most classes"]:
    """Weights before anything was learned: the first amplitude is any one, the others fall with the root."""
    edges = np.arange(RATIOS + 1) / RATIOS
    weights = np.stack([np.diff(edges if path == 0 else np.sqrt(edges)) for path in range(most)])
    return np.round(10_000 * weights).astype(np.int64)
