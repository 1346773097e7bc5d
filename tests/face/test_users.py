"""Users on streets and along drives, and transmitters in words."""

from dataclasses import replace

import numpy as np
import pytest

import sitetwin as st
from sitetwin.face.users import COVERED, INDOORS
from sitetwin.site.latlon import to_geographic
from sitetwin.site.maps import Ledger
from tests.rays.test_drives import gpx
from tests.site.conftest import block, make_town
from tests.site.ground_cases import box, level, site_of
from tests.site.maps.test_streets import street_map


@pytest.fixture(scope="module")
def town():
    """Some 200 m x 200 m of ground with one house of 30 m x 30 m, 8 m high."""
    return replace(make_town([("house", block(10, 10, 30, 30, 8.0), 1)]), georeference=st.Georeference(48.14, 11.58))


@pytest.fixture
def walk(town, tmp_path):
    """Along y = 20 m from x = -50 m to 50 m, through the house."""
    file = tmp_path / "walk.gpx"
    file.write_text(gpx(town, np.column_stack([np.linspace(-50, 50, 21), np.full(21, 20.0)])))
    return file


def left_out(ledger):
    return sum(entry.count for entry in ledger.entries if entry.what == INDOORS)


def test_users_along_a_walk_are_outdoors_and_counted(town, walk):
    ledger = Ledger()
    users = st.users_along(town, walk, spacing=2.5, height=1.7, ledger=ledger)
    everybody = st.users_along(town, walk, spacing=2.5, height=1.7, allow_indoors=True)
    assert len(users) + left_out(ledger) == len(everybody)
    assert left_out(ledger) == pytest.approx(20 / 2.5, abs=1)
    np.testing.assert_allclose(np.diff(everybody[:, 0]), 2.5, atol=1e-3)
    np.testing.assert_allclose(users[:, 1:], [[20.0, 1.7]] * len(users), atol=1e-3)


def test_a_walk_through_the_house_alone_has_no_user(town, tmp_path):
    file = tmp_path / "inside.gpx"
    file.write_text(gpx(town, np.array([[12.0, 20.0], [28.0, 20.0]])))
    with pytest.raises(st.SiteTwinError, match=r"all 6 users along .* are inside buildings"):
        st.users_along(town, file, spacing=3.0)


def test_users_on_streets_keep_to_them(town, tmp_path):
    file = street_map(town, tmp_path, ({"highway": "residential"}, [(-20.0, -20.0), (20.0, -20.0)]))
    users = st.users_on_streets(town, file, spacing=2.0)
    assert len(users) == pytest.approx(3 * 22, abs=4)
    assert np.abs(users[:, 1] + 20).max() <= 2.75 + 1e-3
    np.testing.assert_allclose(users[:, 2], 1.5)


def test_users_left_out_of_a_grid_are_counted(town):
    ledger, nobody = Ledger(), Ledger()
    kept = st.grid(town, area=(-40, -40, 40, 40), spacing=8.0, ledger=ledger)
    every = st.grid(town, area=(-40, -40, 40, 40), spacing=8.0, allow_indoors=True, ledger=nobody)
    assert left_out(ledger) == len(every) - len(kept) > 0
    assert left_out(nobody) == 0


def test_places_in_words_and_numbers(town, tmp_path):
    lat, lon = (float(v[0]) for v in to_geographic(town, np.array([[20.0, 20.0]])))
    roof = f"latlon:{lat:.9f},{lon:.9f},roof+2.5"
    file = tmp_path / "masts.txt"
    file.write_text(f"# two\n1,2,3\n{roof}\n")
    expected = [[1, 2, 3], [20, 20, 10.5]]
    np.testing.assert_allclose(st.transmitters(town, file), expected, atol=1e-3)
    np.testing.assert_allclose(st.transmitters(town, ["1,2,3", roof]), expected, atol=1e-3)
    mixed = [(1, 2, 3), st.LatLon(lat, lon, 2.5, above="roof"), np.array([0.0, 0.0, 9.0])]
    np.testing.assert_allclose(st.transmitters(town, mixed), [*expected, [0, 0, 9]], atol=1e-3)
    for one in ((1, 2, 3), [1.0, 2.0, 3.0], np.array([1.0, 2.0, 3.0]), "1,2,3"):
        np.testing.assert_array_equal(st.transmitters(town, one), [[1, 2, 3]])


@pytest.mark.parametrize(
    ("places", "sentence"),
    [
        ("1,2", "tx is '1,2'; give 3 numbers"),
        ("latlon:1,2", "tx is 'latlon:1,2'; write latlon"),
        ([], "there is no transmitter"),
        ([(0, 0, 9), (20, 20, 4)], "inside a building"),
        ("0,0,-1", "below the ground"),
        (st.LatLon(10.0, 11.58, 2.0), "farther|km"),
    ],
)
def test_impossible_places_are_refused(town, places, sentence):
    with pytest.raises(st.SiteTwinError, match=sentence):
        st.transmitters(town, places)


def test_a_place_on_earth_needs_a_georeference(town):
    with pytest.raises(st.SiteTwinError, match="where on earth"):
        st.transmitters(replace(town, georeference=None), st.LatLon(48.14, 11.58, 20.0))


def test_the_account_says_what_is_ground_and_who_stands_under_a_deck():
    floor = ("Gelaende", level(-100, -100, 100, 100, 2.0))
    deck = ("terrain", level(-100, -10, 100, 10, 8.0)[:, ::-1])
    ledger = Ledger()
    users = st.grid(site_of(floor, deck), area=(-40, -20, 40, 20), spacing=10.0, ledger=ledger)
    assert (len(users), set(users[:, 2])) == (45, {3.5})
    said = {entry.what: entry.count for entry in ledger.entries}
    assert said == {"ground: 1 of 2 objects (Gelaende), by geometry": 1, COVERED: 27}
    bare = Ledger()
    houses = [(name, box((x, 0, 3), (x + 9, 9, 9))) for name, x in (("a", 0), ("b", 20))]
    users = st.grid(site_of(*houses), (1, 1, 28, 8), 1.0, ledger=bare)
    said = "; ".join(entry.what for entry in bare.entries)
    assert "users over no ground: they stand above the site's lowest point, z = 3.00 m" in said
    assert "unless a ground is added" in said
    assert len(users) == 10 * 8
