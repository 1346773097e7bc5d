"""The checks on real data, without the data: what the table says, how the run ends, and the page of the docs."""

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rays.shapes import box_quads, ground, quad_site
from tests.real_data import boston, campus
from tests.real_data.cases import Case, at_least, at_most, between, exactly, shown
from tests.real_data.register import CASES
from tests.real_data.table import BROKEN, PASSED, SKIPPED, rows_of, run

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "project" / "real-data.md"
HEIGHT = Case(
    "a hill",
    ("hill",),
    (exactly("corners", 3, "the file"), between("height (m)", 8, 9, "a survey"), at_most("holes", 0, "closed")),
    lambda data: {"corners": 3, "height (m)": float((data / "hill" / "z").read_text()), "holes": 0},
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A tiny data folder."""
    (tmp_path / "hill").mkdir()
    (tmp_path / "hill" / "z").write_text("8.5")
    return tmp_path


def ended(cases: list[Case], folder: Path) -> tuple[int, str]:
    out = io.StringIO()
    return run(cases, folder, out), out.getvalue()


def test_kept_bounds_pass(data):
    status, text = ended([HEIGHT], data)
    assert status == 0
    assert "| a hill | height (m) | 8.5 | 8 to 9 | passed |" in text
    assert "| a hill | holes | 0 | at most 0 | passed |" in text
    assert "3 passed, 0 BROKEN, 0 skipped" in text


@pytest.mark.parametrize("z", ["9.01", "nan", "inf", "7.99"])
def test_a_broken_bound_is_told_and_ends_the_run_with_1(data, z):
    (data / "hill" / "z").write_text(z)
    status, text = ended([HEIGHT], data)
    assert status == 1
    assert f"| a hill | height (m) | {float(z):g} | 8 to 9 | {BROKEN} |" in text
    assert text.count(PASSED) == 3  # the other two figures, and the last line


def test_an_error_breaks_its_case_and_not_the_run(data):
    (data / "hill" / "z").write_text("steep | very")
    status, text = ended(
        [HEIGHT, replace(HEIGHT, name="again", measure=lambda _: dict(zip(_names(), (3, 8, 0), strict=True)))], data
    )
    assert status == 1
    assert "BROKEN: ValueError" in text
    assert "steep / very" in text  # a bar would be another column
    assert "| again | corners | 3 | 3 | passed |" in text


def _names() -> list[str]:
    return [bound.figure for bound in HEIGHT.bounds]


def test_a_figure_without_a_bound_is_a_fault_of_the_case(data):
    for figures in ({"corners": 3}, {**dict.fromkeys(_names(), 0), "width": 1}):
        (row,) = rows_of(replace(HEIGHT, measure=lambda _, f=figures: f), data)
        assert row.verdict == BROKEN
        assert "measured and bounded figures differ" in row.reason


def test_what_is_absent_is_skipped_with_the_reason(data):
    status, text = ended([HEIGHT, replace(HEIGHT, name="a valley", needs=("hill", "valley", "brook"))], data)
    assert status == 0
    assert f"| a valley |  |  |  | {SKIPPED}: the folder has no valley, no brook |" in text


def test_a_folder_without_any_of_it_ends_the_run_with_2(tmp_path):
    status, text = ended(list(CASES), tmp_path)
    assert status == 2
    assert "holds nothing that any case needs" in text
    assert text.count(f"| {SKIPPED}: ") == len(CASES)


@pytest.mark.parametrize("folder", [None, "", "/no/such/folder"])
def test_without_the_variable_one_sentence_says_so(folder):
    environment = {name: value for name, value in os.environ.items() if name != "SITETWIN_DATA"}
    if folder is not None:
        environment["SITETWIN_DATA"] = folder
    done = subprocess.run(
        [sys.executable, "-m", "tests.real_data"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("No check ran: the environment variable SITETWIN_DATA ")
    assert done.stderr.count("\n") == 1


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(allow_nan=True))
def test_bounds_are_inclusive(one, other, value):
    low, high = sorted((one, other))
    assert between("", low, high, "").keeps(value) == (low <= value <= high)
    assert at_least("", low, "").keeps(value) == (value >= low)
    assert at_most("", high, "").keeps(value) == (value <= high)
    assert exactly("", low, "").keeps(low)


def test_numbers_are_read_at_a_glance():
    assert [shown(v) for v in (22186.0, 0.0, 0.0065519, 61000.4, 1.0001, float("nan"))] == [
        "22,186", "0", "0.0065519", "61,000", "1.0001", "nan"
    ]  # fmt: skip


def test_a_tiny_city_is_measured_like_the_whole(tmp_path):
    """Two houses and one inside of another: all are accounted for, and only the counts of the real file break."""
    step = 1e-4
    squares = [(0, 0, 4, 5), (6, 0, 3, 0), (1, 1, 1, 1)]  # west, south, side, storeys
    features = [
        {
            "type": "Feature",
            "properties": {"stories": levels},
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [
                        [-71.06 + step * (x + side * i), 42.35 + step * (y + side * j)]
                        for i, j in ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))
                    ]
                ],
            },
        }
        for x, y, side, levels in squares
    ]
    file = tmp_path / boston.DOWNTOWN
    file.parent.mkdir()
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (downtown,) = (case for case in CASES if case.name == "Boston, downtown")
    verdicts = {row.figure: (row.measured, row.verdict) for row in rows_of(downtown, tmp_path)}
    assert verdicts.pop("buildings on the map") == ("3", BROKEN)
    assert {verdict for _, verdict in verdicts.values()} == {PASSED}


def test_the_oracle_of_sight_sees_over_and_not_through_a_box():
    site = quad_site([ground(60.0), *box_quads((-2, -2, 0), (2, 2, 3))])
    station = np.array([-10.0, 0.0, 5.0])
    # At 1 m the shadow ends where the line over the far edge of the roof comes down: 12 / (5 - 3) * (5 - 1) = 24 m.
    users = np.array([[-5.0, 0, 1], [5.0, 0, 1], [13.9, 0, 1], [14.1, 0, 1], [5.0, 9.0, 1], [0.0, 0, 1]])
    seen, marginal = campus.sees(site, station, users)
    assert seen.tolist() == [True, False, False, True, True, False]
    assert not marginal.any()
    assert campus.sees(site, station, np.array([[14.0, 0.5, 1.0]]))[1].all()


def test_the_page_of_the_docs_has_every_case_and_bound():
    """The page has the bounds that are checked, and calls kept what its own figures keep."""
    lines = [line.strip("| ").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    said = {(cells[0], cells[1]): cells[2:] for cells in lines if len(cells) == 5}
    for case in CASES:
        if any(name.split("/")[0] in ("los_angeles", "chicago") for name in case.needs):
            assert re.search(rf"\| {case.name} \|  \|  \|  \| skipped", PAGE.read_text(encoding="utf-8"))
            continue
        for bound in case.bounds:
            measured, kept, verdict = said[case.name, bound.figure]
            assert kept == str(bound), f"{case.name}: {bound.figure}"
            assert verdict == (PASSED if bound.keeps(float(measured.replace(",", ""))) else BROKEN)
