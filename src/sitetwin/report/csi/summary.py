"""What of the results is put beside what: the headline's size, the rows of the table of methods, numbers as text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sitetwin.report.csi.results import Curve, Estimate, Method, Refinement, Results
from sitetwin.report.frame import interval
from sitetwin.studies.csi.results import UNREFINED

_NAMES = {
    "target_a": "target A",
    "target_b": "target B",
    "twin": "twin",
    "wrong_site": "wrong site",
    "target": "target",
    "blocks": "spatial blocks",
    "random": "random split",
}


def label(name: str) -> str:
    """A key of the results as words."""
    return _NAMES.get(name, name.replace("_", " "))


def short_count(value: float | None) -> str:
    """A count with three digits and a prefix: ``22.6 M``."""
    if value is None:
        return "–"  # noqa: RUF001
    for factor, prefix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= 0.9995 * factor:
            return f"{value / factor:.3g}{prefix}" if abs(value) < 999.5 * factor else f"{value / factor:.0f}{prefix}"
    return f"{value:.4g}"


def memory(value: int | None) -> str:
    """Bytes as text: ``16.8 MB``."""
    if value is None:
        return "–"  # noqa: RUF001
    return f"{value} B" if value < 1000 else f"{short_count(value)}B"


def feedback(method: Method) -> str:
    """What a user sends back: ``31 reals + 7 bits``."""
    parts = []
    if method.feedback_reals is not None:
        parts.append(f"{method.feedback_reals} reals")
    if method.index_bits:
        parts.append(f"{method.index_bits:g} bits")
    return " + ".join(parts) or "–"  # noqa: RUF001


def targets(results: Results, split: str) -> list[str]:
    """Targets of a split, in order of name."""
    return sorted({target for target, s in _places(results) if s == split})


def splits(results: Results) -> list[str]:
    """The splits in the results, the headline's first."""
    first = headline_split(results)
    return sorted({split for _, split in _places(results)}, key=lambda s: (s != first, s))


def _places(results: Results) -> set[tuple[str, str]]:
    """Every (target, split) that a figure is drawn for."""
    return (
        {(c.target, c.split) for c in results.curves}
        | {(r.target, r.split) for r in results.refinement}
        | {(d.target, d.split) for d in results.cdf}
    )


def headline_target(results: Results) -> str:
    """The headline's target, else the honest one where there is no headline."""
    if results.headline and results.headline.target:
        return results.headline.target
    present = {curve.target for curve in results.curves}
    return "target_b" if "target_b" in present or not present else min(present)


def headline_split(results: Results) -> str:
    """The headline's split, else spatial blocks where there is no headline."""
    if results.headline and results.headline.split:
        return results.headline.split
    present = {curve.split for curve in results.curves}
    return "blocks" if "blocks" in present or not present else min(present)


def headline_size(results: Results) -> int | None:
    """The most training samples that the headline's codec was given (any codec's, where there is no headline)."""
    codec = results.headline.codec if results.headline else None
    here = [c for c in results.curves if (c.target, c.split) == (headline_target(results), headline_split(results))]
    sizes = [c.n_train for c in here if c.codec == codec] or [c.n_train for c in here]
    return max(sizes, default=None)


def trained_at(curves: Iterable[Curve], size: int | None) -> Curve | None:
    """The curve's point at `size`, else its last one below, else its first one."""
    points = sorted(curves, key=lambda c: c.n_train)
    if not points:
        return None
    within = [c for c in points if size is None or c.n_train <= size]
    return within[-1] if within else points[0]


@dataclass(frozen=True)
class Cell:
    """One error in the table of methods.

    Attributes:
        estimate: NMSE in dB.
        converged: False where no conclusion may be drawn from it.
        note: How it differs from what the column says, or "".
    """

    estimate: Estimate
    converged: bool
    note: str

    @property
    def text(self) -> str:
        return interval(self.estimate)

    @property
    def remarks(self) -> list[str]:
        return [remark for remark in (self.note, "" if self.converged else "not converged") if remark]


@dataclass(frozen=True)
class Row:
    """A method, what it costs and how well it does at the headline's size; cells are None where nothing was run."""

    method: Method
    twin: Cell | None
    refined: Cell | None
    target: Cell | None


def method_rows(results: Results) -> list[Row]:
    """The table of methods, on the headline's target and split.

    A codec that lacks the headline's refinement is shown with the first one in the results that is not naive, named in
    the cell: an order fixed before the run, not a choice by the test set.
    """
    codecs = dict.fromkeys(curve.codec for curve in results.curves)
    methods = list(results.methods) + [Method(name=c) for c in codecs if c not in {m.name for m in results.methods}]
    size = headline_size(results)
    return [
        Row(
            method,
            twin=_trained_cell(results, method.name, "twin", size),
            refined=_refined_cell(results, method.name),
            target=_trained_cell(results, method.name, "target", size),
        )
        for method in methods
    ]


def _trained_cell(results: Results, codec: str, source: str, size: int | None) -> Cell | None:
    place = (headline_target(results), headline_split(results), codec, source)
    point = trained_at((c for c in results.curves if (c.target, c.split, c.codec, c.source) == place), size)
    if point is None:
        return None
    return Cell(point.nmse_db, point.converged, "" if point.n_train == size else f"{point.n_train:,} samples")


def _refined_cell(results: Results, codec: str) -> Cell | None:
    headline = results.headline
    if headline is None or headline.n_real is None:
        return None
    place = (headline_target(results), headline_split(results), codec, headline.n_real)
    found = [r for r in results.refinement if (r.target, r.split, r.codec, r.n_real) == place and r.method != UNREFINED]
    chosen: Refinement | None = next((r for r in found if r.method == headline.method), None)
    if chosen is None:
        chosen = next((r for r in found if not r.method.startswith("naive")), None)
    return Cell(chosen.nmse_db, chosen.converged, chosen.method) if chosen else None


def unrefined(results: Results, target: str, split: str, codec: str) -> Estimate | None:
    """NMSE of the twin-trained codec before any real sample."""
    place = (target, split, codec)
    for entry in results.refinement:
        if (entry.target, entry.split, entry.codec) == place and entry.method == UNREFINED:
            return entry.nmse_db
    point = trained_at(
        (c for c in results.curves if (c.target, c.split, c.codec) == place and c.source == "twin"), None
    )
    return point.nmse_db if point else None


def target_trained(results: Results, target: str, split: str, codec: str) -> Curve | None:
    """The codec trained on the target itself with the most samples."""
    place = (target, split, codec, "target")
    return trained_at((c for c in results.curves if (c.target, c.split, c.codec, c.source) == place), None)
