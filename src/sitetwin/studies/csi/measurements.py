"""What a seed of the CSI study is given, what it measures, and what the results call it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Bool, Complex, Int
from torch import Tensor

from sitetwin.learn import data_hash
from sitetwin.studies.csi.config import CsiStudy
from sitetwin.studies.csi.registry import CODECS, HEADLINE_CODEC, HEADLINE_METHOD, Case
from sitetwin.studies.csi.results import UNREFINED

LOOKUP = "nearest twin sample, one complex gain"
"""Name of the control that sends an index into the twin's table."""


@dataclass(frozen=True, eq=False)
class CaseData:
    """CSI of one case: normalised matrices, complex64, and the block and engine of test users."""

    train: Complex[Tensor, "train taps beams"]
    test: Complex[Tensor, "test taps beams"]
    block: Int[Tensor, " test"]
    by_other_engine: Bool[Tensor, " test"]


@dataclass(frozen=True, eq=False)
class SeedData:
    """Everything that one seed needs: training matrices of twin and wrong site, and the cases."""

    seed: int
    twin: Complex[Tensor, "twin taps beams"]
    wrong_site: Complex[Tensor, "wrong taps beams"]
    cases: dict[Case, CaseData]

    def hash(self) -> str:
        """SHA-256 of all matrices."""
        cases = [t for data in self.cases.values() for t in (data.train, data.test)]
        return data_hash(self.twin, self.wrong_site, *cases)


@dataclass
class SeedResult:
    """What one family of codecs measured on one seed, JSON-serialisable; `seconds` alone cannot repeat.

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
    correlation: list[dict[str, Any]] = field(default_factory=list)
    collection: list[dict[str, Any]] = field(default_factory=list)
    bound: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def case_key(case: Case) -> str:
    """A case as one word."""
    return "/".join(case)


def trained_label(name: str, source: str, size: int) -> str:
    """A codec trained on `size` samples of a source, in words."""
    return f"{name}, {source}, {size}"


def refined_label(name: str, trained: int, method: str, count: int) -> str:
    """A codec trained on `trained` samples of the twin and refined with `count` of the target, in words."""
    return f"{name}, twin, {trained}, {method}, {count}"


def compared_pairs(study: CsiStudy) -> list[tuple[str, str]]:
    """Labels of the models whose errors are compared on the same users: the headline's codec with all others.

    Codecs that run in all cases come first; one that runs in some cases only is compared with all the others there.
    """
    head, few = HEADLINE_CODEC, study.evaluation.few
    largest = study.train_sizes(head)[-1]
    others = [entry for entry in CODECS if entry.name != head.name]
    everywhere = [entry for entry in others if study.plan(entry).cases is None]

    def updated(count: int) -> str:
        return refined_label(head.name, study.base_size(head), HEADLINE_METHOD, count)

    twin = trained_label(head.name, "twin", largest)
    pairs = [(twin, trained_label(entry.name, "twin", largest)) for entry in everywhere]
    pairs += [(twin, trained_label(head.name, source, largest)) for source in ("wrong_site", "target")]
    pairs += [(twin, LOOKUP), (updated(few), refined_label(head.name, study.base_size(head), UNREFINED, 0))]
    for entry in everywhere:
        pairs.append((updated(few), refined_label(entry.name, study.base_size(entry), entry.compared, few)))
    for entry in (entry for entry in others if entry not in everywhere):
        for size in study.train_sizes(entry):
            mine = trained_label(entry.name, "twin", size)
            pairs += [(trained_label(other.name, "twin", size), mine) for other in (head, *everywhere)]
            for count in study.refine_sizes(entry):
                pairs.append((updated(count), refined_label(entry.name, size, entry.compared, count)))
    return pairs
