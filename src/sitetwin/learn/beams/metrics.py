"""Quality of a ranking of beams: accuracy, lost power, distance, sweeping overhead, and the limit of label noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from sitetwin.errors import SiteTwinError

_CEILING_M, _CEILING_STEPS, _CEILING_PAIRS = 1.5, 5, 10  # pairs of rows that tell the label noise
DBA_TOLERANCE = 5
"""Beams of distance at which the distance-based accuracy reaches zero (DeepSense 6G challenge)."""


def best_beams(power: Float[np.ndarray, "rows beams"]) -> Int[np.ndarray, " rows"]:
    """Strongest beam of each row; NaN powers are never the strongest.

    Raises:
        SiteTwinError: A row has no power at all, or a power is infinite or negative.
    """
    _check_powers(power)
    return np.nanargmax(power, axis=1)


def _check_powers(power: np.ndarray) -> None:
    """Powers are linear; NaN stands for a power that was not measured."""
    empty = ~(power > 0).any(axis=1)
    if bool(empty.any()):
        raise SiteTwinError(
            f"{int(empty.sum())} of {len(power)} rows have no measured power on the beams in use (first: row "
            f"{int(empty.argmax())}); drop them first"
        )
    wrong = np.isinf(power) | (power < 0)
    if bool(wrong.any()):
        raise SiteTwinError(
            f"{int(wrong.any(axis=1).sum())} of {len(power)} rows hold a power that is infinite or negative; give "
            "linear powers, and NaN where there is none"
        )


def _check_beams(score: np.ndarray, power: np.ndarray) -> None:
    """Refuse scores that are none, or are of other beams or rows than the powers."""
    if score.shape != power.shape:
        raise SiteTwinError(
            f"scores of {len(score)} rows and {score.shape[-1]} beams cannot be judged by powers of {len(power)} rows "
            f"and {power.shape[-1]} beams; ask a predictor of these beams"
        )
    nothing = np.isnan(score).any(axis=1)
    if bool(nothing.any()):
        raise SiteTwinError(
            f"the scores of {int(nothing.sum())} of {len(score)} rows are not numbers (first: row "
            f"{int(nothing.argmax())}), so that they rank nothing; mend the predictor"
        )


def ranking(score: Shaped[np.ndarray, "rows beams"]) -> Int[np.ndarray, "rows beams"]:
    """Beams by falling score, the lower index first among equals."""
    return np.argsort(-score, axis=1, kind="stable")


def rank_of_best(
    score: Shaped[np.ndarray, "rows beams"], power: Float[np.ndarray, "rows beams"]
) -> Int[np.ndarray, " rows"]:
    """From 0: predicted place of the truly best beam; top-k accuracy is the mean of rank < k.

    Raises:
        SiteTwinError: The scores are of other beams or rows than the powers, or are not numbers; a row has no power at
            all, or a power is infinite or negative.
    """
    _check_beams(score, power)
    return (ranking(score) == best_beams(power)[:, None]).argmax(axis=1)


def power_ratio(
    score: Shaped[np.ndarray, "rows beams"], power: Float[np.ndarray, "rows beams"], k: int = 1, noise: bool = True
) -> Float[np.ndarray, " rows"]:
    """In 0..1: power of the best of the k first picks over that of the best beam.

    Args:
        score: The higher, the better.
        power: Linear; a NaN counts as the weakest power of its row.
        k: Beams that are tried.
        noise: Take half of the row's weakest power off both, an estimate of the noise (arXiv 2205.09054).

    Raises:
        SiteTwinError: As for `rank_of_best`.
    """
    _check_beams(score, power)
    _check_powers(power)
    weakest = np.nanmin(power, axis=1, keepdims=True)
    power = np.where(np.isnan(power), weakest, power)
    tried = np.take_along_axis(power, ranking(score)[:, :k], axis=1).max(axis=1)
    floor = weakest[:, 0] / 2 if noise else 0.0
    return (tried - floor) / (power.max(axis=1) - floor)


def power_loss_db(score: Shaped[np.ndarray, "rows beams"], power: Float[np.ndarray, "rows beams"]) -> float:
    """10 log10 of the mean over rows of best over obtained power, noise taken off both (arXiv 2205.09054)."""
    return float(10 * np.log10((1 / power_ratio(score, power)).mean()))


def distance_based_accuracy(
    score: Shaped[np.ndarray, "rows beams"], power: Float[np.ndarray, "rows beams"]
) -> Float[np.ndarray, " rows"]:
    """Each row's part of the DBA score: mean over k = 1..3 of 1 - min over k picks of min(|error| / 5, 1).

    Raises:
        SiteTwinError: As for `rank_of_best`.
    """
    _check_beams(score, power)
    error = np.abs(ranking(score)[:, :3] - best_beams(power)[:, None]) / DBA_TOLERANCE
    return (1 - np.minimum(np.minimum.accumulate(error, axis=1), 1)).mean(axis=1)


@dataclass(frozen=True)
class Sweep:
    """Cost and reliability of a policy of sweeping beams.

    Attributes:
        reliability: Share of rows whose best beam was swept.
        beams: Mean number of beams swept.
    """

    reliability: float
    beams: float


def fixed_sweep(rank: Int[np.ndarray, " rows"], reliability: float) -> Sweep:
    """Fewest beams, the same number for every row, that reach a reliability: known only after the test (an oracle)."""
    needed = int(np.ceil(reliability * len(rank) - 1e-9))
    beams = int(np.sort(rank)[needed - 1]) + 1
    return Sweep(float((rank < beams).mean()), float(beams))


def adaptive_sweep(
    probability: Float[np.ndarray, "rows beams"], power: Float[np.ndarray, "rows beams"], reliability: float
) -> Sweep:
    """Sweep each row's most probable beams until their probabilities reach the asked reliability.

    Args:
        probability: Rows sum to one.
        power: Linear.
        reliability: Wanted reliability, 0..1.
    """
    ordered = np.take_along_axis(probability, ranking(probability), axis=1)
    swept = np.minimum((ordered.cumsum(axis=1) < reliability).sum(axis=1) + 1, probability.shape[1])
    return Sweep(float((rank_of_best(probability, power) < swept).mean()), float(swept.mean()))


def label_ceiling(
    power: Float[np.ndarray, "rows beams"],
    position: Float[np.ndarray, "rows 2"],
    drive: Shaped[np.ndarray, " rows"],
) -> float:
    """What label noise leaves of top-1 accuracy, about: root of how often rows at one place agree on the best beam.

    If each label is that of the true beam with probability p, errors apart from each other and scattered, two rows at
    one place agree with probability p^2. No two rows stand at one place: the share of pairs that agree falls with the
    distance, as the true beam changes, and a line through it for pairs at most 1.5 m apart is taken at no distance.

    Args:
        power: Linear.
        position: Metres; rows of a drive in the order of time.
        drive: Drive of each row.

    Returns:
        At least the root of the share at the distances that there are; NaN where less than ten rows of the drives
        stand so near to the next ones.
    """
    best, away, agree = best_beams(power), [], []
    for number in np.unique(drive):
        rows = np.flatnonzero(drive == number)
        for step in range(1, min(_CEILING_STEPS + 1, len(rows))):
            a, b = rows[:-step], rows[step:]
            away.append(np.hypot(*(position[a] - position[b]).T))
            agree.append(best[a] == best[b])
    distance, same = (np.concatenate(part) if part else np.zeros(0) for part in (away, agree))
    near = distance <= _CEILING_M
    distance, same = distance[near], same[near].astype(np.float64)
    if len(distance) < _CEILING_PAIRS:
        return float("nan")
    level = float(same.mean())
    if np.ptp(distance) > 0:
        slope = float(np.polyfit(distance, same, 1)[0])
        level = max(level, min(1.0, level - slope * float(distance.mean())))
    return float(np.sqrt(level))
