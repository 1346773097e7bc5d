"""Covariances of measured power: sums of linear terms and fields over the ground, and their weights by likelihood.

A term is linear in some features, with independent normal coefficients of one standard deviation, or a Matern-1/2 field
over the ground, ``sd^2 exp(-distance / length)``. A term of a group, such as the receiver, has coefficients or a field
of its own for each member. Everything is one Gaussian process, so that coefficients and fields are found together.

Standard deviations and lengths have log-normal priors and are taken where likelihood times prior is largest (Rasmussen
and Williams, Gaussian Processes for Machine Learning, 2006, chapter 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cho_solve, lapack, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

_PRIOR_SD = 0.6  # of the logarithm of a term's standard deviation or length
_NOISE_PRIOR_SD = 0.7
_WIDEST = 4.0  # logarithms from the prior's middle
_JITTER = 1e-6  # dB^2


@dataclass(frozen=True)
class Term:
    """One summand of the covariance.

    Attributes:
        name: What it stands for.
        sd: Middle of the prior of its standard deviation, dB.
        columns: Features that it is linear in; none for a field over the ground.
        length: Middle of the prior of the length over which a field's correlation falls to 1/e, metres.
        group: Grouping whose members each have coefficients or a field of their own; None for one of all rows.
    """

    name: str
    sd: float
    columns: tuple[str, ...] = ()
    length: float = 60.0
    group: str | None = None

    @property
    def is_field(self) -> bool:
        """Whether it is a field over the ground."""
        return not self.columns


@dataclass(frozen=True, eq=False)
class Design:
    """What the covariance sees of N rows.

    Attributes:
        plan: (N, 2) metres.
        features: By name, (N,) each.
        groups: By grouping, (N, members) shares of each row in the members: one of them is 1 as a rule; the mean over
            several has equal shares.
        noise: (N,) member of the nuggets.
    """

    plan: Float[np.ndarray, "rows 2"]
    features: Mapping[str, Float[np.ndarray, " rows"]]
    groups: Mapping[str, Float[np.ndarray, "rows members"]]
    noise: Int[np.ndarray, " rows"]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.plan)

    def columns(self, names: Sequence[str]) -> Float[np.ndarray, "rows columns"]:
        """Some features side by side."""
        return np.stack([self.features[name] for name in names], axis=1)

    def take(self, index: np.ndarray) -> Design:
        """Some of the rows."""
        return Design(
            self.plan[index],
            {name: values[index] for name, values in self.features.items()},
            {name: values[index] for name, values in self.groups.items()},
            self.noise[index],
        )


@dataclass(frozen=True, eq=False)
class Weights:
    """Standard deviations and lengths of a sum of terms.

    Attributes:
        sd: (terms,) dB.
        length: (terms,) metres; those of linear terms mean nothing.
        noise_sd: (members,) nuggets, dB.
    """

    sd: Float[np.ndarray, " terms"]
    length: Float[np.ndarray, " terms"]
    noise_sd: Float[np.ndarray, " members"]


def prior_weights(terms: Sequence[Term], members: int, noise_sd: float) -> Weights:
    """The middles of the priors."""
    return Weights(
        np.array([term.sd for term in terms], dtype=np.float64),
        np.array([term.length for term in terms], dtype=np.float64),
        np.full(members, float(noise_sd)),
    )


def cross_covariance(terms: Sequence[Term], weights: Weights, a: Design, b: Design) -> Float[np.ndarray, "rows others"]:
    """Covariance of the rows of `a` with those of `b`, dB^2, without nuggets."""
    apart = cdist(a.plan, b.plan)
    total = np.zeros(apart.shape)
    for k, term in enumerate(terms):
        shared = _shared(term, a, b)
        if term.is_field:
            total += weights.sd[k] ** 2 * np.exp(apart / -weights.length[k]) * shared
        else:
            total += weights.sd[k] ** 2 * shared
    return total


def own_variance(terms: Sequence[Term], weights: Weights, a: Design) -> Float[np.ndarray, " rows"]:
    """Variance of each row before anything is measured, dB^2, without nuggets."""
    total = np.zeros(len(a))
    for sd, term in zip(weights.sd, terms, strict=True):
        share = np.ones(len(a)) if term.group is None else (a.groups[term.group] ** 2).sum(axis=1)
        if not term.is_field:
            share = share * (a.columns(term.columns) ** 2).sum(axis=1)
        total += sd**2 * share
    return total


def fit_weights(
    terms: Sequence[Term],
    design: Design,
    residual: Float[np.ndarray, " rows"],
    prior: Weights,
    iterations: int = 60,
) -> Weights:
    """Weights where likelihood times prior is largest, found by its gradient from the prior's middles.

    Args:
        terms: The summands.
        design: The rows.
        residual: Measured power less its mean, dB.
        prior: Middles of the priors.
        iterations: Most steps of the search.
    """
    parts = _Parts(terms, design, residual)
    middle = parts.packed(prior)
    spread = np.full(len(middle), _PRIOR_SD)
    spread[len(middle) - len(prior.noise_sd) :] = _NOISE_PRIOR_SD

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = parts.likelihood(point)
        off = (point - middle) / spread
        return value + 0.5 * float(off @ off), slope + off / spread

    bounds = [(value - _WIDEST, value + _WIDEST) for value in middle]
    found = minimize(objective, middle, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": iterations})
    return parts.unpacked(found.x, prior)


class _Parts:
    """The negative logarithm of the likelihood and its gradient, over logarithms of the weights."""

    def __init__(self, terms: Sequence[Term], design: Design, residual: np.ndarray) -> None:
        self.residual, self.noise = residual, design.noise
        self.apart = cdist(design.plan, design.plan)
        self.shared = [_shared(term, design, design) for term in terms]
        self.fields = np.array([term.is_field for term in terms])

    def packed(self, weights: Weights) -> np.ndarray:
        """All logarithms in one row: standard deviations, lengths of fields, nuggets."""
        return np.log(np.concatenate([weights.sd, weights.length[self.fields], weights.noise_sd]))

    def unpacked(self, point: np.ndarray, like: Weights) -> Weights:
        values, terms, fields = np.exp(point), len(self.fields), int(self.fields.sum())
        length = like.length.copy()
        length[self.fields] = values[terms : terms + fields]
        return Weights(values[:terms], length, values[terms + fields :])

    def likelihood(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        count, terms, fields = len(self.residual), len(self.fields), int(self.fields.sum())
        variance, length = np.exp(2 * point[:terms]), np.exp(point[terms : terms + fields])
        nugget = np.exp(2 * point[terms + fields :])
        kernels = []
        at = 0
        for k, shared in enumerate(self.shared):
            kernel = variance[k] * shared
            if self.fields[k]:
                kernel = kernel * np.exp(self.apart / -length[at])
                at += 1
            kernels.append(kernel)
        total = np.sum(kernels, axis=0)
        total[np.diag_indices(count)] += nugget[self.noise] + _JITTER
        factor, failed = lapack.dpotrf(total, lower=1)
        if failed:
            return 1e10, np.zeros(len(point))
        solved = cho_solve((factor, True), self.residual)
        value = 0.5 * float(self.residual @ solved) + float(np.log(np.diag(factor)).sum())
        inverse = np.tril(lapack.dpotri(factor, lower=1)[0])
        inverse += np.tril(inverse, -1).T
        pull = np.outer(solved, solved) - inverse
        slope = [-float(np.vdot(pull, kernel)) for kernel in kernels]
        of_fields = [kernel for kernel, field in zip(kernels, self.fields, strict=True) if field]
        slope += [
            -0.5 * float(np.vdot(pull * self.apart, kernel)) / one
            for kernel, one in zip(of_fields, length, strict=True)
        ]
        on_diagonal = np.bincount(self.noise, np.diag(pull), len(nugget))
        return value, np.array([*slope, *(-on_diagonal * nugget)])


@dataclass(frozen=True, eq=False)
class Posterior:
    """The process given measured rows.

    Attributes:
        terms: The summands.
        weights: Their weights.
        design: The measured rows.
        factor: (N, N) lower Cholesky factor of their covariance.
        solved: (N,) covariance, inverted, times the measured power less its mean.
        mean: The measured power's mean, dBm.
    """

    terms: tuple[Term, ...]
    weights: Weights
    design: Design
    factor: Float[np.ndarray, "rows rows"]
    solved: Float[np.ndarray, " rows"]
    mean: float

    @classmethod
    def of(
        cls, terms: Sequence[Term], weights: Weights, design: Design, power: Float[np.ndarray, " rows"], mean: float
    ) -> Posterior:
        """Condition the process on measured power.

        Args:
            terms: The summands.
            weights: Their weights.
            design: The measured rows.
            power: Measured, dBm.
            mean: Subtracted first, dBm.
        """
        total = cross_covariance(terms, weights, design, design)
        total[np.diag_indices(len(design))] += weights.noise_sd[design.noise] ** 2 + _JITTER
        factor = np.linalg.cholesky(total)
        return cls(tuple(terms), weights, design, factor, cho_solve((factor, True), power - mean), float(mean))

    def at(self, design: Design) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
        """Mean, dBm, and standard deviation, dB, of the power at other rows, without nuggets."""
        across = cross_covariance(self.terms, self.weights, design, self.design)
        spread = solve_triangular(self.factor, across.T, lower=True)
        variance = own_variance(self.terms, self.weights, design) - (spread**2).sum(axis=0)
        return self.mean + across @ self.solved, np.sqrt(np.maximum(variance, _JITTER))


def _shared(term: Term, a: Design, b: Design) -> np.ndarray:
    """Products of features and of shares in a group's members, which a term's variance multiplies."""
    alike: np.ndarray = (
        np.ones((len(a), len(b))) if term.group is None else a.groups[term.group] @ b.groups[term.group].T
    )
    return alike if term.is_field else alike * (a.columns(term.columns) @ b.columns(term.columns).T)
