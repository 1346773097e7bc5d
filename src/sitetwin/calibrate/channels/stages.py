"""Stage after stage of a calibration, each kept only if users that it was not fitted to agree.

A stage is judged by leaving folds of blocks out of its fit, one after the other. A fit without a fold is one step of
Newton's from the whole fit: the gradient and the information of each block are known there, and what the fold had told
goes back to the prior.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from sitetwin.calibrate.channels.likelihood import scores
from sitetwin.calibrate.channels.modes import scanned
from sitetwin.calibrate.channels.parameters import STAGES, Parameter, Stage
from sitetwin.calibrate.channels.scoring import Fit, Scorer
from sitetwin.errors import SiteTwinError

ROUNDS = 6
"""Rounds of each stage; all parameters are fitted together afterwards."""

_FOLDS = 6
_CLEAR = 2.0  # standard errors of the likelihood by which buildings pay for their many parameters
_NO_MATTER_DB = 0.05  # of the mean error of powers
_FEWEST_BLOCKS = 3  # that say how much blocks differ
HELD: dict[Stage, tuple[Stage, ...]] = {
    "offset": ("pose",),
    "pose": ("scattering",),
    "pattern": ("scattering",),
    "scattering": ("pose", "pattern"),
    "materials": ("pose", "pattern"),
    "buildings": ("pose", "pattern"),
}
"""Stages that are held while another one is fitted, for speed; those that come later have no parameters yet."""


BARE: tuple[Stage, ...] = ("offset", "pose", "pattern")
"""Stages without materials."""


@dataclass(frozen=True)
class StageTrial:
    """How a stage did on users that it was not fitted to.

    Attributes:
        stage: The stage.
        kept: Whether it was kept.
        nats_per_tap: Gain of log-likelihood of a tap over the stages kept before; NaN where nothing judged.
        power_before_db: Mean absolute error of the users' powers with the stages kept before, dB.
        power_after_db: The same with this stage.
        why: A sentence.
    """

    stage: Stage
    kept: bool
    nats_per_tap: float
    power_before_db: float
    power_after_db: float
    why: str


@dataclass(frozen=True)
class _LeftOut:
    """What fits without a fold say of its blocks.

    Attributes:
        nats: (B,) mean log-likelihood of a tap of each block.
        error_db: (B,) mean absolute error of its users' powers, dB.
        users: (B,) users of each block.
    """

    nats: Float[np.ndarray, " blocks"]
    error_db: Float[np.ndarray, " blocks"]
    users: Float[np.ndarray, " blocks"]


@dataclass(frozen=True, eq=False)
class Climb:
    """What a calibration stage after stage found.

    Attributes:
        fit: The fit of the stages that were kept.
        held: Stages that were held in it.
        plain: The fit of the offset alone.
        bare: The fit of the stages before any of materials.
        trials: How each stage did.
        folds: Numbers of the blocks of each fold that judged them; none where there are too few blocks.
    """

    fit: Fit
    held: tuple[Stage, ...]
    plain: Fit
    bare: Fit
    trials: tuple[StageTrial, ...]
    folds: tuple[np.ndarray, ...]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that were kept."""
        return tuple(trial.stage for trial in self.trials if trial.kept)


def climb(scorer: Scorer, free: Sequence[Parameter], stages: Sequence[Stage], start_db: float, seed: int) -> Climb:
    """Fit stage after stage, and keep those that explain left-out users better.

    Args:
        scorer: The taps of the users to fit.
        free: The parameters.
        stages: Stages that are asked for.
        start_db: Constant of the power to begin with, dB.
        seed: Seed of the folds.
    """
    known: list[Parameter] = []
    spare: list[Parameter] = []
    best: Fit | None = None
    plain: Fit | None = None
    bare: Fit | None = None
    held: tuple[Stage, ...] = ()
    before: _LeftOut | None = None
    trials: list[StageTrial] = []
    folds = _folds(scorer.blocks, seed)
    for stage in STAGES:
        new = [p for p in free if p.stage == stage]
        if stage not in stages or not new:
            continue
        tried = [*known, *spare, *new]
        start = np.zeros(len(tried))
        nuisance = scorer.nuisance()
        if best is None:
            start[:] = [start_db if p.what == "offset_db" else 0.0 for p in tried]
        else:
            start[: len(known)], nuisance = best.theta, best.nuisance
        for kind in _slab_stages(stage, spare):
            start = scanned(scorer, tried, start, nuisance, 1.0 if best is None else best.dispersion, kind)
        fit = scorer.fit(tried, start, nuisance, HELD[stage], ROUNDS)
        after = left_out(scorer, fit, HELD[stage], folds)
        trial = _judged(stage, before, after)
        trials.append(trial)
        plain = plain or fit
        if trial.kept:
            if spare:
                trials[-2] = replace(trials[-2], kept=True, why="kept together with buildings, though not alone")
            best, held, known, before, spare = fit, HELD[stage], tried, after, []
            bare = fit if bare is None or stage in BARE else bare
        elif stage == "materials":
            spare = new  # buildings vary about their classes, and may be right where all of a class together is not
    if best is None or plain is None or bare is None:
        raise SiteTwinError("no parameter is free: all priors have no width, or no path meets a material")
    return Climb(best, held, plain, bare, tuple(trials), tuple(folds))


