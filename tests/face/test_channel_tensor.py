"""Channels as tensors: gradients through every parameter, the same bits as labelled arrays, refusals."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import sitetwin as st
from sitetwin.channel.fields.options import TENSORS
from sitetwin.rays import trace
from tests.channel.differentiable import CHOICES, TURNED, TX, USERS, F, nominal, world
from tests.channel.test_differentiable import check_gradient

BAND = {"carrier_hz": F, "bandwidth_hz": 40e6, "subcarriers": 12, "radio": TURNED}
QUANTITIES = {
    "cfr": {},
    "cir": {"num_taps": 8, "delay_reference": "first-path", "first_tap": -2},
    "delay-angle": {"num_taps": 6, "delay_reference": "first-path"},
}
ENDS = ("transmitter_offset", "user_offset")


def quietly(**choices):
    site, paths = world()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", st.SiteTwinWarning)
        return st.channel_tensor(paths, site, **BAND, **CHOICES, **choices)


@pytest.mark.parametrize(
    ("name", "quantity"),
    [*((name, "cfr") for name in TENSORS), *((name, q) for q in ("cir", "delay-angle") for name in ENDS)],
)
def test_gradients_of_channels_are_finite_differences(name, quantity):
    """Through delays and directions, too, where an end is moved; through materials otherwise."""
    at = nominal(world()[0])[name]
    if name == "xpd_coefficient":
        at[2] = 0.05  # at zero the gradient has no bound
    if name == "user_offset":
        at = torch.tensor([[0.02, 0.01, 0.0], [0.0, -0.03, 0.01], [0.01, 0.0, 0.02]], dtype=torch.float64)

    def function(value):
        h = quietly(quantity=quantity, dtype=torch.complex128, **{name: value}, **QUANTITIES[quantity])
        return torch.view_as_real(h * 1e4)

    check_gradient(function, at, 1e-7 if name.endswith("offset") else 1e-6)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_labelled_arrays_hold_the_same_values_and_name_the_tensors(quantity):
    site, paths = world()
    given = {n: v * 1.02 for n, v in nominal(site).items() if not n.endswith("offset")}
    given["user_offset"] = 0.1 * torch.arange(9, dtype=torch.float64).reshape(3, 3)
    tensor = quietly(quantity=quantity, **given, **QUANTITIES[quantity])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", st.SiteTwinWarning)
        array = st.channels(paths, site, quantity=quantity, **BAND, **CHOICES, **given, **QUANTITIES[quantity])
    np.testing.assert_array_equal(array.values, tensor.numpy())
    assert "4.08" in array.attrs["relative_permittivity"] or 4.08 in np.round(array.attrs["relative_permittivity"], 9)


def test_offsets_of_some_users_are_their_own():
    """Users keep their offsets when they are chosen in another order, and delay 0 is that of the moved first path."""
    site, paths = world()
    offset = torch.tensor([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 3.0, 0.0]], dtype=torch.float64)
    request = st.ChannelRequest(
        st.OfdmGrid(F, 16, 1e6), delay_reference="first-path", options=st.FieldOptions(user_offset=offset)
    )
    loader = st.channel.ChannelLoader(paths, site, request)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", st.SiteTwinWarning)
        whole = loader.channels(np.arange(3))
        for order in ([2, 0, 1], [1]):
            torch.testing.assert_close(loader.channels(np.array(order)), whole[order], rtol=1e-6, atol=0)
        with pytest.raises(st.SiteTwinError, match="user_offset is given for 3 users; there are 2"):
            st.channel_tensor(paths.select_users(np.arange(2)), site, request)


def test_a_moved_transmitter_gives_the_channels_of_a_new_trace():
    site, _ = world()
    settings = st.TraceSettings(max_depth=1, rays_per_lattice=20_000, unseen_bound=0.05)
    plain = site.variant(vegetation=st.Vegetation.none())
    delta = np.array([0.3, -0.2, 0.1])
    here, there = (trace(plain, TX + d, USERS, settings) for d in (0.0, delta))
    band = {**BAND, "delay_reference": "first-path", "dtype": torch.complex128, "diffuse": False}
    moved = st.channel_tensor(here, plain, transmitter_offset=torch.from_numpy(delta), **band)
    torch.testing.assert_close(moved, st.channel_tensor(there, plain, **band), rtol=1e-8, atol=1e-14)


def test_arrays_without_gradients_are_refused_with_gradients():
    site, paths = world()
    brick = torch.tensor(4.0, requires_grad=True)
    for make in (st.channels, st.torch_dataset):
        with pytest.raises(st.SiteTwinError, match=r"take sitetwin\.channel_tensor"):
            make(paths, site, relative_permittivity={"wall": brick}, **BAND)
    turned = st.Radio(orientation=torch.zeros(3, dtype=torch.float64, requires_grad=True))
    with pytest.raises(st.SiteTwinError, match=r"take sitetwin\.channel_tensor"):
        st.channels(paths, site, carrier_hz=F, radio=turned)
    with torch.no_grad():
        st.channels(paths, site, relative_permittivity={"wall": brick}, carrier_hz=F)
    with pytest.raises(st.SiteTwinError, match="gains are of paths"):
        st.channel_tensor(paths, site, quantity="gains", carrier_hz=F)


def test_gains_of_the_face_carry_gradients():
    site, paths = world()
    wall = torch.tensor(4.0, requires_grad=True)
    st.gains(paths, site, carrier_hz=F, relative_permittivity={"wall": wall}).power.sum().backward()
    assert wall.grad.abs() > 0
