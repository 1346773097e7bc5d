"""What a recovered channel is worth: error, similarity, rates, beams; and the noise of a user's channel estimate."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from sitetwin.learn.csi.metrics import frequency_response, nmse, rate_share, sgcs
from sitetwin.learn.csi.neural import unit_norm
from sitetwin.learn.energy import energy, power

SUBCARRIERS = 32  # evenly over the band: as many as there are taps, which fixes the response
FIGURES = ("nmse", "sgcs", "rate_share", "zf_share", "beam_loss_db")
"""Figures of one user, in the order of `user_scores`."""

_LEAST = 1e-30


def user_scores(
    x: Complex[Tensor, "users taps beams"], found: Complex[Tensor, "users taps beams"], snr_db: float, group: int
) -> dict[str, Float[Tensor, " users"]]:
    """All figures of `FIGURES`, one number for each user.

    Args:
        x: True matrices of unit norm.
        found: Recovered ones.
        snr_db: SNR of maximum-ratio transmission with perfect CSI, the mean over the band.
        group: Users that zero-forcing serves at once; those that are left over at the end get the mean of the others.
    """
    return {
        "nmse": nmse(x, found),
        "sgcs": sgcs(x, found, SUBCARRIERS),
        "rate_share": rate_share(x, found, snr_db, SUBCARRIERS),
        "zf_share": zero_forcing_share(x, found, snr_db, group),
        "beam_loss_db": beam_loss_db(x, found),
    }


def beam_loss_db(
    x: Complex[Tensor, "users taps beams"], found: Complex[Tensor, "users taps beams"]
) -> Float[Tensor, " users"]:
    """How much weaker over the band the beam is that the recovered channel chooses than the best one, dB, 0 or more.

    Beams are those of the DFT, one for each angle bin of a matrix.
    """
    strength = energy(x.transpose(1, 2))
    chosen = strength.gather(1, energy(found.transpose(1, 2)).argmax(1, keepdim=True))[:, 0]
    return 10 * torch.log10(strength.amax(1) / chosen.clamp_min(_LEAST))


def zero_forcing_share(
    x: Complex[Tensor, "users taps beams"], found: Complex[Tensor, "users taps beams"], snr_db: float, group: int
) -> Float[Tensor, " users"]:
    """Sum rate of zero-forcing to groups of users on recovered channels, relative to that on true ones.

    Users are grouped in their order, and all of a group get its share. Each subcarrier's power is split evenly between
    the users; beams are columns of the pseudo-inverse, of unit norm; all users have the same mean SNR.

    Args:
        x: True matrices of unit norm.
        found: Recovered ones.
        snr_db: SNR of maximum-ratio transmission to one user with perfect CSI, the mean over the band.
        group: Users served at once.
    """
    groups = len(x) // group
    if groups == 0:
        return torch.full((len(x),), torch.nan)
    h, g = (frequency_response(m[: groups * group], SUBCARRIERS) for m in (x, found))
    h, g = (m.unflatten(0, (groups, group)).transpose(1, 2) for m in (h, g))  # (groups, subcarriers, group, beams)
    snr = 10 ** (snr_db / 10) / energy(h).mean(1) / group
    rates = [_sum_rate(h, used, snr) for used in (g, h)]
    share = (rates[0] / rates[1].clamp_min(_LEAST)).repeat_interleave(group)
    return torch.cat([share, share.mean().expand(len(x) - len(share))])


def _sum_rate(h: Tensor, used: Tensor, snr: Tensor) -> Tensor:
    """(groups,) sum over users and subcarriers of log2(1 + SINR) with zero-forcing on `used`."""
    used = used / energy(used).clamp_min(_LEAST).sqrt()[..., None]
    gram = used @ used.mH + 1e-5 * torch.eye(used.shape[2])  # users with one and the same channel cannot be told apart
    beams = used.mH @ torch.linalg.inv(gram)
    beams = beams / beams.abs().square().sum(2, keepdim=True).clamp_min(_LEAST).sqrt()
    hit = power(h @ beams) * snr[:, None, :, None]  # (groups, subcarriers, user, beam)
    own = torch.diagonal(hit, dim1=2, dim2=3)
    return torch.log2(1 + own / (1 + hit.sum(3) - own)).sum((1, 2))


def shuffled_angles(
    x: Complex[Tensor, "users taps beams"], rng: torch.Generator
) -> Complex[Tensor, "users taps beams"]:
    """Matrices whose angles were exchanged among users, each angle by a draw of its own; of unit norm.

    The strength of each angle over all users, and its delays, stay; what an angle has to do with the others does not.

    Args:
        x: Matrices of unit norm.
        rng: Source of the exchange.
    """
    mixed = torch.stack([x[torch.randperm(len(x), generator=rng), :, beam] for beam in range(x.shape[2])], 2)
    whole = mixed.flatten(1).norm(dim=1)
    return torch.where(whole[:, None, None] > 0, unit_norm(mixed), x)


def noisy(
    x: Complex[Tensor, "users taps beams"], snr_db: float, subcarriers: int, rng: torch.Generator
) -> Complex[Tensor, "users taps beams"]:
    """What users estimate of their matrices, of unit norm.

    White noise lies on each subcarrier and antenna; of it the matrix keeps the share of its taps among the subcarriers.

    Args:
        x: True matrices of unit norm.
        snr_db: Mean power of the channel over the band and the antennas over that of the noise, dB.
        subcarriers: Subcarriers of the band.
        rng: Source of the noise.
    """
    taps, beams = x.shape[1:]
    share = taps / subcarriers * 10 ** (-snr_db / 10)
    noise = torch.randn(x.shape, dtype=torch.complex64, generator=rng) * (share / (taps * beams)) ** 0.5
    return unit_norm(x + noise)
