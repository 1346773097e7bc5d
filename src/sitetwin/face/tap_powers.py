"""Mean and spread of the powers of delay taps over the phases of the paths, with named axes."""

from __future__ import annotations

import math
from typing import Unpack

import numpy as np
import xarray as xr

from sitetwin.channel import path_gains
from sitetwin.channel import tap_power_law as law_of_taps
from sitetwin.channel.delay_shares import first_moved_delays
from sitetwin.channel.user_delays import REFERENCE, first_delay_array
from sitetwin.errors import SiteTwinError
from sitetwin.face.fitting_taps import with_fitting_taps
from sitetwin.face.labels import labelled, labels_of_request
from sitetwin.face.requests import ChannelChoices, channel_request, check_no_gradients
from sitetwin.face.sources import PathsOf, path_source
from sitetwin.site import Site


def tap_power_law(
    paths: PathsOf, site: Site, *, noise: float = 0.0, relative_error: float = 0.0, **choices: Unpack[ChannelChoices]
) -> xr.Dataset:
    """Mean and standard deviation of the power of each delay tap, over random phases of the paths.

    A map knows the powers of paths but not their phases, which change within centimetres. This is what a measured
    impulse response is to be compared with.

    Args:
        paths: Paths from `trace`, or the folder that `TraceJob.run` wrote, of one transmitter.
        site: The site in which the paths were traced, or a variant with the same geometry.
        noise: Mean power of the noise in a tap, received over transmitted power.
        relative_error: Standard deviation of the paths' powers that errors of the twin make, over the powers.
        **choices: As for `channels` with ``quantity="cir"``, which is the default.

    Returns:
        ``mean`` and ``sd`` of the power (received over transmitted power, linear), ``mean_db`` and ``sd_db`` of the
        power in dB, by a gamma law of the same mean and variance (see `sitetwin.channel.TapLaw` for how near it is).
        Axes: user, rx_antenna, tx_antenna, delay. A tap without any power has a mean of minus infinity dB and no
        spread (NaN).

    Raises:
        SiteTwinError: The paths belong to another site, the request is impossible or not for "cir", gradients are asked
            of its tensors, or the noise or the error is negative.
    """
    automatic = choices.get("num_taps") == "auto"
    if choices.setdefault("quantity", "cir") != "cir":
        raise SiteTwinError(f"taps were asked for with quantity='{choices['quantity']}'; leave quantity out")
    if not (math.isfinite(relative_error) and relative_error >= 0):
        raise SiteTwinError(f"relative_error is {relative_error}; give a standard deviation over the power, 0 or more")
    if automatic:
        choices["num_taps"] = 1
    wanted = channel_request(**choices)
    check_no_gradients(wanted)
    if automatic:
        wanted = with_fitting_taps(paths, site, wanted)
    source = path_source(paths, site)
    some = source.take(np.arange(len(source.positions)))
    wanted.check_users(some.num_users)
    gains = path_gains(some, site, wanted.grid.carrier_hz, wanted.tx, wanted.rx, wanted.options)
    begin, reference = {}, np.zeros(some.num_users)
    if wanted.delay_reference != "transmission":
        first = first_moved_delays(some, gains.moved).detach().numpy()
        begin, reference = {REFERENCE: first_delay_array(first)}, np.nan_to_num(first)
    law = law_of_taps(
        some,
        gains,
        wanted.grid.bandwidth_hz,
        wanted.num_taps,
        pulse=wanted.pulse,
        first_tap=wanted.first_tap,
        delay_reference_s=reference,
        noise=noise,
    )
    labels = labels_of_request(source.positions, source.transmitter, site, wanted, begin)
    sd = np.sqrt(law.variance + (relative_error * law.signal) ** 2)
    found = dict(zip(("mean_db", "sd_db"), law.log_moments_db(relative_error), strict=True))
    units = {"mean": "1", "sd": "1", "mean_db": "dB", "sd_db": "dB"}
    arrays = {
        name: labelled(values, labels).assign_attrs(units=units[name], description=_TEXTS[name])
        for name, values in {"mean": law.mean, "sd": sd, **found}.items()
    }
    facts = {name: labels.attributes[name] for name in ("carrier_hz", "tap_spacing_s", "site", "site_hash")}
    return xr.Dataset(arrays, attrs={**facts, "noise": noise, "relative_error": relative_error})


_TEXTS = {
    "mean": "mean of the power of the tap over random phases of the paths, received over transmitted power",
    "sd": "standard deviation of that power",
    "mean_db": "mean of the power of the tap in dB, by a gamma law of the same mean and variance",
    "sd_db": "standard deviation of the power of the tap in dB, by that law",
}
