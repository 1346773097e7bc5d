"""The world of the study, day by day: a twin without trees, and a target whose trees drop their leaves one by one."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from sitetwin.channel import AntennaArray, FieldOptions, OfdmGrid, PathGains, Radio, path_gains
from sitetwin.channel.synthesis import delay_angle
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.learn.cell.link import CellLink
from sitetwin.rays import Paths, TraceSettings, trace
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
from sitetwin.studies.frame import Progress
from sitetwin.studies.upkeep.config import Leaves, UpkeepStudy


@dataclass(frozen=True, eq=False)
class LeafDays:
    """On which day each volume of a vegetation drops its leaves and comes into leaf.

    Attributes:
        falls: Day of each volume.
        returns: Day of each volume.
    """

    falls: Float[np.ndarray, " volumes"]
    returns: Float[np.ndarray, " volumes"]

    @classmethod
    def drawn(cls, volumes: int, leaves: Leaves) -> LeafDays:
        """The days of a run, drawn from those that fall and spring take."""
        rng = np.random.default_rng(leaves.seed)
        return cls(*(begin + leaves.takes * rng.random(volumes) for begin in (leaves.fall, leaves.spring)))

    def in_leaf(self, day: float) -> Bool[np.ndarray, " volumes"]:
        """Which volumes bear leaves."""
        return (day < self.falls) | (day >= self.returns)


@dataclass(frozen=True, eq=False)
class UpkeepWorld:
    """Twin and target, traced to all users of a grid.

    Attributes:
        study: The configuration.
        twin: The city without trees.
        target: The city with trees, other walls and roofs.
        twin_paths: Paths to the users in the twin.
        target_paths: Paths to the users in the target.
        users: Positions, metres.
        covered: Users with a path in both.
        days: When leaves fall.
    """

    study: UpkeepStudy
    twin: Site
    target: Site
    twin_paths: Paths
    target_paths: Paths
    users: Float[np.ndarray, "users 3"]
    covered: Int[np.ndarray, " covered"]
    days: LeafDays

    @property
    def grid(self) -> OfdmGrid:
        """The subcarriers."""
        link = self.study.link
        return OfdmGrid(link.carrier_hz, link.subcarriers, link.subcarrier_spacing_hz)

    def radio(self, off_deg: float = 0.0) -> Radio:
        """The base station's array: half a wave apart, its row across the heading."""
        yaw = math.radians(self.study.cell.yaw_deg + off_deg)
        return Radio(AntennaArray.ula(self.study.link.antennas), orientation=(yaw, 0.0, 0.0))

    @property
    def link(self) -> CellLink:
        """The link of the codecs."""
        return CellLink.of_radio(self.radio(), self.grid, self.study.link.taps)

    def of_twin(self, users: Int[np.ndarray, " chosen"]) -> Complex[Tensor, "chosen taps beams"]:
        """Delay-angle matrices of some users in the twin."""
        paths = self.twin_paths.select_users(users)
        radio = self.radio()
        gains = path_gains(paths, self.twin, self.grid.carrier_hz, radio, Radio(), FieldOptions(foliage=None))
        return self._matrices(paths, gains, radio)

    def on_day(self, users: Int[np.ndarray, " chosen"], day: float) -> Complex[Tensor, "chosen taps beams"]:
        """Delay-angle matrices of some users in the target on a day of the run."""
        paths = self.target_paths.select_users(users)
        return self.of_paths(paths, self.gains(paths, day), day)

    def gains(self, paths: Paths, day: float) -> PathGains:
        """Gains of paths in the target on a day of the run."""
        site = _leaved(self.target, self.days.in_leaf(day))
        radio = self.radio_on(day)
        options = FieldOptions(season="winter", foliage=self.study.leaves.model)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="foliage model", category=SiteTwinWarning)  # said in the notes
            return path_gains(paths, site, self.grid.carrier_hz, radio, Radio(), options)

    def of_paths(self, paths: Paths, gains: PathGains, day: float) -> Complex[Tensor, "users taps beams"]:
        """Delay-angle matrices of paths in the target."""
        return self._matrices(paths, gains, self.radio_on(day))

    def radio_on(self, day: float) -> Radio:
        """The array as it stands in the target on a day of the run."""
        turned = self.study.turn.degrees if day >= self.study.turn.day else 0.0
        return self.radio(self.study.errors.yaw_deg + turned)

    def trace(self, places: Float[np.ndarray, "places 3"]) -> Paths:
        """Paths in the target to other places."""
        settings = TraceSettings(max_depth=self.study.max_depth, seed=self.study.trace_seed)
        return trace(self.target, np.asarray(self.study.cell.base_station), places, settings)

    def _matrices(self, paths: Paths, gains: PathGains, radio: Radio) -> Complex[Tensor, "users taps beams"]:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="the shortest path is", category=SiteTwinWarning)  # plane waves
            g = delay_angle(paths, gains, self.grid, radio, num_taps=self.study.link.taps)
        return g[:, 0].transpose(1, 2).contiguous()


