"""Extremely randomised trees: many regression trees, each split drawn at random, the best of a few draws kept.

P. Geurts, D. Ernst, L. Wehenkel, "Extremely randomized trees", Machine Learning 63, 2006. Every tree sees all rows;
at a node each feature draws one threshold between its extremes there, and the one that lowers the variance of the
targets most is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from sitetwin.compiled import compiled

_DEEPEST = 40


class ExtraTrees:
    """Regression of several targets at once.

    Args:
        trees: Number of trees.
        least: Rows that a leaf has at least.
        seed: Seed of the draws.
    """

    def __init__(self, trees: int = 100, least: int = 3, seed: int = 0) -> None:
        self.trees, self.least, self.seed = trees, least, seed
        self._grown: list[tuple[np.ndarray, ...]] = []

    def fit(self, feature: Float[np.ndarray, "rows features"], target: Float[np.ndarray, "rows targets"]) -> ExtraTrees:
        """Grow the trees, and return this regression."""
        x, y = np.ascontiguousarray(feature, np.float64), np.ascontiguousarray(target, np.float64)
        seeds = np.random.default_rng(self.seed).integers(0, 2**31 - 1, self.trees)
        self._grown = [_grown(x, y, self.least, int(seed)) for seed in seeds]
        return self

    def predict(self, feature: Float[np.ndarray, "asked features"]) -> Float[np.ndarray, "asked targets"]:
        """Means of the leaves that the rows fall into, averaged over the trees."""
        x = np.ascontiguousarray(feature, np.float64)
        total: Any = 0.0
        for column, threshold, child, leaf, value in self._grown:
            total = total + value[leaf[_reached(x, column, threshold, child)]]
        return np.asarray(total / len(self._grown))


@compiled()
def _grown(x, y, least, seed):  # type: ignore[no-untyped-def]
    np.random.seed(seed)
    rows, features, targets = x.shape[0], x.shape[1], y.shape[1]
    most = 2 * rows + 1
    column, threshold = np.full(most, -1, np.int64), np.zeros(most)
    child, leaf = np.zeros(most, np.int64), np.zeros(most, np.int64)
    value = np.zeros((rows + 1, targets))
    order = np.arange(rows)
    begin, end, depth = np.zeros(most, np.int64), np.zeros(most, np.int64), np.zeros(most, np.int64)
    end[0] = rows
    nodes, leaves, node = 1, 0, 0
    low_sum = np.zeros(targets)
    while node < nodes:
        a, b = begin[node], end[node]
        best, at, cut = -1.0, -1, 0.0
        if b - a >= 2 * least and depth[node] < _DEEPEST:
            whole = np.zeros(targets)
            for k in range(a, b):
                for t in range(targets):
                    whole[t] += y[order[k], t]
            for f in range(features):
                low, high = x[order[a], f], x[order[a], f]
                for k in range(a + 1, b):
                    low, high = min(low, x[order[k], f]), max(high, x[order[k], f])
                if not high > low:
                    continue
                tried = low + (high - low) * np.random.random()
                low_sum[:] = 0.0
                count = 0
                for k in range(a, b):
                    if x[order[k], f] <= tried:
                        count += 1
                        for t in range(targets):
                            low_sum[t] += y[order[k], t]
                if count < least or b - a - count < least:
                    continue
                score = 0.0
                for t in range(targets):
                    score += low_sum[t] ** 2 / count + (whole[t] - low_sum[t]) ** 2 / (b - a - count)
                if score > best:
                    best, at, cut = score, f, tried
        if at < 0:
            for k in range(a, b):
                for t in range(targets):
                    value[leaves, t] += y[order[k], t] / (b - a)
            leaf[node] = leaves
            leaves += 1
        else:
            left, right = a, b - 1
            while left <= right:
                if x[order[left], at] <= cut:
                    left += 1
                else:
                    order[left], order[right] = order[right], order[left]
                    right -= 1
            column[node], threshold[node], child[node] = at, cut, nodes
            begin[nodes], end[nodes], depth[nodes] = a, left, depth[node] + 1
            begin[nodes + 1], end[nodes + 1], depth[nodes + 1] = left, b, depth[node] + 1
            nodes += 2
        node += 1
    return column[:nodes], threshold[:nodes], child[:nodes], leaf[:nodes], value[:leaves]


@compiled()
def _reached(x, column, threshold, child):  # type: ignore[no-untyped-def]
    out = np.zeros(x.shape[0], np.int64)
    for row in range(x.shape[0]):
        node = 0
        while column[node] >= 0:
            node = child[node] + (0 if x[row, column[node]] <= threshold[node] else 1)
        out[row] = node
    return out
