"""Channels of the link in the shapes of Sionna PHY, for what this room does not do: coding, detection, many receivers.

Paths go there by `sitetwin.export_channels` (`sitetwin.channel.formats`). These functions take arrays of this room:
channels after scaling, corrected or estimated ones, impulse responses. No Sionna is needed to make them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Complex, Float

from sitetwin.link.checks import checked_channels, checked_count, checked_ratio


def sionna_cir(
    taps: Any, sampling_rate_hz: float
) -> tuple[
    Complex[np.ndarray, "batch num_rx num_rx_ant num_tx num_tx_ant num_paths num_time_steps"],
    Float[np.ndarray, "batch num_rx num_tx num_paths"],
]:
    """Impulse responses as `a` and `tau` of `cir_to_ofdm_channel` and `CIRDataset`: each tap is a path at its delay.

    Args:
        taps: [users, antennas, taps] complex; tap l lies at the delay l / rate.
        sampling_rate_hz: Sampling rate: subcarriers times spacing.

    Returns:
        `a` complex64 [users, 1, 1, 1, antennas, taps, 1], with one receiver of one antenna, one transmitter and one
        time step, and `tau` float32 [users, 1, 1, taps] in seconds.

    Raises:
        SiteTwinError: The taps have another shape or hold NaN, or the rate is not positive.
    """
    h = checked_channels(taps, "impulse responses", ("users", "antennas", "taps"))
    delays = np.arange(h.shape[-1]) / checked_ratio("sampling_rate_hz", sampling_rate_hz)
    tau = np.broadcast_to(delays.astype(np.float32), (len(h), 1, 1, h.shape[-1]))
    return h.astype(np.complex64)[:, None, None, None, :, :, None], tau.copy()


def sionna_ofdm_channel(
    channel: Any, symbols: int = 1
) -> Complex[np.ndarray, "batch num_rx num_rx_ant num_tx num_tx_ant num_ofdm_symbols fft_size"]:
    """Frequency responses as `h_freq` of `ApplyOFDMChannel`, the same for each of some OFDM symbols.

    Args:
        channel: [users, antennas, subcarriers] complex, k from -N/2 on: Sionna's order too.
        symbols: Number of OFDM symbols.

    Returns:
        complex64 [users, 1, 1, 1, antennas, symbols, subcarriers].

    Raises:
        SiteTwinError: The channel has another shape or holds NaN.
    """
    h = checked_channels(channel, "channels", ("users", "antennas", "subcarriers")).astype(np.complex64)
    count = checked_count("symbols", symbols)
    return np.repeat(h[:, None, None, None, :, None, :], count, axis=5)
