"""The traced twin of a moment: the scene becomes a site, the tracer finds the paths, the paths give power in beams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float

from sitetwin.channel import AntennaArray, Radio
from sitetwin.channel.antennas.codebooks import angular_codebook, steering_weights
from sitetwin.channel.fields.path_gains import path_gains
from sitetwin.errors import SiteTwinError
from sitetwin.rays import Paths, TraceSettings, trace
from sitetwin.site import Site, place_objects
from sitetwin.site.places.placement import ground_height
from sitetwin.site.places.pose import Pose
from sitetwin.vision.scene.objects import StreetObject, draw_boxes

CARRIER_HZ = 60e9

TWIN_SETTINGS = TraceSettings(max_depth=2, rays_per_lattice=20_000, unseen_bound=5e-3)
"""Two reflections, found with few rays: 0.2 s for a street with twenty vehicles."""


@dataclass(frozen=True)
class Station:
    """The radio whose beams are ranked.

    Attributes:
        pose: Place and boresight.
        array: The elements.
        half_span: Azimuth of the outermost beams from the boresight, radians.
        beams: Number of beams; their azimuths fall, as in the official order of DeepSense 6G.

    Raises:
        SiteTwinError: There are fewer than two beams.
    """

    pose: Pose
    array: AntennaArray
    half_span: float = float(np.radians(45.0))
    beams: int = 64

    def __post_init__(self) -> None:
        if self.beams < 2 or not 0 < self.half_span < np.pi / 2:
            raise SiteTwinError(f"{self.beams} beams within +-{self.half_span:g} rad are none to choose from")

    @property
    def weights(self) -> Complex[torch.Tensor, "beams elements"]:
        """Complex128 weights of norm 1."""
        return angular_codebook(self.array, np.linspace(self.half_span, -self.half_span, self.beams))

    @property
    def radio(self) -> Radio:
        """One isotropic element with the station's orientation, for the gains of paths."""
        return Radio(AntennaArray.ula(1), orientation=self.pose.orientation)

    def responses(self, directions: Float[np.ndarray, "paths 3"]) -> Complex[np.ndarray, "paths beams"]:
        """Return what each beam adds to paths that leave in some directions (P, 3) of the site's frame."""
        local = torch.from_numpy(directions @ _frame(self.pose))
        elements = steering_weights(self.array, local).conj() * np.sqrt(self.array.num_positions)
        return (elements @ self.weights.T).numpy()


def _frame(pose: Pose) -> np.ndarray:
    """(3, 3) whose columns are the local axes x, y, z in the site's frame."""
    (ca, sa), (cb, sb), (cg, sg) = ((np.cos(v), np.sin(v)) for v in pose.orientation)
    forward = (ca * cb, sa * cb, -sb)
    left = (ca * sb * sg - sa * cg, sa * sb * sg + ca * cg, cb * sg)
    up = (ca * sb * cg + sa * sg, sa * sb * cg - ca * sg, cb * cg)
    return np.array([forward, left, up]).T


def scene_site(
    base: Site, objects: Sequence[StreetObject], draws: int = 1, rng: np.random.Generator | None = None
) -> list[Site]:
    """Make sites of a scene: the map, or the bare ground, with boxes that stand for the objects.

    Args:
        base: The map's site, or one of the ground alone.
        objects: The objects, without the user's own car.
        draws: Number of sites; the first has the objects at their most likely places.
        rng: Source of the draws; needed for more than one.

    Raises:
        SiteTwinError: More than one draw is asked for without a generator.
    """
    if draws > 1 and rng is None:
        raise SiteTwinError("places of objects are drawn at random; give a generator as rng")
    if not objects:
        return [base] * draws
    boxes = draw_boxes(objects, draws, rng or np.random.default_rng(0))
    names = [f"object-{k}" for k in range(len(objects))]
    ground = ground_height(base, boxes.centre[0])
    ground = np.where(np.isnan(ground), base.bounds[0, 2], ground)
    return [place_objects(base, boxes.bodies(draw, ground, names)) for draw in range(draws)]


