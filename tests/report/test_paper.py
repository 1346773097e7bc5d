"""A CSI study in the paper's form: released curves, single trainings, signs, and the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.report import write_report
from sitetwin.report.csi.paper import (
    NAIVE_WORST,
    REHEARSAL,
    TARGET,
    TWIN,
    WRONG,
    Point,
    points_of,
    read_networks,
    read_released,
    signs,
    table_of,
)
from sitetwin.report.csi.results import parse_results
from tests.report.made_up import estimate, make_results, make_study

TABLE = """curve,n_train,nmse_db,std_db,n_seeds
all_avg_nmse_train_on_real,5120,-22.0038,0.3108,10
all_nmse_combine_select,40,-19.7599,0.8613,5
something_else,40,1.0,0.1,5
"""


def network(**changes: Any) -> dict[str, Any]:
    """A row of a single training."""
    return {
        "schema": "sitetwin.csi-network/1",
        "codec": "CSINet+",
        "source": "twin",
        "n_train": 5120,
        "target": "target_a",
        "split": "random",
        "nmse_db": -17.5,
        "score_db": -17.0,
        "converged": True,
        **changes,
    }


def put(folder: Path, *rows: dict[str, Any]) -> Path:
    place = folder / "networks"
    place.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows):
        (place / f"{number}.json").write_text(json.dumps(row))
    return folder


def point(curve: str, size: int, mean: float, converged: bool = True) -> Point:
    return Point(curve, "c", size, mean, None, converged)


def test_released_curves_are_read_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "published.csv"
    path.write_text(TABLE)
    assert read_released(path) == [
        Point(TARGET, "released", 5120, -22.0038, 0.3108),
        Point(REHEARSAL, "released", 40, -19.7599, 0.8613),
    ]


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n1,2\n", "curve,n_train,nmse_db,std_db\n", TABLE.replace("-22.0038", "nan"), TABLE.replace("5120", "-1")],
)
def test_other_tables_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "published.csv"
    path.write_text(text)
    with pytest.raises(SiteTwinError, match=r"published\.csv"):
        read_released(path)


def test_a_single_training_counts_by_its_score_and_by_the_paper_s_place(tmp_path: Path) -> None:
    rows = [
        network(),
        network(method="rehearsal, high NMSE", n_real=40, score_db=-19.0),
        network(method="naive, random", n_real=10, n_train=640),  # the paper refines from 5120
        network(split="blocks", score_db=-3.0),
        network(batch=4, score_db=-18.0),
    ]
    results = parse_results(make_results())
    found = points_of(results, read_networks(put(tmp_path, *rows)))
    at = {(p.curve, p.codec, p.size): p.mean for p in found}
    assert at[TWIN, "CSINet+", 5120] == -17.0
    assert at[REHEARSAL, "CSINet+", 40] == -19.0
    assert at[TWIN, "CSINet+, batch 4", 5120] == -18.0
    assert -3.0 not in at.values()
    assert not any(p.size == 10 and p.codec == "CSINet+" and p.curve not in (TWIN, TARGET, WRONG) for p in found)


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": "other"}', json.dumps(network(n_train="many"))])
def test_a_damaged_row_is_named(tmp_path: Path, content: str) -> None:
    put(tmp_path, network())
    (tmp_path / "networks" / "1.json").write_text(content)
    with pytest.raises(SiteTwinError, match=r"1\.json"):
        read_networks(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "naive", "rehearsal", "target", "verdicts"),
    [
        (3.0, -11.7, -19.8, -22.0, (True, True, True, True)),
        (-7.1, -17.0, -17.0, -23.1, (False, False, False, False)),
        (-7.0, -16.9, -17.1, -23.0, (True, True, True, True)),
    ],
)
def test_signs_are_judged_by_the_differences(
    wrong: float, naive: float, rehearsal: float, target: float, verdicts: tuple[bool, ...]
) -> None:
    points = [
        point(TWIN, 5120, -17.0),
        point(WRONG, 5120, wrong),
        point(NAIVE_WORST, 10, naive),
        point(REHEARSAL, 40, rehearsal),
        point(TARGET, 5120, target),
    ]
    assert tuple(sign.met for sign in signs(points)) == verdicts


def test_nothing_is_judged_that_was_not_run_to_its_end() -> None:
    found = signs([point(TWIN, 5120, -17.0), point(WRONG, 5120, 3.0, converged=False)])
    assert [sign.met for sign in found] == [None] * 4
    assert [sign.remark for sign in found] == ["not converged", *["not run"] * 3]


def test_a_sign_is_paired_over_the_seeds() -> None:
    """Seeds differ by 2 dB, the codecs by 0.1 dB on each of them; Student's t of two degrees of freedom is 4.303."""
    base = Point(TWIN, "c", 5120, -17.0, 2.5, True, (-16.0, -17.0, -18.0))
    worse = Point(NAIVE_WORST, "c", 10, -16.9, 2.5, True, (-15.9, -16.9, -17.9))
    unsure = Point(NAIVE_WORST, "c", 10, -16.9, 2.5, True, (-15.7, -17.1, -17.9))
    (sign,) = [sign for sign in signs([base, worse]) if "alone" in sign.statement]
    assert sign.met
    assert sign.remark == ""
    assert sign.half == pytest.approx(0.0, abs=1e-9)
    (sign,) = [sign for sign in signs([base, unsure]) if "alone" in sign.statement]
    assert sign.met
    assert sign.remark == "not told apart from its limit"
    assert sign.half == pytest.approx(4.3027 * 0.2 / 3**0.5, abs=1e-3)  # of 0.3, -0.1, 0.1


