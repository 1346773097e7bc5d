"""Extracts of OpenStreetMap: what becomes of each building, and whether the place is fit to be traced."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from benchmarks.site_import import bodies_of, compare_roofs

from sitetwin.site import Site, check_site, inside_building, load_scene, surface_height
from sitetwin.site.latlon import to_local
from sitetwin.site.maps import (
    BuildingOptions,
    Feature,
    MapData,
    Radius,
    parse_count,
    parse_length,
    read_map,
    read_maps,
    site_from_map,
)
from tests.real_data.cases import Bound, Case, at_least, at_most, between, exactly

CARRIER = 3.5e9

SAME_HEIGHT = 0.02
"""Metres: the other mesh keeps heights in single precision, to the centimetre."""


def imported(*files: Path, clip: Radius | None = None) -> tuple[MapData, Site]:
    """Read maps and build their site; the account stands in the site's provenance."""
    found, ledger = read_maps([str(file) for file in files], clip=clip)
    return found, site_from_map(found, ledger)


def lost(site: Site) -> int:
    """Buildings that the account of the import says are dropped, and why."""
    rows = site.provenance["import"]
    return sum(row["count"] for row in rows if row["kind"] == "dropped" and row["what"].startswith("building "))


def said(site: Site, kind: str, words: str) -> int:
    """How often the account of the import says something."""
    return sum(row["count"] for row in site.provenance["import"] if row["kind"] == kind and words in row["what"])


def buildings_of(found: MapData) -> list[Feature]:
    """What the map calls a building."""
    return [feature for feature in found.features if feature.tags.get("building", "no") != "no"]


def wrong_heights(found: MapData, site: Site) -> int:
    """Bodies whose top is not what the documented rules make of their tags, on flat ground at height 0."""
    rules, bodies, wrong = BuildingOptions(), bodies_of(site), 0
    for feature in buildings_of(found):
        if feature.key not in bodies:
            continue
        height, levels = parse_length(feature.tags.get("height")), parse_count(feature.tags.get("building:levels"))
        wanted = height or (levels * rules.level_height if levels else rules.default_height)
        wrong += abs(float(bodies[feature.key][0][..., 2].max()) - wanted) > 1e-3
    return wrong


def fitness(found: MapData, site: Site) -> dict[str, float]:
    """What every import of a map is asked."""
    report = check_site(site, CARRIER)
    outlines = len(buildings_of(found))
    return {
        "buildings on the map": outlines,
        "buildings lost without a word": outlines - report.counts["buildings"] - lost(site),
        "places with an error of the site check": sum(f.count for f in report.of("error")),
    }


def fit(buildings: int) -> tuple[Bound, ...]:
    """The bounds of `fitness`."""
    return (
        exactly("buildings on the map", buildings, "the file"),
        exactly("buildings lost without a word", 0, "built, or dropped with a reason in the account"),
        exactly("places with an error of the site check", 0, "closed, facing outwards, nothing inside of another"),
    )


def roofs(found: MapData, site: Site) -> dict[str, float]:
    """Tops and plan areas against the map itself."""
    areas = compare_roofs(found, site)
    return {
        "tops against the rules for heights": wrong_heights(found, site),
        "plan area of a roof, largest error (share)": areas["roof_area_worst"],
        "plan area of all roofs over that of the outlines": areas["roof_area_total_ratio"],
    }


ROOFS = (
    exactly("tops against the rules for heights", 0, "height, else storeys of 3 m, else 9 m"),
    at_most("plan area of a roof, largest error (share)", 1e-3, "its outline, where it stands alone"),
    between("plan area of all roofs over that of the outlines", 0.9999, 1.0001, "the union of the outlines"),
)


def same_surface(ours: Site, theirs: Site, step: float = 2.0) -> float:
    """Share of a grid over the second site where the highest surface of both is at one height."""
    (west, south), (east, north) = theirs.bounds[:, :2]
    inner = 30.0  # metres, so that both are there
    x, y = np.meshgrid(np.arange(west + inner, east - inner, step), np.arange(south + inner, north - inner, step))
    plan = np.column_stack([x.ravel(), y.ravel()])
    one, other = surface_height(ours, plan), surface_height(theirs, plan)
    built = (np.nan_to_num(other) > 1.0) | (np.nan_to_num(one) > 1.0)
    return float((np.abs(one - other) <= SAME_HEIGHT)[built].mean())


def _new_york(data: Path) -> dict[str, float]:
    file = data / "new_york" / "osm" / "map.osm"
    found, site = imported(file)
    origin = np.array([float(v) for v in (data / "new_york" / "osm_gps_origin.txt").read_text().split()])
    assert found.georeference is not None
    ours = np.array([found.georeference.latitude, found.georeference.longitude])
    near, _ = read_map(file, clip=Radius(*map(float, origin), 60.0))
    return {
        **fitness(found, site),
        **roofs(found, site),
        "origin, off that of the makers (1e-6 degrees)": 1e6 * float(np.abs(ours - origin).max()),
        "features within 60 m, of all (share)": len(near.features) / len(found.features),
        "built ground with the height of the other mesh (share)": same_surface(
            site, load_scene(data / "new_york" / "insite")
        ),
    }


def _rows(file: Path) -> Mapping[str, np.ndarray]:
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _duke(data: Path) -> dict[str, float]:
    found, site = imported(data / "duke" / "duke.osm")
    rows = _rows(data / "duke" / "duke_cbrs_cells_A-D.csv")
    plan = to_local(site, rows["latitude"].astype(float), rows["longitude"].astype(float))
    users = np.column_stack([plan, np.full(len(plan), 1.5)])
    inside = (np.abs(plan - site.bounds[:, :2].mean(axis=0)) <= np.ptp(site.bounds[:, :2], axis=0) / 2).all(axis=1)
    return {
        **fitness(found, site),
        "measured rows": len(plan),
        "cells": len(np.unique(rows["PCI"])),
        "strongest RSRP (dBm)": float(rows["rsrp"].astype(float).max()),
        "measured rows on the map (share)": float(inside.mean()),
        "measured rows outside buildings (share)": float((~inside_building(site, users)).mean()),
    }


CASES = (
    Case(
        "New York, OpenStreetMap",
        ("new_york/osm/map.osm", "new_york/osm_gps_origin.txt", "new_york/insite"),
        (
            *fit(107),
            *ROOFS,
            at_most("origin, off that of the makers (1e-6 degrees)", 0.1, "the release"),
            between("features within 60 m, of all (share)", 0.001, 0.9, "a clip keeps some and not all"),
            at_least("built ground with the height of the other mesh (share)", 0.9, "made by others of the same map"),
        ),
        _new_york,
    ),
    Case(
        "Duke, OpenStreetMap and drive test",
        ("duke/duke.osm", "duke/duke_cbrs_cells_A-D.csv"),
        (
            *fit(104),
            exactly("measured rows", 21_063, "the release"),
            exactly("cells", 4, "the release"),
            at_most("strongest RSRP (dBm)", -30, "what a phone reports at most"),
            at_least("measured rows on the map (share)", 0.9, "the map was cut around the drive"),
            at_least("measured rows outside buildings (share)", 0.9, "the phones were carried outdoors"),
        ),
        _duke,
    ),
)
