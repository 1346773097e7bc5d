"""Patterns: gain integrals, polarisation, rotation, and files."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sitetwin.channel import (
    AntennaArray,
    HalfWaveDipole,
    Isotropic,
    Radio,
    SampledPattern,
    ShortDipole,
    Tr38901,
    antenna_pattern,
    load_pattern,
    mean_gain,
    parse_csv,
    parse_msi,
    rotation_matrix,
    write_csv,
)
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from tests.channel import oracle

angle = st.floats(-3.1, 3.1)


def peak(pattern, theta, phi=0.0):
    e_theta, e_phi = pattern(torch.tensor([theta], dtype=torch.float64), torch.tensor([phi], dtype=torch.float64))
    return float(e_theta.abs() ** 2 + e_phi.abs() ** 2)


@pytest.mark.parametrize(
    ("pattern", "directivity"), [(Isotropic(), 1.0), (ShortDipole(), 1.5), (HalfWaveDipole(), 1.6409)]
)
def test_lossless_patterns_radiate_what_they_get(pattern, directivity):
    assert mean_gain(pattern) == pytest.approx(1, abs=2e-5)
    assert peak(pattern, math.pi / 2) == pytest.approx(directivity, rel=1e-4)


def test_tr38901_element():
    """8 dBi ahead, 3 dB down at 32.5 degrees, 30 dB down behind; 65.7 % efficient as tabulated."""
    pattern = Tr38901()
    assert 10 * math.log10(peak(pattern, math.pi / 2)) == pytest.approx(8)
    for theta, phi in ((math.pi / 2, math.radians(32.5)), (math.pi / 2 + math.radians(32.5), 0.0)):
        assert 10 * math.log10(peak(pattern, theta, phi)) == pytest.approx(5)
    assert 10 * math.log10(peak(pattern, math.pi / 2, math.pi)) == pytest.approx(-22)
    assert mean_gain(pattern) == pytest.approx(0.6568, abs=1e-3)


@pytest.mark.parametrize("pattern", [ShortDipole(), HalfWaveDipole()])
def test_dipoles_are_silent_along_their_axis(pattern):
    assert peak(pattern, 0.0) < 1e-12
    assert peak(pattern, math.pi) < 1e-12


@given(angle, st.floats(-1.5, 1.5), angle, st.integers(0, 2**31))
def test_fields_turn_with_the_radio(yaw, pitch, roll, seed):
    """A turned radio radiates the turned field, as 3-vectors; power does not depend on the turn."""
    rng = np.random.default_rng(seed)
    local = rng.standard_normal(3)
    local /= np.linalg.norm(local)
    turn = oracle.rotation(yaw, pitch, roll)
    direction = turn @ local
    if max(abs(local[2]), abs(direction[2])) > 1 - 1e-6:
        return
    for pattern in ("dipole", "tr38901"):
        array = AntennaArray.single(pattern, "cross")
        radio = Radio(array, (yaw, pitch, roll))
        ports = radio.fields(torch.from_numpy(direction)[:, None])
        for (e_theta, e_phi), slant in zip(ports, array.slants, strict=True):
            theta_hat, phi_hat = oracle.hats(direction)
            ours = e_theta.item() * theta_hat + e_phi.item() * phi_hat
            theirs = oracle.element_field(direction, (yaw, pitch, roll), slant, pattern)
            np.testing.assert_allclose(ours, theirs, atol=1e-9)


@given(angle, st.floats(-1.5, 1.5), angle)
def test_rotation_matrix(yaw, pitch, roll):
    ours = rotation_matrix(torch.tensor([yaw, pitch, roll], dtype=torch.float64)).numpy()
    np.testing.assert_allclose(ours, oracle.rotation(yaw, pitch, roll), atol=1e-14)


def test_crossed_ports_are_orthogonal_and_equal():
    radio = Radio(AntennaArray.single("tr38901", "cross"))
    direction = torch.tensor([[0.8], [0.36], [0.48]], dtype=torch.float64)
    (t1, p1), (t2, p2) = radio.fields(direction)
    assert (t1 * t2 + p1 * p2).abs().item() < 1e-12
    assert (t1**2 + p1**2).item() == pytest.approx((t2**2 + p2**2).item())


def test_unknown_pattern_is_named():
    with pytest.raises(SiteTwinError, match="'yagi'"):
        antenna_pattern("yagi")


# --- files


def grid_pattern(gain_db, phase=None):
    rows, columns = gain_db.shape
    return SampledPattern(
        torch.linspace(0, math.pi, rows, dtype=torch.float64),
        torch.arange(columns, dtype=torch.float64) * (2 * math.pi / columns),
        torch.from_numpy(gain_db),
        None if phase is None else torch.from_numpy(phase),
    )


tables = hnp.arrays(
    np.float64,
    st.tuples(st.integers(2, 7), st.integers(4, 9)),
    elements=st.floats(-40, 20),
)


@given(tables, st.booleans(), st.integers(0, 2**31))
def test_csv_round_trip(gain_db, phased, seed):
    phase = np.random.default_rng(seed).uniform(-3, 3, gain_db.shape) if phased else None
    pattern = grid_pattern(gain_db, phase)
    again = parse_csv(write_csv(pattern))
    torch.testing.assert_close(again.gain_db, pattern.gain_db, rtol=1e-8, atol=1e-7)
    torch.testing.assert_close(again.theta, pattern.theta, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(again.phi, pattern.phi, rtol=1e-8, atol=1e-8)
    if phased:
        torch.testing.assert_close(again.phase, pattern.phase, rtol=1e-7, atol=1e-7)
    else:
        assert again.phase is None


@given(tables)
def test_samples_are_met_and_azimuth_wraps(gain_db):
    pattern = grid_pattern(gain_db)
    theta, phi = torch.meshgrid(pattern.theta, pattern.phi, indexing="ij")
    for turns in (-1, 0, 1):
        e_theta, _ = pattern(theta.flatten(), phi.flatten() + 2 * math.pi * turns)
        torch.testing.assert_close(20 * torch.log10(e_theta.abs()), pattern.gain_db.flatten(), rtol=1e-6, atol=1e-6)


def test_a_sampled_dipole_is_a_dipole():
    theta = torch.linspace(0, math.pi, 181, dtype=torch.float64)
    gain_db = 20 * torch.log10(ShortDipole()(theta, theta)[0].clamp_min(1e-5))
    pattern = SampledPattern(theta, torch.arange(8) * math.pi / 4, gain_db[:, None].expand(-1, 8))
    t = torch.linspace(0.2, 2.9, 50, dtype=torch.float64)
    torch.testing.assert_close(pattern(t, t)[0], ShortDipole()(t, t)[0], rtol=2e-3, atol=0)


def msi_text(gain="17.0 dBi", horizontal=None, vertical=None, counts=(360, 360)):
    horizontal = horizontal or [0.0] * 360
    vertical = vertical or [0.0] * 360
    lines = ["NAME test", "FREQUENCY 3500", f"GAIN {gain}" if gain else "", "TILT MECHANICAL"]
    for name, cut, count in (("HORIZONTAL", horizontal, counts[0]), ("VERTICAL", vertical, counts[1])):
        lines += [f"{name} {count}", *(f"{i * 360 / len(cut):g} {loss:.4f}" for i, loss in enumerate(cut))]
    return "\n".join(lines)


def warns_of(words):
    return pytest.warns(SiteTwinWarning, match=words)


def sector_cuts():
    ahead = [min(12 * (min(a, 360 - a) / 65) ** 2, 30) for a in range(360)]
    up = [min(12 * (min(a, 360 - a) / 10) ** 2, 25) for a in range(360)]
    up[180] = ahead[180]  # the cuts meet ahead and behind
    return ahead, up


def test_msi_returns_its_cuts():
    ahead, up = sector_cuts()
    ahead = [loss + (3 if 0 < a < 180 else 0) for a, loss in enumerate(ahead)]  # lopsided: clockwise in the file
    pattern = parse_msi(msi_text(horizontal=ahead, vertical=up))
    degrees = torch.arange(360, dtype=torch.float64)
    level = torch.full((360,), math.pi / 2, dtype=torch.float64)
    around = 17 - 20 * torch.log10(pattern(level, torch.deg2rad(degrees))[0])
    expected = torch.tensor([ahead[-a % 360] for a in range(360)], dtype=torch.float64)
    torch.testing.assert_close(around, expected, rtol=0, atol=1e-3)
    down = torch.arange(-90, 91, dtype=torch.float64)  # elevation angle, positive downwards
    front = 17 - 20 * torch.log10(pattern(torch.deg2rad(90 + down), torch.zeros(181, dtype=torch.float64))[0])
    expected = torch.tensor([up[int(a) % 360] for a in down], dtype=torch.float64)
    torch.testing.assert_close(front, expected, rtol=0, atol=1e-3)


def test_msi_units_of_gain():
    ahead, up = sector_cuts()
    for gain, dbi in (("15.0 dBd", 17.15), ("15", 17.15), ("15dBi", 15.0)):
        with warns_of("has no unit") if gain == "15" else contextlib.nullcontext():
            pattern = parse_msi(msi_text(gain, ahead, up))
        assert 10 * math.log10(peak(pattern, math.pi / 2)) == pytest.approx(dbi)


# Not 14.85 or 17 dB ahead: columns that peak there at the gain itself are taken for absolute gains, and refused.
@given(st.lists(st.floats(0, 14) | st.floats(18, 40), min_size=360, max_size=360))
def test_msi_horizontal_cut_round_trip(losses):
    losses = [round(x, 4) for x in losses]
    losses[90] = 0.0  # attenuations count from the peak: somewhere one of them is 0
    vertical = [losses[0]] * 180 + [losses[180]] * 180
    vertical[0], vertical[180] = losses[0], losses[180]
    pattern = parse_msi(msi_text(horizontal=losses, vertical=vertical))
    level = pattern.gain_db[90]
    expected = torch.tensor([17 - losses[-a % 360] for a in range(360)], dtype=torch.float64)
    torch.testing.assert_close(level, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (msi_text(gain=None), "GAIN line is missing"),
        (msi_text(gain="loud"), "'loud' is not a number"),
        (msi_text(gain="3 furlongs"), "unit of GAIN"),
        (msi_text(gain="nan dBi"), "not finite"),
        ("NAME x\nGAIN 3 dBi\n", "HORIZONTAL cut is missing"),
        (msi_text(counts=(360, 400)), "cut short"),
        (msi_text().replace("10 0.0000", "10 zero", 1), "'zero' is not a number"),
        (msi_text().replace("10 0.0000", "10", 1), "expected an angle and an attenuation"),
        (msi_text().replace("\n10 0.0000", "\n9 0.0000", 1), "each angle once"),
        (msi_text().replace("HORIZONTAL 360", "HORIZONTAL 3", 1), "12 to 36000"),
    ],
)
def test_malformed_msi(text, says):
    with pytest.raises(SiteTwinError, match=says):
        parse_msi(text, "bad.msi")


GOOD = write_csv(grid_pattern(np.zeros((3, 4))))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "0 to 180"),
        (GOOD.replace("90,90,0\n", ""), "no row for theta 90, phi 90"),
        (GOOD.replace("90,90,0", "90,90,x"), "line 7: 'x' is not a number"),
        (GOOD.replace("90,90,0", "90,90,inf"), "not finite"),
        (GOOD.replace("90,90,0", "90,90"), "found 2 columns"),
        (GOOD.replace("90,90,0", "200,90,0"), "0..180"),
        (GOOD + "90,90,5\n", "given before"),
        ("0,0,1\n180,0,1\n", "gap above 90"),
    ],
)
def test_malformed_csv(text, says):
    with pytest.raises(SiteTwinError, match=says):
        parse_csv(text, "bad.csv")


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    for parse in (parse_csv, parse_msi):
        with contextlib.suppress(SiteTwinError):
            parse(text)


def test_files(tmp_path):
    (tmp_path / "a.csv").write_text(GOOD)
    (tmp_path / "a.MSI").write_text(msi_text())
    assert load_pattern(tmp_path / "a.csv").gain_db.shape == (3, 4)
    assert load_pattern(str(tmp_path / "a.MSI")).gain_db.shape == (181, 360)
    (tmp_path / "a.xyz").write_text("")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    for name, says in (("a.xyz", "unknown"), ("none.csv", "cannot be read"), ("b.csv", "cannot be read")):
        with pytest.raises(SiteTwinError, match=says):
            load_pattern(tmp_path / name)


def test_an_endless_csv_line_gets_a_sentence():
    with pytest.raises(SiteTwinError, match="a line of more than"):
        parse_csv("0,0," + "1" * 200_000)


# --- what vendors write


SPELLINGS = {
    "plus-minus sign": lambda t: t.replace("NAME test", "NAME test\nPOLARIZATION \xb145\xb0"),
    "dash": lambda t: t.replace("FREQUENCY 3500", "FREQUENCY 3.3\u20133.8 GHz"),
    "several files": lambda t: t.replace("FREQUENCY 3500", "FREQUENCY in several files"),
    "unit first": lambda t: t.replace("GAIN 17.0 dBi", "GAIN (dBi) 17.0"),
    "unit first, close": lambda t: t.replace("GAIN 17.0 dBi", "Gain(dBi): 17.0"),
    "unit in brackets": lambda t: t.replace("GAIN 17.0 dBi", "GAIN\t17 [dBi]"),
    "unit close": lambda t: t.replace("GAIN 17.0 dBi", "GAIN 17.00DBI"),
    "tolerance": lambda t: t.replace("GAIN 17.0 dBi", "GAIN 17 +/- 0.5 dBi"),
    "dBd": lambda t: t.replace("GAIN 17.0 dBi", "GAIN 14.85 dBd"),
    "decimal commas": lambda t: t.replace(".", ","),
    "comment": lambda t: t.replace("HORIZONTAL", "COMMENT horizontal 360 and gain 3 dBd\nHORIZONTAL", 1),
    "blank lines": lambda t: t.replace("\n", "\n\n"),
    "tabs": lambda t: t.replace(" ", "\t"),
    "line ends": lambda t: t.replace("\n", "\r\n"),
    "separators": lambda t: "\n".join(
        row.replace(" ", " ; ") if row[0].isdigit() else row for row in t.splitlines() if row
    ),
    "no count": lambda t: t.replace("HORIZONTAL 360", "HORIZONTAL").replace("VERTICAL 360", "Vertical"),
    "to -180": lambda t: "\n".join(
        f"{int(row.split()[0]) - 360} {row.split()[1]}" if row[:3].isdigit() and int(row[:3]) > 180 else row
        for row in t.splitlines()
    ),
    "end repeated": lambda t: with_end(t, "361"),
    "end repeated, uncounted": lambda t: with_end(t, "360"),
    "gains below the peak": lambda t: "\n".join(
        f"{row.split()[0]} -{row.split()[1]}" if row[:1].isdigit() else row for row in t.splitlines()
    ),
}


def with_end(text, count):
    parts = text.replace(" 360", f" {count}").split("VERTICAL")
    first = [part.splitlines()[-360].split()[1] for part in parts]
    return f"{parts[0]}360 {first[0]}\nVERTICAL{parts[1]}\n360 {first[1]}"


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_every_spelling_is_the_same_antenna(tmp_path, spelling, encoding):
    ahead, up = sector_cuts()
    up = up[-6:] + up[:-6]  # six degrees of electrical tilt
    expected = parse_msi(msi_text(horizontal=ahead, vertical=up))
    text = SPELLINGS[spelling](msi_text(horizontal=ahead, vertical=up))
    (tmp_path / "a.pln").write_bytes(text.encode(encoding))
    with warns_of("turned around") if "below" in spelling else contextlib.nullcontext():
        pattern = load_pattern(tmp_path / "a.pln")
    torch.testing.assert_close(pattern.gain_db, expected.gain_db, rtol=0, atol=1e-9)


@pytest.mark.parametrize("step", [0.5, 1, 2, 5])
def test_other_steps_are_the_same_smooth_cut(step):
    """A cosine in dB, sampled at other angles: interpolation leaves less than its curvature allows."""
    rows = np.arange(0, 360, step)
    losses = (10 - 10 * np.cos(np.deg2rad(rows))).tolist()
    count = len(rows)
    pattern = parse_msi(msi_text(horizontal=losses, vertical=losses, counts=(count, count)))
    around = 17 - pattern.gain_db[90].numpy()
    np.testing.assert_allclose(
        around, 10 - 10 * np.cos(np.deg2rad(np.arange(360))), atol=10 * np.deg2rad(step) ** 2 / 8 + 1e-4
    )


def refused_antenna(case):
    ahead, up = sector_cuts()
    flat = [0.0] * 360
    return {
        "both signs": msi_text(horizontal=[2 - a for a in ahead], vertical=up),
        "one cut of each sign": msi_text(horizontal=ahead, vertical=[-a for a in up]),
        "gains in dBi": msi_text(horizontal=[17 - a / 2 for a in ahead], vertical=[17 - a / 2 for a in up]),
        "far from the peak": msi_text(horizontal=[a + 4 for a in ahead], vertical=[a + 4 for a in up]),
        "999 for a null": msi_text(horizontal=flat, vertical=[999.0 if a == 90 else 0.0 for a in range(360)]),
        "beam to the side": msi_text(horizontal=ahead[90:] + ahead[:90], vertical=up),
        "columns swapped": msi_text().replace("HORIZONTAL 360", "HORIZONTAL 360\n" + SWAPPED + "\nREST", 1),
        "two gains": msi_text(gain="17.0/15.2 dBi"),
        "gain again": msi_text() + "\nGAIN 16 dBi",
        "plain dB": msi_text(gain="17 dB"),
        "a cut again": msi_text() + "\nVERTICAL 360\n" + "\n".join(f"{a} 0" for a in range(360)),
        "tilt upside down": msi_text(horizontal=ahead, vertical=up[6:] + up[:6]).replace("MECHANICAL", "ELECTRICAL 6"),
        "end differs": with_end(msi_text(horizontal=ahead, vertical=up), "361").replace("\n360 0.0", "\n360 9.0", 1),
    }[case]


SWAPPED = "\n".join(f"{(a % 40) / 2} {a}" for a in range(360))


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("both signs", "both signs"),
        ("one cut of each sign", "both signs"),
        ("gains in dBi", "no attenuations below the peak"),
        ("far from the peak", "the least is 4 dB"),
        ("999 for a null", "999 dB cannot be"),
        ("beam to the side", "VERTICAL must be the cut at azimuth 0"),
        ("columns swapped", "swapped"),
        ("two gains", "several numbers"),
        ("gain again", "given before"),
        ("plain dB", "unit of GAIN is 'dB'"),
        ("a cut again", "a second VERTICAL"),
        ("tilt upside down", "6 degrees above the horizon"),
        ("end differs", "each angle once"),
    ],
)
def test_what_is_no_antenna_is_refused(case, says):
    with pytest.raises(SiteTwinError, match=says):
        parse_msi(refused_antenna(case), "bad.msi")


def test_a_tilt_that_the_columns_lack_is_said():
    ahead, up = sector_cuts()
    for named in ("TILT ELECTRICAL 6", "ELECTRICAL_TILT 6"):
        with warns_of("names a tilt of 6 degrees"):
            parse_msi(msi_text(horizontal=ahead, vertical=up).replace("TILT MECHANICAL", named))


@given(
    st.lists(st.floats(0, 60), min_size=72, max_size=72),
    st.lists(st.floats(0, 60), min_size=72, max_size=72),
    st.floats(-5, 40),
)
def test_no_direction_gets_more_than_the_stated_gain(horizontal, vertical, gain):
    """Whatever two cuts say: no gain above GAIN, and gains relative to the peak give the same pattern."""
    horizontal, vertical = [round(x, 3) for x in horizontal], [round(x, 3) for x in vertical]
    horizontal[0] = vertical[0] = 0.0
    texts = [
        msi_text(f"{gain:.3f} dBi", [sign * x for x in horizontal], [sign * x for x in vertical], (72, 72))
        for sign in (1, -1)
    ]
    pattern = parse_msi(texts[0])
    assert float(pattern.gain_db.max()) == pytest.approx(round(gain, 3), abs=1e-9)
    if max(horizontal + vertical) > 0:
        with warns_of("turned around"):
            other = parse_msi(texts[1])
        torch.testing.assert_close(other.gain_db, pattern.gain_db, rtol=0, atol=1e-9)


def test_files_of_vendors_and_their_gains(tmp_path):
    ahead, up = sector_cuts()
    (tmp_path / "a.planet.txt").write_text(msi_text(horizontal=ahead, vertical=up))
    assert load_pattern(tmp_path / "a.planet.txt").gain_db.max() == pytest.approx(17)
    (tmp_path / "b.msi").write_text(msi_text("40 dBi", ahead, up))
    with warns_of("radiates 2. dB more than it is fed"):
        load_pattern(tmp_path / "b.msi")
    (tmp_path / "c.msi").write_text(msi_text("200 dBi", ahead, up))
    (tmp_path / "d.txt").write_text("NAME x\nGAIN 3 dBi\n")
    (tmp_path / "e.msi").write_bytes(b"GAIN 3 dBi\n\0")
    (tmp_path / "f.csv").write_text(GOOD.replace(",0\n", ",150\n"))
    for file, says in (("c.msi", "200 dBi"), ("d.txt", "unknown"), ("e.msi", "no text"), ("f.csv", "150 dBi")):
        with pytest.raises(SiteTwinError, match=says):
            load_pattern(tmp_path / file)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace(",", ";").replace(".", ","),
        lambda t: t.replace(",", "\t").replace(".", ","),
        lambda t: t.replace(",", "  "),
        lambda t: t.replace(",", " , "),
        lambda t: "# from the range\n" + t.replace("\n", "\r\n"),
        lambda t: t.replace("theta_deg,phi_deg,gain_dbi", "Zenith,Azimuth,Gain (dBi)"),
    ],
)
def test_every_spelling_of_a_grid_is_the_same(change):
    pattern = grid_pattern(np.random.default_rng(1).uniform(-20, 8, (5, 6)))
    again = parse_csv(change(write_csv(pattern)))
    torch.testing.assert_close(again.gain_db, pattern.gain_db, rtol=0, atol=1e-6)


@pytest.mark.parametrize("heading", ["phi,theta,gain", "Azimuth,Elevation,dBi", "theta,phi,loss_db", "elevation,phi,g"])
def test_headings_that_name_other_columns_are_refused(heading):
    with pytest.raises(SiteTwinError, match="in this order"):
        parse_csv(GOOD.replace("theta_deg,phi_deg,gain_dbi", heading))


@pytest.mark.parametrize(
    "heading",
    [
        "theta,phi,power_dbm",
        "theta,phi,gain_linear",
        "theta,phi,path_loss",
        "theta,phi,phase",
        "theta,phi,gain_theta,gain_phi",
        "theta,phi,gain,mag",
    ],
)
def test_columns_that_hold_something_else_by_their_names_are_refused(heading):
    rows = [(t, p, 1.0, 2.0)[: heading.count(",") + 1] for t in (0, 90, 180) for p in range(0, 360, 90)]
    text = "\n".join([heading, *(",".join(str(v) for v in row) for row in rows)])
    with pytest.raises(SiteTwinError, match=f"a column is named '{heading.split(',')[-1]}'"):
        parse_csv(text)
