"""What a calibration found: each parameter with its posterior against its prior, and losses before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from sitetwin.calibrate.channels.candidates import Candidate
from sitetwin.calibrate.channels.model import ChannelTwin
from sitetwin.calibrate.channels.parameters import Parameter, Stage
from sitetwin.calibrate.channels.properties import MaterialTable
from sitetwin.calibrate.channels.scoring import Fit, Scorer
from sitetwin.calibrate.channels.stages import StageTrial
from sitetwin.channel.antennas.radio import Radio

IDENTIFIED = 0.7
"""Ratio of posterior to prior standard deviation above which a parameter is called not identified."""

Verdict = Literal["identified", "by its class", "not identified"]
"""What a measurement tells of a parameter."""


@dataclass(frozen=True)
class Estimate:
    """A parameter with its prior and its posterior.

    Attributes:
        parameter: The parameter.
        value: Posterior value; the nominal one of a parameter that no path touches.
        sd: Standard deviation of the posterior, in the parameter's unit.
        prior_sd: Standard deviation of the prior, in the parameter's unit, at the posterior value.
        ratio: Posterior over prior standard deviation, on the parameter's scale.
        own_ratio: Of a building: posterior standard deviation over the one that its class alone leaves, 1 without any
            evidence of its own; None of other parameters.
    """

    parameter: Parameter
    value: float
    sd: float
    prior_sd: float
    ratio: float
    own_ratio: float | None = None

    @property
    def verdict(self) -> Verdict:
        """What the measurement tells; of a building that only others of its class tell of, "by its class"."""
        if self.ratio > IDENTIFIED:
            return "not identified"
        return "identified" if self.own_ratio is None or self.own_ratio <= IDENTIFIED else "by its class"

    @property
    def identified(self) -> bool:
        """Whether the measurement tells the parameter itself: its posterior is clearly narrower than its prior."""
        return self.verdict == "identified"


@dataclass(frozen=True)
class Losses:
    """Mean negative log-likelihood of a tap in nats, before calibration (offset alone) and after.

    Attributes:
        before: Of the users that were fitted.
        after: The same.
        held_out_before: Of the blocks of users that were not; NaN without such.
        held_out_after: The same.
    """

    before: float
    after: float
    held_out_before: float
    held_out_after: float

    @classmethod
    def of(
        cls, plain: tuple[ChannelTwin, Fit], chosen: tuple[ChannelTwin, Fit], training: np.ndarray, block: np.ndarray
    ) -> Losses:
        """Losses of two twins with their fits to the training users: of the offset alone, and what was chosen."""
        found = []
        for users in (training, ~training):
            for twin, fit in (plain, chosen):
                scorer = Scorer(twin, users, block)
                some = len(scorer.observed) > 0
                found.append(scorer.loss(fit.parameters, fit.theta, chosen[1].nuisance) if some else float("nan"))
        return cls(*found)


@dataclass(frozen=True, eq=False)
class HeldOutPowers:
    """Powers of the users of held-out blocks, above the noise, in the taps that paths reach.

    Attributes:
        measured_db: (U,) what was measured.
        before_db: (U,) of the twin with the offset alone.
        after_db: (U,) of the twin that was fitted to the other blocks.
    """

    measured_db: Float[np.ndarray, " users"]
    before_db: Float[np.ndarray, " users"]
    after_db: Float[np.ndarray, " users"]

    @classmethod
    def of(cls, plain: tuple[ChannelTwin, Fit], chosen: tuple[ChannelTwin, Fit], users: np.ndarray) -> HeldOutPowers:
        """Powers of some users (U,) bool; those whose measured power is lost in noise are left out.

        Args:
            plain: A twin and its fit of the offset alone to the other users.
            chosen: A twin of the same taps and its fit to them.
            users: Which users.
        """
        count, twin = len(users), plain[0]
        power = twin.profiles.power.reshape(-1)[twin.rows] - twin.noise
        traced = [one.law(fit.parameters, fit.theta).signal for one, fit in (plain, chosen)]
        sums = np.stack([np.bincount(twin.user, values, count) for values in (power, *traced)])
        kept = users & (sums > 0).all(axis=0)
        return cls(*(10 * np.log10(sums[:, kept])))

    @property
    def errors_db(self) -> tuple[float, float]:
        """Median of the absolute error before and after; NaN without users."""
        if not len(self.measured_db):
            return float("nan"), float("nan")
        before, after = (float(np.median(np.abs(v - self.measured_db))) for v in (self.before_db, self.after_db))
        return before, after

    @property
    def rmse_db(self) -> tuple[float, float]:
        """Root of the mean square error before and after; NaN without users."""
        if not len(self.measured_db):
            return float("nan"), float("nan")
        before, after = (
            float(np.sqrt(np.mean(np.square(v - self.measured_db)))) for v in (self.before_db, self.after_db)
        )
        return before, after

    def notes(self) -> list[str]:
        """Say so where calibration does not help the powers of held-out users."""
        (before, after), (rough, fine) = self.errors_db, self.rmse_db
        if not len(self.measured_db) or after <= before or fine <= rough:
            return []
        return [
            f"calibration does not help here: the median error of the power of held-out users is {after:.2f} dB, and "
            f"was {before:.2f} dB with the offset alone; use the uncalibrated twin where powers count"
        ]


@dataclass(frozen=True, eq=False)
class CellCalibration:
    """A calibrated cell."""

    estimates: tuple[Estimate, ...]
    fit: Fit
    table: MaterialTable
    radio: Radio
    losses: Losses
    trials: tuple[StageTrial, ...]
    notes: tuple[str, ...]
    held_out: HeldOutPowers
    scorer: Any
    candidates: tuple[Candidate, ...] = ()

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that were kept."""
        return tuple(trial.stage for trial in self.trials if trial.kept)

    def rows(self) -> list[dict[str, Any]]:
        """The table of parameters, JSON-serialisable."""
        return [
            {
                "name": e.parameter.name,
                "what": e.parameter.what,
                "unit": e.parameter.unit,
                "prior": e.parameter.nominal,
                "prior_sd": e.prior_sd,
                "value": e.value,
                "sd": e.sd,
                "ratio": e.ratio,
                "own_ratio": e.own_ratio,
                "identified": e.identified,
                "verdict": e.verdict,
                "source": e.parameter.source,
            }
            for e in self.estimates
        ]


