"""Rotations and spherical unit vectors of 3GPP TR 38.901, section 7.1."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def root(square: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Square root, whose gradient at zero is zero instead of infinite, so that no gradient becomes NaN.

    Args:
        square: (...) at least 0.
    """
    if not square.requires_grad:
        return torch.sqrt(square)
    zero = square == 0
    return torch.where(zero, 0 * square, torch.sqrt(torch.where(zero, torch.ones_like(square), square)))


def rotation_matrix(orientation: Float[Tensor, "*each 3"]) -> Float[Tensor, "*each 3 3"]:
    """Matrix that turns local into global coordinates: ``R_z(yaw) R_y(pitch) R_x(roll)`` (TR 38.901, eq. 7.1-4).

    Args:
        orientation: (..., 3) yaw, pitch, roll, radians (alpha, beta, gamma there). Positive pitch tilts the boresight
            down.

    Returns:
        (..., 3, 3).
    """
    cosine, sine = torch.cos(orientation), torch.sin(orientation)
    ca, cb, cg = cosine.unbind(-1)
    sa, sb, sg = sine.unbind(-1)
    rows = [
        torch.stack([ca * cb, ca * sb * sg - sa * cg, ca * sb * cg + sa * sg], dim=-1),
        torch.stack([sa * cb, sa * sb * sg + ca * cg, sa * sb * cg - ca * sg], dim=-1),
        torch.stack([-sb, cb * sg, cb * cg], dim=-1),
    ]
    return torch.stack(rows, dim=-2)


def angles(direction: Float[Tensor, "3 rays"]) -> tuple[Float[Tensor, " rays"], Float[Tensor, " rays"]]:
    """Zenith and azimuth of unit vectors.

    Args:
        direction: (3, N).

    Returns:
        theta in [0, pi] and phi in (-pi, pi], each (N,), radians; phi = 0 on the axis.
    """
    x, y, z = direction
    flat = torch.hypot(x, y)
    axial = flat < 1e-12
    if direction.requires_grad:  # on the axis the gradient of hypot is NaN
        flat = torch.where(axial, 0 * x, torch.hypot(torch.where(axial, torch.ones_like(x), x), y))
    return torch.atan2(flat, z), torch.atan2(torch.where(axial, 0 * y, y), torch.where(axial, torch.ones_like(x), x))


def spherical_basis(direction: Float[Tensor, "3 rays"]) -> tuple[Float[Tensor, "3 rays"], Float[Tensor, "3 rays"]]:
    """theta-hat and phi-hat at unit vectors; on the axis those of phi = 0.

    Args:
        direction: (3, N).

    Returns:
        Two (3, N), with ``theta_hat x phi_hat = direction``.
    """
    x, y, z = direction
    flat = root(x * x + y * y)
    axial = flat < 1e-7
    safe = torch.where(axial, torch.ones_like(flat), flat)
    cos_phi = torch.where(axial, torch.ones_like(x), x / safe)
    sin_phi = torch.where(axial, torch.zeros_like(y), y / safe)
    theta_hat = torch.stack([z * cos_phi, z * sin_phi, -flat])
    phi_hat = torch.stack([-sin_phi, cos_phi, torch.zeros_like(x)])
    return theta_hat, phi_hat


def dot(a: Float[Tensor, "3 rays"], b: Float[Tensor, "3 rays"]) -> Float[Tensor, " rays"]:
    """(3, N) and (3, N) to (N,)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Float[Tensor, "3 rays"], b: Float[Tensor, "3 rays"]) -> Float[Tensor, "3 rays"]:
    """(3, N) and (3, N) to (3, N)."""
    return torch.stack(
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]],
    )
