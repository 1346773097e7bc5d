"""Compute complex gains from the geometry of paths.

The result is, per path and pair of ports,

    a = lambda / (4 pi L) * F_rx^T  R_n ... R_1  F_tx * 10^(-A / 20) * e^{-j 2 pi f_c tau},

with F the antenna fields in (theta-hat, phi-hat), R the matrices of the interactions (see
`sitetwin.channel.fields.transport`), L the whole unfolded length and A the loss in leaves, trunks and air.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields.checks import check_paths
from sitetwin.channel.fields.double_edges import warn_of_double_edges
from sitetwin.channel.fields.free_space import free_space
from sitetwin.channel.fields.gains import PathGains
from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.fields.transport import WaveTransport
from sitetwin.channel.numerics.parallel import in_parallel
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Paths

CHUNK_PATHS = 32_000
"""Paths worked on at once: the dozens of small tensors of a chunk stay in a core's cache. PyTorch runs operations of
this size on the calling thread, so that chunks, not operations, are spread over the cores."""


def path_gains(
    paths: Paths,
    site: Any,
    frequency_hz: float,
    tx: Radio | None = None,
    rx: Radio | None = None,
    options: FieldOptions | None = None,
    *,
    phase_frequency_hz: float | None = None,
    dtype: torch.dtype = torch.complex64,
    chunk_paths: int = CHUNK_PATHS,
) -> PathGains:
    """Compute the complex voltage gain of every path between the ports of two radios, carrier phase included.

    Delays and phases come from float64 lengths; ``2 pi f tau`` is reduced modulo ``2 pi`` before it is cast.

    Args:
        paths: P paths.
        site: The `Site` in which the paths were traced, or a variant of it with the same facets and canopies.
        frequency_hz: Frequency at which materials, leaves and free space are evaluated, Hz.
        tx: Radio of the transmitter; a vertical isotropic antenna by default.
        rx: Radio of the users; a vertical isotropic antenna by default.
        options: Choices of the field computation: season, foliage, materials, diffraction model and others.
        phase_frequency_hz: Frequency f_c of the phase ``e^{-j 2 pi f_c tau}``, Hz; `frequency_hz` by default. The
            nodes of `band_nodes` share the carrier's.
        dtype: torch.complex64 or torch.complex128; the field is computed in this precision.
        chunk_paths: Number of paths that are computed at once.

    Returns:
        The gains (P, rx_ports, tx_ports), with the paths, carrier and radios that they belong to.

    Raises:
        SiteTwinError: The paths were traced in another geometry than the site's; the frequency is not positive, or
            outside 1 to 1000 GHz with an atmosphere; the diffraction model is unknown; the paths name facets, edges or
            canopies that the site lacks; a path meets more than one edge or canopy, or scatters diffusely and interacts
            elsewhere too; or its tiles are not known.
    """
    if not (math.isfinite(frequency_hz) and frequency_hz > 0):
        raise SiteTwinError(f"frequency {frequency_hz} Hz is not a positive number")
    if dtype not in (torch.complex64, torch.complex128):
        raise SiteTwinError(f"gains of type {dtype} were asked for; choose torch.complex64 or torch.complex128")
    tx, rx, options = tx or Radio(), rx or Radio(), options or FieldOptions()
    check_paths(paths, site)
    rx.check_users(paths.num_users)
    waves = WaveTransport(paths, site, frequency_hz, tx, rx, options, dtype)
    carrier = frequency_hz if phase_frequency_hz is None else phase_frequency_hz
    if paths.bends_at_edges and frequency_hz == carrier:  # the other nodes of a band have nothing to add
        warn_of_double_edges(paths, site, frequency_hz)
    factor = free_space(paths, site, frequency_hz, carrier, options, dtype)
    out = torch.empty((paths.num_paths, rx.array.num_ports, tx.array.num_ports), dtype=dtype)

    def one(rows: Tensor) -> tuple[Tensor, Tensor]:
        return rows, waves.transfer(rows).mul(factor.index_select(0, rows)).permute(2, 0, 1)

    for rows, gains in in_parallel(one, _groups(paths, chunk_paths)):
        out[rows] = gains
    return PathGains.of(paths, out, carrier, tx, rx, site=site, options=options)


def _groups(paths: Paths, chunk: int) -> Iterator[Tensor]:
    """Row indices of paths alike in number and kind of interactions, at most `chunk` at a time."""
    label = np.zeros(paths.num_paths, dtype=np.int64)
    for column in paths.kinds.T:
        if label.max(initial=0) >> 56:  # so many interactions that the next would overflow
            label = np.unique(label, return_inverse=True)[1]
        label = 8 * label + column
    for value in np.unique(label):
        rows = np.flatnonzero(label == value)
        for start in range(0, len(rows), chunk):
            yield torch.from_numpy(rows[start : start + chunk])
