"""Compute complex gains from the geometry of paths.

The result is, per path and pair of ports,

    a = lambda / (4 pi L) * F_rx^T  R_n ... R_1  F_tx * 10^(-A / 20) * e^{-j 2 pi f_c tau},

with F the antenna fields in (theta-hat, phi-hat), R the matrices of the interactions (see
`sitetwin.channel.fields.transport`), L the whole unfolded length and A the loss in leaves, trunks and air.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields.checks import check_paths
from sitetwin.channel.fields.double_edges import warn_of_double_edges
from sitetwin.channel.fields.free_space import FreeSpace
from sitetwin.channel.fields.gains import PathGains
from sitetwin.channel.fields.moved import MovedPaths, moved_paths
from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.fields.tensors import requires_gradient
from sitetwin.channel.fields.transport import WaveTransport
from sitetwin.channel.numerics.parallel import in_parallel
from sitetwin.errors import SiteTwinError, SiteTwinWarning
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
        options: Choices of the field computation: season, foliage, materials, diffraction model and others. Gradients
            flow into its tensors.
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
            elsewhere too; its tiles are not known; or a tensor of the options does not fit.
    """
    work = FieldWork(paths, site, frequency_hz, tx, rx, options, phase_frequency_hz, dtype)
    return work.gains(work.tx, work.rx, work.options, chunk_paths)


class FieldWork:
    """What a computation of gains is asked for, checked, with what does not depend on parameters."""

    def __init__(
        self,
        paths: Paths,
        site: Any,
        frequency_hz: float,
        tx: Radio | None,
        rx: Radio | None,
        options: FieldOptions | None,
        phase_frequency_hz: float | None,
        dtype: torch.dtype,
    ) -> None:
        if not (math.isfinite(frequency_hz) and frequency_hz > 0):
            raise SiteTwinError(f"frequency {frequency_hz} Hz is not a positive number")
        if dtype not in (torch.complex64, torch.complex128):
            raise SiteTwinError(f"gains of type {dtype} were asked for; choose torch.complex64 or torch.complex128")
        self.paths, self.site, self.frequency_hz, self.dtype = paths, site, frequency_hz, dtype
        self.tx, self.rx, self.options = tx or Radio(), rx or Radio(), options or FieldOptions()
        self.carrier_hz = frequency_hz if phase_frequency_hz is None else phase_frequency_hz
        check_paths(paths, site)
        self.rx.check_users(paths.num_users)
        if paths.bends_at_edges and frequency_hz == self.carrier_hz:  # other nodes of a band have nothing to add
            warn_of_double_edges(paths, site, frequency_hz)
        self.space = FreeSpace(paths, site, frequency_hz, self.carrier_hz, self.options, dtype)

    def transport(self, options: FieldOptions, moved: MovedPaths | None, *, per_user: bool) -> WaveTransport:
        """Make ready to follow the waves."""
        _warn_of_smoothness(self.paths, options)
        return WaveTransport(self.paths, self.site, self.frequency_hz, options, self.dtype, moved, per_user=per_user)

    def gains(self, tx: Radio, rx: Radio, options: FieldOptions, chunk_paths: int) -> PathGains:
        """Compute the gains once."""
        rx.check_users(self.paths.num_users)
        moved = moved_paths(self.paths, self.site, options)
        waves = self.transport(options, moved, per_user=rx.per_user)
        factor = self.space.factor(None if moved is None else moved.length, options.foliage_factor)
        out = torch.empty((self.paths.num_paths, rx.array.num_ports, tx.array.num_ports), dtype=self.dtype)

        def one(rows: Tensor) -> tuple[Tensor, Tensor]:
            course = waves.course(rows)
            sent, ports = course.launch(tx, self.dtype), course.ports(rx)
            gains = course.transfer(sent, ports, waves.media, self.dtype)
            return rows, gains.mul(factor.index_select(0, rows)).permute(2, 0, 1)

        for rows, gains in in_parallel(one, path_groups(self.paths, chunk_paths)):
            out[rows] = gains
        return self.wrapped(out, tx, rx, options, moved)

    def wrapped(
        self, values: Tensor, tx: Radio, rx: Radio, options: FieldOptions, moved: MovedPaths | None
    ) -> PathGains:
        """The gains with what they belong to."""
        return PathGains.of(self.paths, values, self.carrier_hz, tx, rx, site=self.site, options=options, moved=moved)


def path_groups(paths: Paths, chunk: int) -> Iterator[Tensor]:
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


def _warn_of_smoothness(paths: Paths, options: FieldOptions) -> None:
    """Say so if parameters of scattering are given where surfaces are taken as smooth."""
    asked = [n for n in ("scattering_coefficient", "xpd_coefficient") if requires_gradient(getattr(options, n))]
    if asked and not options.scatters(paths):
        warnings.warn(
            f"gradients are asked of {asked[0]}, but these fields do not depend on it: surfaces do not scatter in "
            "paths that were traced without diffuse ones; trace them with diffuse_paths, or give diffuse=True",
            SiteTwinWarning,
            stacklevel=4,
        )
