"""Random numbers of variants: digests of what was drawn, and generators that do not disturb each other."""

from __future__ import annotations

import hashlib

import numpy as np


def digest(array: np.ndarray) -> str:
    """SHA-256 of numbers, as little-endian float64."""
    return hashlib.sha256(np.ascontiguousarray(array, "<f8").tobytes()).hexdigest()


def children(rng: np.random.Generator, count: int) -> list[np.random.Generator]:
    """Independent generators made from one: what is drawn from the first leaves the others as they are."""
    return [np.random.default_rng(seed) for seed in rng.integers(2**63, size=count).tolist()]
