"""Power that delay taps miss: against syntheses of all taps, two paths in closed form, and each route that tells."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.channel import (
    AntennaArray,
    ChannelLoader,
    ChannelRequest,
    OfdmGrid,
    PathGains,
    Radio,
    delay_angle,
    delay_angle_from_response,
    delay_taps,
    frequency_response,
    impulse_response,
    path_gains,
    write_channels,
)
from sitetwin.channel.delay_shares import DelayShares, first_delays
from sitetwin.channel.formats import deepmimo_order
from sitetwin.channel.tap_energy import DelayTaps
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays import save_paths
from tests.channel.worlds import free_paths, make_paths, plane_site

C = 299_792_458.0
F = 3.5e9
ULA = Radio(AntennaArray.ula(4))


def one_path_each(lengths, seed=0):
    """Users with one path of a given length each."""
    lengths = np.asarray(lengths, float)
    return replace(free_paths(np.ones(len(lengths), int), np.random.default_rng(seed)), length=lengths)


def unit_gains(paths, tx=None):
    return PathGains.of(paths, torch.ones(paths.num_paths, 1, 1, dtype=torch.complex128), F, tx)


def street(users, length=30.0):
    """A site of a ground plane, and the direct and the reflected path to users in a row."""
    site = plane_site([((0, 0, 1), 0.0)])
    site.geometry_hash, site.hash, site.name = "geometry", "site", "plane"
    places = np.column_stack([length * np.arange(1, users + 1), np.zeros(users), np.full(users, 1.5)])
    paths = make_paths((0, 0, 30.0), places, site, [[(), (0,)]] * users)
    return site, replace(paths, attributes={"geometry_hash": "geometry"})


@given(
    subcarriers=st.integers(1, 96),
    spacing=st.floats(1e4, 1e6),
    share=st.floats(0.0, 1.0),
    first=st.integers(-40, 40),
    lengths=st.lists(st.floats(1.0, 20_000.0), min_size=1, max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_shares_are_those_of_a_synthesis_of_all_taps(subcarriers, spacing, share, first, lengths):
    grid, count = OfdmGrid(F, subcarriers, spacing), max(1, round(share * subcarriers))
    paths = one_path_each(lengths)
    gains = unit_gains(paths, ULA)
    energy = delay_angle(paths, gains, grid, num_taps=subcarriers, first_tap=first).abs().square().sum((1, 2))
    kept = (energy[:, :count].sum(1) / energy.sum(1)).numpy()
    shares = DelayShares.of(paths, gains, DelayTaps(grid.bandwidth_hz, count, first, subcarriers))
    np.testing.assert_allclose(shares.outside, 1 - kept, atol=1e-5)
    nearest = np.floor(paths.delay * grid.bandwidth_hz + 0.5)
    shown = energy.argmax(1).numpy() < count  # where it is seen
    own = (nearest >= first) & (nearest < first + count)
    apart = np.abs(paths.delay * grid.bandwidth_hz % 1 - 0.5) > 1e-3  # else two taps are equally near
    np.testing.assert_array_equal(shares.folded[apart] == 1, (shown & ~own)[apart])


@pytest.mark.parametrize("pulse", ["sinc", "raised-cosine"])
@pytest.mark.parametrize(("first", "count"), [(0, 1), (0, 32), (-5, 12), (40, 300)])
def test_shares_of_impulse_responses_are_those_of_very_many_taps(pulse, first, count):
    rate = 50e6
    paths = one_path_each(np.linspace(1.0, 1500.0, 97))
    gains = unit_gains(paths)
    energy = impulse_response(paths, gains, rate, 40_000, pulse=pulse, first_tap=-20_000).abs().square().sum((1, 2))
    kept = energy[:, 20_000 + first : 20_000 + first + count].sum(1) / energy.sum(1)
    shares = DelayShares.of(paths, gains, DelayTaps(rate, count, first, pulse=pulse))
    np.testing.assert_allclose(shares.outside, 1 - kept.numpy(), atol=2e-5)
    assert not shares.folded.any()


def test_two_paths_in_closed_form():
    """On taps 2 and 40, with 3/4 and 1/4 of the power, of 64 subcarriers: the second alone lies outside of 32 taps."""
    grid = OfdmGrid(F, 64, 960e3)
    tap = C / grid.bandwidth_hz
    paths = replace(free_paths([2, 2, 0], np.random.default_rng(0)), length=tap * np.array([2.0, 40.0, 2.0, 66.0]))
    values = torch.tensor([3**0.5, 1, 3**0.5, 1j], dtype=torch.complex128).view(-1, 1, 1)
    taps = DelayTaps(grid.bandwidth_hz, 32, 0, 64)
    shares = DelayShares.of(paths, PathGains.of(paths, values, F), taps)
    np.testing.assert_allclose(shares.outside, [0.25, 0.0, np.nan], atol=1e-9)
    np.testing.assert_allclose(shares.folded, [0.0, 0.25, np.nan], atol=1e-12)  # tap 66 stands at tap 2
    np.testing.assert_allclose(shares.end_s, np.array([40, 66, np.nan]) / grid.bandwidth_hz)
    after = DelayShares.of(paths, PathGains.of(paths, values, F), taps, first_delays(paths))
    np.testing.assert_allclose(after.outside, [0.25, 0.0, np.nan], atol=1e-9)
    assert shares.facts() == {
        "median_power_outside_taps": pytest.approx(0.125),
        "users_over_1_percent_outside_taps": 1,
        "users_over_1_percent_folded": 1,
    }


def test_half_a_tap_in_closed_form():
    """Between taps 0 and 1 each holds sinc^2(1/2) = 4 / pi^2 of the energy of an impulse response."""
    paths = one_path_each([C / 50e6 / 2])
    for count, kept in ((1, 4 / np.pi**2), (2, 8 / np.pi**2)):
        assert DelayShares.of(paths, unit_gains(paths), DelayTaps(50e6, count)).outside[0] == pytest.approx(
            1 - kept, abs=2e-6
        )


@pytest.mark.parametrize("first", [-3, 0, 5])
@pytest.mark.parametrize("reference", ["transmission", "first-path"])
def test_all_routes_to_taps_agree_and_absolute_delays_come_back(first, reference):
    """Closed form, transform of the response and pulses, from any delay 0 and any first tap."""
    site, paths = street(6)
    grid = OfdmGrid(F, 64, 1e6)
    given = {"tx": ULA, "num_taps": 16, "first_tap": first, "delay_reference": reference}
    made = {
        name: ChannelLoader(paths, site, ChannelRequest(grid, name, **given), dtype=torch.complex128).channels(
            torch.arange(6)
        )
        for name in ("delay-angle", "cir")
    }
    long_way = replace(ChannelRequest(grid, "delay-angle", **given), gain_nodes=True)
    at_nodes = ChannelLoader(paths, site, long_way, dtype=torch.complex128).channels(torch.arange(6))
    gains = path_gains(paths, site, F, ULA, dtype=torch.complex128)
    begin = torch.from_numpy(first_delays(paths) if reference == "first-path" else np.zeros(6))
    band = frequency_response(paths, gains, grid)
    turned = band * torch.exp(2j * np.pi * begin[:, None] * grid.index * 1e6)[:, None, None]
    wanted = delay_angle_from_response(turned, ULA, 16, first)
    scale = wanted.abs().max()
    assert (made["delay-angle"] - wanted).abs().max() < 1e-5 * scale
    assert (at_nodes - wanted).abs().max() < 0.05 * scale  # gains follow the frequency there
    n = torch.arange(first, first + 16)
    whole = torch.fft.ifft(torch.fft.ifftshift(turned, dim=-1), dim=-1)
    torch.testing.assert_close(delay_taps(turned, 16, first), whole[..., n % 64])
    pulses = impulse_response(paths, gains, 64e6, 16, first_tap=first, delay_reference_s=begin)
    torch.testing.assert_close(made["cir"], pulses)


def test_frequency_responses_from_the_first_path_turn_back():
    site, paths = street(5)
    grid = OfdmGrid(F, 32, 1e6)
    response = {
        reference: ChannelLoader(
            paths, site, ChannelRequest(grid, "cfr", ULA, delay_reference=reference), dtype=torch.complex128
        ).channels(torch.arange(5))
        for reference in ("transmission", "first-path")
    }
    turn = torch.exp(-2j * np.pi * torch.from_numpy(first_delays(paths))[:, None] * grid.index * 1e6)
    torch.testing.assert_close(response["first-path"] * turn[:, None, None], response["transmission"])


def test_a_loader_tells_once():
    site, paths = street(8)
    wanted = ChannelRequest(OfdmGrid(F, 512, 240e3), "delay-angle", ULA, num_taps=8)
    loader = ChannelLoader(paths, site, wanted, batch_size=2)
    with pytest.warns(SiteTwinWarning, match="2 of 2 users have more than 1 % of their power outside of the 8") as told:
        assert len(list(loader)) == len(list(loader)) == 4
    assert len(told) == 1


def test_beyond_one_over_spacing_is_told_of_frequency_responses_too(tmp_path):
    site, paths = street(8, 60.0)  # up to 480 m; 1/spacing is 312 m
    save_paths(paths, tmp_path / "paths", tile_users=3)
    wanted = ChannelRequest(OfdmGrid(F, 64, 960e3), "cfr", ULA)
    with pytest.warns(SiteTwinWarning, match="3 of 8 users .* beyond 1/spacing .312.3 m of path.*312.3 m too early"):
        store = write_channels(tmp_path / "paths", site, tmp_path / "c", wanted)
    assert store.read_group("taps").attributes == {"users_over_1_percent_folded": 3}
    write_channels(tmp_path / "paths", site, tmp_path / "d", replace(wanted, grid=OfdmGrid(F, 64, 240e3)))
    with xr.open_datatree(tmp_path / "d", engine="zarr") as tree:
        assert set(tree.children) == {"axes", "tiles"}  # nothing to say


def test_a_data_set_holds_the_shares_and_the_delay_zero_of_each_user(tmp_path):
    site, paths = street(8)
    save_paths(paths, tmp_path / "paths", tile_users=3)
    wanted = ChannelRequest(OfdmGrid(F, 512, 240e3), "delay-angle", ULA, num_taps=8)
    with pytest.warns(SiteTwinWarning, match="8 of 8 users .* outside of the 8 delay taps.*first-path") as told:
        store = write_channels(tmp_path / "paths", site, tmp_path / "c", wanted)
    assert len(told) == 1
    every = (
        ChannelLoader(paths, site, replace(wanted, num_taps=512)).channels(torch.arange(8)).abs().square().sum((1, 2))
    )
    missed = 1 - (every[:, :8].sum(1) / every.sum(1)).numpy()
    tiles = [store.read_tile(index) for index in range(3)]
    found = np.concatenate([tile["power_outside_taps"] for tile in tiles])
    np.testing.assert_allclose(found, missed, atol=0.02)  # the two paths interfere a little
    facts = store.read_group("taps").attributes
    assert facts["median_power_outside_taps"] == pytest.approx(np.median(found))
    assert facts["users_over_1_percent_outside_taps"] == 8
    after = replace(wanted, delay_reference="first-path")
    store = write_channels(tmp_path / "paths", site, tmp_path / "after", after)  # and warns of nothing
    begin = np.concatenate([store.read_tile(index)["delay_reference"] for index in range(3)])
    np.testing.assert_allclose(begin, paths.length[::2] / C)
    assert store.attributes["delay_reference"].startswith("first-path")
    assert store.read_group("taps").attributes["median_power_outside_taps"] < 0.01


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        ({"quantity": "cfr", "first_tap": 1}, "first_tap says nothing to cfr"),
        ({"quantity": "gains", "delay_reference": "first-path"}, "delay_reference says nothing to gains"),
        ({"quantity": "cir", "first_tap": 2**21}, "first_tap is 2097152"),
    ],
)
def test_what_says_nothing_is_refused(choices, text):
    with pytest.raises(SiteTwinError, match=text):
        ChannelRequest(OfdmGrid(F, 64, 1e6), **choices)


@pytest.mark.parametrize(("rows", "columns"), [(1, 8), (4, 1), (2, 4), (3, 2)])
def test_rows_of_deepmimo_count_from_below(rows, columns):
    """Its response, written out: element c + C r leads by (c y + r z) / 2 cycles, y and z the departure's cosines."""
    paths = free_paths([1] * 5, np.random.default_rng(4))
    tx = Radio(AntennaArray.upa(rows, columns))
    ours = frequency_response(paths, unit_gains(paths, tx), OfdmGrid(F, 1, 1e3)).numpy()[:, 0, :, 0]
    c, r = np.tile(np.arange(columns), rows), np.repeat(np.arange(rows), columns)
    y, z = paths.departure[:, 1:2], paths.departure[:, 2:]
    theirs = np.exp(1j * np.pi * (c * y + r * z))
    order = deepmimo_order(rows, columns)
    centre = np.exp(-1j * np.pi * ((columns - 1) / 2 * y + (rows - 1) / 2 * z))
    np.testing.assert_allclose(ours[:, order], theirs * centre, atol=1e-9)
    np.testing.assert_allclose((theirs * centre)[:, order], ours, atol=1e-9)
    with pytest.raises(SiteTwinError, match="no element"):
        deepmimo_order(0, columns)


