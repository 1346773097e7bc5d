"""Random numbers of variants: digests of what was drawn, and generators that do not disturb each other."""

from __future__ import annotations

import hashlib

import numpy as np


def digest(array: np.ndarray) -> str:
    """Return the SHA-256 of numbers as little-endian float64."""
    return hashlib.sha256(np.ascontiguousarray(array, "<f8").tobytes()).hexdigest()


def children(rng: np.random.Generator, count: int) -> list[np.random.Generator]:
    """Make independent generators from one; draws from one of them do not change the others."""
    return [np.random.default_rng(seed) for seed in rng.integers(2**63, size=count).tolist()]
