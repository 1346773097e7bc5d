"""CityJSON as surveys write it: feet of split walls, uneven ground, compound names of systems, members in any order."""

from __future__ import annotations

import json
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site import Site, load_cityjson
from sitetwin.site.check.check import check_site
from sitetwin.site.importers.json_kind import is_cityjson
from sitetwin.site.importers.reference import parse_reference
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.opening import is_map
from tests.site.city_files import CityWriter, multi, solid


def house(rng: np.random.Generator, x: float, y: float, foot: float) -> list[tuple[str, list[Any]]]:
    """A gabled house; each wall is split where the dice say so, as its neighbours, roof or ground need not be."""
    wide, deep, eaves, ridge = rng.uniform(6, 14), rng.uniform(6, 14), 4.0, 7.0
    a, b, c, d = (x, y), (x + wide, y), (x + wide, y + deep), (x, y + deep)
    m, n = (x + wide / 2, y), (x + wide / 2, y + deep)

    def at(point: tuple[float, float], height: float) -> tuple[float, float, float]:
        return (*point, foot + height)

    faces: list[tuple[str, list[Any]]] = [("GroundSurface", [at(p, 0) for p in (a, d, c, b)])]
    for left, middle, right in ((a, m, b), (c, n, d)):
        top = [at(right, eaves), at(middle, ridge), at(left, eaves)]
        if rng.random() < 0.6:
            faces.append(("WallSurface", [at(left, 0), at(middle, 0), at(middle, ridge), at(left, eaves)]))
            faces.append(("WallSurface", [at(middle, 0), at(right, 0), *top[:2]]))
        else:
            faces.append(("WallSurface", [at(left, 0), at(right, 0), *top]))
    for left, right in ((b, c), (d, a)):
        cuts = [0.0, *np.sort(rng.uniform(0.1, 0.9, rng.integers(0, 3))).round(3).tolist(), 1.0]
        along = [tuple((np.array(left) * (1 - s) + np.array(right) * s).tolist()) for s in cuts]
        for p, q in pairwise(along):
            faces.append(("WallSurface", [at(p, 0), at(q, 0), at(q, eaves), at(p, eaves)]))
    faces.append(("RoofSurface", [at(m, ridge), at(n, ridge), at(d, eaves), at(a, eaves)]))
    faces.append(("RoofSurface", [at(m, ridge), at(b, eaves), at(c, eaves), at(n, ridge)]))
    return faces


def load(city: CityWriter, folder: Path, ledger: Ledger | None = None) -> Site:
    path = folder / "a.city.json"
    path.write_text(json.dumps(city.document))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SiteTwinWarning)
        return load_cityjson(path, ledger=ledger)


def errors(site: Site) -> list[str]:
    return [finding.text for finding in check_site(site).findings if finding.severity == "error"]


