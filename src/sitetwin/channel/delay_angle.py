"""The delay-angle channel straight from the paths, without passing through the subcarriers.

Each path is a Dirichlet kernel in delay and, for a uniform linear array, another in angle. A kernel at grid point n is

    D(n / K - x) = (1/K) sum_k e^{j 2 pi k (n / K - x)} ~ e^{-j pi (n/K - x)} sin(pi (n - K x)) / (K sin(pi (n / K - x))),

whose numerator is the same for all n up to sign and whose phase splits into one of the path and one of the grid point.
What is left to compute per grid point is a real reciprocal sine; the sum over paths is a small batched product of real
numbers with complex ones.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sitetwin.channel.arrays import AntennaArray, Radio
from sitetwin.channel.fields import phasor
from sitetwin.channel.grid import OfdmGrid, delay_taps
from sitetwin.channel.parallel import in_parallel
from sitetwin.channel.ragged import Piece, gathered, pieces
from sitetwin.channel.steering import PathTensors, recorded, side_cycles, spread_ports
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import SPEED_OF_LIGHT, Paths

_APART = 1e-7  # closest that a path may come to a grid point, in grid steps
_PIECE_PATHS = 2048


def angle_transform(channel: Tensor, array: AntennaArray, axis: int = -2) -> Tensor:
    """FFT over the elements of an array, then fftshift; over rows and columns for a planar array, port by port.

    Args:
        channel: Complex, with the array's antennas along `axis`.
        array: A uniform linear or planar array.
        axis: Axis of the antennas.

    Raises:
        SiteTwinError: The array is not uniform.
    """
    if array.shape is None:
        raise SiteTwinError("angles need a uniform array; build it with AntennaArray.ula or AntennaArray.upa")
    moved = channel.movedim(axis, -1)
    grid = moved.reshape(*moved.shape[:-1], array.num_ports, *array.shape)
    spectrum = torch.fft.fftshift(torch.fft.fft2(grid), dim=(-2, -1))
    return spectrum.reshape(moved.shape).movedim(-1, axis)


def delay_angle_from_response(cfr: Tensor, tx: Radio, num_taps: int = 32) -> Tensor:
    """The same matrix by way of the subcarriers: delay taps, then angles.

    Args:
        cfr: (U, R, T, K) complex.
        tx: Radio whose array the angles belong to.
        num_taps: Delay taps kept.

    Returns:
        (U, R, T, num_taps) complex: angle bins along T, delay along the last axis.
    """
    return angle_transform(delay_taps(cfr, num_taps), tx.array)


def _kernel(cycles: Tensor, size: int, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``sin(pi size y) / sin(pi y)`` with ``y = q / size - x`` at whole q, as path factor, reciprocal sine and sign.

    The denominator comes from an addition theorem in float64 (two products instead of a sine per grid point). A path
    on a grid point is moved off it by 1e-7 of a step, so that 0 / 0 never arises.

    Args:
        cycles: (P,) float64, x; not reduced here, the caller's phases must belong to the same x.
        size: Number of terms of the geometric series.
        points: (Q,) float64 whole numbers q.

    Returns:
        (P,), (P, Q) and (Q,) float64; the kernel is ``path[:, None] * reciprocal * sign``.
    """
    scaled = cycles * size
    step = scaled.round()
    away = scaled - step
    near = away.abs() < _APART
    away = torch.where(near, torch.full_like(away, _APART), away)
    angle = (math.pi / size) * torch.where(near, step + _APART, scaled)
    # sin(pi (q - size x)) = -(-1)^(q + step) sin(pi away)
    path = torch.sin(math.pi * away) * (2 * torch.remainder(step, 2) - 1)
    grid = math.pi / size * points
    comb = torch.stack([torch.sin(grid), -torch.cos(grid)])
    sine = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1) @ comb
    sign = 1 - 2 * torch.remainder(points, 2)
    return path, sine.reciprocal(), sign


