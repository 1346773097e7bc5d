"""Reports that age while a user moves: held, or predicted from the reports before, and what is lost.

A report says nothing of a channel's common phase, and a precoder needs none. So reports of one user are first turned to
agree with each other, and errors are counted after the best common phase.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.metrics import aligned, nmse, sgcs


def in_one_phase(reports: Complex[Tensor, "users times taps beams"]) -> Complex[Tensor, "users times taps beams"]:
    """Reports of each user in one common phase: each is turned so that it agrees best with the one before.

    Args:
        reports: Recovered matrices, in order of time.
    """
    inner = (reports[:, 1:] * reports[:, :-1].conj()).flatten(2).sum(2)
    turns = torch.angle(inner).cumsum(1)
    first = torch.zeros_like(turns[:, :1])
    phase = torch.cat([first, turns], dim=1)
    return reports * torch.polar(torch.ones_like(phase), -phase)[..., None, None]


@dataclass(frozen=True)
class LinearPrediction:
    """Linear prediction over the reports of one user, bin by bin of delay and angle.

    A bin that holds one path turns by the same angle from report to report: ``x[n + s] = r x[n]``, with s the steps
    to look ahead. r is the least-squares ratio over the latest pairs of reports that are s apart. Noise and bins of
    several paths make it shorter than one, as in a Wiener predictor. For one path, or one in each bin, it is exact.

    Attributes:
        pairs: Pairs of reports that the ratio of a bin is taken from.

    Raises:
        SiteTwinError: There is no pair.
    """

    pairs: int = 10

    def __post_init__(self) -> None:
        if self.pairs < 1:
            raise SiteTwinError(f"a prediction from {self.pairs} pairs of reports is none; give one or more")

    def reports_needed(self, steps: int) -> int:
        """Reports that a prediction of some steps looks back on."""
        return self.pairs + steps

    def multiply_adds(self, bins: int) -> int:
        """Real multiply-adds of one prediction at the base station: two products and one turn of each bin."""
        return bins * (self.pairs * (4 + 2) + 4)

    def __call__(
        self, reports: Complex[Tensor, "users times taps beams"], steps: int
    ) -> Complex[Tensor, "users taps beams"]:
        """The channel some steps after the last report, one step being the time between reports.

        Args:
            reports: Recovered matrices in order of time, in one phase (`in_one_phase`) where that was lost.
            steps: How far to look ahead.

        Raises:
            SiteTwinError: There are too few reports, or steps is negative.
        """
        if steps < 0:
            raise SiteTwinError(f"a prediction looks ahead by {steps} steps; give 0 or more")
        if steps == 0:
            return reports[:, -1]
        needed = self.reports_needed(steps)
        if reports.shape[1] < needed:
            raise SiteTwinError(
                f"a prediction {steps} steps ahead from {self.pairs} pairs needs {needed} reports, and there are "
                f"{reports.shape[1]}; give more, or fewer pairs"
            )
        later = reports[:, -self.pairs :]
        earlier = reports[:, -needed:-steps]
        ratio = (later * earlier.conj()).sum(1) / earlier.abs().square().sum(1).clamp_min(torch.finfo().tiny)
        return reports[:, -1] * ratio


@dataclass(frozen=True, eq=False)
class Aged:
    """How well what the base station uses fits the channel that is there.

    Attributes:
        nmse: Linear NMSE after the best common phase and scale to the channel's norm.
        sgcs: Squared generalised cosine similarity, over the subcarriers.
    """

    nmse: Float[Tensor, " users"]
    sgcs: Float[Tensor, " users"]


def aged(
    truth: Complex[Tensor, "users taps beams"],
    used: Complex[Tensor, "users taps beams"],
    subcarriers: int | None = None,
) -> Aged:
    """Judge what is used against the channel at that time; neither norm nor common phase counts.

    Args:
        truth: The channels.
        used: What the base station takes them for.
        subcarriers: Subcarriers over which the similarity is taken, see `sitetwin.learn.sgcs`.

    Raises:
        SiteTwinError: A channel is zero or not finite.
    """
    norm = used.flatten(1).norm(dim=1)[:, None, None]
    unit = used / norm.clamp_min(torch.finfo().tiny)
    whole = truth.flatten(1).norm(dim=1)[:, None, None]
    return Aged(nmse(truth, aligned(truth, unit * whole)), sgcs(truth, used, subcarriers))
