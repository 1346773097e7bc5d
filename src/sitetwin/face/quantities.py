"""Gains, powers and spreads of paths, in one call each."""

from __future__ import annotations

from typing import Unpack

import numpy as np
from jaxtyping import Float

from sitetwin.channel import PathGains, path_gains
from sitetwin.channel.link_statistics import LinkStatistics, link_statistics
from sitetwin.errors import SiteTwinError
from sitetwin.face.requests import ChannelChoices, channel_request
from sitetwin.rays import Paths
from sitetwin.site import Site

ANGLES = ("azimuth_departure", "zenith_departure", "azimuth_arrival", "zenith_arrival")


def gains(paths: Paths, site: Site, **choices: Unpack[ChannelChoices]) -> PathGains:
    """Compute the complex gain of every path between the ports of two radios, carrier phase included.

    Args:
        paths: Paths from `trace`.
        site: The site in which the paths were traced, or a variant with the same geometry.
        **choices: ``carrier_hz=28e9, radio=..., user_radio=..., season="winter"`` and more; see `ChannelChoices`.

    Returns:
        The gains. They know their site, carrier, radios and options, and give `.power` and `.power_db` of each path.
        Gradients flow into tensors of the choices.

    Raises:
        SiteTwinError: The paths belong to another site, or a choice is impossible.
    """
    if choices.setdefault("quantity", "gains") != "gains":
        raise SiteTwinError(f"gains were asked for with quantity='{choices['quantity']}'; leave quantity out")
    wanted = channel_request(**choices)
    return path_gains(paths, site, wanted.grid.carrier_hz, wanted.tx, wanted.rx, wanted.options)


def link_quantities(paths: Paths, site: Site, **choices: Unpack[ChannelChoices]) -> LinkStatistics:
    """Compute path gain, delay spread, angular spreads, Rician K-factor and line of sight of each user.

    Between radios with several ports, the power of a path is the mean over the ports.

    Args:
        paths: Paths from `trace`.
        site: The site in which the paths were traced, or a variant with the same geometry.
        **choices: As for `gains`.

    Raises:
        SiteTwinError: As for `gains`.
    """
    power = gains(paths, site, **choices).power.detach().numpy()
    return link_statistics(paths, power.mean(axis=(1, 2)))


def path_power_db(paths: Paths, site: Site, **choices: Unpack[ChannelChoices]) -> Float[np.ndarray, " paths"]:
    """(paths,) received over transmitted power of each path in dB, the mean over ports; -inf where a path has none."""
    with np.errstate(divide="ignore"):
        return 10 * np.log10(gains(paths, site, **choices).power.detach().numpy().mean(axis=(1, 2)))


def user_power_db(paths: Paths, site: Site, **choices: Unpack[ChannelChoices]) -> Float[np.ndarray, " users"]:
    """(users,) received over transmitted power in dB, the sum of the powers of a user's paths; NaN without a path."""
    gain = link_quantities(paths, site, **choices).path_gain
    return 10 * np.log10(np.where(gain > 0, gain, np.nan))


def delay_spread(paths: Paths, site: Site, **choices: Unpack[ChannelChoices]) -> Float[np.ndarray, " users"]:
    """(users,) root mean square delay spread in seconds; NaN without a path."""
    return link_quantities(paths, site, **choices).delay_spread


def angular_spread(
    paths: Paths, site: Site, which: str = "azimuth_departure", **choices: Unpack[ChannelChoices]
) -> Float[np.ndarray, " users"]:
    """(users,) circular standard deviation of an angle (3GPP TR 38.901, Annex A.1) in radians; NaN without a path.

    Args:
        paths: Paths from `trace`.
        site: The site in which the paths were traced, or a variant with the same geometry.
        which: One of `ANGLES`.
        **choices: As for `gains`.

    Raises:
        SiteTwinError: There is no such angle.
    """
    if which not in ANGLES:
        raise SiteTwinError(f"there is no angle '{which}'; choose one of {', '.join(ANGLES)}")
    kind, end = which.split("_")
    spread: np.ndarray = getattr(link_quantities(paths, site, **choices), f"{kind}_spread_{end}")
    return spread
