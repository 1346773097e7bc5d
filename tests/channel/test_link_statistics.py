"""Coverage against closed forms: Friis, two rays, thermal noise, symmetric stations, two-path spreads."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.channel import AntennaArray, OfdmGrid, Radio, SampledPattern, Tr38901, antenna_pattern, path_gains
from sitetwin.channel.link_statistics import (
    Downlink,
    best_server,
    link_statistics,
    peak_gain_db,
    received_power,
    sinr,
    thermal_noise_w,
)
from sitetwin.channel.stations import Station
from sitetwin.errors import SiteTwinError
from tests.channel.oracle import fresnel
from tests.channel.worlds import free_paths, make_paths, plane_site

C = 299_792_458.0
CARRIER = 3.5e9
GRID = OfdmGrid(CARRIER, 3276, 30e3)


def powers(paths, site, radio=None, carrier=CARRIER):
    return np.abs(path_gains(paths, site, carrier, radio, dtype=torch.complex128).numpy()[:, 0, 0]) ** 2


def two_paths(first, second, departures=None, arrivals=None, sight=False):
    """One user with two paths of given lengths and directions; only the first may be a line of sight."""
    paths = free_paths([2], np.random.default_rng(0))
    kinds = np.array([[0 if sight else 1], [1]], np.uint8)
    changes = {"length": np.array([first, second], float), "kinds": kinds, "facets": np.zeros((2, 1), np.int32)}
    changes |= {"vertices": np.zeros((2, 1, 3))}
    if departures is not None:
        changes |= {"departure": np.asarray(departures, float)}
    if arrivals is not None:
        changes |= {"arrival": np.asarray(arrivals, float)}
    return type(paths)(**{**paths.__dict__, **changes})


def towards(azimuth, zenith=math.pi / 2):
    return [math.sin(zenith) * math.cos(azimuth), math.sin(zenith) * math.sin(azimuth), math.cos(zenith)]


def test_free_space_is_the_friis_map():
    rng = np.random.default_rng(1)
    users = np.concatenate([rng.uniform(-300, 300, (50, 2)), np.full((50, 1), 1.5)], axis=1)
    site = plane_site([])
    tx = np.array([0.0, 0.0, 30.0])
    station = Station(position=tuple(tx), eirp_dbm=46, pattern="iso")
    paths = make_paths(tx, users, site, [[()]] * 50)
    link = link_statistics(paths, powers(paths, site, station.radio))
    distance = np.linalg.norm(users - tx, axis=1)
    friis_db = 20 * np.log10(C / CARRIER / (4 * np.pi * distance))
    np.testing.assert_allclose(10 * np.log10(link.path_gain), friis_db, atol=1e-9)
    rsrp_dbm = 10 * np.log10(received_power(link.path_gain[None], [station.downlink])[0]) + 30
    np.testing.assert_allclose(rsrp_dbm, 46 - 10 * np.log10(3276) + friis_db, atol=1e-9)
    assert link.line_of_sight.all()
    np.testing.assert_allclose(link.delay_spread, 0, atol=1e-20)
    assert np.isposinf(link.rician_k).all()
    np.testing.assert_allclose(link.azimuth_spread_departure, 0, atol=1e-7)


def test_eirp_is_what_boresight_receives_whatever_the_antenna():
    site, tx = plane_site([]), np.array([0.0, 0.0, 20.0])
    yaw, tilt = math.radians(37), math.radians(8)
    ahead = np.array([math.cos(tilt) * math.cos(yaw), math.cos(tilt) * math.sin(yaw), -math.sin(tilt)])
    paths = make_paths(tx, (tx + 100 * ahead)[None], site, [[()]])
    got = []
    for pattern in ("iso", "tr38901"):
        station = Station(position=tuple(tx), eirp_dbm=50, pattern=pattern, yaw_deg=37, downtilt_deg=8)
        link = link_statistics(paths, powers(paths, site, station.radio))
        got.append(float(received_power(link.path_gain[None], [station.downlink])[0, 0]))
    # The isotropic antenna's tilt turns its polarisation not at all here: boresight lies in its plane of tilt.
    assert got[1] == pytest.approx(got[0], rel=1e-6)
    friis = (C / CARRIER / (4 * math.pi * 100)) ** 2
    assert got[0] == pytest.approx(10 ** ((50 - 30) / 10) / 3276 * friis, rel=1e-6)


def test_two_rays_add_in_power():
    site = plane_site([((0, 0, 1), 0.0)])
    tx, user = np.array([0.0, 0.0, 10.0]), np.array([40.0, 0.0, 1.5])
    paths = make_paths(tx, user[None], site, [[(), (0,)]])
    link = link_statistics(paths, powers(paths, site))
    direct, reflected = math.hypot(40, 8.5), math.hypot(40, 11.5)
    eta = 5.0 - 1j * 0.05 / (2 * math.pi * CARRIER * 8.8541878188e-12)
    _, r_tm = fresnel(11.5 / reflected, eta)
    wavelength = C / CARRIER
    first, second = (wavelength / (4 * math.pi * direct)) ** 2, abs(r_tm * wavelength / (4 * math.pi * reflected)) ** 2
    assert link.path_gain[0] == pytest.approx(first + second, rel=1e-9)
    assert link.rician_k[0] == pytest.approx(first / second, rel=1e-9)
    share = first / (first + second)
    spread = math.sqrt(share * (1 - share)) * (reflected - direct) / C
    assert link.delay_spread[0] == pytest.approx(spread, rel=1e-9)


def test_equal_paths_spread_by_half_their_difference():
    link = link_statistics(two_paths(100.0, 160.0), np.ones(2))
    assert link.delay_spread[0] == pytest.approx(30.0 / C, rel=1e-12)


def test_circular_spread_of_two_equal_directions():
    apart = math.radians(50)
    paths = two_paths(100, 100, [towards(3.0), towards(3.0 + apart)], [towards(0, 1.0), towards(0, 1.0 + apart)])
    link = link_statistics(paths, np.ones(2))
    wanted = math.sqrt(-2 * math.log(math.cos(apart / 2)))
    assert link.azimuth_spread_departure[0] == pytest.approx(wanted, rel=1e-12)
    assert link.zenith_spread_arrival[0] == pytest.approx(wanted, rel=1e-12)
    assert link.azimuth_spread_arrival[0] == pytest.approx(0, abs=1e-7)


def test_opposite_directions_give_a_finite_spread():
    link = link_statistics(two_paths(10, 10, [[1, 0, 0], [-1, 0, 0]]), np.ones(2))
    assert 8 < link.azimuth_spread_departure[0] < 9


@given(st.floats(-math.pi, math.pi), st.integers(0, 2**31))
def test_azimuth_spread_does_not_know_north(turn, seed):
    rng = np.random.default_rng(seed)
    paths = free_paths([7, 0, 3], rng)
    power = rng.uniform(0.01, 1, 10)
    rotation = np.array([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    turned = type(paths)(
        **{**paths.__dict__, "departure": paths.departure @ rotation.T, "arrival": paths.arrival @ rotation.T}
    )
    before, after = link_statistics(paths, power), link_statistics(turned, power)
    for name in ("azimuth_spread_departure", "azimuth_spread_arrival", "zenith_spread_departure"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=1e-9, atol=1e-12)


def test_users_without_a_path():
    link = link_statistics(free_paths([2, 0], np.random.default_rng(2)), np.array([1.0, 2.0]))
    assert link.path_gain[1] == 0
    assert not link.line_of_sight[1]
    for name in ("delay_spread", "azimuth_spread_departure", "zenith_spread_arrival", "rician_k"):
        assert math.isnan(getattr(link, name)[1])


def test_statistics_do_not_depend_on_tiles():
    rng = np.random.default_rng(3)
    paths = free_paths(rng.integers(0, 9, 40), rng)
    power = rng.uniform(0, 1, paths.num_paths)
    whole = link_statistics(paths, power)
    cut = int(paths.offsets[17])
    parts = [
        link_statistics(paths.select_users(np.arange(17)), power[:cut]),
        link_statistics(paths.select_users(np.arange(17, 40)), power[cut:]),
    ]
    for name in vars(whole):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, name))


def test_powers_that_are_none_are_refused():
    paths = free_paths([2], np.random.default_rng(0))
    for bad in (np.ones(3), np.array([1.0, -1.0]), np.array([1.0, np.nan])):
        with pytest.raises(SiteTwinError, match="powers"):
            link_statistics(paths, bad)


def test_thermal_noise():
    assert 10 * math.log10(thermal_noise_w(1.0)) + 30 == pytest.approx(-174, abs=0.03)
    wide = 10 * math.log10(thermal_noise_w(20e6, 7.0)) + 30
    assert wide == pytest.approx(10 * math.log10(thermal_noise_w(1.0)) + 30 + 10 * math.log10(20e6) + 7)


def test_two_equal_stations_in_the_middle_are_zero_db_less_noise():
    links = [Downlink(GRID, 40.0), Downlink(GRID, 40.0)]
    gain = np.array([[1e-9, 1e-5], [1e-9, 1e-5]])
    received = received_power(gain, links)
    serving = best_server(received)
    value = sinr(received, links, serving, 9.0)
    noise = thermal_noise_w(30e3, 9.0)
    np.testing.assert_allclose(value, received[0] / (received[0] + noise), rtol=1e-12)
    assert 10 * math.log10(value[1]) == pytest.approx(0, abs=1e-3)
    assert value[0] < value[1]


def test_without_load_sinr_is_snr():
    links = [Downlink(GRID, 40.0), Downlink(GRID, 46.0, load=0.0)]
    received = received_power(np.array([[1e-9], [1e-10]]), links)
    value = sinr(received, links, best_server(received), 5.0)
    assert value[0] == pytest.approx(received[0, 0] / thermal_noise_w(30e3, 5.0), rel=1e-12)


@pytest.mark.parametrize(("load", "share"), [(0.25, 0.25), (1.0, 1.0)])
def test_interference_is_the_load_times_the_power(load, share):
    links = [Downlink(GRID, 70.0), Downlink(GRID, 60.0, load=load)]
    received = received_power(np.array([[1e-5], [1e-5]]), links)
    value = sinr(received, links, best_server(received), 0.0)
    assert value[0] == pytest.approx(10 / share, rel=1e-3)


def test_bands_that_do_not_meet_do_not_interfere():
    apart = Downlink(OfdmGrid(3.7e9, 3276, 30e3), 40.0)
    half = Downlink(OfdmGrid(CARRIER + GRID.bandwidth_hz / 2, 3276, 30e3), 40.0)
    own = Downlink(GRID, 41.0)
    noise = thermal_noise_w(30e3, 0.0)
    for other, share in ((apart, 0.0), (half, 0.5)):
        received = received_power(np.array([[1e-6], [1e-6]]), [own, other])
        value = sinr(received, [own, other], best_server(received), 0.0)
        assert value[0] == pytest.approx(received[0, 0] / (share * received[1, 0] + noise), rel=1e-9)


def test_numerologies_meet_as_power_densities():
    """The same power over the same band, once in twice as many subcarriers: the same interference."""
    own = Downlink(OfdmGrid(CARRIER, 1024, 30e3), 40.0)
    received = {}
    for count in (1024, 2048):
        other = Downlink(OfdmGrid(CARRIER, count, 30e3 * 1024 / count), 39.0)
        power = received_power(np.array([[1e-6], [1e-6]]), [own, other])
        received[count] = float(sinr(power, [own, other], np.array([0]), 0.0)[0])
    assert received[2048] == pytest.approx(received[1024], rel=1e-3)  # band edges differ by half a subcarrier


def test_best_server_is_symmetric_and_may_be_none():
    gain = np.array([[3e-9, 1e-9, 0.0], [1e-9, 3e-9, 0.0]])
    received = received_power(gain, [Downlink(GRID, 40.0)] * 2)
    np.testing.assert_array_equal(best_server(received), [0, 1, -1])
    np.testing.assert_array_equal(best_server(received[::-1]), [1, 0, -1])
    value = sinr(received, [Downlink(GRID, 40.0)] * 2, best_server(received), 9.0)
    assert value[0] == pytest.approx(value[1], rel=1e-12)
    assert math.isnan(value[2])


@pytest.mark.parametrize(
    ("name", "peak"), [("iso", 0.0), ("dipole", 10 * math.log10(1.5)), ("hw_dipole", 2.15), ("tr38901", 8.0)]
)
def test_peak_gains(name, peak):
    assert peak_gain_db(antenna_pattern(name)) == pytest.approx(peak, abs=5e-3)


def test_peak_gain_of_a_table_is_its_largest_entry():
    theta = torch.linspace(0, math.pi, 7, dtype=torch.float64)
    phi = torch.arange(5, dtype=torch.float64) * 2 * math.pi / 5
    table = torch.zeros(7, 5, dtype=torch.float64)
    table[3, 2] = 17.3
    assert peak_gain_db(SampledPattern(theta, phi, table)) == pytest.approx(17.3)


def test_a_wider_beam_than_the_standard_is_no_problem():
    radio = Radio(AntennaArray.single(Tr38901(max_gain_db=5.0)), (1.0, 0.2, 0.0))
    assert peak_gain_db(radio.array.pattern) == pytest.approx(5.0)
