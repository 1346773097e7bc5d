"""What the delay taps of `sitetwin channels` miss is told on stderr, in the table and by the arrays that open."""

import re

import numpy as np
import pytest
from typer.testing import CliRunner

import sitetwin as st
from sitetwin.channel import load_channels
from sitetwin.cli import app as cli
from sitetwin.rays import TraceJob, TraceSettings
from sitetwin.site import save_site
from tests.rays.shapes import ground, quad_site

C = 299_792_458.0
TX = np.array([0.0, 0.0, 30.0])
USERS = np.column_stack([np.arange(120.0, 521, 40), np.zeros(11), np.full(11, 1.5)])

pytestmark = pytest.mark.filterwarnings("always:[0-9,]+ of [0-9,]+ users have more than 1 % of their power")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A plain with users 124 to 521 m away: the site, its folder and the folder of the paths."""
    folder = tmp_path_factory.mktemp("plain")
    site = quad_site([ground(600.0)])
    save_site(site, folder / "site")
    TraceJob(site, TX, USERS, TraceSettings(max_depth=1)).run(folder / "paths")
    return site, folder / "site", folder / "paths"


def channels(plain, out, *words):
    _, site, paths = plain
    given = ("channels", paths, "--scene", site, "--out", out, *words)
    result = CliRunner().invoke(cli.app, [str(word) for word in given])
    assert result.exit_code == 0, result.output
    return re.sub(r"\s+", " ", result.stdout.replace("│", " ")), re.sub(r"\s+", " ", result.stderr)


def test_users_farther_than_the_last_tap(plain, tmp_path):
    wide = ("--quantity", "delay-angle", "--subcarriers", 3276, "--spacing", "30e3", "--bs-array", "ula:4")
    table, notes = channels(plain, tmp_path / "c", *wide)
    share = re.search(r"power outside of the taps +([\d.]+)% of the median user, over 1% of 11 users", table)
    assert float(share[1]) > 99.9
    assert "11 of 11 users have more than 1 % of their power outside of the 32 delay taps" in notes
    needed = int(re.search(r"([\d,]+) taps reach so far", notes)[1])
    _, quiet = channels(plain, tmp_path / "long", *wide, "--taps", needed + 30)
    assert "more than 1 %" not in quiet or "side lobes" in quiet
    opened = st.open_channels(tmp_path / "c")
    assert opened.attrs["users_over_1_percent_outside_taps"] == 11
    with pytest.warns(st.SiteTwinWarning, match=r"miss 99.*% of the median user's power"):
        st.learn.prepare(opened)


def test_delays_from_the_first_path_come_back_as_absolute_ones(plain, tmp_path):
    wide = ("--quantity", "delay-angle", "--subcarriers", 3276, "--spacing", "30e3", "--bs-array", "ula:4")
    table, _ = channels(plain, tmp_path / "c", *wide, "--delay-reference", "first-path", "--first-tap", -4)
    assert float(re.search(r"outside of the taps +([\d.]+)% of", table)[1]) < 1
    opened = st.open_channels(tmp_path / "c")
    strongest = opened.delay[abs(opened).sum(("rx_antenna", "angle")).argmax("delay").values].values
    absolute = C * (opened.delay_reference.values + strongest)
    np.testing.assert_allclose(absolute, np.linalg.norm(USERS - TX, axis=1), atol=C / (3276 * 30e3))
    assert opened.delay.values[0] == pytest.approx(-4 / (3276 * 30e3))
    part = load_channels(tmp_path / "c", users=slice(2, 5))
    np.testing.assert_allclose(part["delay_reference"], opened.delay_reference.values[2:5])
    site, _, paths = plain
    radio = st.Radio(st.AntennaArray.ula(4))
    band = {"carrier_hz": 3.5e9, "subcarriers": 3276, "spacing_hz": 30e3, "radio": radio, "quantity": "delay-angle"}
    choices = {**band, "first_tap": -4, "delay_reference": "first-path"}
    for lazy in (False, True):
        here = st.channels(paths, site, lazy=lazy, **choices)
        np.testing.assert_allclose(here.values, opened.values, rtol=1e-5, atol=1e-12)
        np.testing.assert_array_equal(here.delay_reference, opened.delay_reference)
    rows = {user: channel.numpy() for user, channel in st.torch_dataset(paths, site, **choices)}
    np.testing.assert_allclose(rows[7], opened.values[7], rtol=1e-5, atol=1e-12)
    codec = st.learn.GlobalKltCodec().fit(opened)
    later = here.assign_attrs(delay_reference="the instant of transmission")
    with pytest.raises(st.SiteTwinError, match="count from the first path of each user, and these count from the tr"):
        codec.encode(later)


def test_paths_beyond_one_over_the_spacing(plain, tmp_path):
    folded = ("--subcarriers", 64, "--spacing", "960e3", "--bs-array", "ula:4")
    table, notes = channels(plain, tmp_path / "c", "--quantity", "delay-angle", *folded)
    assert "beyond 1/spacing (312.3 m of path)" in notes
    assert "power beyond 1/spacing" in table
    table, notes = channels(plain, tmp_path / "cfr", *folded)
    assert "312.3 m too early" in notes
    assert "power beyond 1/spacing" in table
    whole = np.linalg.norm(USERS - TX, axis=1) > 312.3 - 2.5
    assert st.open_channels(tmp_path / "cfr").attrs["users_over_1_percent_folded"] == whole.sum()
    with pytest.warns(st.SiteTwinWarning, match="beyond 1/spacing"):
        st.channels(plain[2], plain[0], carrier_hz=3.5e9, subcarriers=64, spacing_hz=960e3, lazy=True).compute()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--first-tap", 2), "--first-tap says nothing to cfr"),
        (("--quantity", "gains", "--delay-reference", "first-path"), "--delay-reference says nothing to gains"),
        (("--delay-reference", "first"), "--delay-reference is 'first'; choose one of transmission, first-path"),
    ],
)
def test_what_says_nothing_is_refused(plain, tmp_path, words, text):
    given = ("channels", plain[2], "--scene", plain[1], "--out", tmp_path / "c", *words)
    result = CliRunner().invoke(cli.app, [str(word) for word in given])
    assert result.exit_code == 1
    assert text in result.stderr


def test_as_many_taps_as_the_paths_need(plain, tmp_path):
    site, _, paths = plain
    wide = ("--quantity", "delay-angle", "--subcarriers", 3276, "--spacing", "30e3", "--bs-array", "ula:4")
    table, notes = channels(plain, tmp_path / "c", *wide, "--taps", "auto")
    assert "more than 1 %" not in notes or "side lobes" in notes
    assert float(re.search(r"outside of the taps +([\d.]+)% of", table)[1]) < 2
    stored = st.open_channels(tmp_path / "c")
    last = np.hypot(np.hypot(USERS[-1, 0], 0), TX[2] + 1.5) / C  # reflected by the ground
    assert stored.sizes["delay"] == np.ceil(last * 3276 * 30e3) + 13
    choices = {"carrier_hz": 3.5e9, "subcarriers": 3276, "spacing_hz": 30e3, "radio": st.Radio("ula:4")}
    found = st.channels(paths, site, quantity="delay-angle", num_taps="auto", **choices)
    assert found.sizes == stored.sizes
    near = st.channels(paths, site, quantity="delay-angle", num_taps="auto", delay_reference="first-path", **choices)
    assert near.sizes["delay"] == 14
    narrow = st.channels(paths, site, quantity="delay-angle", num_taps="auto", **{**choices, "subcarriers": 8})
    assert narrow.sizes["delay"] == 8
    with pytest.raises(st.SiteTwinError, match="which has no delay taps"):
        st.channels(paths, site, quantity="cfr", num_taps="auto", **choices)
    with pytest.raises(st.SiteTwinError, match="num_taps is 'many'"):
        st.channels(paths, site, quantity="delay-angle", num_taps="many", **choices)
    result = CliRunner().invoke(
        cli.app, ["channels", str(paths), "--out", str(tmp_path / "d"), "--quantity=delay-angle", "--taps=no"]
    )
    assert result.exit_code == 1
    assert "give a whole number from 1 on, or auto" in re.sub(r"\s+", " ", result.stderr)
