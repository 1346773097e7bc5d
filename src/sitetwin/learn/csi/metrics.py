"""How well a recovered channel serves: NMSE, cosine similarity, achievable rate."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
import xarray as xr
from jaxtyping import Complex, Float, Shaped
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.data import CsiData, CsiSet, by_name, csi_matrices
from sitetwin.learn.energy import energy, power
from sitetwin.learn.finite import check_finite


def to_db(ratio: Tensor | float) -> float:
    """10 log10 of one power ratio; -inf for zero, and not a number for what is none or negative."""
    value = float(ratio)
    if value > 0:
        return 10 * math.log10(value)
    return -math.inf if value == 0 else math.nan


def nmse(x: CsiData, x_hat: CsiData) -> Float[Tensor, " users"]:
    """Linear NMSE per user, ``||x - x_hat||^2 / ||x||^2`` over all other axes.

    `to_db` of its mean is the headline figure. A recovered matrix that is not finite has an NMSE that is not finite.

    Args:
        x: The truth: labelled delay-angle channels, a `CsiSet`, or a tensor whose first axis is the user.
        x_hat: What was recovered, in the same way. Beside a labelled truth a tensor, or a set, is what a codec decoded:
            the truth is prepared as the codec prepares it (unit norm, common phase removed). Two labelled arrays are
            compared as they are, with their axes matched by name.

    Raises:
        SiteTwinError: The two are not of the same users and axes, or a true matrix is zero or not finite.
    """
    truth, found = _compared(x, x_hat)
    if truth.shape != found.shape:
        raise SiteTwinError(
            f"matrices of shape {tuple(found.shape)} cannot be compared with true ones of shape {tuple(truth.shape)}; "
            "give the same users and axes of both"
        )
    whole = _energy(truth)
    if not bool((torch.isfinite(whole) & (whole > 0)).all()):
        bad = int((~(torch.isfinite(whole) & (whole > 0))).nonzero()[0])
        raise SiteTwinError(f"the true matrix of user {bad} is zero or not finite, so it has no NMSE; drop this user")
    return _energy(truth - found) / whole


def _compared(x: CsiData, x_hat: CsiData) -> tuple[Tensor, Tensor]:
    """Both as tensors; two labelled arrays keep their scale."""
    if isinstance(x, xr.DataArray) and isinstance(x_hat, xr.DataArray):
        return by_name(x), by_name(x_hat)
    truth = csi_matrices(x) if isinstance(x, xr.DataArray) else x.x if isinstance(x, CsiSet) else x
    found = csi_matrices(x_hat) if isinstance(x_hat, xr.DataArray) else x_hat.x if isinstance(x_hat, CsiSet) else x_hat
    return truth, found


def _energy(x: Tensor) -> Tensor:
    """(N,) squared norm over all other axes."""
    return energy(x.flatten(1))


def nmse_untruncated(error: Float[Tensor, " users"], kept: Float[Tensor, " users"]) -> Float[Tensor, " users"]:
    """NMSE on the channel before the delay taps were truncated.

    Args:
        error: NMSE on the truncated matrix.
        kept: Share of the channel's energy that the truncation kept, 0..1. What was cut off is lost whole.
    """
    return error * kept + (1 - kept)


def aligned(
    x: Complex[Tensor, " users *axes"],
    x_hat: Complex[Tensor, " users *axes"],
) -> Complex[Tensor, " users *axes"]:
    """`x_hat` turned by the common phase per user that brings it closest to `x`."""
    inner = (x_hat.flatten(1).conj() * x.flatten(1)).sum(1)
    return x_hat * torch.polar(torch.ones_like(inner.real), torch.angle(inner))[:, None, None]


@dataclass(frozen=True)
class NmseSummary:
    """NMSE of a set of users.

    Attributes:
        mean_db: 10 log10 of the linear mean over users; the headline figure.
        median_db: Median user.
        p95_db: 95th percentile, the badly served users.
        mean_of_db: Mean of the users' values in dB. Much lower than `mean_db`; never to be compared with it.
        users: Number of users.
    """

    mean_db: float
    median_db: float
    p95_db: float
    mean_of_db: float
    users: int

    def to_dict(self) -> dict[str, float]:
        """JSON-serialisable."""
        return asdict(self)


def summarise(errors: Float[Tensor, " users"]) -> NmseSummary:
    """Summary of linear NMSE values.

    Raises:
        SiteTwinError: There are no values, or one is not finite or negative; the message counts them.
    """
    if not len(errors):
        raise SiteTwinError("a summary needs the NMSE of at least one user")
    check_finite(errors, "the NMSE")
    if bool((errors < 0).any()):
        raise SiteTwinError(f"the NMSE of {int((errors < 0).sum())} users is negative; give linear values, not dB")
    errors = errors.to(torch.float64)
    in_db = 10 * torch.log10(errors.clamp_min(1e-30))
    return NmseSummary(
        mean_db=to_db(errors.mean()),
        median_db=to_db(torch.quantile(errors, 0.5)),
        p95_db=to_db(torch.quantile(errors, 0.95)),
        mean_of_db=float(in_db.mean()),
        users=len(errors),
    )


def cdf(
    values: Shaped[Tensor, " values"], points: int = 200
) -> tuple[Float[Tensor, " points"], Float[Tensor, " points"]]:
    """Empirical CDF at evenly spaced probabilities: values and probabilities, float64."""
    probability = torch.linspace(0, 1, points, dtype=torch.float64)
    return torch.quantile(values.to(torch.float64), probability), probability


def frequency_response(
    x: Complex[Tensor, "users taps beams"], subcarriers: int
) -> Complex[Tensor, "users subcarriers beams"]:
    """From delay and angle to frequency and angle: ``H_k = sum_n G[n] e^{-j 2 pi k n / K}`` for k = 0..K-1.

    The angle axis stays as it is: a unitary change of the antenna basis moves no inner product between two channels.
    """
    return torch.fft.fft(x, n=subcarriers, dim=1)


def sgcs(
    x: Complex[Tensor, "users taps beams"], x_hat: Complex[Tensor, "users taps beams"], subcarriers: int | None = None
) -> Float[Tensor, " users"]:
    """Squared generalised cosine similarity, 0..1; 1 exactly where the two are collinear.

    Args:
        x: True matrices.
        x_hat: Recovered ones. A zero matrix counts as similarity 0; one that is not finite stays not a number.
        subcarriers: If given, the mean over that many subcarriers of the per-subcarrier similarity (3GPP's use);
            otherwise the whole matrix is taken as one vector.
    """
    if subcarriers is None:
        a, b = x.flatten(1)[:, None], x_hat.flatten(1)[:, None]
    else:
        a, b = frequency_response(x, subcarriers), frequency_response(x_hat, subcarriers)
    inner = power(torch.linalg.vecdot(a, b))
    both = energy(a) * energy(b)
    return torch.where(both == 0, torch.zeros_like(inner), inner / both.clamp_min(1e-30)).clamp_max(1.0).mean(1)


def rate_share(
    x: Complex[Tensor, "users taps beams"],
    x_hat: Complex[Tensor, "users taps beams"],
    snr_db: float,
    subcarriers: int = 256,
) -> Float[Tensor, " users"]:
    """Achievable rate of MISO maximum-ratio transmission on the fed-back channel, relative to perfect CSI.

    Per subcarrier ``log2(1 + snr |h_k^H w_k|^2 / mean_k ||h_k||^2)``, w_k the unit vector along the recovered h_k;
    summed over the subcarriers, divided by the same with w_k along h_k.

    Args:
        x: The true matrices.
        x_hat: The recovered ones. Where a subcarrier is recovered as zero the rate there is zero; what is not finite
            stays not a number.
        snr_db: Mean over the band of the SNR that perfect maximum-ratio transmission reaches for this user.
        subcarriers: Number K of subcarriers of the band.
    """
    h, w = frequency_response(x, subcarriers), frequency_response(x_hat, subcarriers)
    whole = energy(h)
    snr = 10 ** (snr_db / 10) / whole.mean(1, keepdim=True)
    beam_energy = energy(w)
    hit = power(torch.linalg.vecdot(h, w)) / beam_energy.clamp_min(1e-30)
    hit = torch.where(beam_energy == 0, torch.zeros_like(hit), hit)
    return torch.log2(1 + snr * hit).sum(1) / torch.log2(1 + snr * whole).sum(1)
