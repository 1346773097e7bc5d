"""Paths of a transmitter and of users that stand somewhat beside where they stood in the trace.

A mirror shows the transmitter at an image. From the transmitter's place, a path of the length L that leaves in the
direction d ends at ``L d``, the image of the user in all mirrors of the path. Moved by an offset delta, and with the
user moved by epsilon, the path has the length and the direction of ``L d - delta + Q^T epsilon``, Q being the product
of the mirrors: this is exact, and the same as a new trace gives, as long as the path still meets the same facets.

A tile or a scatter centre stays where it is, and both parts of the path are such images: exact too. An edge is met
where the way over it is shortest (Keller's law), both half planes turned into one about the edge: exact as long as that
point lies on the edge. What is in sight, the ends of edges, and the chords through canopies stay as traced.

All numbers are those of the trace plus a change that is exactly zero without an offset.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.fields.tensors import checked_tensor
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays.paths import Interaction, Paths

_DIVIDING = (Interaction.CANOPY, Interaction.DIFFRACTION, Interaction.DIFFUSE)  # where rays do not go on as in a mirror


@dataclass(frozen=True)
class MovedPaths:
    """Geometry of P paths with offsets of their ends; gradients flow to the offsets.

    Attributes:
        length: (P,) float64, metres.
        departure: (P, 3) float64, unit vectors away from the transmitter.
        arrival: (P, 3) float64, unit vectors away from the user.
        before: (P,) change of the length up to an edge, tile or scatter centre, metres.
        inward: (P, 3) change of the direction of travel that comes to it.
        onward: (P, 3) change of the direction of travel that leaves it.
    """

    length: Float[Tensor, " paths"]
    departure: Float[Tensor, "paths 3"]
    arrival: Float[Tensor, "paths 3"]
    before: Float[Tensor, " paths"]
    inward: Float[Tensor, "paths 3"]
    onward: Float[Tensor, "paths 3"]

    def take(self, rows: Tensor) -> MovedPaths:
        """Some of the paths."""
        return MovedPaths(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def moved_paths(paths: Paths, site: Any, options: FieldOptions) -> MovedPaths | None:
    """Move the ends of paths by the offsets of the options; None without offsets.

    Raises:
        SiteTwinError: An offset is no finite vector, has another shape, or is given with rain.
    """
    if options.transmitter_offset is None and options.user_offset is None:
        return None
    if options.atmosphere is not None and options.atmosphere.rain_mm_h:
        raise SiteTwinError(
            "rain acts on every segment of a path, which offsets do not follow; leave the rain or the offsets out"
        )
    delta = _offset("transmitter_offset", options.transmitter_offset, {(3,): "metres"})
    users = {(3,): "metres for all users", (paths.num_users, 3): "metres for each user"}
    epsilon = _offset("user_offset", options.user_offset, users)
    epsilon = epsilon[torch.from_numpy(paths.user_of_path)] if epsilon.ndim == 2 else epsilon
    shape = (paths.num_paths, 3)
    _warn(paths)
    return Images(paths, site).moved(delta.expand(shape), epsilon.expand(shape))


def _offset(name: str, value: Any, shapes: dict[tuple[int, ...], str]) -> Tensor:
    if value is None:
        return torch.zeros(3, dtype=torch.float64)
    offset = checked_tensor(name, value, shapes)
    if not bool(torch.isfinite(offset.detach()).all()):
        raise SiteTwinError(f"{name} holds NaN or infinity; give finite metres")
    return offset


def _warn(paths: Paths) -> None:
    """Say what does not move along."""
    bent = int((paths.kinds == Interaction.DIFFRACTION).any(axis=1).sum())
    leafy = int((np.diff(paths.crossing_offsets) > 0).sum())
    if bent or leafy:
        said = [f"{bent:,} diffracted paths, whose edges keep their ends and boundaries"] if bent else []
        said += [f"{leafy:,} paths through vegetation, whose chords stay"] if leafy else []
        warnings.warn(
            f"offsets are exact for reflected paths, and for small offsets only for {' and '.join(said)} as traced; "
            "trace again from the moved place for the last word",
            SiteTwinWarning,
            stacklevel=4,
        )


class Images:
    """Paths unfolded by their mirrors, ready to be moved."""

    def __init__(self, paths: Paths, site: Any) -> None:
        self.normals = torch.from_numpy(np.ascontiguousarray(site.facet_normal)).double()
        self.mirror = torch.from_numpy(paths.kinds == Interaction.REFLECTION)
        self.facets = torch.from_numpy(np.ascontiguousarray(paths.facets)).long()
        self.length, self.departure, self.arrival = (
            torch.from_numpy(np.ascontiguousarray(v)) for v in (paths.length, paths.departure, paths.arrival)
        )
        divides = np.isin(paths.kinds, _DIVIDING)
        self.divided = torch.from_numpy(divides.any(axis=1))
        at = np.where(divides.any(axis=1), divides.argmax(axis=1) if paths.max_depth else 0, paths.max_depth)
        column = np.arange(paths.max_depth)
        self.ahead = self.mirror & torch.from_numpy(column < at[:, None])
        self.behind = self.mirror & torch.from_numpy(column > at[:, None])
        self.first = torch.from_numpy(_before(paths, at))
        self.last = torch.where(self.divided, self.length - self.first, self.length)
        row = np.flatnonzero((paths.kinds == Interaction.DIFFRACTION).any(axis=1))
        self.bent = torch.from_numpy(row)
        if len(row):
            edge = np.zeros((paths.num_paths, 3))
            edge[row] = site.wedges.direction[paths.facets[row, at[row]]]
            edges = torch.from_numpy(edge)
            self.edge_tx = self.carried(edges, self.ahead, onward=False)[self.bent]
            self.edge_rx = self.carried(edges, self.behind, onward=True)[self.bent]

    def carried(self, vectors: Tensor, mirrors: Tensor, *, onward: bool) -> Tensor:
        """(P, 3) vectors mirrored from the first of the mirrors (P, D) to the last, or the other way."""
        columns = range(mirrors.shape[1])
        for column in columns if onward else reversed(columns):
            there = mirrors[:, column]
            if bool(there.any()):
                normal = self.normals[torch.where(there, self.facets[:, column], 0)] * there[:, None]
                vectors = vectors - 2 * (vectors * normal).sum(dim=1, keepdim=True) * normal
        return vectors

    def moved(self, delta: Tensor, epsilon: Tensor) -> MovedPaths:
        """Move the ends.

        Args:
            delta: (P, 3) offsets of the transmitter, metres.
            epsilon: (P, 3) offsets of the user, metres.
        """
        divided = self.divided[:, None]
        at_tx = torch.where(divided, delta, delta - self.carried(epsilon, self.mirror, onward=False))
        at_rx = torch.where(divided, epsilon, epsilon - self.carried(delta, self.mirror, onward=True))
        if len(self.bent):
            slid = self._slid(delta[self.bent], epsilon[self.bent])[:, None]
            at_tx = at_tx.index_add(0, self.bent, -slid * self.edge_tx)
            at_rx = at_rx.index_add(0, self.bent, -slid * self.edge_rx)
        near, turned_tx = _seen(self.first, self.departure, at_tx)
        far, turned_rx = _seen(self.last, self.arrival, at_rx)
        return MovedPaths(
            self.length + near + torch.where(self.divided, far, torch.zeros_like(far)),
            self.departure + turned_tx,
            self.arrival + turned_rx,
            near,
            self.carried(turned_tx, self.ahead, onward=True),
            -self.carried(turned_rx, self.behind, onward=False),
        )

    def _slid(self, delta: Tensor, epsilon: Tensor) -> Tensor:
        """(n,) metres that the points of diffraction move along their edges."""
        still = torch.zeros_like(delta)
        return self._place(delta, epsilon) - self._place(still, still)

    def _place(self, delta: Tensor, epsilon: Tensor) -> Tensor:
        """(n,) places of the points of diffraction along their edges, counted from those of the trace."""
        heights, distances = [], []
        for size, direction, offset, edge in (
            (self.first, self.departure, delta, self.edge_tx),
            (self.last, self.arrival, epsilon, self.edge_rx),
        ):
            end = offset - size[self.bent, None] * direction[self.bent]
            height = (end * edge).sum(dim=1)
            heights.append(height)
            distances.append(torch.linalg.vector_norm(end - height[:, None] * edge, dim=1))
        share = distances[0] / (distances[0] + distances[1])
        return heights[0] + (heights[1] - heights[0]) * share


def _seen(size: Tensor, direction: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """Changes (P,) of the length and (P, 3) of the direction of ``size direction`` as its origin moves by an offset."""
    cut = (offset * offset).sum(dim=1) - 2 * size * (offset * direction).sum(dim=1)
    new = torch.sqrt(size * size + cut)
    change = cut / (new + size)
    return change, -(offset + change[:, None] * direction) / (size + change)[:, None]


def _before(paths: Paths, at: np.ndarray) -> np.ndarray:
    """(P,) metres from the transmitter to the vertex `at`, or to the user where there is none."""
    if not paths.max_depth:
        return paths.length.copy()
    start = np.broadcast_to(paths.transmitter, (paths.num_paths, 1, 3))
    steps = np.diff(np.concatenate([start, paths.vertices], axis=1), axis=1)
    sums = np.cumsum(np.sqrt((steps**2).sum(axis=2)), axis=1)
    row = np.arange(paths.num_paths)
    return np.where(at < paths.max_depth, sums[row, np.minimum(at, paths.max_depth - 1)], paths.length)
