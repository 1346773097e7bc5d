"""Posterior mode of parameters by Fisher scoring, and how wide the posterior is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar

from sitetwin.calibrate.channels.likelihood import (
    Contamination,
    Scores,
    TapLaw,
    log_powers,
    outlier_density,
    scores,
)
from sitetwin.calibrate.channels.model import ChannelTwin
from sitetwin.calibrate.channels.parameters import Parameter, Stage

_MISFIT = (0.02, 2.0)  # bounds of the relative error of the paths' power
_SHARE = (0.005, 0.4)  # bounds of the share of outliers
_ROUNDS = 12
_ENOUGH = 0.1  # nats of the log-posterior that a round must gain
_HALVINGS = 6
_NUISANCE_ROUNDS = 2
_SETTLING = 3  # rounds with slopes that are not computed again
_INFORMED = 1.0  # of the prior's precision: directions with more information tell how far the errors are correlated
_FEWEST_BLOCKS = 5  # that tell how errors of the twin vary
_FEWEST_USERS = 3.0  # where Student's t has a variance
_WIDEST_STEP = 0.7  # of the prior, over which slopes are taken


@dataclass(frozen=True, eq=False)
class Fit:
    """A posterior mode.

    Attributes:
        parameters: The J parameters.
        theta: (J,) changes from the nominal values on the parameters' scales.
        covariance: (J, J) of the posterior; of the prior where parameters were held.
        nuisance: Misfit and outliers.
        dispersion: Factor by which the information of the taps was lowered, because their errors are correlated.
        log_posterior: Log-posterior at the mode, of likelihoods lowered by the dispersion, nats.
    """

    parameters: tuple[Parameter, ...]
    theta: Float[np.ndarray, " parameters"]
    covariance: Float[np.ndarray, "parameters parameters"]
    nuisance: Contamination
    dispersion: float
    log_posterior: float


class Scorer:
    """Compares a twin with the taps of some users."""

    def __init__(self, twin: ChannelTwin, users: np.ndarray, block: np.ndarray) -> None:
        """Choose users.

        Args:
            twin: The twin.
            users: (U,) bool, users that are compared.
            block: (U,) int64, block of each user: errors are correlated within, not between them.
        """
        self.twin = twin
        self.kept = users[twin.user]
        power = twin.profiles.power.reshape(-1)[twin.rows]
        self.observed = log_powers(power, twin.noise)[self.kept]
        _, self.block = np.unique(block[twin.user[self.kept]], return_inverse=True)
        self.blocks = int(self.block.max(initial=-1)) + 1

    def block_of_user(self) -> Int[np.ndarray, " users"]:
        """(U,) number of each user's block; -1 for users who are not compared."""
        found = np.full(len(self.twin.profiles), -1)
        found[self.twin.user[self.kept]] = self.block
        return found

    def nuisance(self) -> Contamination:
        """Where a fit begins."""
        return Contamination(0.3, 0.05, outlier_density(self.observed))

    def law(self, parameters: Sequence[Parameter], theta: np.ndarray) -> TapLaw:
        """What the twin says of the taps that are compared."""
        return _taken(self.twin.law(parameters, theta), self.kept)

    def scores(self, parameters: Sequence[Parameter], theta: np.ndarray, nuisance: Contamination) -> Scores:
        """The likelihood of these taps."""
        return scores(self.observed, self.law(parameters, theta), nuisance)

    def loss(self, parameters: Sequence[Parameter], theta: np.ndarray, nuisance: Contamination) -> float:
        """Mean negative log-likelihood of a tap, nats."""
        return -float(self.scores(parameters, theta, nuisance).each.mean())

    def objective(
        self,
        parameters: Sequence[Parameter],
        theta: np.ndarray,
        nuisance: Contamination,
        dispersion: float,
        shape: np.ndarray | None = None,
    ) -> float:
        """Log-posterior, nats; with the shapes of the gamma laws at theta, or given ones."""
        prior = float(np.square(theta / _sd(parameters)).sum()) / 2
        each = scores(self.observed, self.law(parameters, theta), nuisance, shape).each
        return float(each.sum()) / dispersion - prior

    def refit_nuisance(self, parameters: Sequence[Parameter], theta: np.ndarray, start: Contamination) -> Contamination:
        """Most likely misfit and share of outliers at given parameters."""
        law = self.law(parameters, theta)
        found = start
        for _ in range(_NUISANCE_ROUNDS):
            share = float(np.clip(1 - scores(self.observed, law, found).inlier.mean(), *_SHARE))
            found = replace(found, share=share)

            def minus(log_misfit: float, at: Contamination = found) -> float:
                return -float(scores(self.observed, law, replace(at, misfit=float(np.exp(log_misfit)))).each.sum())

            best = minimize_scalar(minus, bounds=tuple(np.log(_MISFIT)), method="bounded", options={"xatol": 0.05})
            found = replace(found, misfit=float(np.exp(best.x)))
        return found

    def fit(
        self,
        parameters: Sequence[Parameter],
        start: Float[np.ndarray, " parameters"],
        nuisance: Contamination,
        held: Sequence[Stage] = (),
        rounds: int = _ROUNDS,
    ) -> Fit:
        """Climb to a mode of the posterior.

        Args:
            parameters: J parameters.
            start: (J,) changes to begin with.
            nuisance: Misfit and outliers to begin with; they are fitted too.
            held: Stages whose parameters stay as they are; the width of the posterior is then left out.
            rounds: Largest number of rounds.
        """
        free = np.array([p.stage not in held for p in parameters])
        inner = np.ix_(free, free)
        theta, sd = start.copy(), _sd(parameters)
        limits = np.array([p.limits() for p in parameters]).reshape(-1, 2).T
        spread = 1.0
        for _ in range(rounds):
            self.twin.anchored(self.twin.table.values(parameters, theta))
            nuisance = self.refit_nuisance(parameters, theta, nuisance)
            slopes = self._slopes(parameters, theta, nuisance, free=free)
            spread, _ = self._dispersion(slopes, sd)
            curvature = slopes.information / spread + np.diag(sd**-2.0)
            step = np.zeros(len(theta))
            step[free] = np.linalg.solve(curvature[inner], (slopes.gradient / spread - theta / sd**2)[free])
            theta, gained = self._line(parameters, theta, step, limits, nuisance, spread)
            if gained < _ENOUGH:
                break
        self.twin.anchored(self.twin.table.values(parameters, theta))
        if held:
            covariance = np.diag(sd**2)
        else:
            covariance, spread = self._width(parameters, theta, nuisance)
        whole = self.objective(parameters, theta, nuisance, spread)
        return Fit(tuple(parameters), theta, covariance, nuisance, spread, whole)

    def without(
        self, fit: Fit, held: Sequence[Stage], folds: Sequence[np.ndarray]
    ) -> list[Float[np.ndarray, " parameters"]]:
        """Changes of the parameters that a fit without each fold of blocks would find: one step of Newton's away.

        Args:
            fit: The fit of all blocks.
            held: Stages that were held in it.
            folds: Numbers of the blocks of each fold.
        """
        parameters, sd = fit.parameters, _sd(fit.parameters)
        free = np.array([p.stage not in held for p in parameters])
        limits = np.array([p.limits() for p in parameters]).reshape(-1, 2).T
        slopes = self._slopes(parameters, fit.theta, fit.nuisance, free=free)
        spread, found = fit.dispersion, []
        for fold in folds:
            own = np.isin(self.block, fold)
            told = slopes.information - slopes.roots[own].T @ slopes.roots[own]
            gradient = (slopes.gradient - slopes.by_block[fold].sum(axis=0)) / spread - fit.theta / sd**2
            curvature = (told / spread + np.diag(sd**-2.0))[np.ix_(free, free)]
            theta = fit.theta.copy()
            theta[free] += np.linalg.solve(curvature, gradient[free])
            found.append(np.clip(theta, *limits))
        return found

    def settled(
        self,
        parameters: Sequence[Parameter],
        theta: Float[np.ndarray, " parameters"],
        nuisance: Contamination,
        dispersion: float,
        slopes: Float[np.ndarray, "taps parameters"],
        held: Sequence[int],
    ) -> Float[np.ndarray, " parameters"]:
        """Changes after some rounds with known slopes of the taps, which are not computed again; where they gain.

        Args:
            parameters: J parameters.
            theta: (J,) their changes.
            nuisance: Misfit and outliers.
            dispersion: Factor that lowers the information of the taps.
            slopes: (R, J) of the paths' powers in the taps that are compared, at changes nearby.
            held: Numbers of the parameters that stay.
        """
        free = np.setdiff1d(np.arange(len(parameters)), held)
        limits = np.array([p.limits() for p in parameters]).reshape(-1, 2).T
        prior = _sd(parameters) ** -2.0
        for _ in range(_SETTLING):
            law = self.law(parameters, theta)
            found = scores(self.observed, law, nuisance)
            by_mean = slopes[:, free] / law.mean[:, None]
            gradient = by_mean.T @ found.by_mean / dispersion - (prior * theta)[free]
            told = (by_mean * (found.inlier * found.shape)[:, None]).T @ by_mean / dispersion
            step = np.zeros(len(theta))
            step[free] = np.linalg.solve(told + np.diag(prior[free]), gradient)
            theta, gained = self._line(parameters, theta, step, limits, nuisance, dispersion)
            if gained < _ENOUGH:
                break
        return theta

    def signal_slopes(
        self, parameters: Sequence[Parameter], theta: Float[np.ndarray, " parameters"]
    ) -> Float[np.ndarray, "taps parameters"]:
        """Slopes of the paths' powers in the taps that are compared."""
        return self.twin.derivatives(parameters, theta, self.twin.law(parameters, theta))[self.kept]

    def _line(
        self,
        parameters: Sequence[Parameter],
        theta: np.ndarray,
        step: np.ndarray,
        limits: np.ndarray,
        nuisance: Contamination,
        spread: float,
    ) -> tuple[np.ndarray, float]:
        """The first of the halved steps that gains, and what it gains, nats; else where it began."""
        shape = self.scores(parameters, theta, nuisance).shape
        here = self.objective(parameters, theta, nuisance, spread, shape)
        for halving in range(_HALVINGS):
            moved = np.clip(theta + step * 0.5**halving, *limits)
            there = self.objective(parameters, moved, nuisance, spread, shape)
            if there > here:
                return moved, there - here
        return theta, 0.0

    def _slopes(
        self,
        parameters: Sequence[Parameter],
        theta: np.ndarray,
        nuisance: Contamination,
        steps: np.ndarray | None = None,
        free: np.ndarray | None = None,
    ) -> _Slopes:
        """How the likelihood changes with the parameters."""
        whole = self.twin.law(parameters, theta)
        by_signal = self.twin.derivatives(parameters, theta, whole, steps, free)[self.kept]
        law = _taken(whole, self.kept)
        found = scores(self.observed, law, nuisance)
        by_mean = by_signal / law.mean[:, None]
        each = found.by_mean[:, None] * by_mean
        by_block = np.zeros((self.blocks, len(parameters)))
        np.add.at(by_block, self.block, each)
        information = (by_mean * (found.inlier * found.shape)[:, None]).T @ by_mean
        between = self._between(parameters, theta, nuisance, by_mean * (found.inlier * found.shape / law.mean)[:, None])
        return _Slopes(
            each.sum(axis=0),
            information,
            information + between,
            by_block,
            by_mean * np.sqrt(found.inlier * found.shape)[:, None],
            self.twin.user[self.kept],
        )

    def _between(
        self, parameters: Sequence[Parameter], theta: np.ndarray, nuisance: Contamination, weight: np.ndarray
    ) -> np.ndarray:
        """(J, J) what covariances of neighbouring taps add to the variance of the gradient."""
        pairs = self.twin.neighbours(parameters, theta, nuisance.misfit)
        place = np.full(len(self.kept), -1)
        place[self.kept] = np.arange(int(self.kept.sum()))
        one, other = place[pairs.one], place[pairs.other]
        both = (one >= 0) & (other >= 0)
        half = (weight[one[both]] * pairs.covariance[both, None]).T @ weight[other[both]]
        total: np.ndarray = half + half.T
        return total

    def _dispersion(self, slopes: _Slopes, sd: np.ndarray) -> tuple[float, float]:
        """How much more the gradient varies than independent taps would let it; and than the twin itself says.

        The twin knows how neighbouring taps vary together. What blocks of users vary beyond that is its own error,
        which neighbours share.
        """
        scaled, rotated = np.linalg.eigh(slopes.information * np.outer(sd, sd))
        told = scaled > _INFORMED
        if not told.any():
            return 1.0, 1.0
        known = np.einsum("ij,ik,kj->j", rotated, slopes.variance * np.outer(sd, sd), rotated)
        excess = 1.0
        if self.blocks >= _FEWEST_BLOCKS:
            own = slopes.by_block - slopes.by_block.mean(axis=0)
            seen = np.square((own * sd) @ rotated).sum(axis=0) * self.blocks / (self.blocks - 1)
            excess = max(1.0, float(np.mean(seen[told] / known[told])))
        return max(1.0, excess * float(np.mean(known[told] / scaled[told]))), excess

    def _width(
        self, parameters: Sequence[Parameter], theta: np.ndarray, nuisance: Contamination
    ) -> tuple[np.ndarray, float]:
        """Covariance (J, J) of the posterior, and the dispersion.

        Powers are no straight lines over the width of a wide posterior, so that their slopes are taken over it.
        """
        sd = _sd(parameters)
        slopes = self._slopes(parameters, theta, nuisance)
        spread, excess = self._dispersion(slopes, sd)
        first = np.linalg.inv(slopes.information / spread + np.diag(sd**-2.0))
        slopes = self._slopes(parameters, theta, nuisance, np.minimum(np.sqrt(np.diag(first)), _WIDEST_STEP * sd))
        plain = np.linalg.inv(slopes.information / spread + np.diag(sd**-2.0))
        few = _few_users(slopes, plain)
        robust = plain @ (slopes.variance * excess / spread**2 + np.diag(sd**-2.0)) @ plain
        factor = few * np.sqrt(np.maximum(np.diag(robust) / np.diag(plain), 1.0))
        factor = np.maximum(np.minimum(factor, sd / np.sqrt(np.diag(plain))), 1.0)
        return plain * np.outer(factor, factor), spread


