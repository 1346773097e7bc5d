"""A street of two rows of houses, and channels measured in it."""

from dataclasses import replace

import numpy as np
import torch

from sitetwin.channel import OfdmGrid, Radio, frequency_response, path_gains
from sitetwin.measured import csi_dataset
from sitetwin.rays import TraceSettings, trace
from sitetwin.site import Material, build_site

CARRIER, STATION, RATE = 3.5e9, np.array([0.0, 0.0, 10.0]), 122.88e6
CORNERS = np.array([(i, j, k) for k in (0, 1) for j in (0, 1) for i in (0, 1)], dtype=float)
FACES = np.array([(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (1, 3, 7, 5), (3, 2, 6, 7), (2, 0, 4, 6)])
TRIANGLES = np.concatenate([FACES[:, [0, 1, 2]], FACES[:, [0, 2, 3]]])
FEET = ((-20.0, 12.0), (-20.0, -24.0), (-20.0, 200.0))
"""Corners of the northern row, the southern row, and a row that no path reaches."""


def street(permittivity=5.0, thickness=None, south=None, rows=2, place=(0.0, 0.0), quarters=0, rough=0.0, one=False):
    """Rows of houses along a street; the place of the origin and quarter turns move all of it as one."""
    corners = np.array([(*foot, 0.0) for foot in FEET[:rows]])
    vertices = (corners[:, None] + CORNERS * (90.0, 12.0, 15.0)).reshape(-1, 3)
    triangles = (TRIANGLES + 8 * np.arange(rows)[:, None, None]).reshape(-1, 3)
    names = ("north", "south", "far")[:rows]
    constants = (permittivity, permittivity if south is None else south, permittivity)
    materials = [
        Material(f"{name} stone", None, value, 0.02, thickness, rough)
        for name, value in zip(names, constants, strict=False)
    ]
    made_of = np.zeros(rows, int) if one else np.arange(rows)
    owner = np.repeat(np.arange(rows), len(TRIANGLES))
    return build_site(
        "street",
        moved(vertices, place, quarters),
        triangles,
        owner,
        list(names),
        made_of,
        materials[: made_of.max() + 1],
    )


def moved(points, place=(0.0, 0.0), quarters=0):
    """Points of a street that was turned by right angles and moved, exactly."""
    turned = np.array(points, dtype=float)
    for _ in range(quarters):
        turned = np.stack([-turned[..., 1], turned[..., 0], turned[..., 2]], axis=-1)
    return turned + np.array([*place, 0.0])


def users(count, seed):
    """Places in the street."""
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.uniform(5, 60, count), rng.uniform(-11, 11, count), np.full(count, 1.5)])


def traced(site, count=80, seed=1, station=STATION, places=None, depth=2, diffuse=0):
    """Paths to users of the street."""
    ends = users(count, seed) if places is None else places
    return trace(site, station, ends, TraceSettings(max_depth=depth, diffuse_paths=diffuse))


def channels(site, paths, seed, radio=None, snr_db=30.0, scale=1.0, subcarriers=256, misfit=0.0):
    """What a receiver with noise measures of paths, whose powers are off by a relative standard deviation."""
    gains = path_gains(paths, site, CARRIER, radio, Radio(), dtype=torch.complex128)
    if misfit:
        draws = np.random.default_rng([seed, 1]).standard_normal(paths.num_paths)
        off = torch.from_numpy(np.exp(misfit / 2 * draws))  # of amplitudes
        gains = replace(gains, values=gains.values * off[:, None, None])
    grid = OfdmGrid(CARRIER, subcarriers, RATE / subcarriers)
    h = scale * frequency_response(paths, gains, grid)[:, 0].numpy()
    rng = np.random.default_rng(seed)
    noise = np.sqrt((np.abs(h) ** 2).mean() * 10 ** (-snr_db / 10) / 2)
    h = h + noise * (rng.standard_normal(h.shape) + 1j * rng.standard_normal(h.shape))
    return csi_dataset(h, grid.frequencies_hz.numpy(), paths.users, np.full(len(h), np.nan))
