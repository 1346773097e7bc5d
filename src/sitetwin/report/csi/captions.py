"""What one sees in each figure, said from the numbers behind it."""

from __future__ import annotations

from typing import Any

import numpy as np

from sitetwin.report.csi import summary
from sitetwin.report.csi.results import Estimate, Results, Scene
from sitetwin.report.csi.summary import label
from sitetwin.report.frame import interval
from sitetwin.studies.csi.results import UNREFINED


def captions(results: Results, scene: Scene | None) -> dict[str, str]:
    """A caption for every figure that could be drawn, by the figure's kind; those per split as ``kind/split``."""
    texts: dict[str, str] = {}
    if scene is not None:
        texts["scene"] = _scene(scene)
        texts["worlds"] = _worlds(scene)
    for split in summary.splits(results):
        texts[f"training/{split}"] = _training(results, split)
        texts[f"refinement/{split}"] = _refinement(results, split)
        texts[f"cdf/{split}"] = _cdf(results, split)
    return texts


def _scene(scene: Scene) -> str:
    known = scene.power_db[np.isfinite(scene.power_db)]
    sentences = ["The site from above: every coloured cell is a user, the brighter the stronger."]
    if known.size:
        low, middle, high = np.percentile(known, [5, 50, 95])
        sentences.append(
            f"Half of the {known.size:,} users with a path have a path gain above {middle:.0f} dB; "
            f"nine in ten lie between {low:.0f} and {high:.0f} dB."
        )
    lost = len(scene.power_db) - known.size
    if lost:
        sentences.append(f"{lost:,} users have no path (pale).")
    if scene.height_map is not None and np.isfinite(scene.height_map).any():
        sentences.append(f"Roofs are grey, up to {np.nanmax(scene.height_map):.0f} m high.")
    if len(scene.trees_xy):
        sentences.append(f"The {len(scene.trees_xy):,} green discs are trees, which the twin does not have.")
    sentences.append("The triangle (BS) is the base station.")
    return " ".join(sentences)


def _worlds(scene: Scene) -> str:
    sentences = []
    if scene.twin_power_db is not None:
        difference = scene.power_db - scene.twin_power_db
        known = difference[np.isfinite(difference)]
        sentences.append("Left: path gain of the target minus that of its twin; circles are trees.")
        if known.size:
            weak = np.mean(known < -3.0)
            sentences.append(
                f"The median difference is {np.median(known):.1f} dB; {100 * weak:.0f} % of the users are more than "
                "3 dB weaker than their twin says."
            )
    if scene.split is not None:
        where = "Right" if sentences else "Shown"
        sentences.append(
            f"{where}: target samples come only from the training users; test users lie in other blocks, with a guard "
            "between, so that no test user has a training neighbour."
        )
    return " ".join(sentences)


def _training(results: Results, split: str) -> str:
    curves = [c for c in results.curves if c.split == split]
    sentences = [
        "Error on unseen test users against the number of training samples; lower is better, and 0 dB is the error of "
        f"sending nothing. {_bands([c.nmse_db for c in curves])}"
    ]
    target = summary.headline_target(results)
    here = [c for c in curves if c.target == target]
    codec = results.headline.codec if results.headline else None
    here = [c for c in here if c.codec == codec] or here
    if here:
        codec, size = here[0].codec, max(c.n_train for c in here)
        said = []
        for source in ("twin", "target", "wrong_site"):
            point = next(
                (c for c in here if (c.codec, c.source, c.n_train) == (codec, source, size) and c.converged), None
            )
            if point is not None and point.nmse_db.mean is not None:
                where = {"twin": "on the twin alone", "target": "on the target itself"}.get(
                    source, f"on a {label(source)}"
                )
                said.append(f"{_said(point.nmse_db)} when trained {where}")
        if said:
            sentences.append(f"On {label(target)}, {codec} with {size:,} samples reaches {_list(said)}.")
    if not all(c.converged for c in curves):
        sentences.append(
            "Hollow markers and dashed lines are models that are not converged: conclude nothing from them."
        )
    return " ".join(sentences)


def _refinement(results: Results, split: str) -> str:
    entries = [r for r in results.refinement if r.split == split]
    moves = [r for r in entries if r.method != UNREFINED and r.n_real > 0]
    sentences = [
        "What a few target samples do for a codec that was trained on the twin. Dotted: the codec as the twin left it; "
        "dash-dotted: the same codec trained on the target alone, with all the samples it was given. "
        + _bands([r.nmse_db for r in entries])
    ]
    headline = results.headline
    if headline is not None and headline.split == split:
        place = (headline.target, headline.codec, headline.method, headline.n_real)
        found = next((r for r in moves if (r.target, r.codec, r.method, r.n_real) == place), None)
        if found is not None and found.target is not None and found.gain_db is not None:
            sentences.append(
                f"On {label(found.target)}, {found.n_real:,} samples by “{found.method}” bring {found.codec} a gain of "
                f"{_said(found.gain_db, digits=2, signed=True)} on the same users."
            )
    if not all(r.converged for r in moves):
        sentences.append("Hollow markers and dashed lines are models that are not converged.")
    return " ".join(sentences)


def _cdf(results: Results, split: str) -> str:
    return (
        "How the error is spread over the test users: a curve further left is better. The mean is taken over linear "
        "errors, so the few users at the upper right decide it; look at the 95 % line as well as at the median."
    )


def _bands(estimates: list[Estimate]) -> str:
    """What the bands are, from the estimates themselves."""
    known = [e for e in estimates if e.has_interval]
    if not known:
        return "There are no intervals: each point is one run."
    levels = sorted({e.level for e in known})
    kinds = sorted({e.kind for e in known if e.kind})
    counts = sorted({e.n for e in known if e.n})
    text = f"Bands are {_list([f'{100 * level:g} %' for level in levels])} confidence intervals"
    if kinds:
        text += f" ({'; '.join(kinds)}"
        text += f", n = {counts[0]}{f' to {counts[-1]}' if len(counts) > 1 else ''})" if counts else ")"
    return text + "."


def _said(estimate: Estimate, **options: Any) -> str:
    """An estimate that no line break tears apart."""
    return interval(estimate, **options).replace(" ", "\N{NO-BREAK SPACE}")


def _list(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
