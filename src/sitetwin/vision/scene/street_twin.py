"""The twin of a street that keeps in step with it: from sightings and fixes to ranked beams, moment by moment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from sitetwin.rays import TraceSettings
from sitetwin.site import Site
from sitetwin.site.places.placement import ground_height
from sitetwin.vision.camera import Camera
from sitetwin.vision.frames import Detection
from sitetwin.vision.scene.blockage import DRAWS, blockage_probability, by_view, with_sighting
from sitetwin.vision.scene.image_sight import SAME_PLACE, View, view_of_user
from sitetwin.vision.scene.objects import StreetObject
from sitetwin.vision.scene.ranking import Ranking, rank_beams
from sitetwin.vision.scene.tracks import Tracker, TrackOptions
from sitetwin.vision.scene.twin import CARRIER_HZ, TWIN_SETTINGS, Station, Traced, trace_scene
from sitetwin.vision.scene.user import UserOptions, UserPlace, UserTrack

AHEAD_S = 0.5
"""Seconds ahead for which blockage is told."""

SIGHT_DRAWS = 64
"""Draws of the user's place for the beams of a clear line of sight; the first of them are traced, too."""

_ANTENNA_SIGMA = 0.1  # metres, of the height of antennas on cars
_OWN_REACH = 0.5  # metres beyond an object's box within which it is the user's own car


@dataclass(frozen=True)
class TwinOptions:
    """How the twin works.

    Attributes:
        draws: Draws of the user's place that are traced, at most `SIGHT_DRAWS`.
        scenes: Draws of the objects' places; those of the user are shared out among them.
        antenna: Height of the user's antenna over the ground, metres.
        farthest: Objects farther from the station than this are left out of the traced scene, metres.
        user: How the user's place is found.
        tracks: How objects are tracked.
        settings: What is traced.
        carrier_hz: Hz.
    """

    draws: int = 6
    scenes: int = 3
    antenna: float = 1.65
    farthest: float = 60.0
    user: UserOptions = field(default_factory=UserOptions)
    tracks: TrackOptions = field(default_factory=TrackOptions)
    settings: TraceSettings = TWIN_SETTINGS
    carrier_hz: float = CARRIER_HZ


@dataclass(frozen=True, eq=False)
class Moment:
    """What is known at one moment.

    Attributes:
        time: Seconds.
        user: Where the user is.
        objects: All tracked objects except the user's own car.
        blocked: Probability that something stands in the line of sight: by what the image shows at the user's place,
            or, without an image of it, by the objects.
        blocked_ahead: Probability that one of the objects stands in it, `AHEAD_S` later.
    """

    time: float
    user: UserPlace
    objects: tuple[StreetObject, ...]
    blocked: float
    blocked_ahead: float

    @property
    def flags(self) -> tuple[str, ...]:
        """What was wrong."""
        return self.user.flags


