"""Gains know what they belong to: everything that takes them refuses what does not fit."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

from sitetwin.channel import (
    AntennaArray,
    OfdmGrid,
    PathGains,
    Radio,
    advance,
    band_nodes,
    delay_angle,
    frequency_response,
    ideal_response,
    impulse_response,
    path_gains,
)
from sitetwin.channel.link_statistics import link_statistics
from sitetwin.errors import SiteTwinError
from sitetwin.site.materials import Material
from tests.channel.worlds import free_paths, make_paths, plane_site

F = 3.5e9
GRID = OfdmGrid(F, 64, 30e3)
USERS = [[25.0, 3, 1.5], [6.0, -2, 1.5], [12.0, 4, 1.5]]
CHAINS = [[[], [0]], [[]], [[], [0]]]


@pytest.fixture
def site():
    site = plane_site([((0, 0, 1), 0.0)])
    site.name, site.hash, site.geometry_hash = "plane", "a" * 64, "b" * 64
    return site


@pytest.fixture
def paths(site):
    return replace(make_paths([0, 0, 8], USERS, site, CHAINS), attributes={"geometry_hash": site.geometry_hash})


def plain(function):
    """The function as users have it: the tests' own checks of types would come first."""
    return inspect.unwrap(function)


CONSUMERS = {
    "frequency_response": lambda paths, gains, **radios: plain(frequency_response)(paths, gains, GRID, **radios),
    "delay_angle": lambda paths, gains, **radios: plain(delay_angle)(paths, gains, GRID, **radios),
    "impulse_response": lambda paths, gains, **radios: plain(impulse_response)(paths, gains, 20e6, 8, **radios),
    "ideal_response": lambda paths, gains, **radios: plain(ideal_response)(paths, gains, **radios),
    "advance": lambda paths, gains: plain(advance)(paths, gains, np.zeros(paths.num_paths), 0.0),
    "link_statistics": lambda paths, gains: plain(link_statistics)(paths, gains),
}


@pytest.mark.parametrize("consumer", CONSUMERS.values(), ids=CONSUMERS)
def test_other_paths_are_refused(consumer, site, paths):
    gains = path_gains(paths, site, F)
    consumer(paths, gains)
    consumer(replace(paths), gains)  # the same paths in another object
    for other, says in (
        (paths.select_users(np.array([0, 1])), "5 paths of 3 users do not fit 3 paths of 2 users"),
        (paths.select_users(np.array([2, 1, 0])), "nor paths in another order"),
        (replace(paths, length=paths.length * 1.001), "are those of other paths"),
        (replace(paths, offsets=np.array([0, 1, 3, 5])), "are those of other paths"),
        (replace(paths, attributes={"geometry_hash": "c" * 64}), r"in another geometry \(bbbbbbbbbbbb\)"),
    ):
        with pytest.raises(SiteTwinError, match=says):
            consumer(other, gains)


@pytest.mark.parametrize("consumer", CONSUMERS.values(), ids=CONSUMERS)
def test_bare_numbers_are_refused_and_told_how_to_be_wrapped(consumer, site, paths):
    values = path_gains(paths, site, F).values
    with pytest.raises(SiteTwinError, match=r"Tensor, which does not say .* PathGains\.of\("):
        consumer(paths, values)


@pytest.mark.parametrize("consumer", [CONSUMERS["frequency_response"], CONSUMERS["delay_angle"]])
def test_another_carrier_is_refused(consumer, site, paths):
    for gains in (path_gains(paths, site, 28e9), band_nodes(paths, site, 28e9, 1e6)):
        with pytest.raises(SiteTwinError, match=r"carrier at 2\.8e\+10 Hz but the channel's carrier is 3\.5e\+09 Hz"):
            consumer(paths, gains)
    consumer(paths, path_gains(paths, site, 3.6e9, phase_frequency_hz=F))


