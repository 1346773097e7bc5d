"""Coverage of an area by any number of stations: every station traced to every user, and what users receive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from sitetwin.channel.fields.gains import PathGains
from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.fields.path_gains import path_gains
from sitetwin.channel.link_statistics import LinkStatistics, best_server, link_statistics, received_power, sinr
from sitetwin.channel.stations import Station
from sitetwin.channel.warned import Warned
from sitetwin.errors import SiteTwinError
from sitetwin.rays.dense import TraceSettings
from sitetwin.rays.jobs.io import arrays_to_paths, stated_unseen, transmitter_of
from sitetwin.rays.jobs.job import TraceJob
from sitetwin.rays.paths import Paths
from sitetwin.site import Site, check_transmitter, user_grid
from sitetwin.site.places.extent import check_on_site, check_users_on_site
from sitetwin.store import TileStore
from sitetwin.store.files import own_place
from sitetwin.studies.coverage.coverage import Area, Coverage, CoverageSettings
from sitetwin.studies.frame import Frozen, Progress, claim_folder, silent

PATHS = "paths"
"""Folder, inside that of the coverage, of the stores of paths: one for each position of a station."""

_ROOMS = (
    "backend.py",
    "compiled.py",
    "site",
    "rays",
    "channel",
    "store",
    "studies/coverage",
)  # whose code decides the results


class PathsOfArea(Frozen):
    """What the paths in the folder of a coverage depend on, beside the positions of the stations.

    Stations, their powers and antennas, the season and the noise may change from run to run: no path holds them.

    Attributes:
        geometry_hash: Hash of the site's geometry.
        bounds: (xmin, ymin, xmax, ymax) of the users, metres.
        spacing: Metres between neighbours.
        height: Metres above the ground.
        indoors: Whether users and stations may stand inside buildings.
        trace: Settings of the tracer.
    """

    schema_version: Literal["sitetwin.coverage-configuration/1"] = "sitetwin.coverage-configuration/1"
    geometry_hash: str
    bounds: tuple[float, float, float, float]
    spacing: float
    height: float
    indoors: bool
    trace: dict[str, Any]


def run_coverage(
    site: Site,
    stations: Sequence[Station],
    area: Area,
    settings: CoverageSettings,
    folder: str | Path,
    progress: Progress = silent,
    resume: bool = True,
) -> Coverage:
    """Trace all stations to all users, into stores of paths inside a folder, and sum up what users receive.

    Stations at one position share their paths. A killed run goes on with the tiles that are missing; paths hold no
    power, frequency or pattern, so that other powers and antennas need no new trace. In memory at a time are one tile
    of paths and, of each station, nine numbers per user.

    Args:
        site: The site.
        stations: Stations from `named_stations`.
        area: The users.
        settings: Settings of tracing, fields and receivers.
        folder: Folder of the coverage; the paths go below it, under `PATHS`.
        progress: Function that is told the stage and the share of it that is done.
        resume: Whether to continue existing stores.

    Raises:
        SiteTwinError: A station stands in a wall, there is no user, the folder belongs to another area or site or was
            begun by other code, the carrier lies outside a material's range and the policy refuses that, or the disk
            refuses.
    """
    for station in stations:
        try:
            check_transmitter(site, station.position, allow_indoors=area.indoors)
            check_on_site(site, station.position, "station")
        except SiteTwinError as error:
            raise SiteTwinError(f"station '{station.name}': {error}") from error
    users, dropped = user_grid(area.bounds, area.spacing, area.height, site, allow_indoors=area.indoors)
    check_users_on_site(site, users)
    claim_folder(Path(folder), _paths_of(site, area, settings.trace), _ROOMS)
    positions = list(dict.fromkeys(station.position for station in stations))
    links: dict[int, LinkStatistics] = {}
    places: dict[int, str] = {}
    chains: dict[int, dict[str, object]] = {}
    for number, position in enumerate(positions, 1):
        place = f"{PATHS}/tx_" + "_".join(repr(value) for value in position)

        def tell_stage(stage: str, share: float, number: int = number) -> None:
            progress(f"{stage} {number}/{len(positions)}", share)

        job = TraceJob(site, np.array(position), users, settings.trace, settings.tile_users, allow_indoors=area.indoors)
        (store,) = job.run(own_place(Path(folder), place), tell_stage, resume)
        here = [index for index, station in enumerate(stations) if station.position == position]
        found = _sum_up(store, site, [stations[index] for index in here], settings, tell_stage)
        facts = _chain_facts(store)
        for index, link in zip(here, found, strict=True):
            links[index], places[index], chains[index] = link, place, facts
    ordered = tuple(links[index] for index in range(len(stations)))
    downlinks = [station.downlink for station in stations]
    received = received_power(np.stack([link.path_gain for link in ordered]), downlinks)
    serving = best_server(received)
    return Coverage(
        site=site,
        area=area,
        settings=settings,
        stations=tuple(stations),
        users=users,
        dropped=dropped,
        links=ordered,
        received=received,
        serving=serving,
        sinr=sinr(received, downlinks, serving, settings.noise_figure_db),
        stores=tuple(places[index] for index in range(len(stations))),
        chains=tuple(chains[index] for index in range(len(stations))),
    )


def _paths_of(site: Site, area: Area, trace: TraceSettings) -> PathsOfArea:
    return PathsOfArea(geometry_hash=site.geometry_hash, **vars(area), trace=asdict(trace))


def _sum_up(
    store: TileStore, site: Site, stations: Sequence[Station], settings: CoverageSettings, tell: Progress
) -> list[LinkStatistics]:
    """Sum up the links of stations that share a store of paths, tile after tile."""
    transmitter = transmitter_of(store)
    parts: list[list[LinkStatistics]] = [[] for _ in stations]
    warned = Warned()
    for index in range(len(store.tiles)):
        group = store.read_tile(index)
        paths = arrays_to_paths(group, transmitter, group.attributes)
        for station, own in zip(stations, parts, strict=True):
            with warned.once():
                gains = station_gains(paths, site, station, settings.options)
            own.append(link_statistics(paths, gains))
        tell("sum up", (index + 1) / len(store.tiles))
    names = [field.name for field in fields(LinkStatistics)]
    return [
        LinkStatistics(**{name: np.concatenate([getattr(part, name) for part in own]) for name in names})
        for own in parts
    ]


def station_gains(paths: Paths, site: Site, station: Station, options: FieldOptions) -> PathGains:
    """Compute the gains of the paths from the station's antenna to a vertical isotropic one."""
    with torch.no_grad():
        return path_gains(paths, site, station.carrier_hz, station.radio, None, options)


def _chain_facts(store: TileStore) -> dict[str, object]:
    """What the store says of its chains."""
    group = store.read_group("chains")
    return {
        "chains_hash": group.attributes.get("hash"),
        **stated_unseen(group),
        "paths_configuration_hash": store.configuration_hash,
    }
