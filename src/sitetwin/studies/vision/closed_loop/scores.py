"""What beams are worth on judged moments: accuracy and loss, of blocked and clear moments and at the natural share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from sitetwin.errors import SiteTwinError
from sitetwin.learn.beams.metrics import best_beams
from sitetwin.studies.vision.results import TOLD, TOLD_AHEAD
from sitetwin.vision.profiles import accuracy_of_picks

WIDE_BEAMS = 6
"""Layer-1 beams: equal runs of the narrow beams, whose angles are equally spaced."""

NATURAL = "natural share"


@dataclass(frozen=True, eq=False)
class Moments:
    """What is true of the judged moments.

    Attributes:
        powers: (N, beams) measured in each beam, mW.
        blocked: (N,) bool.
        ahead: (N,) 1 where the line of sight is blocked half a second later, 0 where not, -1 where it is not known.
        drive: (N,) number of the drive.
        share: Natural share of blocked moments.

    Raises:
        SiteTwinError: A kind of moments is missing.
    """

    powers: Float[np.ndarray, "moments beams"]
    blocked: Bool[np.ndarray, " moments"]
    ahead: Int[np.ndarray, " moments"]
    drive: Int[np.ndarray, " moments"]
    share: float

    def __post_init__(self) -> None:
        if not self.blocked.any() or self.blocked.all():
            raise SiteTwinError(
                f"{int(self.blocked.sum())} blocked and {int((~self.blocked).sum())} clear moments are too few for a "
                "closed loop; record drives with both"
            )


@dataclass(frozen=True, eq=False)
class Answers:
    """What one method says of each moment.

    Attributes:
        order: (N, beams) beams, the best first.
        sweep: (N,) beams that it would sweep; None for a method that does not say.
    """

    order: Int[np.ndarray, "moments beams"]
    sweep: Int[np.ndarray, " moments"] | None = None


class Resampling:
    """Weights of moments in draws of whole drives.

    Args:
        moments: The moments.
        draws: Number of draws.
        seed: Of the draws.

    Attributes:
        drives: Number of drives.
        equal: (1 + draws, N) weights: one for each moment, then how often its drive was drawn.
    """

    def __init__(self, moments: Moments, draws: int, seed: int) -> None:
        names, place = np.unique(moments.drive, return_inverse=True)
        drawn = np.random.default_rng(seed).integers(0, len(names), (draws, len(names)))
        counts = np.stack([np.bincount(row, minlength=len(names)) for row in drawn])
        self.drives = len(names)
        self._moments = moments
        self.equal = np.concatenate([np.ones((1, len(place))), counts[:, place]]).astype(np.float64)

    def weights(self, group: str) -> Float[np.ndarray, "draws moments"]:
        """(1 + draws, N) weights of the moments: those of all drives, then those of each draw that has the group."""
        blocked, times = self._moments.blocked, self.equal
        if group != NATURAL:
            chosen = times * (blocked if group == "blocked" else ~blocked)
            return chosen[chosen.sum(axis=1) > 0]
        one, other = times * blocked, times * ~blocked
        both = (one.sum(axis=1) > 0) & (other.sum(axis=1) > 0)
        one, other = one[both], other[both]
        share = self._moments.share
        return share * one / one.sum(axis=1, keepdims=True) + (1 - share) * other / other.sum(axis=1, keepdims=True)

    def estimate(self, values: np.ndarray) -> dict[str, Any]:
        """An estimate from the value of all drives and those of the draws; draws without a value do not count."""
        drawn = values[1:][np.isfinite(values[1:])]
        low, high = np.percentile(drawn, [2.5, 97.5]) if self.drives > 1 and len(drawn) else (None, None)
        return {
            "mean": float(values[0]) if np.isfinite(values[0]) else None,
            "low": None if low is None else float(low),
            "high": None if high is None else float(high),
            "n": self.drives,
            "kind": "bootstrap over drives",
        }


def weighted_mean(
    values: Float[np.ndarray, " moments"], weights: Float[np.ndarray, "draws moments"]
) -> Float[np.ndarray, " draws"]:
    """(draws,) mean of values under each row of weights; NaN where all weights are zero."""
    with np.errstate(invalid="ignore"):
        return np.asarray(weights @ values / weights.sum(axis=1))


def weighted_median(
    values: Float[np.ndarray, " moments"], weights: Float[np.ndarray, "draws moments"]
) -> Float[np.ndarray, " draws"]:
    """(draws,) median of values under each row of weights; between two values that each end at one half, their mean."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[:, order], axis=1)
    half = 0.5 * reached[:, -1:]
    little = 1e-9 * half
    low = (reached >= half - little).argmax(axis=1)
    high = (reached > half + little).argmax(axis=1)
    return np.asarray(0.5 * (values[order][low] + values[order][high]))


