"""Made-up worlds that close the loop: streets, drives, rendered frames, and powers that no twin has seen."""

from sitetwin.vision.worlds.campaign import Campaign, read_campaign, record_campaign
from sitetwin.vision.worlds.drives import Drive, Schedule, make_drive, natural_share, natural_weights
from sitetwin.vision.worlds.following import Followed, MapFree, follow, recorded_world
from sitetwin.vision.worlds.reading import Recording, TrueBox, read_recording
from sitetwin.vision.worlds.recording import Choices, gps_fixes, record_drive
from sitetwin.vision.worlds.traffic import Traffic, make_traffic
from sitetwin.vision.worlds.truth import LinkBudget, band_powers, line_of_sight, true_powers
from sitetwin.vision.worlds.world import World, WorldPlan, default_worlds, make_world

__all__ = [
    "Campaign",
    "Choices",
    "Drive",
    "Followed",
    "LinkBudget",
    "MapFree",
    "Recording",
    "Schedule",
    "Traffic",
    "TrueBox",
    "World",
    "WorldPlan",
    "band_powers",
    "default_worlds",
    "follow",
    "gps_fixes",
    "line_of_sight",
    "make_drive",
    "make_traffic",
    "make_world",
    "natural_share",
    "natural_weights",
    "read_campaign",
    "read_recording",
    "record_campaign",
    "record_drive",
    "recorded_world",
    "true_powers",
]
