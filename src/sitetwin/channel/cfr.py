"""Channel frequency responses from paths."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from sitetwin.channel.arrays import Radio, warn_near_field
from sitetwin.channel.fields import lagrange_weights, phasor
from sitetwin.channel.grid import OfdmGrid
from sitetwin.channel.ragged import Factors, Piece, gathered, sum_over_paths
from sitetwin.channel.steering import PathTensors, element_lengths, plane_gains, recorded, spread_ports
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import SPEED_OF_LIGHT, Paths

Wavefront = Literal["plane", "spherical"]
Steering = Literal["carrier", "per-subcarrier"]


def tones(cycles: Tensor, grid: OfdmGrid, dtype: torch.dtype) -> Tensor:
    """``e^{-j 2 pi k x}`` over the subcarriers, as an outer product of a coarse and a fine comb.

    Both combs come from phases reduced in float64; the product of two unit phasors keeps full precision.

    Args:
        cycles: (N,) float64, x = delay times subcarrier spacing.
        grid: The subcarriers.
        dtype: Complex type.

    Returns:
        (N, K).
    """
    size = grid.num_subcarriers
    fine = math.isqrt(size)
    while size % fine and fine > max(1, math.isqrt(size) // 4):
        fine -= 1
    if size % fine:
        fine = math.isqrt(size)
    coarse = -(-size // fine)
    start = grid.first + fine * torch.arange(coarse, dtype=torch.float64)
    step = torch.arange(fine, dtype=torch.float64)
    a = phasor(cycles[:, None] * start, dtype)
    b = phasor(cycles[:, None] * step, dtype)
    comb = (a[:, :, None] * b[:, None, :]).view(len(cycles), coarse * fine)
    return comb if coarse * fine == size else comb[:, :size].contiguous()


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
        delay_reference_s: Seconds, one for all or (U,): subtracted from the delays across the band (not from the carrier
            phase), so that tap 0 is this delay.
        out: (U, R, T, K) to write into, contiguous; ignored where gradients are recorded.

    Returns:
        (U, R, T, K) complex of the type of `gains`.

    Raises:
        SiteTwinError: Shapes do not fit or an option is unknown.
    """
    tx, rx = tx or Radio(), rx or Radio()
    _check_options(paths, gains, nodes_hz, wavefront, steering, site, rx, tx)
    batch = PathTensors.of(paths)
    shape = (batch.num_users, rx.array.num_antennas, tx.array.num_antennas, grid.num_subcarriers)
    target = None if out is None else _target(out, shape, gains.dtype)
    delay = batch.length / SPEED_OF_LIGHT - _reference(delay_reference_s, batch)
    weights = _band_weights(grid, nodes_hz, gains.dtype)
    if nodes_hz is not None and weights is None:
        gains = gains[0]
    if wavefront == "plane" and steering == "carrier":
        if paths.num_paths:
            for radio, whose in ((tx, "transmitter"), (rx, "receiver")):
                warn_near_field(radio.array, grid.carrier_hz, float(paths.length.min()), whose)

        def left(rows: Tensor) -> Tensor:
            return plane_gains(batch.take(rows), gains.index_select(-3, rows), tx, rx)

    else:
        lengths = element_lengths(batch, site, grid.carrier_hz, tx, rx, wavefront).flatten(1)
        spherical = wavefront == "spherical"

        def left(rows: Tensor) -> Tensor:
            few = lengths.index_select(0, rows)
            return _element_gains(batch.take(rows), gains.index_select(-3, rows), few, grid, tx, rx, spherical=spherical)

    flows = recorded(gains, tx, rx)
    height = shape[1] * shape[2]
    if steering == "carrier":
        factors = _factors(left, delay * grid.spacing_hz, weights, grid, height, gains.dtype)
        result = sum_over_paths(batch.offsets, factors, None if flows else target, recorded=flows)
    else:
        delays = lengths / SPEED_OF_LIGHT - _reference_column(delay_reference_s, batch)
        result = _per_element(batch.offsets, left, delays * grid.spacing_hz, weights, grid, height)
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
        raise SiteTwinError(f"out has shape {tuple(out.shape)} and type {out.dtype}; needed is {shape}, {dtype}, contiguous")
    return out.view(shape[0], shape[1] * shape[2], shape[3])


def _reference(reference: float | Tensor, batch: PathTensors) -> float | Tensor:
    """Delay reference of each path, seconds."""
    if not isinstance(reference, Tensor) or reference.ndim == 0:
        return float(reference)
    if len(reference) != batch.num_users:
        raise SiteTwinError(f"{len(reference)} delay references were given for {batch.num_users} users")
    return reference.double()[batch.user]


def _reference_column(reference: float | Tensor, batch: PathTensors) -> float | Tensor:
    value = _reference(reference, batch)
    return value[:, None] if isinstance(value, Tensor) else value


def _band_weights(grid: OfdmGrid, nodes_hz: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """(N, K) interpolation weights from nodes to subcarriers."""
    if nodes_hz is None or len(nodes_hz) == 1:
        return None
    return lagrange_weights(nodes_hz.double(), grid.frequencies_hz).T.contiguous().to(dtype)


def _factors(
    left: Callable[[Tensor], Tensor],
    cycles: Tensor,
    weights: Tensor | None,
    grid: OfdmGrid,
    height: int,
    dtype: torch.dtype,
) -> Factors:
    """Antenna factor and subcarrier factor of each path, one pair per node of the band."""

    def comb(rows: Tensor) -> Tensor:
        return tones(cycles.index_select(0, rows), grid, dtype)

    if weights is None:
        return Factors(left, comb, height, grid.num_subcarriers, dtype)
    return Factors(
        lambda rows: left(rows).transpose(0, 1).flatten(1),
        lambda rows: (comb(rows)[:, None, :] * weights).flatten(1),
        height,
        grid.num_subcarriers,
        dtype,
        inner=len(weights),
    )


def _element_gains(
    batch: PathTensors, gains: Tensor, lengths: Tensor, grid: OfdmGrid, tx: Radio, rx: Radio, *, spherical: bool
) -> Tensor:
    """(..., P, R * T) gains with the phase of each element's own length at the carrier, and its spreading."""
    antennas = spread_ports(gains, tx, rx)
    antennas = antennas.expand(*antennas.shape[:-2], rx.array.num_antennas, tx.array.num_antennas).flatten(-2)
    extra = lengths - batch.length[:, None]
    size = batch.length[:, None] / lengths if spherical else None
    return antennas * phasor(extra * (grid.carrier_hz / SPEED_OF_LIGHT), gains.dtype, size)


def _per_element(
    offsets: Tensor,
    left: Callable[[Tensor], Tensor],
    cycles: Tensor,
    weights: Tensor | None,
    grid: OfdmGrid,
    height: int,
) -> Tensor:
    """Sum over paths where every pair of elements has a delay of its own, `cycles` (P, M); (U, M, K)."""
    size = grid.num_subcarriers

    def make(piece: Piece) -> Tensor:
        gains = left(piece.rows)
        comb = tones(cycles.index_select(0, piece.rows).flatten(), grid, gains.dtype)
        comb = comb.view(len(piece.rows), height, size)
        across = gains[..., None] if weights is None else torch.einsum("npm,nk->pmk", gains, weights)
        return (across * comb).view(len(piece.users), piece.count, height, size).sum(dim=1)

    return gathered(offsets, max(1, (8 << 20) // (height * size * 8)), make, (height, size))
