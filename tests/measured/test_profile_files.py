"""Files of power-delay profiles: the same profiles from every format and unit, what is left out, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from sitetwin.errors import SiteTwinError
from sitetwin.measured import profiles_of_table, read_profiles, within_site
from tests.site.conftest import make_town

DELAY = np.arange(-2, 6) * 1e-8
POWER = 10.0 ** (-8 - np.random.default_rng(0).uniform(0, 3, (3, 8)))
PLACE = np.array([[1.0, 2.0, 1.5], [3.0, 4.0, 1.5], [-5.0, 6.0, 1.5]])
GOOD = {"power": POWER, "delay_s": DELAY, "position": PLACE, "carrier_hz": np.array(3.5e9)}


def archive(path, **changes):
    arrays = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    np.savez(path, **arrays)
    return path


def table(path, power=POWER, delay=DELAY, place=PLACE, heading="profile,x_m,y_m,z_m,delay_s,power"):
    rows = [
        f"{u},{x!r},{y!r},{z!r},{t!r},{p!r}"
        for u, (x, y, z) in enumerate(place.tolist())
        for t, p in zip(delay.tolist(), power[u].tolist(), strict=True)
    ]
    path.write_text("\n".join([heading, *rows]) + "\n")
    return path


def same(data):
    np.testing.assert_allclose(data["power"], POWER, rtol=1e-12)
    np.testing.assert_allclose(data["delay"], DELAY, rtol=1e-9, atol=1e-20)
    np.testing.assert_allclose(np.stack([data[axis] for axis in "xyz"], axis=1), PLACE)


def test_every_format_and_unit_gives_the_same_profiles(tmp_path):
    in_db = {"power": None, "power_db": 10 * np.log10(POWER)}
    in_ns = {"delay_s": None, "delay_ns": 1e9 * DELAY}
    for number, changes in enumerate(({}, in_db, in_ns, {**in_db, **in_ns})):
        same(read_profiles(archive(tmp_path / f"{number}.npz", **changes)))
    savemat(tmp_path / "p.mat", GOOD)
    same(read_profiles(tmp_path / "p.mat"))
    same(read_profiles(table(tmp_path / "p.csv")))
    heading = "profile,x_m,y_m,z_m,delay_ns,power_db"
    same(read_profiles(table(tmp_path / "q.csv", 10 * np.log10(POWER), 1e9 * DELAY, heading=heading)))
    assert read_profiles(tmp_path / "p.mat").attrs["carrier_hz"] == 3.5e9
    assert np.isnan(read_profiles(tmp_path / "p.csv").attrs["carrier_hz"])


def test_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "p.h5", "w") as file:
        for name, value in GOOD.items():
            file[name] = value
    same(read_profiles(tmp_path / "p.h5"))


def test_rows_of_a_table_stand_in_any_order(tmp_path):
    lines = table(tmp_path / "p.csv").read_text().splitlines()
    order = np.random.default_rng(1).permutation(len(lines) - 1) + 1
    (tmp_path / "q.csv").write_text("\n".join([lines[0], *(lines[i] for i in order)]))
    same(read_profiles(tmp_path / "q.csv"))


def test_profiles_that_say_nothing_are_left_out_and_counted(tmp_path):
    power, place = np.tile(POWER, (2, 1)), np.tile(PLACE, (2, 1))
    power[0, 3], power[1] = np.nan, 0.0
    place[2, 1] = np.nan
    data = read_profiles(archive(tmp_path / "p.npz", power=power, position=place))
    assert data.attrs["left_out"] == 3
    assert data.attrs["samples_in_the_file"] == 6
    np.testing.assert_array_equal(data["power"], POWER)
    profiles = profiles_of_table(data, noise=1e-12)
    assert profiles.left_out == {"zero, not finite, or without a position": 3}
    assert (profiles.first_tap, profiles.subcarriers, profiles.rate_hz) == (-2, 8, pytest.approx(1e8))


def test_profiles_beside_the_site_are_left_out_and_strangers_refused(tmp_path):
    town = make_town([])
    far = PLACE + np.array([[0, 0, 0], [500, 0, 0], [0, 0, 0]])
    data = within_site(read_profiles(archive(tmp_path / "p.npz", position=far)), town)
    assert data.attrs["off_the_site"] == 1
    np.testing.assert_array_equal(data["x"], far[[0, 2], 0])
    with pytest.raises(SiteTwinError, match="no user stands on the site"):
        within_site(read_profiles(archive(tmp_path / "q.npz", position=PLACE + 5e3)), town)
    degrees = archive(tmp_path / "d.npz", position=None, latitude=np.full(3, 48.1), longitude=np.full(3, 11.5))
    with pytest.raises(SiteTwinError, match="where on earth"):
        within_site(read_profiles(degrees), town)
    with pytest.raises(SiteTwinError, match="positions in degrees"):
        profiles_of_table(read_profiles(degrees))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"power": None}, "lack 'power_db', or 'power' in its place"),
        ({"power_db": POWER}, "hold both 'power_db' and 'power'"),
        ({"power": 10 * np.log10(POWER)}, "looks like dB; name it power_db"),
        ({"power": None, "power_db": 1e6 * POWER - 900}, "check its unit"),
        ({"power": POWER[:, :1], "delay_s": DELAY[:1]}, "one delay"),
        ({"power": POWER[0]}, "power is not a table of real numbers"),
        ({"power": POWER + 1j}, "power is not a table of real numbers"),
        ({"power": 0 * POWER}, "3 are zero or not finite.*none is left"),
        ({"delay_s": None}, "lack 'delay_ns', or 'delay_s' in its place"),
        ({"delay_s": DELAY[:5]}, "5 delays go with powers of 8"),
        ({"delay_s": 1e9 * DELAY}, "give seconds as delay_s, or nanoseconds as delay_ns"),
        ({"delay_s": DELAY[::-1].copy()}, "does not rise in even steps"),
        ({"delay_s": 1e-8 * np.arange(8.0) ** 2}, "does not rise in even steps"),
        ({"position": None}, "lack the array 'position', or 'latitude'"),
        ({"position": PLACE[:2]}, r"position has the shape \(2, 3\)"),
        ({"position": 1e9 * PLACE}, "off every site"),
        ({"noise": np.zeros(3)}, "noise is not above zero"),
        ({"noise": np.ones(2)}, "noise has 2 numbers"),
        ({"carrier_hz": np.array(-1.0)}, "carrier_hz is not one positive number"),
        ({"carrier_hz": np.array([1e9, 2e9])}, "carrier_hz is not one positive number"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, changes, says):
    with pytest.raises(SiteTwinError, match=says):
        read_profiles(archive(tmp_path / "p.npz", **changes))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "have no rows"),
        ("profile,x_m,y_m,z_m,delay_s,power\n", "have no rows"),
        ("x_m,y_m,z_m,delay_s,power\n0,0,1,0,1\n", "no column 'profile'"),
        ("profile,x,y,z,delay_s,power\n0,0,0,1,0,1\n", "unknown column 'x'"),
        ("profile,profile,delay_s,power\n0,0,0,1\n", "two columns of one name"),
        ("profile,x_m,y_m,delay_s,power\n0,0,0,0,1\n0,0,0,1e-8,1\n", "give x_m, y_m and z_m"),
        ("profile,x_m,y_m,z_m,delay_s,power\n0,0,0,1,0\n", "row 2 has 5 cells, the heading 6"),
        ("profile,x_m,y_m,z_m,delay_s,power\n0,0,0,1,0,much\n", "a cell is no number"),
        ("profile,x_m,y_m,z_m,delay_s,power\n,0,0,1,0,1\n", "names no profile"),
        ("profile,x_m,y_m,z_m,delay_s,power\n0,0,0,1,,1\n", "has no delay_s"),
        ("profile,x_m,y_m,z_m,delay_s,power\n0,0,0,1,0,1\n0,9,0,1,1e-8,1\n", "rows of one profile differ in x_m"),
        ("profile,x_m,y_m,z_m,delay_s,power\n0,0,0,1,0,1\n0,0,0,1,0,1\n", "two rows of one delay"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path, text, says):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(SiteTwinError, match=says):
        read_profiles(tmp_path / "p.csv")


def test_delays_off_the_grid_of_their_steps_are_refused(tmp_path):
    data = read_profiles(archive(tmp_path / "p.npz", delay_s=DELAY + 0.3e-8))
    with pytest.raises(SiteTwinError, match="no whole number of their steps"):
        profiles_of_table(data, noise=1e-12)
    with pytest.raises(SiteTwinError, match="names no carrier"):
        profiles_of_table(read_profiles(archive(tmp_path / "q.npz", carrier_hz=None)), noise=1e-12)


@settings(max_examples=30, deadline=None)
@given(cells=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8), max_size=12))
def test_any_text_is_read_or_refused_in_a_sentence(tmp_path_factory, cells):
    file = tmp_path_factory.mktemp("any") / "p.csv"
    file.write_text("profile,x_m,y_m,z_m,delay_ns,power_db\n" + ",".join(cells) + "\n", encoding="utf-8")
    with pytest.raises(SiteTwinError):
        read_profiles(file)


@given(st.integers(0, 10_000), st.sampled_from([1e-15, 1e-9, 1.0]), st.integers(8, 40))
@settings(max_examples=30, deadline=None)
def test_powers_under_the_name_of_the_other_unit_are_refused(tmp_path_factory, seed, unit, taps):
    # Receivers' profiles: noise in all taps, and a few paths above it.
    rng = np.random.default_rng(seed)
    power = unit * (rng.exponential(1.0, (5, taps)) + 1e4 * (rng.random((5, taps)) < 0.05) * rng.random((5, taps)))
    rest = {"delay_s": np.arange(taps) * 1e-8, "position": np.zeros((5, 3)) + np.arange(5)[:, None]}
    path = tmp_path_factory.mktemp("units") / "p.npz"
    in_db = 10 * np.log10(power)
    for name, values in (("power", power / power.max()), ("power_db", in_db)):
        assert read_profiles(archive(path, **{**rest, "power": None, name: values})).sizes["tap"] == taps
    for name, values, said in (
        ("power", in_db - in_db.max() + 120, "linear, or dB"),
        ("power", in_db - in_db.max() - 10, "looks like dB; name it power_db"),
        ("power_db", power / power.max(), "so that it looks linear; name it power"),
    ):
        with pytest.raises(SiteTwinError, match=said):
            read_profiles(archive(path, **{**rest, "power": None, name: values}))


def test_a_linear_noise_that_is_called_db_is_refused(tmp_path):
    with pytest.raises(SiteTwinError, match="noise_db is 1e-12, so that it looks linear"):
        read_profiles(archive(tmp_path / "p.npz", noise_db=np.array(1e-12)))


def test_a_noise_above_all_powers_is_of_another_unit(tmp_path):
    assert read_profiles(archive(tmp_path / "p.npz", noise=POWER.max(axis=1) / 2)).sizes["sample"] == 3
    with pytest.raises(SiteTwinError, match="noise is above the strongest power in 3 of 3 profiles; check the units"):
        read_profiles(archive(tmp_path / "p.npz", noise=np.array(90.0)))


def test_decibels_next_to_the_noise_are_taken_over_another_reference(tmp_path):
    above = np.tile([0.05, 0.1, 0.15, 0.2, 0.2, 0.3, 12.0, 30.0], (3, 1))  # of averaged profiles, clipped at the noise
    with pytest.raises(SiteTwinError, match="or subtract 100 from all if it is dB"):
        read_profiles(archive(tmp_path / "p.npz", power=None, power_db=above))
    data = read_profiles(archive(tmp_path / "q.npz", power=None, power_db=above - 100))
    np.testing.assert_allclose(10 * np.log10(data["power"]), above - 100)
