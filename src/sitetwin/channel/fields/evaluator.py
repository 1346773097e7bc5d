"""Gains of the same paths again and again, with other parameters: everything that does not change is prepared once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields.gains import PathGains
from sitetwin.channel.fields.options import TENSORS, FieldOptions
from sitetwin.channel.fields.path_gains import CHUNK_PATHS, FieldWork, path_groups
from sitetwin.channel.fields.steps import Course, Fields
from sitetwin.channel.numerics.parallel import in_parallel
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Paths


def prepare(
    paths: Paths,
    site: Any,
    frequency_hz: float,
    tx: Radio | None = None,
    rx: Radio | None = None,
    options: FieldOptions | None = None,
    *,
    phase_frequency_hz: float | None = None,
    dtype: torch.dtype = torch.complex64,
) -> Evaluator:
    """Prepare the gains of paths, to evaluate them many times with other materials, leaves, offsets and radios.

    Frames, angles of incidence, terms of edges and whatever else does not depend on parameters is computed here, once.

    Args:
        paths: P paths.
        site: The `Site` in which the paths were traced, or a variant of it with the same facets and canopies.
        frequency_hz: As for `path_gains`.
        tx: Radio of the transmitter; a vertical isotropic antenna by default. A call may give another one.
        rx: Radio of the users; a vertical isotropic antenna by default. A call may give another one.
        options: Choices of the field computation. Its tensors are those of a call that gives no others.
        phase_frequency_hz: As for `path_gains`.
        dtype: torch.complex64 or torch.complex128.

    Returns:
        The evaluator; calling it gives gains that are bit-equal to those of `path_gains`.

    Raises:
        SiteTwinError: As for `path_gains`.

    Example:
        ::

            evaluate = prepare(paths, site, 3.5e9)
            brick = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
            gains = evaluate(relative_permittivity={"brick": brick})
            gains.power.sum().backward()
    """
    work = FieldWork(paths, site, frequency_hz, tx, rx, options, phase_frequency_hz, dtype)
    return Evaluator(work)


class Evaluator:
    """Computes the gains of one table of paths with other parameters; `prepare` makes it.

    With an offset of the transmitter or the users the geometry is followed anew, so that such a call costs as much as
    `path_gains`.
    """

    def __init__(self, work: FieldWork) -> None:
        self._work = work
        waves = work.transport(work.options, None, per_user=True)
        self._waves = waves
        groups = path_groups(work.paths, CHUNK_PATHS)
        factor = work.space.factor()
        self._ready = [_Ready.of(waves.course(rows), work, factor) for rows in groups]
        rows = torch.cat([torch.zeros(0, dtype=torch.int64), *(one.course.rows for one in self._ready)])
        self._back = torch.argsort(rows)

    def __call__(self, *, tx: Radio | None = None, rx: Radio | None = None, **tensors: Any) -> PathGains:
        """Compute the gains.

        Args:
            tx: Radio of the transmitter; the prepared one by default.
            rx: Radio of the users; the prepared one by default.
            **tensors: What replaces the fields of `FieldOptions` that take tensors: relative_permittivity,
                conductivity, thickness, scattering_coefficient, xpd_coefficient, foliage_factor, transmitter_offset,
                user_offset.

        Returns:
            The gains (P, rx_ports, tx_ports).

        Raises:
            SiteTwinError: A name is none of these, or a tensor does not fit.
        """
        unknown = sorted(set(tensors) - set(TENSORS))
        if unknown:
            raise SiteTwinError(
                f"'{unknown[0]}' is no parameter of an evaluator; it takes tx, rx, {', '.join(TENSORS)}; prepare "
                "another one for other choices"
            )
        work = self._work
        options = replace(work.options, **tensors) if tensors else work.options
        if options.transmitter_offset is not None or options.user_offset is not None:
            return work.gains(tx or work.tx, rx or work.rx, options, CHUNK_PATHS)
        if rx is not None:
            rx.check_users(work.paths.num_users)
        media = self._waves.media_with(options)
        factor = None
        if options.foliage_factor is not None:
            factor = work.space.factor(foliage_factor=options.foliage_factor)

        def one(ready: _Ready) -> Tensor:
            course = ready.course
            launch = (
                ready.launch if tx is None and ready.launch is not None else course.launch(tx or work.tx, work.dtype)
            )
            ports = ready.ports if rx is None and ready.ports is not None else course.ports(rx or work.rx)
            own = ready.factor if factor is None else factor.index_select(0, course.rows)
            return course.transfer(launch, ports, media, work.dtype).mul(own).permute(2, 0, 1)

        shape = (0, (rx or work.rx).array.num_ports, (tx or work.tx).array.num_ports)
        parts = [torch.zeros(shape, dtype=work.dtype), *in_parallel(one, self._ready)]
        values = torch.cat(parts).index_select(0, self._back)
        return work.wrapped(values, tx or work.tx, rx or work.rx, options, None)


@dataclass(frozen=True)
class _Ready:
    """A group of paths alike, with all that is the same in every call.

    Attributes:
        course: The steps.
        launch: What the prepared transmitter radiates; None if gradients flow into its radio.
        ports: What the prepared users' radios receive; None if gradients flow into them.
        factor: (n,) what the paths are without interactions and without factors on leaves.
    """

    course: Course
    launch: Fields | None
    ports: list[Fields] | None
    factor: Tensor

    @classmethod
    def of(cls, course: Course, work: FieldWork, factor: Tensor) -> _Ready:
        launch, ports = course.launch(work.tx, work.dtype), course.ports(work.rx)
        own = factor.index_select(0, course.rows)
        return cls(
            course,
            None if any(e.requires_grad for e in launch) else launch,
            None if any(e.requires_grad for pair in ports for e in pair) else ports,
            own,
        )
