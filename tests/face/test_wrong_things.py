"""Things in the place of other things: one sentence, though no checker of types stands by."""

import numpy as np
import pytest

import sitetwin as st
from tests.face.conftest import CARRIER


def unchecked(function):
    """The function without the tests' own check of types."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def test_the_name_of_a_site_is_no_site(street):
    _, users, paths = street
    for call in (
        lambda: unchecked(st.trace)("munich", (0, 0, 30), users),
        lambda: unchecked(st.grid)("munich", (0, 0, 10, 10)),
        lambda: unchecked(st.channels)(paths, "munich", carrier_hz=CARRIER),
    ):
        with pytest.raises(Exception, match=r"site.*munich"):
            call()


@pytest.mark.parametrize("area", [(0, 0, 10), "0,0,9"])
def test_an_area_has_four_numbers(street, area):
    with pytest.raises(st.SiteTwinError, match="four numbers"):
        unchecked(st.grid)(street[0], area)


def test_paths_in_memory_make_no_data_set_on_disk(street, tmp_path):
    site, _, paths = street
    with pytest.raises(st.SiteTwinError, match=r"paths\.save"):
        st.channels_to_store(tmp_path / "h", paths, site, carrier_hz=CARRIER)
    assert not (tmp_path / "h").exists()


def test_a_folder_of_several_transmitters_has_an_axis_of_them(street, tmp_path):
    site, users, _ = street
    places = [(-33, 0, 32), (20, 0, 25)]
    stores = st.TraceJob(site, places, users, st.TraceSettings(max_depth=1)).run(tmp_path / "both")
    whole = st.channels(tmp_path / "both", site, carrier_hz=CARRIER, subcarriers=8)
    assert whole.dims[0] == "transmitter"
    np.testing.assert_array_equal(whole.tx_x, [-33, 20])
    for number, store in enumerate(stores):
        alone = st.channels(store, site, carrier_hz=CARRIER, subcarriers=8)
        np.testing.assert_array_equal(whole.isel(transmitter=number).values, alone.values)


def test_users_in_another_order_are_other_paths():
    """Two users that mirror each other have paths of the same lengths; their gains differ by the antenna's pattern."""
    site = st.open_site("simple_reflector")
    users = np.array([[4.0, 3.0, 1.0], [4.0, -3.0, 1.0]])
    paths = st.trace(site, (0.0, 0.0, 1.0), users, max_depth=0)
    gains = st.gains(paths, site, carrier_hz=CARRIER)
    turned = paths.select_users([1, 0])
    with pytest.raises(st.SiteTwinError, match=r"other paths|another"):
        gains.check(turned)


@pytest.mark.parametrize("slip", [3.5, 28, 3500, 0])
def test_gigahertz_in_the_place_of_hertz_are_refused_everywhere(street, tmp_path, slip):
    site, _, paths = street
    for call in (
        lambda: site.view(carrier_hz=slip),
        lambda: st.site.export_mitsuba(site, tmp_path / "scene", slip),
        lambda: st.assumption_effects(site, slip),
        lambda: st.gains(paths, site, carrier_hz=slip),
    ):
        with pytest.raises(st.SiteTwinError, match=r"hertz|positive"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_users_who_are_all_far_off_the_site_are_refused(street, tmp_path):
    """Map coordinates in the place of those of the site; where some users are on the site, the others are kept."""
    site, users, _ = street
    mast = (-33.0, 0.0, 32.0)
    far = users + np.array([691_000.0, 5_334_000.0, 0.0])
    with pytest.raises(
        st.SiteTwinError, match=r"all \d+ users are far off the site 'simple_street_canyon', which spans"
    ):
        st.trace(site, mast, far, max_depth=0)
    with pytest.raises(st.SiteTwinError, match="far off the site"):
        st.TraceJob(site, mast, far - [688_000.0, 5_334_000.0, 0.0], st.TraceSettings(max_depth=0)).run(tmp_path / "p")
    assert not (tmp_path / "p").exists()
    mixed = np.concatenate([users[:2], users[:1] + np.array([900.0, 0.0, 0.0])])
    assert st.trace(site, mast, mixed, max_depth=0).num_users == 3
