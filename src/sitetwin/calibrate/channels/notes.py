"""What a reader of a calibration must know beside its numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sitetwin.calibrate.channels.model import ChannelTwin
from sitetwin.calibrate.channels.modes import OtherMode
from sitetwin.calibrate.channels.scoring import Fit

_TIED = 0.9  # correlation of two parameters of which only a combination is seen
_NOTED = 0.02  # probability of another pair of a slab
_MANY = 0.2  # share of outliers
_LARGE = 0.5  # misfit: 50 % of a path's power


def notes_of(fit: Fit, modes: Sequence[OtherMode], twin: ChannelTwin) -> list[str]:
    """Sentences on confounded parameters, other likely pairs, materials outside their frequencies, and poor twins."""
    return [*_tied(fit), *_other_pairs(modes), *_slabs(fit, twin), *_poor(fit), *_bounds(fit), *_out_of_range(twin)]


def _tied(fit: Fit) -> list[str]:
    sd = np.sqrt(np.diag(fit.covariance))
    correlation = fit.covariance / np.outer(sd, sd)
    said = []
    moved = {p.what for p in fit.parameters}
    for axis in "xy":
        if {f"station_{axis}", f"users_{axis}"} <= moved:
            said.append(
                f"station_{axis} and users_{axis} are confounded: direct paths show only the difference of the "
                "station's place and the positions' bias, and the priors decide which of the two moves"
            )
    prior = np.array([p.sd for p in fit.parameters])
    for i, j in zip(*np.nonzero(np.triu(np.abs(correlation) > _TIED, 1)), strict=True):
        if max(sd[i] / prior[i], sd[j] / prior[j]) < 0.1:
            continue  # both are sharp: their tie does not matter
        one, other = fit.parameters[i].name, fit.parameters[j].name
        said.append(
            f"{one} and {other} are confounded (correlation {correlation[i, j]:.2f}): only a combination is seen"
        )
    return said


def _other_pairs(modes: Sequence[OtherMode]) -> list[str]:
    said = []
    for mode in modes:
        known = [
            text
            for text, value in (
                (f"the permittivity {mode.permittivity:.3g}", mode.permittivity),
                (f"the thickness {mode.thickness:.3g} m", mode.thickness),
            )
            if not np.isnan(value)
        ]
        if known and mode.weight > _NOTED:
            said.append(
                f"the slab of {mode.slab} may as well have {' and '.join(known)} (probability {mode.weight:.2g}); its "
                "standard deviations hold this"
            )
    return said


def _slabs(fit: Fit, twin: ChannelTwin) -> list[str]:
    """What the widths of slabs leave out (benchmarks/planted_materials.py --slabs shows how often that matters)."""
    depth = twin.table.values([], np.zeros(0))["thickness"]
    searched = {p.entries for p in fit.parameters if p.what in ("relative_permittivity", "thickness")}
    slabs = [entries for entries in searched if np.isfinite(depth[list(entries)]).any()]
    if len(slabs) < 2:
        return []
    return [
        "standard deviations of slabs hold the other pairs of one slab at a time: where the pairs of several slabs are "
        "wrong together, values may lie farther than three of them off"
    ]


def _poor(fit: Fit) -> list[str]:
    said = []
    if fit.nuisance.share > _MANY:
        said.append(
            f"{fit.nuisance.share:.0%} of the taps hold power that the twin does not explain: paths that it lacks, "
            "wrong delays, or profiles of another site"
        )
    if fit.nuisance.misfit > _LARGE:
        said.append(
            f"powers of the twin's paths are wrong by {fit.nuisance.misfit:.0%} after the fit: walls, heights, "
            "vehicles or trees differ, and materials can only partly stand in for that"
        )
    return said


def _bounds(fit: Fit) -> list[str]:
    said = []
    for parameter, change in zip(fit.parameters, fit.theta.tolist(), strict=True):
        low, high = parameter.limits()
        if not low < change < high:
            said.append(f"{parameter.name} ends at its bound {parameter.value(change):.4g} {parameter.unit}".rstrip())
    return said


def _out_of_range(twin: ChannelTwin) -> list[str]:
    ghz = twin.profiles.carrier_hz / 1e9
    names = sorted(
        {
            m.itu
            for m in twin.table.site.materials
            if m.itu is not None and not any(row.contains(ghz) for row in m.ranges)
        }
    )
    if not names:
        return []
    return [
        f"ITU-R gives no values of {', '.join(names)} at {ghz:g} GHz; priors begin at those of the nearest frequency"
    ]
