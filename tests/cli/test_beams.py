"""`sitetwin beams` from a table of measurements to a judged predictor, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import sitetwin as st
from sitetwin.calibrate.site_beams import SiteBeams
from sitetwin.cli.app import app
from sitetwin.errors import SiteTwinError

STATION = (48.1, 11.5)
BEAMS = 16
LOOKS = np.linspace(55, -55, BEAMS)
TURN = np.radians(30.0)  # of the street and the array from east
Columns = dict[str, np.ndarray]

pytestmark = pytest.mark.filterwarnings("ignore::sitetwin.errors.SiteTwinWarning")


def street(drives: range, step: int = 1) -> Columns:
    """Cars on two lanes of a street, every `step`th of their sweeps; the sweep comes two metres after the fix."""
    rng = np.random.default_rng(drives.start)
    number = np.repeat(drives, 40)
    sign = np.where(number % 2 == 0, 1.0, -1.0)
    along = (np.tile(np.arange(-20.0, 20.0), len(drives)) + (0.37 * number) % 1) * sign
    away = np.where(sign > 0, 14.0, 18.0) + rng.normal(0, 0.3, len(drives)).repeat(40)
    azimuth = np.degrees(np.arctan2(along + 2 * sign, away))
    power = np.exp(-(((azimuth[:, None] - LOOKS) / 6) ** 2)) / (away**2 + along**2)[:, None] + 2e-4
    power *= np.exp(rng.normal(0, 0.05, power.shape))
    east = away * np.cos(TURN) - along * np.sin(TURN)
    north = away * np.sin(TURN) + along * np.cos(TURN)
    table = {"time": 100.0 * number + np.tile(np.arange(40), len(drives)), "east_m": east, "north_m": north}
    table |= {f"power_{b}": power[:, b] for b in range(BEAMS)}
    return {name: values[::step] for name, values in table.items()}


def write(path: Path, columns: dict[str, Any]) -> Path:
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def book(path: Path, looks: np.ndarray = LOOKS) -> Path:
    return write(path, {"beam": np.arange(len(looks)), "azimuth_deg": looks})


def labels(columns: Columns) -> dict[str, Any]:
    best = np.stack([columns[f"power_{b}"] for b in range(BEAMS)], axis=1).argmax(axis=1)
    return {**{name: columns[name] for name in ("time", "east_m", "north_m")}, "best_beam": best}


def run(*words: object) -> Any:
    return CliRunner().invoke(app, ["beams", *map(str, words)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measurements, users, a codebook, and a predictor fitted to 40 rows."""
    root = tmp_path_factory.mktemp("beams")
    write(root / "some.csv", street(range(4), step=4))
    write(root / "others.csv", street(range(4, 7)))
    others = street(range(4, 7))
    write(root / "asked.csv", {name: others[name][::-1] for name in ("time", "east_m", "north_m")})
    book(root / "book.csv")
    done = run("fit", root / "some.csv", "--codebook", root / "book.csv", "--antennas", 16, "--out", root / "a.beams")
    assert done.exit_code == 0, done.output
    assert "no map was used" in done.output
    return root


