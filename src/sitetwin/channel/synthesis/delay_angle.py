"""Compute the delay-angle channel directly from the paths, without the subcarriers.

Each path is a Dirichlet kernel in delay and, for a uniform linear array, another in angle. A kernel at grid point n is

    D(n / K - x) = (1/K) sum_k e^{j 2 pi k (n / K - x)} ~ e^{-j pi (n/K - x)} sin(pi (n - K x)) / (K sin(pi (n / K -
    x))),

whose numerator is the same for all n up to sign and whose phase splits into one of the path and one of the grid point.
What is left to compute per grid point is a real reciprocal sine; the sum over paths is a small batched product of real
numbers with complex ones.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from sitetwin.channel.antennas.arrays import AntennaArray
from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields.gains import PathGains, checked_gains
from sitetwin.channel.grid import OfdmGrid, delay_taps
from sitetwin.channel.numerics.dirichlet import APART, grid_table, write_delay_angles
from sitetwin.channel.numerics.kernels import write_dirichlet
from sitetwin.channel.numerics.phasors import phasor
from sitetwin.channel.numerics.products import TILE_COLUMNS, TILE_ROWS
from sitetwin.channel.numerics.ragged import Buffers, Factors, Piece, sum_over_paths
from sitetwin.channel.synthesis.steering import (
    PathTensors,
    centred,
    path_reference,
    planar_cycles,
    recorded,
    responses,
    spread_ports,
)
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import SPEED_OF_LIGHT, Paths

_MOST_CYCLES = 2.0**31  # from one element or subcarrier to the next
_NONE = np.zeros((0, 2), np.float32)


def angle_transform(
    channel: Complex[Tensor, "*channel"], array: AntennaArray, axis: int = -2
) -> Complex[Tensor, "*channel"]:
    """Apply an FFT over the elements of an array (rows and columns of a planar one), then fftshift, port by port.

    Args:
        channel: Complex, with the array's antennas along `axis`.
        array: A uniform linear or planar array.
        axis: Axis of the antennas.

    Raises:
        SiteTwinError: The array is not uniform, or the axis is not as long as the array.
    """
    if array.shape is None:
        raise SiteTwinError("angles need a uniform array; build it with AntennaArray.ula or AntennaArray.upa")
    if channel.shape[axis] != array.num_antennas:
        raise SiteTwinError(
            f"axis {axis} of a channel of shape {tuple(channel.shape)} is not that of the {array.num_antennas} "
            "antennas of the array; name the axis, or order axes as (users, rx_antennas, tx_antennas, taps)"
        )
    moved = channel.movedim(axis, -1)
    grid = moved.reshape(*moved.shape[:-1], array.num_ports, *array.shape)
    spectrum = torch.fft.fftshift(torch.fft.fft2(grid), dim=(-2, -1))
    return spectrum.reshape(moved.shape).movedim(-1, axis)


def delay_angle_from_response(
    cfr: Complex[Tensor, "*users rx_antennas tx_antennas subcarriers"],
    tx: Radio,
    num_taps: int = 32,
    first_tap: int = 0,
) -> Complex[Tensor, "*users rx_antennas tx_antennas taps"]:
    """Compute the delay-angle channel from the frequency response: first delay taps, then angles.

    Args:
        cfr: (U, R, T, K) complex.
        tx: Radio whose array the angles belong to.
        num_taps: Number of delay taps that are kept.
        first_tap: Index of the first of them.

    Returns:
        (U, R, T, num_taps) complex: angle bins along T, delay along the last axis.

    Raises:
        SiteTwinError: The axes are not those of the array and of enough subcarriers, for instance swapped ones.
    """
    return angle_transform(delay_taps(cfr, num_taps, first_tap), tx.array)


def _planes(values: Tensor) -> np.ndarray:
    """(2, n) float32, real and imaginary parts of (n,) complex numbers."""
    return np.stack([values.real.numpy(), values.imag.numpy()])


def _kernel(cycles: Tensor, size: int, points: Tensor, real: torch.dtype) -> tuple[Tensor, Tensor]:
    """``sin(pi size y) / sin(pi y)`` with ``y = q / size - x`` at whole q, up to the sign ``(-1)^q``.

    The denominator comes from an addition theorem in float64 (two products instead of a sine per grid point). A path
    on a grid point is moved off it by 1e-7 of a step, so that 0 / 0 never arises.

    Args:
        cycles: (P,) float64, x; not reduced here, the caller's phases must belong to the same x.
        size: Number of terms of the geometric series.
        points: (Q,) float64 whole numbers q.
        real: Type of the reciprocals.

    Returns:
        Numerators (P,) float64 and reciprocal denominators (P, Q).
    """
    scaled = cycles * size
    step = scaled.round()
    away = scaled - step
    near = away.abs() < APART
    away = torch.where(near, torch.full_like(away, APART), away)
    angle = (math.pi / size) * torch.where(near, step + APART, scaled)
    # sin(pi (q - size x)) = -(-1)^(q + step) sin(pi away)
    numerator = torch.sin(math.pi * away) * (2 * torch.remainder(step, 2) - 1)
    grid = math.pi / size * points
    table = torch.stack([torch.sin(grid), -torch.cos(grid)])
    sine = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1) @ table
    return numerator, sine.to(real).reciprocal()


def delay_angle(
    paths: Paths,
    gains: PathGains,
    grid: OfdmGrid,
    tx: Radio | None = None,
    rx: Radio | None = None,
    *,
    num_taps: int = 32,
    first_tap: int = 0,
    delay_reference_s: float | Float[Tensor, "*reference"] = 0.0,
    out: Tensor | None = None,
    **options: Any,
) -> Complex[Tensor, "users rx_antennas tx_antennas taps"]:
    """Compute delay taps and angle bins directly from paths; agrees with the way over subcarriers within 1e-5.

    Waves are plane, and steering and gains are taken at the carrier; for other choices use `frequency_response` and
    `delay_angle_from_response`.

    Args:
        paths: P paths of U users.
        gains: Their gains from `path_gains`.
        grid: The subcarriers.
        tx: Radio with a uniform linear or planar array; by default the radio that the gains are for.
        rx: Radio of the users; by default the radio that the gains are for.
        num_taps: Number of delay taps that are kept.
        first_tap: Index n of the first of them; negative to keep the side lobes before the reference.
        delay_reference_s: Delay of tap 0 in seconds, one for all users or (U,).
        out: (U, R, T, num_taps) to write into, contiguous.
        **options: No option is allowed; a wavefront or steering given here is refused with a message.

    Returns:
        (U, R, T, num_taps) complex: angle bins along T (fftshifted, port by port), delay along the last axis.

    Raises:
        SiteTwinError: The gains do not belong to these paths, this carrier and these radios, the array is not uniform,
            or an option has no closed form.
    """
    if options:
        raise SiteTwinError(
            f"delay_angle has a closed form for plane waves at the carrier only and knows no {', '.join(options)}; "
            "use frequency_response and delay_angle_from_response"
        )
    known, tx, rx = checked_gains(gains, paths, carrier_hz=grid.carrier_hz, tx=tx, rx=rx, follows=True)
    if tx.array.shape is None or tx.array.spacing is None:
        raise SiteTwinError("angles need a uniform array; build it with AntennaArray.ula or AntennaArray.upa")
    values = known.at_carrier
    if not 1 <= num_taps <= grid.num_subcarriers:
        raise SiteTwinError(f"{num_taps} delay taps were asked for of {grid.num_subcarriers} subcarriers")
    batch = PathTensors.of(paths, known.moved)
    shape = (batch.num_users, rx.array.num_antennas, tx.array.num_antennas, num_taps)
    if out is not None and (tuple(out.shape) != shape or out.dtype != values.dtype or not out.is_contiguous()):
        raise SiteTwinError(f"out has shape {tuple(out.shape)} and type {out.dtype}; needed is {shape}, {values.dtype}")
    taps = first_tap + torch.arange(num_taps, dtype=torch.float64)
    work = _Work(batch, spread_ports(values, tx, rx), grid, tx, rx, taps, delay_reference_s)
    flows = recorded(values, tx, rx, batch=batch, reference=delay_reference_s)
    if work.simple and values.dtype == torch.complex64 and not flows:
        write = work.write if work.tiled else None
        factors = Factors(work.spell_real, shape[2], 2 * num_taps, torch.float32, paths.num_paths, write=write)
        place = None if out is None else torch.view_as_real(out).view(shape[0], shape[2], 2 * num_taps)
        sums = sum_over_paths(batch.offsets, factors, place, finish=None if work.tiled else work.finish)
        return torch.view_as_complex(sums.view(*sums.shape[:2], num_taps, 2)).view(shape)
    factors = Factors(work.spell, shape[1] * shape[2], num_taps, values.dtype, paths.num_paths)
    target = None if out is None or flows else out.view(shape[0], -1, num_taps)
    result = sum_over_paths(batch.offsets, factors, target, recorded=flows).view(shape)
    return result if out is None else (out.copy_(result.detach()) if flows else out)


class _Work:
    """The two factors of each path."""

    def __init__(
        self,
        batch: PathTensors,
        ports: Tensor,
        grid: OfdmGrid,
        tx: Radio,
        rx: Radio,
        taps: Tensor,
        delay_reference_s: float | Tensor,
    ) -> None:
        self.batch, self.ports, self.grid, self.tx, self.rx = batch, ports, grid, tx, rx
        self.real = torch.float32 if ports.dtype == torch.complex64 else torch.float64
        self.taps = taps
        # sum_k e^{j 2 pi k y} = e^{j 2 pi middle y} sin(pi K y) / sin(pi y), middle = first + (K - 1) / 2
        size = grid.num_subcarriers
        self.middle = grid.first + (size - 1) / 2
        tap_sign = 1 - 2 * torch.remainder(self.taps, 2)
        self.tap_phase = phasor(-self.middle * self.taps / size, ports.dtype, tap_sign)
        self.spacing_hz = grid.spacing_hz
        self.reference = path_reference(delay_reference_s, batch)
        array = tx.array
        assert array.shape is not None
        self.linear = array.shape[0] == 1 and array.num_positions > 1 and not array.positions.requires_grad
        one_antenna = centred(rx.array) and rx.array.num_ports == array.num_ports == 1
        self.simple = self.linear and one_antenna
        # sum_m e^{j 2 pi (m - (M-1)/2) u} e^{-j 2 pi m q / M} = e^{-j pi (M-1) q / M} sin(pi M y) / sin(pi y),
        # y = q / M - u
        count = array.num_positions
        self.bins = torch.arange(count, dtype=torch.float64) - count // 2
        bin_sign = 1 - 2 * torch.remainder(self.bins, 2)
        self.bin_phase = phasor((count - 1) / 2 * self.bins / count, ports.dtype, bin_sign)

    def spell(self, paths: np.ndarray, _buffers: Buffers | None) -> tuple[Tensor, Tensor]:
        """Both factors of some paths."""
        rows = torch.from_numpy(paths)
        return self.angles(rows), self.delays(rows)

    def spell_real(self, paths: np.ndarray, buffers: Buffers | None) -> tuple[Tensor, Tensor]:
        """Both factors of some paths of a linear array with one antenna at the user, without constant phases.

        Angle kernels are real then; delay kernels times the gain are kept as pairs of real and imaginary parts.
        """
        assert buffers is not None
        count, size = self.tx.array.num_positions, self.grid.num_subcarriers
        write_dirichlet(paths, self.turns, count, APART, *self.bin_table, _NONE, 0.0, buffers.left_real)
        gains, middle = self.gain_pairs, self.middle
        write_dirichlet(paths, self.fractions, size, APART, *self.tap_table, gains, middle, buffers.right_real)
        return buffers.left, buffers.right

    def write(self, piece: Piece, to: int, streamed: bool) -> None:
        """Channels of users with equally many paths, in one call."""
        at_array = self.gain_pairs, self.turns, *self.grid_of_bins
        over_band = self.fractions, *self.grid_of_taps, self.middle
        write_delay_angles(piece.start, piece.width, piece.places, *at_array, *over_band, to, streamed)

    @cached_property
    def tiled(self) -> bool:
        """Whether the result falls into whole tiles."""
        return len(self.bins) % TILE_ROWS == 0 and len(self.taps) % TILE_COLUMNS == 0

    @cached_property
    def grid_of_bins(self) -> tuple[np.ndarray, np.ndarray]:
        """Table and phases of the angle bins, for `write`."""
        return grid_table(len(self.bins), int(self.bins[0]), len(self.bins)), _planes(self.bin_phase)

    @cached_property
    def grid_of_taps(self) -> tuple[np.ndarray, np.ndarray]:
        """Table and phases of the delay taps, for `write`."""
        table = grid_table(self.grid.num_subcarriers, int(self.taps[0]), len(self.taps))
        return table, _planes(self.tap_phase)

    def finish(self, sums: Tensor) -> None:
        """Give the constant phases to pairs of real and imaginary parts, (n, M, 2 taps), in place."""
        torch.view_as_complex(sums.view(*sums.shape[:2], -1, 2)).mul_(self.phases)

    @cached_property
    def phases(self) -> Tensor:
        """(M, taps) phases of bins and taps."""
        return self.bin_phase[:, None] * self.tap_phase

    @cached_property
    def gain_pairs(self) -> np.ndarray:
        """(P, 2) float32, real and imaginary parts of the gains."""
        pairs: np.ndarray = torch.view_as_real(self.ports[:, 0, 0].detach().contiguous()).numpy()
        return pairs

    @cached_property
    def turns(self) -> np.ndarray:
        """(P,) float64 cycles from one element of the linear array to the next."""
        turns: np.ndarray = (-planar_cycles(self.batch.departure, self.tx)[1]).detach().numpy()
        return _countable(turns, "directions of departure")

    @cached_property
    def fractions(self) -> np.ndarray:
        """(P,) float64 cycles from one subcarrier to the next."""
        reference = self.reference.detach() if isinstance(self.reference, Tensor) else self.reference
        cycles = (self.batch.length / SPEED_OF_LIGHT - reference) * self.spacing_hz
        fractions: np.ndarray = (cycles - cycles.floor()).numpy()
        return _countable(fractions, "delays")

    @cached_property
    def bin_table(self) -> tuple[np.ndarray, np.ndarray]:
        """Sines and cosines of the angle bins."""
        grid = math.pi / self.tx.array.num_positions * self.bins.numpy()
        return np.sin(grid), np.cos(grid)

    @cached_property
    def tap_table(self) -> tuple[np.ndarray, np.ndarray]:
        """Sines and cosines of the delay taps."""
        grid = math.pi / self.grid.num_subcarriers * self.taps.numpy()
        return np.sin(grid), np.cos(grid)

    def delays(self, rows: Tensor) -> Tensor:
        """(n, taps) delay kernels."""
        path, kernel = self._delay_kernels(rows)
        return path[:, None] * self.tap_phase * kernel

    def _delay_kernels(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Delay kernels up to the phases of the taps: (n,) complex times (n, taps) real."""
        size = self.grid.num_subcarriers
        delay = self.batch.length.index_select(0, rows) / SPEED_OF_LIGHT
        reference = self.reference
        delay = delay - (reference.index_select(0, rows) if isinstance(reference, Tensor) else reference)
        cycles = delay * self.spacing_hz
        cycles = cycles - cycles.floor()
        path, kernel = _kernel(cycles, size, self.taps, self.real)
        return phasor(self.middle * cycles, self.ports.dtype, path / size), kernel

    def _angle_kernels(self, rows: Tensor) -> Tensor:
        """(n, M) real angle kernels of a linear array up to the phases of the bins."""
        turns = -planar_cycles(self.batch.departure.index_select(0, rows), self.tx)[1]
        path, kernel = _kernel(turns, self.tx.array.num_positions, self.bins, self.real)
        return path.to(self.real)[:, None] * kernel

    def angles(self, rows: Tensor) -> Tensor:
        """(n, R * T) gains in the angle domain."""
        dtype = self.ports.dtype
        gains = self.ports.index_select(0, rows)
        if not centred(self.rx.array):
            user = self.batch.user.index_select(0, rows) if self.rx.per_user else None
            arrival = self.batch.arrival.index_select(0, rows)
            gains = gains * responses(arrival, self.rx, user, dtype)[:, :, None]
        gains = gains.expand(-1, self.rx.array.num_antennas, -1)
        array = self.tx.array
        if centred(array):
            return gains.reshape(len(rows), -1).clone()
        if not self.linear:
            response = responses(self.batch.departure.index_select(0, rows), self.tx, None, dtype)
            return angle_transform(gains * response[:, None, :], array, axis=-1).flatten(1)
        kernel = self._angle_kernels(rows)
        gains = gains.view(len(rows), -1, array.num_ports, 1 if array.num_ports == 1 else array.num_positions)
        return (gains * (kernel[:, None, None, :] * self.bin_phase)).flatten(1)


def _countable(cycles: np.ndarray, what: str) -> np.ndarray:
    """The cycles, if compiled loops can count them: they find a path's place in a table by its whole steps.

    Raises:
        SiteTwinError: They are not finite, or too many.
    """
    if cycles.size and not bool(np.abs(cycles).max() < _MOST_CYCLES):
        raise SiteTwinError(f"{what} of paths are not finite numbers in their range; give sound paths and radios")
    return cycles
