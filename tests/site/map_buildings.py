"""Buildings of maps for the tests, and what is measured of them."""

import numpy as np
import shapely

from sitetwin.site.build import build_site
from sitetwin.site.maps.buildings import build_buildings
from sitetwin.site.maps.features import Feature
from sitetwin.site.maps.heights import BuildingOptions
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.materials import Material

FOUNDATION = 0.5


def enclosed_volume(corners: np.ndarray) -> float:
    """Volume inside a closed surface, cubic metres; positive where it faces outwards.

    Args:
        corners: (T, 3, 3) metres.
    """
    if not len(corners):
        return 0.0
    a, b, c = np.moveaxis(corners - corners[0, 0], 1, 0)
    return float((a * np.cross(b, c)).sum() / 6.0)


class Rules:
    """Materials by tag, else brick and tiles."""

    def wall(self, tags):
        return tags.get("building:material", "brick")

    def roof(self, tags):
        return tags.get("roof:material", "tiles")


def flat_ground(points):
    return np.zeros(len(points))


def build(features, ground=flat_ground, ledger=None, rng=None, **options):
    ledger = Ledger() if ledger is None else ledger
    return build_buildings(features, Rules(), ledger, ground, options=BuildingOptions(**options), rng=rng)


def building(number, geometry, **tags):
    words = {key.replace("__", ":"): str(value) for key, value in tags.items()}
    if "building:part" not in words:
        words.setdefault("building", "yes")
    return Feature(f"way/{number}", geometry, words)


def corners_of(bodies, ending=""):
    chosen = [body.corners for body in bodies if body.name.endswith(ending)]
    return np.concatenate([np.empty((0, 3, 3)), *chosen])


def areas(corners):
    return 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)


def plan_areas(corners):
    """Signed area in plan: positive for what faces up."""
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return 0.5 * (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])


def volume_above(bodies, level=0.0):
    """Volume over a level by the divergence theorem: flux of z - level through all that lies above it."""
    corners = corners_of(bodies)
    z = np.maximum(corners[..., 2] - level, 0.0).mean(axis=1)
    return float((plan_areas(corners) * z).sum())


def ledger_words(ledger, kind):
    return {entry.what: entry.count for entry in ledger.entries if entry.kind == kind}


L_SHAPE = shapely.Polygon([(0, 0), (20, 0), (20, 8), (9, 8), (9, 15), (0, 15)])
COURT = shapely.Polygon(shapely.box(0, 0, 30, 20).exterior, [shapely.box(8, 6, 20, 14).exterior])
SHAPES = ["gabled", "hipped", "pyramidal", "skillion", "gambrel", "dome", "sawtooth"]


def site_of(bodies):
    corners = corners_of(bodies)
    vertices, index = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    owner = np.repeat(np.arange(len(bodies)), [len(b.corners) for b in bodies])
    return build_site(
        "test",
        vertices,
        index.reshape(-1, 3),
        owner,
        [b.name for b in bodies],
        np.zeros(len(bodies), dtype=np.int64),
        [Material("concrete", itu="concrete")],
    )
