"""Layers of users with several antennas: energies, orthogonality, and what no turn of its antennas changes."""

import numpy as np
import pytest
from tests.learn.cell.conftest import LINK, cell_channels

import sitetwin as st
from sitetwin.errors import SiteTwinError
from sitetwin.learn import CellCodec, evaluate_layers, layer_channels

AXES = ("user", "rx_antenna", "antenna", "subcarrier")


@pytest.fixture(scope="module")
def h():
    """(40, 3, 16, 64): three antennas of each user, a mix of three places."""
    places = np.stack([cell_channels(40, seed) for seed in (1, 2, 3)], axis=1)
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(40, 3, 3)) + 1j * rng.normal(size=(40, 3, 3))
    return np.einsum("urq,qu...->ur...", mix, places.transpose(1, 0, 2, 3)).astype(np.complex64)


def test_all_layers_keep_the_energy_in_falling_order_and_are_orthogonal(h):
    found = layer_channels(h, 3, axes=AXES)
    assert found.dims == ("user", "antenna", "subcarrier")
    layers = found.values.reshape(40, 3, -1)
    energy = (np.abs(layers) ** 2).sum(axis=2)
    np.testing.assert_allclose(energy.sum(axis=1), (np.abs(h) ** 2).sum(axis=(1, 2, 3)), rtol=1e-4)
    assert (np.diff(energy, axis=1) <= 0).all()
    gram = layers @ layers.conj().transpose(0, 2, 1)
    off = np.abs(gram) / np.sqrt(energy[:, :, None] * energy[:, None])
    assert (off[:, ~np.eye(3, dtype=bool)] < 1e-3).all()


def test_layers_do_not_depend_on_how_the_user_holds_its_antennas(h):
    rng = np.random.default_rng(1)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)))
    turned = np.einsum("rq,uq...->ur...", turn, h).astype(np.complex64)
    one, other = (layer_channels(x, 2, axes=AXES).values.reshape(80, -1) for x in (h, turned))
    overlap = np.abs((one.conj() * other).sum(axis=1)) / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1))
    assert overlap.min() > 1 - 1e-3


def test_one_antenna_is_its_own_layer():
    h = cell_channels(5)
    assert np.array_equal(layer_channels(h, 1, axes=("user", "antenna", "subcarrier")).values, h)
    single = layer_channels(h[:, None], 1, axes=AXES).values
    overlap = np.abs((single.conj() * h).sum(axis=(1, 2))) / (np.abs(h) ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(overlap, 1, atol=1e-4)


def test_one_codec_serves_all_layers(h):
    codec = CellCodec().fit(layer_channels(h, 2, axes=AXES), link=LINK)
    told = evaluate_layers(codec, codec.matrices(layer_channels(h, 2, axes=AXES)), 2)
    assert [one["layer"] for one in told] == [1, 2]
    x = codec.matrices(layer_channels(h, 2, axes=AXES)).csi.x
    first, second = (float((x[k::2] - codec.coder.recovered(x[k::2])).abs().square().sum()) / 40 for k in (0, 1))
    assert [one["nmse_db"] for one in told] == pytest.approx(10 * np.log10([first, second]), abs=1e-3)


def test_a_site_of_users_with_two_antennas_is_fitted_by_layers():
    site = st.open_site("simple_street_canyon")
    users = st.grid(site, area=(-20, -7, 50, 7), spacing=4.0)
    band = {"carrier_hz": 3.5e9, "subcarriers": 64, "spacing_hz": 240e3, "num_taps": 16}
    band |= {"radio": st.Radio("ula:8"), "user_radio": st.Radio("ula:2")}
    how = {"settings": st.TraceSettings(max_depth=1)}
    found = st.fit_codec(site, (-33.0, 0.0, 12.0), users, layers=2, **how, **band)
    assert found.training["matrices"] > 1.5 * len(users)
    with pytest.raises(SiteTwinError, match="or take the layers"):
        st.fit_codec(site, (-33.0, 0.0, 12.0), users, **how, **band)


@pytest.mark.parametrize(
    ("change", "layers", "axes", "said"),
    [
        (lambda h: h, 4, AXES, "4 layers are asked for, and these users have 3 antennas; ask for 1 to 3"),
        (lambda h: h, 0, AXES, "0 layers are asked for"),
        (lambda h: h[:, 0], 2, ("user", "antenna", "subcarrier"), "these users have 1 antenna; ask"),
        (lambda h: h[0], 2, ("rx_antenna", "antenna", "subcarrier"), "no axis of users"),
        (lambda h: h * np.nan, 2, AXES, "are not finite"),
    ],
)
def test_what_has_no_such_layers_is_refused(h, change, layers, axes, said):
    with pytest.raises(SiteTwinError, match=said):
        layer_channels(change(h), layers, axes=axes)


def test_a_layer_of_nobody_is_refused(h):
    codec = CellCodec().fit(layer_channels(h, 2, axes=AXES), link=LINK)
    one = np.zeros((6, 2, 16, 64), np.complex64)
    one[:, 0] = cell_channels(6)
    given = codec.matrices(layer_channels(one, 2, axes=AXES), skip_silent=True)
    assert given.silent.tolist() == [False, True] * 6
    with pytest.raises(SiteTwinError, match="layer 2 of all users is zero"):
        evaluate_layers(codec, given, 2)
    for layers in (5, 0):
        with pytest.raises(SiteTwinError, match=rf"12 channels are not those of users with {layers} layers each"):
            evaluate_layers(codec, given, layers)
