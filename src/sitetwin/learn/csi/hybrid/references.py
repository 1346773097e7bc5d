"""References: the paths of the twin's users, beside which those of a matrix are told in few bits.

A user of the world has the paths of some user of the twin, a little elsewhere and with other gains: walls, heading and
position are off, leaves take power. A report names that user by its number and tells each path's place beside one of
that user's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Complex128, Float32, Float64, Int64
from torch import Tensor

from sitetwin.compiled import compiled
from sitetwin.learn.csi.hybrid.report import GRAIN, NOWHERE
from sitetwin.learn.csi.hybrid.search import resolve
from sitetwin.learn.csi.hybrid.tasks import LIKES, Stages, Task, desk_of_paths
from sitetwin.learn.csi.hybrid.waves import BINS_PER_TAP, MARGIN, Waves, kernel

KNOWN = 8
"""Paths of a reference."""

_WEAKEST = 0.03  # amplitude of a path of a reference, of the unit norm
_ASKED = 5  # strongest paths of a matrix by which its reference is found
_WIDEST, _LATEST = 0.07, 1.0  # of a pose that is sought, rad and taps
_FEWEST = 20  # matrices of which a pose is taken: with 10, a heading that was right came out up to 0.8 degrees off
_SHARP = (0.08, 0.2)  # bins within which paths are the same while it is sought
_ELSEWHERE = (3.0, 10.0)  # taps and beams around the twin's in which unknown paths lie
_FREE = 7.0  # bits by which a place anywhere is dearer than one right beside a reference's


@dataclass(frozen=True, eq=False)
class PathList:
    """Paths of matrices, the strongest first, and what these do not hold.

    Attributes:
        places: Delay in taps from the first one, angle in beams.
        gains: Complex gains.
        left: The rest, of matrices in which paths are real.
    """

    places: Float64[np.ndarray, "users paths 2"]
    gains: Complex128[np.ndarray, "users paths"]
    left: Complex[Tensor, "users taps beams"]


@dataclass(frozen=True)
class Pose:
    """How the paths of a world lie over the twin's.

    Attributes:
        turn: Turn of the angles, rad: the array's heading is off by as much, to the other side.
        delay: Delay, taps.
    """

    turn: float = 0.0
    delay: float = 0.0


def resolved(task: Task, waves: Waves, x: Complex[Tensor, "users taps beams"]) -> PathList:
    """Take matrices, in which paths are real, apart."""
    places, gains = last_of(staged(task, parts_of(x), KNOWN), KNOWN)
    bare = PathList(places, gains, torch.zeros_like(x))
    return PathList(places, gains, x - together(waves, bare))


def staged(task: Task, x: Float32[np.ndarray, "users 2 size"], most: int) -> Stages:
    """The paths of matrices, given as `parts_of`, found one after another."""
    users = len(x)
    stages = Stages(
        np.zeros((users, most, most, 2)), np.zeros((users, most, most), np.complex128), np.zeros((users, most))
    )
    resolve(task, desk_of_paths(task, most, 0), x, stages)
    return stages


def last_of(
    stages: Stages, count: int
) -> tuple[Float64[np.ndarray, "users paths 2"], Complex128[np.ndarray, "users paths"]]:
    """Places and gains of so many paths, the strongest first."""
    places, gains = stages.place[:, count - 1, :count], stages.gain[:, count - 1, :count]
    order = np.argsort(-np.abs(gains), axis=1, kind="stable")
    return np.take_along_axis(places, order[..., None], 1), np.take_along_axis(gains, order, 1)


def together(waves: Waves, paths: PathList) -> Complex[Tensor, "users taps beams"]:
    """Put matrices, in which paths are real, together."""
    users, count, _ = paths.places.shape
    delays = np.zeros((users, count, waves.taps), np.float32)
    angles = np.zeros((users, count, waves.beams), np.float32)
    _kernels(paths.places, waves.subcarriers, delays, angles)
    weighted = torch.from_numpy((paths.gains[..., None] * delays).astype(np.complex64))
    return weighted.transpose(1, 2) @ torch.from_numpy(angles).to(torch.complex64) + paths.left


def randomised(
    waves: Waves, paths: PathList, errors: tuple[float, float, float, float, float], rng: torch.Generator
) -> PathList:
    """Paths as a world may have them whose map is not quite the twin's.

    Args:
        waves: The grid.
        paths: The twin's.
        errors: Standard deviations of delay (taps), angle (beams), heading (rad), and gain (dB); share of the paths
            that the twin does not know.
        rng: Source of random numbers.
    """
    users, count = paths.gains.shape
    delay, angle, turn, gain, elsewhere = errors
    draw = torch.randn(users, count, 3, generator=rng).double().numpy()
    heading = torch.randn(users, 1, generator=rng).double().numpy() * turn
    places = paths.places.copy()
    places[..., 0] += delay * draw[..., 0]
    places[..., 1] = turned(waves, places[..., 1], heading) + angle * draw[..., 1]
    away = torch.rand(users, count, generator=rng).numpy() < elsewhere
    far = torch.rand(users, count, 2, generator=rng).double().numpy() - 0.5
    places[away] += far[away] * np.array(_ELSEWHERE)
    places[..., 0] = np.clip(places[..., 0], -MARGIN, waves.taps + MARGIN)
    places[..., 1] %= waves.beams
    return PathList(places, paths.gains * 10 ** (gain * draw[..., 2] / 20), paths.left)


def turned(
    waves: Waves, angles: Float64[np.ndarray, "*paths"], turn: Float64[np.ndarray, "*turns"] | float
) -> np.ndarray:
    """Angles in beams, as an array sees them that is turned by so many rad; paths come from before it."""
    across = waves.beams * waves.spacing  # beams between the array's normal and its line
    sine = np.clip((angles - waves.beams // 2) / across, -1, 1)
    return angles + across * np.sqrt(1 - sine**2) * turn


def pose_of(waves: Waves, twin: PathList, measured: PathList) -> Pose:
    """Heading and delay that a world's paths have over the twin's, found from some of the world's matrices.

    It is the pose under which the measured paths take the fewest bits beside the twin's. A few matrices lie over the
    twin's under many poses by chance: with fewer than twenty, nothing moves.
    """
    if len(measured.gains) < _FEWEST:
        return Pose()
    table, spreads = table_of(twin), np.array(_SHARP)

    def bits(pose: Pose) -> Float32[np.ndarray, " users"]:
        back = placed(waves, measured.places, Pose(-pose.turn, -pose.delay))
        return nearest(table, back, measured.gains, spreads)[1]

    best, sizes = Pose(), (_WIDEST / 16, _LATEST / 8)
    turns, delays = np.arange(-16, 17), np.arange(-8, 9, 4)
    for _ in range(6):
        tried = [Pose(best.turn + sizes[0] * a, best.delay + sizes[1] * b) for a in turns for b in delays]
        best = tried[int(np.argmin([bits(one).mean() for one in tried]))]
        sizes = (sizes[0] / 2, sizes[1] / 2)
        turns, delays = np.arange(-2, 3), np.arange(-2, 3)
    return best


def placed(
    waves: Waves, places: Float64[np.ndarray, "users paths 2"], pose: Pose
) -> Float64[np.ndarray, "users paths 2"]:
    """Places of paths under a pose."""
    moved = places.copy()
    moved[..., 0] += pose.delay
    moved[..., 1] = turned(waves, places[..., 1], pose.turn)
    return moved


def table_of(paths: PathList) -> Int64[np.ndarray, "users known 2"]:
    """Places of references in parts of bins."""
    bins = (paths.places + np.array([MARGIN, 0.0])) * BINS_PER_TAP
    table = np.floor(bins * GRAIN + 0.5).astype(np.int64)
    table[np.abs(paths.gains) < _WEAKEST] = NOWHERE
    return table


def nearest(
    table: Int64[np.ndarray, "references known 2"],
    places: Float64[np.ndarray, "users paths 2"],
    gains: Complex128[np.ndarray, "users paths"],
    spreads: Float64[np.ndarray, " two"],
) -> tuple[Int64[np.ndarray, "users few"], Float32[np.ndarray, " users"]]:
    """The references of each matrix, the one first beside which its strongest paths take the fewest bits; these."""
    known = np.ascontiguousarray(table.transpose(1, 2, 0)).astype(np.float32) / GRAIN
    bins = ((places + np.array([MARGIN, 0.0])) * BINS_PER_TAP).astype(np.float32)
    found, bits = np.full((len(bins), LIKES), len(table), np.int64), np.zeros(len(bins), np.float32)
    if len(table):
        weights = np.minimum(np.abs(gains) / 0.1, 1.0).astype(np.float32)
        _nearest(known, bins[:, :_ASKED], weights[:, :_ASKED], (1 / spreads).astype(np.float32), found, bits)
    return found, bits


@compiled(divisions_checked=False)
def _nearest(
    known: np.ndarray,
    bins: np.ndarray,
    weights: np.ndarray,
    sharpness: np.ndarray,
    found: np.ndarray,
    fewest: np.ndarray,
) -> None:
    """Write the number of the best reference of each user."""
    references = known.shape[2]
    total, least = np.zeros(references, np.float32), np.zeros(references, np.float32)
    near = np.zeros(references, np.int64)
    for user in range(len(bins)):
        limit = weights[user, 0] * np.float32(_FREE)  # what all cost at least that have no path near the strongest one
        _first_costs(known, bins[user, 0], sharpness, least)
        count, better = 0, 0
        for n in range(references):
            if least[n] < np.float32(_FREE):
                near[count] = n
                count += 1
            total[n] = weights[user, 0] * least[n]
        for n in near[:count]:
            for path in range(1, bins.shape[1]):
                total[n] += weights[user, path] * _cost(known, bins[user, path], sharpness, n)
            better += total[n] < limit
        if better < found.shape[1]:
            for n in range(references):
                if least[n] >= np.float32(_FREE):
                    for path in range(1, bins.shape[1]):
                        total[n] += weights[user, path] * _cost(known, bins[user, path], sharpness, n)
        for k in range(min(found.shape[1], references)):
            found[user, k] = np.argmin(total)
            if k == 0:
                fewest[user] = total[found[user, 0]]
            total[found[user, k]] = np.inf


@compiled(divisions_checked=False)
def _first_costs(known: np.ndarray, place: np.ndarray, sharpness: np.ndarray, least: np.ndarray) -> None:
    """Write what a path costs beside each reference."""
    a, b, delay, angle = sharpness[0], sharpness[1], place[0], place[1]
    least[:] = np.float32(_FREE)
    for k in range(len(known)):
        for n in range(len(least)):
            p, q = (known[k, 0, n] - delay) * a, (known[k, 1, n] - angle) * b
            least[n] = min(least[n], np.float32(0.7) * (p * p + q * q))


@compiled(divisions_checked=False)
def _cost(known: np.ndarray, place: np.ndarray, sharpness: np.ndarray, reference: Any) -> Any:
    """What a path costs beside one reference."""
    least = np.float32(_FREE)
    for k in range(len(known)):
        p = (known[k, 0, reference] - place[0]) * sharpness[0]
        q = (known[k, 1, reference] - place[1]) * sharpness[1]
        least = min(least, np.float32(0.7) * (p * p + q * q))
    return least


@compiled(divisions_checked=False)
def _kernels(places: np.ndarray, subcarriers: Any, delays: np.ndarray, angles: np.ndarray) -> None:
    """Write the kernels of paths."""
    size = max(delays.shape[2], angles.shape[2])
    slope, curve = np.zeros(size), np.zeros(size)
    for user in range(len(places)):
        for path in range(places.shape[1]):
            kernel(places[user, path, 0], subcarriers, delays[user, path], slope, curve)
            kernel(places[user, path, 1], angles.shape[2], angles[user, path], slope, curve)


def parts_of(x: Complex[Tensor, "users taps beams"]) -> Float32[np.ndarray, "users 2 size"]:
    """Real and imaginary parts, as the search takes them."""
    flat = x.flatten(1)
    return np.ascontiguousarray(torch.stack([flat.real, flat.imag], dim=1).numpy().astype(np.float32))
