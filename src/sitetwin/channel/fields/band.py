"""Gains at several frequencies of a band, and the interpolation between them."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields.gains import PathGains
from sitetwin.channel.fields.moved import MovedPaths
from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.fields.path_gains import path_gains
from sitetwin.errors import SiteTwinWarning
from sitetwin.rays.paths import Paths


def band_nodes(
    paths: Paths,
    site: Any,
    carrier_hz: float,
    bandwidth_hz: float,
    tx: Radio | None = None,
    rx: Radio | None = None,
    options: FieldOptions | None = None,
    *,
    tolerance_db: float = 0.1,
    max_nodes: int = 9,
    dtype: torch.dtype = torch.complex64,
) -> PathGains:
    """Compute gains at as many frequencies of the band as slab ripple and dispersion require.

    Nodes are Chebyshev points of the band; their number grows 1, 3, 5, ... until, at the points of the next finer
    set, the gain interpolated through them (Lagrange) differs from the computed one by less than the tolerance,
    ``20 log10(1 + |difference| / |gain|)`` with the path's largest gain in the band; a gain more than 60 dB below the
    strongest path's counts as if it were 60 dB below it.

    Args:
        paths: P paths.
        site: Their site.
        carrier_hz: Carrier, Hz; every node carries the phase ``e^{-j 2 pi f_c tau}`` of the carrier.
        bandwidth_hz: Width of the band, Hz.
        tx: Radio of the transmitter.
        rx: Radio of the users.
        options: Choices of the field computation: season, foliage, materials and others.
        tolerance_db: Largest error of the interpolation, dB.
        max_nodes: Upper limit of the number of nodes; a warning says if it was reached.
        dtype: Complex type of the gains.

    Returns:
        The gains (N, P, rx_ports, tx_ports) at the frequencies `nodes_hz`.
    """
    tx, rx, options = tx or Radio(), rx or Radio(), options or FieldOptions()

    moved: list[MovedPaths | None] = [None]

    def gains(frequency: float) -> Tensor:
        found = path_gains(paths, site, frequency, tx, rx, options, phase_frequency_hz=carrier_hz, dtype=dtype)
        moved[0] = found.moved
        return found.values

    def at(count: int) -> tuple[Tensor, Tensor]:
        nodes = carrier_hz + bandwidth_hz / 2 * _chebyshev(count)
        return nodes, torch.stack([gains(float(f)) for f in nodes])

    nodes, values = at(1)
    while paths.num_paths:
        count = len(nodes)
        finer_nodes, finer = at(count + 2)
        weights = lagrange_weights(nodes, finer_nodes).to(values.dtype)
        guess = torch.einsum("nm,mprt->nprt", weights, values)
        size = finer.abs().amax(dim=0).clamp_min(float(finer.detach().abs().max()) * 1e-3 + 1e-30)
        change_db = float(20 * torch.log10(1 + ((finer - guess).abs() / size).detach().max()))
        if change_db <= tolerance_db:
            break
        if count + 2 > max_nodes:
            warnings.warn(
                f"gains still change by {change_db:.2g} dB between {count} and {count + 2} nodes of the band; "
                "raise max_nodes or accept the ripple that is left",
                SiteTwinWarning,
                stacklevel=2,
            )
            break
        nodes, values = finer_nodes, finer
    return PathGains.of(paths, values, carrier_hz, tx, rx, site=site, nodes_hz=nodes, options=options, moved=moved[0])


def _chebyshev(count: int) -> Tensor:
    """(count,) float64 Chebyshev points in (-1, 1), ascending, exactly symmetric."""
    if count == 1:
        return torch.zeros(1, dtype=torch.float64)
    k = torch.arange(count, dtype=torch.float64)
    return torch.sin(math.pi * (2 * k - (count - 1)) / (2 * count))


def lagrange_weights(nodes: Float[Tensor, " nodes"], points: Float[Tensor, " points"]) -> Float[Tensor, "points nodes"]:
    """(len(points), len(nodes)) float64 weights that interpolate from the nodes to the points."""
    scale = 1.0 if len(nodes) == 1 else float(nodes.max() - nodes.min())
    x, y = (nodes - nodes[0]) / scale, (points - nodes[0]) / scale
    weights = torch.ones(len(points), len(nodes), dtype=torch.float64)
    for j in range(len(nodes)):
        for m in range(len(nodes)):
            if m != j:
                weights[:, j] *= (y - x[m]) / (x[j] - x[m])
    return weights