def _leaved(site: Site, in_leaf: Bool[np.ndarray, " volumes"]) -> Site:
    """The site in a winter in which only some volumes have lost their leaves: those count as deciduous."""
    known = site.vegetation
    cycles = ["evergreen" if leafy else "deciduous" for leafy in in_leaf]
    volumes = tuple(replace(one, leaf_cycle=cycle) for one, cycle in zip(known.volumes, cycles, strict=True))
    return replace(site, vegetation=Vegetation(volumes, known.scatter_centres, known.scatter_volume))


def check_upkeep_cell(study: UpkeepStudy) -> None:
    """Open the site of a study and place its base station and users, before anything is written or traced.

    Args:
        study: The configuration.

    Raises:
        SiteTwinError: The scene is missing, the base station stands in a wall, or no user stands outdoors.
    """
    city = open_site(study.cell.scene)
    check_transmitter(city, np.asarray(study.cell.base_station))
    user_grid(study.cell.area, study.grid_spacing, study.cell.user_height, city)


def build_upkeep_world(study: UpkeepStudy, progress: Progress) -> UpkeepWorld:
    """Make and trace twin and target.

    Args:
        study: The configuration.
        progress: Called with a stage's name and the share done.

    Raises:
        SiteTwinError: The scene is missing, the base station stands in a wall, or too few users have a path.
    """
    city = open_site(study.cell.scene)
    bare = city.variant(vegetation=Vegetation.none()) if city.vegetation.num_volumes else city
    station = check_transmitter(bare, np.asarray(study.cell.base_station))
    target = distorted(study, city)
    check_transmitter(target, station)
    users, _ = user_grid(study.cell.area, study.grid_spacing, study.cell.user_height, city)
    users = users[~inside_building(target, users)]
    settings = TraceSettings(max_depth=study.max_depth, seed=study.trace_seed)
    twin_paths = trace(bare, station, users, settings, lambda x: progress("trace the twin", x))
    target_paths = trace(target, station, users, settings, lambda x: progress("trace the target", x))
    covered = np.flatnonzero((twin_paths.counts > 0) & (target_paths.counts > 0))
    needed = study.test_users + study.upkeep.reports_a_day
    if len(covered) < needed:
        raise SiteTwinError(
            f"{len(covered)} users have a path, and the study needs {needed}; use a finer grid or a larger area"
        )
    days = LeafDays.drawn(target.vegetation.num_volumes, study.leaves)
    return UpkeepWorld(study, bare, target, twin_paths, target_paths, users, covered, days)


def distorted(study: UpkeepStudy, city: Site) -> Site:
    """The target: trees that attenuate and scatter, walls and roofs elsewhere."""
    planted = city
    if not city.vegetation.num_volumes:
        xmin, ymin, xmax, ymax = study.cell.area
        edge = study.trees.margin
        area = (xmin - edge, ymin - edge, xmax + edge, ymax + edge)
        planted = plant_street_trees(city, np.random.default_rng(study.trees.seed), area, study.trees.spacing)
    wrong = study.errors
    return planted.variant(
        name=f"{planted.name}, target",
        walls=GeometryError(sigma=wrong.wall_rms_m / math.sqrt(2)),  # per horizontal coordinate
        heights=GeometryError(sigma=wrong.height_rms_m),
        together=planted.provenance["source"].get("kind") == "map",  # whose touching buildings have no wall between
        scatter_centres=study.trees.scatter_centres,
        rng=np.random.default_rng(wrong.seed),
    )
