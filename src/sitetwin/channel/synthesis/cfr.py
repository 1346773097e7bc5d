"""Compute channel frequency responses from paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sitetwin.channel.antennas.arrays import warn_near_field
from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields.band import lagrange_weights
from sitetwin.channel.fields.gains import PathGains, checked_gains
from sitetwin.channel.grid import OfdmGrid
from sitetwin.channel.numerics.kernels import write_both_combs, write_combs
from sitetwin.channel.numerics.phasors import comb, finest_factor, phasor
from sitetwin.channel.numerics.products import TILE_COLUMNS, TILE_ROWS, write_responses
from sitetwin.channel.numerics.ragged import Buffers, Factors, Piece, in_place_order, pieces, sum_over_paths
from sitetwin.channel.numerics.selection import chosen_users
from sitetwin.channel.synthesis.steering import (
    PathTensors,
    centred,
    element_lengths,
    is_regular,
    path_reference,
    planar_cycles,
    plane_gains,
    recorded,
    spread_ports,
)
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import SPEED_OF_LIGHT, Paths

Wavefront = Literal["plane", "spherical"]
Steering = Literal["carrier", "per-subcarrier"]


_ELEMENT_BYTES = 8 << 20  # of the largest intermediate where every pair of elements has a delay of its own


def _per_element(
    offsets: Tensor,
    left: Callable[[Tensor], Tensor],
    cycles: Tensor,
    weights: Tensor | None,
    grid: OfdmGrid,
    height: int,
    dtype: torch.dtype,
) -> Tensor:
    """Sum over paths where every pair of elements has a delay of its own, `cycles` (P, M); (U, M, K)."""
    size = grid.num_subcarriers
    parts, places = [torch.zeros(0, height, size, dtype=dtype)], [np.zeros(0, np.int64)]
    for piece in pieces(offsets, len(offsets)):
        users = max(1, _ELEMENT_BYTES // (max(1, piece.width) * height * size * 8))
        for some in torch.from_numpy(piece.rows).view(len(piece.places), piece.width).split(users):
            rows = some.flatten()
            gains = left(rows)
            delays = comb(cycles.index_select(0, rows).flatten(), grid.first, size, dtype).view(-1, height, size)
            across = gains[..., None] if weights is None else torch.einsum("npm,nk->pmk", gains, weights)
            parts.append((across * delays).view(*some.shape, height, size).sum(dim=1))
        places.append(piece.places)
    return in_place_order(parts, places)


def frequency_response(
    paths: Paths,
    gains: PathGains,
    grid: OfdmGrid,
    tx: Radio | None = None,
    rx: Radio | None = None,
    *,
    wavefront: Wavefront = "plane",
    steering: Steering = "carrier",
    site: Any = None,
    delay_reference_s: float | Tensor = 0.0,
    users: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Compute the frequency response ``H[u, r, t, k] = sum_p a_p e^{+j 2 pi d·k / lambda} e^{-j 2 pi k Delta tau_p}``.

    Nothing is normalised; the carrier phase is in the gains.

    Args:
        paths: P paths of U users.
        gains: Their gains from `path_gains`; those from `band_nodes` are interpolated over the band.
        grid: The subcarriers.
        tx: Radio of the transmitter; by default the radio that the gains are for.
        rx: Radio of the users; by default the radio that the gains are for.
        wavefront: "plane" about the phase centre, or "spherical": every pair of elements has its own image point, delay
            and distance (departure and arrival fields are still those of the centre).
        steering: "carrier" holds element phases at the carrier, "per-subcarrier" delays each element (beam squint).
        site: The site, needed for spherical waves with arrays at both ends.
        delay_reference_s: Delay in seconds, one for all users or (U,). It is subtracted from the delays across the band
            (not from the carrier phase), so that tap 0 is at this delay.
        users: (N,) indices of the wanted users, in this order, or a mask (U,) bool; all by default.
        out: (U, R, T, K) to write into, contiguous.

    Returns:
        (U, R, T, K) complex of the type of `gains`, or (N, R, T, K).

    Raises:
        SiteTwinError: The gains do not belong to these paths, this carrier and these radios, `out` does not fit, or an
            option is unknown.
    """
    known, tx, rx = checked_gains(gains, paths, carrier_hz=grid.carrier_hz, tx=tx, rx=rx, site=site)
    _check_options(wavefront, steering, site, rx, tx)
    values, weights = known.values, _band_weights(grid, known.nodes_hz, known.values.dtype)
    if known.nodes_hz is not None and weights is None:
        values = values[0]
    batch = PathTensors.of(paths)
    users = None if users is None else chosen_users(users, batch.num_users)
    wanted = batch.num_users if users is None else len(users)
    shape = (wanted, rx.array.num_antennas, tx.array.num_antennas, grid.num_subcarriers)
    target = None if out is None else _target(out, shape, values.dtype)
    delay = batch.length / SPEED_OF_LIGHT - path_reference(delay_reference_s, batch)
    if wavefront == "plane" and steering == "carrier":
        if paths.num_paths:
            for radio, whose in ((tx, "transmitter"), (rx, "receiver")):
                warn_near_field(radio.array, grid.carrier_hz, float(paths.length.min()), whose)

        def left(rows: Tensor) -> Tensor:
            return plane_gains(batch, values, tx, rx, rows)

    else:
        lengths = element_lengths(batch, site, grid.carrier_hz, tx, rx, wavefront).flatten(1)
        spherical = wavefront == "spherical"

        def left(rows: Tensor) -> Tensor:
            centre = batch.length.index_select(0, rows)[:, None]
            some = values.index_select(-3, rows), lengths.index_select(0, rows), centre
            return _element_gains(*some, grid, tx, rx, spherical=spherical)

    flows = recorded(values, tx, rx, reference=delay_reference_s)
    height = shape[1] * shape[2]
    if steering == "carrier":
        compiled = values.dtype == torch.complex64 and not flows
        spelled = _Spelled(grid, delay * grid.spacing_hz, values.dtype, compiled)
        if compiled and weights is None and wavefront == "plane" and _splits(tx, rx):
            factors = spelled.with_array(batch, values, tx)
        else:
            factors = spelled.with_gains(left, weights, height)
        place = None if target is None or flows else target.view(shape[0], factors.height, factors.columns)
        result = sum_over_paths(batch.offsets, factors, place, recorded=flows, order=users)
    else:
        delays = lengths / SPEED_OF_LIGHT - _reference_column(delay_reference_s, batch)
        result = _per_element(batch.offsets, left, delays * grid.spacing_hz, weights, grid, height, values.dtype)
        result = result if users is None else result.index_select(0, users)
    result = result.view(shape)
    if out is not None and result.data_ptr() != out.data_ptr():
        out.copy_(result.detach())
    return result