def test_other_drives_are_predicted_and_judged(folder: Path) -> None:
    done = run("eval", folder / "a.beams", folder / "others.csv", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["rows"] == 120
    assert found["drives"] == 3
    assert found["top1"] > 0.75
    assert found["top1_low"] <= found["top1"] <= found["top1_high"]
    assert found["top3"] > 0.98
    assert found["power_loss_db"] < 2.0
    assert found["delivered"] > 0.93
    assert found["beams_swept"] < 5
    assert "no map" not in run("eval", folder / "a.beams", folder / "others.csv").stdout
    own = json.loads(run("eval", folder / "a.beams", folder / "some.csv", "--json").stdout)
    assert any("40 of 40 rows stand where the predictor was fitted" in note for note in own["notes"])


def test_the_ranking_is_that_of_python_in_the_order_of_the_table(folder: Path) -> None:
    done = run("predict", folder / "a.beams", folder / "asked.csv", "--out", folder / "told.csv", "--reliability", 0.9)
    assert done.exit_code == 0, done.output
    lines = [line.split(",") for line in (folder / "told.csv").read_text().splitlines()]
    assert lines[0][:4] == ["row", "drive", "beam_1", "probability_1"]
    assert [int(line[0]) for line in lines[1:]] == list(range(1, 121))
    known = SiteBeams.load(folder / "a.beams")
    told = known.predict(st.open_beams(folder / "asked.csv", places_only=True), 0.9)
    first = int(np.flatnonzero(told.row == 1)[0])
    assert lines[1][-1].split() == [str(beam) for beam in told.order[first, : told.sweep[first]]]
    assert int(lines[1][-2]) == told.sweep[first]
    more = known.predict(st.open_beams(folder / "asked.csv", places_only=True), 0.99)
    assert (more.sweep >= told.sweep).all()
    with pytest.raises(SiteTwinError, match="between 0 and 1"):
        known.predict(st.open_beams(folder / "asked.csv", places_only=True), 1.0)


def test_a_saved_predictor_says_the_same_and_damage_is_found(folder: Path) -> None:
    rows = st.open_beams(folder / "some.csv")
    plain = st.fit_beams(rows, folder / "book.csv", antennas=16)
    loaded = SiteBeams.load(folder / "a.beams")
    asked = st.open_beams(folder / "others.csv")
    np.testing.assert_array_equal(plain.predict(asked).probability, loaded.predict(asked).probability)
    assert loaded.account["modes"] == plain.account["modes"]
    content = bytearray((folder / "a.beams").read_bytes())
    place = content.find(rows.power.values.tobytes()[:64])
    assert place > 0
    content[place + 3] ^= 1
    (folder / "b.beams").write_bytes(content)
    with pytest.raises(SiteTwinError, match=r"b\.beams"):
        SiteBeams.load(folder / "b.beams")


def test_decibels_and_degrees_change_nothing(folder: Path, tmp_path: Path) -> None:
    rows = street(range(4), step=4)
    other = {name: values for name, values in rows.items() if not name.startswith("power")}
    other |= {f"power_{b}_dbm": 10 * np.log10(rows[f"power_{b}"]) for b in range(BEAMS)}
    found = st.fit_beams(write(tmp_path / "a.csv", other), folder / "book.csv", antennas=16)
    plain = SiteBeams.load(folder / "a.beams")
    asked = st.open_beams(folder / "others.csv")
    np.testing.assert_allclose(found.predict(asked).probability, plain.predict(asked).probability, atol=1e-6)


def test_best_beams_alone_serve_too_and_tell_no_loss(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "a.csv", labels(street(range(4), step=4)))
    known = st.fit_beams(tmp_path / "a.csv", folder / "book.csv", antennas=16)
    found = known.evaluate(st.open_beams(folder / "others.csv"))
    assert found["top1"] > 0.5
    assert "power_loss_db" in found
    write(tmp_path / "b.csv", labels(street(range(4, 7))))
    judged = known.evaluate(st.open_beams(tmp_path / "b.csv", beams=BEAMS))
    assert judged["top1"] == found["top1"]
    assert "power_loss_db" not in judged
    assert known.account["measured"] == "best beams"


def test_without_a_codebook_rows_near_by_answer_and_far_from_them_more_is_swept(folder: Path, tmp_path: Path) -> None:
    known = st.fit_beams(write(tmp_path / "a.csv", street(range(4), step=2)))
    found = known.evaluate(st.open_beams(folder / "others.csv"))
    assert found["top1"] > 0.6
    far = {"time": [0, 1, 2], "east_m": [100.0, 101.0, 102.0], "north_m": [80.0, 80.0, 80.0]}
    told = known.predict(st.open_beams(write(tmp_path / "far.csv", far), places_only=True))
    assert (told.sweep == BEAMS).all()
    assert "3 of 3 users are farther" in told.notes[0]
    assert "codebook is not known" in known.account["decision"]


def test_a_user_who_stands_still_and_one_place_are_said(folder: Path, tmp_path: Path) -> None:
    rows = street(range(4), step=8)
    still = {**rows, "east_m": np.full(20, 15.0), "north_m": np.full(20, 3.0)}
    known = st.fit_beams(write(tmp_path / "a.csv", still), folder / "book.csv", antennas=16)
    assert any("at one place" in note for note in known.account["notes"])
    asked = st.open_beams(write(tmp_path / "b.csv", {k: still[k] for k in ("east_m", "north_m")}), places_only=True)
    told = SiteBeams.load(folder / "a.beams").predict(asked)
    np.testing.assert_allclose(told.probability, told.probability[:1].repeat(20, axis=0))
    one = {name: values[:5] for name, values in rows.items()}
    assert any("one drive" in n for n in st.fit_beams(write(tmp_path / "c.csv", one)).account["notes"])


def mirrored(rows: Columns) -> Columns:
    return {**rows, **{f"power_{b}": rows[f"power_{BEAMS - 1 - b}"] for b in range(BEAMS)}}


def backwards(rows: Columns) -> Columns:
    time = np.arange(float(len(rows["time"])))
    return {**rows, "time": np.where(time < 60, time, time - 20 + 0.5)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (mirrored, "mirrored"),
        (lambda r: {**r, **{f"power_{b}": -r[f"power_{b}"] for b in range(BEAMS)}}, "look like dB"),
        (lambda r: {k: v for k, v in r.items() if k != "power_15"}, "16 beams where"),
        (lambda r: {**r, "east_m": np.full(160, np.nan)}, "without position"),
        (lambda r: {**r, **{f"power_{b}": np.zeros(160) for b in range(BEAMS)}}, "without power"),
        (backwards, "the clock jumps back"),
        (lambda r: {k: v[:0] for k, v in r.items()}, "no rows below a heading"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_sentence(
    folder: Path, tmp_path: Path, change: Callable[[Columns], Columns], words: str
) -> None:
    path = write(tmp_path / "a.csv", change(street(range(4))))
    done = run("fit", path, "--codebook", folder / "book.csv", "--antennas", 16, "--out", tmp_path / "a.beams")
    assert done.exit_code == 1
    assert words.replace("16 beams where", "16") in " ".join(done.stderr.split())
    assert not (tmp_path / "a.beams").exists()


def test_what_does_not_go_together_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SiteTwinError, match="number of antennas goes with the file"):
        st.fit_beams(folder / "some.csv", antennas=4)
    with pytest.raises(SiteTwinError, match="know their station"):
        st.fit_beams(st.open_beams(folder / "some.csv"), station=STATION)
    with pytest.raises(SiteTwinError, match="holds no built_in_beam_pattern"):
        st.fit_beams(folder / "some.csv", tmp_path)
    degrees = {"lat": [48.1001, 48.1002], "lon": [11.5, 11.5]}
    with pytest.raises(SiteTwinError, match="the same kind"):
        SiteBeams.load(folder / "a.beams").predict(
            st.open_beams(write(tmp_path / "a.csv", degrees), STATION, places_only=True)
        )
    done = run("fit", folder / "some.csv", "--station=here", "--out", tmp_path / "x.beams")
    assert done.exit_code == 1
    assert "33.42,-111.93" in done.stderr
    assert run("predict", folder / "some.csv", folder / "asked.csv", "--out", tmp_path / "t.csv").exit_code == 1
    assert run("fit", folder / "some.csv", "--out", folder / "a.beams").exit_code == 1


def test_a_wrong_codebook_is_said(folder: Path, tmp_path: Path) -> None:
    mixed = LOOKS[np.random.default_rng(3).permutation(BEAMS)]
    found = st.fit_beams(folder / "some.csv", book(tmp_path / "b.csv", mixed), antennas=16)
    assert any("little to do with" in note for note in found.account["notes"])
