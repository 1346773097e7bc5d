"""What a zero-forcing receiver divides by: the true effective channel, the twin's, or an estimate from pilots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex

from sitetwin.errors import SiteTwinError
from sitetwin.link.checks import checked_choice, checked_count, checked_ratio, checked_rng
from sitetwin.link.precoders import Precoder, Weights

EQUALISERS = ("true", "twin", "estimated")

Gains = Complex[np.ndarray, "users subcarriers"]


def effective_gains(channel: Weights, weights: Weights) -> Gains:
    """Effective channels ``g[u, k] = sum_t h[u, t, k] b[u, t, k]``."""
    return np.einsum("utk,utk->uk", channel, weights)


@dataclass(frozen=True, eq=False)
class Equaliser:
    """A one-tap equaliser: it divides each subcarrier by what it takes for the effective channel.

    Attributes:
        kind: "true" (the true effective channel), "twin" (what the transmitter believes it to be) or "estimated".
        precoder: The precoder, whose known channel "twin" needs.
        pilots: Pilots per subcarrier of "estimated", precoded like the data, each with the energy of a data symbol.
        draws: Number of estimates over which an exact rate is averaged.
        rng: Generator of the errors of "estimated".
    """

    kind: str
    precoder: Precoder
    pilots: float = 1.0
    draws: int = 1
    rng: np.random.Generator | None = None

    def __post_init__(self) -> None:
        checked_choice("equaliser", self.kind, EQUALISERS)
        checked_ratio("pilots", self.pilots)
        checked_count("draws", self.draws)
        if self.kind == "twin" and self.precoder.known is None:
            raise SiteTwinError(
                "the equaliser 'twin' divides by what the transmitter believes; give Precoder.given(..., known=...)"
            )
        if self.kind == "estimated":
            checked_rng(self.rng)  # of the errors of its estimates

    @property
    def label(self) -> str:
        """Name for a curve's label; empty for the true one."""
        return "" if self.kind == "true" else f"{self.kind} equaliser"

    def believed(self, weights: Weights) -> Gains:
        """[users, subcarriers] the effective channel that the transmitter believes in.

        Raises:
            SiteTwinError: The precoder has no known channel.
        """
        if self.precoder.known is None:
            raise SiteTwinError("given weights have no known channel; give Precoder.given(..., known=...)")
        return effective_gains(self.precoder.known, weights)

    def divisors(self, gains: Gains, weights: Weights, snr: float) -> Iterator[Gains]:
        """Yield [users, subcarriers] divisors, as many as `draws` of "estimated" and one of the others.

        Args:
            gains: The true effective channels.
            weights: The precoder's weights.
            snr: 1/sigma^2, a ratio.
        """
        if self.kind != "estimated":
            yield gains if self.kind == "true" else self.believed(weights)
            return
        assert self.rng is not None  # checked above
        deviation = np.sqrt(0.5 / (self.pilots * snr))
        for _ in range(self.draws):
            error = self.rng.standard_normal((2, *gains.shape)) * deviation
            yield gains + (error[0] + 1j * error[1])