@pytest.mark.parametrize("name", ["frequency_response", "delay_angle", "impulse_response", "ideal_response"])
def test_another_radio_is_refused(name, site, paths):
    consumer = CONSUMERS[name]
    sector = Radio(AntennaArray.ula(4, pattern="tr38901"), (0.5, 0.1, 0.0))
    gains = path_gains(paths, site, F, sector)
    for side, radio, says in (
        ("tx", Radio(AntennaArray.ula(4), (0.5, 0.1, 0.0)), "radio of the transmitter .* another pattern"),
        ("tx", Radio(sector.array, (0.5, 0.2, 0.0)), "orientation"),
        ("tx", Radio(AntennaArray.ula(4, pattern="tr38901", polarisation="H"), sector.orientation), "polarisation"),
        ("tx", Radio(AntennaArray.ula(4, pattern="tr38901", polarisation="VH"), sector.orientation), "2 ports"),
        ("rx", Radio(AntennaArray.single("dipole")), "radio of the users"),
        ("rx", Radio(orientation=torch.tensor([[0.1, 0.2, 0.0]] * 3)), "radio of the users"),
    ):
        with pytest.raises(SiteTwinError, match=says):
            consumer(paths, gains, **{side: radio})
    other_size = Radio(AntennaArray.ula(8, pattern="tr38901"), torch.tensor([0.5, 0.1, 0.0], dtype=torch.float64))
    own = consumer(paths, gains)
    larger = consumer(paths, gains, tx=other_size)
    own, larger = (result[0] if isinstance(result, tuple) else result for result in (own, larger))
    assert own.shape[2] == 4
    assert larger.shape[2] == 8


def test_a_vertical_antenna_may_turn_about_the_vertical(site, paths):
    turned, tilted = (Radio(AntennaArray.ula(4), angles) for angles in ((0.7, 0.0, 0.0), (0.7, 0.1, 0.0)))
    gains = path_gains(paths, site, F, dtype=torch.complex128)
    exact = path_gains(paths, site, F, turned, dtype=torch.complex128)
    torch.testing.assert_close(gains.values, exact.values)
    ours = frequency_response(paths, gains, GRID, turned)
    torch.testing.assert_close(ours, frequency_response(paths, exact, GRID))
    with pytest.raises(SiteTwinError, match="another pattern, polarisation or orientation"):
        frequency_response(paths, gains, GRID, tilted)


def test_the_radios_of_the_gains_are_used_where_none_are_given(site, paths):
    tx, rx = Radio(AntennaArray.ula(4), (0.3, 0.1, 0.0)), Radio(AntennaArray.single(polarisation="VH"))
    gains = path_gains(paths, site, F, tx, rx)
    assert frequency_response(paths, gains, GRID).shape == (3, 2, 4, 64)
    assert torch.equal(frequency_response(paths, gains, GRID), frequency_response(paths, gains, GRID, tx, rx))
    assert torch.equal(delay_angle(paths, gains, GRID), delay_angle(paths, gains, GRID, tx, rx))


def test_paths_of_another_site_are_refused(site, paths):
    other = plane_site([((0, 0, 1), 0.0)])
    other.name, other.hash, other.geometry_hash = "another plane", "d" * 64, "e" * 64
    for compute in (lambda: path_gains(paths, other, F), lambda: band_nodes(paths, other, F, 1e6)):
        with pytest.raises(SiteTwinError, match=r"another geometry \(bbbb.* than that of site 'another plane' \(eeee"):
            compute()
    gains = path_gains(paths, site, F)
    with pytest.raises(SiteTwinError, match=r"computed in another geometry \(bbbb.* than that of the site \(eeee"):
        frequency_response(paths, gains, GRID, site=other)
    brick = replace(site.materials[0], relative_permittivity=9.0)
    other.materials, other.geometry_hash = (brick,), site.geometry_hash  # a variant with the same geometry
    assert path_gains(paths, other, F).site_hash == "d" * 64


def test_gains_state_what_they_belong_to(site, paths):
    tx = Radio(AntennaArray.ula(4))
    gains = path_gains(paths, site, F, tx)
    assert (gains.carrier_hz, gains.tx, gains.site_hash, gains.geometry_hash) == (F, tx, "a" * 64, "b" * 64)
    assert len(gains) == 5
    assert repr(gains) == "PathGains(5 paths of 3 users, 1 x 1 ports, carrier 3.5 GHz, complex64)"
    assert "at 1 frequencies" in repr(band_nodes(paths, site, F, 1e5))


