"""The headline of a CSI study: what a few measured channels are worth, against none, alone, and thousands."""

from __future__ import annotations

from typing import Any

from sitetwin.studies.csi.config import CsiStudy
from sitetwin.studies.csi.registry import HEADLINE_CASE, HEADLINE_CODEC, HEADLINE_METHOD
from sitetwin.studies.csi.results import UNREFINED

HEADLINE = {
    "target": HEADLINE_CASE[0],
    "split": HEADLINE_CASE[1],
    "codec": HEADLINE_CODEC.name,
    "method": HEADLINE_METHOD,
}
"""Named beforehand: the one method whose figure is the headline, at `Evaluation.few` target samples."""


def headline(study: CsiStudy, curves: list[dict[str, Any]], refinement: list[dict[str, Any]]) -> dict[str, Any]:
    """The headline's section of the results.

    Args:
        study: The configuration.
        curves: Estimates of codecs trained on one source.
        refinement: Estimates of codecs trained on the twin and updated with target samples.
    """
    few = study.evaluation.few
    sizes = study.train_sizes(HEADLINE_CODEC)
    least, largest = few if few in sizes else min(sizes), max(sizes)
    case = {name: HEADLINE[name] for name in ("target", "split", "codec")}
    twin = _find(refinement, **case, method=UNREFINED, n_real=0)
    refined = _find(refinement, **HEADLINE, n_real=few)
    alone = _find(curves, **case, source="target", n_train=least)
    full = _find(curves, **case, source="target", n_train=largest)
    wrong = _find(curves, **case, source="wrong_site", n_train=largest)
    compared = [
        _compared("the twin, no measurement", 0, twin),
        _compared(f"the twin and {few} measurements", few, refined),
        _compared(f"{least:,} measurements alone", least, alone),
        _compared(f"{largest:,} measurements alone", largest, full),
        _compared("a twin of another city", 0, wrong),
    ]
    return {
        "text": _text(compared),
        **HEADLINE,
        "n_real": few,
        "nmse_db": refined["nmse_db"],
        "reference": f"{HEADLINE_CODEC.name} fitted on {largest} target samples",
        "reference_nmse_db": full["nmse_db"],
        "met": None,
        "compared": compared,
        "explanation": _explanation(twin, full, largest),
    }


def _find(rows: list[dict[str, Any]], **labels: Any) -> dict[str, Any]:
    return next(row for row in rows if all(row[k] == v for k, v in labels.items()))


def _compared(what: str, measured: int, row: dict[str, Any]) -> dict[str, Any]:
    return {"what": what, "n_real": measured, "nmse_db": row["nmse_db"], "lost_percent": lost(row["nmse_db"]["mean"])}


def lost(nmse_db: float) -> float:
    """The share of the channel's energy that is wrong after feedback, percent."""
    return float(f"{100 * 10 ** (nmse_db / 10):.3g}")


def _text(compared: list[dict[str, Any]]) -> str:
    """One sentence for each model, in the order of `compared`."""
    twin, refined, alone, full, wrong = (_said(row) for row in compared)
    few, least, largest = (row["n_real"] for row in compared[1:4])
    return (
        f"What {few} measured channels are worth, in simulated worlds. The part of a user's channel that the base "
        f"station gets wrong is {refined} with the digital twin and {few} measured channels; {twin} with the twin and "
        f"no measurement; {alone} with {least:,} measured channels and no twin, {full} with {largest:,}; and {wrong} "
        "with a twin of another city."
    )


def _said(row: dict[str, Any]) -> str:
    value = row["nmse_db"]
    inside = "one seed" if value["low"] is None else f"{value['low']:.1f} to {value['high']:.1f}"
    return f"{row['lost_percent']:.3g} % (NMSE {value['mean']:.1f} dB, {inside})"


def _explanation(twin: dict[str, Any], full: dict[str, Any], largest: int) -> str:
    """Why many measurements can be worse than none, where they are."""
    if full["nmse_db"]["mean"] <= twin["nmse_db"]["mean"]:
        return ""
    return (
        f"Why {largest:,} measurements alone are worse than the twin: users under test stand in other blocks of the "
        "city than all measured ones. Measurements say nothing about streets where nobody measured; the twin covers "
        "every street."
    )
