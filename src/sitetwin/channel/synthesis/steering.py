"""Response of array elements to a path: phases of plane waves, exact distances of spherical waves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from sitetwin.channel.antennas.arrays import AntennaArray
from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields.checks import check_paths
from sitetwin.channel.fields.moved import MovedPaths
from sitetwin.channel.numerics.phasors import comb, phasor
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import SPEED_OF_LIGHT, Interaction, Paths
from sitetwin.rays.soundness import check_structure

_DIVIDING = (Interaction.CANOPY, Interaction.DIFFRACTION, Interaction.DIFFUSE)  # where rays do not go on as in a mirror


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

    offsets: Integer[Tensor, " offsets"]
    length: Float[Tensor, " paths"]
    departure: Float[Tensor, "paths 3"]
    arrival: Float[Tensor, "paths 3"]
    user: Integer[Tensor, " paths"]
    paths: Paths

    @classmethod
    def of(cls, paths: Paths, moved: MovedPaths | None = None) -> PathTensors:
        """Views of the arrays of `paths`, or the lengths and directions after offsets have moved their ends.

        Raises:
            SiteTwinError: The arrays do not fit together: they may have been changed since `paths` was made, and
                compiled loops follow them without looking.
        """
        check_structure(paths)

        def view(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array))

        if moved is None:
            length, departure, arrival = (view(v) for v in (paths.length, paths.departure, paths.arrival))
        else:
            length, departure, arrival = moved.length, moved.departure, moved.arrival
        return cls(
            view(np.asarray(paths.offsets, dtype=np.int64)),
            length,
            departure,
            arrival,
            view(paths.user_of_path),
            paths,
        )

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.offsets) - 1


def path_reference(
    reference: float | Float[Tensor, "*reference"], batch: PathTensors
) -> float | Float[Tensor, " paths"]:
    """Delay reference in seconds: one for all, or (P,) from one per user."""
    if not isinstance(reference, Tensor):
        return float(reference)
    if reference.ndim == 0:
        return reference.double().expand(len(batch.length))
    if reference.shape != (batch.num_users,):
        raise SiteTwinError(
            f"delay references of shape {tuple(reference.shape)} were given for {batch.num_users} users; give one for "
            "each, or one for all"
        )
    return reference.double()[batch.user]


def spread_ports(
    gains: Complex[Tensor, "*paths rx_ports tx_ports"], tx: Radio, rx: Radio
) -> Complex[Tensor, "*paths rx_antennas tx_antennas"]:
    """Gains between ports to gains between antennas without their phases: (..., P, rp, tp) to (..., P, R, T)."""
    for axis, radio in ((-2, rx), (-1, tx)):
        if radio.array.num_antennas > 1 and radio.array.num_ports > 1:
            gains = gains.index_select(axis, radio.array.port)
    return gains


def centred(array: AntennaArray) -> bool:
    """Whether the array is a single element at the radio's position, which has no phase of its own."""
    return array.num_positions == 1 and not array.positions.requires_grad and not bool(array.positions.any())


def responses(
    direction: Float[Tensor, "paths 3"], radio: Radio, user: Integer[Tensor, " paths"] | None, dtype: torch.dtype
) -> Complex[Tensor, "paths antennas"]:
    """Element responses ``e^{+j 2 pi d·k / lambda}``.

    Args:
        direction: (P, 3) float64 unit vectors away from the radio.
        radio: The radio.
        user: (P,) int64 user of each path, where orientations are per user.
        dtype: Complex type.

    Returns:
        (P, antennas), port by port.
    """
    array = radio.array
    if not is_regular(array):
        each = phasor(-radio.cycles(direction, user), dtype)
    else:
        vertical, horizontal = planar_cycles(direction, radio, user)
        rows, columns = array.shape or (1, 1)
        each = comb(horizontal, -(columns - 1) / 2, columns, dtype)
        if rows > 1:
            each = (comb(vertical, -(rows - 1) / 2, rows, dtype)[:, :, None] * each[:, None, :]).flatten(1)
    return each if array.num_ports == 1 else each.repeat(1, array.num_ports)


