"""Trainings and tests of one seed of the CSI study, in two parts: the KLT with the controls, and the networks.

Seeds and parts are independent of each other: each can run in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sitetwin.learn import (
    COSINE,
    COSINE_REFINEMENT,
    PAPER,
    PAPER_REFINEMENT,
    Codec,
    KltCodec,
    NeuralCodec,
    RefinementConfig,
    Schedule,
    Selection,
    TwinLookupCodec,
    UniformQuantiser,
    ZeroCodec,
    adaptive_codec,
    csinet_plus,
    data_hash,
    fit_klt,
    global_klt,
    nmse,
    reconstruct,
    refine,
    select_highest_nmse,
    select_k_centre,
    select_random,
    sgcs,
    to_db,
    train,
)
from sitetwin.studies.csi.config import HEADLINE_CASE, CsiStudy

KLT, ADAPTIVE, CSINET = "KLT mixture", "adaptive codec", "CSINet+"
ALL_SOURCES = ("twin", "wrong_site", "target")
SGCS_SUBCARRIERS = 32  # evenly over the band: as many as there are taps, which fixes the response
LOOKUP_ENTRIES = 2048
ADAPTIVE_REFINE_STEPS = 2_000
"""From here on a refinement of the adaptive codec counts as converged: ten passes, the length of `COSINE_REFINEMENT`,
over the largest set, 10,240 samples of the twin and 1280 of a target in batches of 64, make 1800 steps."""
LOOKUP = "nearest twin sample, one complex gain"
FROZEN_NAIVE = "naive, high NMSE, frozen batch-norm"
PARTS = ("klt", "networks")
Case = tuple[str, str]
"""A target and a split, for instance ("target_b", "blocks")."""


@dataclass(frozen=True, eq=False)
class CaseData:
    """CSI of one case: normalised matrices (N, taps, antennas) complex64, and the block and engine of test users."""

    train: Tensor
    test: Tensor
    block: Tensor
    by_other_engine: Tensor


@dataclass(frozen=True, eq=False)
class SeedData:
    """Everything that one seed needs: training matrices of twin and wrong site, and the cases."""

    seed: int
    twin: Tensor
    wrong_site: Tensor
    cases: dict[Case, CaseData]

    def hash(self) -> str:
        """SHA-256 of all matrices."""
        cases = [t for data in self.cases.values() for t in (data.train, data.test)]
        return data_hash(self.twin, self.wrong_site, *cases)


@dataclass
class SeedResult:
    """What one part of one seed measured, JSON-serialisable; `seconds` alone cannot repeat.

    `data` is the hash of the CSI that it was measured on.
    `errors` holds the per-user NMSE (linear) of the models that are compared pairwise, by label, target and split;
    `blocks` the spatial block of the same users, by target and split.
    """

    seed: int
    part: str
    data: str
    curves: list[dict[str, Any]] = field(default_factory=list)
    refinement: list[dict[str, Any]] = field(default_factory=list)
    controls: list[dict[str, Any]] = field(default_factory=list)
    errors: dict[str, list[float]] = field(default_factory=dict)
    blocks: dict[str, list[int]] = field(default_factory=dict)
    cdf: list[dict[str, Any]] = field(default_factory=list)
    methods: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


class SeedRun:
    """One part of one seed, start to end.

    Args:
        study: The configuration.
        data: CSI of this seed.
        part: "klt" or "networks".
        models: Folder where trained networks are kept by the hash of their configuration.
        tell: Called with the share of the trainings and tests that are done, 0..1.
    """

    def __init__(self, study: CsiStudy, data: SeedData, part: str, models: Path, tell: Callable[[float], None]) -> None:
        self.study, self.data, self.models, self.tell = study, data, models, tell
        self.result = SeedResult(data.seed, part, data.hash())
        self.errors: dict[tuple[str, Case], Tensor] = {}
        self._tests_done = 0

    def run(self) -> SeedResult:
        """Measure everything of this part."""
        if self.result.part == "klt":
            self._controls()
            self._refine_klt(self._curves(KLT, self._fit_klt, self.study.evaluation.train_sizes))
        else:
            sizes = self.study.models.adaptive_train_sizes
            self._refine_adaptive(self._curves(ADAPTIVE, self._fit_adaptive, sizes))
            self._csinet()
        self._keep_errors()
        return self.result

    def _curves(self, name: str, fit: Callable[[Tensor, str], Codec], sizes: tuple[int, ...]) -> Codec:
        """All points of a codec's curves; returns the twin's codec at the largest size."""
        twin = [self._curve_point(name, fit, size, ALL_SOURCES) for size in sizes][-1]
        self._note_quantised(name, twin)
        return twin

    # -- one model -----------------------------------------------------------------------------------------------

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.data.seed)

    def _fit_klt(self, x: Tensor, what: str) -> Codec:
        return fit_klt(x, self._generator())

    def _fit_adaptive(self, x: Tensor, what: str) -> Codec:
        schedule = _with_steps(COSINE, self.study.models.adaptive_steps)
        return self._train(lambda generator: adaptive_codec(x, generator), x, schedule, f"{ADAPTIVE}, {what}")

    def _fit_csinet(self, x: Tensor, what: str) -> Codec:
        schedule = _with_epochs(PAPER, self.study.models.csinet_epochs)
        return self._train(csinet_plus, x, schedule, f"{CSINET}, {what}")

    def _train(
        self, make: Callable[[torch.Generator], NeuralCodec], x: Tensor, schedule: Schedule, what: str
    ) -> NeuralCodec:
        generator = self._generator()
        codec = make(generator)
        outcome = train(
            codec,
            x,
            schedule,
            generator,
            folder=self.models,
        )
        self.result.seconds[f"train {what}"] = outcome.history.seconds
        return codec.eval()

    # -- curves --------------------------------------------------------------------------------------------------

    def _curve_point(
        self, name: str, fit: Callable[[Tensor, str], Codec], size: int, sources: tuple[str, ...]
    ) -> Codec:
        """Train on `size` samples of each source and test in every case; returns the twin's codec."""
        twin = fit(self.data.twin[:size], f"twin, {size} samples")
        self._note_method(name, twin)
        for case, data in self.data.cases.items():
            self._note_curve(name, "twin", size, case, twin, data)
        if "wrong_site" in sources and size == max(self.study.evaluation.train_sizes):
            wrong = fit(self.data.wrong_site[:size], f"wrong site, {size} samples")
            for case, data in self.data.cases.items():
                self._note_curve(name, "wrong_site", size, case, wrong, data)
        for case, data in self.data.cases.items():
            real = fit(data.train[:size], f"{case[0]}, {case[1]}, {size} samples")
            self._note_curve(name, "target", size, case, real, data)
        return twin

    def _note_curve(self, name: str, source: str, size: int, case: Case, codec: Codec, data: CaseData) -> None:
        largest = size == max(self.study.evaluation.train_sizes) or name == CSINET
        error, figures = self._test(codec, data, with_sgcs=largest)
        if largest:
            self._note_cdf(f"{name}, {source.replace('_', ' ')}, {size}", case, error)
        self.errors[f"{name}, {source}, {size}", case] = error
        label = {"target": case[0], "split": case[1], "codec": name, "source": source, "n_train": size}
        self.result.curves.append({**label, "converged": self._converged(name), **figures})

    def _test(self, codec: Codec, data: CaseData, with_sgcs: bool = True) -> tuple[Tensor, dict[str, float]]:
        """Per-user NMSE and its summaries."""
        errors, similarities = [], []
        for part in data.test.split(2048):  # small enough to stay near the caches from one figure to the next
            recovered = reconstruct(codec, part)
            errors.append(nmse(part, recovered))
            if with_sgcs:
                similarities.append(sgcs(part, recovered, SGCS_SUBCARRIERS))
        error = torch.cat(errors)
        self._tests_done += 1
        self.tell(min(1.0, self._tests_done / self._tests_planned()))
        figures = {
            "nmse_db": to_db(error.mean()),
            "median_db": to_db(error.median()),
            "p95_db": to_db(error.quantile(0.95)),
        }
        if with_sgcs:
            figures["sgcs"] = float(torch.cat(similarities).mean())
        if data.by_other_engine.any():
            figures["nmse_other_engine_db"] = to_db(error[data.by_other_engine].mean())
        return error, figures

    def _tests_planned(self) -> int:
        """How many models this part tests: the measure of progress."""
        evaluation, models, cases = self.study.evaluation, self.study.models, len(self.data.cases)
        sizes = evaluation.train_sizes if self.result.part == "klt" else models.adaptive_train_sizes
        tests = (2 * len(sizes) + 1) * cases + len(evaluation.refined) * (1 + 3 * len(evaluation.refine_sizes))
        if self.result.part == "klt":
            return tests + 3 * cases
        refinements = len(models.csinet_refine_sizes)
        csinet = len(models.csinet_train_sizes) * (2 + (1 + 4 * refinements if refinements else 0))
        return tests + csinet * (self.data.seed in evaluation.seeds[: models.csinet_seeds])

    def _converged(self, name: str) -> bool:
        """Whether a codec was trained to its end.

        The KLT is a closed form; CSINet+ counts as converged at its published 160 epochs, the adaptive codec at as many
        gradient steps as these take with 5120 samples (25,600).
        """
        models = self.study.models
        return {KLT: True, ADAPTIVE: models.adaptive_steps >= 25_600, CSINET: models.csinet_epochs >= 160}[name]

    def _refinement_converged(self, name: str) -> bool:
        """Whether a refined codec was trained to its end both before and in the refinement."""
        models = self.study.models
        refined = {
            KLT: True,
            ADAPTIVE: models.adaptive_refine_steps >= ADAPTIVE_REFINE_STEPS,
            CSINET: models.csinet_refine_epochs >= PAPER_REFINEMENT.epochs,
        }
        return self._converged(name) and refined[name]

    # -- refinement ----------------------------------------------------------------------------------------------

    def _refine_klt(self, base: Codec) -> None:
        assert isinstance(base, KltCodec)
        trained = max(self.study.evaluation.train_sizes)
        for case, data, pool in self._pools():
            self._note_refined(KLT, trained, "none", None, case, base, data)
            for count in self.study.evaluation.refine_sizes:
                choices = {
                    "closed form, random": select_random(pool, count, self._generator()),
                    "closed form, high NMSE": select_highest_nmse(base, pool, count),
                    "closed form, residual k-centre": select_k_centre(base, pool, count),
                }
                for method, chosen in choices.items():
                    self._note_refined(KLT, trained, method, chosen, case, base.update(pool[chosen.rows]), data)

    def _refine_adaptive(self, base: Codec) -> None:
        models = self.study.models
        schedule = _with_steps(COSINE_REFINEMENT, models.adaptive_refine_steps)
        trained = models.adaptive_train_sizes[-1]
        self._refine_network(ADAPTIVE, base, trained, schedule, self.study.evaluation.refine_sizes)

    def _refine_network(self, name: str, base: Codec, trained: int, schedule: Schedule, sizes: tuple[int, ...]) -> None:
        """Refine a network that was trained on the first `trained` samples of the twin."""
        assert isinstance(base, NeuralCodec)
        for case, data, pool in self._pools():
            self._note_refined(name, trained, "none", None, case, base, data)
            for count in sizes:
                drawn = select_random(pool, count, self._generator())
                worst = select_highest_nmse(base, pool, count)
                runs = [
                    ("naive, random", drawn, RefinementConfig(rehearsal=False, schedule=schedule)),
                    ("naive, high NMSE", worst, RefinementConfig(rehearsal=False, schedule=schedule)),
                    ("rehearsal, high NMSE", worst, RefinementConfig(rehearsal=True, schedule=schedule)),
                ]
                if name == CSINET:  # the one network with batch normalisation, whose statistics few samples shift
                    frozen = RefinementConfig(rehearsal=False, frozen_batchnorm=True, schedule=schedule)
                    runs.insert(2, (FROZEN_NAIVE, worst, frozen))
                for method, chosen, config in runs:
                    what = f"{name} of {trained} samples, {method}, {count} samples of {case[0]}, {case[1]}"
                    refined, outcome = refine(
                        base,
                        pool[chosen.rows],
                        self._generator(),
                        config,
                        twin=self.data.twin[:trained] if config.rehearsal else None,
                        folder=self.models,
                    )
                    self.result.seconds[f"refine {what}"] = outcome.history.seconds
                    self._note_refined(name, trained, method, chosen, case, refined.eval(), data)

    def _pools(self) -> Iterator[tuple[Case, CaseData, Tensor]]:
        for case in self.study.evaluation.refined:
            if case in self.data.cases:
                data = self.data.cases[case]
                yield case, data, data.train[: self.study.evaluation.pool]

    def _note_refined(
        self, name: str, trained: int, method: str, chosen: Selection | None, case: Case, codec: Codec, data: CaseData
    ) -> None:
        count = chosen.uploads if chosen else 0
        error, figures = self._test(codec, data)
        label = refined_label(name, trained, method, count)
        self.errors[label, case] = error
        if count == min(self.study.evaluation.refine_sizes):
            self._note_cdf(label, case, error)
        unrefined = self.errors[refined_label(name, trained, "none", 0), case]
        self.result.refinement.append(
            {
                "target": case[0],
                "split": case[1],
                "codec": name,
                "n_train": trained,
                "method": method,
                "n_real": count,
                "full_uploads": count,
                "examined": chosen.examined if chosen else 0,
                "converged": self._refinement_converged(name) if chosen else self._converged(name),
                **figures,
                "gain_db": to_db(unrefined.mean()) - figures["nmse_db"],
            }
        )

    # -- CSINet+ -------------------------------------------------------------------------------------------------

    def _csinet(self) -> None:
        models = self.study.models
        if self.data.seed not in self.study.evaluation.seeds[: models.csinet_seeds]:
            return
        every_case = self.data.cases
        self.data = SeedData(self.data.seed, self.data.twin, self.data.wrong_site, _headline_only(every_case))
        for size in models.csinet_train_sizes:
            base = self._curve_point(CSINET, self._fit_csinet, size, ("twin", "target"))
            if self._converged(CSINET):
                self._note_quantised(CSINET, base)
            if models.csinet_refine_sizes:
                schedule = _with_epochs(PAPER_REFINEMENT, models.csinet_refine_epochs)
                self._refine_network(CSINET, base, size, schedule, models.csinet_refine_sizes)
        self.data = SeedData(self.data.seed, self.data.twin, self.data.wrong_site, every_case)

    # -- controls, costs, comparisons ------------------------------------------------------------------------------

    def _controls(self) -> None:
        size = min(LOOKUP_ENTRIES, max(self.study.evaluation.train_sizes))
        shape = (self.data.twin.shape[1], self.data.twin.shape[2])
        codecs: list[tuple[str, Codec]] = [
            ("zero", ZeroCodec(shape)),
            (LOOKUP, TwinLookupCodec(self.data.twin[:size])),
            ("global KLT, twin", global_klt(self.data.twin)),
        ]
        for name, codec in codecs:
            costs = codec.costs()
            feedback = f"{costs.reals} reals and {costs.index_bits} index bits"
            for case, data in self.data.cases.items():
                error, figures = self._test(codec, data)
                self.errors[name, case] = error
                label = {"name": name, "target": case[0], "split": case[1], "feedback": feedback}
                self.result.controls.append({**label, **figures})

    def _note_method(self, name: str, codec: Codec) -> None:
        """Costs of the largest model of each codec."""
        self.result.methods = [m for m in self.result.methods if m["name"] != name]
        costs = codec.costs()
        row: dict[str, Any] = {
            "name": name,
            "feedback_reals": costs.reals,
            "index_bits": costs.index_bits,
            "parameters_ue": costs.parameters_ue,
            "parameters_bs": costs.parameters_bs,
            "macs_ue": costs.macs_ue,
            "macs_bs": costs.macs_bs,
            "memory_ue_bytes": costs.bytes_ue,
            "note": "" if self._converged(name) else "not converged: trained far shorter than published",
        }
        self.result.methods.append(row)

    def _note_quantised(self, name: str, codec: Codec) -> None:
        """NMSE in the headline's case when the code is quantised to the bits of the budget."""
        (case, data), *_ = _headline_only(self.data.cases).items()
        quantiser = UniformQuantiser.fit(codec, self.data.twin[:2048])
        error = nmse(data.test, reconstruct(codec, data.test, quantiser))
        row = next(m for m in self.result.methods if m["name"] == name)
        row |= {
            "quantised_nmse_db": to_db(error.mean()),
            "quantised_bits": codec.budget.bits,
            "quantised_case": list(case),
        }

    def _note_cdf(self, label: str, case: Case, error: Tensor) -> None:
        probability = torch.linspace(0, 1, 101, dtype=torch.float64)
        decibel = 10 * torch.log10(error.double().quantile(probability).clamp_min(1e-12))
        self.result.cdf.append(
            {
                "label": label,
                "target": case[0],
                "split": case[1],
                "nmse_db": [round(v, 4) for v in decibel.tolist()],
                "probability": [round(v, 2) for v in probability.tolist()],
            }
        )

    def _keep_errors(self) -> None:
        """Per-user errors of the models that are compared with others on the same users."""
        wanted = {label for pair in compared_pairs(self.study) for label in pair}
        for (label, case), error in self.errors.items():
            if label in wanted:
                key = case_key(case)
                self.result.errors[f"{label} @ {key}"] = [float(f"{e:.6g}") for e in error.tolist()]
                self.result.blocks[key] = self.data.cases[case].block.tolist()