def delay_angle(
    paths: Paths,
    gains: Tensor,
    grid: OfdmGrid,
    tx: Radio,
    rx: Radio | None = None,
    *,
    num_taps: int = 32,
    delay_reference_s: float | Tensor = 0.0,
    out: Tensor | None = None,
    **options: Any,
) -> Tensor:
    """Delay taps and angle bins straight from the paths; equal to the route over the subcarriers within 1e-5.

    Plane waves, steering and gains at the carrier; other choices go over `frequency_response` and
    `delay_angle_from_response`.

    Args:
        paths: P paths of U users.
        gains: (P, n_rx_ports, n_tx_ports) complex from `path_gains`.
        grid: The subcarriers.
        tx: Radio with a uniform linear or planar array.
        rx: Radio of the users; one vertical isotropic antenna by default.
        num_taps: Delay taps kept, from n = 0 on.
        delay_reference_s: Seconds, one for all or (U,): the delay of tap 0.
        out: (U, R, T, num_taps) to write into, contiguous.
        **options: None are known; a wavefront or steering given here is refused by name.

    Returns:
        (U, R, T, num_taps) complex: angle bins along T (fftshifted, port by port), delay along the last axis.

    Raises:
        SiteTwinError: The array is not uniform, gains do not fit, or an option has no closed form.
    """
    if options:
        raise SiteTwinError(
            f"delay_angle has a closed form for plane waves at the carrier only and knows no {', '.join(options)}; "
            "use frequency_response and delay_angle_from_response"
        )
    rx = rx or Radio()
    if tx.array.shape is None or tx.array.spacing is None:
        raise SiteTwinError("angles need a uniform array; build it with AntennaArray.ula or AntennaArray.upa")
    if gains.ndim != 3 or len(gains) != paths.num_paths:
        raise SiteTwinError(f"gains of shape {tuple(gains.shape)} do not fit {paths.num_paths} paths")
    if not 1 <= num_taps <= grid.num_subcarriers:
        raise SiteTwinError(f"{num_taps} delay taps were asked for of {grid.num_subcarriers} subcarriers")
    batch = PathTensors.of(paths)
    ports = spread_ports(gains, tx, rx).expand(-1, rx.array.num_antennas, -1)
    shape = (batch.num_users, rx.array.num_antennas, tx.array.num_antennas, num_taps)
    if out is not None and (tuple(out.shape) != shape or out.dtype != gains.dtype or not out.is_contiguous()):
        raise SiteTwinError(f"out has shape {tuple(out.shape)} and type {out.dtype}; needed is {shape}, {gains.dtype}")
    work = _Work(batch, ports, grid, tx, rx, num_taps, delay_reference_s)
    if recorded(gains, tx, rx):
        result = gathered(batch.offsets, _PIECE_PATHS, lambda piece: work.product(piece, shape), shape[1:])
        return result if out is None else out.copy_(result.detach())
    result = torch.empty(shape, dtype=gains.dtype) if out is None else out

    def one(piece: Piece) -> None:
        if piece.count == 0:
            result[piece.users] = 0
        elif piece.consecutive:
            first = int(piece.users[0])
            result[first : first + len(piece.users)] = work.product(piece, shape)
        else:
            result[piece.users] = work.product(piece, shape)

    with torch.no_grad():
        for _ in in_parallel(one, pieces(batch.offsets, _PIECE_PATHS)):
            pass
    return result