def is_regular(array: AntennaArray) -> bool:
    """Whether the elements stand on a regular grid, so that phases are multiples of two phases."""
    return array.shape is not None and array.spacing is not None and not array.positions.requires_grad


def planar_cycles(
    direction: Float[Tensor, "paths 3"], radio: Radio, user: Integer[Tensor, " paths"] | None = None
) -> tuple[Float[Tensor, " paths"], Float[Tensor, " paths"]]:
    """Cycles by which a wave lags from one row, and from one column, of a regular array to the next.

    Args:
        direction: (P, 3) float64 unit vectors away from the radio.
        radio: A radio with a regular array.
        user: (P,) int64 user of each path, where orientations are per user.

    Returns:
        Two (P,) float64.
    """
    assert radio.array.spacing is not None
    vertical, horizontal = radio.array.spacing
    local = radio.local_rows(direction, user)
    return vertical * local[:, 2], -horizontal * local[:, 1]


def recorded(gains: Tensor, *radios: Radio, batch: PathTensors, reference: float | Tensor = 0.0) -> bool:
    """Whether gradients are to flow into gains, lengths, orientations, element positions or a delay reference."""
    tensors = [gains, batch.length, reference, *(r.array.positions for r in radios), *(r.orientation for r in radios)]
    return torch.is_grad_enabled() and any(isinstance(t, Tensor) and t.requires_grad for t in tensors)


def plane_gains(
    batch: PathTensors,
    gains: Complex[Tensor, "*band paths rx_ports tx_ports"],
    tx: Radio,
    rx: Radio,
    rows: Integer[Tensor, " chosen"] | None = None,
) -> Complex[Tensor, "*band chosen pairs"]:
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


def element_lengths(
    batch: PathTensors, site: Any, frequency_hz: float, tx: Radio, rx: Radio, wavefront: str
) -> Float[Tensor, "paths rx_antennas tx_antennas"]:
    """Length of each path between all pairs of antennas, metres.

    Plane: ``L - d_t . k_t - d_r . k_r``. Spherical: the distance between the receiving element and the image of the
    transmitting element in the chain of facets, ``|L k_t - d_t + Q^T d_r|`` with Q the product of the chain's mirrors
    (the image point method needs only the chain's normals, as mirrors keep distances). At a scatter centre or
    tile the path is two such pieces. Over an edge it is the shortest way, ``hypot(rho_t + rho_r, z_t - z_r)`` with rho
    the distances from the edge and z the places along it.

    Args:
        batch: P paths.
        site: Site of the paths, for the normals of the facets; needed when both ends are arrays and waves are
            spherical.
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
    if site is not None:
        check_paths(batch.paths, site)  # normals and edges are taken by number
    at_tx = wavelength * tx.offsets().repeat(tx.array.num_ports, 1)
    at_rx = wavelength * rx.offsets(batch.user)
    at_rx = at_rx.expand(len(batch.length), -1, 3).repeat(1, rx.array.num_ports, 1)
    out = torch.empty(len(batch.length), rx.array.num_antennas, tx.array.num_antennas, dtype=torch.float64)
    rows, _, _, _ = _divided(batch, None)
    if len(rows):
        seen = _unfold(at_rx[rows], batch.paths, rows, site)
        reach = batch.length[rows, None, None, None] * batch.departure[rows, None, None, :]
        out[rows] = torch.linalg.vector_norm(reach - at_tx[None, None] + seen[:, :, None, :], dim=-1)
    for kind in _DIVIDING:
        rows, at, near, far = _divided(batch, kind)
        if not len(rows):
            continue
        sent = at_tx[None] - near[:, None, None] * batch.departure[rows, None]
        caught = at_rx[rows] - far[:, None, None] * batch.arrival[rows, None]
        if kind == Interaction.DIFFRACTION:
            out[rows] = _over_edges(sent, caught, *_edge_directions(batch.paths, rows, at, site))
        else:
            sizes = [torch.linalg.vector_norm(ends, dim=-1) for ends in (sent, caught)]
            out[rows] = sizes[1][:, :, None] + sizes[0][:, None, :]
    return out


def _divided(batch: PathTensors, kind: Interaction | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Paths with a vertex of this kind: rows, which vertex, and metres before and after it; None: all others."""
    paths = batch.paths
    if kind is None:
        divided = np.isin(paths.kinds, _DIVIDING)
        rows = torch.from_numpy(np.flatnonzero(~divided.any(axis=1)))
        return rows, rows.new_zeros(len(rows)), batch.length[rows], batch.length.new_zeros(len(rows))
    row, at = np.nonzero(paths.kinds == kind)
    start = np.broadcast_to(paths.transmitter, (len(row), 1, 3))
    steps = np.diff(np.concatenate([start, paths.vertices[row]], axis=1), axis=1)
    before = np.sqrt((steps**2).sum(axis=2)).cumsum(axis=1)[np.arange(len(row)), at]
    rows, near = torch.from_numpy(row), torch.from_numpy(before)
    return rows, torch.from_numpy(at), near, batch.length[rows] - near