def case_key(case: Case) -> str:
    """A case as one word."""
    return "/".join(case)


def refined_label(name: str, trained: int, method: str, count: int) -> str:
    """A codec trained on `trained` samples of the twin and refined with `count` of the target, in words."""
    return f"{name}, twin, {trained}, {method}, {count}"


def compared_pairs(study: CsiStudy) -> list[tuple[str, str]]:
    """Labels of the models whose errors are compared on the same users."""
    largest, few = max(study.evaluation.train_sizes), min(study.evaluation.refine_sizes)
    small = study.models.adaptive_train_sizes[-1]

    def updated(count: int) -> str:
        return refined_label(KLT, largest, "closed form, high NMSE", count)

    pairs = [
        (f"{KLT}, twin, {largest}", f"{ADAPTIVE}, twin, {largest}"),
        (f"{KLT}, twin, {largest}", f"{KLT}, wrong_site, {largest}"),
        (f"{KLT}, twin, {largest}", f"{KLT}, target, {largest}"),
        (f"{KLT}, twin, {largest}", LOOKUP),
        (updated(few), refined_label(KLT, largest, "none", 0)),
        (updated(few), refined_label(ADAPTIVE, small, "rehearsal, high NMSE", few)),
    ]
    for size in study.models.csinet_train_sizes:
        pairs += [(f"{name}, twin, {size}", f"{CSINET}, twin, {size}") for name in (KLT, ADAPTIVE)]
        for count in study.models.csinet_refine_sizes:
            pairs.append((updated(count), refined_label(CSINET, size, "rehearsal, high NMSE", count)))
    return pairs


def _headline_only(cases: dict[Case, CaseData]) -> dict[Case, CaseData]:
    """The headline's case: target B in spatial blocks."""
    return {case: data for case, data in cases.items() if case == HEADLINE_CASE}


def _with_steps(schedule: Schedule, steps: int) -> Schedule:
    return Schedule(**{**vars(schedule), "steps": steps})


def _with_epochs(schedule: Schedule, epochs: int) -> Schedule:
    """The published schedule, its milestones kept at their share of a shorter run."""
    milestones = tuple(max(1, round(m * epochs / schedule.epochs)) for m in schedule.milestones)
    score = min(schedule.score_epochs, epochs)
    return Schedule(**{**vars(schedule), "epochs": epochs, "milestones": milestones, "score_epochs": score})
