"""Channel frequency responses from paths."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from sitetwin.channel.arrays import Radio, warn_near_field
from sitetwin.channel.fields import lagrange_weights
from sitetwin.channel.grid import OfdmGrid
from sitetwin.channel.phasors import combs, levels, outer, phasor
from sitetwin.channel.ragged import Buffers, Factors, Spell, pieces, silence, sum_over_paths
from sitetwin.channel.steering import (
    PathTensors,
    element_lengths,
    path_reference,
    plane_factors,
    plane_gains,
    recorded,
    spread_ports,
)
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import SPEED_OF_LIGHT, Paths

Wavefront = Literal["plane", "spherical"]
Steering = Literal["carrier", "per-subcarrier"]


def _per_element(
    offsets: Tensor,
    left: Callable[[Tensor], list[Tensor]],
    cycles: Tensor,
    weights: Tensor | None,
    grid: OfdmGrid,
    height: int,
    dtype: torch.dtype,
) -> Tensor:
    """Sum over paths where every pair of elements has a delay of its own, `cycles` (P, M); (U, M, K)."""
    size = grid.num_subcarriers
    parts = [torch.zeros(0, height, size, dtype=dtype)]
    for piece in pieces(offsets, max(1, (8 << 20) // (height * size * 8)), neighbours=1):
        if not len(piece.rows):
            parts.append(parts[0].new_zeros(piece.last - piece.first, height, size))
            continue
        (gains,) = left(piece.rows)
        comb = combs(cycles.index_select(0, piece.rows).flatten(), grid.first, levels(size), dtype)
        delays = outer(comb).view(len(piece.rows), height, size)
        across = gains[..., None] if weights is None else torch.einsum("npm,nk->pmk", gains, weights)
        user = torch.repeat_interleave(torch.diff(offsets[piece.first : piece.last + 1]))
        parts.append(parts[0].new_zeros(piece.last - piece.first, height, size).index_add(0, user, across * delays))
    return torch.cat(parts)


def frequency_response(
    paths: Paths,
    gains: Tensor,
    grid: OfdmGrid,
    tx: Radio | None = None,
    rx: Radio | None = None,
    *,
    wavefront: Wavefront = "plane",
    steering: Steering = "carrier",
    site: Any = None,
    nodes_hz: Tensor | None = None,
    delay_reference_s: float | Tensor = 0.0,
    users: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Channel frequency response ``H[u, r, t, k] = sum_p a_p e^{+j 2 pi d . k / lambda} e^{-j 2 pi k Delta tau_p}``.

    Nothing is normalised; the carrier phase is in the gains.

    Args:
        paths: P paths of U users.
        gains: (P, n_rx_ports, n_tx_ports) complex from `path_gains`; with `nodes_hz`, (N, P, ...) from `band_nodes`.
        grid: The subcarriers.
        tx: Radio of the transmitter; one vertical isotropic antenna by default.
        rx: Radio of the users, likewise.
        wavefront: "plane" about the phase centre, or "spherical": every pair of elements has its own image point, delay
            and distance (departure and arrival fields are still those of the centre).
        steering: "carrier" holds element phases at the carrier, "per-subcarrier" delays each element (beam squint).
        site: The site, needed for spherical waves with arrays at both ends.
        nodes_hz: (N,) frequencies of the gains, Hz, between which they are interpolated; None for gains at the carrier.
        delay_reference_s: Seconds, one for all or (U,): subtracted from the delays across the band (not from the
            carrier phase), so that tap 0 is this delay.
        users: (N,) indices of the users wanted, in this order; all by default. Sorted by their number of paths, as
            ``torch.argsort(counts)`` gives them, they take the least time.
        out: (U, R, T, K) to write into, contiguous.

    Returns:
        (U, R, T, K) complex of the type of `gains`, or (N, R, T, K).

    Raises:
        SiteTwinError: Shapes do not fit or an option is unknown.
    """
    tx, rx = tx or Radio(), rx or Radio()
    _check_options(paths, gains, nodes_hz, wavefront, steering, site, rx, tx)
    batch = PathTensors.of(paths)
    wanted = batch.num_users if users is None else len(users)
    shape = (wanted, rx.array.num_antennas, tx.array.num_antennas, grid.num_subcarriers)
    target = None if out is None else _target(out, shape, gains.dtype)
    delay = batch.length / SPEED_OF_LIGHT - path_reference(delay_reference_s, batch)
    weights = _band_weights(grid, nodes_hz, gains.dtype)
    if nodes_hz is not None and weights is None:
        gains = gains[0]
    if wavefront == "plane" and steering == "carrier":
        if paths.num_paths:
            for radio, whose in ((tx, "transmitter"), (rx, "receiver")):
                warn_near_field(radio.array, grid.carrier_hz, float(paths.length.min()), whose)

        def left(rows: Tensor) -> list[Tensor]:
            if weights is None:
                return plane_factors(batch, gains, tx, rx, rows)
            return [plane_gains(batch, gains, tx, rx, rows)]

    else:
        lengths = element_lengths(batch, site, grid.carrier_hz, tx, rx, wavefront).flatten(1)
        spherical = wavefront == "spherical"

        def left(rows: Tensor) -> list[Tensor]:
            centre = batch.length.index_select(0, rows)[:, None]
            some = gains.index_select(-3, rows), lengths.index_select(0, rows), centre
            return [_element_gains(*some, grid, tx, rx, spherical=spherical)]

    flows = recorded(gains, tx, rx)
    height = shape[1] * shape[2]
    if steering == "carrier":
        factors = _factors(left, delay * grid.spacing_hz, weights, grid, height, gains.dtype)
        place = None if target is None or flows else target.view(shape[0], factors.height, factors.columns)
        result = sum_over_paths(batch.offsets, factors, place, recorded=flows, order=users)
    else:
        delays = lengths / SPEED_OF_LIGHT - _reference_column(delay_reference_s, batch)
        result = _per_element(batch.offsets, left, delays * grid.spacing_hz, weights, grid, height, gains.dtype)
        result = result if users is None else result.index_select(0, users)
    result = result.view(shape)
    if out is not None and result.data_ptr() != out.data_ptr():
        out.copy_(result.detach())
    return result


