"""Which materials a twin takes: those that were fitted, a part of their change, those of the site, or ready-made ones.

A fit can make powers worse than a choice from three does: where walls and trees differ from the map, materials make up
for that, and not everywhere alike. All candidates are therefore judged by the powers of users of left-out blocks, each
group of blocks by fits that did not know it, and compared block by block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from sitetwin.calibrate.channels.model import ChannelTwin
from sitetwin.calibrate.channels.properties import MaterialTable, facets_met
from sitetwin.calibrate.channels.scoring import Fit, Scorer
from sitetwin.calibrate.channels.stages import HELD, Climb, powers_away
from sitetwin.site import Site
from sitetwin.site.variants import SurfaceMaterials

SHARES = (1.0, 0.75, 0.5)
"""Shares of the change from the prior that a fit's materials may keep."""

FITTED, OWN = "fitted", "materials of the site"

_CLEAR = 2.0  # standard errors by which another candidate must be better than the fit
_NO_MATTER_DB = 0.1  # of the mean error, for which no fit is given up: fading makes as much
_ROUNDS = 3  # in which ready-made materials find their constant of the power


@dataclass(frozen=True)
class Candidate:
    """One choice of the materials, judged by users that it was not fitted to.

    Attributes:
        name: What it is.
        error_db: Mean absolute error of the powers of left-out users, about the constant that fits the others, dB.
        behind_db: By how much that is larger than the chosen candidate's, dB.
        noise_db: Standard error of this difference over blocks, dB.
        chosen: Whether it was chosen.
    """

    name: str
    error_db: float
    behind_db: float
    noise_db: float
    chosen: bool


@dataclass(frozen=True, eq=False)
class Choice:
    """The chosen candidate.

    Attributes:
        twin: The twin, with the ready-made materials where these were chosen.
        fit: Its fit to the training users.
        share: Share of the change of its materials that is kept.
        candidates: All of them, the best first; none where nothing could judge them.
    """

    twin: ChannelTwin
    fit: Fit
    share: float = 1.0
    candidates: tuple[Candidate, ...] = ()

    @property
    def name(self) -> str:
        """What was chosen."""
        return next((one.name for one in self.candidates if one.chosen), FITTED)

    def taken(self, fit: Fit) -> Fit:
        """A fit whose materials keep the chosen share of their change; standard deviations hold the rest of it."""
        if self.share == 1.0:
            return fit
        theta = shrunk(fit, fit.theta, self.share)
        left = fit.theta - theta
        return replace(fit, theta=theta, covariance=fit.covariance + np.outer(left, left))

    def notes(self) -> list[str]:
        """Say so where something else than the fit was chosen, or does as well."""
        known = {one.name: one for one in self.candidates}
        if not known:
            return []
        best, taken = self.candidates[0], known[self.name]
        if taken.name != FITTED:
            return [
                f"the candidate '{taken.name}' was taken in place of the fit: the mean error of the power of left-out "
                f"users is {taken.error_db:.2f} dB with it, and {known[FITTED].error_db:.2f} dB with the fit"
            ]
        if best.name == FITTED:
            return []
        return [
            f"the candidate '{best.name}' would do as well as the fit: the mean error of the power of left-out "
            f"users is {best.error_db:.2f} dB with it and {taken.error_db:.2f} dB with the fit, too small a difference "
            f"to be clear (its standard error is {best.noise_db:.2f} dB)"
        ]


@dataclass(frozen=True, eq=False)
class _Tried:
    """A candidate: its twin, its fit, its share, and (U,) what powers of left-out users are off, dB."""

    name: str
    twin: ChannelTwin
    fit: Fit
    share: float
    away_db: np.ndarray


def shrunk(fit: Fit, theta: np.ndarray, share: float) -> Float[np.ndarray, " parameters"]:
    """Changes of which those of materials keep a share."""
    kept: np.ndarray = np.where([bool(p.entries) for p in fit.parameters], share * theta, theta)
    return kept


