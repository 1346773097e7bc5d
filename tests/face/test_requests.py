"""Requests in the words of a notebook."""

from dataclasses import fields
from typing import get_type_hints

import pytest

import sitetwin as st
from sitetwin.face.requests import ChannelChoices, channel_request
from sitetwin.face.tracing import TraceChoices, trace_settings


def test_every_setting_of_the_tracer_may_be_given_by_name():
    assert get_type_hints(TraceChoices) == {f.name: t for f, t in _types(st.TraceSettings)}


def test_every_field_of_a_request_may_be_given_by_name():
    ours = {"carrier_hz", "bandwidth_hz", "spacing_hz", "subcarriers", "radio", "user_radio"}
    assert set(get_type_hints(ChannelChoices)) - ours == {
        *({f.name for f in fields(st.ChannelRequest)} - {"grid", "tx", "rx", "options"}),
        *(f.name for f in fields(st.FieldOptions)),
    }


def _types(of):
    hints = get_type_hints(of)
    return [(f, hints[f.name]) for f in fields(of)]


def test_a_bandwidth_is_shared_by_its_subcarriers():
    grid = channel_request(carrier_hz=28e9, bandwidth_hz=100e6, subcarriers=256).grid
    assert grid.spacing_hz == 100e6 / 256
    assert grid.bandwidth_hz == pytest.approx(100e6)
    assert channel_request(carrier_hz=28e9).grid.spacing_hz == 30e3


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({}, "need a carrier"),
        ({"carrier_hz": 3.5e9, "bandwidth_hz": 1e6, "spacing_hz": 1e3}, "one of them"),
        ({"carrier_hz": 3.5e9, "subcariers": 12}, "no choice 'subcariers'"),
        ({"carrier_hz": 3.5e9, "subcarriers": 0, "bandwidth_hz": 1e6}, "at least 1"),
        ({"carrier_hz": -1.0}, "not a positive number"),
    ],
)
def test_impossible_requests_are_one_sentence(choices, sentence):
    with pytest.raises(st.SiteTwinError, match=sentence):
        channel_request(**choices)


def test_a_ready_request_stands_alone():
    ready = st.ChannelRequest(st.OfdmGrid(3.5e9))
    assert channel_request(ready) is ready
    with pytest.raises(st.SiteTwinError, match="beside it"):
        channel_request(ready, carrier_hz=3.5e9)


def test_unknown_settings_of_the_tracer_are_named():
    with pytest.raises(st.SiteTwinError, match="no setting 'maxdepth'; it knows max_depth"):
        trace_settings(maxdepth=3)
    assert trace_settings(st.TraceSettings(max_depth=1), diffraction=True) == st.TraceSettings(
        max_depth=1, diffraction=True
    )


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"carrier_hz": "28e9"}, "carrier_hz is '28e9'; give a number"),
        ({"carrier_hz": 28e9, "bandwidth_hz": "100e6"}, "bandwidth_hz is '100e6'"),
        ({"carrier_hz": 28e9, "num_taps": 3.0}, "num_taps is 3.0; give a whole number"),
        ({"carrier_hz": True}, "carrier_hz is True"),
    ],
)
def test_what_is_no_number_is_refused_by_name(choices, sentence):
    with pytest.raises(st.SiteTwinError, match=sentence):
        channel_request(**choices)
