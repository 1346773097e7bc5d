"""What sites and paths do by themselves, though it is done floors above them."""

import urllib.request

import numpy as np
import pytest

import sitetwin as st
from tests.face.conftest import CARRIER


def test_paths_know_their_powers_and_spreads(street):
    site, _, paths = street
    power = paths.power_db(site, carrier_hz=CARRIER)
    assert power.shape == (len(paths),)
    np.testing.assert_allclose(power, st.gains(paths, site, carrier_hz=CARRIER).power_db.numpy()[:, 0, 0], atol=1e-9)
    assert paths.delay_spread(site, carrier_hz=CARRIER).shape == (paths.num_users,)
    with pytest.raises(st.SiteTwinError, match="no angle"):
        paths.angular_spread(site, "height", carrier_hz=CARRIER)
    with pytest.raises(st.SiteTwinError, match="need a carrier"):
        paths.power_db(site)


def test_power_falls_by_6_db_where_the_carrier_doubles(street):
    """Free space: the line of sight loses 20 log10 of the frequency; reflections lose what their materials say."""
    site, _, paths = street
    direct = paths.depth == 0
    low, high = (paths.power_db(site, carrier_hz=carrier)[direct] for carrier in (CARRIER, 2 * CARRIER))
    np.testing.assert_allclose(low - high, 20 * np.log10(2), atol=1e-4)


def test_pictures_of_sites_and_paths(street):
    import matplotlib.pyplot as plt

    site, users, paths = street
    axes = site.plot(transmitters=paths.transmitter, users=users)
    assert axes.get_xlabel()
    assert paths.plot(3, site).name == "3d"
    plt.close("all")


def test_a_site_in_the_browser_of_a_notebook(street, store):
    site, _, _ = street
    viewer = site.view(store)
    try:
        assert urllib.request.urlopen(viewer.url, timeout=20).status == 200
    finally:
        viewer.stop()
    with pytest.raises(st.SiteTwinError, match="another geometry"):
        st.open_site("simple_reflector").view(store)


def test_coverage_in_one_call(street):
    site, _, _ = street
    stations = [
        st.Station(name="west", position=(-33, 0, 32), eirp_dbm=40),
        st.Station(name="east", position=(33, 0, 32), eirp_dbm=40),
    ]
    found = st.coverage(site, stations, area=(-40, -12, 40, 12), spacing=4.0)
    assert found.received.shape == (2, len(found.users))
    seen = found.serving >= 0
    west = found.users[:, 0] < -8
    assert (found.serving[seen & west] == 0).mean() > 0.9
    alone = st.coverage(site, stations[0], area=(-40, -12, 40, 12), spacing=4.0)
    np.testing.assert_array_equal(alone.received[0], found.received[0])
    with pytest.raises(st.SiteTwinError, match="two stations are named"):
        st.coverage(site, [stations[0], stations[0]], area=(-40, -12, 40, 12))