def _check_options(wavefront: str, steering: str, site: Any, rx: Radio, tx: Radio) -> None:
    if steering not in ("carrier", "per-subcarrier"):
        raise SiteTwinError(f"steering '{steering}' is unknown; choose carrier or per-subcarrier")
    if wavefront not in ("plane", "spherical"):
        raise SiteTwinError(f"wavefront '{wavefront}' is unknown; choose plane or spherical")
    if wavefront == "spherical" and site is None and rx.array.num_positions > 1 and tx.array.num_positions > 1:
        raise SiteTwinError("spherical waves between two arrays need the site's mirrors; pass site=")


def _target(out: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    if tuple(out.shape) != shape or out.dtype != dtype or not out.is_contiguous():
        raise SiteTwinError(
            f"out has shape {tuple(out.shape)} and type {out.dtype}; needed is {shape}, {dtype}, contiguous"
        )
    return out.view(shape[0], shape[1] * shape[2], shape[3])


def _reference_column(reference: float | Tensor, batch: PathTensors) -> float | Tensor:
    value = path_reference(reference, batch)
    return value[:, None] if isinstance(value, Tensor) else value


def _band_weights(grid: OfdmGrid, nodes_hz: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """(N, K) interpolation weights from nodes to subcarriers."""
    if nodes_hz is None or len(nodes_hz) == 1:
        return None
    return lagrange_weights(nodes_hz.double(), grid.frequencies_hz).T.contiguous().to(dtype)


def _splits(tx: Radio, rx: Radio) -> bool:
    """Whether a path's channel is its gain times the response of a regular transmitting array."""
    return centred(rx.array) and rx.array.num_ports == tx.array.num_ports == 1 and is_regular(tx.array)


class _Spelled:
    """Antenna factor and subcarrier factor of each path, spelled out."""

    def __init__(self, grid: OfdmGrid, cycles: Tensor, dtype: torch.dtype, compiled: bool) -> None:
        self.grid, self.cycles, self.dtype, self.compiled = grid, cycles, dtype, compiled
        self.few = finest_factor(grid.num_subcarriers, most=32)
        if compiled:
            self.fine = cycles.detach().numpy()
            self.coarse = self.few * self.fine
            self.ones = np.zeros((0, 2), np.float32)

    def with_array(self, batch: PathTensors, gains: Tensor, tx: Radio) -> Factors:
        """Both factors by compiled loops."""
        vertical, horizontal = (c.numpy() for c in planar_cycles(batch.departure, tx))
        parts = torch.view_as_real(gains.detach()[:, 0, 0].contiguous()).numpy()
        size, first, few = self.grid.num_subcarriers, self.grid.first, self.few
        array = tx.array.shape or (1, 1)
        at_array = parts, vertical, horizontal, *array

        def spell(rows: np.ndarray, buffers: Buffers | None) -> tuple[Tensor, Tensor]:
            assert buffers is not None
            over_band = self.coarse, self.fine, first, size, few, buffers.right_real
            write_both_combs(rows, *at_array, buffers.left_real, *over_band)
            return buffers.left, buffers.right

        def write(piece: Piece, to: int, streamed: bool) -> None:
            over_band = self.coarse, self.fine, first, size, few, to, streamed
            write_responses(piece.start, piece.width, piece.places, *at_array, *over_band)

        elements = tx.array.num_positions
        tiled = elements % TILE_ROWS == 0 and size % TILE_COLUMNS == 0
        return Factors(spell, elements, size, self.dtype, write=write if tiled else None)

    def with_gains(self, left: Callable[[Tensor], Tensor], weights: Tensor | None, height: int) -> Factors:
        """From gains between antennas, (n, M), or at the nodes of the band, (N, n, M)."""

        def spell(rows: np.ndarray, buffers: Buffers | None) -> tuple[Tensor, Tensor]:
            antennas = left(torch.from_numpy(rows))
            if weights is None:
                return antennas.contiguous(), self.tones(rows, buffers)
            tones = comb(self.cycles[torch.from_numpy(rows)], self.grid.first, weights.shape[1], self.dtype)
            by_path = antennas.transpose(0, 1).flatten(1).contiguous()  # with one antenna `flatten` is but a view
            return by_path, (tones[:, None, :] * weights).flatten(1)

        inner = 1 if weights is None else len(weights)
        return Factors(spell, height, self.grid.num_subcarriers, self.dtype, inner=inner)

    def tones(self, rows: np.ndarray, buffers: Buffers | None) -> Tensor:
        """(>= n, K) phasors of the delays over the subcarriers."""
        size, first = self.grid.num_subcarriers, self.grid.first
        if buffers is None or not self.compiled:
            return comb(self.cycles[torch.from_numpy(rows)], first, size, self.dtype)
        few = self.few
        write_combs(rows, self.ones, self.coarse, self.fine, first / few, 0.0, size // few, few, buffers.right_real)
        return buffers.right


def _element_gains(
    gains: Tensor, lengths: Tensor, centre: Tensor, grid: OfdmGrid, tx: Radio, rx: Radio, *, spherical: bool
) -> Tensor:
    """(..., n, R * T) gains with the phase of each element's own length at the carrier, and its spreading."""
    antennas = spread_ports(gains, tx, rx)
    antennas = antennas.expand(*antennas.shape[:-2], rx.array.num_antennas, tx.array.num_antennas).flatten(-2)
    size = centre / lengths if spherical else None
    return antennas * phasor((lengths - centre) * (grid.carrier_hz / SPEED_OF_LIGHT), gains.dtype, size)
