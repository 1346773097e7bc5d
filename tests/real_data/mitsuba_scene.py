"""A scene of OpenPathNet as Mitsuba XML: houses of Los Angeles, traced as its makers traced them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sitetwin.rays import TraceSettings, trace
from sitetwin.site import check_site, inside_building, load_scene
from tests.rays.laws import LawTest, Verdict
from tests.real_data.cases import Case, at_most, between, exactly

SCENE = "openpathnet/scene.xml"
TRANSMITTER = np.array([0.0, 0.0, 30.0])
SIDE, HEIGHT = 128, 1.0
"""Metres: the makers' grid of users."""

STRONGEST = 5
"""Paths of a user that the makers kept."""

JUDGED = 400


def _scene(data: Path) -> dict[str, float]:
    site = load_scene(data / SCENE)
    report = check_site(site, 3.66e9)
    x, y = np.meshgrid(np.arange(-SIDE / 2, SIDE / 2), np.arange(-SIDE / 2, SIDE / 2))
    users = np.column_stack([x.ravel(), y.ravel(), np.full(x.size, HEIGHT)])
    users = users[~inside_building(site, users)]
    paths = trace(site, TRANSMITTER, users, TraceSettings(max_depth=3, diffraction=True))
    chosen = np.sort(np.random.default_rng(0).permutation(paths.num_paths)[:JUDGED])
    verdicts = [judgement.verdict for judgement in LawTest(site).judge_paths(paths, chosen)]
    return {
        "places with an error of the site check": sum(f.count for f in report.of("error")),
        "users outside buildings": len(users),
        "paths, the five strongest of each user at most": int(np.minimum(paths.counts, STRONGEST).sum()),
        "users without a path": int((paths.counts == 0).sum()),
        "judged paths of ours that break a law": verdicts.count(Verdict.INVALID),
    }


CASES = (
    Case(
        "OpenPathNet, a scene of houses",
        (SCENE, "openpathnet/mesh"),
        (
            exactly("places with an error of the site check", 0, "the import is fit to be traced"),
            between(
                "users outside buildings", 12_054 - 40, 12_054 + 40, "the makers' 12,054; their grid's phase is unknown"
            ),
            between(
                "paths, the five strongest of each user at most",
                59_218,
                61_000,
                "the makers' 59,218 with Sionna RT, which draws its interactions and so finds fewer",
            ),
            at_most("users without a path", 1, "one in a notch has only the rim of the ground, which is no edge"),
            exactly("judged paths of ours that break a law", 0, "laws of reflection, diffraction and occlusion"),
        ),
        _scene,
    ),
)
