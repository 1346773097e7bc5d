"""Powers and spreads in one call: closed forms."""

import numpy as np
import pytest

import sitetwin as st
from sitetwin.face import quantities
from tests.face.conftest import CARRIER


def test_one_path_has_friis_power_and_no_spread(street):
    site, users, _ = street
    direct = st.trace(site, tx=(-33, 0, 32), users=users, max_depth=0)
    distance = np.linalg.norm(users - [-33, 0, 32], axis=1)
    seen = direct.counts > 0
    power = quantities.user_power_db(direct, site, carrier_hz=CARRIER)
    wave = 299_792_458.0 / CARRIER
    np.testing.assert_allclose(power[seen], 20 * np.log10(wave / (4 * np.pi * distance[seen])), atol=1e-4)
    assert np.isnan(power[~seen]).all()
    np.testing.assert_allclose(quantities.delay_spread(direct, site, carrier_hz=CARRIER)[seen], 0, atol=1e-15)


def test_two_paths_spread_as_their_powers_say(street):
    site, _, paths = street
    user = int(np.flatnonzero(paths.counts == 2)[0]) if (paths.counts == 2).any() else int(paths.counts.argmax())
    one = paths.select_users(np.array([user]))
    power = st.gains(one, site, carrier_hz=CARRIER).power.numpy()[:, 0, 0]
    mean = (power * one.delay).sum() / power.sum()
    spread = np.sqrt((power * (one.delay - mean) ** 2).sum() / power.sum())
    assert quantities.delay_spread(one, site, carrier_hz=CARRIER)[0] == pytest.approx(spread, rel=1e-9)


def test_an_unknown_angle_is_named(street):
    site, _, paths = street
    assert quantities.angular_spread(paths, site, "zenith_arrival", carrier_hz=CARRIER).shape == (paths.num_users,)
    with pytest.raises(st.SiteTwinError, match="no angle 'azimuth'"):
        quantities.angular_spread(paths, site, "azimuth", carrier_hz=CARRIER)
