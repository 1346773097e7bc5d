"""A sequential test for a change in a stream of levels, whose rate of false alarms is stated and holds by a theorem."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from sitetwin.errors import SiteTwinError

POWERS = (0.5, 0.75, 0.9)
"""Exponents of the bets; small ones win by large changes of few reports, large ones by small changes of all."""

_LARGEST_SUM = 1e300


@dataclass
class ChangeDetector:
    """Tells that levels are no longer drawn as before, without knowing how they were drawn.

    Each level gets a conformal p-value: the share of all levels since the start that are higher, ties broken by a
    random number. As long as the levels are exchangeable (users drawn alike, in any order), these p-values are
    independent and uniform, whatever the distribution (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random
    World, 2005, theorem 8.2). Shiryaev-Roberts sums ``R_n = (1 + R_{n-1}) f(p_n)`` bet on small p-values (errors that
    grow) and on large ones (errors that fall), with ``f(p) = e p^{e-1}``, whose mean is 1. The mean R of these sums,
    less n, is a martingale; an alarm is raised once R reaches `reports_between_false_alarms` = A. Hence, without a
    change, **at least A reports pass on average before an alarm**, and an alarm within the first N reports has a
    probability of at most N / A (Doob's inequality). After an alarm everything begins anew.

    Reports of one user one after the other are alike and not exchangeable with those of others: give each user's error
    once, as when it connects.

    Attributes:
        levels: Number of levels.
        reports_between_false_alarms: A.
        seed: Seed of the numbers that break ties.
        counts: Reports of each level since the start.
        sums: Shiryaev-Roberts sums: for errors that grow and that fall, one for each of `POWERS`.
        drawn: Reports since the very first, over all alarms.

    Raises:
        SiteTwinError: There are fewer than two levels, or A is below one.
    """

    levels: int
    reports_between_false_alarms: float = 100_000
    seed: int = 0
    counts: Int[np.ndarray, " levels"] = field(init=False)
    sums: Float[np.ndarray, "2 powers"] = field(init=False)
    drawn: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise SiteTwinError(f"a change is told from two levels on, not from {self.levels}")
        if not self.reports_between_false_alarms >= 1:
            raise SiteTwinError(
                f"{self.reports_between_false_alarms} reports are to pass between false alarms; give 1 or more"
            )
        self.restart()

    def restart(self) -> None:
        """Forget all levels."""
        self.counts = np.zeros(self.levels, np.int64)
        self.sums = np.zeros((2, len(POWERS)))

    @property
    def reports(self) -> int:
        """Reports since the start or the last alarm."""
        return int(self.counts.sum())

    @property
    def statistic(self) -> float:
        """R, the mean of the sums; an alarm is raised where it reaches `reports_between_false_alarms`."""
        return float(self.sums.mean())

    def take(self, level: int) -> str | None:
        """Take one report.

        Args:
            level: Its level, from 0 (least error) on.

        Returns:
            "worse" or "better" at an alarm, which also restarts the detector; else None.

        Raises:
            SiteTwinError: There is no such level.
        """
        if not 0 <= level < self.levels:
            raise SiteTwinError(f"a report has the level {level}, and levels go from 0 to {self.levels - 1}")
        self.counts[level] += 1
        tie = np.random.default_rng([self.seed, self.drawn]).random()
        self.drawn += 1
        worse = (self.counts[level + 1 :].sum() + tie * self.counts[level]) / self.reports
        p = np.array([worse, 1 - worse]).clip(1e-12)[:, None]
        powers = np.array(POWERS)
        self.sums = ((1 + self.sums) * powers * p ** (powers - 1)).clip(max=_LARGEST_SUM)
        if self.statistic < self.reports_between_false_alarms:
            return None
        grew, fell = self.sums.mean(axis=1)
        self.restart()
        return "worse" if grew >= fell else "better"
