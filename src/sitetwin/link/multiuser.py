"""Several users at once: zero-forcing, regularised zero-forcing (MMSE) and MRT, with rates and bit errors.

Channels have the axes [groups, users, antennas, subcarriers]; a group is served together. User u of a group receives
``y_u = sum_v s_v sum_t h[u, t] b[v, t] + w_u`` at each subcarrier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Complex, Float, Integer

from sitetwin.errors import SiteTwinError
from sitetwin.link.checks import Numbers, checked_channels, checked_choice, checked_count, checked_ratio, snr_of_db
from sitetwin.link.constellations import modulation
from sitetwin.link.power import normalise_power

AXES = ("groups", "users", "antennas", "subcarriers")
MULTIUSER_PRECODERS = ("zf", "mmse", "mrt")
Grouped = Complex[np.ndarray, "groups users antennas subcarriers"]

_WORST_CONDITION = 1e7  # of H, above which inverting H H^H loses all digits that matter


def group_users(
    channels: Any, size: int, rng: np.random.Generator
) -> tuple[Grouped, Integer[np.ndarray, "groups users"]]:
    """Put users into groups at random; those that fill no group are left out.

    Args:
        channels: [users, antennas, subcarriers].
        size: Users of a group.
        rng: Generator of the order.

    Returns:
        [groups, size, antennas, subcarriers], and the numbers of the users, by which other channels of the same users
        are grouped alike: ``twin[numbers]``.

    Raises:
        SiteTwinError: There are fewer users than a group needs.
    """
    values = checked_channels(channels, "channels", ("users", "antennas", "subcarriers"))
    count = checked_count("size", size, 1, len(values))
    numbers = rng.permutation(len(values))[: len(values) // count * count].reshape(-1, count)
    return values[numbers], numbers


def multiuser_weights(
    known: Any,
    name: str,
    snr: float,
    normalisation: str = "symbol",
    sharing: str = "equal",
    regularisation: float | None = None,
) -> Grouped:
    """Weights of the streams of each group, at total power 1.

    "zf": ``B = H^H (H H^H)^-1``; "mmse": ``B = H^H (H H^H + xi I)^-1`` with xi = users/SNR (C. B. Peel, B. M. Hochwald,
    A. L. Swindlehurst, "A vector-perturbation technique for near-capacity multiantenna multiuser communication, part
    I", IEEE Trans. Commun. 53(1), 2005); "mrt": ``B = H^H``.

    Args:
        known: [groups, users, antennas, subcarriers] channels that the transmitter knows.
        name: "zf", "mmse" or "mrt".
        snr: 1/sigma^2 at total power 1, a ratio.
        normalisation: How the total power is fixed; see `sitetwin.link.power`.
        sharing: "equal" gives every stream the same power, which the normalisation fixes for each by itself; "common"
            scales all streams by one factor, so that zero-forcing gives all users the same gain.
        regularisation: xi; users/SNR by default.

    Returns:
        [groups, streams, antennas, subcarriers].

    Raises:
        SiteTwinError: A choice is unknown, a channel is zero or not finite, or zero-forcing has more users than
            antennas or channels in one direction.
    """
    h = checked_channels(known, "known channels", AXES)
    checked_choice("precoder", name, MULTIUSER_PRECODERS)
    checked_choice("sharing", sharing, ("equal", "common"))
    users = h.shape[1]
    xi = (
        users / checked_ratio("snr", snr) if regularisation is None else checked_ratio("regularisation", regularisation)
    )
    if not h.any(axis=(2, 3)).all():
        raise SiteTwinError(
            "a known channel is zero: its user has no path; leave such users out before they are grouped"
        )
    matrix = np.moveaxis(h, -1, 1)  # [groups, subcarriers, users, antennas]
    adjoint = np.swapaxes(matrix, -1, -2).conj()
    if name == "zf":
        _check_invertible(matrix)
        weights = np.linalg.pinv(matrix)
    elif name == "mmse":
        weights = adjoint @ np.linalg.inv(matrix @ adjoint + xi * np.eye(users))
    else:
        weights = adjoint
    streams = np.moveaxis(weights, 1, -1).swapaxes(1, 2)
    if sharing == "common" or normalisation == "none":
        return normalise_power(streams, normalisation)
    if normalisation == "long-term":
        return np.stack([normalise_power(streams[:, u], normalisation) for u in range(users)], axis=1) / np.sqrt(users)
    alone = normalise_power(streams.reshape(-1, *h.shape[2:]), normalisation)
    return alone.reshape(streams.shape) / np.sqrt(users)


def _check_invertible(matrix: np.ndarray) -> None:
    """Refuse channels that zero-forcing cannot tell apart."""
    users, antennas = matrix.shape[-2:]
    if users > antennas:
        raise SiteTwinError(
            f"zero-forcing serves at most as many users as antennas; {users} users were given for {antennas} antennas: "
            "give smaller groups, or take mmse"
        )
    values = np.linalg.svd(matrix, compute_uv=False)
    bad = values[..., -1] * _WORST_CONDITION <= values[..., 0]
    if bad.any():
        groups = np.flatnonzero(bad.any(axis=1))
        raise SiteTwinError(
            f"the users of {len(groups)} of {len(bad)} groups (the first is number {groups[0]}) have channels in one "
            "direction, which zero-forcing cannot tell apart; group other users, or take mmse"
        )


def multiuser_sinr(channel: Any, weights: Any, snr: float) -> Float[np.ndarray, "groups users subcarriers"]:
    """Signal to interference and noise of each user at each subcarrier.

    Args:
        channel: [groups, users, antennas, subcarriers] true channels.
        weights: [groups, users, antennas, subcarriers] weights of the users' streams.
        snr: 1/sigma^2, a ratio.

    Raises:
        SiteTwinError: Shapes differ, or values are not finite.
    """
    h = checked_channels(channel, "channels", AXES)
    b = checked_channels(weights, "weights", AXES, ("channels", h))
    power = np.abs(np.einsum("gutk,gvtk->guvk", h, b)) ** 2
    own = np.einsum("guuk->guk", power)
    others = np.where(np.eye(h.shape[1], dtype=bool)[:, :, None], 0, power).sum(axis=2)
    return own / (others + 1 / checked_ratio("snr", snr))


@dataclass(frozen=True, eq=False)
class MultiUserCurve:
    """Rates and bit error rates of users that are served together.

    Attributes:
        snr_db: (snrs,) SNR 1/sigma^2 in dB at total transmit power 1.
        rates: (snrs, groups, users) mean over the subcarriers of log2(1 + SINR), bit/s/Hz. The prefix is not taken off.
        error_rates: (snrs, groups, users) bit error rates, with interference as Gaussian noise.
        modulation: Name of the constellation.
        label: What was evaluated.
    """

    snr_db: Float[np.ndarray, " snrs"]
    rates: Float[np.ndarray, "snrs groups users"]
    error_rates: Float[np.ndarray, "snrs groups users"]
    modulation: str
    label: str

    @property
    def sum_rate(self) -> Float[np.ndarray, " snrs"]:
        """(snrs,) sum of the users' rates, the mean over groups."""
        return self.rates.sum(axis=2).mean(axis=1)

    @property
    def ber(self) -> Float[np.ndarray, " snrs"]:
        """(snrs,) mean bit error rate."""
        return self.error_rates.mean(axis=(1, 2))


def multiuser_curve(
    channel: Any,
    known: Any,
    name: str,
    snr_db: Numbers,
    constellation: str = "qpsk",
    *,
    normalisation: str = "symbol",
    sharing: str = "equal",
    regularisation: float | None = None,
) -> MultiUserCurve:
    """Serve groups of users over their true channels with what the transmitter knows.

    Args:
        channel: [groups, users, antennas, subcarriers] true channels of unit power.
        known: Channels that the transmitter knows, such as the twin's; the true ones for the genie.
        name: "zf", "mmse" or "mrt".
        snr_db: SNRs in dB.
        constellation: Name of the constellation.
        normalisation: As for `multiuser_weights`.
        sharing: As for `multiuser_weights`.
        regularisation: As for `multiuser_weights`.

    Raises:
        SiteTwinError: As `multiuser_weights` and `multiuser_sinr`.
    """
    values, ratios = snr_of_db(snr_db)
    h = checked_channels(channel, "channels", AXES)
    twin = checked_channels(known, "known channels", AXES, ("channels", h))
    kind = modulation(constellation)
    rates, errors = (np.empty((len(ratios), *h.shape[:2])) for _ in range(2))
    for row, snr in enumerate(ratios):
        weights = multiuser_weights(twin, name, float(snr), normalisation, sharing, regularisation)
        sinr = multiuser_sinr(h, weights, float(snr))
        rates[row] = np.log2(1 + sinr).mean(axis=-1)
        errors[row] = kind.error_rate(sinr).mean(axis=-1)
    return MultiUserCurve(values, rates, errors, kind.name, f"{name}, {normalisation}, {sharing} power")
