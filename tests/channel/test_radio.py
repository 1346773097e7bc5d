"""Radios by name, arrays whose facts contradict each other, and axes in another order."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from sitetwin.channel import AntennaArray, OfdmGrid, Radio, angle_transform, delay_angle_from_response, delay_taps
from sitetwin.channel.antennas.descriptions import describe_radio
from sitetwin.channel.antennas.names import named_array
from sitetwin.errors import SiteTwinError


def test_a_radio_by_name_is_the_radio_of_its_array():
    named = Radio("upa:4x8", pattern="tr38901", polarisation="VH", yaw_deg=90, downtilt_deg=6)
    array = AntennaArray.upa(4, 8, pattern="tr38901", polarisation="VH")
    assert describe_radio(named) == describe_radio(Radio(array, (math.pi / 2, math.radians(6), 0.0)))
    assert describe_radio(Radio("ula:8:cross")) == describe_radio(Radio(AntennaArray.ula(8, polarisation="cross")))
    assert describe_radio(Radio()) == describe_radio(Radio(AntennaArray.single()))
    turned = replace(named, orientation=(0.1, 0.2, 0.3))
    assert turned.array is named.array


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Radio("upa:8"), "'upa:8' is not understood"),
        (lambda: Radio("ula:8", pattern="parabola"), "'parabola' is unknown"),
        (lambda: Radio("ula:8", polarisation="X"), "'X' is unknown"),
        (lambda: Radio("ula:8:V", polarisation="H"), "give one"),
        (lambda: Radio(AntennaArray.ula(8), pattern="iso"), "has its own pattern and polarisation"),
        (lambda: Radio("ula:8", (0.1, 0.0, 0.0), yaw_deg=5.0), "turn is given twice"),
        (lambda: Radio("ula:8", yaw_deg=math.nan), "NaN or infinity"),
    ],
)
def test_what_names_no_radio_gets_a_sentence(make, says):
    with pytest.raises(SiteTwinError, match=says):
        make()


def test_fields_of_an_array_that_contradict_each_other_are_refused():
    array = AntennaArray.upa(2, 3)
    for changes, says in (
        ({"shape": (3, 3)}, "3 x 3 has 6 element positions"),
        ({"shape": (3, 2)}, "not those of 3 x 2 elements"),
        ({"spacing": (0.5, 0.7)}, "not those of 2 x 3 elements at spacings of 0.5 and 0.7"),
        ({"positions": array.positions.flip(0)}, "the top row first"),
        ({"spacing": None}, "give both, or neither"),
        ({"shape": None}, "give both, or neither"),
    ):
        with pytest.raises(SiteTwinError, match=says):
            replace(array, **changes)
    learned = replace(array, positions=(array.positions + 0.1).requires_grad_())
    assert learned.shape == (2, 3)
    assert replace(array, positions=array.positions + 0.1, shape=None, spacing=None).num_antennas == 6


def test_axes_in_another_order_are_refused():
    tx = Radio("ula:8")
    cfr = torch.ones(3, 1, 8, 64, dtype=torch.complex64)
    assert delay_angle_from_response(cfr, tx, 16).shape == (3, 1, 8, 16)
    for call, says in (
        (lambda: delay_angle_from_response(cfr.transpose(2, 3), tx, 4), r"is not that of the 8 antennas"),
        (lambda: angle_transform(cfr, tx.array, axis=-1), r"axis -1 of a channel of shape \(3, 1, 8, 64\)"),
        (lambda: delay_taps(cfr.transpose(2, 3), 16), "16 delay taps were asked for of 8 subcarriers"),
        (lambda: delay_taps(cfr, 0), "0 delay taps"),
    ):
        with pytest.raises(SiteTwinError, match=says):
            call()


def test_short_representations():
    assert repr(OfdmGrid(3.5e9, 64, 30e3)) == "OfdmGrid(3.5e+09 Hz, 64 subcarriers at 30000 Hz)"
    assert repr(named_array("upa:4x8:VH", "tr38901")) == (
        "AntennaArray(4 x 8 elements at 0.5 x 0.5 wavelengths, Tr38901, slant 0, 90 deg)"
    )
    assert repr(Radio("single", yaw_deg=30)) == (
        "Radio(AntennaArray(1 x 1 elements, Isotropic, slant 0 deg), yaw 30, pitch 0, roll 0 deg)"
    )
    assert "turned for each of 2 users" in repr(Radio(orientation=torch.zeros(2, 3)))
    assert "2 elements," in repr(AntennaArray(torch.rand(2, 3, dtype=torch.float64)))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: AntennaArray.upa(10**9, 1), "at most 65536"),
        (lambda: AntennaArray.ula(10**9), "at most 65536"),
        (lambda: AntennaArray.upa(10**5, 10**5), "at most 65536"),
        (lambda: OfdmGrid(3.5, 100, 30e3), "3.5e9 is 3.5 GHz"),
        (lambda: OfdmGrid(3.5e9, 100, 30.0), "30e3 is 30 kHz"),
        (lambda: OfdmGrid(9e11, 10**9, 100.0), "give 1 to 1048576"),
    ],
)
def test_sizes_and_frequencies_that_cannot_be_meant_are_refused(make, said):
    with pytest.raises(SiteTwinError, match=said):
        make()
