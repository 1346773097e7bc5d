"""Frequencies without their powers of ten are refused, with the unit that was likely meant."""

import pytest

import sitetwin as st
from sitetwin.errors import SiteTwinError
from sitetwin.face.requests import channel_request
from sitetwin.hertz import check_bandwidth, check_carrier, check_spacing


@pytest.mark.parametrize(
    ("check", "value", "meant"),
    [
        (check_carrier, 3.5, "3.5e9 is 3.5 GHz"),
        (check_carrier, 28, "28e9 is 28 GHz"),
        (check_carrier, 3500, "3500e6 is 3500 MHz"),
        (check_bandwidth, 100, "100e6 is 100 MHz"),
        (check_bandwidth, 0.4, "0.4e9 is 0.4 GHz"),
        (check_spacing, 30, "30e3 is 30 kHz"),
        (check_carrier, float("nan"), "hertz"),
        (check_spacing, -1, "hertz"),
    ],
)
def test_the_likely_unit_is_named(check, value, meant):
    with pytest.raises(SiteTwinError, match=meant):
        check("it", value)


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"carrier_hz": 28}, "carrier_hz is 28;.*28 GHz"),
        ({"carrier_hz": 3.5e9, "bandwidth_hz": 100}, "bandwidth_hz is 100;.*100 MHz"),
        ({"carrier_hz": 3.5e9, "spacing_hz": 15}, "spacing_hz is 15;.*15 kHz"),
    ],
)
def test_requests_refuse_them(choices, said):
    with pytest.raises(SiteTwinError, match=said):
        channel_request(**choices)


@pytest.mark.parametrize("setting", ["max_depth", "seed", "diffuse_tile_m"])
def test_true_is_no_number(setting):
    with pytest.raises(SiteTwinError, match=f"{setting} is True"):
        st.TraceSettings(**{setting: True})
