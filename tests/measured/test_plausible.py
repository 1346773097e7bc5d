"""Measured rows that are not what they seem: asked about, refused, or put in order; never believed."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.channel.formats import read_text_numbers
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.measured import read_deepsense
from sitetwin.measured.plausible import check_bearing, check_order, linear_powers
from tests.measured.deepsense_folders import BEAMS, made_up, write_gathered, write_official, write_paper


def rewrite(folder: Path, quantity: str, change) -> None:
    """Write the arrays of the gathered layout anew."""
    (file,) = folder.glob(f"scenario1_{quantity}_*.npy")
    np.save(file, change(np.load(file)))


@pytest.mark.parametrize("offset", [0, 20, 60, 120])
def test_powers_in_db_are_asked_about_and_read_when_their_unit_is_said(tmp_path, offset):
    write_gathered(tmp_path)
    right = read_deepsense(tmp_path).power.values
    rewrite(tmp_path, "unit1_pwr_60ghz", lambda power: 10 * np.log10(power) + offset)
    with pytest.raises(SiteTwinError, match=r"dB.*give their power unit \(linear or dB\)"):
        read_deepsense(tmp_path)
    found = read_deepsense(tmp_path, power_unit="dB").power.values
    np.testing.assert_allclose(found, right * 10 ** (offset / 10))


def test_large_linear_powers_are_read_when_their_unit_is_said(tmp_path):
    write_gathered(tmp_path)
    rewrite(tmp_path, "unit1_pwr_60ghz", lambda power: 100 * power)
    with pytest.raises(SiteTwinError, match="linear powers, or dB"):
        read_deepsense(tmp_path)
    assert read_deepsense(tmp_path, power_unit="linear").power.max() > 1


@given(st.floats(1e-15, 1e15), st.integers(0, 2**32 - 1))
def test_a_scale_that_is_no_decibel_changes_nothing(scale, seed):
    power = np.random.default_rng(seed).uniform(0.01, 0.5, (20, 8)) * scale
    if np.median(power) >= 1 and power.max() <= 200:
        return
    np.testing.assert_array_equal(linear_powers(power, None), power)


def test_rows_are_sorted_by_the_index_of_the_table(tmp_path):
    ordered = read_deepsense(write_official(tmp_path / "ordered"))
    folder = write_official(tmp_path / "shuffled")
    (table,) = folder.glob("*.csv")
    head, *lines = table.read_text().splitlines()
    mixed = np.random.default_rng(1).permutation(len(lines))
    table.write_text("\n".join([head, *(lines[n] for n in mixed)]) + "\n")
    assert (
        read_deepsense(folder)
        .assign_attrs(scenario="", title="")
        .identical(ordered.assign_attrs(scenario="", title=""))
    )


@pytest.mark.parametrize("write", [write_gathered, write_paper])
def test_rows_out_of_order_are_refused_where_nothing_says_their_order(tmp_path, write, monkeypatch):
    mixed = np.random.default_rng(1).permutation(24)
    rows = made_up()
    monkeypatch.setattr("tests.measured.deepsense_folders.made_up", lambda *_: tuple(part[mixed] for part in rows))
    with pytest.raises(SiteTwinError, match="do not follow each other in time"):
        read_deepsense(write(tmp_path))


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(10, 80), noise=st.floats(0, 0.3), stops=st.integers(0, 5))
def test_order_is_seen_at_any_sampling_with_stops_and_noise(seed, rows, noise, stops):
    rng = np.random.default_rng(seed)
    s = np.sort(np.concatenate([np.linspace(0, 60, rows), np.repeat(rng.uniform(0, 60, 1), stops)]))
    track = np.column_stack([np.full(len(s), 20.0), s]) + rng.normal(0, noise, (len(s), 2))
    drive = np.zeros(len(s), dtype=np.int64)
    check_order(track, drive, numbered=True)
    with pytest.raises(SiteTwinError, match="do not follow each other in time"):
        # Every second row from the other end: no order of a drive.
        check_order(np.stack([track, track[::-1]], axis=1).reshape(-1, 2)[: len(s)], drive, numbered=True)


def test_two_days_in_one_drive_are_cut_apart(tmp_path):
    write_gathered(tmp_path)

    def second_day(place):
        return np.concatenate([place[:12], place[:12] + 1e-7])  # the same way again, from its beginning

    rewrite(tmp_path, "unit2_loc", second_day)
    rewrite(tmp_path, "seq_index", np.ones_like)
    rewrite(tmp_path, "unit1_pwr_60ghz", lambda power: np.concatenate([power[:12], power[:12] * 1.01]))
    with pytest.warns(SiteTwinWarning, match="a numbered drive jumps by more than 30 m; it is cut there"):
        data = read_deepsense(tmp_path)
    assert data.drive.values.tolist() == [0] * 12 + [1] * 12
    assert "numbered anew (2 instead of 1)" in data.attrs["notes"][0]


@pytest.mark.parametrize("wrong", ["mirrored beams", "swapped axes"])
def test_beams_that_turn_the_other_way_are_refused(tmp_path, wrong):
    write_gathered(tmp_path)
    if wrong == "mirrored beams":
        rewrite(tmp_path, "unit1_pwr_60ghz", lambda power: power[:, ::-1])
    else:
        for quantity in ("unit1_loc", "unit2_loc"):
            rewrite(tmp_path, quantity, lambda place: np.mod(place[:, ::-1] + 60, 80))  # both stay on the globe
    with pytest.raises(SiteTwinError, match="mirrored, or latitude and longitude are swapped"):
        read_deepsense(tmp_path)


def test_powers_without_a_bearing_are_noted():
    rng = np.random.default_rng(0)
    notes = check_bearing(rng.uniform(0.1, 1, (300, 16)), rng.normal((20, 0), 1, (300, 2)))
    assert len(notes) == 1
    assert "little to do with the bearing" in notes[0]


def other_codebook(power):
    power[12:] = power[12:, np.random.default_rng(2).permutation(BEAMS)]
    return power


def half_the_beams(power):
    power[:, 10:30] = np.nan
    return power


def without_a_fix(place):
    place[::3] = 0.0
    return place


@pytest.mark.parametrize(
    ("quantity", "change", "said"),
    [
        ("unit1_pwr_60ghz", other_codebook, "in 1 of 2 drives .* measured with another codebook"),
        ("unit1_pwr_60ghz", half_the_beams, "20 of 64 beams have no power in any row"),
        ("unit2_loc", without_a_fix, "8 of 24 rows were left out: farther than 300 m"),
        ("unit2_loc", lambda place: np.tile(place[:1], (len(place), 1)), "all 24 rows hold one position"),
    ],
)
def test_what_is_doubtful_is_told(tmp_path, quantity, change, said):
    write_gathered(tmp_path)
    rewrite(tmp_path, quantity, change)
    with pytest.warns(SiteTwinWarning, match=said):
        assert any(re.search(said, note) for note in read_deepsense(tmp_path).attrs["notes"])


def test_positions_in_radians_are_refused(tmp_path):
    write_gathered(tmp_path)
    for quantity in ("unit1_loc", "unit2_loc"):
        rewrite(tmp_path, quantity, np.radians)
    with pytest.raises(SiteTwinError, match="look like radians: give degrees"):
        read_deepsense(tmp_path)


def test_many_masked_powers_are_noted(tmp_path):
    write_gathered(tmp_path)

    def holes(power):
        power[::2, 20:40] = 0
        return power

    rewrite(tmp_path, "unit1_pwr_60ghz", holes)
    with pytest.warns(SiteTwinWarning, match="16% of the beam powers are missing, zero or no numbers"):
        assert read_deepsense(tmp_path).attrs["masked_powers"] == 240


SPOILT = {
    "words of NumPy 2": (lambda values: "\n".join(f"np.float64({v})" for v in values), r"line 1 of '.*' is no number"),
    "decimal commas": (lambda values: "\n".join(str(v).replace(".", ",") for v in values), "has decimal commas"),
    "numbered lines": (lambda values: "\n".join(f"{n} {v}" for n, v in enumerate(values)), "has two columns"),
    "numbered from one": (lambda values: "\n".join(f"{n + 1},{v}" for n, v in enumerate(values)), "has two columns"),
    "bytes": (lambda values: b"\xff\xfe\x00", "is no text"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_why_powers_cannot_be_read_is_said(tmp_path, kind):
    spoil, said = SPOILT[kind]
    folder = write_official(tmp_path / "s")
    for file in (folder / "unit1/mmWave_data").iterdir():
        text = spoil(file.read_text().split())
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SiteTwinError, match=f"24 rows without power; .*{said}"):
        read_deepsense(folder)


def test_the_first_missing_file_is_named(tmp_path):
    folder = write_official(tmp_path / "s")
    (folder / "unit1/mmWave_data").rename(folder / "unit1/mmwave_data")
    with pytest.raises(SiteTwinError, match=r"24 rows without power; '.*mmWave_power_0.txt' cannot be read: No such"):
        read_deepsense(folder)


@pytest.mark.parametrize("write", [lambda v: "\ufeff" + "\n".join(v), ";".join, ", ".join, "\r\n\r\n".join])
def test_lawful_spellings_are_read(tmp_path, write):
    (tmp_path / "p").write_text(write(["0.5", "1e-3", "nan"]), encoding="utf-8")
    np.testing.assert_array_equal(read_text_numbers(tmp_path / "p"), [0.5, 1e-3, np.nan])


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=BEAMS))
def test_numbers_come_back(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("n") / "x"
    path.write_text("\n".join(map(repr, values)))
    np.testing.assert_array_equal(read_text_numbers(path), values)


def test_tables_that_are_written_otherwise_are_named(tmp_path):
    folder = write_official(tmp_path / "s")
    (table,) = folder.glob("*.csv")
    text = table.read_text()
    table.write_text(text.replace(",", ";"))
    with pytest.raises(SiteTwinError, match="are apart by semicolons; write it with commas"):
        read_deepsense(folder)
    rows = list(csv.reader(text.splitlines()))
    for part, chosen in (("train", rows[1:17]), ("val", rows[17:20]), ("test", rows[20:])):
        (folder / f"scenario1_{part}.csv").write_text("\n".join(map(",".join, [rows[0], *chosen])))
    table.unlink()
    with pytest.raises(SiteTwinError, match=re.escape("(scenario1_test.csv, scenario1_train.csv, scenario1_val.csv)")):
        read_deepsense(folder)
