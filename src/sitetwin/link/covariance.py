"""Precoding by covariance: the direction in which most power arrives on average, whatever the phases."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Complex

from sitetwin.errors import SiteTwinError
from sitetwin.link.checks import checked_channels
from sitetwin.link.precoders import Precoder


def covariance_of_responses(
    responses: Any, per_subcarrier: bool = False
) -> Complex[np.ndarray, "users *subcarriers antennas antennas"]:
    """Covariance over the antennas of paths with independent random phases, from the response of each path.

    ``R = sum_p h_p h_p^H``, over the mean of the band or at each subcarrier. They differ where the array squints or
    gains change over the band.

    Args:
        responses: [users, paths, antennas, subcarriers] response of each path by itself; one "path" that is the whole
            response gives the mean over the band alone.
        per_subcarrier: Whether each subcarrier has a covariance of its own.

    Returns:
        [users, antennas, antennas] or [users, subcarriers, antennas, antennas].

    Raises:
        SiteTwinError: The responses have another shape or are not finite.
    """
    h = checked_channels(responses, "responses of the paths", ("users", "paths", "antennas", "subcarriers"))
    if per_subcarrier:
        return np.einsum("upak,upbk->ukab", h, h.conj())
    return np.einsum("upak,upbk->uab", h, h.conj()) / h.shape[-1]


def covariance_mrt(
    covariance: Any, subcarriers: int | None = None
) -> Complex[np.ndarray, "users antennas subcarriers"]:
    """Weights of covariance MRT: the conjugate dominant eigenvector of ``R = E[h h^H]``, of norm 1.

    They maximise the mean power ``E|h^T b|^2 = b^H R* b`` without any phase of a path.

    Args:
        covariance: [users, antennas, antennas] over the whole band (`PathPrior.covariance`), or [users, subcarriers,
            antennas, antennas].
        subcarriers: How many subcarriers the weights are repeated for, where one covariance stands for the band.

    Raises:
        SiteTwinError: The covariance has another shape, is zero for a user, or is not Hermitian.
    """
    values = np.asarray(covariance)
    wide = values.ndim == 3
    names = ("users", "antennas", "antennas") if wide else ("users", "subcarriers", "antennas", "antennas")
    r = checked_channels(values, "covariances", names)
    if r.shape[-1] != r.shape[-2] or not np.allclose(
        r, np.swapaxes(r, -1, -2).conj(), rtol=0, atol=1e-9 * np.abs(r).max()
    ):
        raise SiteTwinError(f"covariances of the shape {r.shape} are not Hermitian over the antennas; give E[h h^H]")
    if not (np.trace(r, axis1=-2, axis2=-1).real > 0).all():
        raise SiteTwinError("a covariance is zero: its user has no path; leave such users out")
    if wide == (subcarriers is None):
        raise SiteTwinError("give subcarriers where one covariance stands for the whole band, and only there")
    dominant = np.linalg.eigh(r)[1][..., -1].conj()
    if wide:
        return np.repeat(dominant[:, :, None], subcarriers or 1, axis=2)
    return np.ascontiguousarray(np.swapaxes(dominant, 1, 2))


def covariance_precoder(covariance: Any, known: Any, normalisation: str = "symbol") -> Precoder:
    """Covariance MRT as a precoder.

    Args:
        covariance: As for `covariance_mrt`.
        known: [users, antennas, subcarriers] the twin's channel: it tells the number of subcarriers, and the equaliser
            "twin" divides by what it predicts.
        normalisation: How the power is fixed.

    Raises:
        SiteTwinError: As `covariance_mrt` and `Precoder.given`.
    """
    size = np.shape(known)[-1] if np.ndim(covariance) == 3 and np.ndim(known) else None
    return Precoder.given(covariance_mrt(covariance, size), normalisation, known, "covariance MRT")
