"""Channels as labelled arrays: the numbers of the floors below, under the right names."""

import dataclasses

import dask.array
import numpy as np
import pytest
import torch
import xarray as xr

import sitetwin as st
from sitetwin.channel import frequency_response, path_gains
from tests.face.conftest import CARRIER

BAND = {"carrier_hz": CARRIER, "bandwidth_hz": 20e6, "subcarriers": 16}


def test_the_numbers_are_those_of_the_frequency_response(street):
    site, users, paths = street
    radio = st.Radio(st.AntennaArray.upa(2, 3))
    h = st.channels(paths, site, radio=radio, **BAND)
    grid = st.OfdmGrid(CARRIER, 16, 20e6 / 16)
    expected = frequency_response(paths, path_gains(paths, site, CARRIER, radio), grid, radio)
    assert h.dims == ("user", "rx_antenna", "tx_antenna", "frequency")
    assert h.dtype == np.complex64
    np.testing.assert_array_equal(h.values, expected.numpy())
    np.testing.assert_array_equal(np.stack([h.x, h.y, h.z], axis=1), users)
    np.testing.assert_allclose(h.frequency, CARRIER + (np.arange(16) - 8) * 20e6 / 16)
    assert h.attrs["site_hash"] == site.hash
    assert h.frequency.attrs["units"] == "Hz"


def test_selection_by_frequency_and_place(street):
    site, _, paths = street
    h = st.channels(paths, site, **BAND)
    one = h.sel(frequency=CARRIER)
    assert one.dims == ("user", "rx_antenna", "tx_antenna")
    np.testing.assert_array_equal(one.values, h.values[..., 8])
    east = h.where(h.x > 0, drop=True)
    assert (east.x > 0).all()
    assert 0 < len(east) < len(h)


def test_line_of_sight_is_friis(street):
    """An isotropic pair in free space: the received share is (lambda / 4 pi d)^2, with the carrier's phase."""
    site, users, _ = street
    direct = st.trace(site, tx=(-33, 0, 32), users=users, max_depth=0)
    h = st.channels(direct, site, **BAND)
    distance = np.linalg.norm(users - [-33, 0, 32], axis=1)
    seen = direct.counts > 0
    wave = 299_792_458.0 / CARRIER
    friis = wave / (4 * np.pi * distance) * np.exp(-2j * np.pi * distance / wave)
    at_carrier = h.sel(frequency=CARRIER).values[:, 0, 0]
    np.testing.assert_allclose(at_carrier[seen], friis[seen], rtol=1e-4)
    assert (at_carrier[~seen] == 0).all()
    np.testing.assert_allclose(
        h.sitetwin.power_db()[seen], 20 * np.log10(wave / (4 * np.pi * distance[seen])), atol=0.01
    )


def test_on_demand_is_the_same(street, store):
    site, _, paths = street
    choices = {**BAND, "radio": st.Radio(st.AntennaArray.ula(4)), "quantity": "delay-angle", "num_taps": 8}
    eager = st.channels(paths, site, **choices)
    assert eager.dims == ("user", "rx_antenna", "angle", "delay")
    for source in (paths, store, st.rays.jobs.io.open_paths(store)):
        lazy = st.channels(source, site, lazy=True, **choices)
        assert lazy.chunks is not None
        xr.testing.assert_allclose(lazy.compute(), eager, rtol=1e-5, atol=1e-12)
        some = lazy.isel(user=[5, 90, 2]).compute()
        np.testing.assert_allclose(some.values, eager.values[[5, 90, 2]], rtol=1e-5, atol=1e-12)


def test_a_data_set_on_disk_opens_as_the_same(street, store, tmp_path):
    site, _, paths = street
    for number, choices in enumerate(
        ({"subcarriers": 32}, {"quantity": "delay-angle", "radio": st.Radio(st.AntennaArray.ula(4)), "num_taps": 8})
    ):
        wanted = {**BAND, **choices}
        written = st.channels_to_store(tmp_path / str(number), store, site, **wanted)
        here = st.channels(paths, site, **wanted)
        assert written.dims == here.dims
        assert dict(written.coords).keys() == dict(here.coords).keys()
        for name, coordinate in here.coords.items():
            np.testing.assert_array_equal(written[name], coordinate)
        np.testing.assert_allclose(written.values, here.values, rtol=1e-5, atol=1e-12)
        assert {**here.attrs, "transmitter": None}.items() <= {**written.attrs, "transmitter": None}.items()


def test_attributes_can_be_written_to_files(street, tmp_path):
    site, _, paths = street
    h = st.channels(paths, site, **BAND)
    parts = xr.Dataset({"real": h.real, "imaginary": h.imag}).assign_attrs(h.attrs)
    parts.to_zarr(tmp_path / "h.zarr", consolidated=False)
    assert xr.open_zarr(tmp_path / "h.zarr", consolidated=False).attrs["site_hash"] == site.hash


