"""Lens distortion of OpenCV's model: from ideal to bent coordinates of the image plane, and back."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

_STEPS, _CLOSE, _NONE = 50, 1e-12, 1e-9


def bend(
    ideal: Float[np.ndarray, "*points 2"], coefficients: tuple[float, float, float, float, float]
) -> Float[np.ndarray, "*points 2"]:
    """Bend the coordinates of an ideal pinhole as the lens does.

    Source: OpenCV, module `calib3d`, with k1, k2, p1, p2, k3.

    Args:
        ideal: (..., 2) x/z to the right and y/z down.
        coefficients: k1, k2, p1, p2, k3.

    Returns:
        (..., 2).
    """
    k1, k2, p1, p2, k3 = coefficients
    x, y = ideal[..., 0], ideal[..., 1]
    square = x * x + y * y
    radial = 1 + square * (k1 + square * (k2 + square * k3))
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x),
            y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y,
        ],
        axis=-1,
    )


def fold(coefficients: tuple[float, float, float, float, float]) -> float:
    """Distance from the axis up to which the radial polynomial grows; beyond it a lens would show points twice.

    Returns:
        x/z, or infinity where it grows for ever.
    """
    k1, k2, _, _, k3 = (value if abs(value) > _NONE else 0.0 for value in coefficients)
    roots = np.roots([7 * k3, 5 * k2, 3 * k1, 1.0])
    squares = [root.real for root in roots if abs(root.imag) < 1e-9 and root.real > 0]
    return math.sqrt(min(squares)) if squares else math.inf


def unbend(
    bent: Float[np.ndarray, "*points 2"], coefficients: tuple[float, float, float, float, float]
) -> Float[np.ndarray, "*points 2"]:
    """Undo `bend` by Newton's method.

    Args:
        bent: (..., 2) bent coordinates.
        coefficients: k1, k2, p1, p2, k3.

    Returns:
        (..., 2); NaN where no point within the fold is bent there.
    """
    if not any(coefficients):
        return np.array(bent, dtype=np.float64)
    rim = fold(coefficients)
    ideal = np.array(bent, dtype=np.float64)
    length = np.linalg.norm(ideal, axis=-1, keepdims=True)
    if math.isfinite(rim):  # begin within the fold
        ideal *= np.minimum(1.0, 0.9 * rim / np.maximum(length, 1e-300))
    for _ in range(_STEPS):
        miss = bend(ideal, coefficients) - bent
        slope = _slope(ideal, coefficients)
        determinant = slope[..., 0, 0] * slope[..., 1, 1] - slope[..., 0, 1] * slope[..., 1, 0]
        determinant = np.where(np.abs(determinant) < 1e-9, 1e-9, determinant)
        step = np.stack(
            [
                slope[..., 1, 1] * miss[..., 0] - slope[..., 0, 1] * miss[..., 1],
                slope[..., 0, 0] * miss[..., 1] - slope[..., 1, 0] * miss[..., 0],
            ],
            axis=-1,
        )
        step /= determinant[..., None]
        size = np.linalg.norm(step, axis=-1, keepdims=True)
        ideal -= step * np.minimum(1.0, 0.5 / np.maximum(size, 1e-300))
        if not np.any(size > _CLOSE):
            break
    length = np.linalg.norm(ideal, axis=-1)
    wrong = (np.linalg.norm(bend(ideal, coefficients) - bent, axis=-1) > 1e-8) | ~(length < rim)
    ideal[wrong] = np.nan
    return ideal


def _slope(ideal: np.ndarray, coefficients: tuple[float, float, float, float, float]) -> np.ndarray:
    """(..., 2, 2) derivatives of the bent by the ideal coordinates."""
    k1, k2, p1, p2, k3 = coefficients
    x, y = ideal[..., 0], ideal[..., 1]
    square = x * x + y * y
    radial = 1 + square * (k1 + square * (k2 + square * k3))
    growth = 2 * (k1 + square * (2 * k2 + 3 * k3 * square))
    across = growth * x * y + 2 * p1 * x + 2 * p2 * y
    slope = np.empty((*ideal.shape, 2))
    slope[..., 0, 0] = radial + growth * x * x + 2 * p1 * y + 6 * p2 * x
    slope[..., 1, 1] = radial + growth * y * y + 6 * p1 * y + 2 * p2 * x
    slope[..., 0, 1] = slope[..., 1, 0] = across
    return slope
