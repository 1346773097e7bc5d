"""The engines behind one interface: the dense tracer of this project, and Sionna RT as the independent referee."""

from __future__ import annotations

from numpy.typing import ArrayLike

from sitetwin.errors import SiteTwinError
from sitetwin.rays import dense
from sitetwin.rays.dense import Progress, TraceSettings
from sitetwin.rays.paths import Paths
from sitetwin.rays.positions import checked_positions
from sitetwin.rays.referee.scope import trace_as_asked
from sitetwin.rays.referee.sionna import ReferenceEngine
from sitetwin.rays.scatter.tiles import surface_tiles
from sitetwin.site import Site, check_transmitter

DENSE, SIONNA = "sitetwin", "sionna"
ENGINES = (DENSE, SIONNA)
"""Names of the engines; the first is the default."""


def check_engine(engine: str, site: Site, settings: TraceSettings) -> None:
    """Check that an engine exists and can do everything that the site and the settings ask for.

    Raises:
        SiteTwinError: The engine does not exist or cannot do this, or surfaces would be cut into too many tiles.
    """
    if engine not in ENGINES:
        raise SiteTwinError(f"there is no engine {engine!r}; choose {' or '.join(ENGINES)}")
    if engine == SIONNA and (site.vegetation.num_volumes or len(site.vegetation.scatter_centres)):
        raise SiteTwinError(
            f"the engine sionna knows no vegetation, and the site '{site.name}' has {site.vegetation.num_volumes} "
            "volumes of it; use the engine sitetwin, or a site without vegetation"
        )
    if engine == SIONNA and settings.diffuse_paths:
        raise SiteTwinError(
            "the engine sionna scatters at a random point for each ray, not at tiles that a store of paths could name; "
            "leave diffuse_paths at 0, or use the engine sitetwin"
        )
    if settings.diffuse_paths:
        surface_tiles(site, settings.diffuse_tile_m)  # kept for the trace; too many are refused here


def trace(
    site: Site,
    transmitter: ArrayLike,
    users: ArrayLike,
    settings: TraceSettings | None = None,
    progress: Progress | None = None,
    *,
    engine: str = ENGINES[0],
    allow_indoors: bool = False,
) -> Paths:
    """Trace all paths from a transmitter to some users, in memory.

    Args:
        site: The site.
        transmitter: (3,) position of the transmitter, metres.
        users: (U, 3) positions of the users, metres, U at least 1.
        settings: What to trace, and how completely; ``sionna`` has no bound on unseen paths and no diffuse paths.
        progress: Called with the share of the work done, 0..1.
        engine: ``sitetwin``, the dense tracer, or ``sionna``, Sionna RT's path solver: each chain that it finds is
            solved again in double precision. ``sionna`` is slower by orders of magnitude. It draws the interaction at
            each hit of a ray at random, and so finds only a share of the diffracted and transmitted paths.
        allow_indoors: Whether the transmitter may stand inside a building, as in a room.

    Raises:
        SiteTwinError: A position is not finite, there is no user, the transmitter stands inside a building, below the
            ground or on a surface, or the engine cannot do what the site or the settings ask for.
    """
    settings = settings or TraceSettings()
    check_engine(engine, site, settings)
    place, receivers = checked_positions(transmitter, users)
    check_transmitter(site, place, allow_indoors=allow_indoors)
    if engine == DENSE:
        return dense.trace(site, place, receivers, settings, progress)

    def tell(done: int, total: int) -> None:
        if progress:
            progress(done / total)

    return trace_as_asked(ReferenceEngine(site), place, receivers, settings, tell)
