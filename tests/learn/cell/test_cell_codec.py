"""The codec of a cell: a law for each step, versions, and one sentence for each thing that it refuses."""

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as some
from tests.learn.cell.conftest import AXES, GRID, LINK, RADIO, cell_channels

from sitetwin.channel import Radio
from sitetwin.channel.synthesis.delay_angle import delay_angle_from_response
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.learn import Budget, CellCodec, CellLink, GlobalKltCodec, KltCodec, KltConfig, MeanCodec, Reports
from sitetwin.learn.cell.matrices import different, matrices_of, named
from sitetwin.learn.cell.reports import pack, unpack


def matrices(h, axes=AXES, link=LINK):
    return matrices_of(named(h, axes), link).csi


def test_matrices_are_those_of_the_channel_room(others):
    cfr = torch.from_numpy(others)[:, None]
    expected = delay_angle_from_response(cfr, RADIO, LINK.taps)[:, 0].transpose(1, 2)
    assert torch.allclose(matrices(others).restore(), expected, atol=1e-6)


def test_planar_arrays_with_two_polarisations_turn_as_the_channel_room_turns_them():
    radio = Radio("upa:2x4:VH")
    link = CellLink.of_radio(radio, GRID, taps=64)
    h = torch.randn(3, 16, 64, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    expected = delay_angle_from_response(h[:, None], radio, 64)[:, 0].transpose(1, 2)
    found = matrices(h.numpy(), link=link).restore()
    assert torch.allclose(found, expected, atol=1e-5)
    back = link.subcarriers_of(link.antennas_of(found)).transpose(1, 2)
    assert torch.allclose(back, h, atol=1e-5)


@pytest.mark.parametrize("order", [("subcarrier", "antenna", "user"), ("antenna", "time", "frequency")])
def test_axes_may_stand_in_any_order_and_under_their_usual_names(others, order):
    names = {
        "user": "user",
        "time": "user",
        "antenna": "antenna",
        "subcarrier": "subcarrier",
        "frequency": "subcarrier",
    }
    turned = np.transpose(others, [AXES.index(names[name]) for name in order])
    assert torch.equal(matrices(turned, order).x, matrices(others).x)


def test_real_and_imaginary_parts_are_an_axis(others):
    parts = np.stack([others.real, others.imag], axis=1)
    assert torch.equal(matrices(parts, ("user", "re_im", "antenna", "subcarrier")).x, matrices(others).x)


def test_a_square_array_is_never_guessed():
    h = np.zeros((5, 16, 16), np.complex64)
    with pytest.raises(SiteTwinError, match=r"does not say which axis is which"):
        named(h)


def test_what_is_recovered_is_close_and_of_unit_norm(codec, others):
    reports = codec.encode(others, axes=AXES)
    assert set(reports.bits.tolist()) == {128}
    found = codec.decode(reports, axes=AXES)
    assert found.dims == AXES
    truth = codec.matrices(others, axes=AXES).csi.x
    response = np.fft.fft(np.fft.ifft(np.fft.ifftshift(others, axes=2), axis=2)[..., : LINK.taps], n=64, axis=2)
    ours = np.fft.ifftshift(found.values, axes=2)
    overlap = np.abs((ours.conj() * response).sum((1, 2))) ** 2
    overlap /= (np.abs(ours) ** 2).sum((1, 2)) * (np.abs(response) ** 2).sum((1, 2))
    error = 1 - overlap.mean()
    assert codec.score(others, axes=AXES) > 8
    assert error < 10 ** (-codec.score(others, axes=AXES) / 10) * 1.1  # the best phase and gain can only help
    whole = codec.decode(reports)
    assert whole.dims == ("user", "delay", "angle")
    direct = torch.from_numpy(whole.values)
    assert float((direct - truth).abs().square().sum() / len(truth)) == pytest.approx(
        10 ** (-codec.score(others, axes=AXES) / 10), rel=1e-4
    )


def test_more_bits_tell_more(channels, others):
    scores = [CellCodec(bits=bits).fit(channels, axes=AXES, link=LINK).score(others, axes=AXES) for bits in (64, 256)]
    assert scores[1] > scores[0] + 3


def test_the_bits_are_those_of_the_codec_and_its_quantiser(codec, others):
    x = codec.matrices(others, axes=AXES).csi.x
    inner = codec.coder
    expected = inner.codec.decode(inner.quantiser(inner.codec.encode(x)))
    assert torch.allclose(torch.from_numpy(codec.decode(codec.encode(others, axes=AXES)).values), expected, atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(some.data())
def test_bits_come_back_as_they_were_written(data):
    bits = np.array(data.draw(some.lists(some.integers(0, 24), min_size=1, max_size=12)), np.int64)
    users = data.draw(some.integers(0, 5))
    numbers = np.array(
        [[data.draw(some.integers(0, 2 ** int(b) - 1)) for b in bits] for _ in range(users)], np.int64
    ).reshape(users, len(bits))
    payload, sizes = pack(numbers, bits)
    assert sizes.tolist() == [bits.sum()] * users
    assert len(payload) == users * ((bits.sum() + 7) // 8)
    assert np.array_equal(unpack(payload, users, bits), numbers)


def test_the_first_bit_is_the_highest():
    payload, _ = pack(np.array([[1, 5, 0]]), np.array([1, 3, 2]))
    assert payload.tolist() == [0b1_101_00_00]


def test_a_codec_survives_its_file(codec, others, tmp_path):
    codec.save(tmp_path / "a.codec")
    again = CellCodec.load(tmp_path / "a.codec")
    assert again.hash == codec.hash
    assert again.facts() == codec.facts()
    reports = codec.encode(others, axes=AXES)
    reports.save(tmp_path / "r.npz")
    loaded = Reports.load(tmp_path / "r.npz")
    assert np.array_equal(again.decode(loaded).values, codec.decode(reports).values)
    again.save(tmp_path / "b.codec")
    assert (tmp_path / "a.codec").read_bytes() == (tmp_path / "b.codec").read_bytes()


def test_the_file_is_one_of_safetensors(codec, tmp_path):
    reader = pytest.importorskip("safetensors.numpy")
    codec.save(tmp_path / "a.codec")
    arrays = reader.load_file(tmp_path / "a.codec")
    front = arrays["codec.front"]
    assert np.array_equal(front[..., 0] + 1j * front[..., 1], codec.coder.codec.front.numpy())


def test_the_same_channels_and_seed_give_the_same_codec(codec, channels):
    assert CellCodec().fit(channels, axes=AXES, link=LINK).hash == codec.hash
    assert CellCodec().fit(channels, axes=AXES, link=LINK, seed=1).hash != codec.hash


@pytest.mark.parametrize("select", ["high-nmse", "k-centre", "random"])
def test_an_update_is_a_version_of_its_own(codec, others, select):
    new = codec.update(others, 20, select, axes=AXES)
    assert (codec.version, new.version, new.parents) == (1, 2, (codec.hash,))
    assert new.training["updates"][0]["select"] == select
    old, recent = codec.encode(others, axes=AXES), new.encode(others, axes=AXES)
    with pytest.raises(SiteTwinError, match=r"are of another codec .version 2"):
        codec.decode(recent)
    with pytest.raises(SiteTwinError, match=r"version 1 of this codec, and this is version 2"):
        new.decode(old)
    assert codec.decode(old).shape == new.decode(recent).shape  # the older pair still serves


def test_measured_channels_of_another_world_help(codec):
    strange = cell_channels(100, seed=3, images=9)  # three images that the twin does not have
    new = codec.update(strange[:80], 60, axes=AXES)
    assert new.score(strange[80:], axes=AXES) > codec.score(strange[80:], axes=AXES) + 0.5


def test_a_codec_of_the_library_and_a_function_are_methods(channels, others):
    library = CellCodec(KltCodec(KltConfig(zones=16), Budget(16, 6))).fit(channels, axes=AXES, link=LINK)
    assert library.facts()["bits"] == 96
    assert library.facts()["index_of"] == 16
    single = CellCodec(GlobalKltCodec()).fit(channels, axes=AXES, link=LINK)
    assert single.score(others, axes=AXES) < library.score(others, axes=AXES)


def test_frequencies_choose_the_subcarriers_of_the_codec(codec, others):
    wider = np.zeros((len(others), 16, 130), np.complex64)
    frequency = GRID.carrier_hz + (np.arange(130) - 65) * GRID.spacing_hz
    place = np.searchsorted(frequency, GRID.frequencies_hz.numpy())
    wider[:, :, place] = others
    order = np.random.default_rng(0).permutation(130)
    h = xr.DataArray(wider[..., order], {"frequency": frequency[order]}, ("user", "antenna", "frequency"))
    assert np.array_equal(codec.encode(h).payload, codec.encode(others, axes=AXES).payload)


def test_taps_that_miss_most_of_the_energy_are_said(codec, others):
    late = others * np.exp(-2j * np.pi * np.arange(64) * 30 / 64).astype(np.complex64)
    with pytest.warns(SiteTwinWarning, match=r"delay taps miss (9[0-9]|100)% of the energy"):
        codec.encode(late, axes=AXES)


class TestRefusals:
    """One sentence each."""

    def test_another_array(self, codec, others):
        with pytest.raises(SiteTwinError, match=r"for 16 antennas \(ula:16\), and these channels have 8"):
            codec.encode(others[:, :8], axes=AXES)

    def test_another_bandwidth(self, codec, others):
        with pytest.raises(SiteTwinError, match=r"for 64 subcarriers, and these channels have 32"):
            codec.encode(others[..., :32], axes=AXES)
        other = GRID.carrier_hz + (np.arange(64) - 32) * 2 * GRID.spacing_hz
        h = xr.DataArray(others, {"frequency": other}, ("user", "antenna", "frequency"))
        with pytest.raises(SiteTwinError, match=r"32 of the codec's 64 subcarriers, .* are not among"):
            codec.encode(h)

    @pytest.mark.parametrize("unit", [1e-9, 1e-6])
    def test_another_unit(self, codec, others, unit):
        h = xr.DataArray(others, {"frequency": GRID.frequencies_hz.numpy() * unit}, ("user", "antenna", "frequency"))
        with pytest.raises(SiteTwinError, match=r"which is none in Hz; give Hz"):
            codec.encode(h)
        h = xr.DataArray(
            np.ones((2, 12, 16), np.complex64), {"delay": LINK.delays_s / unit}, ("user", "delay", "angle")
        )
        with pytest.raises(SiteTwinError, match=r"stand elsewhere than the codec's"):
            codec.encode(h)

    def test_delays_of_another_bandwidth(self, codec):
        h = xr.DataArray(np.ones((2, 12, 16), np.complex64), {"delay": LINK.delays_s / 2}, ("user", "delay", "angle"))
        with pytest.raises(SiteTwinError, match=r"stand elsewhere than the codec's"):
            codec.encode(h)

    @pytest.mark.parametrize("wrong", [np.nan, np.inf, 1j * np.nan])
    def test_not_finite(self, codec, others, wrong):
        h = others.copy()
        h[7, 3, 5] = wrong
        with pytest.raises(SiteTwinError, match=r"1 of 120 users are not finite .first: number 7"):
            codec.encode(h, axes=AXES)

    def test_zero_users(self, codec, others):
        for call in (codec.encode, codec.update, codec.score, codec.evaluate):
            with pytest.raises(SiteTwinError, match=r"no users"):
                call(others[:0], axes=AXES)
        with pytest.raises(SiteTwinError, match=r"no users"):
            CellCodec().fit(others[:0], axes=AXES, link=LINK)

    def test_zero_channels(self, codec, others):
        h = others.copy()
        h[3] = 0
        with pytest.raises(SiteTwinError, match=r"1 of 120 users are zero .first: number 3"):
            codec.encode(h, axes=AXES)
        assert codec.evaluate(h, axes=AXES)["users_without_channel"] == 1

    def test_one_user_repeated(self, codec, others):
        again = np.repeat(others[:1], 50, axis=0) * np.exp(1j * np.linspace(0, 3, 50))[:, None, None]
        with pytest.raises(SiteTwinError, match=r"all 50 training matrices are one and the same"):
            CellCodec().fit(again, axes=AXES, link=LINK)
        for call in (codec.update, codec.evaluate):
            with pytest.raises(SiteTwinError, match=r"one and the same matrix"):
                call(again.astype(np.complex64), axes=AXES)

    def test_more_kept_than_measured(self, codec, others):
        with pytest.raises(SiteTwinError, match=r"121 measured channels are to be kept, and 120 different"):
            codec.update(others, 121, axes=AXES)
        twice = np.concatenate([others[:30], others[:30]])
        with pytest.raises(SiteTwinError, match=r"40 measured channels are to be kept, and 30 different"):
            codec.update(twice, 40, axes=AXES)
        with pytest.raises(SiteTwinError, match=r"keep at least one"):
            codec.update(others, 0, axes=AXES)

    def test_another_site(self, channels, others):
        def labelled(h, site):
            return xr.DataArray(h, dims=AXES).assign_attrs(labels(site))

        codec = CellCodec().fit(labelled(channels, "a" * 64), taps=12)
        with pytest.raises(SiteTwinError, match=r"fitted to the site 'aaaa' .*say that it is the same cell"):
            codec.encode(labelled(others, "b" * 64))
        assert len(codec.encode(labelled(others, "b" * 64), other_world=True)) == 120
        assert codec.update(labelled(others, "b" * 64), other_world=True).version == 2
        with pytest.raises(SiteTwinError, match=r"fitted to the site"):
            codec.update(labelled(others, "b" * 64))

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"carrier_hz": 3.6e9}, "carrier_hz"),
            ({"delay_reference": "first-path: delay 0 is the delay of the first path"}, "delay_reference"),
            ({"subcarrier_spacing_hz": 60e3}, "spacing_hz"),
        ],
    )
    def test_another_link(self, channels, others, change, said):
        codec = CellCodec().fit(xr.DataArray(channels, dims=AXES).assign_attrs(labels("a")), taps=12)
        h = xr.DataArray(others, dims=AXES).assign_attrs({**labels("a"), **change})
        with pytest.raises(SiteTwinError, match=f"the codec is for {said}"):
            codec.encode(h)

    def test_planar_channels_for_a_linear_codec(self, channels, others):
        codec = CellCodec().fit(xr.DataArray(channels, dims=AXES).assign_attrs(labels("a")), taps=12)
        h = xr.DataArray(others, dims=AXES).assign_attrs(labels("a", Radio("upa:4x4")))
        with pytest.raises(SiteTwinError, match=r"for the array ula:16, and these channels are of upa:4x4"):
            codec.encode(h)

    @pytest.mark.parametrize("tx", ["{", "[]", "{}", 3, '{"antennas": "many"}'])
    def test_labels_that_are_none(self, codec, others, tx):
        h = xr.DataArray(others, dims=AXES).assign_attrs({**labels("a"), "tx": tx})
        with pytest.raises(SiteTwinError, match=r"labels of these channels"):
            codec.encode(h)

    @pytest.mark.parametrize(
        ("axes", "said"),
        [
            (("user", "antenna", "antenna"), "named twice"),
            (("user", "antenna", "tx_antenna"), "two axes are named for the antenna"),
            (("user", "antenna", "doppler"), "the axis 'doppler' is unknown"),
            (("user", "antenna"), "2 axes are named"),
            (("user", "delay", "subcarrier"), "have the axes user, delay, subcarrier"),
        ],
    )
    def test_axes_that_are_none(self, others, axes, said):
        with pytest.raises(SiteTwinError, match=said):
            named(others, axes)

    def test_several_antennas_of_a_user(self, others):
        with pytest.raises(SiteTwinError, match=r"one antenna of the user, and these channels have 2"):
            named(np.stack([others, others], 1), ("user", "rx_antenna", "antenna", "subcarrier"))

    def test_real_numbers(self, others):
        with pytest.raises(SiteTwinError, match=r"channels are complex"):
            named(others.real, AXES)

    def test_a_codec_that_is_not_fitted(self, others):
        with pytest.raises(SiteTwinError, match=r"not fitted yet"):
            CellCodec().encode(others, axes=AXES)

    def test_wrong_bits_and_methods(self, channels):
        with pytest.raises(SiteTwinError, match=r"give a multiple of 32"):
            CellCodec(bits=100).fit(channels, axes=AXES, link=LINK)
        with pytest.raises(SiteTwinError, match=r"there is no method 'zip'"):
            CellCodec("zip")
        with pytest.raises(SiteTwinError, match=r"give it the budget"):
            CellCodec(KltCodec(), bits=64).fit(channels, axes=AXES, link=LINK)
        with pytest.raises(SiteTwinError, match=r"at least one bit"):
            CellCodec(bits=0)

    def test_channels_without_a_link(self, channels):
        with pytest.raises(SiteTwinError, match=r"do not say of which array and band"):
            CellCodec().fit(channels, axes=AXES)

    def test_reports_of_another_length(self, codec, others):
        reports = codec.encode(others, axes=AXES)
        with pytest.raises(SiteTwinError, match=r"other lengths than their bytes"):
            dataclasses.replace(reports, payload=reports.payload[:-1])
        short = dataclasses.replace(reports, payload=reports.payload[: 15 * 120], bits=reports.bits - 8)
        with pytest.raises(SiteTwinError, match=r"report of user 0 has 120 bits, and one of the klt codec has 128"):
            codec.decode(short)

    def test_an_index_that_the_codec_does_not_know(self, codec, others):
        reports = codec.encode(others, axes=AXES)
        payload = np.full_like(reports.payload, 255)
        assert codec.facts()["index_of"] < 256
        with pytest.raises(SiteTwinError, match=r"the klt codec knows those from 0 to"):
            codec.decode(dataclasses.replace(reports, payload=payload))

    def test_a_method_without_update(self, channels, others):
        with pytest.raises(SiteTwinError, match=r"cannot be updated"):
            CellCodec("lookup").fit(channels, axes=AXES, link=LINK).update(others, axes=AXES)

    def test_unknown_rule(self, codec, others):
        with pytest.raises(SiteTwinError, match=r"there is no rule 'best'"):
            codec.update(others, select="best", axes=AXES)


