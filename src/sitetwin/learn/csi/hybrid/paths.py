"""Free paths of a matrix, found one after another beside a zone's subspace, and their gains by joint least squares."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from sitetwin.compiled import compiled
from sitetwin.learn.csi.hybrid.waves import BINS_PER_TAP, MARGIN, kernel

_RIDGE = 1e-3


class Grid(NamedTuple):
    """The grid of taps and beams, and kernels at the centres of all bins.

    Attributes:
        subcarriers: Subcarriers.
        delays: Kernels of delay.
        angles: Kernels of angle.
    """

    subcarriers: int
    delays: Float32[np.ndarray, "_ _"]
    angles: Float32[np.ndarray, "_ _"]


class Found(NamedTuple):
    """Paths of one matrix, and room to work.

    Attributes:
        place: Delay in taps and angle in beams.
        delay: Kernel of each path over the taps.
        angle: Kernel of each path over the beams.
        inside: Coefficients of each path within the zone's subspace, real and imaginary part.
        gain: Complex gains.
        overlaps: Products of the paths with the matrix.
        pairs: Products of the paths with one another.
        gram: Those outside the subspace.
        lower: Factor of the gram, the last path first.
        solved: Products of the paths with the matrix outside the subspace, and those that the factor makes of them.
    """

    place: Float64[np.ndarray, "_ _"]
    delay: Float32[np.ndarray, "_ _"]
    angle: Float32[np.ndarray, "_ _"]
    inside: Float32[np.ndarray, "_ _ _"]
    gain: np.ndarray
    overlaps: np.ndarray
    pairs: Float64[np.ndarray, "_ _"]
    gram: np.ndarray
    lower: np.ndarray
    solved: np.ndarray


def room(paths: int, taps: int, beams: int, rank: int) -> Found:
    """Room for the paths of one matrix."""
    return Found(
        np.zeros((paths, 2)),
        np.zeros((paths, taps), np.float32),
        np.zeros((paths, beams), np.float32),
        np.zeros((2, paths, rank), np.float32),
        np.zeros(paths, np.complex128),
        np.zeros(paths, np.complex128),
        np.zeros((paths, paths)),
        np.zeros((paths, paths), np.complex128),
        np.zeros((paths, paths), np.complex128),
        np.zeros(paths, np.complex128),
    )


@compiled(fastmath=True, divisions_checked=False)
def project(real: np.ndarray, imaginary: np.ndarray, rank: Any, x: np.ndarray, found: np.ndarray) -> None:
    """Write ``U^H x`` for the first `rank` directions (rows of their conjugates' real and imaginary parts)."""
    for j in range(rank):
        a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for k in range(x.shape[1]):
            a += real[j, k] * x[0, k]
            b += imaginary[j, k] * x[1, k]
            c += real[j, k] * x[1, k]
            d += imaginary[j, k] * x[0, k]
        found[0, j], found[1, j] = a + b, c - d


@compiled(fastmath=True, divisions_checked=False)
def project_path(
    real: np.ndarray,
    imaginary: np.ndarray,
    rank: Any,
    delay: np.ndarray,
    angle: np.ndarray,
    wave: np.ndarray,
    found: np.ndarray,
) -> None:
    """Write ``U^H a`` of a path with real kernels; `wave` takes the path itself."""
    beams = len(angle)
    for n in range(len(delay)):
        for m in range(beams):
            wave[n * beams + m] = delay[n] * angle[m]
    for j in range(rank):
        a, b = np.float32(0), np.float32(0)
        for k in range(len(wave)):
            a += real[j, k] * wave[k]
            b += imaginary[j, k] * wave[k]
        found[0, j], found[1, j] = a, -b


@compiled(fastmath=True, divisions_checked=False)
def subtract(real: np.ndarray, imaginary: np.ndarray, weights: np.ndarray, x: np.ndarray) -> None:
    """Take ``U w`` off a matrix."""
    for j in range(weights.shape[1]):
        a, b = weights[0, j], weights[1, j]
        for k in range(x.shape[1]):
            x[0, k] -= real[j, k] * a - imaginary[j, k] * b
            x[1, k] -= real[j, k] * b + imaginary[j, k] * a


@compiled(fastmath=True, divisions_checked=False)
def add_path(delay: np.ndarray, angle: np.ndarray, gain: Any, x: np.ndarray) -> None:
    """Add a path to a matrix."""
    a, b, beams = np.float32(gain.real), np.float32(gain.imag), len(angle)
    for n in range(len(delay)):
        p, q = a * delay[n], b * delay[n]
        for m in range(beams):
            x[0, n * beams + m] += p * angle[m]
            x[1, n * beams + m] += q * angle[m]


@compiled(fastmath=True, divisions_checked=False)
def overlap(delay: np.ndarray, angle: np.ndarray, x: np.ndarray) -> Any:
    """``a^T x`` of a path and a matrix."""
    real, imaginary, beams = 0.0, 0.0, len(angle)
    for n in range(len(delay)):
        a, b = np.float32(0), np.float32(0)
        for m in range(beams):
            a += angle[m] * x[0, n * beams + m]
            b += angle[m] * x[1, n * beams + m]
        real += delay[n] * a
        imaginary += delay[n] * b
    return complex(real, imaginary)


@compiled(fastmath=True, divisions_checked=False)
def correlate(grid: Grid, x: np.ndarray, map_: np.ndarray) -> None:
    """Write ``a^T x`` of a matrix and the paths at the centres of all bins, real and imaginary parts."""
    shape = (grid.delays.shape[1], grid.angles.shape[1])
    bins = (len(grid.delays), len(grid.angles))
    for part in range(2):
        np.dot(np.dot(grid.delays, x[part].reshape(shape)), grid.angles.T, map_[part].reshape(bins))


@compiled(fastmath=True, divisions_checked=False)
def strongest(grid: Grid, map_: np.ndarray, found: Found, paths: Any, place: np.ndarray) -> None:
    """Write delay and angle of the bin where a matrix has most of a path once the paths that were found are off.

    Args:
        grid: The grid.
        map_: (2, bins) products of the matrix with the paths of all bins.
        found: Paths.
        paths: How many are taken off.
        place: Written.
    """
    count, left = len(grid.angles), map_.copy()
    for path in range(paths):
        along = np.dot(grid.delays, found.delay[path])
        across = np.dot(grid.angles, found.angle[path])
        gain = found.gain[path]
        for i in range(len(along)):
            p, q = np.float32(gain.real) * along[i], np.float32(gain.imag) * along[i]
            for k in range(count):
                left[0, i * count + k] -= p * across[k]
                left[1, i * count + k] -= q * across[k]
    best, at = np.float32(-1), 0
    for k in range(left.shape[1]):
        power = left[0, k] * left[0, k] + left[1, k] * left[1, k]
        if power > best:
            best, at = power, k
    place[0] = (at // count + 0.5) / BINS_PER_TAP - MARGIN
    place[1] = (at % count + 0.5) / BINS_PER_TAP


@compiled(fastmath=True, divisions_checked=False)
def refine(grid: Grid, x: np.ndarray, found: Found, paths: Any, path: Any, rounds: Any) -> None:
    """Move a path to where a matrix has most of it, by Newton steps on the power: half a bin each, at most.

    Args:
        grid: The grid.
        x: The matrix.
        found: Paths.
        paths: How many of them, besides the one that is moved, are taken off the matrix.
        path: The one that is moved.
        rounds: Number of steps.
    """
    taps, beams = grid.delays.shape[1], grid.angles.shape[1]
    d, b = np.zeros((3, taps), np.float32), np.zeros((3, beams), np.float32)
    rows = np.zeros((6, taps), np.float32)  # x b, x b', x b''
    place = found.place[path]
    for _ in range(rounds):
        kernel(place[0], grid.subcarriers, d[0], d[1], d[2])
        kernel(place[1], beams, b[0], b[1], b[2])
        for n in range(taps):
            for part in range(2):
                s0, s1, s2 = np.float32(0), np.float32(0), np.float32(0)
                for m in range(beams):
                    value = x[part, n * beams + m]
                    s0 += value * b[0, m]
                    s1 += value * b[1, m]
                    s2 += value * b[2, m]
                rows[3 * part, n], rows[3 * part + 1, n], rows[3 * part + 2, n] = s0, s1, s2
        for other in range(paths):
            if other != path:
                _take_off(found, other, b, rows)
        s, st, stt = _along(d, 0, rows, 0), _along(d, 1, rows, 0), _along(d, 2, rows, 0)
        su, suu, stu = _along(d, 0, rows, 1), _along(d, 0, rows, 2), _along(d, 1, rows, 1)
        dt, du = _newton(s, (st, su), (stt, stu, suu), d)
        place[0] += min(max(dt, -0.25), 0.25)
        place[1] += min(max(du, -0.25), 0.25)
        place[0] = min(max(place[0], -MARGIN + 1e-3), taps + MARGIN - 1e-3)
        place[1] = place[1] % beams


@compiled(fastmath=True, divisions_checked=False)
def _take_off(found: Found, path: Any, b: np.ndarray, rows: np.ndarray) -> None:
    """Take a path off a matrix's products with a kernel of angle and its derivatives."""
    delay, angle, gain = found.delay[path], found.angle[path], found.gain[path]
    for order in range(3):
        both = np.float32(0)
        for m in range(len(angle)):
            both += angle[m] * b[order, m]
        p, q = np.float32(gain.real) * both, np.float32(gain.imag) * both
        for n in range(len(delay)):
            rows[order, n] -= p * delay[n]
            rows[3 + order, n] -= q * delay[n]


@compiled(fastmath=True, divisions_checked=False)
def _newton(s: Any, first: Any, second: Any, d: np.ndarray) -> Any:
    """One step in delay and angle towards more of ``|s|^2 / |d|^2``: taps that are cut off must not count."""
    power, norm, norm1, norm2 = s.real**2 + s.imag**2 + 1e-30, 1e-30, 0.0, 0.0
    for n in range(d.shape[1]):
        norm += d[0, n] * d[0, n]
        norm1 += 2 * d[0, n] * d[1, n]
        norm2 += 2 * (d[1, n] * d[1, n] + d[0, n] * d[2, n])
    c = s.conjugate()
    pt, pu = 2 * (c * first[0]).real / power, 2 * (c * first[1]).real / power
    gt, gu = pt - norm1 / norm, pu
    htt = 2 * ((c * second[0]).real + abs(first[0]) ** 2) / power - pt * pt - norm2 / norm + (norm1 / norm) ** 2
    htu = 2 * ((c * second[1]).real + (first[0].conjugate() * first[1]).real) / power - pt * pu
    huu = 2 * ((c * second[2]).real + abs(first[1]) ** 2) / power - pu * pu
    turn = htt * huu - htu * htu
    if htt < 0 and turn > 0:
        return -(huu * gt - htu * gu) / turn, -(htt * gu - htu * gt) / turn
    size = max(abs(gt), abs(gu), 1e-30)
    return 0.1 * gt / size, 0.1 * gu / size


@compiled(fastmath=True, divisions_checked=False)
def _along(d: np.ndarray, order: Any, rows: np.ndarray, which: Any) -> Any:
    a, b = np.float32(0), np.float32(0)
    for n in range(d.shape[1]):
        a += d[order, n] * rows[which, n]
        b += d[order, n] * rows[3 + which, n]
    return complex(a, b)


@compiled(fastmath=True, divisions_checked=False)
def equations(found: Found, paths: Any, rank: Any, matrix_inside: np.ndarray, x: np.ndarray) -> None:
    """Write and factor the normal equations of the gains of paths beside the first `rank` directions of a subspace."""
    inside = found.inside
    for i in range(paths):
        right = found.overlaps[i] = overlap(found.delay[i], found.angle[i], x)
        for j in range(rank):
            a, b = inside[0, i, j], inside[1, i, j]
            c, d = matrix_inside[0, j], matrix_inside[1, j]
            right -= complex(a * c + b * d, a * d - b * c)
        found.solved[paths - 1 - i] = right
        for k in range(i + 1):
            p, q = 0.0, 0.0
            for n in range(found.delay.shape[1]):
                p += found.delay[i, n] * found.delay[k, n]
            for m in range(found.angle.shape[1]):
                q += found.angle[i, m] * found.angle[k, m]
            found.pairs[i, k] = found.pairs[k, i] = p * q
            value = complex(p * q, 0.0)
            for j in range(rank):
                a, b = inside[0, i, j], inside[1, i, j]
                c, d = inside[0, k, j], inside[1, k, j]
                value -= complex(a * c + b * d, a * d - b * c)
            found.gram[i, k] = value
            found.gram[k, i] = value.conjugate()
    _factor(found, paths)


@compiled(divisions_checked=False)
def _factor(found: Found, paths: Any) -> None:
    """Cholesky's factor of the equations, the last path first, and the first half of their solution."""
    lower, solved = found.lower, found.solved
    for i in range(paths):
        for k in range(i + 1):
            value = found.gram[paths - 1 - i, paths - 1 - k]
            for j in range(k):
                value -= lower[i, j] * lower[k, j].conjugate()
            if k == i:
                lower[i, i] = complex(np.sqrt(max(value.real + _RIDGE, 1e-9)), 0.0)
            else:
                lower[i, k] = value / lower[k, k].real
        for j in range(i):
            solved[i] -= lower[i, j] * solved[j]
        solved[i] /= lower[i, i].real


@compiled(divisions_checked=False)
def next_gain(found: Found, paths: Any, path: Any) -> None:
    """Write the gain of a path that solves the equations with those of the paths before it as they are."""
    row = paths - 1 - path
    value = found.solved[row]
    for j in range(row + 1, paths):
        value -= found.lower[j, row].conjugate() * found.gain[paths - 1 - j]
    found.gain[path] = value / found.lower[row, row].real


@compiled(divisions_checked=False)
def remainder(found: Found, paths: Any, energy: Any) -> Any:
    """Energy of a matrix of so much energy without its paths."""
    error = energy + 0.0
    for i in range(paths):
        gain = found.gain[i]
        error -= 2 * (gain.conjugate() * found.overlaps[i]).real
        for k in range(paths):
            error += found.pairs[i, k] * (gain.conjugate() * found.gain[k]).real
    return error