def beam_powers(
    paths: Paths, site: Site, station: Station, carrier_hz: float = CARRIER_HZ, *, direct: bool = True
) -> Float[np.ndarray, "users beams"]:
    """Expected received power of each beam over transmitted power: the powers of the paths add up.

    Phases of paths change within millimetres, which no twin knows; their mean over all phases is this sum.

    Args:
        paths: Paths from the station to users.
        site: The site they were traced in.
        station: The station.
        carrier_hz: Hz.
        direct: Whether the line of sight counts.
    """
    gains = path_gains(paths, site, carrier_hz, tx=station.radio).values.reshape(-1).abs().square().numpy()
    counted = gains if direct else np.where(paths.depth > 0, gains, 0.0)
    each = counted[:, None] * np.abs(station.responses(paths.departure.astype(np.float64))) ** 2
    powers = np.zeros((paths.num_users, station.beams))
    np.add.at(powers, paths.user_of_path, each)
    return powers


@dataclass(frozen=True, eq=False)
class Traced:
    """Beams of one moment, over draws of the scene.

    Attributes:
        powers: (draws, beams) received over transmitted power.
        reflected: (draws, beams) the same without the line of sight: what is left if something stands in it.
    """

    powers: Float[np.ndarray, "draws beams"]
    reflected: Float[np.ndarray, "draws beams"]

    @property
    def in_sight(self) -> Bool[np.ndarray, " draws"]:
        """(draws,) whether the line of sight was clear in each."""
        return np.asarray((self.powers > self.reflected).any(axis=1))

    @property
    def mean(self) -> Float[np.ndarray, " beams"]:
        """(beams,) mean power."""
        return self.powers.mean(axis=0)

    @property
    def probability(self) -> Float[np.ndarray, " beams"]:
        """(beams,) share of the draws in which each beam is the best; draws without a path do not count."""
        found = self.powers.max(axis=1) > 0
        best = np.bincount(self.powers[found].argmax(axis=1), minlength=self.powers.shape[1])
        return best / max(int(found.sum()), 1)

    @property
    def relative(self) -> Float[np.ndarray, " beams"]:
        """(beams,) mean over the draws of each beam's power over that of the draw's best beam."""
        top = self.powers.max(axis=1, keepdims=True)
        return np.divide(self.powers, top, out=np.zeros_like(self.powers), where=top > 0).mean(axis=0)


def trace_scene(
    base: Site,
    objects: Sequence[StreetObject],
    station: Station,
    user: Float[np.ndarray, "draws 3"],
    rng: np.random.Generator,
    *,
    settings: TraceSettings = TWIN_SETTINGS,
    carrier_hz: float = CARRIER_HZ,
    scenes: int | None = None,
) -> Traced:
    """Trace a scene for draws of the places of its objects.

    Args:
        base: The map's site, or one of the ground alone.
        objects: The objects, without the user's own car.
        station: The station.
        user: (draws, 3) the user's antenna in each draw, metres.
        rng: Source of the objects' draws.
        settings: What is traced.
        carrier_hz: Hz.
        scenes: Draws of the objects; several draws of the user share one, which is traced once for all of them. By
            default each has its own.

    Raises:
        SiteTwinError: The tracer refuses the station's place.
    """
    count = min(scenes or len(user), len(user))
    powers, reflected = np.zeros((len(user), station.beams)), np.zeros((len(user), station.beams))
    for number, site in enumerate(scene_site(base, objects, count, rng)):
        rows = np.arange(number, len(user), count)
        paths = trace(site, np.array(station.pose.position), user[rows], settings)
        powers[rows] = beam_powers(paths, site, station, carrier_hz)
        reflected[rows] = beam_powers(paths, site, station, carrier_hz, direct=False)
    return Traced(powers, reflected)
