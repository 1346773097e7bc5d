"""Checks of what the link is given: numbers that are finite, shapes that fit, channels that are not zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from jaxtyping import Complex, Float

from sitetwin.errors import SiteTwinError

Numbers = Float[np.ndarray, " snrs"] | Sequence[float] | float
"""SNRs in dB: one, or several."""


def checked_channels(
    channels: Any, name: str, axes: Sequence[str], alike: tuple[str, np.ndarray] | None = None
) -> Complex[np.ndarray, "*channels"]:
    """Return channels as complex128 after checks.

    Args:
        channels: Complex array.
        name: What it is called in messages.
        axes: Names of its axes.
        alike: Name and array of channels that have the same shape.

    Raises:
        SiteTwinError: The array is not complex, has other axes or another shape, is empty, or holds NaN or infinity.
    """
    values = np.asarray(channels)
    wanted = f"[{', '.join(axes)}]"
    if values.ndim != len(axes):
        raise SiteTwinError(f"{name} have the shape {values.shape}; give {wanted}")
    if values.dtype.kind != "c":
        raise SiteTwinError(f"{name} hold {values.dtype}, not complex numbers; give complex channels {wanted}")
    if values.size == 0:
        raise SiteTwinError(f"{name} of the shape {values.shape} are empty; give at least one along each of {wanted}")
    if alike is not None and values.shape != alike[1].shape:
        raise SiteTwinError(
            f"{name} have the shape {values.shape} but {alike[0]} {alike[1].shape}; both are {wanted} of the same users"
        )
    bad = ~np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if bad.any():
        raise SiteTwinError(
            f"{name} hold NaN or infinity in {int(bad.sum())} of {len(bad)} {axes[0]} (the first is number "
            f"{int(np.argmax(bad))}); leave them out"
        )
    return values.astype(np.complex128)


def refuse_zero_channels(channels: Complex[np.ndarray, "users ..."], name: str) -> None:
    """Refuse users whose channel is zero everywhere: no precoder can serve them, and no power can be normalised.

    Raises:
        SiteTwinError: A channel is zero.
    """
    dead = ~np.reshape(channels, (len(channels), -1)).any(axis=1)
    if dead.any():
        raise SiteTwinError(
            f"{name} are zero for {int(dead.sum())} of {len(channels)} users (the first is number "
            f"{int(np.argmax(dead))}), who have no path; leave them out with sitetwin.link.served_users"
        )


def snr_of_db(snr_db: Numbers) -> tuple[Float[np.ndarray, " snrs"], Float[np.ndarray, " snrs"]]:
    """Return SNRs in dB as an array, and as ratios 1/sigma^2.

    Raises:
        SiteTwinError: An SNR is not finite, or there is none.
    """
    try:
        values = np.atleast_1d(np.asarray(snr_db, dtype=float))
    except (TypeError, ValueError) as error:
        raise SiteTwinError(f"snr_db is {snr_db!r}; give numbers in dB") from error
    if values.ndim != 1 or not values.size or not np.isfinite(values).all() or np.abs(values).max() > 300:
        raise SiteTwinError(f"snr_db is {snr_db!r}; give one or several finite numbers in dB, within +-300")
    return values, 10 ** (values / 10)


def checked_ratio(name: str, value: Any) -> float:
    """Return a positive and finite number, such as an SNR that is a ratio and not in dB.

    Raises:
        SiteTwinError: The value is no number, negative, zero or infinite.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < math.inf:
        raise SiteTwinError(f"{name} is {value!r}; give a positive number (a ratio, not dB)")
    return float(value)


def checked_count(name: str, value: Any, least: int = 1, most: int = 2**31) -> int:
    """Return a whole number within bounds.

    Raises:
        SiteTwinError: It is no whole number, or out of bounds.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= int(value) <= most:
        raise SiteTwinError(f"{name} is {value!r}; give a whole number from {least} to {most}")
    return int(value)


def checked_rng(rng: Any) -> np.random.Generator:
    """Return a generator of random numbers.

    Raises:
        SiteTwinError: It is none.
    """
    if not isinstance(rng, np.random.Generator):
        raise SiteTwinError(f"rng is {rng!r}; give a generator, such as numpy.random.default_rng(1)")
    return rng


def checked_choice(name: str, value: Any, known: Sequence[str]) -> str:
    """Return a choice that is known.

    Raises:
        SiteTwinError: It is not known.
    """
    if value not in known:
        raise SiteTwinError(f"{name} {value!r} is unknown; choose one of {', '.join(known)}")
    return str(value)


def checked_probabilities(probabilities: Any, users: int) -> Float[np.ndarray, " users"]:
    """Return the weight of each user in a mean, of sum 1; equal weights for None.

    Raises:
        SiteTwinError: There is not one weight per user, or a weight is negative or not finite.
    """
    if probabilities is None:
        return np.full(users, 1 / users)
    try:
        values = np.asarray(probabilities, dtype=float)
    except (TypeError, ValueError) as error:
        raise SiteTwinError(f"probabilities are {probabilities!r}; give a number for each user") from error
    if values.shape != (users,) or not np.isfinite(values).all() or (values < 0).any() or not values.sum() > 0:
        raise SiteTwinError(
            f"probabilities of the shape {values.shape} were given for {users} users; give one for each, none of them "
            "negative"
        )
    return values / values.sum()