def labels(site, radio=RADIO):
    """What `sitetwin.channels` says of such channels."""
    from sitetwin.channel import ChannelRequest

    request = ChannelRequest(GRID, tx=radio)
    return {**request.value_attributes(), **request.configuration(), **request.conventions()} | {
        "site": site[:4],
        "site_hash": site,
    }


def test_a_codec_needs_an_encoder_to_keep(channels):
    mean = CellCodec(MeanCodec()).fit(channels, axes=AXES, link=LINK)
    assert mean.encode(channels[:3], axes=AXES).bits.tolist() == [0, 0, 0]
    with pytest.raises(SiteTwinError, match=r"has no encoder"):
        mean.coder.encoder_graph()


def test_the_same_matrix_up_to_a_phase_counts_once(others):
    x = matrices(np.concatenate([others[:5], 2j * others[:3], others[5:9]])).x
    assert different(x, "matrices").tolist() == [0, 1, 2, 3, 4, 8, 9, 10, 11]


def test_taps_without_delays_are_those_of_the_codec(codec):
    rng = np.random.default_rng(3)
    taps = (rng.normal(size=(5, *codec.coder.shape, 2)) @ [1, 1j]).astype(np.complex64)
    labelled = xr.DataArray(taps, dims=("user", "delay", "angle"))
    plain = codec.encode(taps, axes=("user", "delay", "angle"))
    assert np.array_equal(codec.decode(plain).values, codec.decode(codec.encode(labelled)).values)
    counted = labelled.assign_coords(delay=np.arange(taps.shape[1]))
    with pytest.raises(SiteTwinError, match="delays in seconds"):
        codec.encode(counted)
