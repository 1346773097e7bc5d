"""Channels as the link wants them: [users, antennas, subcarriers] or [users, antennas, taps], of unit power.

The order of the subcarriers is that of `OfdmGrid`: k = -K/2 ... K/2-1 around the carrier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex, Float, Integer

from sitetwin.errors import SiteTwinError
from sitetwin.link.checks import checked_channels, checked_choice, checked_count, refuse_zero_channels

Channels = Complex[np.ndarray, "users antennas last"]


def response_of_taps(taps: Any, subcarriers: int) -> Complex[np.ndarray, "users antennas subcarriers"]:
    """Frequency responses ``H_k = sum_l h_l e^{-j 2 pi k l / N_s}`` of impulse responses, k from -N_s/2 on.

    Args:
        taps: [users, antennas, taps] complex; the first tap is the receiver's delay 0. More taps than subcarriers are
            allowed: they fold, as they do in OFDM.
        subcarriers: N_s.

    Raises:
        SiteTwinError: The taps have another shape or hold NaN, or there is no subcarrier.
    """
    values = checked_channels(taps, "impulse responses", ("users", "antennas", "taps"))
    size = checked_count("subcarriers", subcarriers)
    folds = -(-values.shape[-1] // size)
    padded = np.zeros((*values.shape[:-1], folds * size), np.complex128)
    padded[..., : values.shape[-1]] = values
    folded = padded.reshape(*values.shape[:-1], folds, size).sum(axis=-2)
    return np.fft.fftshift(np.fft.fft(folded, axis=-1), axes=-1)


def taps_of_response(response: Any) -> Complex[np.ndarray, "users antennas subcarriers"]:
    """Impulse responses of as many taps as subcarriers: the inverse of `response_of_taps`.

    Args:
        response: [users, antennas, subcarriers] complex, k from -N_s/2 on.

    Raises:
        SiteTwinError: The response has another shape or holds NaN.
    """
    values = checked_channels(response, "channels", ("users", "antennas", "subcarriers"))
    return np.fft.ifft(np.fft.ifftshift(values, axes=-1), axis=-1)


def channel_power(channels: Channels, last: str = "subcarriers") -> Float[np.ndarray, " users"]:
    """Power per antenna of each user: the mean over subcarriers, or the sum over taps, of the mean over antennas.

    Args:
        channels: [users, antennas, subcarriers] or [users, antennas, taps].
        last: What stands along the last axis, "subcarriers" or "taps".

    Raises:
        SiteTwinError: `last` is neither.
    """
    checked_choice("last", last, ("subcarriers", "taps"))
    power = (np.abs(channels) ** 2).mean(axis=1)
    return power.mean(axis=-1) if last == "subcarriers" else power.sum(axis=-1)


def unit_power(channels: Any, of: str = "each", last: str = "subcarriers") -> Channels:
    """Scale channels to a power of 1 per antenna, for which SNR = 1/sigma^2 is Es/N0.

    Args:
        channels: [users, antennas, subcarriers] or [users, antennas, taps].
        of: "each" scales every user by itself, as power control does; "all" scales all by one factor, so that near
            users keep their lead.
        last: What stands along the last axis, "subcarriers" or "taps".

    Raises:
        SiteTwinError: A choice is unknown, or a channel is zero or not finite.
    """
    values = checked_channels(channels, "channels", ("users", "antennas", last))
    refuse_zero_channels(values, "channels")
    power = channel_power(values, last)
    if checked_choice("of", of, ("each", "all")) == "all":
        power = np.full_like(power, power.mean())
    return values / np.sqrt(power)[:, None, None]


def served_users(*channels: Any) -> Bool[np.ndarray, " users"]:
    """(users,) whether a user has a finite channel that is not zero in each of the arrays, such as target and twin.

    Args:
        *channels: Arrays [users, ...] of the same users.

    Raises:
        SiteTwinError: The arrays have different numbers of users, or there is none.
    """
    arrays = [np.atleast_1d(np.asarray(array)) for array in channels]
    if not arrays or len({len(array) for array in arrays}) > 1:
        raise SiteTwinError(f"channels of {[len(array) for array in arrays]} users were given; give the same users")
    kept = np.ones(len(arrays[0]), bool)
    for array in arrays:
        rest = tuple(range(1, array.ndim))
        kept &= np.isfinite(array).all(axis=rest) & array.any(axis=rest)
    return kept


@dataclass(frozen=True, eq=False)
class LinkChannels:
    """Channels of users with one antenna each, taken from a labelled array of channels.

    Attributes:
        values: [users, antennas, subcarriers] or [users, antennas, taps] complex128, as they were: not scaled.
        last: "subcarriers" or "taps".
        users: (users,) numbers of the users in the labelled array.
        left_out: How many users were left out because they have no path.
    """

    values: Channels
    last: str
    users: Integer[np.ndarray, " users"]
    left_out: int

    def scaled(self, of: str = "each") -> Channels:
        """The channels with unit power; see `unit_power`."""
        return unit_power(self.values, of, self.last)


def link_channels(array: Any, rx_antenna: int = 0) -> LinkChannels:
    """Take channels for the link from what `sitetwin.channels` or `sitetwin.open_channels` returns.

    Users without a path, whose channel is zero, are left out and counted.

    Args:
        array: Labelled array of the quantity "cfr" or "cir", of one transmitter. Ask for impulse responses with
            ``delay_reference="first-path"``, so that they begin near tap 0, and a negative `first_tap` for what a
            pulse has before its peak: the first tap is the receiver's delay 0.
        rx_antenna: Which antenna of the users receives.

    Raises:
        SiteTwinError: The array has other axes, no user has a path, or values are not finite.
    """
    dims = tuple(str(dim) for dim in getattr(array, "dims", ()))
    last = {"frequency": "subcarriers", "delay": "taps"}.get(dims[-1] if dims else "", "")
    if dims[:-1] != ("user", "rx_antenna", "tx_antenna") or not last:
        raise SiteTwinError(
            f"the axes are ({', '.join(dims)}); give channels of one transmitter with the quantity cfr or cir: (user, "
            "rx_antenna, tx_antenna, frequency or delay)"
        )
    wanted = checked_count("rx_antenna", rx_antenna, 0, array.shape[1] - 1)
    if not array.shape[0]:
        raise SiteTwinError("there is no user; give channels of at least one")
    values = checked_channels(np.asarray(array.values)[:, wanted], "channels", ("users", "antennas", last))
    kept: np.ndarray = np.abs(values).max(axis=(1, 2)) > 0
    if not kept.any():
        raise SiteTwinError(f"none of the {len(kept)} users has a path; the link needs a channel")
    return LinkChannels(values[kept], last, np.flatnonzero(kept), int((~kept).sum()))
