"""Reports of zones, free paths and coefficients: laws of their bits, their errors and their refusals."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from tests.learn.cell.conftest import AXES, GRID, LINK

from sitetwin.channel import AntennaArray, Radio
from sitetwin.errors import SiteTwinError
from sitetwin.learn import CellCodec, CellLink, Reports, export_onnx, nmse
from sitetwin.learn.cell.codec_file import content_hash
from sitetwin.learn.cell.hybrid_coder import HybridCoder
from sitetwin.learn.csi.data import to_complex, to_real
from sitetwin.learn.csi.hybrid.fitting import fit_model
from sitetwin.learn.csi.hybrid.frequencies import coefficient_tables, cumulative, lengths
from sitetwin.learn.csi.hybrid.model import HybridConfig
from sitetwin.learn.csi.hybrid.range_coder import begin, begin_reading, code, code_flat, finish
from sitetwin.learn.csi.hybrid.references import Pose, parts_of, placed, resolved, staged, together, turned
from sitetwin.learn.csi.hybrid.report import (
    EACH,
    FIRST,
    LARGEST,
    PATHS,
    STEP,
    STEPS,
    ZONE,
    bits_of_bin,
    cells_of,
    phases_of,
    read_reports,
    step_of,
    surroundings,
    top_of,
    write_reports,
)
from sitetwin.learn.csi.hybrid.waves import Waves, kernel

METHODS = ("hybrid", "hybrid-light", "klt-entropy", "paths")


@pytest.fixture(scope="module")
def codecs(channels):
    return {name: CellCodec(name, bits=96).fit(channels, axes=AXES, link=LINK) for name in METHODS}


@settings(deadline=None, max_examples=60)
@given(some.data())
def test_symbols_come_back_from_bits_alone_and_no_bit_is_lost(data):
    rng = np.random.default_rng(data.draw(some.integers(0, 2**32)))
    sizes = data.draw(some.lists(some.integers(1, 40), min_size=1, max_size=40))
    length = data.draw(some.integers(1, 200))
    edges = [cumulative(rng.random(size) ** 4 + 1e-9) if size % 3 else None for size in sizes]
    symbols = [int(rng.integers(size)) for size in sizes]
    report, state = np.zeros((length + 7) // 8, np.uint8), np.zeros(5, np.int64)
    begin(state, length)
    bits = 0.0
    for size, symbol, known in zip(sizes, symbols, edges, strict=True):
        if known is None:
            code_flat(state, report, False, size, symbol)
        else:
            code(state, report, False, known, symbol)
        bits += np.log2(size) if known is None else float(lengths(known)[symbol])
    fits = finish(state, report)
    assert fits or bits > length - 0.02
    if fits:
        begin_reading(state, length, report)
        for size, symbol, known in zip(sizes, symbols, edges, strict=True):
            found = code_flat(state, report, True, size, 0) if known is None else code(state, report, True, known, 0)
            assert found == symbol


def test_a_path_is_a_real_matrix_of_rank_one():
    turns, delay = 0.213, 3.37
    response = np.exp(-2j * np.pi * GRID.index.numpy() * delay / 64)[:, None] * np.exp(
        2j * np.pi * turns * np.arange(16)
    )
    x = LINK.beams(LINK.taps_of(torch.from_numpy(response[None].astype(np.complex64))))
    y = Waves(12, 16, 64, 0).turned(x)[0].numpy()
    d, b = np.zeros((3, 12)), np.zeros((3, 16))
    kernel(delay, 64, *d)
    kernel(16 * turns + 8, 16, *b)
    wave = d[0][:, None] * b[0]
    gain = (wave * y).sum() / (wave * wave).sum()
    assert np.abs(y - gain * wave).max() < 1e-5 * np.abs(y).max()


@settings(deadline=None, max_examples=50)
@given(place=some.floats(-3, 19), size=some.integers(19, 300))
def test_slopes_of_kernels_are_those_of_differences(place, size):
    here, after, before = (np.zeros((3, 16)) for _ in range(3))
    for where, out in ((place, here), (place + 1e-4, after), (place - 1e-4, before)):
        kernel(where, size, *out)
    assert np.abs((after[0] - before[0]) / 2e-4 - here[1]).max() < 1e-6
    assert np.abs((after[1] - before[1]) / 2e-4 - here[2]).max() < 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_reports_are_within_their_bits_and_say_what_the_search_found(codecs, others, method):
    codec = codecs[method]
    x = codec.matrices(others, axes=AXES).csi.x
    payload, bits = codec.coder.encode(x)
    assert set(bits.tolist()) == {96}
    assert len(payload) == 12 * len(x)
    found = nmse(x, codec.coder.decode(payload, bits)).numpy()
    assert found == pytest.approx(codec.coder.model.searched(x)[1], abs=2e-5)


@pytest.mark.parametrize("method", METHODS)
def test_more_bits_are_never_worse_in_the_mean(channels, others, method):
    errors = [
        CellCodec(method, bits=bits).fit(channels, axes=AXES, link=LINK).errors(others[:60], axes=AXES).mean()
        for bits in (40, 80, 160)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_a_matrix_of_one_path_comes_back_to_the_rounding(codecs):
    rng = np.random.default_rng(1)
    delay, turns, phase = rng.uniform(1, 10, 40), rng.uniform(-0.45, 0.45, 40), rng.uniform(0, 6.28, 40)
    band = np.exp(-2j * np.pi * GRID.index.numpy() * delay[:, None] / 64)
    array = np.exp(2j * np.pi * turns[:, None] * np.arange(16) + 1j * phase[:, None])
    errors = codecs["paths"].errors((array[:, :, None] * band[:, None]).astype(np.complex64), axes=AXES)
    assert errors.max() < 1e-3
    assert np.median(errors) < 2e-4


@pytest.mark.parametrize("method", METHODS)
def test_a_common_phase_changes_no_error(codecs, others, method):
    coder = codecs[method].coder
    x = codecs[method].matrices(others[:40], axes=AXES).csi.x
    turned = x * torch.polar(torch.ones(40), torch.linspace(0, 6, 40))[:, None, None]
    mine, theirs = nmse(x, coder.recovered(x)).mean(), nmse(turned, coder.recovered(turned)).mean()
    assert float(theirs) == pytest.approx(float(mine), rel=0.1)  # the phases are rounded elsewhere


@pytest.mark.parametrize("method", METHODS)
def test_damaged_reports_are_those_of_other_matrices(codecs, method):
    coder = codecs[method].coder
    payload = np.random.default_rng(0).integers(0, 256, 12 * 200).astype(np.uint8)
    found = coder.decode(payload, np.full(200, 96))
    assert bool(torch.isfinite(torch.view_as_real(found)).all())
    with pytest.raises(SiteTwinError, match=r"the report of user 1 has 95 bits, and one of this codec has 96"):
        coder.decode(payload[:24], np.array([96, 95]))


def test_the_site_helps(codecs, others):
    scores = {name: codec.score(others, axes=AXES) for name, codec in codecs.items()}
    assert min(scores["hybrid"], scores["hybrid-light"]) > max(scores["paths"], scores["klt-entropy"]) + 1


def test_a_turned_array_is_found_and_followed(codecs, others):
    old, turn = codecs["hybrid"], 0.03
    waves, x = old.coder.model.waves, old.matrices(others, axes=AXES).csi.x
    paths = resolved(old.coder.model.task, waves, waves.turned(x))
    there = dataclasses.replace(paths, places=placed(waves, paths.places, Pose(turn, 0.2)))
    world = waves.turned_back(together(waves, there))
    world = (world / torch.linalg.vector_norm(world, dim=(1, 2), keepdim=True)).numpy()
    axes = ("user", "delay", "angle")
    new = old.update(world[:60], 40, "random", axes=axes)
    assert new.coder.pose.turn == pytest.approx(turn, abs=0.004)
    assert new.coder.pose.delay == pytest.approx(0.2, abs=0.05)
    assert new.score(world[60:], axes=axes) > old.score(world[60:], axes=axes)


def test_few_matrices_tell_no_heading(codecs, others):
    """One matrix lies over some reference of the twin under many poses."""
    x = codecs["hybrid"].matrices(others, axes=AXES).csi.x.numpy()
    new = codecs["hybrid"].update(x[:19], 19, "random", axes=("user", "delay", "angle"))
    assert new.coder.pose == Pose()


def test_paths_put_together_are_the_matrix(codecs, others):
    model = codecs["hybrid"].coder.model
    x = model.waves.turned(codecs["hybrid"].matrices(others, axes=AXES).csi.x)
    paths = resolved(model.task, model.waves, x)
    assert torch.allclose(together(model.waves, paths), x, atol=1e-5)
    assert float(paths.left.abs().square().sum(dim=(1, 2)).mean()) < 0.02


def test_noise_at_the_user_breaks_nothing(codecs, others):
    clean = codecs["hybrid"].matrices(others, axes=AXES).csi.x
    noise = torch.randn(clean.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    noisy = clean + noise * (0.1 / (clean.shape[1] * clean.shape[2])) ** 0.5  # 10 dB
    found = {name: nmse(clean, codec.coder.recovered(noisy)).mean() for name, codec in codecs.items()}
    assert found["hybrid"] < min(0.1, found["klt-entropy"], found["paths"])


def test_costs_of_the_light_codec_are_far_below_those_of_the_full_one(codecs):
    full, light = (codecs[name].facts() for name in ("hybrid", "hybrid-light"))
    assert light["bytes_ue"] < full["bytes_ue"]
    assert light["multiply_adds_ue"] < full["multiply_adds_ue"]
    assert (light["zones"], light["references"]) == (0, full["references"])


@pytest.mark.parametrize("method", METHODS)
def test_a_codec_survives_its_file(codecs, others, method, tmp_path):
    codec = codecs[method]
    codec.save(tmp_path / "a.codec")
    again = CellCodec.load(tmp_path / "a.codec")
    assert (again.hash, again.bits, again.facts()) == (codec.hash, 96, codec.facts())
    reports = codec.encode(others, axes=AXES)
    assert np.array_equal(again.encode(others, axes=AXES).payload, reports.payload)
    assert np.array_equal(again.decode(reports).values, codec.decode(reports).values)


def test_an_update_knows_measured_channels_and_refuses_older_reports(codecs, others):
    old = codecs["hybrid"]
    new = old.update(others[:60], 40, axes=AXES)
    assert new.score(others[60:], axes=AXES) > old.score(others[60:], axes=AXES) - 0.5
    reports = old.encode(others[60:], axes=AXES)
    with pytest.raises(SiteTwinError, match=r"of version 1 of this codec, and this is version 2"):
        new.decode(Reports(reports.payload, reports.bits, reports.codec, reports.version))
    with pytest.raises(SiteTwinError, match=r"codec of paths knows no site"):
        codecs["paths"].update(others[:60], 40, axes=AXES)


def test_too_few_bits_and_planar_arrays_are_refused(channels):
    with pytest.raises(SiteTwinError, match=r"3 bits are too few for a report of this method; give at least"):
        CellCodec("paths", bits=3).fit(channels, axes=AXES, link=LINK)
    planar = CellLink.of_radio(Radio("upa:2x8"), GRID, taps=12)
    with pytest.raises(SiteTwinError, match=r"knows linear arrays of one polarisation, and this one is upa:2x8"):
        CellCodec("hybrid").fit(channels, axes=AXES, link=planar)


def altered(codec, model, path):
    """A file of the codec with another model, whose hash is right."""
    other = copy.copy(codec)
    other._coder = HybridCoder(model, codec.coder.twin, codec.coder.measured)
    other._hash = content_hash(*other._content())
    other.save(path)
    return path


def test_tables_of_a_file_are_checked(codecs, tmp_path):
    model = codecs["hybrid"].coder.model
    wrong = model.tables.places.copy()
    wrong[5] = wrong[4]
    model = dataclasses.replace(model, tables=model.tables._replace(places=wrong))
    with pytest.raises(SiteTwinError, match=r"the frequencies places are none"):
        CellCodec.load(altered(codecs["hybrid"], model, tmp_path / "wrong.codec"))


def test_weights_of_places_beside_paths_in_a_file_are_checked(codecs, others, tmp_path):
    model = codecs["hybrid"].coder.model
    wrong = model.tables.around.copy()
    wrong[5, 3] = -1
    altered_model = dataclasses.replace(model, tables=model.tables._replace(around=wrong))
    with pytest.raises(SiteTwinError, match=r"its weights of places are none"):
        CellCodec.load(altered(codecs["hybrid"], altered_model, tmp_path / "wrong.codec"))


@settings(deadline=None, max_examples=30)
@given(seed=some.integers(0, 2**32))
def test_a_bin_beside_earlier_paths_comes_back_and_takes_the_bits_that_are_counted(codecs, seed):
    """Any places, also those that no path of the twin has: paths of no reference, of which the second is counted."""
    rng, model = np.random.default_rng(seed), codecs["hybrid"].coder.model
    waves, tables = model.waves, model.tables
    around = rng.integers(0, 1 << 9, (2 * waves.delay_bins - 1, waves.angle_bins)) * (rng.random() < 0.8)
    tables = tables._replace(**surroundings(around.astype(np.int64)))
    symbols = np.tile(model.silence, (2, 1))
    symbols[:, 2] = (1, 2)
    for path in range(2):
        at = FIRST + EACH * path
        symbols[path:, at : at + EACH] = 1, 8, rng.integers(waves.delay_bins), rng.integers(waves.angle_bins), 0
    reports, found = np.zeros((2, 32), np.uint8), np.zeros_like(symbols)
    assert write_reports(tables, symbols, 256, reports).all()
    read_reports(tables, reports, 256, found)
    assert (found == symbols).all()
    at = FIRST + EACH
    shares = [
        2.0 ** -bits_of_bin(tables, symbols[1], 1, delay, angle)
        for delay in range(waves.delay_bins)
        for angle in range(waves.angle_bins)
    ]
    assert sum(shares) == pytest.approx(1, abs=1e-6)


def test_a_path_beside_earlier_ones_is_cheaper_than_anywhere(codecs, others):
    """The law that the tables learn: what a reference lacks lies near the paths that were told."""
    model = codecs["hybrid"].coder.model
    bare = dataclasses.replace(model, tables=model.tables._replace(**surroundings(model.tables.around[:0])))
    x = codecs["hybrid"].matrices(others, axes=AXES).csi.x
    assert model.searched(x)[1].mean() < bare.searched(x)[1].mean() * 1.02


def test_a_codec_that_knew_no_such_weights_is_read(codecs, others, tmp_path):
    codec = codecs["hybrid"]
    tables = codec.coder.model.tables
    older = dataclasses.replace(codec.coder.model, tables=tables._replace(**surroundings(tables.around[:0])))
    again = CellCodec.load(altered(codec, older, tmp_path / "older.codec"))
    assert again.score(others[:40], axes=AXES) > 0


@pytest.mark.parametrize(
    ("config", "waves", "why"),
    [
        ({"members": 0}, {}, "its settings are out of range"),
        ({"floor": 0.0}, {}, "its settings are out of range"),
        ({"zones": -1}, {}, "its settings are out of range"),
        ({}, {"spacing": 0.0}, "its settings are out of range"),
        ({}, {"subcarriers": 1 << 30}, "its taps are not those of its subcarriers"),
        ({}, {"first_tap": 1000}, "its taps are not those of its subcarriers"),
    ],
)
def test_settings_of_a_file_are_checked(codecs, tmp_path, config, waves, why):
    model = codecs["paths"].coder.model
    there = {"config": (model.config, config), "waves": (model.waves, waves)}
    model = dataclasses.replace(model, **{name: dataclasses.replace(one, **new) for name, (one, new) in there.items()})
    with pytest.raises(SiteTwinError, match=why):
        CellCodec.load(altered(codecs["paths"], model, tmp_path / "wrong.codec"))


def test_frequencies_that_another_machine_or_version_computes_are_refused(codecs, tmp_path, monkeypatch):
    codecs["paths"].save(tmp_path / "a.codec")
    edges, points = coefficient_tables()
    edges[3, 100] += 1
    monkeypatch.setattr("sitetwin.learn.csi.hybrid.model.coefficient_tables", lambda: (edges, points))
    with pytest.raises(SiteTwinError, match=r"this version or machine computes other frequencies"):
        CellCodec.load(tmp_path / "a.codec")


def test_the_largest_amplitude_is_known_by_whole_numbers():
    for step in range(STEPS):
        most = int(top_of(step))
        assert most == LARGEST or (most - 1) ** 4 <= 81 * 2**step < most**4


def test_reports_and_grids_beyond_what_a_file_may_hold_are_refused(channels):
    with pytest.raises(SiteTwinError, match=r"at most 16,384 bits, and 20,000 were asked for"):
        CellCodec("paths", bits=20_000).fit(channels, axes=AXES, link=LINK)
    with pytest.raises(SiteTwinError, match=r"2048 delay taps of 128 beams are too many places for paths"):
        fit_model(HybridConfig(), Waves(2048, 128, 4096, 0), 96, torch.zeros(1, 1, 1) + 0j, torch.Generator())


@settings(deadline=None, max_examples=50)
@given(spacing=some.floats(0.2, 0.6), angle=some.floats(-0.9, 0.9))
def test_beams_of_a_turned_array_follow_its_spacing(spacing, angle):
    def beam(direction):
        return 8 + 16 * spacing * np.sin(direction)

    found = turned(Waves(12, 16, 64, 0, spacing), np.array([beam(angle)]), 1e-4)[0]
    assert found - beam(angle) == pytest.approx(beam(angle + 1e-4) - beam(angle), abs=2e-7)


@pytest.mark.parametrize(("spacing", "posed"), [(0.4, True), (0.5, True), (1.0, False)])
def test_a_heading_is_told_where_beams_tell_directions(channels, others, spacing, posed, monkeypatch):
    monkeypatch.setattr("sitetwin.learn.csi.hybrid.fitting.pose_of", lambda *_: Pose(0.01, 0.1))
    link = CellLink.of_radio(Radio(AntennaArray.ula(16, spacing=spacing)), GRID, taps=12)
    codec = CellCodec("hybrid-light", bits=96).fit(channels[:60], axes=AXES, link=link)
    assert codec.coder.model.waves.spacing == spacing
    assert codec.update(others[:20], 10, "random", axes=AXES).facts()["turn_deg"] == (0.573 if posed else 0)


@pytest.mark.parametrize("name", METHODS)
def test_graphs_begin_the_search_and_end_the_decoding(codecs, others, name):
    coder, x = codecs[name].coder, codecs[name].matrices(others, axes=AXES).csi.x
    model, graph = coder.model, coder.encoder_graph()
    found = dict(zip(graph.outputs, graph.module(to_real(x)), strict=True))
    flat = model.waves.turned(x).flatten(1)
    assert ("index" in found, "strongest" in found) == (len(model.zones.bases) > 0, model.config.paths > 0)
    if "index" in found:
        coordinates = model.zones.coordinates(flat)
        near = model.zones.nearest(coordinates, model.config.chosen, 1)[:, 0]
        assert float((near == found["index"]).double().mean()) > 0.99
        inside = torch.einsum("uf,ufr->ur", coordinates, model.zones.bases[found["index"]].conj())
        values = torch.view_as_complex(found["values"].unflatten(1, (-1, 2)).contiguous())
        assert float((values - inside).abs().max()) < 1e-5
    if "strongest" in found:
        first = staged(model.task, parts_of(flat[:, None]), 1).place[:, 0, 0]
        bins = found["strongest"].numpy()
        delay = (bins // model.waves.angle_bins + 0.5) / 2 - 2
        angle = (bins % model.waves.angle_bins + 0.5) / 2
        aside = np.abs(first[:, 1] - angle)
        assert np.abs(first[:, 0] - delay).max() < 0.6  # two steps of a quarter from the bin's centre
        assert np.minimum(aside, model.waves.beams - aside).max() < 0.6
    symbols, _ = model.searched(x)
    assert float((to_complex(recovered_by_the_graph(coder, symbols)) - model.rebuilt(symbols)).abs().max()) < 1e-5


def recovered_by_the_graph(coder, symbols):
    """What the decoder's graph makes of the symbols of reports."""
    model, given = coder.model, {}
    most = model.config.paths
    places, gains = np.zeros((len(symbols), most, 2)), np.zeros((len(symbols), most), complex)
    for user, one in enumerate(symbols):
        for path in range(one[PATHS]):
            q, _, delay, angle, phase = one[FIRST + EACH * path : FIRST + EACH * (path + 1)]
            places[user, path] = (np.array([delay, angle]) + 0.5) / cells_of(q) / 2 - [2, 0]
            gains[user, path] = q * step_of(one[STEP]) * np.exp(2j * np.pi * phase / phases_of(q))
    given["places"] = torch.from_numpy(places).float()
    given["gains"] = torch.view_as_real(torch.from_numpy(gains).to(torch.complex64))
    given["values"] = torch.view_as_real(torch.from_numpy(model.coefficients_of(symbols))).flatten(1)
    given["index"] = torch.from_numpy(symbols[:, ZONE])
    graph = coder.decoder_graph()
    return graph.module(*(given[name] for name in graph.inputs))


@pytest.mark.slow  # seconds a codec
@pytest.mark.parametrize("name", METHODS)
def test_onnxruntime_gives_what_the_graphs_give(codecs, name, tmp_path):
    checks = export_onnx(codecs[name], tmp_path / "onnx")
    exact = [checks[file] for file in ("encoder.onnx", "decoder.onnx")]
    assert all(one.same_index >= 0.999 and one.largest_error <= 1e-5 for one in exact)
    assert checks["encoder_int8.onnx"].loss_db < -15
