"""Make requests for channels from the keyword arguments of a notebook."""

from __future__ import annotations

from dataclasses import fields
from numbers import Integral, Real
from typing import Literal, TypedDict, Unpack

import torch
from jaxtyping import Shaped
from torch import Tensor

from sitetwin.channel import Atmosphere, CanopyScattering, ChannelRequest, FieldOptions, OfdmGrid, Radio
from sitetwin.channel.fields.options import MaterialValues
from sitetwin.errors import SiteTwinError
from sitetwin.hertz import check_bandwidth, check_carrier, check_spacing

SPACING_HZ = 30e3
"""Subcarrier spacing where neither it nor a bandwidth is given: numerology 1 of 5G NR."""


class ChannelChoices(TypedDict, total=False):
    """Keyword arguments of `channel_request`; only the carrier must be given.

    carrier_hz is the carrier. The band has `subcarriers` of them, `spacing_hz` apart, or `bandwidth_hz` in all.
    radio and user_radio are the antennas of the transmitter and of the users. quantity is "cfr", "delay-angle" or
    "gains"; num_taps counts the delay taps from first_tap on (for "auto" see `with_fitting_taps`; `channels` and
    `channels_to_store` take it), and delay_reference says where delay 0 lies. The others
    are fields of `ChannelRequest` and of its `FieldOptions`, which say what they mean.
    """

    carrier_hz: float
    bandwidth_hz: float
    spacing_hz: float
    subcarriers: int
    radio: Radio
    user_radio: Radio
    quantity: Literal["cfr", "cir", "delay-angle", "gains"]
    num_taps: int | Literal["auto"]
    first_tap: int
    delay_reference: Literal["transmission", "first-path"]
    season: Literal["summer", "winter"]
    foliage: str | None
    canopy: CanopyScattering
    out_of_range: Literal["clamp", "extrapolate", "error"]
    diffraction: Literal["luebbers", "sionna"]
    wavefront: Literal["plane", "spherical"]
    steering: Literal["carrier", "per-subcarrier"]
    relative_permittivity: MaterialValues
    conductivity: MaterialValues
    thickness: MaterialValues
    scattering_coefficient: MaterialValues
    xpd_coefficient: MaterialValues
    foliage_factor: Shaped[Tensor, "*volumes"] | None
    transmitter_offset: Shaped[Tensor, "*xyz"] | None
    user_offset: Shaped[Tensor, "*xyz"] | None
    atmosphere: Atmosphere | None
    diffuse_seed: int
    diffuse: bool | None
    gain_nodes: bool
    pulse: Literal["sinc", "raised-cosine"]


_OWN = ("carrier_hz", "bandwidth_hz", "spacing_hz", "subcarriers", "radio", "user_radio")
_OF_REQUEST = {"radio": "tx", "user_radio": "rx"}
_OF_FIELDS = {field.name for field in fields(FieldOptions)}


def channel_request(request: ChannelRequest | None = None, **choices: Unpack[ChannelChoices]) -> ChannelRequest:
    """Return the given request for channels, or make a new one from the choices.

    Args:
        request: A complete request; then no choices may be given.
        **choices: Fields of `ChannelChoices`; `carrier_hz` is required.

    Raises:
        SiteTwinError: Both or neither were given, a choice is unknown, or its value is out of range.
    """
    if request is not None:
        if choices:
            raise SiteTwinError(f"a request was given and {min(choices)} beside it; put it into the request")
        return request
    known = {field.name for field in fields(ChannelRequest)} - {"grid", "options", *_OF_REQUEST.values()}
    known |= {*_OWN, *_OF_FIELDS}
    unknown = sorted(set(choices) - known)
    if unknown:
        raise SiteTwinError(f"channels know no choice '{unknown[0]}'; they know {', '.join(sorted(known))}")
    _check_numbers(choices)
    options = {name: value for name, value in choices.items() if name in _OF_FIELDS}
    for name in _OF_REQUEST:
        if not isinstance(choices.get(name, Radio()), Radio):
            raise SiteTwinError(f"{name} is {choices[name]!r}, which is no radio; give Radio(...)")  # type: ignore[literal-required]
    rest = {_OF_REQUEST.get(name, name): v for name, v in choices.items() if name not in (*_BAND, *options)}
    # The names were checked above.
    return ChannelRequest(_grid(choices), options=FieldOptions(**options), **rest)  # type: ignore[arg-type]


def check_no_gradients(request: ChannelRequest) -> None:
    """Refuse a request for an array without gradients if gradients are asked of what it is made with.

    Raises:
        SiteTwinError: A tensor of the options, or of a radio, requires gradients.
    """
    radios = [tensor for radio in (request.tx, request.rx) for tensor in (radio.orientation, radio.array.positions)]
    asked = request.options.requires_grad or any(isinstance(t, Tensor) and t.requires_grad for t in radios)
    if asked and torch.is_grad_enabled():
        raise SiteTwinError(
            "gradients are asked of what these channels are made with, and arrays with labels carry none; take "
            "sitetwin.channel_tensor, or give tensors without gradients (.detach())"
        )


def _check_numbers(choices: ChannelChoices) -> None:
    """Refuse texts and other things where numbers belong, before a library stumbles over them."""
    for name in (*_BAND, "num_taps", "first_tap", "diffuse_seed"):
        value, whole = choices.get(name, 1), name in ("subcarriers", "num_taps", "first_tap", "diffuse_seed")
        if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
            raise SiteTwinError(f"{name} is {value!r}; give a {'whole ' if whole else ''}number")


_BAND = ("carrier_hz", "bandwidth_hz", "spacing_hz", "subcarriers")


def _grid(choices: ChannelChoices) -> OfdmGrid:
    """Carrier and subcarriers of the choices."""
    if "carrier_hz" not in choices:
        raise SiteTwinError("channels need a carrier; give carrier_hz, such as carrier_hz=3.5e9")
    if "bandwidth_hz" in choices and "spacing_hz" in choices:
        raise SiteTwinError("bandwidth_hz and spacing_hz both say how wide the band is; give one of them")
    subcarriers = choices.get("subcarriers", 256)
    check_carrier("carrier_hz", choices["carrier_hz"])
    check_bandwidth("bandwidth_hz", choices.get("bandwidth_hz", 100e6))
    check_spacing("spacing_hz", choices.get("spacing_hz", SPACING_HZ))
    if "bandwidth_hz" in choices:
        whole = OfdmGrid(choices["carrier_hz"], subcarriers, SPACING_HZ)  # refuses what cannot be counted
        return OfdmGrid(choices["carrier_hz"], subcarriers, choices["bandwidth_hz"] / whole.num_subcarriers)
    return OfdmGrid(choices["carrier_hz"], subcarriers, choices.get("spacing_hz", SPACING_HZ))
