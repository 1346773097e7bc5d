"""Boxes that upright bodies on the ground leave in an image."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from sitetwin.vision.camera import Camera

CLIPPED = 0.12
"""Share of a vehicle's width that its rounded corners lack on each side, by judgement."""


def outlines(
    camera: Camera,
    middles: Float[np.ndarray, "bodies 3"],
    headings: Float[np.ndarray, " bodies"],
    sizes: Float[np.ndarray, "bodies 3"],
) -> Float[np.ndarray, "bodies 4"]:
    """Find the boxes of bodies with rounded corners, in the image or beyond it.

    Args:
        camera: The camera.
        middles: (N, 3) point of the ground below each body's middle, metres.
        headings: (N,) radians from east.
        sizes: (N, 3) length, width and height, metres.

    Returns:
        (N, 4) left, upper, right, lower edge, pixels; NaN where a body reaches behind the camera.
    """
    half = 0.5 * sizes[:, :2]
    cut = CLIPPED * sizes[:, 1]
    along = np.stack([half[:, 0], half[:, 0] - cut], axis=1)
    aside = np.stack([half[:, 1] - cut, half[:, 1]], axis=1)
    x = np.concatenate([along, along, -along, -along], axis=1)
    y = np.concatenate([aside, -aside, aside, -aside], axis=1)
    cosine, sine = np.cos(headings)[:, None], np.sin(headings)[:, None]
    plan = np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)
    foot = np.concatenate([plan, np.zeros((*plan.shape[:2], 1))], axis=-1) + middles[:, None]
    top = foot + np.array([0.0, 0.0, 1.0]) * sizes[:, 2:, None]
    pixels, _ = camera.project(np.concatenate([foot, top], axis=1))
    return np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
