"""Channels on their way into the link: taps and responses, power, users without a path, labelled arrays."""

import numpy as np
import pytest
import torch

import sitetwin as st
from sitetwin.channel import delay_taps
from sitetwin.errors import SiteTwinError
from sitetwin.link import (
    channel_power,
    link_channels,
    precoder,
    response_of_taps,
    semi_analytic,
    served_users,
    taps_of_response,
    unit_power,
)
from tests.link.worlds import rayleigh, rayleigh_taps


@pytest.mark.parametrize("subcarriers", [8, 13, 128])
def test_taps_and_responses(subcarriers):
    taps = rayleigh_taps(np.random.default_rng(0), 3, 2, 12)
    response = response_of_taps(taps, subcarriers)
    k = np.arange(subcarriers) - subcarriers // 2
    phases = np.exp(-2j * np.pi * np.outer(np.arange(12), k) / subcarriers)
    np.testing.assert_allclose(response, taps @ phases, atol=1e-12)
    if subcarriers >= 12:
        np.testing.assert_allclose(taps_of_response(response)[..., :12], taps, atol=1e-12)
        if subcarriers % 2 == 0:  # the package's own grid and taps
            np.testing.assert_allclose(delay_taps(torch.from_numpy(response))[..., :12].numpy(), taps, atol=1e-12)
        assert channel_power(response) == pytest.approx(channel_power(taps, "taps"), rel=1e-12)


def test_unit_power():
    h = rayleigh(np.random.default_rng(1), 5) * np.array([1, 2, 3, 4, 5])[:, None, None]
    assert channel_power(unit_power(h)) == pytest.approx(np.ones(5), rel=1e-12)
    together = unit_power(h, "all")
    assert channel_power(together).mean() == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(together / h, (together / h).flat[0])


def test_users_without_a_path_are_told_apart():
    h = rayleigh(np.random.default_rng(2), 4)
    twin = h.copy()
    h[1], twin[2] = 0, np.nan
    assert served_users(h, twin).tolist() == [True, False, False, True]
    with pytest.raises(SiteTwinError, match=r"leave them out with sitetwin\.link\.served_users"):
        unit_power(h)


@pytest.fixture(scope="module")
def canyon():
    site = st.open_site("simple_street_canyon")
    users = np.array([[0.0, 0.0, 1.5], [10.0, 2.0, 1.5], [0.0, 40.0, 1.5], [20.0, -2.0, 1.5]])
    paths = st.trace(site, tx=(-33.0, 0.0, 12.0), users=users, max_depth=2)
    return site, paths


def test_from_a_notebook_in_a_few_lines(canyon):
    site, paths = canyon
    array = st.channels(paths, site, carrier_hz=3.5e9, radio=st.Radio("ula:4"), subcarriers=128, bandwidth_hz=30.72e6)
    found = link_channels(array)
    served = np.asarray(paths.counts) > 0
    assert found.last == "subcarriers"
    assert found.users.tolist() == np.flatnonzero(served).tolist()
    assert found.left_out == int((~served).sum())
    np.testing.assert_array_equal(found.values, array.values[served, 0].astype(complex))
    h = found.scaled()
    curve = semi_analytic(h, precoder("mmse", h), [0.0, 10.0])
    assert curve.ber[1] < curve.ber[0] < 0.2


def test_impulse_responses_from_a_notebook(canyon):
    site, paths = canyon
    array = st.channels(
        paths,
        site,
        carrier_hz=3.5e9,
        radio=st.Radio("ula:4"),
        subcarriers=128,
        bandwidth_hz=30.72e6,
        quantity="cir",
        delay_reference="first-path",
        first_tap=-6,
        num_taps=40,
    )
    found = link_channels(array)
    assert (found.last, found.values.shape[1:]) == ("taps", (4, 40))
    assert channel_power(found.scaled(), "taps") == pytest.approx(np.ones(len(found.users)), rel=1e-12)


def test_other_arrays_are_refused(canyon):
    site, paths = canyon
    array = st.channels(paths, site, carrier_hz=3.5e9)
    angles = array.rename(tx_antenna="angle", frequency="delay")  # the axes of delay-angle channels
    with pytest.raises(SiteTwinError, match="give channels of one transmitter with the quantity cfr or cir"):
        link_channels(angles)
    with pytest.raises(SiteTwinError, match="rx_antenna is 1"):
        link_channels(array, 1)
    with pytest.raises(SiteTwinError, match="none of the 4 users has a path"):
        link_channels(array * 0)
