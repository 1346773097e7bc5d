"""The scene of a moment: objects with covariances, tracks, the user's place, blockage, and the traced twin."""

from sitetwin.vision.scene.blockage import blockage_probability, crossed
from sitetwin.vision.scene.fusion import fused, mahalanobis_2, with_bearing
from sitetwin.vision.scene.kalman import Motion
from sitetwin.vision.scene.objects import CLASS_SIZES, Boxes, StreetObject, draw_boxes
from sitetwin.vision.scene.ranking import Ranking, rank_beams, sight_powers
from sitetwin.vision.scene.street_twin import Moment, StreetTwin, TwinOptions
from sitetwin.vision.scene.tracks import Track, Tracker, TrackOptions
from sitetwin.vision.scene.twin import Station, Traced, beam_powers, scene_site, trace_scene
from sitetwin.vision.scene.user import UserOptions, UserPlace, UserTrack

__all__ = [
    "CLASS_SIZES",
    "Boxes",
    "Moment",
    "Motion",
    "Ranking",
    "Station",
    "StreetObject",
    "StreetTwin",
    "Traced",
    "Track",
    "TrackOptions",
    "Tracker",
    "TwinOptions",
    "UserOptions",
    "UserPlace",
    "UserTrack",
    "beam_powers",
    "blockage_probability",
    "crossed",
    "draw_boxes",
    "fused",
    "mahalanobis_2",
    "rank_beams",
    "scene_site",
    "sight_powers",
    "trace_scene",
    "with_bearing",
]