def _check_options(
    paths: Paths,
    gains: Tensor,
    nodes_hz: Tensor | None,
    wavefront: str,
    steering: str,
    site: Any,
    rx: Radio,
    tx: Radio,
) -> None:
    if steering not in ("carrier", "per-subcarrier"):
        raise SiteTwinError(f"steering '{steering}' is unknown; choose carrier or per-subcarrier")
    if wavefront not in ("plane", "spherical"):
        raise SiteTwinError(f"wavefront '{wavefront}' is unknown; choose plane or spherical")
    wanted = 3 if nodes_hz is None else 4
    if gains.ndim != wanted or gains.shape[wanted - 3] != paths.num_paths:
        raise SiteTwinError(
            f"gains of shape {tuple(gains.shape)} do not fit {paths.num_paths} paths"
            + ("" if nodes_hz is None else f" at {len(nodes_hz)} nodes")
            + "; give what path_gains or band_nodes returned for these paths"
        )
    if nodes_hz is not None and len(nodes_hz) != len(gains):
        raise SiteTwinError(f"gains at {len(gains)} nodes were given with {len(nodes_hz)} node frequencies")
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


def _factors(
    left: Callable[[Tensor], list[Tensor]],
    cycles: Tensor,
    weights: Tensor | None,
    grid: OfdmGrid,
    height: int,
    dtype: torch.dtype,
) -> Factors:
    """Antenna factor and subcarrier factor of each path, one pair per node of the band.

    With one node, the coarsest part of the subcarriers' comb goes to the antennas' side: two factors of like size take
    the least work to spell out.
    """
    size = grid.num_subcarriers
    sizes = levels(size)
    split = next((n for n in range(len(sizes)) if height * math.prod(sizes[:n]) ** 2 * sizes[n] > size), len(sizes) - 1)
    share = math.prod(sizes[:split])

    def prepare(rows: Tensor, padded: Tensor) -> Spell:
        antennas = left(rows)
        antennas[0] = silence(antennas[0], padded)
        comb = combs(cycles.index_select(0, rows), grid.first, sizes, dtype)

        def spell(some: slice, buffers: Buffers = None) -> tuple[Tensor, Tensor]:
            parts = [c[some] for c in comb]
            left_out, right_out = buffers or (None, None)
            return outer([*(a[some] for a in antennas), *parts[:split]], left_out), outer(parts[split:], right_out)

        return spell

    if weights is None:
        return Factors(prepare, height * share, size // share, dtype)
    band = weights

    def prepare_nodes(rows: Tensor, padded: Tensor) -> Spell:
        antennas = silence(left(rows)[0].transpose(0, 1).flatten(1), padded)
        comb = combs(cycles.index_select(0, rows), grid.first, sizes, dtype)

        def spell(some: slice, buffers: Buffers = None) -> tuple[Tensor, Tensor]:
            tones = outer([c[some] for c in comb])
            return antennas[some], (tones[:, None, :] * band).flatten(1)

        return spell

    return Factors(prepare_nodes, height, size, dtype, inner=len(band))


def _element_gains(
    gains: Tensor, lengths: Tensor, centre: Tensor, grid: OfdmGrid, tx: Radio, rx: Radio, *, spherical: bool
) -> Tensor:
    """(..., n, R * T) gains with the phase of each element's own length at the carrier, and its spreading."""
    antennas = spread_ports(gains, tx, rx)
    antennas = antennas.expand(*antennas.shape[:-2], rx.array.num_antennas, tx.array.num_antennas).flatten(-2)
    size = centre / lengths if spherical else None
    return antennas * phasor((lengths - centre) * (grid.carrier_hz / SPEED_OF_LIGHT), gains.dtype, size)
