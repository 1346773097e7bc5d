"""Paths from one or several transmitters to users, in memory or into a store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import TypedDict, Unpack, overload

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.face.places import checked_site
from sitetwin.rays import ENGINES, Paths, TraceSettings
from sitetwin.rays import trace as trace_one
from sitetwin.rays.positions import Positions, checked_transmitters, position_array
from sitetwin.site import Site
from sitetwin.site.places.extent import refuse_far_users

Progress = Callable[[float], None]


class TraceChoices(TypedDict, total=False):
    """The fields of `TraceSettings`, each of which may be given by its name."""

    max_depth: int
    unseen_bound: float
    rays_per_lattice: int
    max_transmissions: int
    canopy_paths: int
    diffuse_paths: int
    diffuse_tile_m: float
    seed: int
    diffraction: bool
    reflections_before: int
    reflections_after: int
    lit_region: bool


def trace_settings(settings: TraceSettings | None = None, **choices: Unpack[TraceChoices]) -> TraceSettings:
    """Return the given settings of the tracer, changed by the choices.

    Raises:
        SiteTwinError: A choice has no such name, or a value is out of its range.
    """
    known = [field.name for field in fields(TraceSettings)]
    unknown = sorted(set(choices) - set(known))
    if unknown:
        raise SiteTwinError(f"the tracer knows no setting '{unknown[0]}'; it knows {', '.join(known)}")
    return replace(settings or TraceSettings(), **choices)


@overload
def trace(
    site: Site,
    tx: tuple[float, float, float],
    users: Positions,
    *,
    settings: TraceSettings | None = ...,
    engine: str = ...,
    allow_indoors: bool = ...,
    progress: Progress | None = ...,
    **choices: Unpack[TraceChoices],
) -> Paths: ...


@overload
def trace(
    site: Site,
    tx: Positions,
    users: Positions,
    *,
    settings: TraceSettings | None = ...,
    engine: str = ...,
    allow_indoors: bool = ...,
    progress: Progress | None = ...,
    **choices: Unpack[TraceChoices],
) -> Paths | list[Paths]: ...


def trace(
    site: Site,
    tx: Positions,
    users: Positions,
    *,
    settings: TraceSettings | None = None,
    engine: str = ENGINES[0],
    allow_indoors: bool = False,
    progress: Progress | None = None,
    **choices: Unpack[TraceChoices],
) -> Paths | list[Paths]:
    """Trace all paths from one transmitter, or from each of several, to some users, in memory.

    Args:
        site: The site.
        tx: (3,) position of the transmitter, metres, or (transmitters, 3) for several.
        users: (users, 3) positions of the users, metres, for instance from `grid`.
        settings: Settings of the tracer; `TraceSettings()` by default.
        engine: "sitetwin", or "sionna": Sionna RT as an independent referee.
        allow_indoors: Allow transmitters inside buildings.
        progress: Called with the finished share of the work, 0 to 1.
        **choices: Fields of `TraceSettings` by name, such as ``max_depth=3, diffraction=True``.

    Returns:
        The paths; a list of them, one entry for each transmitter, if `tx` has two axes.

    Raises:
        SiteTwinError: A position is not finite or inside a wall, there is no user, all are far off the site, a setting
            is out of its range, or the engine cannot do what is asked.
    """
    site, chosen = checked_site(site), trace_settings(settings, **choices)
    positions = checked_transmitters(tx)
    refuse_far_users(site, position_array(users))
    found = []
    for number, position in enumerate(positions):

        def tell(share: float, number: int = number) -> None:
            if progress:
                progress((number + share) / len(positions))

        found.append(trace_one(site, position, users, chosen, tell, engine=engine, allow_indoors=allow_indoors))
    return found if np.ndim(tx) == 2 else found[0]
