"""The twin and the target world of a seed, traced to the users of the drives. Both are synthetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely

from sitetwin.channel import AntennaArray, Radio
from sitetwin.errors import SiteTwinError
from sitetwin.rays import Interaction, Paths, TraceSettings, trace
from sitetwin.rays.referee.sionna import ReferenceSettings, trace_reference
from sitetwin.rays.scatter.vegetation import add_vegetation
from sitetwin.site import (
    Site,
    Vegetation,
    check_transmitter,
    inside_building,
    open_site,
    plant_street_trees,
)
from sitetwin.site.places.placement import over_ground
from sitetwin.site.places.pose import Pose
from sitetwin.studies.precoding.config import PrecodingStudy

Progress = Callable[[str, float], None]
OTHER_ENGINE_PATHS = 4_000_000
"""Slots of the other engine's table: a hundred users of a street fill far fewer, and a call takes the time of all."""

_TREES_BEYOND = 20.0  # metres around the drives within which trees are planted


@dataclass(frozen=True, eq=False)
class Users:
    """Positions along the drives.

    Attributes:
        positions: (U, 3) float64, metres, where the users say that they are.
        drive: (U,) int64, number of each user's drive.
        indoors: Positions that were left out because they lie in a building.
    """

    positions: np.ndarray
    drive: np.ndarray
    indoors: int


@dataclass(frozen=True, eq=False)
class World:
    """One world, traced to all users.

    Attributes:
        site: Geometry, materials, vegetation.
        paths: Paths to all users.
        radio: Radio of the base station.
        foliage: Model of the loss in leaves; None where there are no trees.
        differences: What differs from the twin, as the site lists it.
        other_users: (E,) user indices whose paths another engine traced, ascending.
        other_paths: Those users' paths, in that order, or None.
        blocked: (U,) bool, users whose place lies in a wall or a vehicle of this world; None where there are none.
    """

    site: Site
    paths: Paths
    radio: Radio
    foliage: str | None
    differences: tuple[dict[str, Any], ...] = ()
    other_users: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    other_paths: Paths | None = None
    blocked: np.ndarray | None = None


def settings_of(study: PrecodingStudy) -> TraceSettings:
    """Settings of the tracer for all worlds."""
    return TraceSettings(
        max_depth=study.max_depth,
        diffraction=study.diffraction,
        diffuse_paths=study.diffuse_paths,
        seed=study.trace_seed,
    )


def open_place(study: PrecodingStudy) -> tuple[Site, np.ndarray]:
    """Open the site with the twin's materials, and place the base station.

    Raises:
        SiteTwinError: The scene is missing, or the base station stands in a wall.
    """
    scene = open_site(study.place.scene)
    site = scene.variant(vegetation=Vegetation.none(), surfaces=study.materials[study.twin_materials])
    return site, check_transmitter(site, np.asarray(study.place.base_station, dtype=np.float64))


