"""Restrict the paths of Sionna RT to those that the settings ask for, so that both engines are comparable."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from sitetwin.errors import SiteTwinWarning
from sitetwin.rays import dense
from sitetwin.rays.dense import TraceSettings
from sitetwin.rays.paths import Interaction, Paths
from sitetwin.rays.referee.sionna import ReferenceEngine, ReferenceSettings


def reference_settings(settings: TraceSettings) -> ReferenceSettings:
    """Translate the settings of a trace into settings of Sionna RT.

    Its depth also counts transmissions. The numbers of rays, users per batch and table slots are those with the fewest
    lost paths: 10^6 rays for each batch of 100 users, because Sionna RT has no bound on unseen paths.
    """
    return ReferenceSettings(
        max_depth=settings.max_depth + settings.max_transmissions,
        seed=settings.seed,
        diffraction=settings.diffraction,
        edge_diffraction=True,
        diffraction_lit_region=settings.lit_region,
        transmission=settings.max_transmissions > 0,
    )


def trace_as_asked(
    engine: ReferenceEngine,
    transmitter: np.ndarray,
    users: np.ndarray,
    settings: TraceSettings,
    progress: Callable[[int, int], None] | None = None,
) -> Paths:
    """Trace with Sionna RT, and drop the paths that the settings do not ask for.

    Sionna RT treats each mesh separately, and so diffracts at edges that vanish when all meshes are joined: corners
    hidden between two houses, the feet of walls. Such paths are dropped; their number stands in
    ``Paths.attributes["dropped_at_no_wedge"]`` and in a warning.

    Args:
        engine: Sionna RT with the site.
        transmitter: (3,) position of the transmitter, metres.
        users: (U, 3) positions of the users, metres.
        settings: What to trace.
        progress: Called with (users done, users in all) after each batch.
    """
    found = engine.trace(transmitter, users, reference_settings(settings), progress=progress)[0]
    wanted = within_settings(found, settings)
    named = ~((found.kinds == Interaction.DIFFRACTION) & (found.facets < 0)).any(axis=1)
    dropped = int(np.count_nonzero(wanted & ~named))
    if dropped:
        warnings.warn(
            f"{dropped} diffracted paths of Sionna RT were dropped: their edges are none of the site's wedges, as "
            "other surfaces touch them",
            SiteTwinWarning,
            stacklevel=2,
        )
    attributes = found.attributes | {
        **({"dropped_at_no_wedge": dropped} if settings.diffraction else {}),
        **({"opaque_facets": dense.opaque_facets(engine.site)} if settings.max_transmissions else {}),
    }
    return replace(found.take(wanted & named), attributes=attributes)


def within_settings(paths: Paths, settings: TraceSettings) -> Bool[np.ndarray, " paths"]:
    """Return (P,) bool: whether a path has no more reflections, transmissions and diffractions than allowed.

    A diffracted path has one edge, at most `reflections_before` and `reflections_after` beside it, and passes no slab.
    """
    bent = paths.kinds == Interaction.DIFFRACTION
    through = np.count_nonzero(paths.kinds == Interaction.TRANSMISSION, axis=1)
    bounces = paths.depth - through
    straight = ~bent.any(axis=1) & (through <= settings.max_transmissions)
    return (bounces <= settings.max_depth) & (straight | singly_diffracted(paths, settings))


def singly_diffracted(paths: Paths, settings: TraceSettings) -> Bool[np.ndarray, " paths"]:
    """Return (P,) bool: whether a path has one diffraction, and no more reflections before and after than allowed."""
    bent = paths.kinds == Interaction.DIFFRACTION
    at = bent.argmax(axis=1)
    through = (paths.kinds == Interaction.TRANSMISSION).any(axis=1)
    after = paths.depth - at - 1
    few = (at <= settings.reflections_before) & (after <= settings.reflections_after)
    return (np.count_nonzero(bent, axis=1) == 1) & few & ~through