def estimates(parameters: Sequence[Parameter], fit: Fit) -> tuple[Estimate, ...]:
    """Estimates of all parameters; those that were not fitted keep their priors.

    The value of a building's property is the class's change and its own together.
    """
    place = {p.name: at for at, p in enumerate(fit.parameters)}
    found = []
    for one in parameters:
        parts = [name for name in (one.name, one.within) if name in place]
        at = [place[name] for name in parts]
        own = 0.0 if one.name in place else one.sd**2
        prior = one.sd**2
        if one.within:
            outer = next((p for p in parameters if p.name == one.within), None)
            prior += 0.0 if outer is None else outer.sd**2
        change = float(fit.theta[at].sum())
        variance = float(fit.covariance[np.ix_(at, at)].sum()) + own
        slope, ratio = abs(one.slope(change)), (variance / prior) ** 0.5
        alone = (variance / _by_class(parameters, fit, one)) ** 0.5 if one.within else None
        found.append(Estimate(one, one.value(change), slope * variance**0.5, slope * prior**0.5, ratio, alone))
    return tuple(found)


def _by_class(parameters: Sequence[Parameter], fit: Fit, one: Parameter) -> float:
    """Variance of a building's property that its class alone leaves: that of the class, and the spread about it."""
    fitted = [at for at, p in enumerate(fit.parameters) if p.name == one.within]
    outer = [p.sd**2 for p in parameters if p.name == one.within]
    return (float(fit.covariance[fitted[0], fitted[0]]) if fitted else sum(outer)) + one.sd**2