def place_users(study: PrecodingStudy, site: Site) -> Users:
    """Users at equal steps along the drives, over the ground and outdoors.

    Raises:
        SiteTwinError: There is no drive, or fewer than half of the positions stand outdoors.
    """
    if not study.place.drives:
        raise SiteTwinError("the place has no drives; give drives past the base station, or measured channels")
    lines = [shapely.LineString(line) for line in study.place.drives]
    step = sum(line.length for line in lines) / study.evaluation.users
    xy, drive = [], []
    for number, line in enumerate(lines):
        along = np.arange(step / 2, line.length, step)
        points = shapely.get_coordinates(shapely.line_interpolate_point(line, along))
        xy.append(points)
        drive.append(np.full(len(points), number, dtype=np.int64))
    positions = over_ground(site, np.concatenate(xy), study.place.user_height)
    outdoors = ~inside_building(site, positions)
    if outdoors.sum() < max(20, len(positions) // 2):
        raise SiteTwinError(
            f"only {int(outdoors.sum())} of {len(positions)} positions of the drives stand outdoors; move the drives"
        )
    return Users(positions[outdoors], np.concatenate(drive)[outdoors], int((~outdoors).sum()))


def twin_world(study: PrecodingStudy, site: Site, station: np.ndarray, users: Users, progress: Progress) -> World:
    """The twin: the map's site without trees, at the positions that users report."""
    paths = trace(site, station, users.positions, settings_of(study), lambda x: progress("trace the twin", x))
    return World(site, paths, _radio(study, Pose(tuple(station), math.radians(study.place.yaw_deg))), None)


def target_world(
    study: PrecodingStudy, site: Site, station: np.ndarray, users: Users, seed: int, progress: Progress
) -> World:
    """The world that stands for reality in one seed, at the positions where the users really are.

    Raises:
        SiteTwinError: No pose of the base station can be drawn outdoors.
    """
    wrong, stage = study.target, f"trace the target, seed {seed}"
    rng = np.random.default_rng([seed, 11])
    planted = site
    if wrong.tree_spacing_m > 0:
        planted = plant_street_trees(site, rng, _around(users.positions), wrong.tree_spacing_m)
    target = wrong.site.apply(planted, rng)
    pose, turned = wrong.site.apply_pose(
        Pose(tuple(station), math.radians(study.place.yaw_deg)), np.random.default_rng([seed, 12]), target
    )
    places, blocked, gps = _true_places(study, target, users, np.random.default_rng([seed, 13]))
    paths = trace(target, np.asarray(pose.position), places, settings_of(study), lambda x: progress(stage, x))
    other, other_paths = _by_other_engine(study, target, pose, places, paths, seed)
    trees = {"what": "trees", "canopies": target.vegetation.num_volumes}
    engine = {"what": "paths of another engine", "users": len(other), "rays": wrong.other_engine_rays}
    return World(
        target,
        paths,
        _radio(study, pose),
        "default" if target.vegetation.num_volumes else None,
        (*target.provenance.get("differences", ()), turned, gps, trees, engine),
        other,
        other_paths,
        blocked,
    )


def _true_places(
    study: PrecodingStudy, target: Site, users: Users, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Where the users really are: off by a bias of their drive and an error of their own.

    A place that would lie in a wall or a vehicle has no error; where that does not help, the user is blocked.
    """
    wrong, count = study.target, len(users.positions)
    bias = wrong.gps_bias_m * rng.standard_normal((len(study.place.drives), 2))
    own = wrong.gps_sigma_m * rng.standard_normal((count, 2))
    xy = users.positions[:, :2] + bias[users.drive] + own
    places = over_ground(target, xy, study.place.user_height)
    moved = inside_building(target, places)
    places[moved] = users.positions[moved]
    blocked = inside_building(target, places)
    return (
        places,
        blocked,
        {
            "what": "positions",
            "bias_m": bias.tolist(),
            "sigma_m": wrong.gps_sigma_m,
            "without_error": int(moved.sum()),
            "left_out": int(blocked.sum()),
        },
    )


def _by_other_engine(
    study: PrecodingStudy, target: Site, pose: Pose, places: np.ndarray, paths: Paths, seed: int
) -> tuple[np.ndarray, Paths | None]:
    wrong = study.target
    covered = np.flatnonzero(paths.counts)
    count = round(wrong.other_engine_share * len(covered))
    if count == 0:
        return np.zeros(0, dtype=np.int64), None
    other = np.sort(np.random.default_rng([seed, 14]).choice(covered, size=count, replace=False))
    settings = ReferenceSettings(
        max_depth=study.max_depth,
        samples=wrong.other_engine_rays,
        max_num_paths=OTHER_ENGINE_PATHS,
        diffraction=study.diffraction,
    )
    found = with_fields(trace_reference(target, np.asarray(pose.position), places[other], settings))
    return other, add_vegetation(target, found, settings_of(study).canopy_paths)


def with_fields(paths: Paths) -> Paths:
    """The other engine's paths without those that bend at an edge that the site does not have as a wedge."""
    nowhere = (paths.kinds == Interaction.DIFFRACTION) & (paths.facets < 0)
    return paths.take(~nowhere.any(axis=1))


def _radio(study: PrecodingStudy, pose: Pose) -> Radio:
    """The half-wave array of isotropic elements, its row of elements across the heading."""
    return Radio(AntennaArray.ula(study.link.antennas), orientation=pose.orientation)


def _around(positions: np.ndarray) -> tuple[float, float, float, float]:
    low, high = positions[:, :2].min(axis=0) - _TREES_BEYOND, positions[:, :2].max(axis=0) + _TREES_BEYOND
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
