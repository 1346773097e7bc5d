"""Channels from paths: against sums written out, exact geometry, and each other."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from sitetwin.channel import (
    AntennaArray,
    ChannelLoader,
    ChannelRequest,
    OfdmGrid,
    PathGains,
    Radio,
    angle_transform,
    band_nodes,
    delay_angle,
    delay_angle_from_response,
    delay_taps,
    frequency_response,
    ideal_response,
    impulse_response,
    path_gains,
    pulse_shape,
    shards,
)
from sitetwin.channel.numerics.ragged import pieces
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site.materials import Material
from tests.channel import oracle
from tests.channel.worlds import free_paths, image_vertices, make_paths, plane_site

C = 299_792_458.0
F = 3.5e9
GRID = OfdmGrid(F, 256, 30e3)
DOUBLE = torch.complex128


def random_values(paths, rng, ports=(1, 1), dtype=DOUBLE):
    shape = (paths.num_paths, *ports)
    a = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    return torch.from_numpy(a).to(dtype)


def random_gains(paths, rng, tx=None, rx=None, dtype=DOUBLE, carrier=F):
    """Gains of these paths, at this carrier and between these radios, that nothing stands behind."""
    tx, rx = tx or Radio(), rx or Radio()
    values = random_values(paths, rng, (rx.array.num_ports, tx.array.num_ports), dtype)
    return PathGains.of(paths, values, carrier, tx, rx)


def single(gains, dtype=torch.complex64):
    """The same gains in another precision."""
    return gains.with_values(gains.values.to(dtype))


def written_out(paths, gains, grid, tx, rx):
    """The sum over paths in plain NumPy."""
    k = np.arange(grid.num_subcarriers) - grid.num_subcarriers // 2
    sides = []
    for radio, directions in ((tx, paths.departure), (rx, paths.arrival)):
        turn = oracle.rotation(*radio.orientation)
        places = np.tile(radio.array.positions.numpy() @ turn.T, (radio.array.num_ports, 1))
        sides.append(np.exp(2j * np.pi * directions @ places.T))
    a = gains.numpy()
    a = np.repeat(np.repeat(a, rx.array.num_positions, axis=1), tx.array.num_positions, axis=2)
    h = np.zeros((paths.num_users, a.shape[1], a.shape[2], len(k)), complex)
    for p, u in enumerate(paths.user_of_path):
        tone = np.exp(-2j * np.pi * k * grid.spacing_hz * paths.length[p] / C)
        h[u] += (a[p] * sides[1][p][:, None] * sides[0][p][None, :])[:, :, None] * tone
    return torch.from_numpy(h)


def worst(ours, theirs):
    return float((ours - theirs).abs().max() / theirs.abs().max())


RADIOS = {
    "ula": (Radio(AntennaArray.ula(32)), Radio()),
    "turned ula": (Radio(AntennaArray.ula(32), (0.5, 0.2, -0.1)), Radio()),
    "odd ula": (Radio(AntennaArray.ula(7, spacing=0.7)), Radio(AntennaArray.ula(2), (1.0, 0.3, 0.2))),
    "upa": (Radio(AntennaArray.upa(4, 6, polarisation="cross"), (0.5, 0.2, -0.1)), Radio()),
    "mimo": (Radio(AntennaArray.upa(2, 5)), Radio(AntennaArray.ula(3, polarisation="VH"), (-1.0, 0.4, 0.3))),
    "siso": (Radio(), Radio()),
}


def custom_radio():
    places = torch.tensor([[0.0, 0.1, 0.2], [0.3, -0.4, 0.0], [0.0, 0.0, 1.1]], dtype=torch.float64)
    return Radio(AntennaArray(places), (0.2, 0.1, 0.0))


@pytest.mark.parametrize("name", [*RADIOS, "custom"])
@pytest.mark.parametrize("subcarriers", [256, 37, 1])
def test_response_is_the_sum_over_paths(name, subcarriers):
    tx, rx = RADIOS.get(name, (custom_radio(), custom_radio()))
    rng = np.random.default_rng(1)
    paths = free_paths([3, 0, 1, 5, 3, 0, 17, 2, 2, 0], rng)
    grid = OfdmGrid(F, subcarriers, 60e3)
    gains = random_gains(paths, rng, tx, rx)
    theirs = written_out(paths, gains, grid, tx, rx)
    assert worst(frequency_response(paths, gains, grid, tx, rx), theirs) < 1e-11
    coarse = frequency_response(paths, single(gains), grid, tx, rx)
    assert coarse.dtype == torch.complex64
    assert worst(coarse, theirs) < 3e-6
    assert not coarse[1].any()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_thousand_users_in_single_precision(threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    rng = np.random.default_rng(2)
    counts = rng.integers(0, 16, 1000)
    paths = free_paths(counts, rng, spread=5000.0)  # delays to half the symbol
    gains = random_gains(paths, rng, dtype=torch.complex64)
    tx = Radio(AntennaArray.ula(8))
    ours = frequency_response(paths, gains, GRID, tx)
    assert worst(ours, written_out(paths, single(gains, DOUBLE), GRID, tx, Radio())) < 3e-6
    out = torch.full_like(ours, torch.nan)
    assert frequency_response(paths, gains, GRID, tx, out=out) is not None
    assert torch.equal(out, ours)
    assert torch.equal(ours, frequency_response(paths, gains, GRID, tx))


@pytest.mark.parametrize("subcarriers", [16, 48, 256])
@pytest.mark.parametrize("shape", [(1, 4), (4, 6), (3, 3)])
def test_tiles_and_what_does_not_fit_them(shape, subcarriers):
    """Arrays and bands of whole tiles are written by one compiled call, others by batched products."""
    rng = np.random.default_rng(3)
    paths = free_paths([4, 0, 1, 9, 25, 2], rng, spread=5000.0)
    tx, grid = Radio(AntennaArray.upa(*shape), (0.5, 0.2, -0.1)), OfdmGrid(F, subcarriers, 60e3)
    gains = random_gains(paths, rng, tx, dtype=torch.complex64)
    theirs = written_out(paths, single(gains, DOUBLE), grid, tx, Radio())
    assert worst(frequency_response(paths, gains, grid, tx), theirs) < 3e-6


def test_large_results_written_past_the_caches():
    rng = np.random.default_rng(4)
    paths = free_paths(rng.integers(0, 4, 600), rng)
    gains = random_gains(paths, rng, dtype=torch.complex64)
    tx = Radio(AntennaArray.ula(32))
    theirs = written_out(paths, single(gains, DOUBLE), GRID, tx, Radio())
    whole = frequency_response(paths, gains, GRID, tx)
    assert worst(whole, theirs) < 3e-6
    beside = torch.full((whole.numel() + 1,), torch.nan, dtype=torch.complex64)[1:].view(whole.shape)  # off a line
    assert torch.equal(frequency_response(paths, gains, GRID, tx, out=beside), whole)
    some = torch.from_numpy(rng.permutation(600)[:550])
    assert torch.equal(frequency_response(paths, gains, GRID, tx, users=some), whole[some])


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 40))
def test_pieces_hold_each_path_of_each_user_once(counts, most):
    offsets = torch.tensor([0, *np.cumsum(counts).tolist()], dtype=torch.int64)
    seen = {}
    for piece in pieces(offsets, most):
        assert 1 <= len(piece.places) <= most
        rows = piece.rows.reshape(len(piece.places), piece.width)
        seen.update(zip(piece.places.tolist(), rows.tolist(), strict=True))
    assert seen == {u: list(range(int(offsets[u]), int(offsets[u + 1]))) for u in range(len(counts))}


def test_gradients_are_those_of_the_sum():
    rng = np.random.default_rng(3)
    paths = free_paths([2, 0, 3], rng)
    grid = OfdmGrid(F, 6, 1e6)
    pose = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64, requires_grad=True)
    values = random_values(paths, rng).requires_grad_()

    def response(values, pose):
        tx = Radio(AntennaArray.ula(3), pose)
        gains = PathGains.of(paths, values, F, tx)
        taps = delay_angle(paths, gains, grid, tx, num_taps=4)
        return frequency_response(paths, gains, grid, tx), impulse_response(paths, gains, 6e6, 5, tx), taps

    assert torch.autograd.gradcheck(response, (values, pose))
    with torch.no_grad():
        plain = response(values, pose)
    for a, b in zip(response(values, pose), plain, strict=True):
        torch.testing.assert_close(a, b)


# --- delay and angle


@settings(max_examples=40)
@given(
    st.integers(0, 2**31), st.sampled_from(["ula", "turned ula", "odd ula", "upa", "mimo"]), st.sampled_from([256, 63])
)
def test_direct_route_equals_the_route_over_the_subcarriers(seed, name, subcarriers):
    tx, rx = RADIOS[name]
    rng = np.random.default_rng(seed)
    paths = free_paths(rng.integers(0, 9, 12), rng)
    grid = OfdmGrid(F, subcarriers, 30e3)
    gains = random_gains(paths, rng, tx, rx)
    if not paths.num_paths:
        return
    by_band = delay_angle_from_response(frequency_response(paths, gains, grid, tx, rx), tx)
    assert worst(delay_angle(paths, gains, grid, tx, rx), by_band) < 1e-6
    assert worst(delay_angle(paths, single(gains), grid, tx, rx), by_band) < 1e-5


def test_paths_on_grid_points():
    """Delays of whole taps and directions of whole bins, where the kernels are 0 / 0."""
    rng = np.random.default_rng(4)
    paths = free_paths([40], rng)
    tap = C / GRID.bandwidth_hz
    paths.length[:] = tap * np.tile([2, 3, 17, 31], 10) + np.repeat([0, 1e-9, -1e-9, 1e-6, -1e-5], 8)
    paths.departure[:, 1] = np.tile(np.arange(-8, 8) / 16, 3)[:40]
    tx = Radio(AntennaArray.ula(32))
    gains = random_gains(paths, rng)
    by_band = delay_angle_from_response(frequency_response(paths, gains, GRID, tx), tx)
    assert worst(delay_angle(paths, gains, GRID, tx), by_band) < 1e-6
    assert worst(delay_angle(paths, single(gains), GRID, tx), by_band) < 1e-5


def test_a_path_on_the_grid_lands_in_one_cell():
    paths = free_paths([1], np.random.default_rng(0))
    paths.length[:] = 5 * C / GRID.bandwidth_hz
    paths.departure[:] = [math.sqrt(1 - 0.25**2), 0.25, 0.0]  # 0.125 cycles per element: bin 4 of 32
    out = delay_angle(
        paths, PathGains.of(paths, torch.ones(1, 1, 1, dtype=DOUBLE), F), GRID, Radio(AntennaArray.ula(32))
    )[0, 0]
    assert abs(out[16 + 4, 5]) == pytest.approx(32)
    out[16 + 4, 5] = 0
    assert float(out.abs().max()) < 1e-4


def test_delay_reference_moves_the_taps():
    rng = np.random.default_rng(5)
    paths = free_paths([3, 4], rng)
    gains = random_gains(paths, rng)
    tx = Radio(AntennaArray.ula(4))
    first = torch.tensor([paths.length[:3].min(), paths.length[3:].min()]) / C
    moved = frequency_response(paths, gains, GRID, tx, delay_reference_s=first)
    turn = torch.exp(2j * math.pi * first[:, None] * GRID.index * GRID.spacing_hz)[:, None, None, :]
    assert worst(moved, frequency_response(paths, gains, GRID, tx) * turn) < 1e-9
    direct = delay_angle(paths, gains, GRID, tx, delay_reference_s=first)
    assert worst(direct, delay_angle_from_response(moved, tx)) < 1e-6


def test_taps_follow_their_formula():
    rng = np.random.default_rng(6)
    h = torch.from_numpy(rng.standard_normal((2, 8)) + 1j * rng.standard_normal((2, 8)))
    k, n = np.arange(8) - 4, np.arange(8)
    expected = h.numpy() @ np.exp(2j * np.pi * np.outer(k, n) / 8) / 8
    np.testing.assert_allclose(delay_taps(h).numpy(), expected, atol=1e-14)


def test_angle_bins_of_a_planar_array():
    array = AntennaArray.upa(2, 3, polarisation="VH")
    rng = np.random.default_rng(7)
    x = rng.standard_normal(12) + 1j * rng.standard_normal(12)
    ours = angle_transform(torch.from_numpy(x), array, axis=0).numpy()
    expected = np.concatenate([np.fft.fftshift(np.fft.fft2(x[i : i + 6].reshape(2, 3))).ravel() for i in (0, 6)])
    np.testing.assert_allclose(ours, expected, atol=1e-12)


# --- impulse responses


@pytest.mark.parametrize("pulse", ["sinc", "raised-cosine"])
def test_pulses_are_nyquist(pulse):
    n = torch.arange(-6, 7, dtype=torch.float64)
    torch.testing.assert_close(pulse_shape(pulse, n), (n == 0).double(), atol=1e-12, rtol=0)
    t = torch.tensor([2.0 - 1e-7, 2.0, 2.0 + 1e-7], dtype=torch.float64)  # 1 / (2 roll-off): a removable pole
    values = pulse_shape(pulse, t)
    assert float(values.max() - values.min()) < 1e-6


def test_impulse_response_is_the_sum_of_pulses():
    rng = np.random.default_rng(8)
    paths = free_paths([2, 0, 4], rng)
    gains = random_gains(paths, rng)
    tx = Radio(AntennaArray.ula(3), (0.3, 0.0, 0.0))
    rate, taps = 20e6, 60
    ours = impulse_response(paths, gains, rate, taps, tx, first_tap=-4)
    expected = np.zeros((3, 1, 3, taps), complex)
    places = tx.array.positions.numpy() @ oracle.rotation(0.3, 0, 0).T
    for p, u in enumerate(paths.user_of_path):
        steer = np.exp(2j * np.pi * places @ paths.departure[p])
        pulse = np.sinc(np.arange(-4, taps - 4) - rate * paths.length[p] / C)
        expected[u, 0] += gains.values[p].item() * steer[:, None] * pulse
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-12)


def test_a_sinc_response_has_the_spectrum_of_the_paths():
    """All taps of a band-limited response transform back to the response over the band."""
    rng = np.random.default_rng(9)
    paths = free_paths([5], rng)
    gains = random_gains(paths, rng)
    grid = OfdmGrid(F, 8, 1e6)
    taps = impulse_response(paths, gains, grid.bandwidth_hz, 80_001, first_tap=-40_000)[0, 0, 0]
    n = torch.arange(-40_000, 40_001, dtype=torch.float64)
    middle = torch.tensor([-2.0, -1.0, 0.0, 1.0])
    spectrum = torch.exp(-2j * math.pi * middle[:, None] * n / 8).to(DOUBLE) @ taps
    h = frequency_response(paths, gains, grid)[0, 0, 0, 2:6]
    assert worst(spectrum, h) < 1e-3


def test_ideal_response_is_the_paths_themselves():
    rng = np.random.default_rng(10)
    paths = free_paths([2, 0, 4], rng)
    gains = random_gains(paths, rng)
    a, delay = ideal_response(paths, gains)
    assert a.shape == (3, 1, 1, 4)
    np.testing.assert_allclose(a[2, 0, 0].numpy(), gains.numpy()[2:6, 0, 0])
    np.testing.assert_allclose(delay[0, :2].numpy(), paths.length[:2] / C)
    assert torch.isnan(delay[1]).all()
    kept, _ = ideal_response(paths, gains, max_paths=2)
    strongest = sorted(gains.values[2:6].abs().flatten().tolist(), reverse=True)[:2]
    np.testing.assert_allclose(kept[2, 0, 0].abs().numpy(), strongest)


# --- spherical waves, squint, nodes


@pytest.fixture
def street():
    walls = [((0, 0, 1), 0.0), ((0, 1, 0), 12.0), ((0, 1, 0), -9.0)]
    site = plane_site(walls)
    paths = make_paths(
        [0, 0, 8], [[25.0, 3, 1.5], [6.0, -2, 1.5]], site, [[[], [0], [1], [1, 2], [2, 1, 0]], [[], [0], [2]]]
    )
    return site, paths, [[[], [0], [1], [1, 2], [2, 1, 0]], [[], [0], [2]]]


def exact_lengths(site, paths, chains, tx, rx):
    """(P, R, T) lengths from every element to every element by the image method, element by element."""
    wavelength = C / F
    places = [
        wavelength * np.tile(r.array.positions.numpy() @ oracle.rotation(*r.orientation).T, (r.array.num_ports, 1))
        for r in (tx, rx)
    ]
    out = np.zeros((paths.num_paths, len(places[1]), len(places[0])))
    flat = [(u, c) for u, own in enumerate(chains) for c in own]
    for p, (u, chain) in enumerate(flat):
        for t, dt in enumerate(places[0]):
            for r, dr in enumerate(places[1]):
                a, b = paths.transmitter + dt, paths.users[u] + dr
                points = np.concatenate([a[None], image_vertices(a, b, site, chain), b[None]])
                out[p, r, t] = np.linalg.norm(np.diff(points, axis=0), axis=1).sum()
    return out


@pytest.mark.parametrize("steering", ["carrier", "per-subcarrier"])
def test_spherical_waves_meet_every_element_exactly(street, steering):
    site, paths, chains = street
    tx = Radio(AntennaArray.ula(16, spacing=2.0), (0.4, 0.1, 0.2))
    rx = Radio(AntennaArray.upa(2, 2), (1.0, 0.3, -0.5))
    grid = OfdmGrid(F, 16, 5e6)
    gains = path_gains(paths, site, F, tx, rx, dtype=DOUBLE)
    ours = frequency_response(paths, gains, grid, tx, rx, wavefront="spherical", steering=steering, site=site)
    lengths = exact_lengths(site, paths, chains, tx, rx)
    expected = np.zeros(ours.shape, complex)
    k = np.arange(16) - 8
    for p, u in enumerate(paths.user_of_path):
        a = gains.values[p].item() * paths.length[p] / lengths[p]
        a = a * np.exp(-2j * np.pi * F * (lengths[p] - paths.length[p]) / C)
        delay = lengths[p] if steering == "per-subcarrier" else np.full_like(lengths[p], paths.length[p])
        expected[u] += a[..., None] * np.exp(-2j * np.pi * k * 5e6 * delay[..., None] / C)
    assert worst(ours, torch.from_numpy(expected)) < 1e-8


def test_spherical_waves_become_plane_far_away():
    paths = make_paths([0, 0, 0], [[50_000.0, 20_000, 300]], plane_site([]), [[[]]])
    tx = Radio(AntennaArray.ula(32), (0.2, 0.0, 0.0))
    gains = path_gains(paths, plane_site([]), F, dtype=DOUBLE)
    plane = frequency_response(paths, gains, GRID, tx)
    assert worst(frequency_response(paths, gains, GRID, tx, wavefront="spherical"), plane) < 5e-3


def test_near_field_is_said():
    """The far field of 32 half-wave elements at 3.5 GHz begins at 41 m."""
    paths = make_paths([0, 0, 0], [[40.0, 0, 0]], plane_site([]), [[[]]])
    gains = path_gains(paths, plane_site([]), F)
    with pytest.warns(SiteTwinWarning, match=r"40\.0 m .* transmitter's array begins at 41\.2 m"):
        frequency_response(paths, gains, GRID, Radio(AntennaArray.ula(32)))


def test_squint_delays_each_element():
    rng = np.random.default_rng(11)
    paths = free_paths([3, 1], rng)
    tx = Radio(AntennaArray.ula(8), (0.3, 0.2, 0.1))
    rx = Radio(AntennaArray.ula(2), (-0.3, 0.2, 0.1))
    gains = random_gains(paths, rng, tx, rx)
    grid = OfdmGrid(F, 8, 50e6)
    ours = frequency_response(paths, gains, grid, tx, rx, steering="per-subcarrier")
    for i, f in enumerate(grid.frequencies_hz.tolist()):
        scale = f / F  # elements are a little more apart in wavelengths at a higher subcarrier
        at = [Radio(AntennaArray(r.array.positions * scale), r.orientation) for r in (tx, rx)]
        here = written_out(paths, gains, grid, *at)[..., i]
        assert worst(ours[..., i], here) < 1e-9


def test_nodes_across_the_band_meet_every_subcarrier():
    pane = Material("pane", relative_permittivity=6.3, conductivity=0.001, thickness=0.12)
    site = plane_site([((1, 0, 0), 30.0)], [pane])
    paths = make_paths([0, 0, 5], [[5.0, 20, 2], [7.0, 22, 2]], site, [[[], [0]], [[0]]])
    grid = OfdmGrid(F, 32, 400e6 / 32)
    tx = Radio(AntennaArray.ula(2))
    gains = band_nodes(paths, site, F, grid.bandwidth_hz, max_nodes=15, dtype=DOUBLE)
    with_nodes = frequency_response(paths, gains, grid, tx)
    without = frequency_response(paths, path_gains(paths, site, F, dtype=DOUBLE), grid, tx)
    exact = torch.zeros_like(with_nodes)
    for i, f in enumerate(grid.frequencies_hz.tolist()):
        here = path_gains(paths, site, f, phase_frequency_hz=F, dtype=DOUBLE)
        exact[..., i] = frequency_response(paths, here, grid, tx)[..., i]
    assert worst(with_nodes, exact) < 0.012
    assert worst(without, exact) > 0.05
    squint = frequency_response(paths, gains, grid, tx, steering="per-subcarrier")
    assert squint.shape == with_nodes.shape


@pytest.mark.parametrize("dtype", [torch.complex64, DOUBLE])
@pytest.mark.parametrize(("tx", "rx"), RADIOS.values(), ids=RADIOS)
def test_nodes_are_interpolated_path_by_path(tx, rx, dtype):
    """Gains that are one polynomial over the band for each path: each subcarrier has the sum with the gains there."""
    rng = np.random.default_rng(31)
    paths = free_paths([3, 1, 0, 3], rng)
    ports = rx.array.num_ports, tx.array.num_ports
    constant, slope = (random_values(paths, rng, ports) for _ in range(2))
    grid = OfdmGrid(F, 6, 1e6)

    def at(frequency):
        return constant + slope * ((frequency - F) / 3e6) ** 2

    nodes = F + torch.tensor([-2e6, 0.5e6, 3e6], dtype=torch.float64)
    values = torch.stack([at(f) for f in nodes.tolist()]).to(dtype)
    gains = PathGains.of(paths, values, F, tx, rx, nodes_hz=nodes)
    ours = frequency_response(paths, gains, grid, tx, rx)
    theirs = torch.stack(
        [
            written_out(paths, PathGains.of(paths, at(f), F, tx, rx), grid, tx, rx)[..., i]
            for i, f in enumerate(grid.frequencies_hz.tolist())
        ],
        dim=-1,
    )
    assert worst(ours, theirs) < (2e-6 if dtype == torch.complex64 else 1e-12)


@pytest.mark.parametrize("dtype", [torch.complex64, DOUBLE])
@pytest.mark.parametrize("per_user", [True, False])
def test_gradients_flow_into_the_delay_reference(dtype, per_user):
    """Against the derivative ``d/ds e^{j 2 pi f s} = j 2 pi f e^{j 2 pi f s}``, by both routes."""
    rng = np.random.default_rng(32)
    paths = free_paths([2, 3], rng)
    gains, tx = random_gains(paths, rng, dtype=dtype), Radio(AntennaArray.ula(4))
    nanoseconds = torch.full((2,) if per_user else (), 20.0, dtype=torch.float64, requires_grad=True)
    taps = torch.from_numpy(rng.standard_normal((2, 1, 4, 8)))

    def loss(channel):
        return (channel.real * taps + channel.imag * taps.flip(0)).sum()

    over_tones = frequency_response(paths, gains, GRID, tx, delay_reference_s=1e-9 * nanoseconds)
    rate = 2e-9 * math.pi * (GRID.frequencies_hz - F)
    (ours,) = torch.autograd.grad((over_tones.abs() ** 2 + over_tones.real).sum(), nanoseconds)
    theirs = (1j * rate * over_tones.detach()).real.sum(dim=(1, 2, 3))  # turning all tones alike keeps their power
    direct = delay_angle(paths, gains, GRID, tx, num_taps=8, delay_reference_s=1e-9 * nanoseconds)
    (short,) = torch.autograd.grad(loss(direct), nanoseconds)
    over_tones = frequency_response(paths, gains, GRID, tx, delay_reference_s=1e-9 * nanoseconds)
    (long,) = torch.autograd.grad(loss(delay_angle_from_response(over_tones, tx, 8)), nanoseconds)
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if dtype == torch.complex64 else {"rtol": 1e-8, "atol": 1e-10}
    torch.testing.assert_close(ours, theirs if per_user else theirs.sum(), **tolerance)
    torch.testing.assert_close(short, long, **tolerance)


# --- arguments and the loader


def test_misfits_are_said():
    rng = np.random.default_rng(12)
    paths = free_paths([2, 3], rng)
    gains = random_gains(paths, rng)
    tx = Radio(AntennaArray.ula(4))
    for call, says in (
        (lambda: PathGains.of(paths, gains.values[:3], F, tx), "do not fit 5 paths"),
        (lambda: frequency_response(paths, gains, GRID, Radio(AntennaArray.single("iso", "VH"))), "ports"),
        (lambda: frequency_response(paths, gains, GRID, tx, out=torch.empty(2, 1, 4, 9)), "out has shape"),
        (lambda: frequency_response(paths, gains, GRID, tx, tx, wavefront="spherical"), "pass site="),
        (lambda: delay_angle(paths, random_gains(paths, rng, custom_radio()), GRID, custom_radio()), "uniform array"),
        (lambda: delay_angle(paths, gains, GRID, tx, wavefront="spherical"), "no closed form|closed form"),
        (lambda: delay_angle(paths, gains, GRID, tx, num_taps=300), "300 delay taps"),
        (lambda: impulse_response(paths, gains, -1.0, 4), "must be positive"),
        (lambda: OfdmGrid(1e6, 256, 30e3), "does not fit"),
        (lambda: OfdmGrid(F, 0), "at least 1"),
        (lambda: AntennaArray.upa(0, 2), "empty"),
        (lambda: AntennaArray.ula(2, polarisation="X"), "'X' is unknown"),
        (lambda: AntennaArray(torch.tensor([[0.0, math.nan, 0.0]])), "NaN"),
        (lambda: Radio(orientation=torch.zeros(2)), "orientation of shape"),
    ):
        with pytest.raises(SiteTwinError, match=says):
            call()


def test_elements_of_a_planar_array():
    array = AntennaArray.upa(2, 3, vertical_spacing=0.7, polarisation="cross")
    row, column = 1, 2
    assert array.positions[row * 3 + column].tolist() == [0.0, 0.5, -0.35]
    assert array.num_antennas == 12
    assert array.port.tolist() == [0] * 6 + [1] * 6


@pytest.mark.parametrize("kind", ["cfr", "cir", "delay-angle"])
def test_loader_gives_everyone_once(street, kind):
    site, paths, _ = street
    many = paths.select_users(np.tile([0, 1], 25))
    tx = Radio(AntennaArray.ula(4))
    wanted = ChannelRequest(OfdmGrid(F, 64, 1e6), kind, tx)
    loader = ChannelLoader(many, site, wanted, batch_size=8, seed=0)
    assert len(loader) == 7
    seen = torch.full((50,), -1)
    for index, channels in loader:
        assert channels.shape[:3] == (len(index), 1, 4)
        assert torch.equal(channels, loader.channels(index))
        alone = loader.channels(index % 2)
        torch.testing.assert_close(channels, alone)
        seen[index] = 1
    assert bool((seen == 1).all())
    orders = [torch.cat([i for i, _ in loader]) for _ in range(2)]
    assert not torch.equal(*orders)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores: slow, and right
@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_workers_and_ranks_share_the_batches_of_a_loader(street, workers, monkeypatch):
    site, paths, _ = street
    many = paths.select_users(np.tile([0, 1], 25))
    loader = ChannelLoader(many, site, ChannelRequest(OfdmGrid(F, 8, 1e6)), batch_size=8, seed=3)
    orders = []
    for _ in range(2):
        batches = list(DataLoader(loader, batch_size=None, num_workers=workers))
        orders.append(torch.cat([index for index, _ in batches]))
        assert sorted(orders[-1].tolist()) == list(range(50))
        for index, channels in batches[:2]:
            assert torch.equal(channels, loader.channels(index))
    assert not torch.equal(*orders)
    seen = []
    for rank in range(2):
        monkeypatch.setattr(shards, "rank_and_ranks", lambda rank=rank: (rank, 2))
        fresh = ChannelLoader(many, site, loader.request, batch_size=8, seed=3)
        seen += [index for index, _ in DataLoader(fresh, batch_size=None, num_workers=workers)]
    assert sorted(torch.cat(seen).tolist()) == list(range(50))
    with pytest.raises(SiteTwinError, match="seed is -1"):
        ChannelLoader(many, site, loader.request, seed=-1)


def test_loader_routes_what_has_no_closed_form(street):
    site, paths, _ = street
    tx = Radio(AntennaArray.ula(4))
    wanted = ChannelRequest(OfdmGrid(F, 64, 1e6), "delay-angle", tx)
    plain = ChannelLoader(paths, site, wanted, dtype=DOUBLE)
    index = torch.tensor([1, 0])
    whole = ChannelLoader(paths, site, replace(wanted, quantity="cfr"), dtype=DOUBLE)
    by_band = delay_angle_from_response(whole.channels(index), tx)
    assert worst(plain.channels(index), by_band) < 1e-6
    nodes = ChannelLoader(paths, site, replace(wanted, gain_nodes=True), dtype=DOUBLE)
    assert worst(nodes.channels(index), by_band) < 0.1
    curved = ChannelLoader(paths, site, replace(wanted, wavefront="spherical"), dtype=DOUBLE)
    assert 0 < worst(curved.channels(index), by_band) < 0.1
    with pytest.raises(SiteTwinError, match="use quantity='cfr'"):
        replace(wanted, quantity="cir", wavefront="spherical")
    with pytest.raises(SiteTwinError, match=r"0\.\.1"):
        ChannelLoader(paths, site, wanted, users=torch.tensor([2]))


def test_users_are_chosen_by_indices_or_booleans(street):
    site, paths, _ = street
    wanted = ChannelRequest(OfdmGrid(F, 8, 1e6))
    everyone = ChannelLoader(paths, site, wanted)
    chosen = ChannelLoader(paths, site, wanted, users=np.array([False, True]))
    assert chosen.users.tolist() == [1]
    assert torch.equal(chosen.channels(chosen.users), everyone.channels(np.array([1])))
    for users, says in (
        (np.array([True]), "1 booleans choose among 2 users"),
        (np.array([0.0, 1.0]), "whole numbers or booleans"),
        (np.array([-1]), r"0\.\.1"),
        (np.array([[0]]), r"shape \(1, 1\)"),
    ):
        with pytest.raises(SiteTwinError, match=says):
            ChannelLoader(paths, site, wanted, users=users)
        with pytest.raises(SiteTwinError, match=says):
            frequency_response(paths, path_gains(paths, site, F), GRID, users=torch.from_numpy(users))
    with pytest.raises(SiteTwinError, match="3 orientations were given for 2 users"):
        ChannelLoader(paths, site, replace(wanted, rx=Radio(orientation=torch.zeros(3, 3))))
    with pytest.raises(SiteTwinError, match="gains are of paths"):
        ChannelLoader(paths, site, ChannelRequest(GRID, "gains"))


@pytest.mark.parametrize("count", [256.5, 256.0, True, "64"])
def test_subcarriers_are_counted_in_whole_numbers(count):
    grid = OfdmGrid(F, 64)
    object.__setattr__(grid, "num_subcarriers", np.int64(32))  # past the tests' own checks of types
    grid.__post_init__()
    assert type(grid.num_subcarriers) is int
    object.__setattr__(grid, "num_subcarriers", count)
    with pytest.raises(SiteTwinError, match="is not a whole number"):
        grid.__post_init__()


@pytest.mark.parametrize(
    ("choices", "meant"),
    [
        ({"carrier_hz": 3.5e9, "spacing_hz": 30}, "30 kHz"),
        ({"carrier_hz": 3.5e9, "spacing_hz": 15.0}, "15 kHz"),
        ({"carrier_hz": 3.5e9, "spacing_hz": 100 / 256}, "such as 30e3"),
        ({"carrier_hz": 3.5}, "3.5 GHz"),
        ({"carrier_hz": 28}, "28 GHz"),
        ({"carrier_hz": 3500.0}, "3500 MHz"),
    ],
)
def test_frequencies_that_cannot_be_meant_are_asked_about(choices, meant):
    with pytest.raises(SiteTwinError, match=meant):
        OfdmGrid(**choices)
