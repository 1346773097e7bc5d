"""Elements of an array seen by a path: phases under plane waves, exact distances under spherical ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sitetwin.channel.arrays import AntennaArray, Radio
from sitetwin.channel.phasors import combs, levels, outer, phasor
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import SPEED_OF_LIGHT, Interaction, Paths


@dataclass(frozen=True)
class PathTensors:
    """What synthesis needs of a batch of paths, as tensors.

    Attributes:
        offsets: (U + 1,) int64, a user's paths are rows ``offsets[u]:offsets[u + 1]``.
        length: (P,) float64, metres.
        departure: (P, 3) float64.
        arrival: (P, 3) float64.
        user: (P,) int64.
        paths: The paths themselves (spherical waves need their chains).
    """

    offsets: Tensor
    length: Tensor
    departure: Tensor
    arrival: Tensor
    user: Tensor
    paths: Paths

    @classmethod
    def of(cls, paths: Paths) -> PathTensors:
        """Views of the arrays of `paths`."""

        def view(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array))

        return cls(
            view(np.asarray(paths.offsets, dtype=np.int64)),
            view(paths.length),
            view(paths.departure),
            view(paths.arrival),
            view(paths.user_of_path),
            paths,
        )

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.offsets) - 1


def path_reference(reference: float | Tensor, batch: PathTensors) -> float | Tensor:
    """Delay reference in seconds: one for all, or (P,) from one per user."""
    if not isinstance(reference, Tensor) or reference.ndim == 0:
        return float(reference)
    if len(reference) != batch.num_users:
        raise SiteTwinError(f"{len(reference)} delay references were given for {batch.num_users} users")
    return reference.double()[batch.user]


def spread_ports(gains: Tensor, tx: Radio, rx: Radio) -> Tensor:
    """Gains between ports to gains between antennas without their phases: (..., P, rp, tp) to (..., P, R, T)."""
    if gains.shape[-2:] != (rx.array.num_ports, tx.array.num_ports):
        raise SiteTwinError(
            f"gains between {gains.shape[-2]} x {gains.shape[-1]} ports do not fit radios with {rx.array.num_ports} x "
            f"{tx.array.num_ports}; compute them with path_gains for the same radios"
        )
    for axis, radio in ((-2, rx), (-1, tx)):
        if radio.array.num_antennas > 1 and radio.array.num_ports > 1:
            gains = gains.index_select(axis, radio.array.port)
    return gains


def centred(array: AntennaArray) -> bool:
    """Whether the array is a single element at the radio's position, which has no phase of its own."""
    return array.num_positions == 1 and not array.positions.requires_grad and not bool(array.positions.any())


