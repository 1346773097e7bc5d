"""Splits of measured rows: the published random one, and folds of whole drives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Shaped

from sitetwin.errors import SiteTwinError


@dataclass(frozen=True, eq=False)
class BeamSplit:
    """One division of the rows.

    Attributes:
        pool: Rows that may be measured, in random order; prefixes are the smaller training sets.
        test: Rows that are judged; never in the pool.
    """

    pool: Int[np.ndarray, " pool"]
    test: Int[np.ndarray, " test"]


def random_splits(rows: int, repeats: int, seed: int, share: float = 0.8) -> list[BeamSplit]:
    """Shuffle and cut, once for each repeat, each with its own shuffle state (protocol of arXiv 2301.07682).

    Raises:
        SiteTwinError: One side would be empty.
    """
    cut = int(rows * share)
    if not 0 < cut < rows:
        raise SiteTwinError(f"{rows} rows cannot be split at {share:g}; both sides need at least one row")
    states = np.random.default_rng(seed).integers(1, 2000, repeats)
    orders = [np.random.default_rng(int(state)).permutation(rows) for state in states]
    return [BeamSplit(order[:cut], order[cut:]) for order in orders]


def drive_folds(drive: Shaped[np.ndarray, " rows"], folds: int, seed: int) -> list[BeamSplit]:
    """Whole drives are test; over the folds every drive is tested once.

    Args:
        drive: Drive of each row.
        folds: Number of folds.
        seed: Draws which drives go together, and the order of the pools.

    Raises:
        SiteTwinError: There are fewer drives than folds.
    """
    drives = np.unique(drive)
    if len(drives) < max(folds, 2):
        raise SiteTwinError(f"{len(drives)} drives cannot make {folds} folds; ask for fewer folds or a random split")
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(drives)
    tests = [np.isin(drive, drawn[fold::folds]) for fold in range(folds)]
    return [BeamSplit(rng.permutation(np.flatnonzero(~test)), np.flatnonzero(test)) for test in tests]