def _over_edges(sent: Tensor, caught: Tensor, edge_tx: Tensor, edge_rx: Tensor) -> Tensor:
    """Shortest ways over edges between elements: both half planes turned into one about the edge.

    Args:
        sent: (n, T, 3) transmitting elements, from the (image of the) diffraction point.
        caught: (n, R, 3) receiving elements, from the (image of the) diffraction point.
        edge_tx: (n, 3) direction of the edge as the transmitter sees it in the mirrors before it.
        edge_rx: (n, 3) the same direction as the receiver sees it in the mirrors after it.

    Returns:
        (n, R, T).
    """
    heights, distances = [], []
    for ends, edge in ((sent, edge_tx), (caught, edge_rx)):
        height = torch.einsum("nei,ni->ne", ends, edge)
        heights.append(height)
        distances.append(torch.linalg.vector_norm(ends - height[..., None] * edge[:, None], dim=-1))
    across = distances[1][:, :, None] + distances[0][:, None, :]
    return torch.hypot(across, heights[1][:, :, None] - heights[0][:, None, :])


def _edge_directions(paths: Paths, rows: Tensor, at: Tensor, site: Any) -> tuple[Tensor, Tensor]:
    """Directions (n, 3) of the edges met at vertices `at`, mirrored back to the transmitter and on to the user."""
    if site is None:
        raise SiteTwinError("spherical waves over edges need the site's wedges; pass site=")
    wedge = paths.facets[rows.numpy(), at.numpy()]
    edge = torch.from_numpy(np.ascontiguousarray(site.wedges.direction[wedge]))[:, None]
    depth = torch.arange(paths.max_depth)
    before, after = depth < at[:, None], depth > at[:, None]
    return _unfold(edge, paths, rows, site, before)[:, 0], _unfold(edge, paths, rows, site, after, onward=True)[:, 0]


def _unfold(
    vectors: Tensor, paths: Paths, rows: Tensor, site: Any, chosen: Tensor | None = None, onward: bool = False
) -> Tensor:
    """Vectors at the user mirrored back through the chain into the frame of the departure: ``Q^T d_r``.

    Args:
        vectors: (n, R, 3).
        paths: All paths.
        rows: (n,) the paths meant.
        site: Their site.
        chosen: (n, D) bool, vertices whose mirrors take part; all by default.
        onward: Mirror from the first vertex to the last instead.
    """
    if paths.max_depth == 0 or not bool(vectors.any()):
        return vectors
    facets = torch.from_numpy(np.ascontiguousarray(paths.facets)).long().index_select(0, rows)
    mirror = torch.from_numpy(paths.kinds == Interaction.REFLECTION).index_select(0, rows)
    mirror = mirror if chosen is None else mirror & chosen
    normals = torch.from_numpy(np.ascontiguousarray(site.facet_normal))
    for at in range(paths.max_depth) if onward else reversed(range(paths.max_depth)):
        normal = normals[torch.where(mirror[:, at], facets[:, at], 0)] * mirror[:, at, None]
        along = torch.einsum("pre,pe->pr", vectors, normal)
        vectors = vectors - 2 * along[..., None] * normal[:, None, :]
    return vectors
