"""Trainings and tests of one seed of the CSI study, one family of codecs at a time.

Seeds and families are independent of each other: each can run in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sitetwin.learn import (
    Codec,
    CsiCodec,
    GlobalKltCodec,
    Selection,
    TwinLookupCodec,
    UniformQuantiser,
    ZeroCodec,
    nmse,
    reconstruct,
    sgcs,
    to_db,
)
from sitetwin.learn.finite import check_finite
from sitetwin.studies.csi.config import CsiStudy
from sitetwin.studies.csi.measurements import (
    LOOKUP,
    CaseData,
    SeedData,
    SeedResult,
    case_key,
    compared_pairs,
    refined_label,
    trained_label,
)
from sitetwin.studies.csi.published import Collection, bound_row, correlation_rows
from sitetwin.studies.csi.registry import (
    CODECS,
    FAMILIES,
    HEADLINE_CASE,
    PUBLISHED_CASE,
    RANDOM,
    WORST,
    Case,
    CodecEntry,
    Refinement,
    choose,
)
from sitetwin.studies.csi.results import UNREFINED

SGCS_SUBCARRIERS = 32  # evenly over the band: as many as there are taps, which fixes the response
LOOKUP_ENTRIES = 2048
CONTROLS = 3


class SeedRun:
    """One family of codecs on one seed, start to end.

    Args:
        study: The configuration.
        data: CSI of this seed.
        part: The family: one of `FAMILIES`.
        models: Folder where trained networks are kept by the hash of their configuration.
        tell: Called with the share of the trainings and tests that are done, 0..1.
    """

    def __init__(self, study: CsiStudy, data: SeedData, part: str, models: Path, tell: Callable[[float], None]) -> None:
        self.study, self.data, self.models, self.tell = study, data, models, tell
        self.result = SeedResult(data.seed, part, data.hash())
        self.errors: dict[tuple[str, Case], Tensor] = {}
        self._tests_done = 0

    def run(self) -> SeedResult:
        """Measure everything of this family."""
        if self.result.part == FAMILIES[0]:
            self._controls()
        for entry in self._entries():
            trained = {size: self._curve_point(entry, size) for size in self.study.train_sizes(entry)}
            if self.study.runs_all_seeds(entry):
                self._note_quantised(entry, list(trained.values())[-1])
            base = trained[self.study.base_size(entry)]
            self._refine(entry, base)
            if self._shows_published(entry):
                self._note_published(entry, base)
        self._keep_errors()
        return self.result

    def _entries(self) -> list[CodecEntry]:
        """Codecs of this family that run on this seed."""
        seed, part = self.data.seed, self.result.part
        return [entry for entry in CODECS if entry.family == part and seed in self.study.seeds_of(entry)]

    def _cases(self, entry: CodecEntry) -> dict[Case, CaseData]:
        """The data of the cases in which a codec runs."""
        wanted = self.study.plan(entry).cases
        return {case: data for case, data in self.data.cases.items() if wanted is None or case in wanted}

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.data.seed)

    # -- curves --------------------------------------------------------------------------------------------------

    def _fit(self, entry: CodecEntry, x: Tensor, what: str) -> CsiCodec:
        codec = entry.build(self.study.plan(entry), self.models).fit(x, self._generator())
        if codec.history is not None:
            self.result.seconds[f"train {entry.name}, {what}"] = codec.history.seconds
        return codec

    def _curve_point(self, entry: CodecEntry, size: int) -> CsiCodec:
        """Train on `size` samples of each source and test in every case; returns the twin's codec."""
        cases = self._cases(entry)
        twin = self._fit(entry, self.data.twin[:size], f"twin, {size} samples")
        self._note_method(entry, twin)
        for case, data in cases.items():
            self._note_curve(entry, "twin", size, case, twin, data)
        if self._trains_wrong_site(entry, size):
            wrong = self._fit(entry, self.data.wrong_site[:size], f"wrong site, {size} samples")
            for case, data in cases.items():
                self._note_curve(entry, "wrong_site", size, case, wrong, data)
        for case, data in cases.items():
            real = self._fit(entry, data.train[:size], f"{case[0]}, {case[1]}, {size} samples")
            self._note_curve(entry, "target", size, case, real, data)
        return twin

    def _trains_wrong_site(self, entry: CodecEntry, size: int) -> bool:
        """Whether a codec is trained on so many samples of the wrong site."""
        everywhere = self._shows_published(entry) or size == max(self.study.evaluation.train_sizes)
        return "wrong_site" in entry.sources and everywhere

    def _note_curve(self, entry: CodecEntry, source: str, size: int, case: Case, codec: Codec, data: CaseData) -> None:
        largest = size in (max(self.study.evaluation.train_sizes), self.study.train_sizes(entry)[-1])
        error, figures = self._test(codec, data, with_sgcs=largest)
        if largest:
            self._note_cdf(trained_label(entry.name, source.replace("_", " "), size), case, error)
        self.errors[trained_label(entry.name, source, size), case] = error
        label = {"target": case[0], "split": case[1], "codec": entry.name, "source": source, "n_train": size}
        converged = entry.converged(self.study.plan(entry))
        self.result.curves.append({**label, "converged": converged, **figures})

    def _test(self, codec: Codec, data: CaseData, with_sgcs: bool = True) -> tuple[Tensor, dict[str, float]]:
        """Per-user NMSE and its summaries."""
        errors, similarities = [], []
        for part in data.test.split(2048):  # small enough to stay near the caches from one figure to the next
            recovered = reconstruct(codec, part)
            errors.append(nmse(part, recovered))
            if with_sgcs:
                similarities.append(sgcs(part, recovered, SGCS_SUBCARRIERS))
        error = torch.cat(errors)
        check_finite(error, f"the NMSE with {type(codec).__name__}")
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
        """How many models this family tests: the measure of progress."""
        total = CONTROLS * len(self.data.cases) if self.result.part == FAMILIES[0] else 0
        for entry in self._entries():
            sizes, cases = self.study.train_sizes(entry), self._cases(entry)
            refined = [case for case in self.study.evaluation.refined if case in cases]
            methods = len(entry.refinements(self.study.plan(entry)))
            total += (2 * len(sizes) + sum(self._trains_wrong_site(entry, n) for n in sizes)) * len(cases)
            total += len(refined) * (1 + methods * len(self.study.refine_sizes(entry)))
        return total

    # -- refinement ----------------------------------------------------------------------------------------------

    def _refine(self, entry: CodecEntry, base: CsiCodec) -> None:
        """Refine a codec that was trained on the largest set of the twin."""
        sizes, trained = self.study.refine_sizes(entry), self.study.base_size(entry)
        cases = self._cases(entry)
        for case in (case for case in self.study.evaluation.refined if case in cases and sizes):
            data = cases[case]
            pool = data.train[: self.study.evaluation.pool]
            self._note_refined(entry, UNREFINED, None, case, base, data)
            refinements = entry.refinements(self.study.plan(entry))
            chosen = self._chosen(refinements, base, pool, sizes)
            for count in sizes:
                for refinement in (r for r in refinements if r.most is None or count <= r.most):
                    selection = chosen[refinement.rule].first(count)
                    refined = refinement.update(base, pool[selection.rows], self._generator())
                    if refined.history is not None:
                        what = f"{entry.name} of {trained} samples, {refinement.method}, {count} samples of"
                        self.result.seconds[f"refine {what} {case[0]}, {case[1]}"] = refined.history.seconds
                    self._note_refined(entry, refinement.method, selection, case, refined, data)

    def _chosen(
        self, refinements: tuple[Refinement, ...], base: CsiCodec, pool: Tensor, sizes: tuple[int, ...]
    ) -> dict[str, Selection]:
        """The largest selection of each rule; smaller ones are its first samples, whatever the rule."""
        most: dict[str, int] = {}
        for refinement in refinements:
            counts = [n for n in sizes if refinement.most is None or n <= refinement.most]
            most[refinement.rule] = max([most.get(refinement.rule, 0), *counts])
        return {rule: choose(rule, base, pool, count, self._generator()) for rule, count in most.items()}

    def _note_refined(
        self, entry: CodecEntry, method: str, chosen: Selection | None, case: Case, codec: Codec, data: CaseData
    ) -> None:
        count, plan = chosen.uploads if chosen else 0, self.study.plan(entry)
        trained = self.study.base_size(entry)
        error, figures = self._test(codec, data)
        label = refined_label(entry.name, trained, method, count)
        self.errors[label, case] = error
        if count == self.study.evaluation.few:
            self._note_cdf(label, case, error)
        unrefined = self.errors[refined_label(entry.name, trained, UNREFINED, 0), case]
        self.result.refinement.append(
            {
                "target": case[0],
                "split": case[1],
                "codec": entry.name,
                "n_train": trained,
                "method": method,
                "n_real": count,
                "full_uploads": count,
                "examined": chosen.examined if chosen else 0,
                "converged": entry.refinement_converged(plan) if chosen else entry.converged(plan),
                **figures,
                "gain_db": to_db(unrefined.mean()) - figures["nmse_db"],
            }
        )

    # -- what the paper shows beside its curves ---------------------------------------------------------------------

    def _shows_published(self, entry: CodecEntry) -> bool:
        """Whether the paper's other figures are measured with this codec: the fast ones, in the paper's case."""
        evaluation = self.study.evaluation
        return evaluation.published and entry.family == FAMILIES[0] and PUBLISHED_CASE in evaluation.cases

    def _note_published(self, entry: CodecEntry, base: CsiCodec) -> None:
        """Fig. 5 and the terms of eq. 10 on every seed; the loop of collection, which is long, on the first."""
        evaluation, data, name = self.study.evaluation, self.data.cases[PUBLISHED_CASE], entry.name
        pool, size = data.train[: evaluation.pool], self.study.base_size(entry)
        rules = {rule: choose(rule, base, pool, evaluation.correlated, self._generator()) for rule in (WORST, RANDOM)}
        chosen = {rule: pool[selection.rows] for rule, selection in rules.items()}
        self.result.correlation += correlation_rows(name, chosen, self.data.twin[:size])
        codecs: dict[str, Codec] = {
            "twin": base,
            "wrong_site": self._fit(entry, self.data.wrong_site[:size], "wrong site, for the bound"),
            "target": self._fit(entry, data.train[:size], "target, for the bound"),
        }
        if len(self.data.twin) > size:
            self.result.bound.append(bound_row(name, codecs, self.data.twin[size:], data.test))
        if self.data.seed == evaluation.seeds[0]:
            loop = Collection(
                name, base, pool, data.test,
                lambda codec, x: codec.update(x, self._generator()),
                evaluation.collected, evaluation.rounds,
            )  # fmt: skip
            self.result.collection += [row for eta in evaluation.thresholds_db for row in loop.rows(eta)]

    # -- controls, costs, comparisons ------------------------------------------------------------------------------

    def _controls(self) -> None:
        shape = (self.data.twin.shape[1], self.data.twin.shape[2])
        size = min(LOOKUP_ENTRIES, max(self.study.evaluation.train_sizes))
        codecs: list[tuple[str, CsiCodec]] = [
            ("zero", ZeroCodec(shape)),
            (LOOKUP, TwinLookupCodec(size).fit(self.data.twin)),
            ("global KLT, twin", GlobalKltCodec().fit(self.data.twin)),
        ]
        for name, codec in codecs:
            costs = codec.costs()
            feedback = f"{costs.reals} reals and {costs.index_bits} index bits"
            for case, data in self.data.cases.items():
                error, figures = self._test(codec, data)
                self.errors[name, case] = error
                label = {"name": name, "target": case[0], "split": case[1], "feedback": feedback}
                self.result.controls.append({**label, **figures})

    def _note_method(self, entry: CodecEntry, codec: CsiCodec) -> None:
        """Costs of the largest model of each codec."""
        self.result.methods = [m for m in self.result.methods if m["name"] != entry.name]
        costs, converged = codec.costs(), entry.converged(self.study.plan(entry))
        row: dict[str, Any] = {
            "name": entry.name,
            "feedback_reals": costs.reals,
            "index_bits": costs.index_bits,
            "parameters_ue": costs.parameters_ue,
            "parameters_bs": costs.parameters_bs,
            "macs_ue": costs.macs_ue,
            "macs_bs": costs.macs_bs,
            "memory_ue_bytes": costs.bytes_ue,
            "note": "" if converged else "not converged: trained far shorter than published",
        }
        self.result.methods.append(row)

    def _note_quantised(self, entry: CodecEntry, codec: CsiCodec) -> None:
        """NMSE in the headline's case when the code is quantised to the bits of the budget."""
        test = self.data.cases[HEADLINE_CASE].test
        quantiser = UniformQuantiser.fit(codec, self.data.twin[:2048])
        error = nmse(test, reconstruct(codec, test, quantiser))
        check_finite(error, f"the NMSE with the quantised {entry.name}")
        row = next(m for m in self.result.methods if m["name"] == entry.name)
        row |= {
            "quantised_nmse_db": to_db(error.mean()),
            "quantised_bits": codec.budget.bits,
            "quantised_case": list(HEADLINE_CASE),
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
