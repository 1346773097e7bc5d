"""One self-contained HTML page about a study: no network, no script, readable on a phone and in the dark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sitetwin.report.csi import summary
from sitetwin.report.csi.captions import captions
from sitetwin.report.csi.figures import KINDS, draw_figures, figure_name, is_figure
from sitetwin.report.csi.paper import Beside, Point, beside_the_paper, codecs_of, read_released, signs, table_of
from sitetwin.report.csi.paper_figures import PAPER_FIGURES, draw_beside
from sitetwin.report.csi.results import Control, Curve, Estimate, Refinement, Results, Study, read_study
from sitetwin.report.frame import inline_svg, interval, number, page_environment, paired_verdict, write_page

_FIGURE_TITLES = {
    "scene": "The site",
    "worlds": "Target against twin, and the split",
    "training": "Error against training size",
    "refinement": "Error against target samples",
    "cdf": "Error of single users",
}
_USER_COUNTS = {
    "grid": "on the grid",
    "dropped_indoors": "dropped, inside buildings",
    "without_path": "dropped, without a path",
    "traced": "traced",
    "other_engine": "traced by the other engine",
    "train_pool": "for training",
    "test": "for testing",
    "guard": "in the guard between",
}


def write_report(folder: Path, published: Path | None = None) -> Path:
    """Draw the figures of a finished study and write its page.

    Args:
        folder: Study folder with `results.json` and, as far as there are any, `run.json`, `scene.npz` and rows of
            single trainings in ``networks``. Figures go to ``folder/figures`` as PNG and SVG.
        published: Table ``curve,n_train,nmse_db,std_db`` of released results, to show beside.

    Returns:
        Path of the page, ``folder/report.html``.

    Raises:
        SiteTwinError: The results are missing, truncated or not a CSI study's; a file is damaged; or the disk cannot be
            written.
    """
    folder = Path(folder)
    study = read_study(folder)
    beside = beside_the_paper(study.results, folder, [] if published is None else read_released(Path(published)))
    figures = draw_figures(study) | draw_beside(study.results, beside)
    return write_page(folder, render_page(study, figures, beside), figures, is_figure)


def render_page(study: Study, figures: dict[str, dict[str, bytes]], beside: Beside | None = None) -> str:
    """The page as text; equal folders give equal pages.

    Args:
        study: What the folder holds.
        figures: Figures from `draw_figures`; the page shows them inline.
        beside: The study in the paper's form, where it was run so.
    """
    results = study.results
    environment = page_environment(
        label=summary.label,
        difference=lambda e: interval(e, digits=2, signed=True),
        short=summary.short_count,
        memory=summary.memory,
        feedback=summary.feedback,
        verdict=paired_verdict,
        point=_point,
        correlated=lambda e: interval(e, unit="", digits=3),
        linear=lambda e: interval(e, unit="", digits=4),
    )
    return environment.get_template("csi.html.j2").render(
        r=results,
        run=dict(_flat(study.run)),
        hashes=study.hashes,
        synthetic=not results.worlds or all(world.synthetic for world in results.worlds.values()),
        figures=_figure_sections(study, figures),
        paper=_paper(results, beside, figures) if beside is not None else None,
        size=summary.headline_size(results),
        target=summary.headline_target(results),
        split=summary.headline_split(results),
        rows=summary.method_rows(results),
        refinements=_refinement_tables(results),
        controls=_control_tables(results),
        users=_user_counts(results),
        fidelity=list(_fidelity(results.fidelity)),
        configuration=json.dumps(results.configuration, indent=2, sort_keys=True, ensure_ascii=False),
    )


def _figure_sections(study: Study, figures: dict[str, dict[str, bytes]]) -> list[dict[str, Any]]:
    """Figures in the order of the page: name, title, caption, image, and whether it is folded away at first."""
    results = study.results
    texts = captions(results, study.scene)
    wanted = [(kind, kind, kind, "") for kind in ("scene", "worlds")]
    for split in summary.splits(results):
        other = "" if split == summary.headline_split(results) else split
        wanted += [(figure_name(results, kind, split), kind, f"{kind}/{split}", other) for kind in KINDS]
    sections = []
    for name, kind, text, other in wanted:
        if name in figures:
            title = _FIGURE_TITLES[kind] + (f" ({summary.label(other)})" if other else "")
            sections.append(
                {
                    "name": name,
                    "title": title,
                    "caption": texts[text],
                    "image": inline_svg(figures[name]),
                    "folded": bool(other),
                }
            )
    return sections


def _paper(results: Results, beside: Beside, figures: dict[str, dict[str, bytes]]) -> dict[str, Any]:
    """What the page shows in the paper's form."""
    return {
        "codecs": codecs_of(beside.points),
        "rows": table_of(beside.points, beside.released),
        "signs": signs(beside.points),
        "images": {name: inline_svg(figures[name]) for name in PAPER_FIGURES if name in figures},
        "correlation": results.correlation,
        "collection": results.collection,
        "bound": results.bound,
    }


