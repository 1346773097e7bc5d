"""The truth of the study of fidelity, and twins that differ from it in one listed thing each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from sitetwin.channel import AntennaArray, Radio
from sitetwin.errors import SiteTwinError
from sitetwin.learn import prepare
from sitetwin.rays import Paths, TraceSettings, trace
from sitetwin.site import GeometryError, Site, Vegetation, check_transmitter, inside_building, open_site, user_grid
from sitetwin.studies.csi.config import CsiStudy, RadioLink
from sitetwin.studies.csi.data import PHASE_REFERENCE, delay_angle_matrices
from sitetwin.studies.csi.worlds import World, planted_city, station_radio, trace_wrong_site
from sitetwin.studies.fidelity.config import Difference, FidelityStudy
from sitetwin.studies.frame import Progress

_FOLIAGE = "default"
_DIRECTION = 4  # of random numbers: where a station that is off stands


@dataclass(frozen=True, eq=False)
class Truth:
    """The one world that is true, its cell, and its users.

    Attributes:
        world: The site with trees that attenuate and scatter, all paths, traced by our engine.
        station: Position of the base station, metres.
        users: Positions, metres.
    """

    world: World
    station: Float[np.ndarray, " 3"]
    users: Float[np.ndarray, "users 3"]


@dataclass(frozen=True, eq=False)
class Twin:
    """A world in which codecs are trained.

    Attributes:
        csi: How its matrices are computed: the study's configuration, but for what the twin has wrong there.
        world: The world.
        usable: Its users that have a path and stand outdoors in it.
    """

    csi: CsiStudy
    world: World
    usable: Bool[np.ndarray, " users"]

    def matrices(self, users: Int[np.ndarray, " chosen"]) -> Complex[Tensor, "chosen taps beams"]:
        """Prepared matrices of some of its users."""
        return prepare(delay_angle_matrices(self.csi, self.world, users), PHASE_REFERENCE).x


def trace_truth(study: FidelityStudy, progress: Progress) -> Truth:
    """Make and trace the true world.

    Args:
        study: The configuration.
        progress: Is told the stage and the share of it that is done.

    Raises:
        SiteTwinError: The scene is missing, the base station stands in a wall, or no user has a path.
    """
    csi = study.csi
    city = open_site(csi.site.scene)
    station = check_transmitter(city, np.asarray(csi.site.base_station))
    users, _ = user_grid(csi.site.area, csi.site.spacing, csi.site.user_height, city)
    site = planted_city(csi, city).variant(
        name=f"{city.name}, truth",
        scatter_centres=csi.trees.scatter_centres,
        rng=np.random.default_rng(csi.imperfections.seed),
    )
    paths = trace(site, station, users, _settings(csi), lambda share: progress("trace the truth", share))
    world = _world("truth", site, paths, station_radio(csi, csi.site.yaw_deg))
    if not world.covered.any():
        raise SiteTwinError("no user has a path in the truth; move the base station or the users' area")
    return Truth(world, station, users)


def make_twin(study: FidelityStudy, truth: Truth, difference: Difference, seed: int, progress: Progress) -> Twin:
    """Make a twin; only what its difference changes is drawn or traced anew.

    Errors of walls and heights, and the direction in which the station is off, are drawn by the seed; twins of one kind
    share their draws, so that a larger strength is the same error, larger.

    Args:
        study: The configuration.
        truth: The truth.
        difference: In what the twin differs.
        seed: Seed of the draws.
        progress: Is told the stage and the share of it that is done.

    Raises:
        SiteTwinError: The base station would stand in a wall, or below the ground, of this twin.
    """
    return _MAKERS[difference.kind](_Making(study, truth, difference, seed, progress))


@dataclass(frozen=True, eq=False)
class _Making:
    """What makers of twins need."""

    study: FidelityStudy
    truth: Truth
    difference: Difference
    seed: int
    progress: Progress

    @property
    def strength(self) -> float:
        return self.difference.strength or 0.0

    def of_truth(self, **changes: Any) -> Twin:
        """The paths of the truth, seen otherwise."""
        world = replace(self.truth.world, **changes)
        return Twin(self.study.csi, world, world.covered)

    def traced(
        self,
        site: Site,
        *,
        station: np.ndarray | None = None,
        radio: Radio | None = None,
        csi: CsiStudy | None = None,
    ) -> Twin:
        """Paths of a site that is traced anew; users that stand in a building there have none."""
        csi = self.study.csi if csi is None else csi
        place = check_transmitter(site, self.truth.station if station is None else station)
        outdoors = ~inside_building(site, self.truth.users)
        told = f"trace the twin '{self.difference.name}'"
        paths = trace(site, place, self.truth.users, _settings(csi), lambda share: self.progress(told, share))
        world = _world("twin", site, paths, self.truth.world.radio if radio is None else radio)
        return Twin(csi, world, world.covered & outdoors)

    def moved(self, site: Site, walls: float, heights: float) -> Site:
        """A site with its walls and roofs elsewhere; touching buildings of a map, which share a wall, move as one."""
        return site.variant(
            walls=GeometryError(sigma=walls / math.sqrt(2)) if walls else None,  # of each horizontal coordinate
            heights=GeometryError(sigma=heights) if heights else None,
            together=bool(walls or heights) and site.provenance["source"].get("kind") == "map",
            rng=np.random.default_rng([self.seed, self.study.csi.imperfections.seed]),
        )


def _perfect(making: _Making) -> Twin:
    return making.of_truth()


def _plain(making: _Making) -> Twin:
    """The twin of the CSI study: no trees, as many paths as there, and walls, roofs and heading as wrong as there."""
    csi, wrong = making.study.csi, making.study.csi.imperfections
    bare = making.truth.world.site.variant(vegetation=Vegetation.none())
    return making.traced(
        making.moved(bare, wrong.wall_rms_m, wrong.height_rms_m),
        radio=station_radio(csi, csi.site.yaw_deg + wrong.yaw_deg),
        csi=csi.model_copy(update={"link": csi.link.model_copy(update={"paths": RadioLink().paths})}),
    )


def _wrong_site(making: _Making) -> Twin:
    csi = making.study.csi
    world, _ = trace_wrong_site(csi, _settings(csi), making.progress)
    return Twin(csi, world, world.covered)


def _trees(making: _Making) -> Twin:
    """No trees, or trees that lack the centres that scatter."""
    site = making.truth.world.site
    if making.difference.choice == "none":
        return making.traced(site.variant(vegetation=Vegetation.none()))
    return making.traced(site.variant(scatter_centres=0, rng=np.random.default_rng(0)))


def _materials(making: _Making) -> Twin:
    """One material for all surfaces, the ground too; thicknesses stay."""
    site, name = making.truth.world.site, str(making.difference.choice)
    return making.of_truth(site=site.variant(materials={one.name: name for one in site.materials}))


def _pattern(making: _Making) -> Twin:
    own = making.truth.world.radio
    array = AntennaArray.ula(making.study.csi.link.antennas, pattern="tr38901")
    return making.of_truth(radio=Radio(array, orientation=own.orientation))


def _yaw(making: _Making) -> Twin:
    csi = making.study.csi
    return making.of_truth(radio=station_radio(csi, csi.site.yaw_deg + making.strength))


def _order(making: _Making) -> Twin:
    csi = making.study.csi.model_copy(update={"max_depth": int(making.strength)})
    return making.traced(making.truth.world.site, csi=csi)


def _station(making: _Making) -> Twin:
    """The station elsewhere at its height, in a direction that the seed draws."""
    angle = 2 * math.pi * np.random.default_rng([making.seed, _DIRECTION]).random()
    off = making.strength * np.array([math.cos(angle), math.sin(angle), 0.0])
    return making.traced(making.truth.world.site, station=making.truth.station + off)


_MAKERS: dict[str, Callable[[_Making], Twin]] = {
    "perfect": _perfect,
    "plain": _plain,
    "wrong site": _wrong_site,
    "trees": _trees,
    "walls": lambda making: making.traced(making.moved(making.truth.world.site, making.strength, 0.0)),
    "heights": lambda making: making.traced(making.moved(making.truth.world.site, 0.0, making.strength)),
    "materials": _materials,
    "order": _order,
    "yaw": _yaw,
    "pattern": _pattern,
    "station": _station,
}


def _settings(csi: CsiStudy) -> TraceSettings:
    return TraceSettings(max_depth=csi.max_depth, seed=csi.trace_seed)


def _world(key: str, site: Site, paths: Paths, radio: Radio) -> World:
    return World(key, site.name, site, paths, radio, _FOLIAGE, (), np.zeros(0, dtype=np.int64), None)


def training_users(twin: Twin, tested: Int[np.ndarray, " tested"], own: bool, count: int, seed: int) -> np.ndarray:
    """Users whose matrices train a codec: the same in all twins, but for those that a twin cannot use.

    Args:
        twin: The twin.
        tested: Test users, who never train.
        own: Whether the twin's users are not those of the truth, so that test users are not among them.
        count: Number of training users.
        seed: Seed of their order.

    Raises:
        SiteTwinError: The twin has fewer.
    """
    order = np.random.default_rng([seed, 2]).permutation(len(twin.usable))
    kept = twin.usable.copy()
    if not own:
        kept[tested] = False
    users = order[kept[order]]
    if len(users) < count:
        raise SiteTwinError(f"it has {len(users)} users with a path, and {count} are to be trained on")
    return users[:count]