def test_the_table_holds_every_figure_of_both() -> None:
    released = [Point(TARGET, "released", 10, 1.8, 0.2), Point(TWIN, "released", 40, 0.0, 0.3)]
    rows = table_of([point(TWIN, 10, -3.0), point(TARGET, 10, -4.0)], released)
    assert [(curve, size) for curve, size, _ in rows] == [(TARGET, 10), (TWIN, 10), (TWIN, 40)]
    assert [[p and p.mean for p in points] for _, _, points in rows] == [[1.8, -4.0], [None, -3.0], [0.0, None]]


def test_the_page_shows_the_paper_s_form_only_where_there_is_one(tmp_path: Path) -> None:
    results = make_study(tmp_path)
    assert 'id="paper"' not in write_report(tmp_path).read_text()
    import numpy as np

    rng = np.random.default_rng(0)
    results["correlation"] = [
        {
            "codec": "KLT mixture",
            "rule": rule,
            "samples": 3,
            "twin_samples": 5120,
            "median": estimate(rng, 0.9, 0.01),
            "correlation": [0.5, 0.9, 1.0],
            "probability": [0.333, 0.667, 1.0],
        }
        for rule in ("high NMSE", "random")
    ]
    terms = {key: estimate(rng, 0.01, 0.001) for key in ("gap", "target_loss", "twin_loss", "discrepancy", "constant")}
    results["bound"] = [{"codec": "KLT mixture", "pairs": 3, **terms}]
    results["collection"] = [
        {
            "codec": "KLT mixture",
            "threshold_db": -15.0,
            "round": 1,
            "examined": 912,
            "uploads": 40,
            "upload_bits": 1_310_720,
            "download_bits": 1000,
            "nmse_db": -21.25,
        }
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))
    put(tmp_path, network())
    (tmp_path / "published.csv").write_text(TABLE)
    page = write_report(tmp_path, tmp_path / "published.csv").read_text()
    for words in ('id="paper"', "-22.0", "1.31 M", "figure-correlation", "figure-published", "not run", "-21.25 dB"):
        assert words.replace("-22.0", "\N{MINUS SIGN}22.0") in page or words in page, words