@settings(max_examples=12)
@given(seed=st.integers(0, 2**31))
@pytest.mark.parametrize("ground_surfaces", [True, False])
@pytest.mark.parametrize("relief", [True, False])
def test_feet_reach_the_ground_all_along(
    seed: int, ground_surfaces: bool, relief: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Walls split anyhow, houses at any height, with and without ground surfaces and terrain: closed on the ground."""
    rng = np.random.default_rng(seed)
    city = CityWriter()
    feet = np.round(rng.uniform(0, 8, 3), 3)
    for k, foot in enumerate(feet.tolist()):
        faces = house(rng, 30.0 * k, float(rng.uniform(0, 5)), foot + 2.0 * relief)
        kept = [face for face in faces if ground_surfaces or face[0] != "GroundSurface"]
        city.add(f"h{k}", "Building", [solid(city, kept)])
    if relief:
        slope = [(-30, -30, 0), (120, -30, 1.5), (120, 60, 1.5), (-30, 60, 0)]
        city.add("t", "TINRelief", [{**multi(city, [[slope[i] for i in t] for t in ((0, 1, 2), (0, 2, 3))])}])
    ledger = Ledger()
    site = load(city, tmp_path_factory.mktemp("city"), ledger)
    assert errors(site) == []
    assert not [entry.what for entry in ledger.entries if "does not close" in entry.what]
    for name in ("h0", "h1", "h2"):
        walls = site.corners[site.triangle_object == site.objects.index(f"{name}-walls")]
        if not relief:
            assert walls[..., 2].min() == pytest.approx(feet.min())
        roof = site.corners[site.triangle_object == site.objects.index(f"{name}-roof")]
        assert np.ptp(roof[..., 2]) == pytest.approx(3.0, abs=2e-3)  # nothing but the foot moves


def test_a_tower_on_a_podium_and_a_bay_keep_their_lower_ends(tmp_path: Path) -> None:
    """Only the foot is drawn down: no wall that ends on a roof or at a floor in the air."""
    city = CityWriter()
    low = [("WallSurface", w) for w in walls(0, 0, 20, 20, 5, 10)] + [("RoofSurface", lid(0, 0, 20, 20, 10))]
    tower = [("WallSurface", w) for w in walls(5, 5, 15, 15, 10, 30)] + [("RoofSurface", lid(5, 5, 15, 15, 30))]
    bay = [("WallSurface", w) for w in walls(8, 15, 12, 17, 15, 20)] + [("RoofSurface", lid(8, 15, 12, 17, 20))]
    floor = [("OuterCeilingSurface", lid(8, 15, 12, 17, 15)[::-1])]
    city.add("h", "Building", [solid(city, low + tower + bay + floor)])
    city.add("g", "Building", [solid(city, [("WallSurface", w) for w in walls(60, 0, 70, 10, 0, 9)])])
    site = load(city, tmp_path)
    z = np.unique(site.corners[site.triangle_object == site.objects.index("h-walls")][..., 2])
    assert z.tolist() == [0.0, 10.0, 15.0, 20.0, 30.0]


def walls(x0: float, y0: float, x1: float, y1: float, low: float, high: float) -> list[list[Any]]:
    ring = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    return [[(*p, low), (*q, low), (*q, high), (*p, high)] for p, q in zip(ring, ring[1:] + ring[:1], strict=True)]


def lid(x0: float, y0: float, x1: float, y1: float, z: float) -> list[Any]:
    return [(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)]


def test_a_house_that_the_file_leaves_open_is_named(tmp_path: Path) -> None:
    city = CityWriter()
    city.add("g", "Building", [solid(city, [("WallSurface", w) for w in walls(60, 0, 70, 10, 0, 9)])])
    ledger = Ledger()
    load(city, tmp_path, ledger)
    assert [e.examples for e in ledger.entries if "does not close" in e.what] == [["g"]]


ADDRESS = "https://www.opengis.net/def/crs"
NAMES = [
    ("urn:ogc:def:crs,crs:EPSG::25832,crs:EPSG::7837", 25832, "DHHN2016 height"),
    ("urn:ogc:def:crs,crs:EPSG:6.12:25832,crs:EPSG:6.12:7837", 25832, "DHHN2016 height"),
    ("urn:ogc:def:crs,crs:EPSG::7837,crs:EPSG::25832", 25832, "DHHN2016 height"),
    ("EPSG:25832+7837", 25832, "DHHN2016 height"),
    ("epsg:25832+EPSG:7837", 25832, "DHHN2016 height"),
    (f"{ADDRESS}-compound?1={ADDRESS}/EPSG/0/25832&2={ADDRESS}/EPSG/0/7837", 25832, "DHHN2016 height"),
    (f"{ADDRESS}-compound?1=http%3A%2F%2Fwww.opengis.net%2Fdef%2Fcrs%2FEPSG%2F0%2F25832", 25832, None),
    ("urn:adv:crs:ETRS89_UTM32*DE_DHHN2016_NH", 25832, "DHHN2016 height"),
    ("urn:adv:crs:ETRS89_UTM33", 25833, None),
    (f"{ADDRESS}/EPSG/0/5555", 25832, "DHHN92 height"),
    ("urn:ogc:def:crs:EPSG::7415", 28992, "NAP height"),
    ("EPSG:25832", 25832, None),
]


@pytest.mark.parametrize(("name", "plane", "heights"), NAMES)
def test_names_of_systems(name: str, plane: int, heights: str | None) -> None:
    found = parse_reference(name, "a.city.json")
    assert found.horizontal.to_epsg() == plane
    assert (found.vertical.name if found.vertical else None) == heights


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("urn:ogc:def:crs,crs:EPSG::4258,crs:EPSG::7837", "EPSG:4258"),
        ("EPSG:7837", "not a projected system"),
        ("EPSG:25832+25833", "not a projected system"),
        ("EPSG:25832+999999", "EPSG:999999, which PROJ does not know"),
        ("urn:adv:crs:ETRS89_UTM32*DE_UNKNOWN_NH", "no EPSG code"),
        ("urn:ogc:def:crs:OGC:1.3:CRS84", "no EPSG code"),
        ("the system that was EPSG:25832 once", "no EPSG code"),
    ],
)
def test_names_that_are_no_projected_system(name: str, says: str) -> None:
    with pytest.raises(SiteTwinError, match=says):
        parse_reference(name, "a.city.json")


def test_the_heights_of_a_compound_system_are_named(tmp_path: Path) -> None:
    city = CityWriter(translate=(691_000.0, 5_334_000.0, 512.0))
    faces = [("WallSurface", [(x + 691_000, y + 5_334_000, z + 512) for x, y, z in w]) for w in walls(0, 0, 9, 9, 0, 9)]
    city.add("h", "Building", [solid(city, faces)])
    city.document["metadata"] = {"referenceSystem": NAMES[0][0]}
    site = load(city, tmp_path)
    assert site.georeference is not None
    assert site.georeference.vertical_datum == "DHHN2016 height +512.000 m"
    assert (site.georeference.latitude, site.georeference.longitude) == pytest.approx((48.13, 11.57), abs=0.01)
    assert site.provenance["source"]["epsg"] == 25832
    assert site.provenance["source"]["vertical_epsg"] == 7837


PADDING = [[k, k, k] for k in range(20_000)]


@pytest.mark.parametrize(
    ("document", "city"),
    [
        ({"vertices": PADDING, "type": "CityJSON", "CityObjects": {}}, True),
        ({"vertices": PADDING, "version": "1.0", "CityObjects": {}, "type": "CityJSON"}, True),
        ({"metadata": {"elements": [1], "type": "FeatureCollection"}, "vertices": PADDING, "type": "CityJSON"}, True),
        ({"version": 0.6, "note": PADDING, "elements": [{"tags": {"type": "CityJSON", "CityObjects": "1"}}]}, False),
        ({"version": 0.6, "elements": [{"tags": {"source": "CityJSON"}}]}, False),
        ({"bbox": PADDING, "type": "FeatureCollection", "features": []}, False),
        ({"features": [{"properties": {"type": "CityJSON"}}], "type": "FeatureCollection"}, False),
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_cityjson_is_known_wherever_its_members_stand(
    document: dict[str, Any], city: bool, indent: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document, indent=indent))
    assert is_cityjson(path) is city
    assert is_map(path) is not city


def test_sequences_and_broken_files_are_told_too(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    head = {"vertices": PADDING, "type": "CityJSON", "version": "2.0", "CityObjects": {}}
    path.write_text("\n".join(map(json.dumps, [head, {"type": "CityJSONFeature", "CityObjects": {}}])))
    assert is_cityjson(path)
    path.write_text(json.dumps(head)[:-20])
    assert is_cityjson(path)
    path.write_text("[1, 2]")
    assert not is_cityjson(path)
