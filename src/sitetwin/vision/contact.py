"""From a pixel on the ground to a place in metres, with what is uncertain of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.vision.camera import PARAMETERS, Camera
from sitetwin.vision.ground import Ground

PIXEL_SIGMA = (1.5, 1.5)
"""Standard deviation of the middle of a box's lower edge, across and down, pixels."""

_STEPS = np.array([1e-3, 1e-3, 1e-3, 1e-5, 1e-5, 1e-5, 1e-5])  # of each of the camera's parameters
_PIXEL = 1e-2


def contact_points(
    camera: Camera,
    pixels: Float[np.ndarray, "points 2"],
    ground: Ground,
    *,
    pixel_sigma: Sequence[float] = PIXEL_SIGMA,
    camera_covariance: Float[np.ndarray, "7 7"] | None = None,
    ground_sigma: float = 0.0,
) -> tuple[Float[np.ndarray, "points 3"], Float[np.ndarray, "points 3 3"]]:
    """Find the points of the ground that pixels show.

    Errors are carried on to first order: those of the pixel and of the camera move the ray over the ground's slope at
    the point, an error of the ground's height moves the point along the ray.

    Args:
        camera: The camera.
        pixels: (N, 2) column and row.
        ground: The ground.
        pixel_sigma: Standard deviation across and down, pixels.
        camera_covariance: (7, 7) of `PARAMETERS`: metres, radians and the logarithm of the focal lengths; None for a
            camera that is known.
        ground_sigma: Standard deviation of the ground's height, metres.

    Returns:
        (N, 3) points, metres, and (N, 3, 3) their covariances, m2; NaN where a pixel shows no ground, as those over the
        horizon.

    Raises:
        SiteTwinError: A standard deviation is negative, or the covariance is none.
    """
    if min(*pixel_sigma, ground_sigma) < 0:
        raise SiteTwinError("a standard deviation is negative; give pixels and metres of at least 0")
    pixels = np.asarray(pixels, dtype=np.float64)
    points, normals = ground.meet(np.broadcast_to(camera.position, (len(pixels), 3)), camera.rays(pixels))

    def shown(other: Camera, at: np.ndarray) -> np.ndarray:
        """Where other rays meet the planes of the ground at the points."""
        rays = other.rays(at)
        length = np.einsum("nk,nk->n", normals, points - other.position)
        return other.position + rays * (length / np.einsum("nk,nk->n", normals, rays))[:, None]

    covariance = np.zeros((len(pixels), 3, 3))
    for axis, sigma in enumerate(pixel_sigma):
        step = np.eye(2)[axis] * _PIXEL
        slope = (shown(camera, pixels + step) - shown(camera, pixels - step)) / (2 * _PIXEL)
        covariance += sigma**2 * slope[:, :, None] * slope[:, None, :]
    if camera_covariance is not None:
        slopes = camera_slopes(camera, lambda other: shown(other, pixels))
        covariance += slopes @ checked_covariance(camera_covariance) @ slopes.transpose(0, 2, 1)
    rays = camera.rays(pixels)
    lifted = rays * (normals[:, 2] / np.einsum("nk,nk->n", normals, rays))[:, None]
    covariance += ground_sigma**2 * lifted[:, :, None] * lifted[:, None, :]
    return points, covariance


def camera_slopes(
    camera: Camera, value: Callable[[Camera], Float[np.ndarray, "values axes"]]
) -> Float[np.ndarray, "values axes 7"]:
    """Return (N, M, 7): how (N, M) values of a camera change with each of its `PARAMETERS`."""
    columns = []
    for index, size in enumerate(_STEPS):
        step = np.zeros(len(PARAMETERS))
        step[index] = size
        columns.append((value(camera.moved(step)) - value(camera.moved(-step))) / (2 * size))
    return np.stack(columns, axis=-1)


def checked_covariance(covariance: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "7 7"]:
    """Return a camera's covariance.

    Raises:
        SiteTwinError: It is not of seven parameters, not finite, not symmetric, or has a negative direction.
    """
    if covariance.shape != (7, 7) or not np.isfinite(covariance).all():
        raise SiteTwinError(f"a camera has a covariance of {' '.join(PARAMETERS)}: give a finite 7 x 7 matrix")
    root = np.sqrt(np.maximum(np.diag(covariance), 0))
    unit = covariance / np.maximum(np.outer(root, root), 1e-300)
    if np.abs(unit - unit.T).max() > 1e-6 or np.linalg.eigvalsh(unit)[0] < -1e-6:
        raise SiteTwinError("the camera's covariance is not symmetric, or has a negative direction; give one that is")
    return covariance