def _refinement_tables(results: Results) -> list[dict[str, Any]]:
    """One table per target and split, the headline's first: a group of rows per codec, its training size and method."""
    first = (summary.headline_split(results), summary.headline_target(results))
    places = sorted(
        {(r.split, r.target) for r in results.refinement}, key=lambda p: (p[0] != first[0], p[1] != first[1], p)
    )
    tables = []
    for split, target in places:
        entries = [r for r in results.refinement if (r.split, r.target) == (split, target)]
        groups: dict[tuple[str, int | None, str], list[Refinement]] = {}
        for codec in dict.fromkeys(r.codec for r in entries):
            for entry in (r for r in entries if r.codec == codec):
                groups.setdefault((codec, entry.n_train, entry.method), []).append(entry)
        rows = []
        for (codec, trained, method), group in groups.items():
            group.sort(key=lambda r: r.n_real)
            rows.append({"codec": codec, "trained": trained, "method": method, "rows": group})
        tables.append({"split": split, "target": target, "groups": rows})
    return tables


def _control_tables(results: Results) -> list[dict[str, Any]]:
    """Controls, and the codecs trained on the wrong site: a row per name, a column per target and split."""
    controls = [*results.controls, *_wrong_site(results)]
    first = (summary.headline_split(results), summary.headline_target(results))
    places = sorted({(c.split, c.target) for c in controls}, key=lambda p: (p[0] != first[0], p[1] != first[1], p))
    found = {(c.name, c.split, c.target): c for c in controls}
    rows = []
    for name in dict.fromkeys(c.name for c in controls):
        cells = [found.get((name, *place)) for place in places]
        said = next((c.feedback for c in cells if c is not None and c.feedback), "")
        rows.append({"name": name, "feedback": said, "cells": [c.nmse_db if c else None for c in cells]})
    return [{"places": places, "rows": rows}] if rows else []


def _wrong_site(results: Results) -> list[Control]:
    """Each codec trained on the wrong site, with as many samples as the headline's codec, as a control."""
    size = summary.headline_size(results)
    costs = {method.name: summary.feedback(method) for method in results.methods}
    grouped: dict[tuple[str, str, str], list[Curve]] = {}
    for curve in (c for c in results.curves if c.source == "wrong_site"):
        grouped.setdefault((curve.codec, curve.split, curve.target), []).append(curve)
    controls = []
    for (codec, split, target), curves in grouped.items():
        point = summary.trained_at(curves, size)
        if point is not None:
            name = f"{codec}, trained on the wrong site{'' if point.converged else ' (not converged)'}"
            sent = costs.get(codec, "")
            controls.append(Control(name=name, split=split, target=target, nmse_db=point.nmse_db, feedback=sent))
    return controls


def _user_counts(results: Results) -> list[tuple[str, int]]:
    """Counts of users that are numbers, the known ones first and in the order in which users are lost."""
    counts = {k: v for k, v in results.users.items() if isinstance(v, int) and not isinstance(v, bool)}
    order = [*(k for k in _USER_COUNTS if k in counts), *(k for k in counts if k not in _USER_COUNTS)]
    return [(_USER_COUNTS.get(key, summary.label(key)), counts[key]) for key in order]


def _fidelity(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """How like the target the twin is: names and numbers, from numbers, estimates and nested groups of them."""
    for key, value in values.items():
        name = f"{prefix}{summary.label(str(key))}"
        unit = "dB" if "_db" in str(key) or prefix.endswith(" db: ") else ""
        name = name.removesuffix(" db") if unit else name
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, int | float):
            yield name, f"{number(float(value), 1 if unit else 3)} {unit}".strip()
        elif isinstance(value, dict) and "mean" in value:
            try:
                estimate = Estimate.model_validate(value)
            except ValidationError:
                continue
            yield name, interval(estimate, unit, 1 if unit else 3)
        elif isinstance(value, dict):
            yield from ((n, _with_unit(v, unit)) for n, v in _fidelity(value, f"{name}: "))


def _with_unit(text: str, unit: str) -> str:
    return text if not unit or text.endswith(unit) else f"{text} {unit}"


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested facts as lines of text."""
    for key, value in values.items():
        name = f"{prefix}{summary.label(str(key))}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}: ")
        else:
            yield name, f"{value:,.1f}" if isinstance(value, float) else str(value)


def _point(point: Point | None) -> str:
    """A figure of the paper's table."""
    if point is None:
        return "\N{EN DASH}"
    spread = "" if point.spread is None else f" \N{PLUS-MINUS SIGN} {point.spread:.1f}"
    return f"{number(point.mean)}{spread}{'' if point.converged else ' (not converged)'}"