def test_power_is_the_square_of_the_gain(site, paths):
    gains = path_gains(paths, site, F, dtype=torch.complex128)
    np.testing.assert_allclose(gains.power.numpy(), np.abs(gains.numpy()) ** 2, rtol=1e-14)
    np.testing.assert_allclose(gains.power_db.numpy(), 20 * np.log10(np.abs(gains.numpy())), rtol=1e-13)
    silent = gains.with_values(torch.zeros_like(gains.values))
    assert bool((silent.power_db == -torch.inf).all())


def test_gradients_flow_through_other_values(site, paths):
    gains = path_gains(paths, site, F, dtype=torch.complex128)
    scale = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)
    h = frequency_response(paths, gains.with_values(gains.values * scale), GRID)
    (slope,) = torch.autograd.grad(h.abs().square().sum(), scale)
    plain = frequency_response(paths, gains, GRID).abs().square().sum()
    assert float(slope) == pytest.approx(1.8 * float(plain), rel=1e-6)
    with pytest.raises(SiteTwinError, match="do not fit 5 paths"):
        gains.with_values(gains.values[:4])


def test_users_of_paths_and_gains_are_chosen_together(site, paths):
    poses = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]], dtype=torch.float64)
    gains = path_gains(paths, site, F, rx=Radio(orientation=poses))
    index = np.array([2, 0, 0])
    chosen, own = gains.select_users(paths, index)
    assert torch.equal(own.values, path_gains(chosen, site, F, rx=Radio(orientation=poses[index])).values)
    assert torch.equal(frequency_response(chosen, own, GRID), frequency_response(paths, gains, GRID)[index])
    with pytest.raises(SiteTwinError, match="are those of other paths"):
        gains.select_users(chosen, index)


def test_gains_at_several_frequencies_have_no_closed_form():
    pane = Material("pane", relative_permittivity=6.3, conductivity=0.001, thickness=0.12)
    site = plane_site([((1, 0, 0), 30.0)], [pane])
    paths = make_paths([0, 0, 5], [[5.0, 20, 2]], site, [[[], [0]]])
    gains = band_nodes(paths, site, F, 400e6, max_nodes=15)
    for call in (
        lambda: delay_angle(paths, gains, GRID),
        lambda: impulse_response(paths, gains, 20e6, 8),
        lambda: ideal_response(paths, gains),
        lambda: link_statistics(paths, gains),
    ):
        with pytest.raises(SiteTwinError, match="frequencies of the band have a form over the subcarriers only"):
            call()


def test_statistics_of_several_ports_are_refused(site, paths):
    dual = Radio(AntennaArray.single(polarisation="VH"))
    gains = path_gains(paths, site, F, dual)
    with pytest.raises(SiteTwinError, match=r"between 1 x 2 ports; give the power of one pair"):
        link_statistics(paths, gains)
    first = link_statistics(paths, gains.power[:, 0, 0].numpy())
    assert np.array_equal(first.path_gain, link_statistics(paths, path_gains(paths, site, F)).path_gain)


def test_wrapped_gains_must_fit():
    paths = free_paths([2, 1], np.random.default_rng(0))
    values = torch.ones(3, 1, 1, dtype=torch.complex64)
    for call, says in (
        (lambda: PathGains.of(paths, values[:2], F), "do not fit 3 paths"),
        (lambda: PathGains.of(paths, values[None], F), "do not fit 3 paths"),
        (lambda: PathGains.of(paths, values, F, Radio(AntennaArray.single(polarisation="VH"))), "1 x 1 ports do not"),
        (lambda: PathGains.of(paths, values[None], F, nodes_hz=torch.tensor([F, F])), "1 nodes .* 2 node frequencies"),
    ):
        with pytest.raises(SiteTwinError, match=says):
            call()