class StreetTwin:
    """Follows the objects of a street and one user; traces the scene of a moment when it is asked for beams.

    Args:
        base: The map's site, or one of the ground alone.
        station: The station, with the camera at its place.
        options: How it works.
        rng: Source of all draws.
        camera: The camera; with it, a user beyond its image is not missed. Without it, all users are taken to be in it,
            and the camera to stand at the station's place.
    """

    def __init__(
        self,
        base: Site,
        station: Station,
        options: TwinOptions | None = None,
        rng: np.random.Generator | None = None,
        camera: Camera | None = None,
    ) -> None:
        self.base, self.station, self.options, self._camera = base, station, options or TwinOptions(), camera
        self._rng = rng or np.random.default_rng(0)
        self._place = np.array(station.pose.position)
        self._tracker = Tracker(self.options.tracks)
        self._user = UserTrack(self._place[:2], self.options.user)
        at_station = camera is None or bool(np.linalg.norm(camera.position - self._place) <= SAME_PLACE)
        self._tells_sight = at_station  # what hides the user from the camera hides it from the station
        self._unseen = 0  # frames since the user's car was seen
        self._heading: float | None = None  # of the user's car
        self._own_hits: dict[int, int] = {}  # how often each track was taken for the user's own car
        ground = float(ground_height(base, self._place[None, :2])[0])
        self._ground = float(base.bounds[0, 2]) if math.isnan(ground) else ground

    def step(
        self,
        time: float,
        fix: Float[np.ndarray, " 2"] | None,
        sightings: Sequence[StreetObject] | None = (),
        detections: Sequence[Detection] | None = None,
    ) -> Moment | None:
        """Go on to the next moment.

        Args:
            time: Seconds, not before the last.
            fix: (2,) GPS fix, metres; None where there is none.
            sightings: The objects that the camera sees, the user's own car among them; None where there is no frame.
            detections: All boxes of the frame, those that could not be placed included. With them, and a camera at the
                station's place, the image itself tells whether something hides the user.

        Returns:
            What is known; None before the first fix.

        Raises:
            SiteTwinError: The time lies before the last.
        """
        looked, sightings = sightings is not None, list(sightings or ())
        self._tracker.step(time, sightings)
        user = self._user.step(time, fix, sightings)
        if user is None:
            return None
        looked = looked and self._in_image(user.position)
        self._unseen = 0 if user.own is not None else self._unseen + looked
        if user.own is not None:
            own = [t.number for t in self._tracker.tracks if t.sighting is sightings[user.own]]
            self._own_hits.update({number: self._own_hits.get(number, 0) + 1 for number in own})
            self._heading = sightings[user.own].heading
        objects = self._others(self._tracker.objects(), user.position)
        seen = None if user.own is None else sightings[user.own]
        view = self._view(user, seen, sightings, detections) if looked and detections is not None else None
        if view is None:
            told = self._unseen if looked and self._tells_sight else None
            blocked = with_sighting(self._blocked(objects, user.position, user.covariance), told)
        else:
            blocked = by_view(view, self._unseen)
        ahead = self._user.ahead(AHEAD_S)
        later = self._others(self._tracker.ahead(AHEAD_S), ahead.position)
        return Moment(
            time,
            user,
            tuple(objects),
            blocked,
            self._blocked(later, ahead.position, ahead.position_covariance),
        )

    def trace(self, moment: Moment, base: Site | None = None) -> tuple[Traced, Ranking]:
        """Trace the scene of a moment over draws, and rank the beams.

        Args:
            moment: What is known.
            base: Another site in the place of the twin's own.
        """
        mean, covariance = moment.user.position, moment.user.covariance
        place = np.tile([*mean, self._ground + self.options.antenna], (SIGHT_DRAWS, 1))
        place[1:, :2] = self._rng.multivariate_normal(mean, covariance, SIGHT_DRAWS - 1, method="eigh")
        near = [one for one in moment.objects if np.linalg.norm(one.position - self._place[:2]) < self.options.farthest]
        traced = trace_scene(
            base or self.base,
            near,
            self.station,
            place[: self.options.draws],
            self._rng,
            settings=self.options.settings,
            carrier_hz=self.options.carrier_hz,
            scenes=self.options.scenes,
        )
        return traced, rank_beams(traced, self.station, place, moment.blocked)

    def _view(
        self,
        user: UserPlace,
        own: StreetObject | None,
        sightings: Sequence[StreetObject],
        detections: Sequence[Detection],
    ) -> View | None:
        """What the image shows at the user's place, where the camera stands at the station's."""
        if self._camera is None or not self._tells_sight:
            return None
        places, middle = self._user.draws(DRAWS, self._rng)
        heading = self._heading
        if heading is None:  # the car was not seen yet: it drives where it goes
            heading = math.atan2(user.velocity[1], user.velocity[0])
        height = self.options.antenna + _ANTENNA_SIGMA * self._rng.standard_normal((DRAWS, 1))
        antenna = np.concatenate([places, self._ground + height], axis=1)
        foot = np.array([*middle, self._ground])
        return view_of_user(self._camera, detections, sightings, own, antenna, foot, heading)

    def _in_image(self, user: np.ndarray) -> bool:
        """Whether the camera shows the place of the user's antenna."""
        if self._camera is None:
            return True
        (column, row), _ = self._camera.project(np.array([*user, self._ground + self.options.antenna]))
        return bool(0 <= column < self._camera.width and 0 <= row < self._camera.height)  # NaN is not

    def _blocked(self, objects: Sequence[StreetObject], user: np.ndarray, covariance: np.ndarray) -> float:
        antenna = np.array([*user, self._ground + self.options.antenna])
        return blockage_probability(objects, self._place, antenna, covariance, self._rng, ground=self._ground)

    def _others(self, objects: Sequence[StreetObject], user: np.ndarray) -> list[StreetObject]:
        """Objects without the user's own car: tracks that were it in half of their frames, and cars the user is in.

        A track that was taken for the user's car once is not lost for it: the next one may be of what hides the car.
        """
        hits = {track.number: track.hits for track in self._tracker.tracks}
        own = {number for number, count in self._own_hits.items() if 2 * count >= hits.get(number, 0)}
        return [one for one in objects if one.track not in own and not _holds(one, user)]


def _holds(thing: StreetObject, place: np.ndarray) -> bool:
    """Whether a place lies in a car's box, or no more than a little beside it."""
    if thing.name not in ("car", "van"):
        return False
    c, s = math.cos(thing.heading), math.sin(thing.heading)
    east, north = place - thing.position
    length, width, _ = thing.size
    along, aside = abs(c * east + s * north), abs(c * north - s * east)
    return bool(along < 0.5 * length + _OWN_REACH and aside < 0.5 * width + _OWN_REACH)