def test_several_transmitters_have_an_axis(street):
    site, users, _ = street
    traced = st.trace(site, tx=[(-33, 0, 32), (20, 0, 25)], users=users, max_depth=1)
    assert isinstance(traced, list)
    h = st.channels(traced, site, **BAND)
    assert h.dims[0] == "transmitter"
    np.testing.assert_array_equal(np.stack([h.tx_x, h.tx_y, h.tx_z], axis=1), [(-33, 0, 32), (20, 0, 25)])
    np.testing.assert_array_equal(h.values[1], st.channels(traced[1], site, **BAND).values)
    with pytest.raises(st.SiteTwinError, match="other users"):
        st.channels([traced[0], traced[1].select_users(np.arange(3))], site, **BAND)
    with pytest.raises(st.SiteTwinError, match="at least one"):
        st.channels([], site, **BAND)


def test_another_site_is_refused(street, store):
    site, _, paths = street
    other = st.open_site("simple_reflector")
    for source in (paths, store):
        with pytest.raises(st.SiteTwinError, match="another geometry"):
            st.channels(source, other, **BAND)
    rough = site.variant(materials={m.name: dataclasses.replace(m, scattering_coefficient=0.3) for m in site.materials})
    assert st.channels(paths, rough, **BAND).attrs["site_hash"] == rough.hash


def test_gains_are_asked_for_by_their_own_name(street, store, tmp_path):
    site, _, paths = street
    with pytest.raises(st.SiteTwinError, match=r"sitetwin\.gains"):
        st.channels(paths, site, carrier_hz=CARRIER, quantity="gains")
    found = st.gains(paths, site, carrier_hz=CARRIER)
    torch.testing.assert_close(found.values, path_gains(paths, site, CARRIER).values)


def test_gains_on_disk_are_an_array_over_paths(street, store, tmp_path):
    site, users, paths = street
    radio = st.Radio("upa:1x2:VH")
    found = st.channels_to_store(tmp_path / "g", store, site, carrier_hz=CARRIER, radio=radio, quantity="gains")
    expected = path_gains(paths, site, CARRIER, radio).values
    assert found.dims == ("path", "rx_port", "tx_port")
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-12)
    np.testing.assert_array_equal(found.user, np.repeat(np.arange(len(users)), paths.counts))
    np.testing.assert_array_equal(found.delay, paths.delay)
    assert found.attrs["carrier_hz"] == CARRIER
    assert isinstance(found.data, dask.array.Array)


def test_tensors_by_the_names_of_axes(street):
    site, _, paths = street
    h = st.channels(paths, site, **BAND)
    tensor = h.sitetwin.torch("user", "frequency", "rx_antenna", "tx_antenna")
    assert tensor.dtype == torch.complex64
    np.testing.assert_array_equal(tensor.numpy(), h.values.transpose(0, 3, 1, 2))
    with pytest.raises(st.SiteTwinError, match="name each of them once"):
        h.sitetwin.torch("user", "frequency")


def test_what_is_no_data_set_of_channels_is_refused(store, tmp_path):
    with pytest.raises(st.SiteTwinError, match="not of channels"):
        st.open_channels(store)
    with pytest.raises(st.SiteTwinError):
        st.open_channels(tmp_path / "nothing")


def test_power_keeps_axes_of_other_names_and_refuses_magnitudes(street):
    site, _, paths = street
    h = st.channels(paths, site, carrier_hz=CARRIER, subcarriers=8)
    assert h.rename(user="place").sitetwin.power_db().dims == ("place",)
    with pytest.raises(st.SiteTwinError, match="give the channels themselves"):
        abs(h).sitetwin.power_db()


def test_no_users_have_no_channels_on_demand_too(street):
    site, _, paths = street
    assert st.channels(paths.select_users([]), site, lazy=True, carrier_hz=CARRIER, subcarriers=8).shape == (0, 1, 1, 8)


def test_bins_in_another_order_are_refused(street):
    from sitetwin.learn.csi.data import by_name

    site, _, paths = street
    radio = st.Radio("ula:8")
    h = st.channels(paths, site, carrier_hz=CARRIER, radio=radio, quantity="delay-angle", num_taps=4)
    for axis in ("angle", "delay"):
        with pytest.raises(st.SiteTwinError, match=f"sort by {axis}"):
            by_name(h.isel({axis: slice(None, None, -1)}))


def test_what_is_no_radio_no_paths_or_another_quantity_is_refused(street):
    site, _, paths = street
    with pytest.raises(st.SiteTwinError, match="'upa:8x8', which is no radio"):
        st.channels(paths, site, carrier_hz=CARRIER, radio="upa:8x8")
    with pytest.raises(st.SiteTwinError, match="paths were given as a list"):
        st.torch_dataset([paths], site, carrier_hz=CARRIER)
    with pytest.raises(st.SiteTwinError, match="leave quantity out"):
        st.gains(paths, site, carrier_hz=CARRIER, quantity="cfr")
