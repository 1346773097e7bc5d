"""Precoders for one user at a time: what the transmitter makes of the channel that it knows.

The received symbol at subcarrier k is ``y_k = s_k sum_t h[t, k] b[t, k] + w_k``; no conjugate stands on h. All weights
have the axes [users, antennas, subcarriers].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Complex, Float

from sitetwin.errors import SiteTwinError
from sitetwin.link.checks import checked_channels, checked_choice, checked_ratio, refuse_zero_channels
from sitetwin.link.power import NORMALISATIONS, normalise_power, power_scale

AXES = ("users", "antennas", "subcarriers")
Weights = Complex[np.ndarray, "users antennas subcarriers"]


def mrt(known: Weights, regularisation: float = 0.0) -> Weights:
    """Maximum ratio transmission, ``b = h*``.

    Args:
        known: [users, antennas, subcarriers] channel that the transmitter knows.
        regularisation: Not used; MRT has none.
    """
    return known.conj()


def mmse(known: Weights, regularisation: float) -> Weights:
    """Regularised inversion, joint over the antennas: ``b = h* / (||h||^2 + xi)``.

    This is ``(h* h^T + xi I)^-1 h*`` by the inversion lemma: the minimum of ``E|s - beta y|^2`` for xi = sigma^2 / P
    (M. Joham, W. Utschick, J. A. Nossek, "Linear transmit processing in MIMO communications systems", IEEE Trans.
    Signal Process. 53(8), 2005). Its direction is that of MRT for every xi: the two differ only in how power is spread
    over subcarriers, and not at all where the power of each subcarrier is fixed.

    Args:
        known: [users, antennas, subcarriers] channel that the transmitter knows.
        regularisation: xi.
    """
    return known.conj() / (_norm(known) + regularisation)


def mmse_per_antenna(known: Weights, regularisation: float) -> Weights:
    """Regularised inversion of each antenna by itself, ``b_t = h_t* / (|h_t|^2 + xi)``: not in the direction of MRT."""
    return known.conj() / (known.real**2 + known.imag**2 + regularisation)


def mmse_as_printed(known: Weights, regularisation: float) -> Weights:
    """The formula of arXiv 2501.16504 as printed, without an inverse: ``b = h* (||h||^2 + xi)``.

    It gives most power to the strongest subcarriers. It is here to show what the formula would do.
    """
    return known.conj() * (_norm(known) + regularisation)


def mmse_per_antenna_as_printed(known: Weights, regularisation: float) -> Weights:
    """The formula of arXiv 2501.16504 as printed, read for each antenna: ``b_t = h_t* (|h_t|^2 + xi)``."""
    return known.conj() * (known.real**2 + known.imag**2 + regularisation)


def _norm(known: np.ndarray) -> np.ndarray:
    """||h||^2 at each subcarrier, with the axis of the antennas kept."""
    return np.sum(known.real**2 + known.imag**2, axis=-2, keepdims=True)


def _squared(gains: np.ndarray) -> Float[np.ndarray, "users subcarriers"]:
    return np.square(gains.real) + np.square(gains.imag)


PRECODERS: dict[str, Callable[[Weights, float], Weights]] = {
    "mrt": mrt,
    "mmse": mmse,
    "mmse-per-antenna": mmse_per_antenna,
    "mmse-as-printed": mmse_as_printed,
    "mmse-per-antenna-as-printed": mmse_per_antenna_as_printed,
}
"""Precoders that are a function of the known channel, by name."""

_ALONG_MRT: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "mrt": lambda norm, xi: np.ones_like(norm),
    "mmse": lambda norm, xi: 1 / (norm + xi),
    "mmse-as-printed": lambda norm, xi: norm + xi,
}
"""Of precoders in the direction of MRT, the factor beside ``h*`` as a function of ``||h||^2``."""


@dataclass(frozen=True, eq=False)
class Precoder:
    """A precoder with what it knows and how its power is fixed.

    Make one with `precoder` from a known channel, or with `Precoder.given` from weights.

    Attributes:
        name: Name of the precoder.
        known: [users, antennas, subcarriers] channel that the transmitter knows; None for given weights alone.
        raw: Weights before normalisation, as a function of the regularisation xi.
        normalisation: "none", "subcarrier", "symbol" or "long-term"; see `sitetwin.link.power`.
        regularisation: xi; None for 1/SNR.
        probabilities: (users,) weight of each user in the mean of "long-term"; equal for None.
        along_mrt: Where the weights are those of MRT times a positive factor at each subcarrier, that factor as a
            function of ``||h||^2`` and xi; None for other weights.
    """

    name: str
    known: Weights | None
    raw: Callable[[float], Weights]
    normalisation: str = "symbol"
    regularisation: float | None = None
    probabilities: Float[np.ndarray, " users"] | None = None
    along_mrt: Callable[[np.ndarray, float], np.ndarray] | None = None

    def __post_init__(self) -> None:
        checked_choice("normalisation", self.normalisation, NORMALISATIONS)
        if self.regularisation is not None:
            checked_ratio("regularisation", self.regularisation)

    @classmethod
    def given(
        cls, weights: Any, normalisation: str = "symbol", known: Any = None, name: str = "given weights"
    ) -> Precoder:
        """A precoder of given weights, such as those of `covariance_mrt`.

        Args:
            weights: [users, antennas, subcarriers], or [users, antennas] for all subcarriers alike (then `known`
                tells how many there are).
            normalisation: How their power is fixed.
            known: [users, antennas, subcarriers] channel for the equaliser "twin"; None where that is not used.
            name: Name of the precoder.

        Raises:
            SiteTwinError: The weights have another shape, hold NaN, or are zero for a user.
        """
        values = np.asarray(weights)
        about = None if known is None else checked_channels(known, "known channels", AXES)
        if values.ndim == 2 and about is not None:
            values = np.repeat(values[..., None], about.shape[-1], axis=-1)
        values = checked_channels(values, "weights", AXES, None if about is None else ("known channels", about))
        refuse_zero_channels(values, "weights")
        return cls(name, about, lambda _xi: values, normalisation)

    def weights(self, snr: float) -> Weights:
        """[users, antennas, subcarriers] normalised weights at an SNR.

        Args:
            snr: 1/sigma^2, a ratio.

        Raises:
            SiteTwinError: The SNR is not positive, or weights have no power to normalise.
        """
        return normalise_power(self.raw(self._xi(snr)), self.normalisation, self.probabilities)

    def power_gains(self, channel: Weights) -> Callable[[float], Float[np.ndarray, "users subcarriers"]]:
        """``|sum_t h[t, k] b[t, k]|^2`` in true channels, as a function of the SNR.

        Along MRT, the sum over the antennas is that of MRT at every SNR, and only its factor changes.

        Args:
            channel: [users, antennas, subcarriers] true channels of the same shape.
        """
        if not self.follows_snr:
            fixed = _squared(np.einsum("utk,utk->uk", channel, self.weights(1.0)))
            return lambda _snr: fixed
        if self.known is None or self.along_mrt is None:
            return lambda snr: _squared(np.einsum("utk,utk->uk", channel, self.weights(snr)))
        along, norm = self.along_mrt, _norm(self.known)
        heard = _squared(np.einsum("utk,utk->uk", channel, self.known.conj()))

        def of_snr(snr: float) -> np.ndarray:
            factor = along(norm, self._xi(snr))
            if self.normalisation != "none":
                factor = factor / np.sqrt(power_scale(norm * factor**2, self.normalisation, self.probabilities))
            return heard * factor[:, 0] ** 2

        return of_snr

    def _xi(self, snr: float) -> float:
        return 1 / checked_ratio("snr", snr) if self.regularisation is None else self.regularisation

    @property
    def shape(self) -> tuple[int, ...]:
        """Users, antennas, subcarriers."""
        return self.raw(1.0).shape if self.known is None else self.known.shape

    @property
    def follows_snr(self) -> bool:
        """Whether the weights may change with the SNR."""
        return self.regularisation is None and self.name.startswith("mmse")


def precoder(
    name: str,
    known: Any,
    normalisation: str = "symbol",
    *,
    regularisation: float | None = None,
    probabilities: Any = None,
) -> Precoder:
    """Make a precoder from the channel that the transmitter knows.

    Args:
        name: "mrt", "mmse", "mmse-per-antenna", or the printed formulas "mmse-as-printed" and
            "mmse-per-antenna-as-printed".
        known: [users, antennas, subcarriers] complex channel of the twin, or the true one (the genie).
        normalisation: "none", "subcarrier", "symbol" or "long-term".
        regularisation: xi of the MMSE precoders; 1/SNR by default.
        probabilities: (users,) weight of each user in the mean of "long-term".

    Raises:
        SiteTwinError: A name is unknown, the channel has another shape, holds NaN, or is zero for a user.
    """
    make = PRECODERS[checked_choice("precoder", name, list(PRECODERS))]
    channel = checked_channels(known, "known channels", AXES)
    refuse_zero_channels(channel, "known channels")
    if probabilities is not None and np.shape(probabilities) != (len(channel),):
        raise SiteTwinError(f"{np.size(probabilities)} probabilities were given for {len(channel)} users")
    along = _ALONG_MRT.get(name)
    return Precoder(name, channel, lambda xi: make(channel, xi), normalisation, regularisation, probabilities, along)
