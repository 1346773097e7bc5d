"""Boston: 22,188 footprints of the city's open data, downtown, and street trees of OpenStreetMap."""

from __future__ import annotations

from pathlib import Path

from benchmarks.site_import import projection_error

from sitetwin.site.maps import Radius, read_map
from tests.real_data.cases import Case, at_most, between, exactly
from tests.real_data.map_extracts import ROOFS, fit, fitness, imported, roofs, said

CITY, DOWNTOWN = "boston/boston_buildings_stories.geojson.gz", "boston/boston_downtown_buildings.geojson"
TREES = "boston/boston_trees_osm.geojson.gz"
COMMON = Radius(42.3560, -71.0590, 600.0)
"""The part of the city that the CSI study's documentation imports."""


def _city(data: Path) -> dict[str, float]:
    found, site = imported(data / CITY)
    return {
        **fitness(found, site),
        **roofs(found, site),
        "buildings without storeys": said(site, "assumed", "0 or less means unknown"),
        "projection against pyproj within 5 km (mm)": 1e3 * projection_error(found),
    }


def _downtown(data: Path) -> dict[str, float]:
    found, site = imported(data / DOWNTOWN)
    return {**fitness(found, site), **roofs(found, site)}


def _trees(data: Path) -> dict[str, float]:
    trees, _ = read_map(data / TREES)
    found, site = imported(data / CITY, data / TREES, clip=COMMON)
    near = [feature for feature in found.features if feature.tags.get("natural") == "tree"]
    crowns = site.vegetation.num_volumes - int(site.vegetation.is_trunk.sum())
    return {
        **fitness(found, site),
        "trees in the file": len(trees.features),
        "features of the file that are no trees": sum(f.tags.get("natural") != "tree" for f in trees.features),
        "trees within 600 m": len(near),
        "trees lost without a word": len(near) - crowns - said(site, "dropped", "tree "),
    }


CASES = (
    Case(
        "Boston, the whole city",
        (CITY,),
        (
            *fit(22_186),
            *ROOFS,
            exactly("buildings without storeys", 3_995, "the file"),
            at_most("projection against pyproj within 5 km (mm)", 0.001, "another implementation"),
        ),
        _city,
    ),
    Case("Boston, downtown", (DOWNTOWN,), (*fit(1_073), *ROOFS), _downtown),
    Case(
        "Boston, the Common with its trees",
        (CITY, TREES),
        (
            *fit(431),
            exactly("trees in the file", 8_269, "the file"),
            exactly("features of the file that are no trees", 0, "the file"),
            between("trees within 600 m", 600, 700, "the file"),
            exactly("trees lost without a word", 0, "planted, or dropped with a reason in the account"),
        ),
        _trees,
    ),
)
