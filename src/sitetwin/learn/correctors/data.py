"""Channels of the same users in the twin and as measured, and what is done to them before anything is learnt."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int, Shaped
from scipy.spatial import cKDTree
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.energy import energy

SCALINGS = ("link", "set", "none")


@dataclass(frozen=True, eq=False)
class ChannelPairs:
    """Impulse responses of the same users, antennas and delay taps in a twin and as measured.

    Attributes:
        twin: (users, antennas, taps) complex64, what the twin says; all zero for a user whom no path reaches there.
        measured: (users, antennas, taps) complex64, what was measured, or what a target world says in its place.
        positions: (users, 3) float64, where the users said that they were, m.

    Raises:
        SiteTwinError: The shapes differ, a value is not finite, or a measured channel is zero; the message counts them.
    """

    twin: Tensor
    measured: Tensor
    positions: Tensor

    def __post_init__(self) -> None:
        shape = tuple(self.measured.shape)
        if tuple(self.twin.shape) != shape or len(shape) != 3 or self.positions.shape != (shape[0], 3):
            raise SiteTwinError(
                f"the twin's channels {tuple(self.twin.shape)}, the measured ones {shape} and the "
                f"positions {tuple(self.positions.shape)} must be of the same users, antennas and taps, with three "
                "coordinates each; make them alike"
            )
        _check_rows(self.twin, "channels of the twin")
        _check_rows(self.positions, "positions")
        _check_rows(self.measured, "measured channels")
        silent = energy(self.measured.flatten(1)) == 0
        if bool(silent.any()):
            raise SiteTwinError(
                f"{int(silent.sum())} of {len(silent)} measured channels are zero (first: number "
                f"{int(silent.nonzero()[0])}), so nothing can be learnt or judged there; leave these users out"
            )

    def __len__(self) -> int:
        return len(self.measured)

    def take(self, rows: Shaped[Tensor, " rows"]) -> ChannelPairs:
        """The pairs of an index tensor or a boolean mask."""
        return ChannelPairs(self.twin[rows], self.measured[rows], self.positions[rows])

    def scaled(self, scaling: str) -> ChannelPairs:
        """Both sets of channels scaled: to a mean power of 1 an antenna.

        Args:
            scaling: "link" gives each channel that power, so that only its shape counts; "set" gives it to each of the
                two sets on average by one factor, as arXiv 2501.16504 may be read; "none" leaves all as it is.

        Raises:
            SiteTwinError: The scaling is unknown, or every channel of the twin is zero.
        """
        if scaling not in SCALINGS:
            raise SiteTwinError(f"scaling '{scaling}' is unknown; choose one of {', '.join(SCALINGS)}")
        if scaling == "none":
            return self
        return replace(self, twin=_scaled(self.twin, scaling), measured=_scaled(self.measured, scaling))

    def phase_aligned(self) -> ChannelPairs:
        """One common phase of each link removed.

        The twin's channel is turned so that the power-weighted mean of its first antenna's taps is real and positive.
        The measured one, whose common phase is that of its oscillators, is turned to be as near to the twin's as it
        can. No precoder and no bit error changes; an NMSE changes by 10 dB.
        """
        first = self.twin[:, 0]
        twin = _turned(self.twin, -torch.angle((first * first.abs()).sum(1)))
        inner = torch.linalg.vecdot(self.measured.flatten(1), twin.flatten(1))  # conj(measured) . twin
        return replace(self, twin=twin, measured=_turned(self.measured, torch.angle(inner)))


def check_pairs(pairs: ChannelPairs, least: int, what: str) -> None:
    """Make sure that there are enough pairs to learn from.

    Raises:
        SiteTwinError: There are fewer.
    """
    if len(pairs) < least:
        raise SiteTwinError(f"{what} needs at least {least} measured channels, and there are {len(pairs)}")


def nearest_rows(known: Float[Tensor, "known 3"], asked: Float[Tensor, "asked 3"]) -> Int[Tensor, " asked"]:
    """Row of the known position nearest to each asked one, in three dimensions."""
    return torch.from_numpy(cKDTree(known.numpy()).query(asked.numpy())[1])


def _check_rows(values: Tensor, what: str) -> None:
    bad = ~torch.isfinite(values).flatten(1).all(1)
    if bool(bad.any()):
        raise SiteTwinError(
            f"{int(bad.sum())} of {len(bad)} {what} are not finite (first: number {int(bad.nonzero()[0])}); "
            "mend these users or leave them out"
        )


def _scaled(channels: Tensor, scaling: str) -> Tensor:
    antennas = channels.shape[1]
    power = energy(channels.flatten(1)) / antennas
    if scaling == "set":
        mean = power.mean()
        if not float(mean) > 0:
            raise SiteTwinError("no path reaches any of these users in the twin; give users whom it reaches")
        return channels / mean.sqrt()
    return channels / torch.where(power > 0, power, torch.ones_like(power)).sqrt()[:, None, None]


def _turned(channels: Tensor, angle: Tensor) -> Tensor:
    return channels * torch.polar(torch.ones_like(angle), angle)[:, None, None]
