"""Several users at once: what zero-forcing nulls, what MMSE maximises, limits and duality of rates."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gamma

from sitetwin.errors import SiteTwinError
from sitetwin.link import (
    MULTIUSER_PRECODERS,
    NORMALISATIONS,
    group_users,
    multiuser_curve,
    multiuser_sinr,
    multiuser_weights,
    precoder,
    semi_analytic,
    transmit_power,
)
from tests.link.worlds import complex_normal, rayleigh


def grouped(rng, groups=5, users=3, antennas=8, subcarriers=16):
    return rayleigh(rng, groups * users, antennas, 4, subcarriers).reshape(groups, users, antennas, subcarriers)


@pytest.mark.parametrize("users", [2, 5, 8])
def test_zero_forcing_nulls_interference(users):
    rng = np.random.default_rng(users)
    h = grouped(rng, users=users)
    for sharing in ("equal", "common"):
        b = multiuser_weights(h, "zf", 10.0, sharing=sharing)
        gains = np.abs(np.einsum("gutk,gvtk->guvk", h, b))
        own = np.einsum("guuk->guk", gains)
        assert (gains.sum(axis=2) - own).max() < 1e-10 * own.min()
        if sharing == "common":  # all users alike
            np.testing.assert_allclose(own, own[:, :1] * np.ones((1, users, 1)), rtol=1e-9)


@pytest.mark.parametrize("name", MULTIUSER_PRECODERS)
@pytest.mark.parametrize("sharing", ["equal", "common"])
def test_total_power_is_fixed_exactly(name, sharing):
    h = grouped(np.random.default_rng(1))
    for normalisation in NORMALISATIONS[1:]:
        b = multiuser_weights(h, name, 4.0, normalisation, sharing)
        assert transmit_power(b).mean() == pytest.approx(1, rel=1e-12)
        if normalisation != "long-term":
            np.testing.assert_allclose(transmit_power(b), 1, rtol=1e-12)
        if normalisation == "subcarrier":
            np.testing.assert_allclose(np.sum(np.abs(b) ** 2, axis=(1, 2)), 1, rtol=1e-12)
        if sharing == "equal":
            np.testing.assert_allclose(np.sum(np.abs(b) ** 2, axis=(0, 2, 3)) / (5 * 16), 1 / 3, rtol=1e-12)


@pytest.mark.parametrize("name", ["mrt", "mmse"])
@pytest.mark.parametrize("normalisation", ["subcarrier", "symbol", "long-term"])
def test_one_user_is_the_link_of_one_user(name, normalisation):
    h = rayleigh(np.random.default_rng(2), 6, subcarriers=16)
    single = semi_analytic(h, precoder(name, h, normalisation), [0.0, 6.0])
    found = multiuser_curve(h[:, None], h[:, None], name, [0.0, 6.0], normalisation=normalisation)
    np.testing.assert_allclose(found.error_rates[:, :, 0], single.per_user, rtol=1e-9)


def test_zero_forcing_in_fading_has_the_diversity_that_is_left():
    # The gain of zero-forcing with streams of equal power is gamma distributed of order N_T - K + 1.
    rng = np.random.default_rng(3)
    users, antennas, snr = 4, 6, 10.0
    h = complex_normal(rng, 20_000, users, antennas, 1)
    order = antennas - users + 1
    law = quad(lambda x: np.log2(1 + snr / users * x) * x ** (order - 1) * np.exp(-x) / gamma(order), 0, 80)[0]
    found = multiuser_curve(h, h, "zf", [10.0], normalisation="subcarrier")
    assert found.sum_rate[0] == pytest.approx(users * law, rel=0.01)


def test_mmse_is_zero_forcing_at_high_and_mrt_at_low_snr():
    h = grouped(np.random.default_rng(4))
    for snr, name in ((1e9, "zf"), (1e-6, "mrt")):
        mmse = multiuser_weights(h, "mmse", snr, "subcarrier")
        other = multiuser_weights(h, name, snr, "subcarrier")
        np.testing.assert_allclose(mmse, other, atol=1e-4)


@pytest.mark.parametrize("name", MULTIUSER_PRECODERS)
def test_mmse_has_the_highest_rate_and_none_beats_one_user_alone(name):
    rng = np.random.default_rng(5)
    h = grouped(rng, groups=60, users=4, antennas=4)
    snrs = [0.0, 10.0, 20.0]
    mmse = multiuser_curve(h, h, "mmse", snrs, normalisation="subcarrier").sum_rate
    found = multiuser_curve(h, h, name, snrs, normalisation="subcarrier").sum_rate
    assert (found <= mmse + 1e-9).all()
    # Sum capacity is at most that of users who receive together (water filling over the eigenmodes: trace bound).
    for snr_db, rate in zip(snrs, found, strict=True):
        matrix = np.moveaxis(h, -1, 1)
        together = np.linalg.eigvalsh(matrix @ np.swapaxes(matrix, -1, -2).conj())
        bound = np.log2(1 + 10 ** (snr_db / 10) * np.maximum(together, 0)).sum(axis=-1).mean()
        assert rate < bound


def test_mmse_directions_reach_the_uplinks_sinr():
    # Duality of uplink and downlink (P. Viswanath and D. N. C. Tse, IEEE Trans. Inf. Theory 49(8), 2003): with the
    # directions of the uplink's MMSE receivers the downlink reaches the same SINRs with the same total power.
    rng = np.random.default_rng(6)
    h, snr, users = complex_normal(rng, 1, 4, 6, 1), 8.0, 4
    matrix = h[0, :, :, 0]
    share = snr / users
    uplink = []
    for u in range(users):
        rest = np.delete(matrix, u, axis=0)
        inner = np.eye(6) + share * rest.T @ rest.conj()
        uplink.append(share * (matrix[u].conj() @ np.linalg.solve(inner, matrix[u])).real)
    b = multiuser_weights(h, "mmse", snr, "subcarrier") * np.sqrt(users)  # unit norms
    power = np.abs(np.einsum("gutk,gvtk->guvk", h, b))[0, :, :, 0] ** 2
    coupling = np.diag(np.diag(power) / uplink) - (power - np.diag(np.diag(power)))
    needed = np.linalg.solve(coupling, np.full(users, 1 / snr))
    assert (needed > 0).all()
    assert needed.sum() == pytest.approx(1, rel=1e-9)
    found = multiuser_sinr(h, b * np.sqrt(needed)[None, :, None, None], snr)[0, :, 0]
    np.testing.assert_allclose(found, uplink, rtol=1e-9)


def test_a_wrong_twin_leaves_interference():
    rng = np.random.default_rng(7)
    h, e = grouped(rng), grouped(rng)
    curves = [
        multiuser_curve(h, np.sqrt(r) * h + np.sqrt(1 - r) * e, "zf", [30.0]).sum_rate[0] for r in (1.0, 0.99, 0.7)
    ]
    assert curves[0] > curves[1] > curves[2]
    limited = [multiuser_curve(h, e, "zf", [snr]).sum_rate[0] for snr in (40.0, 60.0)]
    assert limited[1] - limited[0] < 0.05


def test_groups_hold_each_user_once():
    h = rayleigh(np.random.default_rng(8), 11, subcarriers=8)
    groups, numbers = group_users(h, 4, np.random.default_rng(9))
    assert groups.shape == (2, 4, 4, 8)
    assert len(set(numbers.ravel().tolist())) == 8
    np.testing.assert_array_equal(groups, h[numbers])


def _alike(h):
    h = h.copy()
    h[2, 1] = 1j * h[2, 0]
    return h


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda h: multiuser_weights(h[:, :, :2], "zf", 1.0), "3 users were given for 2 antennas"),
        (lambda h: multiuser_weights(_alike(h), "zf", 1.0), r"users of 1 of 5 groups \(the first is number 2\)"),
        (lambda h: multiuser_weights(0 * h, "mmse", 1.0), "a known channel is zero"),
        (lambda h: multiuser_weights(h, "mmse", -1.0), "snr is -1.0"),
        (lambda h: multiuser_weights(h, "dpc", 1.0), "precoder 'dpc' is unknown"),
        (lambda h: multiuser_weights(h, "zf", 1.0, sharing="fair"), "sharing 'fair' is unknown"),
        (lambda h: multiuser_weights(h, "zf", 1.0, "all"), "normalisation 'all' is unknown"),
        (lambda h: multiuser_weights(h[0], "zf", 1.0), r"give \[groups, users, antennas, subcarriers\]"),
        (lambda h: multiuser_curve(h, h[:1], "zf", [0.0]), "known channels have the shape"),
        (lambda h: group_users(h[0], 4, np.random.default_rng(0)), "size is 4; give a whole number from 1 to 3"),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    with pytest.raises(SiteTwinError, match=said):
        call(grouped(np.random.default_rng(10)))


def test_more_users_than_antennas_are_served_by_mmse():
    h = grouped(np.random.default_rng(11), antennas=2)
    assert multiuser_curve(h, h, "mmse", [10.0]).sum_rate[0] > 0
