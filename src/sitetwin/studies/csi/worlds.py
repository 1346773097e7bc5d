"""The worlds of the CSI study: the twin, two targets that stand for reality, and a wrong site. All are synthetic.

The twin is the city without trees. Target A is the same city in which trees attenuate (the published setting). Target
B differs in everything the twin gets wrong: its trees also scatter, walls and roofs are elsewhere, the array is turned,
and some users' paths come from another ray tracer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sitetwin.channel import AntennaArray, Radio
from sitetwin.errors import SiteTwinError
from sitetwin.rays import Paths, TraceSettings, trace
from sitetwin.rays.referee.sionna import ReferenceSettings, trace_reference
from sitetwin.rays.scatter.vegetation import add_vegetation
from sitetwin.site import (
    GeometryError,
    Site,
    Vegetation,
    check_transmitter,
    inside_building,
    open_site,
    plant_street_trees,
    user_grid,
)
from sitetwin.studies.csi.config import Cell, CsiStudy

Progress = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class World:
    """One world, traced to all users.

    Attributes:
        key: "twin", "target_a", "target_b" or "wrong_site".
        title: Title of the world in the report.
        site: Geometry, materials, vegetation.
        paths: Paths to all users of the grid.
        radio: Radio of the base station.
        foliage: Model of the loss in leaves; None where trees do not exist in this world.
        differences: What differs from the twin, in words.
        other_users: (E,) user indices whose paths another engine traced, ascending.
        other_paths: Those users' paths, in that order, or None.
        planted: The site that the paths were traced in, where it is not `site` itself: the twin's paths name the trees
            of target A, which the twin lets pass without loss.
    """

    key: str
    title: str
    site: Site
    paths: Paths
    radio: Radio
    foliage: str | None
    differences: tuple[str, ...]
    other_users: np.ndarray
    other_paths: Paths | None
    planted: Site | None = None

    @property
    def traced(self) -> Site:
        """The site that the paths were traced in: fields are computed with it."""
        return self.site if self.planted is None else self.planted

    @property
    def covered(self) -> np.ndarray:
        """(U,) bool: users with a path."""
        counts = self.paths.counts.copy()
        if self.other_paths is not None:
            counts[self.other_users] = self.other_paths.counts
        return counts > 0


@dataclass(frozen=True, eq=False)
class Worlds:
    """All worlds of a study, and the users.

    Attributes:
        worlds: Worlds by key.
        users: (U, 3) float64, metres; the same in twin and targets.
        wrong_users: (W, 3) float64, users of the wrong site.
        counts: Numbers of users of the grid: points, dropped indoors, and so on.
    """

    worlds: dict[str, World]
    users: np.ndarray
    wrong_users: np.ndarray
    counts: dict[str, int]


def check_cells(study: CsiStudy) -> None:
    """Open the sites of a study and place its base stations and users, before anything is written or traced.

    Args:
        study: The configuration.

    Raises:
        SiteTwinError: A scene is missing, a base station stands in a wall, or no user stands outdoors.
    """
    for cell in (study.site, study.wrong_site):
        city = open_site(cell.scene)
        check_transmitter(city, np.asarray(cell.base_station))
        user_grid(cell.area, cell.spacing, cell.user_height, city)


def build_worlds(study: CsiStudy, progress: Progress, target_b: bool = True) -> Worlds:
    """Make and trace all worlds.

    Args:
        study: The configuration.
        progress: Called with a stage's name and the share done.
        target_b: False leaves target B out, which takes most of the time; users and the other worlds stay the same.

    Raises:
        SiteTwinError: A scene is missing, the base station stands in a wall, or no user has a path.
    """
    settings = TraceSettings(max_depth=study.max_depth, seed=study.trace_seed)
    city = open_site(study.site.scene)
    station = check_transmitter(city, np.asarray(study.site.base_station))
    planted = planted_city(study, city)
    distorted = _distorted(study, planted)
    check_transmitter(distorted, station)
    users, indoors = user_grid(study.site.area, study.site.spacing, study.site.user_height, city)
    outdoors = ~inside_building(distorted, users)
    users = users[outdoors]

    # The trees of target A change no path: one trace with their chords serves the twin (no leaves) and target A.
    paths = trace(planted, station, users, settings, lambda x: progress("trace twin and target A", x))
    radio = station_radio(study, study.site.yaw_deg)
    none = np.zeros(0, dtype=np.int64)
    bare = city.variant(vegetation=Vegetation.none()) if city.vegetation.num_volumes else city
    twin = World("twin", "Twin: the city without trees", bare, paths, radio, None, (), none, None, planted)
    target_a = World(
        "target_a",
        "Target A: foliage attenuates",
        planted,
        paths,
        radio,
        "default",
        (f"{planted.vegetation.num_volumes} canopy volumes that attenuate",),
        none,
        None,
    )
    worlds = {
        "twin": twin,
        "target_a": target_a,
    }
    if target_b:
        worlds["target_b"] = _target_b(study, distorted, station, users, settings, progress)
    reality = worlds["target_b" if target_b else "target_a"]
    wrong, wrong_users = trace_wrong_site(study, settings, progress)
    counts = {
        "grid": len(users) + indoors + int((~outdoors).sum()),
        "dropped_indoors": indoors + int((~outdoors).sum()),
        "traced": len(users),
        "without_path": int((~reality.covered).sum()),
        "other_engine": len(reality.other_users),
        "trees": planted.vegetation.num_volumes,
    }
    worlds["wrong_site"] = wrong
    for world in worlds.values():
        if not world.covered.any():
            raise SiteTwinError(f"no user has a path in '{world.title}'; move the base station or the users' area")
    return Worlds(worlds, users, wrong_users, counts)


def planted_city(study: CsiStudy, city: Site) -> Site:
    """The city with the trees of its map, or with street trees where it has none.

    Args:
        study: The configuration.
        city: The site of its cell.
    """
    if city.vegetation.num_volumes:
        return city
    rng = np.random.default_rng(study.trees.seed)
    return plant_street_trees(city, rng, _planted_area(study), study.trees.spacing)


def _planted_area(study: CsiStudy) -> tuple[float, float, float, float]:
    xmin, ymin, xmax, ymax = study.site.area
    margin = study.trees.margin
    return xmin - margin, ymin - margin, xmax + margin, ymax + margin


def _distorted(study: CsiStudy, planted: Site) -> Site:
    """The planted city with walls and roofs elsewhere, and crowns that scatter."""
    wrong = study.imperfections
    return planted.variant(
        name=f"{planted.name}, target B",
        walls=GeometryError(sigma=wrong.wall_rms_m / np.sqrt(2)),  # per horizontal coordinate
        heights=GeometryError(sigma=wrong.height_rms_m),
        together=planted.provenance["source"].get("kind") == "map",  # whose touching buildings have no wall between
        scatter_centres=study.trees.scatter_centres,
        rng=np.random.default_rng(wrong.seed),
    )


def _target_b(
    study: CsiStudy, site: Site, station: np.ndarray, users: np.ndarray, settings: TraceSettings, progress: Progress
) -> World:
    wrong = study.imperfections
    paths = trace(site, station, users, settings, lambda x: progress("trace target B", x))
    covered = np.flatnonzero(paths.counts)
    count = min(wrong.other_engine_users, len(covered))
    other = np.sort(np.random.default_rng(wrong.seed).choice(covered, size=count, replace=False))
    other_paths = None
    if count:
        reference = trace_reference(
            site,
            station,
            users[other],
            ReferenceSettings(max_depth=study.max_depth, samples=wrong.other_engine_samples),
            refine=True,
            progress=lambda done, total: progress("trace with Sionna RT", done / total),
        )
        other_paths = add_vegetation(site, reference, settings.canopy_paths)
    differences = (
        f"{site.vegetation.num_volumes} canopy volumes that attenuate",
        f"their crowns scatter at {len(site.vegetation.scatter_centres)} fixed centres",
        f"buildings displaced by {wrong.wall_rms_m:g} m (root mean square)",
        f"roof heights off by {wrong.height_rms_m:g} m (root mean square)",
        f"array turned by {wrong.yaw_deg:g} degrees",
        f"{count} users traced by Sionna RT",
    )
    radio = station_radio(study, study.site.yaw_deg + wrong.yaw_deg)
    title = "Target B: foliage attenuates and scatters, geometry and array are off"
    return World("target_b", title, site, paths, radio, "default", differences, other, other_paths)


def trace_wrong_site(study: CsiStudy, settings: TraceSettings, progress: Progress) -> tuple[World, np.ndarray]:
    """The world of another cell, without trees unless its map has them, and its users.

    Args:
        study: The configuration.
        settings: Settings of the trace.
        progress: Called with a stage's name and the share done.

    Raises:
        SiteTwinError: The scene is missing, or the base station stands in a wall.
    """
    cell: Cell = study.wrong_site
    city = open_site(cell.scene)
    station = check_transmitter(city, np.asarray(cell.base_station))
    users, _ = user_grid(cell.area, cell.spacing, cell.user_height, city)
    paths = trace(city, station, users, settings, lambda x: progress("trace the wrong site", x))
    radio, none = station_radio(study, cell.yaw_deg), np.zeros(0, dtype=np.int64)
    title = f"Wrong site: {cell.scene}"
    return World("wrong_site", title, city, paths, radio, None, ("another city",), none, None), users


def station_radio(study: CsiStudy, yaw_deg: float) -> Radio:
    """The half-wave array of isotropic elements, its row of elements across the heading."""
    return Radio(AntennaArray.ula(study.link.antennas), orientation=(math.radians(yaw_deg), 0.0, 0.0))


def describe(worlds: Worlds) -> dict[str, Any]:
    """What the report says of each world."""
    return {
        key: {
            "title": world.title,
            "scene": world.site.name,
            "site_hash": world.site.hash,
            "geometry_hash": world.site.geometry_hash,
            "differences": list(world.differences),
            "completeness": world.paths.attributes["completeness"],
            "synthetic": True,
        }
        for key, world in worlds.worlds.items()
    }
