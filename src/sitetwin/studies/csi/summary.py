"""The numbers of results.json, each with its interval, from the seeds' measurements."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from sitetwin.learn import paired_difference_db, seed_interval, to_db
from sitetwin.studies.csi.config import CsiStudy
from sitetwin.studies.csi.headline import headline
from sitetwin.studies.csi.measurements import SeedResult, case_key, compared_pairs
from sitetwin.studies.csi.registry import CODECS

_FIGURES = ("nmse_db", "median_db", "p95_db", "sgcs", "nmse_other_engine_db", "gain_db")


def estimate(values: Sequence[float]) -> dict[str, Any]:
    """Mean and 95 % Student interval over seeds; one seed has no interval (low and high are null)."""
    rounded = [round(float(v), 4) for v in values]  # first: what a linear algebra library leaves open cannot spread
    interval = seed_interval(rounded) if len(rounded) > 1 else None
    mean = sum(rounded) / len(rounded)
    low, high = (interval.low, interval.high) if interval else (math.nan, math.nan)
    return {
        "mean": round(mean, 4),
        "low": round(low, 4) if math.isfinite(low) else None,
        "high": round(high, 4) if math.isfinite(high) else None,
        "n": len(rounded),
        "values": rounded,
        "level": 0.95,
        "kind": "t over seeds",
    }


def summarise(study: CsiStudy, results: Sequence[SeedResult]) -> dict[str, Any]:
    """All sections of results.json that come from the seeds."""
    curves = _gather((r.curves for r in results), ("target", "split", "codec", "source", "n_train", "converged"))
    refinement = _gather(
        (r.refinement for r in results),
        ("target", "split", "codec", "n_train", "method", "n_real", "full_uploads", "converged"),
        whole=("examined",),
    )
    first = results[0].seed
    return {
        "curves": curves,
        "refinement": refinement,
        "controls": _gather((r.controls for r in results), ("name", "target", "split", "feedback")),
        "paired": _paired(study, results),
        "methods": _methods(results),
        "cdf": [row for r in results if r.seed == first for row in r.cdf],
        "correlation": _correlation(results),
        "collection": [row for r in results for row in r.collection],
        "bound": _bound(results),
        "headline": headline(study, curves, refinement),
        "notes": _notes(study),
    }


def _correlation(results: Sequence[SeedResult]) -> list[dict[str, Any]]:
    """The first seed's distributions with their medians over all seeds."""
    first = results[0].seed
    found = []
    for row in (row for r in results if r.seed == first for row in r.correlation):
        same = [
            m["median"]
            for r in results
            for m in r.correlation
            if (m["codec"], m["rule"]) == (row["codec"], row["rule"])
        ]
        found.append({**row, "median": estimate(same)})
    return found


def _bound(results: Sequence[SeedResult]) -> list[dict[str, Any]]:
    rows = [row for r in results for row in r.bound]
    terms = ("gap", "target_loss", "twin_loss", "discrepancy", "constant")
    found = []
    for codec in dict.fromkeys(row["codec"] for row in rows):
        same = [row for row in rows if row["codec"] == codec]
        values = {term: estimate([row[term] for row in same]) for term in terms}
        found.append({"codec": codec, "pairs": same[0]["pairs"], **values})
    return found


def _gather(
    rows: Iterable[list[dict[str, Any]]], labels: tuple[str, ...], whole: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """Rows with equal labels over the seeds become one row of estimates; the order is that of the first seed.

    Counts named in `whole` may differ between the seeds and become their mean.
    """
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for seed_rows in rows:
        for row in seed_rows:
            groups[tuple(row[label] for label in labels)].append(row)
    return [
        {
            **dict(zip(labels, key, strict=True)),
            **{name: round(sum(m[name] for m in members) / len(members)) for name in whole},
            **{f: estimate([m[f] for m in members]) for f in _FIGURES if all(f in m for m in members)},
        }
        for key, members in groups.items()
    ]


def _paired(study: CsiStudy, results: Sequence[SeedResult]) -> list[dict[str, Any]]:
    """NMSE of one model less that of another on the same users, in dB: negative means that the first is better."""
    errors: dict[tuple[int, str], list[float]] = {}
    for result in results:
        errors |= {(result.seed, label): values for label, values in result.errors.items()}
    rows = []
    for case in study.evaluation.cases:
        for a, b in compared_pairs(study):
            pairs = [
                (
                    torch.tensor(errors[seed, f"{a} @ {case_key(case)}"]),
                    torch.tensor(errors[seed, f"{b} @ {case_key(case)}"]),
                )
                for seed in study.evaluation.seeds
                if (seed, f"{a} @ {case_key(case)}") in errors and (seed, f"{b} @ {case_key(case)}") in errors
            ]
            if not pairs:
                continue
            found = estimate([to_db(one.mean()) - to_db(other.mean()) for one, other in pairs])
            if len(pairs) == 1:
                block = torch.tensor(next(r.blocks[case_key(case)] for r in results if case_key(case) in r.blocks))
                interval = paired_difference_db(*pairs[0], torch.Generator().manual_seed(0), block)
                found |= {
                    "low": round(interval.low, 4),
                    "high": round(interval.high, 4),
                    "kind": "bootstrap over blocks",
                }
            rows.append({"a": a, "b": b, "target": case[0], "split": case[1], "n_real": 0, "difference_db": found})
    return rows


def _methods(results: Sequence[SeedResult]) -> list[dict[str, Any]]:
    rows = []
    for row in (m for r in results if r.seed == results[0].seed for m in r.methods):
        method = dict(row)
        same = [m for r in results for m in r.methods if m["name"] == method["name"]]
        if "quantised_nmse_db" in method:
            method = {**method, "quantised_nmse_db": estimate([m["quantised_nmse_db"] for m in same])}
        rows.append(method)
    return rows


def _notes(study: CsiStudy) -> list[str]:
    pool = study.evaluation.pool or "all"
    notes = [
        "All worlds are simulated; targets stand for reality and are called synthetic.",
        "NMSE is 10 log10 of the linear mean over test users, on the truncated, normalised matrix that is fed back; "
        "the truncation floor is given beside it.",
        "Waves are plane across the array, as in the published study, also for users in its near field (nearer than "
        "41 m with 32 half-wave elements at 3.5 GHz).",
        "Norm and common phase of a matrix are not fed back in any method.",
        "Every target sample used in a refinement is a full CSI upload. High-NMSE selection also reads one number from "
        f"{pool} users of the pool; residual k-centre needs their residual vectors at one place and "
        "is an upper reference for what diversity can bring.",
        *(entry.note for entry in CODECS if entry.note and study.seeds_of(entry)),
        "The nearest-neighbour control sends an index into the twin's table and one complex gain.",
    ]
    running = [entry for entry in reversed(CODECS) if study.seeds_of(entry)]
    short = [entry for entry in running if not entry.converged(study.plan(entry))]
    if short:
        facts = [f"{e.in_words} for {study.plan(e).effort} {e.unit} instead of {e.full_effort}" for e in short]
        trained = " and ".join([facts[0].replace(" for ", " is trained for ", 1), *facts[1:]])
        notes.append(
            f"{study.profile.capitalize()} profile: {trained}. They are not converged and no conclusion about "
            "architectures is drawn from them."
        )
    return notes
