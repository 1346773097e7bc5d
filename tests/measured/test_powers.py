"""Measured power of drive tests: what is read, left out and refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from sitetwin.errors import SiteTwinError
from sitetwin.measured import Powers, powers_on_site, read_powers
from sitetwin.site.latlon import to_geographic, with_georeference
from tests.site.conftest import make_town

HEADING = "cell,device,latitude,longitude,rsrp"


def town():
    """Flat ground of 200 m by 200 m, near Durham."""
    return with_georeference(make_town([]), 36.0, -78.94)


def written(folder: Path, *lines: str) -> Path:
    path = folder / "drive.csv"
    path.write_text("\n".join(lines))
    return path


def drive(folder: Path, plan: np.ndarray, power: np.ndarray, cell: str = "A", device: str = "one") -> Path:
    latitude, longitude = to_geographic(town(), plan)
    rows = zip(latitude, longitude, power, strict=True)
    return written(folder, HEADING, *(f"{cell},{device},{a:.8f},{b:.8f},{p:g}" for a, b, p in rows))


PLAN = np.stack([np.linspace(-90, 90, 20), np.full(20, -50.0)], axis=1)
POWER = -80.0 - np.arange(20.0)


def test_a_drive_test_lands_where_it_was_measured(tmp_path):
    powers = powers_on_site(drive(tmp_path, PLAN, POWER), town())
    np.testing.assert_allclose(powers.positions[:, :2], PLAN, atol=2e-3)
    np.testing.assert_allclose(powers.power_dbm, POWER)
    assert set(powers.cell) == {"A"}
    assert set(powers.receiver) == {"one"}
    assert not powers.left_out


def test_units_stand_in_the_names_of_columns(tmp_path):
    found = [
        read_powers(written(tmp_path, f"x_m,y_m,power_dbm,carrier_{unit}", f"1,2,-80,{value}", f"1,2,-81,{value}"))
        for unit, value in (("hz", 3.5e9), ("mhz", 3500), ("ghz", 3.5))
    ]
    for one in found:
        np.testing.assert_allclose(one["carrier"], 3.5e9)


def test_rows_that_cannot_be_used_are_counted_by_reason(tmp_path):
    lines = ["A,one,36.0,-78.94,-80"] * 12
    lines += ["A,one,,,-80", "A,one,0,0,-80", "A,one,36,-78.94,-32768", "A,one,36,-78.94,0", ",one,36,-78.94,-90"]
    lines[3] = "A,one,36.0,-78.94,-83"
    data = read_powers(written(tmp_path, HEADING, *lines))
    assert data.attrs["left_out"] == {
        "without a position": 2,
        "without a power that a receiver reports": 2,
        "without the name of cell or receiver": 1,
    }
    assert data.sizes["sample"] == 12


def test_rows_beside_the_site_are_left_out_however_far(tmp_path):
    path = drive(tmp_path, PLAN, POWER)
    path.write_text(path.read_text() + "\nA,one,48,11,-70\nA,one,36.02,-78.94,-70")
    powers = powers_on_site(path, town())
    assert powers.left_out == {"taken beside the site": 2}
    assert len(powers) == 20


def test_columns_without_a_meaning_are_named(tmp_path):
    data = read_powers(written(tmp_path, "x_m,y_m,rsrp,speed", "1,2,-80,3", "4,5,-90,3"))
    assert data.attrs["notes"] == ["columns that were not read: 'speed'"]


@pytest.mark.parametrize(
    ("powers", "match"),
    [
        ([1e-9, 2e-9, 5e-8] * 4, "watts"),
        (list(range(30, 60)), "index"),
        ([90.5, 101.25] * 6, "received power in dBm"),
        ([-900.0, -1011.0] * 6, "no powers that a receiver reports"),
        ([-99.0] * 12, "all powers are -99"),
    ],
)
def test_numbers_that_are_no_dbm_are_refused(tmp_path, powers, match):
    lines = [f"{k},2,{p}" for k, p in enumerate(powers)]
    with pytest.raises(SiteTwinError, match=match):
        read_powers(written(tmp_path, "x_m,y_m,power_dbm", *lines))


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        (["x_m,y_m,level", "1,2,-80"], "no column of power"),
        (["rsrp,cell", "-80,A"], "no columns of position"),
        (["x_m,y_m,latitude,longitude,rsrp", "1,2,3,4,-80"], "degrees and metres both"),
        (["x_m,y_m,rsrp,power_dbm", "1,2,-80,-80"], "both give the power"),
        (["x_m,y_m,rsrp", "1,2"], "2 cells"),
        (["x_m,y_m,rsrp", "1,2,weak"], "no number"),
        (["x_m,y_m,rsrp"], "no rows"),
        (["lat,lon,rsrp", *["0.6283,-1.3777,-80"] * 3], "radians"),
        (["lat,lon,rsrp", "512300,4100200,-80"], "give WGS84 degrees"),
        (["x_m,y_m,rsrp", ",,-80"], "none of 1 rows"),
        (["x_m,y_m,rsrp", "1e9,2,-80"], "lies beyond"),
    ],
)
def test_tables_that_are_no_drive_tests_are_refused(tmp_path, lines, match):
    with pytest.raises(SiteTwinError, match=match):
        read_powers(written(tmp_path, *lines))


def test_a_map_of_elsewhere_is_refused_with_both_places(tmp_path):
    lines = ["A,one,48.1,11.5,-80", "A,one,48.1,11.5,-81"]
    with pytest.raises(SiteTwinError, match="take the map of the place"):
        powers_on_site(written(tmp_path, HEADING, *lines), town())


def test_exchanged_degrees_are_told(tmp_path):
    lines = ["A,one,-78.94,36.0,-80", "A,one,-78.94,36.0,-81"]
    with pytest.raises(SiteTwinError, match="exchanged"):
        powers_on_site(written(tmp_path, HEADING, *lines), town())


def test_degrees_in_columns_of_metres_are_refused(tmp_path):
    lines = [f"{36 + k * 1e-5:.6f},-78.94,{-80 - k}" for k in range(10)]
    with pytest.raises(SiteTwinError, match="degrees"):
        powers_on_site(written(tmp_path, "x_m,y_m,rsrp", *lines), town())


def test_a_carrier_of_another_unit_is_refused(tmp_path):
    with pytest.raises(SiteTwinError, match="carrier_mhz"):
        powers_on_site(written(tmp_path, "x_m,y_m,rsrp,carrier_hz", "1,-50,-80,3500"), town())


def test_several_carriers_of_one_cell_are_named(tmp_path):
    lines = [f"{k},-50,{-80 - k},{3550 + 10 * (k % 2)},{'AB'[k // 5]}" for k in range(6)]
    notes = powers_on_site(written(tmp_path, "x_m,y_m,rsrp,carrier_mhz,cell", *lines), town()).notes
    assert len(notes) == 1
    assert "cell A was measured at 2 carriers (3550, 3560 MHz)" in notes[0]


def test_the_wrong_cell_is_refused_and_others_are_counted(tmp_path):
    powers = powers_on_site(drive(tmp_path, PLAN, POWER), town())
    with pytest.raises(SiteTwinError, match="the measured cells are A"):
        powers.of_cells(["B"])
    assert powers.of_cells(["A", "B"]).left_out == {}


def test_rows_without_a_cell_are_those_of_the_one_asked_for(tmp_path):
    lines = [f"{k},-50,{-80 - k}" for k in range(10)]
    powers = powers_on_site(written(tmp_path, "x_m,y_m,rsrp", *lines), town())
    assert set(powers.of_cells(["A"]).cell) == {"A"}
    with pytest.raises(SiteTwinError, match="no row was measured"):
        powers.of_cells(["A", "B"])


def rows(plan: np.ndarray, power: np.ndarray, receiver: np.ndarray) -> Powers:
    count = len(plan)
    return Powers(
        np.pad(plan, ((0, 0), (0, 1))),
        power,
        np.full(count, "A"),
        receiver,
        np.full(count, np.nan),
        np.ones(count, dtype=np.int64),
    )


def test_receivers_that_disagree_are_named(tmp_path):
    one = drive(tmp_path, PLAN, POWER).read_text()
    other = "\n".join(drive(tmp_path, PLAN, POWER + 20, device="other").read_text().splitlines()[1:])
    notes = powers_on_site(written(tmp_path, one, other), town()).notes
    assert len(notes) == 1
    assert "'one' and 'other' differ by -20.0 dB" in notes[0]


@given(
    some.lists(
        some.tuples(some.floats(-90, 90), some.floats(-90, 90), some.integers(-140, -50), some.sampled_from("xy")),
        min_size=1,
        max_size=30,
    )
)
@settings(max_examples=50, deadline=None)
def test_merging_keeps_readings_and_means_and_is_done_once(given_rows):
    plan = np.array([row[:2] for row in given_rows])
    power = np.array([row[2] for row in given_rows], dtype=np.float64)
    powers = rows(plan, power, np.array([row[3] for row in given_rows]))
    merged = powers.merged(4.0)
    assert merged.readings.sum() == len(powers)
    assert np.average(merged.power_dbm, weights=merged.readings) == pytest.approx(power.mean())
    assert len({(r, *np.floor(p[:2] / 4)) for r, p in zip(merged.receiver, merged.positions, strict=True)}) <= len(
        merged
    )
    turned = powers.take(np.arange(len(powers))[::-1]).merged(4.0)
    np.testing.assert_allclose(turned.power_dbm, merged.power_dbm)


def test_duplicated_positions_are_one_row():
    powers = rows(np.zeros((5, 2)), np.arange(5.0) - 80, np.full(5, "one")).merged(0.0)
    assert len(powers) == 1
    assert powers.power_dbm[0] == pytest.approx(-78)
    assert powers.readings[0] == 5
