"""From the figures of single users to the table of rates: estimates, paired differences, and what a decibel buys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sitetwin.learn.csi.metrics import to_db
from sitetwin.learn.statistics import Interval, paired_difference_db, seed_interval
from sitetwin.studies.rates.config import NO_SITE, REFINED, TWIN, RatesStudy

RANGES_DB = ((-10.0, -5.0), (-15.0, -10.0), (-20.0, -15.0))
"""Ranges of NMSE in which the worth of a decibel is told."""

_FEWEST = 4  # rows that tell a slope

Found = dict[str, Any]
"""Figures of one opponent in one case on one seed: labels, means over users, and the users' NMSE."""


def label(method: str, source: str) -> str:
    """Name of a codec and what it was trained on."""
    return method if source == NO_SITE else f"{method}, {source}"


def estimate(values: Sequence[float]) -> dict[str, Any]:
    """Mean over seeds with its t interval, ready for the results."""
    return _told(seed_interval(values), list(values))


def _told(interval: Interval, values: list[float] | None = None) -> dict[str, Any]:
    low, high = (None if np.isnan(end) else float(f"{end:.6g}") for end in (interval.low, interval.high))
    return {
        "mean": float(f"{interval.estimate:.6g}"),
        "low": low,
        "high": high,
        "n": interval.count,
        "values": [float(f"{value:.6g}") for value in values or []],
        "kind": f"over {interval.over}",
    }


def table(found: Iterable[Found]) -> list[dict[str, Any]]:
    """Rows of the table: one for each opponent, case and noise, over all seeds."""
    groups: dict[tuple[Any, ...], list[Found]] = {}
    for one in found:
        key = tuple(one[name] for name in ("target", "split", "method", "source", "bits", "noise_snr_db"))
        groups.setdefault(key, []).append(one)
    rows = []
    for key, group in groups.items():
        labels = dict(zip(("target", "split", "method", "source", "bits", "noise_snr_db"), key, strict=True))
        figures = {
            name: estimate([one[name] for one in group])
            for name in ("nmse_db", "sgcs", "rate_share", "zf_share", "beam_loss_db")
        }
        used = None if key[4] is None else round(sum(one["used_bits"] for one in group) / len(group), 2)
        rows.append({**labels, "used_bits": used, **figures})
    return rows


def pairs(study: RatesStudy, found: Sequence[Found]) -> list[dict[str, Any]]:
    """Each codec of the twin, and refined, against others at the same bits: other codecs, itself on other sources."""
    quiet = [one for one in found if one["noise_snr_db"] is None and one["bits"] in study.bits]
    rows = []
    for target, split in study.csi.evaluation.cases:
        for bits in study.bits:
            same = [one for one in quiet if (one["target"], one["split"], one["bits"]) == (target, split, bits)]
            by: dict[tuple[str, str], dict[int, Found]] = {}
            for one in same:
                by.setdefault((one["method"], one["source"]), {})[one["seed"]] = one
            for a in (key for key in by if key[1] in (TWIN, REFINED)):
                for b in by:
                    rivals = b[0] == a[0] or b[1] in (a[1], NO_SITE)
                    told = (b[1] == a[1] and a > b) or (a[1], b[1]) == (REFINED, TWIN)
                    if a == b or not rivals or told:
                        continue
                    rows.append(
                        {
                            "target": target,
                            "split": split,
                            "bits": bits,
                            "a": label(*a),
                            "b": label(*b),
                            "difference_db": _difference([(by[a][s], by[b][s]) for s in sorted(by[a])]),
                        }
                    )
    return rows


def _difference(both: list[tuple[Found, Found]]) -> dict[str, Any]:
    """Over seeds where there are several, else over the users' blocks of space, else over users."""
    if len(both) > 1:
        return estimate([a["nmse_db"] - b["nmse_db"] for a, b in both])
    a, b = both[0]
    errors = torch.tensor(a["errors"]), torch.tensor(b["errors"])
    blocks = torch.tensor(a["blocks"]) if a["split"] == "blocks" else None
    return _told(paired_difference_db(*errors, torch.Generator().manual_seed(0), blocks))


def worth(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Slopes of the rates over the NMSE, by least squares over the rows of a case within each range."""
    found = []
    quantised = [row for row in rows if row["bits"] is not None]
    for target, split in dict.fromkeys((row["target"], row["split"]) for row in rows):
        for low, high in RANGES_DB:
            inside = [
                row
                for row in quantised
                if (row["target"], row["split"]) == (target, split) and low <= row["nmse_db"]["mean"] <= high
            ]
            error = np.array([row["nmse_db"]["mean"] for row in inside])
            if len(inside) < _FEWEST or np.ptp(error) < (high - low) / 2:
                continue
            slopes = [
                -100 * np.polyfit(error, [row[name]["mean"] for row in inside], 1)[0]
                for name in ("rate_share", "zf_share")
            ]
            found.append(
                {
                    "target": target,
                    "split": split,
                    "from_db": low,
                    "to_db": high,
                    "points": len(inside),
                    "rate_percent_per_db": round(float(slopes[0]), 4),
                    "zf_percent_per_db": round(float(slopes[1]), 4),
                }
            )
    return found


def means(scores: dict[str, Tensor]) -> dict[str, float]:
    """Means over users, the NMSE in dB, without numbers that are none."""
    named = {name: float(values.double().mean()) for name, values in scores.items() if name != "nmse"}
    return {"nmse_db": to_db(scores["nmse"].double().mean()), **named}
