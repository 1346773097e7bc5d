"""Peaks of the posterior of one slab: many climbs at once, from the maxima of a coarse grid.

Taps that are known within some percent make peaks that are much narrower than the steps of an affordable grid. Climbs
therefore begin where errors of the twin are taken as so large that every peak is broad, and end with the errors of the
fit, as in annealing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from sitetwin.calibrate.channels.likelihood import Contamination, TapLaw, scores
from sitetwin.calibrate.channels.parameters import Parameter
from sitetwin.calibrate.channels.slabs import BROAD, PairAxes, SlabScan, placed

_STARTS = 32  # maxima of the grid that are climbed with the taps that tell most
_CHOSEN = 12  # of them that are climbed with all
_BROAD_ROUNDS, _ANNEALED = 5, ((0.1, 3), (0.0, 8))  # rounds of the former; least misfit and rounds of the latter
_STEP = 1e-3  # of central differences
_LONGEST = 0.3  # step of a round on the scale of a parameter
_DAMPING = (1e-2, 0.2, 5.0)  # of the first round, and factors after one that gained and one that did not
_APART = 2.0  # standard deviations of a peak within which another climb ended at the same one


@dataclass(frozen=True, eq=False)
class Peak:
    """A likely pair.

    Attributes:
        permittivity: Relative permittivity.
        thickness: Metres.
        conductivity: S/m, with which the pair is that likely.
        log_posterior: Nats, up to a constant.
        at: (K,) the pair on the scales of the parameters that are searched.
        covariance: (K, K) about the peak on the scales of the parameters that are searched, all others kept.
    """

    permittivity: float
    thickness: float
    conductivity: float
    log_posterior: float
    at: Float[np.ndarray, " searched"]
    covariance: Float[np.ndarray, "searched searched"]

    @property
    def log_mass(self) -> float:
        """Logarithm of the share of the posterior that the peak holds, up to a constant: height and volume."""
        return self.log_posterior + float(np.linalg.slogdet(self.covariance)[1]) / 2


def peaks_of(climb: Climb, most: int, within: float) -> list[Peak]:
    """The highest peaks, at most some nats below the highest, best first.

    Args:
        climb: The posterior of one material.
        most: Largest number of peaks.
        within: Nats.
    """
    scan, axes, dispersion = climb.scan, climb.axes, climb.dispersion
    places = np.array(scan.places(axes, dispersion, _STARTS))
    at = np.stack([_placed(one, places[:, number]) for number, one, _ in axes.free], axis=1)
    at, height, curvature = Climb(scan.few, axes, dispersion).ascend(
        at, max(BROAD, scan.nuisance.misfit), _BROAD_ROUNDS
    )
    now = [[_change(one, (scan.permittivity, scan.depth, scan.sigma)[number]) for number, one, _ in axes.free]]
    at = np.concatenate([at[_distinct(at, height, curvature)[:_CHOSEN]], now])
    for misfit, rounds in _ANNEALED:
        at, height, curvature = climb.ascend(at, max(misfit, scan.nuisance.misfit), rounds)
    kept = [i for i in _distinct(at, height, curvature) if height[i] > height.max() - within]
    found = []
    for i in kept[:most]:
        e, d, sigma = climb.values(at[i : i + 1])
        inverse = np.linalg.inv(curvature[i])
        found.append(Peak(float(e[0]), float(d[0]), float(sigma[0]), float(height[i]), at[i], inverse))
    return found


def _distinct(at: np.ndarray, height: np.ndarray, curvature: np.ndarray) -> list[int]:
    """Numbers of the places (N, K) that are not the same peak as a higher one, the highest first."""
    kept: list[int] = []
    for i in np.argsort(-height, kind="stable").tolist():
        away = at[i] - at[kept]
        if (np.einsum("nj,njk,nk->n", away, curvature[kept], away) > _APART**2).all():
            kept.append(i)
    return kept


class Climb:
    """The posterior of the parameters of one slab, climbed by Fisher scoring from many places at once.

    Attributes:
        centre: (K,) most likely changes of the prior.
        sd: (K,) its standard deviations.
    """

    def __init__(self, scan: SlabScan, axes: PairAxes, dispersion: float) -> None:
        """Choose what is searched.

        Args:
            scan: The likelihood of one material.
            axes: What is searched.
            dispersion: Factor that lowers the information of the taps.
        """
        self.scan, self.axes, self.free, self.dispersion = scan, axes, axes.free, dispersion
        self.held = scan.permittivity, scan.depth, scan.sigma
        self.centre = np.array([centre for _, _, centre in self.free])
        self.sd = np.array([one.sd for _, one, _ in self.free])
        self.limits = np.array([one.limits() for _, one, _ in self.free]).T

    def values(self, at: np.ndarray) -> tuple[np.ndarray, ...]:
        """Permittivity, thickness and conductivity (N,) at changes (N, K)."""
        found = [np.full(len(at), held) for held in self.held]
        for column, (number, one, _) in enumerate(self.free):
            found[number] = np.array([one.value(float(change)) for change in at[:, column]])
        return tuple(found)

    def heights(self, at: Float[np.ndarray, "places searched"]) -> Float[np.ndarray, " places"]:
        """Log-posterior (N,) at changes (N, K); minus infinity beyond the bounds."""
        inside = ((at >= self.limits[0]) & (at <= self.limits[1])).all(axis=1)
        height = np.full(len(at), -np.inf)
        e, d, sigma = self.values(at[inside])
        told = self.scan.log_likelihood(e, d, sigma) / self.dispersion
        height[inside] = told - np.square((at[inside] - self.centre) / self.sd).sum(axis=1) / 2
        return height

    def ascend(self, at: np.ndarray, misfit: float, rounds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where climbs end (N, K), the log-posterior there (N,) and its curvature (N, K, K)."""
        nuisance = replace(self.scan.nuisance, misfit=misfit)
        height, gradient, curvature = self._slopes(at, nuisance)
        damping = np.full(len(at), _DAMPING[0])
        for _ in range(rounds):
            diagonal = np.einsum("njj->nj", curvature)
            damped = curvature + damping[:, None, None] * diagonal[:, :, None] * np.eye(len(self.free))
            step = np.linalg.solve(damped, gradient[:, :, None])[:, :, 0]
            moved = np.clip(at + np.clip(step, -_LONGEST, _LONGEST), *self.limits)
            there, slope, bent = self._slopes(moved, nuisance)
            gained = there > height
            at, gradient = np.where(gained[:, None], moved, at), np.where(gained[:, None], slope, gradient)
            height, curvature = np.where(gained, there, height), np.where(gained[:, None, None], bent, curvature)
            damping = damping * np.where(gained, *_DAMPING[1:])
        return at, height, curvature

    def _slopes(self, at: np.ndarray, nuisance: Contamination) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log-posterior (N,), its gradient (N, K) and its curvature (N, K, K), with the shapes of the laws held."""
        count = at.shape[1]
        ways = _STEP * np.concatenate([np.zeros((1, count)), np.eye(count), -np.eye(count)])
        law = self.scan.at(*self.values((at[:, None] + ways).reshape(-1, count)))
        each = law.signal.reshape(len(law.signal), len(at), len(ways))
        squares = law.squares.reshape(each.shape)[:, :, 0]
        noise = np.broadcast_to(self.scan.rest.noise[:, None], squares.shape)
        here = TapLaw(each[:, :, 0], squares, noise)
        found = scores(np.broadcast_to(self.scan.observed[:, None], squares.shape), here, nuisance)
        by = (each[:, :, 1 : count + 1] - each[:, :, count + 1 :]) / (2 * _STEP * here.mean[:, :, None])
        away = at - self.centre
        height = found.each.sum(axis=0) / self.dispersion - np.square(away / self.sd).sum(axis=1) / 2
        gradient = np.einsum("rn,rnk->nk", found.by_mean, by) / self.dispersion - away / self.sd**2
        told = np.einsum("rn,rnj,rnk->njk", found.inlier * found.shape, by, by, optimize=True) / self.dispersion
        return height, gradient, told + np.diag(self.sd**-2.0)


def _placed(parameter: Parameter, values: np.ndarray) -> np.ndarray:
    return np.array([placed(parameter, float(value)) for value in values])


def _change(parameter: Parameter, value: float) -> float:
    """Change of a parameter at a value, within the bounds."""
    return float(np.clip(placed(parameter, value), *parameter.limits()))
