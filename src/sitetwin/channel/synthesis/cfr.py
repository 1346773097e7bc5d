"""Compute channel frequency responses from paths."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Complex, Float, Shaped
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
    left: _AntennaGains,
    cycles: Tensor,
    weights: Tensor | None,
    grid: OfdmGrid,
) -> Tensor:
    """Sum over paths where every pair of elements has a delay of its own, `cycles` (P, M); (U, M, K)."""
    size, height, dtype = grid.num_subcarriers, left.height, left.values.dtype
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
    delay_reference_s: float | Float[Tensor, "*reference"] = 0.0,
    users: Shaped[Tensor, "*chosen"] | None = None,
    out: Tensor | None = None,
) -> Complex[Tensor, "chosen rx_antennas tx_antennas subcarriers"]:
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
    known, tx, rx = checked_gains(gains, paths, carrier_hz=grid.carrier_hz, tx=tx, rx=rx, site=site, follows=True)
    _check_options(wavefront, steering, site, rx, tx)
    if known.moved is not None and wavefront == "spherical":
        raise SiteTwinError("spherical waves do not follow an offset of the transmitter or the users; take plane ones")
    values, weights = _over_band(known, grid)
    batch = PathTensors.of(paths, known.moved)
    users = None if users is None else chosen_users(users, batch.num_users)
    wanted = batch.num_users if users is None else len(users)
    shape = (wanted, rx.array.num_antennas, tx.array.num_antennas, grid.num_subcarriers)
    target = None if out is None else _target(out, shape, values.dtype)
    delay = batch.length / SPEED_OF_LIGHT - path_reference(delay_reference_s, batch)
    lengths = None
    if (wavefront, steering) != ("plane", "carrier"):
        lengths = element_lengths(batch, site, grid.carrier_hz, tx, rx, wavefront).flatten(1)
    elif paths.num_paths:
        for radio, whose in ((tx, "transmitter"), (rx, "receiver")):
            warn_near_field(radio.array, grid.carrier_hz, float(paths.length.min()), whose)
    left = _AntennaGains(batch, values, grid, tx, rx, lengths, spherical=wavefront == "spherical")
    flows = recorded(values, tx, rx, batch=batch, reference=delay_reference_s)
    if lengths is None or steering == "carrier":
        compiled = values.dtype == torch.complex64 and not flows
        spelled = _Spelled(grid, delay * grid.spacing_hz, values.dtype, compiled)
        split = compiled and weights is None and lengths is None and _splits(tx, rx)
        factors = spelled.with_array(batch, values, tx) if split else spelled.with_gains(left, weights)
        place = None if target is None or flows else target.view(shape[0], factors.height, factors.columns)
        result = sum_over_paths(batch.offsets, factors, place, recorded=flows, order=users)
    else:
        cycles = (lengths / SPEED_OF_LIGHT - _reference_column(delay_reference_s, batch)) * grid.spacing_hz
        result = _per_element(batch.offsets, left, cycles, weights, grid)
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


def _over_band(gains: PathGains, grid: OfdmGrid) -> tuple[Tensor, Tensor | None]:
    """Gains, and (N, K) weights from their N nodes to the subcarriers; None where one gain stands for the band."""
    nodes_hz = gains.nodes_hz
    if nodes_hz is None or len(nodes_hz) == 1:
        return gains.at_carrier, None
    weights = lagrange_weights(nodes_hz.double(), grid.frequencies_hz).T.contiguous()
    return gains.values, weights.to(gains.values.dtype)


def _splits(tx: Radio, rx: Radio) -> bool:
    """Whether a path's channel is its gain times the response of a regular transmitting array."""
    return centred(rx.array) and rx.array.num_ports == tx.array.num_ports == 1 and is_regular(tx.array)


class _AntennaGains:
    """Gains of paths between all antennas: (..., n, R * T) of n rows of paths.

    Without lengths the phases of the elements are those of plane waves. With the length (P, R * T) of each path between
    each pair of elements, each pair has its own phase at the carrier and, if waves are spherical, its own spreading.
    """

    def __init__(
        self,
        batch: PathTensors,
        values: Tensor,
        grid: OfdmGrid,
        tx: Radio,
        rx: Radio,
        lengths: Tensor | None,
        *,
        spherical: bool,
    ) -> None:
        self.batch, self.values, self.grid, self.tx, self.rx = batch, values, grid, tx, rx
        self.lengths, self.spherical = lengths, spherical
        self.height = rx.array.num_antennas * tx.array.num_antennas

    def __call__(self, rows: Tensor) -> Tensor:
        if self.lengths is None:
            return plane_gains(self.batch, self.values, self.tx, self.rx, rows)
        centre = self.batch.length.index_select(0, rows)[:, None]
        lengths = self.lengths.index_select(0, rows)
        antennas = spread_ports(self.values.index_select(-3, rows), self.tx, self.rx)
        between = self.rx.array.num_antennas, self.tx.array.num_antennas
        antennas = antennas.expand(*antennas.shape[:-2], *between).flatten(-2)
        size = centre / lengths if self.spherical else None
        cycles = (lengths - centre) * (self.grid.carrier_hz / SPEED_OF_LIGHT)
        return antennas * phasor(cycles, self.values.dtype, size)


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
        return Factors(spell, elements, size, self.dtype, len(self.cycles), write=write if tiled else None)

    def with_gains(self, left: _AntennaGains, weights: Tensor | None) -> Factors:
        """From gains between antennas, (n, M), or at the nodes of the band, (N, n, M)."""

        def spell(rows: np.ndarray, buffers: Buffers | None) -> tuple[Tensor, Tensor]:
            antennas = left(torch.from_numpy(rows))
            if weights is None:
                return antennas.contiguous(), self.tones(rows, buffers)
            tones = comb(self.cycles[torch.from_numpy(rows)], self.grid.first, weights.shape[1], self.dtype)
            by_path = antennas.transpose(0, 1).flatten(1).contiguous()  # with one antenna `flatten` is but a view
            return by_path, (tones[:, None, :] * weights).flatten(1)

        inner = 1 if weights is None else len(weights)
        return Factors(spell, left.height, self.grid.num_subcarriers, self.dtype, len(self.cycles), inner=inner)

    def tones(self, rows: np.ndarray, buffers: Buffers | None) -> Tensor:
        """(>= n, K) phasors of the delays over the subcarriers."""
        size, first = self.grid.num_subcarriers, self.grid.first
        if buffers is None or not self.compiled:
            return comb(self.cycles[torch.from_numpy(rows)], first, size, self.dtype)
        few = self.few
        write_combs(rows, self.ones, self.coarse, self.fine, first / few, 0.0, size // few, few, buffers.right_real)
        return buffers.right
