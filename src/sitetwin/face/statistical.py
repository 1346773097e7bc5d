"""Channels of TR 38.901 that know no site, with the labels of those of a site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

import numpy as np
import torch
import xarray as xr

from sitetwin.channel.statistical import statistical_responses
from sitetwin.channel.synthesis import delay_angle_from_response
from sitetwin.errors import SiteTwinError
from sitetwin.face.labels import Labels, labelled, plain_attributes
from sitetwin.face.requests import ChannelChoices, channel_request

_SAID = (
    "carrier_hz",
    "bandwidth_hz",
    "spacing_hz",
    "subcarriers",
    "radio",
    "user_radio",
    "quantity",
    "num_taps",
    "first_tap",
    "delay_reference",
)


def statistical_channels(
    model: str,
    users: int = 5120,
    seed: int = 0,
    *,
    progress: Callable[[float], None] | None = None,
    **choices: Unpack[ChannelChoices],
) -> xr.DataArray:
    """Draw channels of 3GPP TR 38.901, which know no site: what everybody has without a map.

    They are drawn by Sionna's physical layer (``pip install 'sitetwin[statistical]'``). Norms mean nothing: path loss
    and shadow fading are left out.

    Args:
        model: "umi" (street canyon, users outdoors in a sector before the array), or "cdl-a" to "cdl-e" with headings,
            delay spreads and distances drawn for each user; see `sitetwin.channel.statistical.statistical_responses`.
        users: Number of users.
        seed: Seed of all draws.
        progress: Called with the finished share.
        **choices: Carrier, band, radios and delay taps as for `channels`; ``quantity`` is "cfr" or "delay-angle".

    Returns:
        complex64 array with the axes and attributes of `channels`; the positions of the users are not a number.

    Raises:
        SiteTwinError: The model is unknown, Sionna's physical layer is missing, a choice says nothing to such channels,
            or the array or the carrier has no counterpart there.

    Example:
        ::

            h = st.statistical_channels("umi", carrier_hz=3.5e9, radio=st.Radio("ula:32"), quantity="delay-angle")
            codec = st.fit_codec(h)
    """
    idle = sorted(set(choices) - set(_SAID))
    if idle:
        raise SiteTwinError(f"{idle[0]} says nothing to statistical channels, which have no paths; leave it out")
    request = channel_request(**choices)
    if request.quantity not in ("cfr", "delay-angle"):
        raise SiteTwinError(f"statistical channels are cfr or delay-angle, not {request.quantity}; choose one of these")
    h = statistical_responses(
        model,
        request.grid,
        request.tx,
        users,
        seed,
        user_radio=request.rx,
        from_first_path=request.delay_reference == "first-path",
        progress=progress,
    )
    if request.quantity == "delay-angle":
        h = delay_angle_from_response(h, request.tx, request.num_taps, request.first_tap)
    facts = {
        **request.value_attributes(),
        **{name: value for name, value in request.configuration().items() if name != "batch_users"},
        **request.conventions(),
        "normalisation": "path loss and shadow fading are left out",
        "statistical_model": f"3GPP TR 38.901, {model}",
        "seed": seed,
    }
    nowhere = np.full((users, 3), np.nan)
    labels = Labels(request.array_name, request.dims, request.shape, nowhere, request.axes(), plain_attributes(facts))
    return labelled(h.to(torch.complex64).numpy(), labels)
