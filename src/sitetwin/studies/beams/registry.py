"""The methods of the beam study, each as one entry: everything that the study says or does about a method stands here.

A new method is a class of `sitetwin.learn.BeamPredictor` in a file of its own, and an entry of `METHODS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sitetwin.calibrate import BeamPriors
from sitetwin.learn import LookupBeams, MajorityBeams, NearestBeams
from sitetwin.studies.beams.bench import Bench
from sitetwin.studies.beams.config import CURVES, HEADLINE
from sitetwin.studies.beams.expert_methods import EXPERTS, expert
from sitetwin.studies.beams.methods import (
    Run,
    calibrated_twin,
    learnt,
    shared_layer,
    square_to_street,
)
from sitetwin.studies.beams.published import (
    SMALL_BATCHES,
    measured_network,
    refined_sizes,
    traced_network,
    traced_sizes,
    tuned_network,
)

_NOTHING = 1e-3  # intervals: a lag that is no unknown
_ABLATED = 40  # rows with which the calibrated twin also runs without its parts


@dataclass(frozen=True)
class BeamMethod:
    """A method as the study runs it and as the results name it.

    Attributes:
        name: In the results and their tables.
        part: Methods of one part are run one after the other, by rising size, and their rows kept together.
        sizes: With how many rows it runs on a bench; none where it has no place there.
        run: How it answers with one of these numbers of rows.
        splits: Kinds of split in which it runs.
    """

    name: str
    part: str
    sizes: Callable[[Bench], Iterable[int]]
    run: Run
    splits: tuple[str, ...] = ("random", "drives")


def _nothing(bench: Bench) -> Iterable[int]:
    return (0,)


def _whole_pool(bench: Bench) -> Iterable[int]:
    return (bench.most,)


def _some_rows(bench: Bench) -> Iterable[int]:
    return {*bench.real_sizes, *((bench.most,) if bench.split == "drives" else ())} - {0}


def _few_rows(bench: Bench) -> Iterable[int]:
    return {*bench.real_sizes} - {0, bench.most}


def _all_sizes(bench: Bench) -> Iterable[int]:
    return {*bench.real_sizes, bench.most} - {0}


def _ablated(bench: Bench) -> Iterable[int]:
    return {*bench.real_sizes} & {_ABLATED} if bench.study.ablations else ()


NEAREST = BeamMethod(
    "kNN (5)",
    "baselines",
    _all_sizes,
    learnt(lambda bench, split: NearestBeams(5)),
)

RIVALS = (NEAREST.name, *EXPERTS, *(f"{name}, chosen rows" for name in EXPERTS))
"""Names of the methods among whose best the headline is compared in pairs."""

METHODS = (
    BeamMethod("line of sight, array square to the street", "baselines", _nothing, learnt(square_to_street)),
    NEAREST,
    BeamMethod("look-up table", "baselines", _whole_pool, learnt(lambda bench, split: LookupBeams())),
    BeamMethod("majority", "baselines", _whole_pool, learnt(lambda bench, split: MajorityBeams())),
    *(
        method
        for name in EXPERTS
        for method in (
            BeamMethod(name, "experts", _all_sizes, expert(name, chosen=False)),
            BeamMethod(f"{name}, chosen rows", "experts", _few_rows, expert(name, chosen=True)),
        )
    ),
    BeamMethod("network with a shared layer", "shared-layer", lambda bench: (bench.fewest,), shared_layer),
    BeamMethod(HEADLINE, "structured", _some_rows, calibrated_twin(chosen=True)),
    BeamMethod(
        f"{HEADLINE}, turns from earlier drives", "structured", _ablated, calibrated_twin(chosen=True, causal=True)
    ),
    BeamMethod("calibrated twin, random rows", "structured", _some_rows, calibrated_twin(chosen=False)),
    BeamMethod(f"{HEADLINE}, without its guard", "structured", _ablated, calibrated_twin(chosen=True, guarded=False)),
    BeamMethod(
        f"{HEADLINE}, without lag",
        "structured",
        _ablated,
        calibrated_twin(chosen=True, priors=BeamPriors(lag=(0.0, _NOTHING), drive_lag=_NOTHING, slow_lag=_NOTHING)),
    ),
    BeamMethod(
        CURVES["real"],
        "network",
        lambda bench: bench.sizes(bench.study.network_sizes),
        measured_network(),
        ("random",),
    ),
    BeamMethod(
        CURVES["real_compare_to_transfer"],
        "network-batches-of-8",
        lambda bench: bench.sizes(bench.study.transfer_sizes),
        measured_network(SMALL_BATCHES),
        ("random",),
    ),
    *(
        method
        for book in ("measured", "uniform")
        for method in (
            BeamMethod(
                CURVES[f"synth_{book}"],
                f"network-twin-{book}",
                traced_sizes,
                traced_network(book),
                ("random",),
            ),
            BeamMethod(
                CURVES[f"transfer_{book}"],
                f"network-tuned-{book}",
                refined_sizes,
                tuned_network(book),
                ("random",),
            ),
        )
    ),
)
"""All methods, in the order of the results."""


def parts_of(bench: Bench) -> list[str]:
    """Parts that have a place on a bench, in the order of the results."""
    return list(dict.fromkeys(method.part for method in METHODS if bench.split in method.splits))


def rows_of(part: str, bench: Bench) -> Iterator[dict[str, Any]]:
    """The rows of the list of methods that one part gives: by rising size, the methods of a size in their order."""
    methods = [method for method in METHODS if method.part == part and bench.split in method.splits]
    sizes = {method.name: set(method.sizes(bench)) for method in methods}
    for size in sorted(set().union(*sizes.values())):
        for method in methods:
            if size in sizes[method.name]:
                answer = method.run(bench, size)
                yield bench.method(method.name, answer.n_real, answer.tally, **answer.facts)