def judged_rows(
    moments: Moments, answers: Mapping[str, Answers], baseline: str, drawn: Resampling
) -> Iterator[dict[str, Any]]:
    """Yield one row for each group of moments and method; gains are over the baseline on the same moments.

    Args:
        moments: What is true.
        answers: What each method says.
        baseline: A method of `answers`.
        drawn: Draws of drives.
    """
    each = {name: _each(moments, one) for name, one in answers.items()}
    for group in ("blocked", "clear", NATURAL):
        weights = drawn.weights(group)
        inside = {"blocked": moments.blocked, "clear": ~moments.blocked}.get(group, np.ones_like(moments.blocked))
        for name, one in each.items():
            row: dict[str, Any] = {"method": name, "moments": group, "count": int(inside.sum())}
            for key in ("l1", "dba"):
                row[key] = drawn.estimate(weighted_mean(one[key], weights))
                if name != baseline:
                    row[f"{key}_gain"] = drawn.estimate(weighted_mean(one[key] - each[baseline][key], weights))
            loss = weighted_median(one["loss"], weights)
            row["loss"], row["loss_20log"] = drawn.estimate(loss), 2.0 * float(loss[0])
            if "sweep" in one:
                row["sweep"] = float(weighted_mean(one["sweep"], weights)[0])
                row["sweep_holds"] = float(weighted_mean(one["holds"], weights)[0])
            yield row


def _each(moments: Moments, answers: Answers) -> dict[str, np.ndarray]:
    """Figures of each moment: whether the wide beam is right, accuracy, lost power in dB with factor 10."""
    beams, rows = moments.powers.shape[1], np.arange(len(moments.powers))
    best, first = best_beams(moments.powers), answers.order[:, 0]
    wide = np.arange(beams) * WIDE_BEAMS // beams
    lost = moments.powers[rows, best] / moments.powers[rows, first]
    found = {
        "l1": (wide[first] == wide[best]).astype(np.float64),
        "dba": accuracy_of_picks(answers.order[:, :3], best),
        "loss": 10 * np.log10(lost),
    }
    if answers.sweep is not None:
        rank = (answers.order == best[:, None]).argmax(axis=1)
        found |= {"sweep": answers.sweep.astype(np.float64), "holds": (rank < answers.sweep).astype(np.float64)}
    return found


def blockage_row(
    moments: Moments,
    told: Float[np.ndarray, " moments"],
    ahead: bool,
    drawn: Resampling,
) -> dict[str, Any]:
    """Recall and precision of a probability of blockage.

    Args:
        moments: What is true.
        told: (N,) probability of each moment.
        ahead: Whether it is of half a second later; moments without a frame then are left out.
        drawn: Draws of drives.
    """
    known = moments.ahead >= 0 if ahead else np.ones(len(told), dtype=bool)
    true = (moments.ahead == 1) if ahead else moments.blocked
    said, equal = told > (TOLD_AHEAD if ahead else TOLD), drawn.equal
    hit = (said & true & known).astype(np.float64)

    def share(weights: np.ndarray, of: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((weights @ hit) / (weights @ of.astype(np.float64)))

    natural = None if ahead else share(drawn.weights(NATURAL), said & known)[0]
    return {
        "moments": int(known.sum()),
        "blocked": int((true & known).sum()),
        "recall": drawn.estimate(share(equal, true & known)),
        "precision": drawn.estimate(share(equal, said & known)),
        "precision_natural": None if natural is None or not np.isfinite(natural) else float(natural),
    }
