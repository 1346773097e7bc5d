"""From light to an image: the filter of ambient light, exposure, the sensor's noise, and the curve of sRGB."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter

from sitetwin.vision.render.worker import BLOCK

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Weights of red, green and blue of sRGB."""

_KEY = 0.30  # of the full scale at which the median luminance is exposed
_SAME_PLANE = 0.9  # cosine between normals of pixels whose ambient light is averaged
_NEAR = 0.04  # of the distance, by which such pixels may differ
_BLUR = 0.45  # pixels, of lens and sensor
_NOISE_DAY, _DARK_CD_M2 = 1.2, 10.0  # grey levels, and the median luminance below which noise grows
_NOISE_NIGHT = 4.0


def joined_ambient(
    ambient: Float[np.ndarray, "height width 3"],
    normal: Float[np.ndarray, "height width 3"],
    distance: Float[np.ndarray, "height width"],
) -> Float[np.ndarray, "height width 3"]:
    """Average ambient light over the blocks in which its rays are stratified, not across edges.

    Args:
        ambient: (height, width, 3) illuminance, lux.
        normal: (height, width, 3) unit normals, zero where the sky is seen.
        distance: (height, width) metres.
    """
    height, width = distance.shape
    pad = BLOCK
    reach = ((pad, pad), (pad, pad))
    wide = np.pad(ambient.astype(np.float32), (*reach, (0, 0)), mode="edge")
    facing = np.pad(normal.astype(np.float32), (*reach, (0, 0)), mode="edge")
    near = np.pad(np.where(np.isfinite(distance), distance, 1e6).astype(np.float32), reach, mode="edge")
    here, at = facing[pad:-pad, pad:-pad], near[pad:-pad, pad:-pad]
    total, weight = np.zeros((height, width, 3), np.float32), np.full((height, width), 1e-6, np.float32)
    for down in range(-BLOCK // 2, BLOCK // 2):
        for across in range(-BLOCK // 2, BLOCK // 2):
            rows, columns = slice(pad + down, pad + down + height), slice(pad + across, pad + across + width)
            same = np.einsum("ijk,ijk->ij", facing[rows, columns], here) > _SAME_PLANE
            same &= np.abs(near[rows, columns] - at) < _NEAR * at
            total += np.where(same[..., None], wide[rows, columns], 0.0)
            weight += same
    lonely = weight < 0.5
    total[lonely], weight[lonely] = ambient[lonely], 1.0
    return total / weight[..., None]


def exposed(
    luminance: Float[np.ndarray, "height width 3"], rng: np.random.Generator
) -> UInt8[np.ndarray, "height width 3"]:
    """Expose an image as an automatic camera does.

    Args:
        luminance: (height, width, 3) cd/m2.
        rng: Source of the sensor's noise.
    """
    grey = luminance @ LUMINANCE
    level = float(np.median(grey))
    linear = 1.0 - np.exp(-luminance * (_KEY / max(level, 1e-6)))
    linear = gaussian_filter(linear, (_BLUR, _BLUR, 0.0))
    curve = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * np.power(np.maximum(linear, 0.0031308), 1 / 2.4) - 0.055
    )
    noise = _NOISE_NIGHT if level < _DARK_CD_M2 else _NOISE_DAY
    levels = 255.0 * curve + noise * rng.standard_normal(curve.shape, dtype=np.float32)
    return np.clip(levels + 0.5, 0, 255).astype(np.uint8)