def _slab_stages(stage: Stage, spare: Sequence[Parameter]) -> tuple[Stage, ...]:
    """The stages whose slabs are scanned before a stage is fitted."""
    if stage not in ("materials", "buildings"):
        return ()
    return ("materials", "buildings") if spare else (stage,)


def left_out(scorer: Scorer, fit: Fit, held: Sequence[Stage], folds: Sequence[np.ndarray]) -> _LeftOut | None:
    """Scores of each fold of blocks under the fit without it; None where there are too few blocks."""
    if not folds:
        return None
    parameters, block = list(fit.parameters), scorer.block_of_user()
    nats, error, users = (np.zeros(scorer.blocks) for _ in range(3))
    for fold, theta in zip(folds, scorer.without(fit, held, folds), strict=True):
        law = scorer.law(parameters, theta)
        inside = np.isin(scorer.block, fold)
        each = scores(scorer.observed, law, fit.nuisance).each
        count = np.bincount(scorer.block[inside], minlength=scorer.blocks)
        total = np.bincount(scorer.block[inside], each[inside], scorer.blocks)
        nats[fold] = (total / np.maximum(count, 1))[fold]
        away = powers_away(scorer, law.signal)
        fine = np.isfinite(away) & np.isin(block, fold)
        count = np.bincount(block[fine], minlength=scorer.blocks)
        total = np.bincount(block[fine], np.abs(away[fine]), scorer.blocks)
        error[fold], users[fold] = (total / np.maximum(count, 1))[fold], count[fold]
    return _LeftOut(nats, error, users)


def powers_away(scorer: Scorer, signal: Float[np.ndarray, " taps"]) -> Float[np.ndarray, " users"]:
    """(U,) error in dB of each user's power in the taps that are compared; NaN where it is lost in the noise."""
    twin, rows = scorer.twin, np.flatnonzero(scorer.kept)
    user, count = twin.user[rows], len(twin.profiles)
    measured = np.bincount(user, twin.profiles.power.reshape(-1)[twin.rows[rows]] - twin.noise[rows], count)
    traced = np.bincount(user, signal, count)
    away, fine = np.full(count, math.nan), (measured > 0) & (traced > 0)
    away[fine] = 10 * np.log10(traced[fine] / measured[fine])
    return away


def _folds(blocks: int, seed: int) -> list[np.ndarray]:
    """Numbers of the blocks of each fold; none where there are too few blocks."""
    if blocks < _FEWEST_BLOCKS:
        return []
    order = np.random.default_rng([seed, 1]).permutation(blocks)
    return [np.sort(order[at :: min(_FOLDS, blocks)]) for at in range(min(_FOLDS, blocks))]


def _judged(stage: Stage, before: _LeftOut | None, after: _LeftOut | None) -> StageTrial:
    """Whether a stage is kept: neither taps nor powers of left-out users may be clearly worse, by a standard error.

    Buildings have many parameters: they must make left-out taps likelier, and that by two standard errors, or powers
    better by one. Pose and pattern have few, whose posteriors say what is told of them; they are kept.
    """
    none = math.nan
    if after is None or not after.users.any():
        return StageTrial(stage, True, none, none, none, "too few users and blocks judge it")
    if before is None:
        return StageTrial(stage, True, none, none, _mean(after.error_db, after.users)[0], "it is always fitted")
    gain, noise = _mean(after.nats - before.nats, after.users)
    worse, spread = _mean(after.error_db - before.error_db, after.users)
    powers = [_mean(one.error_db, one.users)[0] for one in (before, after)]
    found = StageTrial(stage, True, gain, powers[0], powers[1], "left-out users are explained better")
    if stage in ("pose", "pattern"):
        return found if gain > 0 else replace(found, why="it is always fitted")
    if gain <= (0.0 if stage == "buildings" else -noise):
        return replace(found, kept=False, why="left-out taps are less likely with it")
    if worse > max(spread, _NO_MATTER_DB):
        return replace(found, kept=False, why="powers of left-out users are worse with it")
    if stage == "buildings" and gain <= _CLEAR * noise and worse >= -spread:
        return replace(found, kept=False, why="left-out users are not clearly better explained with it")
    return found if gain > 0 else replace(found, why="left-out users are explained no worse")


def _mean(values: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Weighted mean over blocks and its standard error; NaN where no user's power stands out of the noise."""
    if not weight.any():
        return math.nan, math.nan
    share = weight / weight.sum()
    mean = float(share @ values)
    return mean, float(np.sqrt((share**2) @ np.square(values - mean) * len(values) / (len(values) - 1)))
