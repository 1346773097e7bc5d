"""How near channels come to measured ones: three kinds of NMSE, which differ by 10 dB and more, and what beams lose.

sqrt(NMSE) is at most 1 + ||found|| / ||truth||: two channels of equal energy never have more than +6.02 dB.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.metrics import to_db
from sitetwin.learn.energy import energy
from sitetwin.learn.finite import check_finite


@dataclass(frozen=True)
class ChannelScores:
    """Scores of found channels over all users; every NMSE is a ratio of sums over users, antennas and taps.

    Attributes:
        nmse_raw_db: NMSE of the channels as they were found.
        nmse_gain_db: NMSE with one complex gain for all users, fitted to other users than these.
        nmse_phase_db: NMSE after the common phase of each link was removed.
        efficiency: Mean share of the beamforming gain that maximum-ratio transmission on the found channels reaches.
        users: Number of users.
    """

    nmse_raw_db: float
    nmse_gain_db: float
    nmse_phase_db: float
    efficiency: float
    users: int

    def to_dict(self) -> dict[str, float]:
        """JSON-serialisable."""
        return asdict(self)


def channel_scores(
    truth: Complex[Tensor, "users antennas taps"],
    found: Complex[Tensor, "users antennas taps"],
    gain: complex,
    subcarriers: int = 128,
) -> ChannelScores:
    """Score found impulse responses.

    Args:
        truth: Measured channels.
        found: What a twin or a corrector says of them.
        gain: The complex gain of `nmse_gain_db`, from `common_gain` of training users.
        subcarriers: Number of subcarriers over which the efficiency is averaged.

    Raises:
        SiteTwinError: The shapes differ, or a value is not finite: such a method gets no score.
    """
    if truth.shape != found.shape:
        raise SiteTwinError(f"channels of shape {tuple(found.shape)} cannot be compared with {tuple(truth.shape)}")
    check_finite(found, "the channel")
    check_finite(truth, "the measured channel")
    return ChannelScores(
        nmse_raw_db=_ratio_db(truth, found),
        nmse_gain_db=_ratio_db(truth, found * gain),
        nmse_phase_db=_ratio_db(truth, _without_phase(truth, found)),
        efficiency=float(beamforming_efficiency(truth, found, subcarriers).mean()),
        users=len(truth),
    )


def common_gain(
    truth: Complex[Tensor, "users antennas taps"], found: Complex[Tensor, "users antennas taps"]
) -> complex:
    """The one complex gain that brings all found channels nearest to the true ones; 0 where all found ones are zero."""
    whole = float(energy(found.flatten()))
    return complex(torch.linalg.vecdot(found.flatten(), truth.flatten())) / whole if whole > 0 else 0j


def squared_errors(
    truth: Complex[Tensor, "users antennas taps"], found: Complex[Tensor, "users antennas taps"]
) -> Float[Tensor, "users 2"]:
    """Of each user the energy of the error and of the truth, for bootstraps of the ratio of their sums."""
    return torch.stack([energy((truth - found).flatten(1)), energy(truth.flatten(1))], dim=1)


def beamforming_efficiency(
    truth: Complex[Tensor, "users antennas taps"], found: Complex[Tensor, "users antennas taps"], subcarriers: int
) -> Float[Tensor, " users"]:
    """Share of the beamforming gain, ``|h^H f|^2 / (||h||^2 ||f||^2)``, mean over the subcarriers, 0..1.

    A found channel of zero on a subcarrier points nowhere: an antenna taken at random, 1 / antennas on average.

    Raises:
        SiteTwinError: There are fewer subcarriers than taps, so that taps would be cut off.
    """
    if subcarriers < truth.shape[2]:
        raise SiteTwinError(f"{truth.shape[2]} taps need at least as many subcarriers, not {subcarriers}")
    h, f = torch.fft.fft(truth, n=subcarriers).movedim(1, -1), torch.fft.fft(found, n=subcarriers).movedim(1, -1)
    hit, both = torch.linalg.vecdot(h, f).abs().square(), energy(h) * energy(f)
    nowhere = torch.full_like(hit, 1 / truth.shape[1])
    return torch.where(energy(f) > 0, hit / both.clamp_min(torch.finfo(both.dtype).tiny), nowhere).mean(1)


def _ratio_db(truth: Tensor, found: Tensor) -> float:
    error, whole = squared_errors(truth, found).double().sum(0)
    return to_db(error / whole)


def _without_phase(truth: Tensor, found: Tensor) -> Tensor:
    inner = torch.linalg.vecdot(found.flatten(1), truth.flatten(1))
    return found * torch.polar(torch.ones_like(inner.real), torch.angle(inner))[:, None, None]
