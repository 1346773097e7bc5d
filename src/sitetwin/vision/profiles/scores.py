"""The figures of the paper's tables: distance-based accuracy over scenarios, lost power, accuracy of wide beams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from sitetwin.errors import SiteTwinError
from sitetwin.learn.beams.metrics import (
    DBA_TOLERANCE,
    best_beams,
    distance_based_accuracy,
    power_loss_db,
    power_ratio,
    rank_of_best,
)

CHALLENGE_ROWS = {"31": 300, "32": 54, "33": 140, "34": 131}
"""Test rows of each scenario of the DeepSense 6G challenge of 2022."""

UNSEEN = "31"
"""The scenario of the challenge that no training set has."""

PICKS = (1, 2, 3)
"""Numbers of beams that are tried, in the tables."""

Overall = Literal["weights", "samples"]
"""How scenarios make one score. "weights": one half for the unseen scenario, the rest in equal parts for the seen ones,
as paper and challenge say. "samples": by their numbers of test rows, which is what the challenge's published scores
are: .7162 of its winner is the mean over 625 rows, and would be .7063 by the weights."""


def overall_accuracy(
    of_scenario: Mapping[str, float],
    rule: Overall,
    rows: Mapping[str, int] | None = None,
    unseen: str = UNSEEN,
) -> float:
    """One distance-based accuracy of several scenarios.

    Args:
        of_scenario: Accuracy of each, by name.
        rule: "weights" or "samples".
        rows: Test rows of each, for "samples"; those of the challenge by default.
        unseen: Name of the unseen scenario, for "weights".

    Raises:
        SiteTwinError: The rule is unknown, the unseen scenario is missing or alone, or a scenario has no row count.
    """
    if rule not in get_args(Overall):
        raise SiteTwinError(f"scenarios make one score by {' or '.join(get_args(Overall))}, not by '{rule}'")
    if rule == "samples":
        counts = CHALLENGE_ROWS if rows is None else rows
        lacking = sorted(set(of_scenario) - set(counts))
        if lacking or not of_scenario:
            raise SiteTwinError(
                f"the number of test rows of scenario {', '.join(lacking) or '(none)'} is not known; give it"
            )
        total = sum(counts[name] for name in of_scenario)
        return sum(counts[name] * value for name, value in of_scenario.items()) / total
    seen = [value for name, value in of_scenario.items() if name != unseen]
    if unseen not in of_scenario or not seen:
        raise SiteTwinError(
            f"the weights need the unseen scenario {unseen} and seen ones; give all, or use the samples"
        )
    return 0.5 * of_scenario[unseen] + 0.5 * float(np.mean(seen))


def accuracy_of_picks(
    picks: Int[np.ndarray, "rows picks"], best: Int[np.ndarray, " rows"]
) -> Float[np.ndarray, " rows"]:
    """Distance-based accuracy of each row from three ordered picks, as the challenge's submissions hold them.

    Args:
        picks: Beams, the first choice first; of more than three the first three count.
        best: The best beam, counted from the same base as the picks.

    Raises:
        SiteTwinError: There are fewer than three picks.
    """
    if picks.shape[1] < len(PICKS):
        raise SiteTwinError(f"distance-based accuracy needs three picks a row, not {picks.shape[1]}")
    error = np.abs(picks[:, : len(PICKS)] - best[:, None]) / DBA_TOLERANCE
    return np.asarray((1 - np.minimum(np.minimum.accumulate(error, axis=1), 1)).mean(axis=1))


def lost_db(
    score: Shaped[np.ndarray, "rows beams"],
    power: Float[np.ndarray, "rows beams"],
    picks: int = 1,
    log_factor: float = 20.0,
) -> Float[np.ndarray, " rows"]:
    """Loss of each row: log_factor * log10(power of the best beam over that of the best of the picks).

    The paper calls the measured powers magnitudes and takes 20; 10 is right for powers, which DeepSense's are. Its
    equation 5 takes the logarithm of a mean, and its tables percentiles: each row has its own loss here, and
    `mean_loss_db` is the equation as printed.

    Args:
        score: The higher, the better.
        power: Linear; NaN counts as the weakest of its row.
        picks: Beams that are tried.
        log_factor: 20 as printed, or 10.

    Raises:
        SiteTwinError: As for `sitetwin.learn.beams.metrics.rank_of_best`.
    """
    ratio = power_ratio(score, power, picks, noise=False)
    return -log_factor * np.log10(np.clip(ratio, 1e-30, 1.0)) + 0.0  # zero without a sign, and never infinite


def mean_loss_db(
    score: Shaped[np.ndarray, "rows beams"], power: Float[np.ndarray, "rows beams"], picks: int = 1
) -> float:
    """Equation 5 as printed: 20 log10 of the mean of best over obtained power."""
    ratio = np.maximum(power_ratio(score, power, picks, noise=False), 1e-30)
    return float(20 * np.log10((1 / ratio).mean()))


def table_row(
    score: Shaped[np.ndarray, "rows beams"],
    power: Float[np.ndarray, "rows beams"],
    blocked: Bool[np.ndarray, " rows"] | None = None,
) -> dict[str, float]:
    """Every figure of one method on some rows.

    Args:
        score: The higher, the better.
        power: Linear; NaN where not measured.
        blocked: Rows without line of sight, where that is known. The paper takes the 50th and 95th percentile for rows
            with and without it, which is a guess.

    Returns:
        ``rows``; ``dba``; ``top1`` to ``top3``; ``p50_top1`` .. ``p95_top3`` losses in dB with factor 20, and the same
        with ``_10log`` for factor 10; ``eq5``; ``loss_10log_noise``, the loss of arXiv 2205.09054; and of `blocked` the
        medians ``los_top1`` and ``nlos_top1`` and the accuracies ``los_dba`` and ``nlos_dba``, where there are such
        rows.
    """
    rank = rank_of_best(score, power)
    dba = distance_based_accuracy(score, power)
    row: dict[str, float] = {"rows": float(len(rank)), "dba": float(dba.mean())}
    row |= {f"top{k}": float((rank < k).mean()) for k in PICKS}
    loss = {k: lost_db(score, power, k) for k in PICKS}
    for share in (50, 95):
        for k in PICKS:
            row[f"p{share}_top{k}"] = float(np.percentile(loss[k], share))
            row[f"p{share}_top{k}_10log"] = row[f"p{share}_top{k}"] / 2
    row["eq5"] = mean_loss_db(score, power)
    row["loss_10log_noise"] = power_loss_db(score, power)
    if blocked is not None:
        for name, rows in (("los", ~blocked), ("nlos", blocked)):
            if rows.any():
                row[f"{name}_top1"] = float(np.median(loss[1][rows]))
                row[f"{name}_dba"] = float(dba[rows].mean())
    return row


def wide_accuracy(
    score: Float[np.ndarray, "rows wide"], truth: Float[np.ndarray, "rows wide"], picks: int = 1
) -> float:
    """Share of rows whose best wide beam is among the first picks (equation 4).

    Args:
        score: Powers of the wide beams, as predicted.
        truth: Powers of the wide beams from the profile that was found from measured beams; no data set has measured
            wide beams.
        picks: Wide beams that are swept.
    """
    return float((rank_of_best(score, np.maximum(truth, 0.0)) < picks).mean())


def wide_agreement(
    power: Float[np.ndarray, "rows beams"],
    wide_truth: Float[np.ndarray, "rows wide"],
    sectors: Int[np.ndarray, " beams"],
) -> float:
    """Share of rows whose best measured beam lies in the sector of the best wide beam: a check of the wide beams."""
    return float((sectors[best_beams(power)] == best_beams(np.maximum(wide_truth, 0.0))).mean())
