"""From a site to feedback in a few lines of a notebook: channels of the face go into codecs as they are."""

from __future__ import annotations

import pytest
import torch
import xarray as xr

import sitetwin as st
from sitetwin.errors import SiteTwinError


@pytest.fixture(scope="module")
def h() -> xr.DataArray:
    """Delay-angle channels of a small canyon."""
    site = st.open_site("simple_street_canyon")
    users = st.grid(site, area=(-40, -12, 40, 12), spacing=4.0)
    paths = st.trace(site, tx=(-33, 0, 32), users=users, max_depth=2)
    radio = st.Radio("ula:8")
    h = st.channels(paths, site, carrier_hz=3.5e9, radio=radio, bandwidth_hz=100e6, quantity="delay-angle", num_taps=16)
    return h[(abs(h) > 0).any(("rx_antenna", "angle", "delay")).values]


def test_a_codec_takes_what_channels_gives(h: xr.DataArray) -> None:
    rng = torch.Generator().manual_seed(0)
    train, test = h[::2], h[1::2]
    codec = st.learn.KltCodec(st.learn.KltConfig(zones=8)).fit(train, rng)
    recovered = codec.decode(codec.encode(test))
    assert recovered.shape == (test.sizes["user"], h.sizes["delay"], h.sizes["angle"])
    error = st.learn.nmse(test, recovered)
    assert st.learn.to_db(error.mean()) < -10
    assert torch.equal(error, st.learn.nmse(st.learn.prepare(test).x, recovered))
    refined = codec.update(test[::4])
    assert float(st.learn.nmse(test, refined.decode(refined.encode(test))).mean()) < float(error.mean())


def test_axes_go_by_name_all_the_way(h: xr.DataArray) -> None:
    turned = h.transpose("delay", "angle", "rx_antenna", "user")
    codec = st.learn.GlobalKltCodec().fit(h)
    other = st.learn.GlobalKltCodec().fit(turned)
    recovered = codec.decode(codec.encode(turned))
    assert torch.equal(recovered, other.decode(other.encode(h)))
    assert torch.equal(st.learn.nmse(turned, recovered), st.learn.nmse(h, recovered))


def test_two_labelled_arrays_keep_their_scale(h: xr.DataArray) -> None:
    error = st.learn.nmse(h, (h * 1.5).transpose("user", "delay", "angle", "rx_antenna"))
    torch.testing.assert_close(error, torch.full((h.sizes["user"],), 0.25))
    restored = st.learn.prepare(h).restore()
    labelled = xr.DataArray(restored.numpy(), dims=("user", "delay", "angle"))
    assert float(st.learn.nmse(h, labelled).max()) < 1e-10


def test_other_users_or_frequencies_are_refused(h: xr.DataArray) -> None:
    codec = st.learn.GlobalKltCodec().fit(h)
    recovered = codec.decode(codec.encode(h))
    with pytest.raises(SiteTwinError, match="cannot be compared"):
        st.learn.nmse(h[:-1], recovered)
    with pytest.raises(SiteTwinError, match="make delay-angle channels"):
        codec.fit(h.rename(delay="frequency", angle="tx_antenna"))


@pytest.mark.filterwarnings("ignore:the delay taps miss")
def test_a_codec_refuses_channels_of_another_kind(tmp_path):
    """Same sizes, other carrier, band, array or taps: the labels say it, also after the codec came from a file."""
    site = st.open_site("simple_street_canyon")
    users = st.grid(site, area=(-40, -12, 40, 12), spacing=4.0)
    paths = st.trace(site, tx=(-33, 0, 32), users=users, max_depth=1)
    paths = paths.select_users(paths.counts > 0)

    def made(**choices):
        usual = {"carrier_hz": 28e9, "bandwidth_hz": 100e6, "radio": st.Radio("ula:8"), "num_taps": 8}
        return st.channels(paths, site, quantity="delay-angle", **{**usual, **choices})

    rng = torch.Generator().manual_seed(0)
    fitted = st.learn.KltCodec(st.learn.KltConfig(zones=2), st.learn.Budget(8)).fit(made(), rng)
    fitted.save(tmp_path / "codec.npz")
    for codec in (fitted, st.learn.KltCodec.load(tmp_path / "codec.npz"), fitted.update(made())):
        codec.encode(made())
        for choices, what in (
            ({"carrier_hz": 3.5e9}, "another carrier_hz"),
            ({"bandwidth_hz": 20e6}, "another delay"),
            ({"radio": st.Radio("upa:2x4")}, "another angle_cosine"),
        ):
            with pytest.raises(st.SiteTwinError, match=what):
                codec.encode(made(**choices))
        later = made(num_taps=16).isel(delay=slice(8, 16))
        with pytest.raises(st.SiteTwinError, match="another delay"):
            codec.encode(later)
        with pytest.raises(st.SiteTwinError, match="another carrier_hz"):
            codec.update(made(carrier_hz=3.5e9))