def responses(direction: Tensor, radio: Radio, user: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Element responses ``e^{+j 2 pi d . k / lambda}``.

    Args:
        direction: (P, 3) float64 unit vectors away from the radio.
        radio: The radio.
        user: (P,) int64 user of each path, where orientations are per user.
        dtype: Complex type.

    Returns:
        (P, antennas), port by port.
    """
    array = radio.array
    each = outer(_combs_of(direction, radio, user, dtype))
    return each if array.num_ports == 1 else each.repeat(1, array.num_ports)


def _combs_of(direction: Tensor, radio: Radio, user: Tensor | None, dtype: torch.dtype) -> list[Tensor]:
    """Factors of the responses of the positions: rows' and columns' combs for a uniform array."""
    array = radio.array
    if array.shape is None or array.spacing is None or array.positions.requires_grad:
        return [phasor(-radio.cycles(direction, user), dtype)]
    local = radio.local_rows(direction, user)
    rows, columns = array.shape
    vertical, horizontal = array.spacing
    along_y = combs(-horizontal * local[:, 1], -(columns - 1) / 2, levels(columns, finest=4), dtype)
    if rows == 1:
        return list(along_y)
    return [*combs(vertical * local[:, 2], -(rows - 1) / 2, levels(rows), dtype), *along_y]


def recorded(gains: Tensor, *radios: Radio) -> bool:
    """Whether gradients are to flow into gains, orientations or element positions."""
    tensors = [gains, *(r.array.positions for r in radios), *(r.orientation for r in radios)]
    return torch.is_grad_enabled() and any(isinstance(t, Tensor) and t.requires_grad for t in tensors)


def plane_gains(batch: PathTensors, gains: Tensor, tx: Radio, rx: Radio, rows: Tensor | None = None) -> Tensor:
    """Gain of paths between all antennas, plane waves, steering at the carrier.

    Args:
        batch: P paths.
        gains: (..., P, n_rx_ports, n_tx_ports) complex.
        tx: Radio of the transmitter.
        rx: Radio of the users.
        rows: (n,) the paths wanted, all by default.

    Returns:
        (..., n, R * T) complex, receive antenna major.
    """

    def some(values: Tensor, axis: int = 0) -> Tensor:
        return values if rows is None else values.index_select(axis, rows)

    antennas = spread_ports(some(gains, -3), tx, rx)
    if not centred(tx.array):
        response = responses(some(batch.departure), tx, None, gains.dtype)
        antennas = antennas * response[:, None, :]
    if not centred(rx.array):
        user = some(batch.user) if rx.per_user else None
        response = responses(some(batch.arrival), rx, user, gains.dtype)
        antennas = antennas * response[:, :, None]
    return antennas.expand(*antennas.shape[:-2], rx.array.num_antennas, tx.array.num_antennas).flatten(-2)


def plane_factors(batch: PathTensors, gains: Tensor, tx: Radio, rx: Radio, rows: Tensor) -> list[Tensor]:
    """Factors (n, a), (n, b), ... whose outer product is `plane_gains`, with fewer multiplications where they split."""
    if not (centred(rx.array) and rx.array.num_ports == tx.array.num_ports == 1) or centred(tx.array):
        return [plane_gains(batch, gains, tx, rx, rows)]
    factors = _combs_of(batch.departure.index_select(0, rows), tx, None, gains.dtype)
    factors[0] = factors[0] * gains.index_select(0, rows)[:, 0]
    return factors


def element_lengths(batch: PathTensors, site: Any, frequency_hz: float, tx: Radio, rx: Radio, wavefront: str) -> Tensor:
    """Length of each path between all pairs of antennas, metres.

    Plane: ``L - d_t . k_t - d_r . k_r``. Spherical: the distance between the receiving element and the image of the
    transmitting element in the chain of facets, ``|L k_t - d_t + Q^T d_r|`` with Q the product of the chain's mirrors
    (the image point method needs only the chain's normals, as mirrors keep distances). At a scatter centre or tile
    the path is two such pieces.

    Args:
        batch: P paths.
        site: Their site, for the normals of the facets; needed when both ends are arrays and waves are spherical.
        frequency_hz: Carrier that gives element positions their size, Hz.
        tx: Radio of the transmitter.
        rx: Radio of the users.
        wavefront: "plane" or "spherical".

    Returns:
        (P, R, T) float64.
    """
    wavelength = SPEED_OF_LIGHT / frequency_hz
    if wavefront == "plane":
        total = batch.length[:, None, None]
        for axis, radio, direction in ((1, tx, batch.departure), (2, rx, batch.arrival)):
            if not centred(radio.array):
                cycles = radio.cycles(direction, batch.user).repeat(1, radio.array.num_ports)
                total = total - wavelength * cycles.unsqueeze(axis)
        return total.expand(-1, rx.array.num_antennas, tx.array.num_antennas)
    if wavefront != "spherical":
        raise SiteTwinError(f"wavefront '{wavefront}' is unknown; choose plane or spherical")
    at_tx = wavelength * tx.offsets().repeat(tx.array.num_ports, 1)
    at_rx = wavelength * rx.offsets(batch.user)
    at_rx = at_rx.expand(len(batch.length), -1, 3).repeat(1, rx.array.num_ports, 1)
    first = _length_to_scatterer(batch.paths)
    out = torch.empty(len(batch.length), rx.array.num_antennas, tx.array.num_antennas, dtype=torch.float64)
    mirrored = torch.isnan(first)
    rows = torch.nonzero(mirrored).flatten()
    if len(rows):
        seen = _unfold(at_rx[rows], batch.paths, rows, site)
        reach = batch.length[rows, None, None, None] * batch.departure[rows, None, None, :]
        out[rows] = torch.linalg.vector_norm(reach - at_tx[None, None] + seen[:, :, None, :], dim=-1)
    rows = torch.nonzero(~mirrored).flatten()
    if len(rows):
        near, far = first[rows, None], batch.length[rows, None] - first[rows, None]
        sent = torch.linalg.vector_norm(near[..., None] * batch.departure[rows, None] - at_tx[None], dim=-1)
        caught = torch.linalg.vector_norm(far[..., None] * batch.arrival[rows, None] - at_rx[rows], dim=-1)
        out[rows] = caught[:, :, None] + sent[:, None, :]
    return out


def _length_to_scatterer(paths: Paths) -> Tensor:
    """(P,) float64 metres from the transmitter to the path's scatter centre or tile, NaN for purely specular paths."""
    first = np.full(paths.num_paths, np.nan)
    for row, at in np.argwhere(np.isin(paths.kinds, (Interaction.CANOPY, Interaction.DIFFUSE))):
        points = np.concatenate([paths.transmitter[None], paths.vertices[row, : at + 1]])
        first[row] = np.linalg.norm(np.diff(points, axis=0), axis=1).sum()
    return torch.from_numpy(first)


def _unfold(offsets: Tensor, paths: Paths, rows: Tensor, site: Any) -> Tensor:
    """Receive element offsets mirrored back through the chain into the frame of the departure: ``Q^T d_r``."""
    if paths.max_depth == 0 or not bool(offsets.any()):
        return offsets
    facets = torch.from_numpy(np.ascontiguousarray(paths.facets)).long().index_select(0, rows)
    kinds = torch.from_numpy(np.ascontiguousarray(paths.kinds)).index_select(0, rows)
    normals = torch.from_numpy(np.ascontiguousarray(site.facet_normal))
    for at in reversed(range(paths.max_depth)):
        normal = normals[facets[:, at].clamp_min(0)] * (kinds[:, at] == Interaction.REFLECTION)[:, None]
        along = torch.einsum("pre,pe->pr", offsets, normal)
        offsets = offsets - 2 * along[..., None] * normal[:, None, :]
    return offsets
