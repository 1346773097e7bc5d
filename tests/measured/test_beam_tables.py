"""One's own beam measurements and codebooks: what they say, and what they cannot be."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.measured import read_beam_codebook, read_beam_table
from sitetwin.measured.codebooks import steered_patterns

STATION = (40.76, -111.85)
METRES = 1 / 111_050.0  # degrees of latitude
pytestmark = pytest.mark.filterwarnings("ignore::sitetwin.errors.SiteTwinWarning")


def _rows(count: int = 24, beams: int = 4) -> dict[str, np.ndarray]:
    """Two drives along a street, one each way, a second a row, with a pause between them."""
    half = count // 2
    north = np.concatenate([np.linspace(-20, 20, half), np.linspace(20, -20, half)])
    time = np.concatenate([np.arange(half), 200.0 + np.arange(half)])
    best = np.clip(((20 - north) / 40 * beams).astype(int), 0, beams - 1)
    power = 0.1 + 0.8 * (np.arange(beams) == best[:, None]) + 0.01 * np.arange(count)[:, None] / count
    table = {"time": time, "latitude": STATION[0] + north * METRES, "longitude": np.full(count, STATION[1] + 2e-4)}
    return {**table, **{f"power_{k}": power[:, k] for k in range(beams)}}


def _write(path: Path, columns: dict[str, np.ndarray]) -> Path:
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_columns_are_known_by_their_names_and_rows_sorted_by_time(tmp_path: Path) -> None:
    rows = _rows()
    plain = read_beam_table(_write(tmp_path / "a.csv", rows), STATION)
    assert dict(plain.sizes) == {"sample": 24, "beam": 4}
    assert (np.diff(plain.drive) >= 0).all()
    assert len(np.unique(plain.drive)) == 2
    np.testing.assert_allclose(plain.north[:12], np.linspace(-20, 20, 12), atol=0.05)
    order = np.random.default_rng(0).permutation(24)
    mixed = {name: rows[name][order] for name in reversed(rows)}
    mixed = {name.upper(): values for name, values in mixed.items()} | {"weather": np.zeros(24)}
    other = read_beam_table(_write(tmp_path / "b.csv", mixed), STATION)
    for name in ("power", "east", "north", "drive", "time"):
        np.testing.assert_array_equal(plain[name], other[name])
    assert any("weather" in note for note in other.attrs["notes"])


def test_decibels_metres_dates_and_numbered_drives_say_the_same(tmp_path: Path) -> None:
    rows = _rows()
    plain = read_beam_table(_write(tmp_path / "a.csv", rows), STATION)
    other = {
        "timestamp": np.array([f"2026-05-01T10:{int(t) // 60:02d}:{int(t) % 60:02d}" for t in rows["time"]]),
        "east_m": plain.east.values,
        "north_m": plain.north.values,
        "drive": np.repeat([7, 3], 12),
        **{f"power_{k + 1}_dbm": 10 * np.log10(rows[f"power_{k}"]) - 60 for k in range(4)},
    }
    found = read_beam_table(_write(tmp_path / "b.csv", other))
    np.testing.assert_allclose(found.power, plain.power * 1e-6, rtol=1e-9)
    np.testing.assert_array_equal(found.drive, plain.drive)  # in the order of time, not of their numbers
    assert found.attrs["drive_source"] == "table"


def test_best_beams_alone_are_marked_as_such(tmp_path: Path) -> None:
    rows = _rows()
    best = np.stack([rows.pop(f"power_{k}") for k in range(4)]).argmax(axis=0)
    path = _write(tmp_path / "a.csv", {**rows, "best_beam": best})
    found = read_beam_table(path, STATION, beams=4)
    assert found.attrs["labels"] == "yes"
    np.testing.assert_array_equal(np.nan_to_num(found.power).argmax(axis=1), best)
    assert np.isfinite(found.power).sum() == 24
    with pytest.raises(SiteTwinError, match="do not say how many beams"):
        read_beam_table(path, STATION)
    with pytest.raises(SiteTwinError, match="count from 0"):
        read_beam_table(path, STATION, beams=3)


def test_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    rows = {name: values.astype(object) for name, values in _rows().items()}
    rows["latitude"][0], rows["latitude"][1] = "", 41.0
    for k in range(4):
        rows[f"power_{k}"][2] = "nan"
    found = read_beam_table(_write(tmp_path / "a.csv", rows), STATION)
    assert found.sizes["sample"] == 21
    assert found.attrs["skipped"] == ["1 farther than 300 m from the station", "1 without position", "1 without power"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: {**r, **{f"power_{k}": 40 + r[f"power_{k}"] for k in range(4)}}, "linear powers, or dB"),
        (lambda r: {**r, **{f"power_{k}": -r[f"power_{k}"] for k in range(4)}}, "look like dB"),
        (lambda r: {**r, "latitude": r["longitude"], "longitude": r["latitude"]}, "are swapped"),
        (lambda r: {**r, "latitude": np.radians(r["latitude"]), "longitude": np.radians(r["longitude"])}, "radians"),
        (lambda r: {k: v for k, v in r.items() if k != "power_2"}, "numbered with gaps .there is no power_2"),
        (lambda r: {k: v for k, v in r.items() if k not in ("latitude",)}, "no columns latitude and longitude"),
        (lambda r: {k: v for k, v in r.items() if not k.startswith("power")}, "none best_beam"),
        (lambda r: {**{k: v for k, v in r.items() if k != "power_3"}, "power_3_db": r["power_3"]}, "name all in one"),
        (lambda r: {**r, "latitude": r["latitude"] + 1}, "no row can be used: 24 farther"),
        (lambda r: {**r, "power_1": np.full(24, "x")}, "column power_1: a cell is no number"),
        (lambda r: {**r, "drive": np.full(24, 0.5)}, "no whole number"),
        (lambda r: {k: v[:0] for k, v in r.items()}, "no rows below a heading"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(tmp_path: Path, change, words: str) -> None:
    path = _write(tmp_path / "a.csv", change(_rows()))
    with pytest.raises(SiteTwinError, match=words) as caught:
        read_beam_table(path, STATION)
    assert str(path) in str(caught.value)


def test_rows_out_of_order_semicolons_and_short_rows_are_refused(tmp_path: Path) -> None:
    rows = _rows(60)
    order = np.random.default_rng(1).permutation(60)
    rows.pop("time")
    with pytest.raises(SiteTwinError, match="do not follow each other in time"):
        read_beam_table(_write(tmp_path / "a.csv", {n: v[order] for n, v in rows.items()}), STATION)
    text = (tmp_path / "a.csv").read_text()
    (tmp_path / "b.csv").write_text(text.replace(",", ";"))
    with pytest.raises(SiteTwinError, match="semicolons"):
        read_beam_table(tmp_path / "b.csv", STATION)
    (tmp_path / "c.csv").write_text(text.rstrip() + ",1,5\n")
    with pytest.raises(SiteTwinError, match="row 61 has"):
        read_beam_table(tmp_path / "c.csv", STATION)
    with pytest.raises(SiteTwinError, match="latitude and longitude of the station"):
        read_beam_table(tmp_path / "a.csv")


@settings(max_examples=60)
@given(text=st.text(alphabet='power_01,latlon.eastm\n-9;db"', max_size=120))
def test_any_text_is_read_or_refused(tmp_path_factory, text: str) -> None:
    path = tmp_path_factory.mktemp("t") / "a.csv"
    path.write_text(text)
    for read in (lambda: read_beam_table(path, STATION, beams=2), lambda: read_beam_codebook(path, 2, 4)):
        with contextlib.suppress(SiteTwinError):
            read()


def test_three_codebooks_of_one_array_agree(tmp_path: Path) -> None:
    """Directions, weights and sampled patterns of the same steered row."""
    azimuth = np.array([40.0, 10.0, -25.0])
    _write(tmp_path / "a.csv", {"beam": np.arange(3), "azimuth_deg": azimuth})
    by_angle = read_beam_codebook(tmp_path / "a.csv", 3, antennas=8)
    weights = np.exp(1j * np.pi * np.sin(np.radians(azimuth))[:, None] * np.arange(8))
    np.savez(tmp_path / "b.npz", weights=3 * weights)
    by_weight = read_beam_codebook(tmp_path / "b.npz")
    np.testing.assert_allclose(by_angle, by_weight, atol=1e-9)
    table = {"azimuth_deg": np.degrees(by_angle.azimuth.values)}
    with np.errstate(divide="ignore"):
        db = np.maximum(10 * np.log10(by_angle.values), -100) + 7
    _write(tmp_path / "c.csv", {**table, **{f"beam_{k}_db": db[k] for k in range(3)}})
    by_pattern = read_beam_codebook(tmp_path / "c.csv", 3)
    np.testing.assert_allclose(by_angle, by_pattern, atol=1e-9)
    peaks = np.degrees(by_angle.azimuth.values[by_angle.values.argmax(axis=1)])
    np.testing.assert_allclose(peaks, azimuth, atol=0.5)
    assert "8 elements" in by_angle.attrs["assumed"]


def test_a_steered_beam_is_that_of_the_array_factor() -> None:
    """Half the wavelength, N elements: power sin^2(N x) / (N sin x)^2 with x = pi / 2 (sin a - sin b)."""
    angle, aim = np.radians(np.linspace(-80, 80, 41)), np.radians(20.0)
    weights = np.exp(1j * np.pi * np.sin(aim) * np.arange(6))[None]
    fine = np.sort(np.append(angle, aim))
    x = np.pi / 2 * (np.sin(fine) - np.sin(aim))
    with np.errstate(invalid="ignore"):
        wanted = np.where(np.abs(x) < 1e-9, 1.0, (np.sin(6 * x) / (6 * np.sin(x))) ** 2)
    np.testing.assert_allclose(steered_patterns(weights, 0.5, fine)[0], wanted, atol=1e-9)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"beam": [0, 2], "azimuth_deg": [1.0, 20.0]}, "numbered one after the other"),
        ({"beam": [0, 1], "azimuth_deg": [0.1, 0.2]}, "look like radians"),
        ({"beam": [0, 1], "azimuth_deg": [0.0, 200.0]}, "give -180 to 180"),
        ({"azimuth_deg": [0.0, 20.0], "beam_0": [-1.0, -2.0]}, "looks like dB"),
        ({"azimuth_deg": [0.0, 0.0], "beam_0": [1.0, 2.0]}, "stands twice"),
        ({"angle": [0.0, 1.0]}, "no column azimuth_deg"),
        ({"beam": [0, 1], "azimuth_deg": [0.0, np.nan]}, "not finite"),
        ({"beam": [0, 1, 2], "azimuth_deg": [0.0, 20.0, 40.0]}, "3 beams where the measurements have 2"),
    ],
)
def test_what_is_no_codebook_is_refused(tmp_path: Path, columns, words: str) -> None:
    path = _write(tmp_path / "a.csv", {name: np.array(values) for name, values in columns.items()})
    with pytest.raises(SiteTwinError, match=words):
        read_beam_codebook(path, 2, antennas=8)


def test_directions_need_the_number_of_antennas(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", {"beam": np.arange(2), "azimuth_deg": np.array([0.0, 20.0])})
    with pytest.raises(SiteTwinError, match="number of antennas"):
        read_beam_codebook(path)
    np.savez(tmp_path / "b.npz", weights=np.zeros((2, 4)))
    with pytest.raises(SiteTwinError, match="all weights of a beam are zero"):
        read_beam_codebook(tmp_path / "b.npz")
