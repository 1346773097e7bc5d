"""Street trees: seeded, outdoors, clear of every wall."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.site import Site, StreetTrees, outdoor_mask, plant_street_trees

AREA = (-80.0, -60.0, 80.0, 80.0)


def crowns(site: Site) -> tuple[np.ndarray, np.ndarray]:
    volumes = site.vegetation.volumes
    return np.array([v.centre for v in volumes]), np.array([v.semi_axes for v in volumes])


def test_crowns_keep_clear_of_the_boxes(town: Site) -> None:
    planted = plant_street_trees(town, np.random.default_rng(1), AREA, 8.0)
    centre, axes = crowns(planted)
    assert len(centre) > 15
    boxes = np.array([[-40, -20, -20, 20], [20, -20, 40, 20], [-5, 50, 5, 60]])
    beyond = np.maximum(boxes[:, :2] - centre[:, None, :2], centre[:, None, :2] - boxes[:, 2:])
    distance = np.hypot(*np.moveaxis(np.maximum(beyond, 0.0), -1, 0)).min(axis=1)
    assert (distance >= axes[:, 0] + 2.0 - 1e-9).all()
    assert (distance <= axes[:, 0] + 2.0 + 1.5 + 0.6).all()  # along the facades, to the raster's step
    assert (centre[:, 2] - axes[:, 2] >= 2.4).all()
    assert (centre[:, 2] + axes[:, 2] <= 16.1).all()
    apart = np.linalg.norm(centre[:, None, :2] - centre[None, :, :2], axis=-1) + np.diag(np.full(len(centre), np.inf))
    assert apart.min() >= 8.0


def test_munich_is_seeded_and_stays_outdoors(munich: Site) -> None:
    site = munich
    area = (-120.0, -120.0, 120.0, 120.0)
    one = plant_street_trees(site, np.random.default_rng(7), area)
    assert one.hash == plant_street_trees(site, np.random.default_rng(7), area).hash
    assert one.hash != plant_street_trees(site, np.random.default_rng(8), area).hash
    centre, axes = crowns(one)
    assert len(centre) > 50
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    rim = centre[:, None, :2] + axes[:, None, :1] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    assert outdoor_mask(site, rim.reshape(-1, 2)).all()
    note = one.provenance["planting"][0]
    assert note["trees"] == len(centre)
    json.dumps(one.provenance)
    assert one.num_facets == site.num_facets
    assert site.vegetation.num_volumes == 0


def test_second_planting_keeps_the_first(town: Site) -> None:
    once = plant_street_trees(town, np.random.default_rng(1), AREA, 12.0)
    twice = plant_street_trees(once, np.random.default_rng(2), AREA, 12.0, StreetTrees(height_mean=9.0))
    assert twice.vegetation.volumes[: once.vegetation.num_volumes] == once.vegetation.volumes
    assert len(twice.provenance["planting"]) == 2


def test_bad_areas_are_refused(town: Site) -> None:
    for area, spacing in (((0, 0, -1, 1), 5.0), ((0, 0, np.nan, 1), 5.0), ((0, 0, 1, 1), 0.0), ((0, 0, 1e6, 1), 5.0)):
        with pytest.raises(SiteTwinError):
            plant_street_trees(town, np.random.default_rng(0), area, spacing)
