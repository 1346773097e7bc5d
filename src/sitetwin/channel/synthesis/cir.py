"""Compute impulse responses: ideal pulses per path, or samples through a pulse shape."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields.gains import PathGains, checked_gains
from sitetwin.channel.numerics.ragged import Buffers, Factors, sum_over_paths
from sitetwin.channel.synthesis.steering import PathTensors, path_reference, plane_gains, recorded
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import SPEED_OF_LIGHT, Paths

Pulse = Literal["sinc", "raised-cosine"]


def pulse_shape(pulse: Pulse, time: Float[Tensor, "*shape"], roll_off: float = 0.25) -> Float[Tensor, "*shape"]:
    """Evaluate a Nyquist pulse, which is 1 at zero and 0 at all other whole numbers.

    Args:
        pulse: "sinc" or "raised-cosine" (Proakis, Digital Communications, eq. 9.2-27).
        time: (...) times in sampling periods.
        roll_off: Roll-off of the raised cosine, 0 to 1.

    Raises:
        SiteTwinError: The pulse is unknown or the roll-off outside 0 to 1.
    """
    if pulse == "sinc":
        return torch.sinc(time)
    if pulse != "raised-cosine":
        raise SiteTwinError(f"pulse '{pulse}' is unknown; choose sinc or raised-cosine")
    if not 0 <= roll_off <= 1:
        raise SiteTwinError(f"a roll-off of {roll_off} was asked for; it lies in 0 to 1")
    bend = 1 - (2 * roll_off * time) ** 2
    singular = bend.abs() < 1e-9
    shaped = (
        torch.sinc(time) * torch.cos(math.pi * roll_off * time) / torch.where(singular, torch.ones_like(bend), bend)
    )
    return torch.where(singular, math.pi / 4 * torch.sinc(time), shaped)


def impulse_response(
    paths: Paths,
    gains: PathGains,
    sampling_rate_hz: float,
    num_taps: int,
    tx: Radio | None = None,
    rx: Radio | None = None,
    *,
    pulse: Pulse = "sinc",
    roll_off: float = 0.25,
    first_tap: int = 0,
    delay_reference_s: float | Float[Tensor, "*reference"] = 0.0,
) -> Complex[Tensor, "users rx_antennas tx_antennas taps"]:
    """Compute the sampled impulse response ``h[u, r, t, n] = sum_p a_p g(n - W tau_p)``, n from `first_tap` on.

    Delays tau are counted from a reference; the carrier's phase is in the gains and stays.

    Args:
        paths: P paths of U users.
        gains: Their gains from `path_gains`.
        sampling_rate_hz: Sampling rate W, Hz.
        num_taps: Number of taps.
        tx: Radio of the transmitter; by default the radio that the gains are for.
        rx: Radio of the users; by default the radio that the gains are for.
        pulse: "sinc" or "raised-cosine"; for ideal pulses see `ideal_response`.
        roll_off: Roll-off of the raised cosine, 0 to 1.
        first_tap: Index of the first tap; negative to keep a pulse's precursors.
        delay_reference_s: Delay of tap 0 in seconds, one for all users or (U,).

    Returns:
        (U, R, T, num_taps) complex of the type of `gains`.

    Raises:
        SiteTwinError: The gains do not belong to these paths and radios, or a number is not positive.
    """
    if not (math.isfinite(sampling_rate_hz) and sampling_rate_hz > 0 and num_taps >= 1):
        raise SiteTwinError(
            f"a rate of {sampling_rate_hz} Hz with {num_taps} taps was asked for; both must be positive"
        )
    known, tx, rx = checked_gains(gains, paths, tx=tx, rx=rx, follows=True)
    values = known.at_carrier
    batch = PathTensors.of(paths, known.moved)
    taps = first_tap + torch.arange(num_taps, dtype=torch.float64)
    at = batch.length * (sampling_rate_hz / SPEED_OF_LIGHT)
    at = at - path_reference(delay_reference_s, batch) * sampling_rate_hz

    def spell(paths_wanted: np.ndarray, _buffers: Buffers | None) -> tuple[Tensor, Tensor]:
        rows = torch.from_numpy(paths_wanted)
        pulses = pulse_shape(pulse, taps - at.index_select(0, rows)[:, None], roll_off).to(values.dtype)
        return plane_gains(batch, values, tx, rx, rows).contiguous(), pulses

    height = rx.array.num_antennas * tx.array.num_antennas
    factors = Factors(spell, height, num_taps, values.dtype, paths.num_paths)
    out = sum_over_paths(
        batch.offsets, factors, recorded=recorded(values, tx, rx, batch=batch, reference=delay_reference_s)
    )
    return out.view(batch.num_users, rx.array.num_antennas, tx.array.num_antennas, num_taps)


def ideal_response(
    paths: Paths, gains: PathGains, tx: Radio | None = None, rx: Radio | None = None, max_paths: int | None = None
) -> tuple[Complex[Tensor, "users rx_antennas tx_antennas most"], Float[Tensor, "users most"]]:
    """Return the impulse response with ideal pulses: gains and delays of the paths, padded to equal numbers.

    Args:
        paths: P paths of U users.
        gains: Their gains from `path_gains`.
        tx: Radio of the transmitter; by default the radio that the gains are for.
        rx: Radio of the users; by default the radio that the gains are for.
        max_paths: Number of strongest paths that are kept per user; all by default.

    Returns:
        Gains (U, R, T, N), zero where a user has fewer paths, and delays (U, N) float64 seconds, NaN there. The order
        is that of the paths, or falling power if `max_paths` is given.

    Raises:
        SiteTwinError: The gains do not belong to these paths and radios.
    """
    known, tx, rx = checked_gains(gains, paths, tx=tx, rx=rx, follows=True)
    batch = PathTensors.of(paths, known.moved)
    left = plane_gains(batch, known.at_carrier, tx, rx)
    counts = torch.diff(batch.offsets)
    most = int(counts.max()) if len(counts) else 0
    rank = torch.arange(len(batch.user)) - batch.offsets[batch.user]
    if max_paths is not None and max_paths < most:
        power = left.detach().abs().square().sum(dim=-1).double()
        order = torch.argsort(power, descending=True, stable=True)
        order = order[torch.argsort(batch.user[order], stable=True)]
        rank = torch.empty_like(rank).index_put((order,), rank)
        most = max_paths
    kept = torch.nonzero(rank < most).flatten()
    place = (batch.user[kept], rank[kept])
    a = left.new_zeros(batch.num_users, most, left.shape[-1]).index_put(place, left[kept])
    delays = torch.full((batch.num_users, most), math.nan, dtype=torch.float64)
    delays[place] = batch.length[kept] / SPEED_OF_LIGHT
    shape = (batch.num_users, rx.array.num_antennas, tx.array.num_antennas, most)
    return a.transpose(1, 2).reshape(shape), delays
