"""Compute azimuths, distances and ray-fixed bases of diffracted rays from the vertices of paths."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sitetwin.channel.fields.diffraction import EdgeRays
from sitetwin.channel.fields.moved import MovedPaths
from sitetwin.channel.numerics.rotation import cross, dot
from sitetwin.rays.paths import Paths

_ALONG_EDGE = 1e-9  # sine of beta_0 below which a ray runs along the edge; no ray of a tracer does


@dataclass(frozen=True)
class EdgeCrossing:
    """N paths at their edges.

    Attributes:
        rays: Azimuths and distances; `faces` holds facets.
        phi_in_hat: (3, N) float64, phi' unit vector ``k' x e``.
        phi_out_hat: (3, N) float64, phi unit vector ``-k x e``.
        k_in: (3, N) float64, direction of travel before the edge.
        k_out: (3, N) float64, direction of travel after the edge.
    """

    rays: EdgeRays
    phi_in_hat: Tensor
    phi_out_hat: Tensor
    k_in: Tensor
    k_out: Tensor


@dataclass(frozen=True)
class EdgeFrames:
    """The wedges of a site, ready for indexing.

    Attributes:
        axes: (9, W) float64: tangent 0, normal 0 and their cross product e, the direction of the edge.
        exterior: (W,) float64, exterior angle, rad.
        facets: (2, W) int64; both sides of a free edge are the same facet.
        wavelengths: (2, W) float64, metres, from which and up to which each edge acts.
    """

    axes: Tensor
    exterior: Tensor
    facets: Tensor
    wavelengths: Tensor

    @classmethod
    def of(cls, wedges: Any) -> EdgeFrames:
        """Make the frames of a site's `Wedges`."""
        tangent, normal = (np.asarray(v, np.float64)[:, 0] for v in (wedges.tangents, wedges.normals))
        axes = np.concatenate([tangent, normal, np.cross(tangent, normal)], axis=1)
        facets = np.asarray(wedges.facets, np.int64)
        facets = np.column_stack([facets[:, 0], np.where(facets[:, 1] < 0, facets[:, 0], facets[:, 1])])
        return cls(
            torch.from_numpy(np.ascontiguousarray(axes.T)),
            torch.from_numpy(np.array(wedges.exterior_angle, np.float64)),
            torch.from_numpy(np.ascontiguousarray(facets.T)),
            torch.from_numpy(np.ascontiguousarray(wedges.wavelengths.T)),
        )

    def act(self, wedge: Tensor, wavelength: float) -> Tensor:
        """(N,) bool: whether edges act at a wavelength, metres; those of a thin wall act alone or together."""
        low, high = self.wavelengths.index_select(1, wedge)
        return (low <= wavelength) & (wavelength < high)

    def crossing(
        self,
        paths: Paths,
        rows: Tensor,
        at: int,
        depth: int,
        wavenumber: float,
        moved: MovedPaths | None = None,
    ) -> EdgeCrossing:
        """Compute the geometry of paths at their vertex `at`, a diffraction.

        Args:
            paths: The paths.
            rows: (N,) int64, paths alike in number and kind of interactions.
            at: Index of the vertex.
            depth: Number of interactions of these paths.
            wavenumber: k, rad/m.
            moved: How the ends of all paths have moved since the trace.
        """
        index = rows.numpy()
        vertices = paths.vertices[index, :depth]
        ends = paths.users[paths.user_of_path[index]] if at == depth - 1 else vertices[:, at + 1]
        start = np.broadcast_to(paths.transmitter, (len(index), 1, 3))
        steps = np.diff(np.concatenate([start, vertices[:, : at + 1], ends[:, None]], axis=1), axis=1)
        k_in, k_out = _unit(steps[:, -2]), _unit(steps[:, -1])
        before = torch.from_numpy(np.sqrt(np.einsum("nij,nij->ni", steps[:, :-1], steps[:, :-1])).sum(axis=1))
        total = torch.from_numpy(paths.length[index])
        if moved is not None:
            k_in, k_out = k_in + moved.inward[rows].T, k_out + moved.onward[rows].T
            before, total = before + moved.before[rows], moved.length[rows]

        wedge = torch.from_numpy(paths.facets[index, at].astype(np.int64))
        exterior = self.exterior.index_select(0, wedge)
        tangent, normal, along = self.axes.index_select(1, wedge).view(3, 3, -1).unbind(0)
        x_in, y_in, x_out, y_out = -dot(k_in, tangent), -dot(k_in, normal), dot(k_out, tangent), dot(k_out, normal)
        sine_square = (x_in * x_in + y_in * y_in).clamp_min(_ALONG_EDGE**2)
        rays = EdgeRays(
            _azimuth(x_in, y_in, exterior),
            _azimuth(x_out, y_out, exterior),
            exterior,
            dot(k_in, along),
            wavenumber * before * (total - before).clamp_min(0) / total * sine_square,
            self.facets.index_select(1, wedge),
        )
        phi_in_hat = cross(k_in, along) / torch.sqrt(sine_square)
        out_sine = torch.sqrt(x_out * x_out + y_out * y_out).clamp_min(_ALONG_EDGE)
        return EdgeCrossing(rays, phi_in_hat, cross(along, k_out) / out_sine, k_in, k_out)


def _unit(steps: np.ndarray) -> Tensor:
    """(N, 3) to (3, N) unit vectors."""
    vectors = torch.from_numpy(np.ascontiguousarray(steps.T))
    return vectors / torch.sqrt(dot(vectors, vectors))


def _azimuth(x: Tensor, y: Tensor, exterior: Tensor) -> Tensor:
    """Angle in [0, exterior]; what rounding has put inside the wedge comes to the nearer face."""
    angle = torch.atan2(y, x)
    angle = torch.where(angle < 0.5 * exterior - math.pi, angle + 2 * math.pi, angle)
    return torch.minimum(angle.clamp_min(0), exterior)
