"""The OFDM grid and the delay taps that belong to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.hertz import check_carrier, check_spacing

MOST_SUBCARRIERS = 2**20
"""Of one band; those of 5G have 3300."""


@dataclass(frozen=True, repr=False)
class OfdmGrid:
    """Subcarriers ``f_k = carrier + k spacing`` for k from -K/2 to K/2 - 1.

    Attributes:
        carrier_hz: Carrier frequency, Hz.
        num_subcarriers: Number of subcarriers K; for odd K the first index is ``-(K // 2)``.
        spacing_hz: Subcarrier spacing, Hz.

    Raises:
        SiteTwinError: A frequency is not positive or cannot be meant in hertz, the number of subcarriers is no whole
            one from 1 to 1048576, or the band does not fit around the carrier.

    Example:
        >>> OfdmGrid(3.5e9, num_subcarriers=256, spacing_hz=30e3).bandwidth_hz / 1e6
        7.68
    """

    carrier_hz: float
    num_subcarriers: int = 256
    spacing_hz: float = 30e3

    def __post_init__(self) -> None:
        for name in ("carrier_hz", "spacing_hz"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise SiteTwinError(f"OFDM grid: {name} = {value} is not a positive number")
        if not isinstance(self.num_subcarriers, Integral) or isinstance(self.num_subcarriers, bool):
            raise SiteTwinError(
                f"OFDM grid: num_subcarriers = {self.num_subcarriers!r} is not a whole number; give one"
            )
        object.__setattr__(self, "num_subcarriers", int(self.num_subcarriers))  # a plain one: it goes into manifests
        if self.num_subcarriers < 1:
            raise SiteTwinError(f"OFDM grid: {self.num_subcarriers} subcarriers were asked for; give at least 1")
        if self.num_subcarriers > MOST_SUBCARRIERS:
            raise SiteTwinError(
                f"OFDM grid: {self.num_subcarriers} subcarriers were asked for; give 1 to {MOST_SUBCARRIERS}"
            )
        check_carrier("OFDM grid: carrier_hz", self.carrier_hz)
        if self.num_subcarriers > 1:  # a single one has no spacing
            check_spacing("OFDM grid: spacing_hz", self.spacing_hz)
        if self.bandwidth_hz / 2 >= self.carrier_hz:
            raise SiteTwinError(
                f"OFDM grid: a band of {self.bandwidth_hz:g} Hz does not fit around {self.carrier_hz:g} Hz"
            )

    def __repr__(self) -> str:
        return f"OfdmGrid({self.carrier_hz:g} Hz, {self.num_subcarriers} subcarriers at {self.spacing_hz:g} Hz)"

    @property
    def bandwidth_hz(self) -> float:
        """K times the spacing, Hz: the rate of the delay taps."""
        return self.num_subcarriers * self.spacing_hz

    @property
    def first(self) -> int:
        """Index of the first subcarrier, ``-(K // 2)``."""
        return -(self.num_subcarriers // 2)

    @property
    def index(self) -> Float[Tensor, " subcarriers"]:
        """(K,) float64 subcarrier indices k."""
        return torch.arange(self.first, self.first + self.num_subcarriers, dtype=torch.float64)

    @property
    def frequencies_hz(self) -> Float[Tensor, " subcarriers"]:
        """(K,) float64, Hz."""
        return self.carrier_hz + self.index * self.spacing_hz


def delay_taps(
    cfr: Complex[Tensor, "*channel subcarriers"], num_taps: int | None = None, first_tap: int = 0
) -> Complex[Tensor, "*channel taps"]:
    """Compute the taps ``G[n] = (1/K) sum_k H_k e^{+j 2 pi k n / K}`` of a response over k from -K/2 to K/2 - 1.

    Args:
        cfr: (..., K) complex.
        num_taps: Number of taps; all K by default.
        first_tap: Index n of the first tap. Taps repeat after K, so that negative ones are the last of a period.

    Returns:
        (..., num_taps) complex.

    Raises:
        SiteTwinError: More taps are asked for than there are subcarriers along the last axis, or none.
    """
    if num_taps is not None and not 1 <= num_taps <= cfr.shape[-1]:
        raise SiteTwinError(
            f"{num_taps} delay taps were asked for of {cfr.shape[-1]} subcarriers, which stand along the last axis"
        )
    taps = torch.fft.ifft(torch.fft.ifftshift(cfr, dim=-1), dim=-1)
    if first_tap:
        taps = torch.roll(taps, -first_tap, dims=-1)
    return taps if num_taps is None else taps[..., :num_taps]
