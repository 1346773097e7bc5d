"""The codecs of the CSI study, each as one entry: everything that the study says or does about a codec stands here.

A new codec is a class of `sitetwin.learn.CsiCodec` in a file of its own, and an entry of `CODECS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn import (
    COSINE,
    COSINE_REFINEMENT,
    PAPER,
    PAPER_REFINEMENT,
    AdaptiveCodec,
    Codec,
    CsiCodec,
    CsiNetPlus,
    KltCodec,
    RefinementConfig,
    Schedule,
    Selection,
    select_highest_nmse,
    select_k_centre,
    select_random,
)
from sitetwin.studies.frame import Frozen

Case = tuple[str, str]
"""A target and a split, for instance ("target_b", "blocks")."""

HEADLINE_CASE: tuple[Literal["target_b"], Literal["blocks"]] = ("target_b", "blocks")
"""Target and split of the headline, named before any run."""

PUBLISHED_CASE: tuple[Literal["target_a"], Literal["random"]] = ("target_a", "random")
"""Target and split of the papers."""

RANDOM, WORST, SPREAD = "random", "high NMSE", "residual k-centre"
"""Names of the rules that choose target samples."""


_ALONE = 1e6  # weight of a target sample beside which a twin sample does not count
_MOST_SPREAD = 640  # samples: the residual k-centre takes as long for each as a pass over the pool


class Plan(Frozen):
    """How one codec takes part in a study.

    Attributes:
        train_sizes: Training set sizes of its curves. None stands for those of the evaluation.
        refine_sizes: Numbers of target samples in its refinement; empty for none, None for those of the evaluation.
        effort: Length of a training, in the unit that the codec's entry names; 0 for a closed form.
        refine_effort: Length of a refinement.
        seeds: How many of the study's seeds it runs; None for all, 0 where it takes no part.
        cases: Targets and splits in which it runs; None for all.
        naive: Whether a codec that is refined in closed form is also refined naively, with target samples alone.
    """

    train_sizes: tuple[int, ...] | None = None
    refine_sizes: tuple[int, ...] | None = None
    effort: int = 0
    refine_effort: int = 0
    seeds: int | None = None
    cases: tuple[Case, ...] | None = None
    naive: bool = False


@dataclass(frozen=True)
class Refinement:
    """One way to refine a codec with target samples.

    Attributes:
        how: Its name without the rule that chooses the samples, as "closed form".
        rule: That rule: `RANDOM`, `WORST` or `SPREAD`.
        update: Makes the refined codec of a base, target samples and a generator.
        remark: Follows the rule in the name, where two refinements share the rest.
        most: Largest number of samples that it is run with; None for any.
    """

    how: str
    rule: str
    update: Callable[[CsiCodec, Tensor, torch.Generator], CsiCodec]
    remark: str = ""
    most: int | None = None

    @property
    def method(self) -> str:
        """Its name in the results."""
        return f"{self.how}, {self.rule}{self.remark}"


@dataclass(frozen=True)
class CodecEntry:
    """A codec as the study runs it and as the results name it.

    Attributes:
        name: Name in the results and their tables.
        in_words: The name in the midst of a sentence.
        family: Codecs of one family run one after the other in one process, see `FAMILIES`.
        plans: How it takes part, by profile.
        build: The codec before it is fitted, of a plan and the folder of trained weights.
        refinements: Ways to refine it under a plan, in the order of the results.
        compared: The method, of those, that is set against the headline's.
        unit: Unit of the effort, as "epochs".
        full_effort: Effort from which on a training counts as converged.
        full_refine_effort: Effort of a whole refinement.
        sources: What it is trained on: "twin", "wrong_site", "target".
        note: What the results say about it.
    """

    name: str
    in_words: str
    family: str
    plans: dict[str, Plan]
    build: Callable[[Plan, Path], CsiCodec]
    refinements: Callable[[Plan], tuple[Refinement, ...]]
    compared: str
    unit: str = ""
    full_effort: int = 0
    full_refine_effort: int = 0
    sources: tuple[str, ...] = ("twin", "wrong_site", "target")
    note: str = ""

    def converged(self, plan: Plan) -> bool:
        """Whether it is trained to its end under a plan."""
        return plan.effort >= self.full_effort

    def refinement_converged(self, plan: Plan) -> bool:
        """Whether it is trained to its end both before and in its refinement."""
        return self.converged(plan) and plan.refine_effort >= self.full_refine_effort


def choose(rule: str, base: Codec, pool: Tensor, count: int, generator: torch.Generator) -> Selection:
    """Choose target samples by the rule of that name.

    Args:
        rule: `RANDOM`, `WORST` or `SPREAD`.
        base: The codec that is to be refined.
        pool: Matrices of the target's training users.
        count: How many.
        generator: Source of randomness of the random rule.
    """
    if rule == RANDOM:
        return select_random(pool, count, generator)
    return {WORST: select_highest_nmse, SPREAD: select_k_centre}[rule](base, pool, count)


def with_epochs(schedule: Schedule, epochs: int) -> Schedule:
    """The published schedule, milestones and scored epochs kept at their share of a shorter run."""
    milestones = tuple(max(1, round(m * epochs / schedule.epochs)) for m in schedule.milestones)
    scored = max(1, round(schedule.score_epochs * epochs / schedule.epochs))
    return replace(schedule, epochs=epochs, milestones=milestones, score_epochs=scored)


def _in_closed_form(plan: Plan) -> tuple[Refinement, ...]:
    """Updates of subspaces; the naive one fits the zones that samples touch to these alone, as naive tuning does."""

    def union(base: CsiCodec, x: Tensor, rng: torch.Generator) -> CsiCodec:
        return base.update(x, rng)

    def alone(base: CsiCodec, x: Tensor, rng: torch.Generator) -> CsiCodec:
        return base.update(x, rng, weight=_ALONE)  # type: ignore[call-arg]

    both = (Refinement("closed form", RANDOM, union), Refinement("closed form", WORST, union))
    spread = Refinement("closed form", SPREAD, union, most=_MOST_SPREAD)
    naive = (Refinement("naive closed form", RANDOM, alone), Refinement("naive closed form", WORST, alone))
    return (*both, spread, *(naive if plan.naive else ()))


def _by_training(schedule: Schedule, batch_norm: bool) -> tuple[Refinement, ...]:
    """Naive fine-tuning and rehearsal; where there is batch normalisation, also with its statistics kept."""

    def refinement(how: str, rule: str, config: RefinementConfig, remark: str = "") -> Refinement:
        return Refinement(how, rule, lambda base, x, rng: base.update(x, rng, refinement=config), remark)  # type: ignore[call-arg]

    naive = RefinementConfig(rehearsal=False, schedule=schedule)
    frozen = replace(naive, frozen_batchnorm=True)
    return (
        refinement("naive", RANDOM, naive),
        refinement("naive", WORST, naive),
        *([refinement("naive", WORST, frozen, ", frozen batch-norm")] if batch_norm else []),
        refinement("rehearsal", WORST, RefinementConfig(rehearsal=True, schedule=schedule)),
    )


KLT = CodecEntry(
    name="KLT mixture",
    in_words="the KLT mixture",
    family="klt",
    plans={"demo": Plan(), "quick": Plan(), "paper": Plan(naive=True), "full": Plan()},
    build=lambda plan, folder: KltCodec(),
    refinements=_in_closed_form,
    compared=f"closed form, {WORST}",
)

ADAPTIVE = CodecEntry(
    name="adaptive codec",
    in_words="the adaptive codec",
    family="networks",
    plans={
        "demo": Plan(seeds=0),
        "quick": Plan(train_sizes=(640, 5120), effort=100, refine_effort=50),
        "paper": Plan(effort=25_600, refine_effort=2_000),
        "full": Plan(effort=25_600, refine_effort=2_000),
    },
    build=lambda plan, folder: AdaptiveCodec(schedule=replace(COSINE, steps=plan.effort), checkpoints=folder),
    refinements=lambda plan: _by_training(replace(COSINE_REFINEMENT, steps=plan.refine_effort), batch_norm=False),
    compared=f"rehearsal, {WORST}",
    unit="steps",
    full_effort=25_600,  # as many as CSINet+ takes for 5120 samples by its published schedule
    # Ten passes, the length of COSINE_REFINEMENT, over the largest set, 10,240 samples of the twin and 1280 of a
    # target in batches of 64, make 1800 steps.
    full_refine_effort=2_000,
)

CSINET = CodecEntry(
    name="CSINet+",
    in_words="CSINet+",
    family="networks",
    plans={
        "demo": Plan(seeds=0),
        "quick": Plan(train_sizes=(640,), refine_sizes=(), effort=1, seeds=1, cases=(HEADLINE_CASE,)),
        "paper": Plan(
            train_sizes=(5120,),
            refine_sizes=(10, 40, 160),
            effort=160,
            refine_effort=100,
            seeds=1,
            cases=(PUBLISHED_CASE, HEADLINE_CASE),
        ),
        "full": Plan(
            train_sizes=(10_240,),
            refine_sizes=(40, 640),
            effort=160,
            refine_effort=100,
            cases=(HEADLINE_CASE,),
        ),
    },
    build=lambda plan, folder: CsiNetPlus(with_epochs(PAPER, plan.effort), checkpoints=folder),
    refinements=lambda plan: _by_training(with_epochs(PAPER_REFINEMENT, plan.refine_effort), batch_norm=True),
    compared=f"rehearsal, {WORST}",
    unit="epochs",
    full_effort=PAPER.epochs,
    full_refine_effort=PAPER_REFINEMENT.epochs,
    sources=("twin", "target"),
    note="Naive refinement of CSINet+ is also shown with its batch normalisation kept at the twin's statistics: a few "
    "dozen samples shift these, which hurts for a reason that is not forgetting.",
)

CODECS = (KLT, ADAPTIVE, CSINET)
"""All codecs, in the order of the results."""

FAMILIES = ("klt", "networks")
"""Families of codecs: one process each. The first also runs the controls."""

HEADLINE_CODEC, HEADLINE_METHOD = KLT, KLT.compared
"""The one codec and refinement whose figure is the headline, named before any run."""


def plans_of(profile: str) -> dict[str, Plan]:
    """How each codec takes part in a profile, by name.

    Raises:
        SiteTwinError: There is no such profile.
    """
    known = tuple(KLT.plans)
    if profile not in known:
        raise SiteTwinError(f"there is no profile {profile!r}; choose one of {', '.join(known)}")
    return {entry.name: entry.plans[profile] for entry in CODECS}
