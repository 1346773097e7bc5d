"""Coders that know no site: laws of matching pursuit and of enhanced Type II, and a report computed by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.channel import OfdmGrid, Radio
from sitetwin.errors import SiteTwinError
from sitetwin.learn import CellCodec, CellLink, nmse, sgcs, to_db
from sitetwin.learn.cell.generic.bit_fields import (
    combination_numbers,
    combinations_of,
    pack_fields,
    read_field,
    unpack_bits,
)
from sitetwin.learn.cell.generic.etype2 import EnhancedType2Coder, etype2
from sitetwin.learn.cell.generic.etype2_tables import DIFFERENTIAL, REFERENCE, Sizes, fitting_sizes
from sitetwin.learn.cell.generic.omp import fit_omp
from sitetwin.learn.cell.methods import METHODS

TAPS, ANTENNAS = 20, 16
SITELESS = [name for name, method in METHODS.items() if not method.learns and name in ("omp", "etype2")]


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _path_matrices(users: int, paths: int = 4, seed: int = 0) -> torch.Tensor:
    """(users, taps, beams) of unit norm: plane waves at a linear array, at any delays."""
    rng = _rng(seed)
    delay = torch.rand(users, paths, generator=rng) * (TAPS - 8) + 2
    cosine = torch.rand(users, paths, generator=rng) * 2 - 1
    gain = torch.randn(users, paths, generator=rng, dtype=torch.complex64) * 10 ** (-torch.arange(paths) * 0.3)
    taps = torch.sinc(torch.arange(TAPS)[:, None] - delay[:, None]).to(torch.complex64)
    waves = torch.exp(1j * math.pi * torch.arange(ANTENNAS)[:, None] * cosine[:, None])
    beams = torch.fft.fftshift(torch.fft.fft(waves, dim=1), dim=1)
    x = torch.einsum("utp,ubp,up->utb", taps, beams, gain)
    return x / x.flatten(1).norm(dim=1)[:, None, None]


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return _path_matrices(40)


@pytest.mark.parametrize("name", SITELESS)
@pytest.mark.parametrize("bits", [64, 160])
def test_reports_keep_within_their_bits_and_more_bits_serve_better(name: str, bits: int, x: torch.Tensor) -> None:
    coder = METHODS[name].fit(x, bits, _rng())
    payload, used = coder.encode(x)
    assert used.max() <= bits
    assert len(payload) == ((used + 7) // 8).sum()
    error = nmse(x, coder.decode(payload, used)).mean()
    assert error < 0.7
    assert nmse(x, METHODS[name].fit(x, 2 * bits, _rng()).recovered(x)).mean() < error


@pytest.mark.parametrize("name", SITELESS)
def test_a_common_phase_comes_back_and_a_gain_changes_no_bit(name: str, x: torch.Tensor) -> None:
    coder = METHODS[name].fit(x, 128, _rng())
    payload, bits = coder.encode(x)
    found = coder.decode(payload, bits)
    turn = torch.tensor(np.exp(2j * np.pi / 8), dtype=torch.complex64)  # a step of every quantiser of phases
    assert torch.allclose(coder.recovered(x * turn), found * turn, atol=1e-5)
    if name == "etype2":  # amplitudes are relative
        assert np.array_equal(coder.encode(3 * x)[0], payload)


def test_single_atoms_return_to_quantiser_accuracy() -> None:
    """Channels of the dictionary itself: what is left is half a step of amplitude and of phase."""
    rng = _rng(3)
    x = torch.zeros(60, 8, 8, dtype=torch.complex64)
    for user in range(60):
        places = torch.randperm(64, generator=rng)[:3]
        x[user].view(-1)[places] = torch.randn(3, dtype=torch.complex64, generator=rng)
    x /= x.flatten(1).norm(dim=1)[:, None, None]
    coder = fit_omp(x, 64, rng)
    assert coder.sizes.atoms >= 3
    assert to_db(nmse(x, coder.recovered(x)).mean()) < -17


@pytest.mark.parametrize(("rows", "columns", "ports"), [(1, 16, 1), (4, 4, 1), (4, 4, 2)])
def test_a_wave_on_a_turned_beam_is_recovered_exactly(rows: int, columns: int, ports: int) -> None:
    """One beam of the oversampled grid, one delay, phases of the 16-PSK: no error is left, for any array."""
    row = torch.arange(rows)[:, None] * 3 / (4 * rows)
    column = torch.arange(columns) * 5 / (4 * columns)
    wave = torch.exp(2j * math.pi * (row + column if rows > 1 else column.expand(1, -1)))
    both = torch.stack([wave, 0.5 * torch.exp(torch.tensor(1j * math.pi / 4)) * wave])[:ports]
    spectrum = torch.fft.fftshift(torch.fft.fft2(both), dim=(-2, -1)).reshape(-1)
    x = torch.zeros(1, TAPS, ports * rows * columns, dtype=torch.complex64)
    x[0, 7] = spectrum / spectrum.norm() * np.exp(2j * np.pi * 3 / 16)
    coder = etype2(rows, columns, ports)(x, 160, _rng())
    assert float(nmse(x, coder.recovered(x))) < 1e-9
    assert float(sgcs(x, coder.recovered(x), TAPS)) == pytest.approx(1, abs=1e-5)


def test_a_report_computed_by_hand() -> None:
    """Four antennas, eight units, combination 2: L = 2 beams, M = 2 delays, K0 = 2 coefficients, 28 bits.

    The channel is beam 0 of the first rotation at delay 3, and beam 2 of it at delay 5 with half the amplitude and a
    quarter turn.
    """
    sizes = Sizes(ports=1, rows=1, columns=4, units=8, combination=2, per_subband=1, most=2)
    assert (sizes.beams, sizes.delays, sizes.standard_most, sizes.bits(2)) == (2, 2, 2, 28)
    antennas = np.arange(4)
    first = np.exp(2j * np.pi * antennas * (0 + 1 / 4) / 4)
    second = np.exp(2j * np.pi * antennas * (2 + 1 / 4) / 4)
    x = np.zeros((1, 8, 4), complex)
    x[0, 3] = np.fft.fftshift(np.fft.fft(first))
    x[0, 5] = np.fft.fftshift(np.fft.fft(0.5j * second))
    x /= np.linalg.norm(x)
    coder = EnhancedType2Coder(sizes, 28)
    matrices = torch.from_numpy(x.astype(np.complex64))
    payload, bits = coder.encode(matrices)
    told = "".join(map(str, np.unpackbits(payload)))
    wanted = [
        ("rotation 1 of 4", "01"),
        ("beams 0 and 2: C(0, 1) + C(2, 2) = 1", "001"),
        ("delay of the strongest: 3", "011"),
        ("delay 2 behind it, number 1 of the seven others", "001"),
        ("two coefficients", "1"),
        ("phase of the strongest: 0", "0000"),
        ("bitmap, beam by beam", "1001"),
        ("the first is the strongest", "0"),
        ("half the amplitude: 2^(-(7 - 5) / 2)", "101"),
        ("a quarter turn: 4 of 16", "0100"),
    ]
    assert told[: bits[0]] == "".join(one for _, one in wanted)
    assert float(nmse(matrices, coder.decode(payload, bits))) < 1e-10


def test_the_tables_are_those_of_the_standard() -> None:
    """Steps of 1.5 dB for the reference, 3 dB within a polarisation; eight combinations."""
    assert np.allclose(REFERENCE[[0, 7, 14]], [1 / math.sqrt(128), (1 / 128) ** 0.25, 1])
    assert np.allclose(DIFFERENTIAL[[0, 4, 7]], [1 / (8 * math.sqrt(2)), 1 / (2 * math.sqrt(2)), 1])
    assert {one.combination for one in fitting_sizes(1, 1, 32, 32, 1000)} == set(range(1, 9))


def test_too_few_bits_and_foreign_reports_are_refused(x: torch.Tensor) -> None:
    with pytest.raises(SiteTwinError, match="fits into 20 bits"):
        etype2()(x, 20, _rng())
    with pytest.raises(SiteTwinError, match="no room for one atom"):
        fit_omp(x, 8, _rng())
    with pytest.raises(SiteTwinError, match="more than the 1024 atoms"):
        fit_omp(torch.ones(1, 40, 32, dtype=torch.complex64), 40_000, _rng())
    with pytest.raises(SiteTwinError, match="is not that of 16 beams"):
        etype2(3, 5, 1)(x, 128, _rng())
    coder = etype2()(x, 128, _rng())
    payload, bits = coder.encode(x[:1])
    with pytest.raises(SiteTwinError, match="user 0 is none of"):
        coder.decode(payload, bits - 1)
    with pytest.raises(SiteTwinError, match="user 0 is none of"):
        coder.decode(payload[:2], np.array([16]))
    omp = fit_omp(x, 128, _rng())
    with pytest.raises(SiteTwinError, match="bits"):
        omp.decode(payload, bits - 1)
    with pytest.raises(SiteTwinError, match="learns nothing"):
        omp.update(x, _rng())
    with pytest.raises(SiteTwinError, match="no graph"):
        coder.encoder_graph()


def test_a_dual_polarised_panel_is_told_from_its_link_and_survives_a_file(tmp_path) -> None:
    grid, radio = OfdmGrid(3.5e9, 32, 120e3), Radio("upa:2x4", polarisation="cross")
    link = CellLink.of_radio(radio, grid, 16)
    rng = np.random.default_rng(1)
    h = rng.normal(size=(30, 16, 16)) + 1j * rng.normal(size=(30, 16, 16))
    axes = ("user", "delay", "angle")
    codec = CellCodec("etype2", 96).fit(h, axes=axes, link=link)
    assert codec.coder.sizes.ports == 2
    assert codec.coder.sizes.rows == 2
    codec.save(tmp_path / "cell.codec")
    again = CellCodec.load(tmp_path / "cell.codec")
    assert np.array_equal(again.decode(codec.encode(h, axes=axes)), codec.decode(again.encode(h, axes=axes)))
    omp = CellCodec("omp", 96).fit(h, axes=axes, link=link)
    omp.save(tmp_path / "omp.codec")
    assert CellCodec.load(tmp_path / "omp.codec").score(h, axes=axes) == pytest.approx(omp.score(h, axes=axes))


def test_a_table_of_matrices_serves_others_than_its_own() -> None:
    """Its own matrices all have the gain 1: a quantiser fitted to these alone would know no other gain."""
    x = _path_matrices(300, paths=1)
    coder = METHODS["lookup"].fit(x[:250], 128, _rng())
    assert (nmse(x[250:], coder.recovered(x[250:])) <= 1 + 1e-4).all()


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_fields_of_bits_come_back(data: st.DataObject) -> None:
    users, fields = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 6))
    cells = st.lists(st.integers(0, 62), min_size=fields, max_size=fields)
    widths = np.array([data.draw(cells) for _ in range(users)])
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    numbers = rng.integers(0, 1 << 62, widths.shape) & ((1 << widths) - 1)
    payload, bits = pack_fields(numbers, widths)
    assert (bits == widths.sum(1)).all()
    told = unpack_bits(payload, bits)
    for user in range(users):
        begin = 0
        for field in range(fields):
            assert read_field(told[user : user + 1], begin, int(widths[user, field]))[0] == numbers[user, field]
            begin += int(widths[user, field])
    with pytest.raises(SiteTwinError, match="does not fit"):
        pack_fields(1 << widths, widths)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 32), st.integers(0, 6), st.integers(0, 999))
def test_choices_have_numbers_and_come_back(of: int, size: int, seed: int) -> None:
    size = min(size, of)
    chosen = np.sort(np.random.default_rng(seed).permuted(np.tile(np.arange(of), (5, 1)), axis=1)[:, :size], axis=1)
    numbers = combination_numbers(chosen)
    assert ((numbers >= 0) & (numbers < math.comb(of, size))).all()
    assert np.array_equal(combinations_of(numbers, of, size), chosen)
    with pytest.raises(SiteTwinError, match="no such choice"):
        combinations_of(np.array([math.comb(of, size)]), of, size)
