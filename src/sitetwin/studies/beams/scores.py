"""Scores of a method over many splits, summed drive by drive, and intervals that draw whole drives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sitetwin.learn.beams.metrics import (
    adaptive_sweep,
    distance_based_accuracy,
    fixed_sweep,
    power_ratio,
    rank_of_best,
)

_TOP = (1, 2, 3, 5)
_RELIABILITY = (0.95, 0.99)


@dataclass
class Tally:
    """Sums over tested rows, drive by drive, and over the repeats.

    Attributes:
        sums: drive -> sums of: rows, hits in the first 1, 2, 3, 5 picks, best over obtained power, DBA, and the share
            of the best power reached with 1, 2, 3, 5 picks.
        top1: Top-1 accuracy of each repeat.
        sweeps: (asked, swept beams, delivered) of each repeat and policy.
    """

    sums: dict[int, np.ndarray]
    top1: list[float]
    sweeps: list[tuple[str, float, float, float]]

    @classmethod
    def empty(cls) -> Tally:
        """Return a tally without any tested row."""
        return cls({}, [], [])

    def add(self, score: np.ndarray, power: np.ndarray, drive: np.ndarray, probability: bool = False) -> None:
        """One repeat: scores (N, B) against powers (N, B); `probability` says that the scores are probabilities."""
        rank = rank_of_best(score, power)
        columns = np.stack(
            [
                np.ones(len(rank)),
                *(rank < k for k in _TOP),
                1 / power_ratio(score, power),
                distance_based_accuracy(score, power),
                *(power_ratio(score, power, k, noise=False) for k in _TOP),
            ],
            axis=1,
        )
        for number in np.unique(drive).tolist():
            self.sums[number] = self.sums.get(number, 0.0) + columns[drive == number].sum(axis=0)
        self.top1.append(float((rank < 1).mean()))
        for asked in _RELIABILITY:
            sweep = fixed_sweep(rank, asked)
            self.sweeps.append((f"fixed {asked:g}", asked, sweep.beams, sweep.reliability))
            if probability:
                sweep = adaptive_sweep(score, power, asked)
                self.sweeps.append((f"adaptive {asked:g}", asked, sweep.beams, sweep.reliability))

    def summary(self, draws: int, seed: int) -> dict[str, Any]:
        """Figures with intervals: percentile bootstrap over drives of the mean over all repeats."""
        table = np.stack([self.sums[number] for number in sorted(self.sums)])
        rng = np.random.default_rng(seed)
        drawn = table[rng.integers(0, len(table), (draws, len(table)))].sum(axis=1)
        whole, resampled = _figures(table.sum(axis=0)), _figures(drawn)
        low, high = np.percentile(resampled, [2.5, 97.5], axis=0) if len(table) > 1 else (whole * np.nan,) * 2
        out: dict[str, Any] = {
            name: _estimate(value, a, b, len(table))
            for name, value, a, b in zip(_NAMES, whole.tolist(), low.tolist(), high.tolist(), strict=True)
        }
        out["by_drive"] = {
            "drive": sorted(self.sums),
            "rows": table[:, 0].astype(int).tolist(),
            "top1_hits": table[:, 1].astype(int).tolist(),
        }
        out["top1_of_repeats"] = {"std": _round(float(np.std(self.top1))), "n": len(self.top1)}
        out["sweeps"] = [
            {
                "policy": policy,
                "asked": asked,
                "beams": _round(float(np.mean([s[2] for s in self.sweeps if s[0] == policy]))),
                "reliability": _round(float(np.mean([s[3] for s in self.sweeps if s[0] == policy]))),
            }
            for policy, asked in dict.fromkeys((s[0], s[1]) for s in self.sweeps)
        ]
        return out


def paired_difference(a: dict[str, Any], b: dict[str, Any], draws: int, seed: int) -> dict[str, Any]:
    """Top-1 of one method minus that of another on the same test rows: every bootstrap draws drives for both.

    Args:
        a: A row of the list of methods, with its `by_drive`.
        b: Another, judged on the same splits.
        draws: Number of bootstrap draws of whole drives.
        seed: Seed of the draws.
    """
    rows = np.array(a["by_drive"]["rows"], dtype=np.float64)
    gain = np.array(a["by_drive"]["top1_hits"], dtype=np.float64) - np.array(b["by_drive"]["top1_hits"])
    drawn = np.random.default_rng(seed).integers(0, len(rows), (draws, len(rows)))
    low, high = np.percentile(gain[drawn].sum(axis=1) / rows[drawn].sum(axis=1), [2.5, 97.5])
    if len(rows) < 2:
        low = high = float("nan")
    return _estimate(float(gain.sum() / rows.sum()), float(low), float(high), len(rows))


_NAMES = (
    *(f"top{k}" for k in _TOP),
    "power_loss_db",
    "dba",
    *(f"relative_power{k}" for k in _TOP),
)


def _figures(sums: np.ndarray) -> np.ndarray:
    """(..., F) figures of (..., C) sums."""
    mean = sums[..., 1:] / sums[..., :1]
    mean[..., len(_TOP)] = 10 * np.log10(mean[..., len(_TOP)])
    return mean


def _estimate(mean: float, low: float, high: float, drives: int) -> dict[str, Any]:
    ends = (_round(low), _round(high)) if np.isfinite([low, high]).all() else (None, None)
    return {"mean": _round(mean), "low": ends[0], "high": ends[1], "n": drives, "kind": "bootstrap over drives"}


def _round(value: float) -> float:
    return round(value, 4)