@dataclass(frozen=True)
class _Slopes:
    """How the likelihood changes with J parameters.

    Attributes:
        gradient: (J,) of the log-likelihood.
        information: (J, J) as if taps were independent.
        variance: (J, J) of the gradient, with what neighbouring taps have in common.
        by_block: (B, J) the gradient of each block of users.
        roots: (R, J) what each tap tells; the information is the product with itself.
        user: (R,) user of each tap.
    """

    gradient: np.ndarray
    information: np.ndarray
    variance: np.ndarray
    by_block: np.ndarray
    roots: np.ndarray
    user: np.ndarray


def _few_users(slopes: _Slopes, covariance: np.ndarray) -> np.ndarray:
    """(J,) factors on standard deviations of what a few users tell: those of Student's t for as many of them.

    Interference is one draw for each user. With n users who tell equally much, an error is no normal one.
    """
    told = np.square(slopes.roots @ covariance)
    by_user = np.zeros((int(slopes.user.max(initial=0)) + 1, told.shape[1]))
    np.add.at(by_user, slopes.user, told)
    count = by_user.sum(axis=0) ** 2 / np.maximum(np.square(by_user).sum(axis=0), 1e-300)
    factor: np.ndarray = np.sqrt(np.maximum(count, _FEWEST_USERS) / (np.maximum(count, _FEWEST_USERS) - 2))
    return factor


def _sd(parameters: Sequence[Parameter]) -> np.ndarray:
    return np.array([p.sd for p in parameters], dtype=np.float64)


def _taken(law: TapLaw, rows: np.ndarray) -> TapLaw:
    return TapLaw(law.signal[rows], law.squares[rows], law.noise[rows])