def choose(
    scorer: Scorer,
    found: Climb,
    site: Site,
    block: np.ndarray,
    training: np.ndarray,
    ready: Mapping[str, SurfaceMaterials],
) -> Choice:
    """Choose the materials by the powers of users of left-out blocks; the fit where there are none, or no constant.

    Args:
        scorer: The taps of the training users.
        found: What the calibration stage after stage found.
        site: The site as traced.
        block: (U,) block of each user.
        training: (U,) which users are the training ones.
        ready: Ready-made materials, by name.
    """
    fit, bare, twin = found.fit, found.bare, scorer.twin
    if not found.folds or any(p.entries for p in bare.parameters):
        return Choice(twin, fit)
    tried = []
    if len(fit.parameters) > len(bare.parameters):
        whole = scorer.without(fit, found.held, found.folds)
        for share in SHARES:
            name = FITTED if share == 1.0 else f"{share:.0%} of the fitted change of the materials"
            thetas = [shrunk(fit, theta, share) for theta in whole]
            tried.append(_Tried(name, twin, fit, share, _left_out_away(scorer, fit, thetas, found.folds)))
    tried.append(_Tried(OWN if tried else FITTED, twin, bare, 1.0, _unfitted_away(scorer, bare, found.folds)))
    for name, surfaces in ready.items():
        table = ready_table(twin, site, surfaces)
        other = Scorer(twin.with_materials(table), training, block)
        offset = other.fit(bare.parameters, bare.theta, fit.nuisance, HELD["materials"], _ROUNDS)
        told = f"{name} ({surfaces.ground}, {surfaces.wall}, {surfaces.roof})"
        tried.append(_Tried(told, other.twin, offset, 1.0, _unfitted_away(other, offset, found.folds)))
    return _best(tried, block) or Choice(twin, fit)


def ready_table(twin: ChannelTwin, site: Site, surfaces: SurfaceMaterials) -> MaterialTable:
    """The materials of a twin's site in which ground, walls and roofs are of given ones."""
    other, old = site.variant(surfaces=surfaces), twin.table
    return MaterialTable.of(other, twin.profiles.carrier_hz, facets_met(twin.paths, other), old.scatters, old.priors)


def _left_out_away(
    scorer: Scorer, fit: Fit, thetas: Sequence[np.ndarray], folds: Sequence[np.ndarray]
) -> Float[np.ndarray, " users"]:
    """(U,) what powers of the users of each fold are off with changes that did not know it, dB; NaN if unknown."""
    number, found = scorer.block_of_user(), np.full(len(scorer.twin.profiles), np.nan)
    for fold, theta in zip(folds, thetas, strict=True):
        away = powers_away(scorer, scorer.law(fit.parameters, theta).signal)
        own = np.isin(number, fold)
        others = away[(number >= 0) & ~own]
        if np.isfinite(others).any():
            found[own] = away[own] - np.nanmedian(others)
    return found


def _unfitted_away(scorer: Scorer, fit: Fit, folds: Sequence[np.ndarray]) -> np.ndarray:
    """The same of materials that no user was asked about."""
    return _left_out_away(scorer, fit, [fit.theta] * len(folds), folds)


def _best(tried: Sequence[_Tried], block: np.ndarray) -> Choice | None:
    """The fit, unless another candidate is clearly better; None where no user judges all of them."""
    errors = np.abs([one.away_db for one in tried])
    fine = np.isfinite(errors).all(axis=0)
    if len(np.unique(block[fine])) < 2:
        return None
    mean = errors[:, fine].mean(axis=1)
    best = 0
    for at in np.argsort(mean, kind="stable").tolist():
        noise = _noise(errors[0, fine] - errors[at, fine], block[fine])
        if at == 0 or mean[0] - mean[at] > max(_CLEAR * noise, _NO_MATTER_DB):
            best = at
            break
    spread = [_noise(one[fine] - errors[best, fine], block[fine]) for one in errors]
    rows = [
        Candidate(one.name, float(mean[i]), float(mean[i] - mean[best]), spread[i], i == best)
        for i, one in enumerate(tried)
    ]
    kept = tried[best]
    return Choice(kept.twin, kept.fit, kept.share, tuple(sorted(rows, key=lambda one: one.error_db)))


def _noise(difference: np.ndarray, block: np.ndarray) -> float:
    """Standard error of a mean over users whose errors are alike within blocks."""
    number = np.unique(block, return_inverse=True)[1]
    total = np.bincount(number, difference - difference.mean())
    return float(np.sqrt(np.square(total).sum() * len(total) / (len(total) - 1)) / len(difference))