class _Work:
    """What stays the same for all groups of users."""

    def __init__(
        self,
        batch: PathTensors,
        ports: Tensor,
        grid: OfdmGrid,
        tx: Radio,
        rx: Radio,
        num_taps: int,
        delay_reference_s: float | Tensor,
    ) -> None:
        self.batch, self.ports, self.grid, self.tx, self.rx = batch, ports, grid, tx, rx
        self.taps = torch.arange(num_taps, dtype=torch.float64)
        self.reference = delay_reference_s
        self.real = torch.float32 if ports.dtype == torch.complex64 else torch.float64
        assert tx.array.shape is not None
        self.linear = tx.array.shape[0] == 1 and tx.array.num_ports == 1 and tx.array.num_positions > 1

    def product(self, piece: Piece, shape: tuple[int, ...]) -> Tensor:
        """(n, R, T, taps) of users with equally many paths."""
        users, rows, count = len(piece.users), piece.rows, piece.count
        right, tap_phase = self._delays(rows)
        gains = self.ports.index_select(0, rows)
        if self.linear and shape[1] == 1:
            kernel, bin_phase = self._bins(rows)
            right = right * gains[:, 0]
            columns = torch.view_as_real(right).view(users, count, -1)
            product = torch.bmm(kernel.view(users, count, -1).transpose(1, 2), columns)
            summed = torch.view_as_complex(product.view(users, shape[2], -1, 2))
            return (summed * (bin_phase[:, None] * tap_phase)).view(users, *shape[1:])
        left, phase = self._angles(gains, rows)
        left = left.reshape(users, count, shape[1] * shape[2]).transpose(1, 2)
        return torch.bmm(left, right.view(users, count, -1)).view(users, *shape[1:]) * (phase * tap_phase)

    def _delays(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(n, taps) delay kernels up to the phase of each tap, and that phase (taps,)."""
        dtype, size = self.ports.dtype, self.grid.num_subcarriers
        cycles = self.batch.length.index_select(0, rows) * (self.grid.spacing_hz / SPEED_OF_LIGHT) - self._shift(rows)
        cycles = cycles - cycles.floor()
        path, kernel, sign = _kernel(cycles, size, self.taps)
        # sum_k e^{j 2 pi k y} = e^{j 2 pi middle y} sin(pi K y) / sin(pi y), middle = first + (K - 1) / 2
        middle = self.grid.first + (size - 1) / 2
        right = phasor(middle * cycles, dtype, path / size)[:, None] * kernel.to(self.real)
        return right, phasor(-middle * self.taps / size, dtype, sign)

    def _shift(self, rows: Tensor) -> float | Tensor:
        spacing = self.grid.spacing_hz
        if not isinstance(self.reference, Tensor) or self.reference.ndim == 0:
            return float(self.reference) * spacing
        if len(self.reference) != self.batch.num_users:
            raise SiteTwinError(f"{len(self.reference)} delay references were given for {self.batch.num_users} users")
        return self.reference.double()[self.batch.user[rows]] * spacing

    def _bins(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(n, M) angle kernels of a linear array, real up to the phase of each bin, and that phase (M,).

        ``sum_m e^{j 2 pi (m - (M-1)/2) u} e^{-j 2 pi m q / M} = e^{-j pi (M-1) q / M} sin(pi M y) / sin(pi y)``, y = q/M - u.
        """
        array = self.tx.array
        assert array.spacing is not None
        departure = self.batch.departure.index_select(0, rows)
        local_y = departure[:, 1] if self.tx.unrotated else departure @ self.tx.rotation()[:, 1]
        size = array.num_positions
        bins = torch.arange(size, dtype=torch.float64) - size // 2
        path, kernel, sign = _kernel(local_y * array.spacing[1], size, bins)
        phase = phasor((size - 1) / 2 * bins / size, self.ports.dtype, sign)
        return (path[:, None] * kernel).to(self.real), phase

    def _angles(self, gains: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(n, R, T) angle factor of each path, and the phase of each bin, (T, 1) or 1."""
        dtype = gains.dtype
        user = self.batch.user[rows] if self.rx.per_user else None
        at_rx = side_cycles(self.batch.arrival[rows], self.rx, user)
        if at_rx is not None:
            gains = gains * phasor(-at_rx, dtype)[:, :, None]
        if self.linear:
            kernel, phase = self._bins(rows)
            return gains * kernel[:, None, :], phase[:, None]
        at_tx = side_cycles(self.batch.departure[rows], self.tx, None)
        if at_tx is not None:
            gains = angle_transform(gains * phasor(-at_tx, dtype)[:, None, :], self.tx.array, axis=-1)
        return gains, torch.ones(1, 1, dtype=dtype)