def test_functions_called_by_themselves_tell_too():
    """Users a kilometre away, and 32 taps of 4.9 m, or a spacing whose inverse is 312 m."""
    rng = np.random.default_rng(1)
    paths = free_paths([2, 3, 1], rng)
    paths.length[:] = 1000.0 + np.arange(6)
    gains = PathGains.of(paths, torch.ones(6, 1, 1, dtype=torch.complex64), F, Radio(AntennaArray.ula(8)))
    wide, folded = OfdmGrid(F, 2048, 30e3), OfdmGrid(F, 64, 960e3)
    response = frequency_response(paths, gains, wide)
    missed = "^3 of 3 users have more than 1 % of their power outside of the 32 delay taps"
    with pytest.warns(SiteTwinWarning, match=missed):
        delay_angle(paths, gains, wide)
    with pytest.warns(SiteTwinWarning, match=missed):
        delay_angle_from_response(response, gains.tx)
    with pytest.warns(SiteTwinWarning, match=missed):
        impulse_response(paths, gains, 60e6, 32)
    with pytest.warns(SiteTwinWarning, match=r"beyond 1/spacing \(312.3 m of path\)"):
        frequency_response(paths, gains, folded)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = torch.from_numpy(first_delays(paths))
        delay_angle(paths, gains, wide, delay_reference_s=first)
        delay_angle_from_response(frequency_response(paths, gains, wide, delay_reference_s=first), gains.tx, 1024, -512)
        frequency_response(paths, gains, wide)
    with pytest.warns(SiteTwinWarning, match="after the reference of the delays"):
        delay_angle(paths, gains, wide, delay_reference_s=1e-7)


def test_gains_over_the_band_have_shares_too():
    paths = one_path_each([100.0, 900.0, 1500.0])
    flat = unit_gains(paths)
    nodes = replace(flat, values=torch.stack([flat.values] * 3), nodes_hz=torch.tensor([3.4e9, 3.5e9, 3.6e9]))
    taps = DelayTaps(60e6, 32, 0, 2048)
    one, other = DelayShares.of(paths, flat, taps), DelayShares.of(paths, nodes, taps)
    assert np.allclose(one.outside, other.outside)
    assert np.array_equal(one.end_s, other.end_s)
