"""Targets: maps, rasters of heights, tracks, and tables of materials."""

from __future__ import annotations

import bz2
import gzip
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import sitetwin as st
from sitetwin.rays.moving.drives import trajectories_from_gpx
from sitetwin.site import Georeference, Site, read_recipe
from sitetwin.site.maps import Ledger, load_rules, load_terrain, read_streets
from sitetwin.site.places.gpx import read_gpx
from tests.fuzz.containers import json_text
from tests.fuzz.judge import Target
from tests.fuzz.targets.properties import checked_map, finite, plausible, sound_site
from tests.site.maps import osm_files

LATITUDE, LONGITUDE = 52.5, 13.4
EXTENT = (-60.0, -60.0, 60.0, 60.0)


@cache
def small_site() -> Site:
    """A georeferenced site of one house, some 300 m wide."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "small.geojson"
        place.write_bytes(geojson(5e-4))
        return st.open_site(place)


def _square(west: float, south: float, side: float) -> list[list[float]]:
    return [[west, south], [west + side, south], [west + side, south + side], [west, south + side], [west, south]]


def geojson(side: float = 2e-4) -> bytes:
    """Two houses, one with a courtyard, a street, a park and a tree."""

    def feature(kind: str, coordinates: Any, **properties: Any) -> dict[str, Any]:
        return {"type": "Feature", "properties": properties, "geometry": {"type": kind, "coordinates": coordinates}}

    x, y = LONGITUDE, LATITUDE
    houses = [_square(x, y, side), _square(x + side / 3, y + side / 3, side / 3)[::-1]]
    features = [
        feature("Polygon", houses, building="yes", height="12"),
        feature("MultiPolygon", [[_square(x + 2 * side, y, side)]], building="house", **{"building:levels": 3}),
        feature("LineString", [[x - side, y - side], [x + side, y - side]], highway="residential", width="6"),
        feature("Polygon", [_square(x, y + 2 * side, side)], leisure="park"),
        feature("Point", [x + 1.5 * side, y + side], natural="tree", height="8"),
    ]
    return json_text({"type": "FeatureCollection", "features": features})


def _town() -> osm_files.Town:
    made = osm_files.Town()
    made.square(1, LONGITUDE, LATITUDE, 2e-4, building="yes", height="12 m", roof__shape="gabled")
    made.square(3, LONGITUDE, LATITUDE + 4e-4, 3e-4)
    made.square(4, LONGITUDE + 1e-4, LATITUDE + 5e-4, 1e-4)
    made.nodes[7] = (LONGITUDE + 1e-4, LATITUDE + 3e-4, {"natural": "tree", "height": "9"})
    made.nodes[8], made.nodes[9] = (LONGITUDE - 2e-4, LATITUDE + 3.5e-4, {}), (LONGITUDE + 5e-4, LATITUDE + 3.5e-4, {})
    made.ways[6] = ([8, 9], {"highway": "residential", "lanes": "2"})
    made.relations[1] = ([("w", 3, "outer"), ("w", 4, "inner")], {"type": "multipolygon", "building": "yes"})
    return made


def _bounds() -> tuple[float, float, float, float]:
    return (LONGITUDE - 3e-4, LATITUDE - 3e-4, LONGITUDE + 6e-4, LATITUDE + 8e-4)


def _xml() -> list[dict[str, bytes]]:
    return [{"village.osm": osm_files.xml(_town(), _bounds())}, {"village.osm": osm_files.xml(_town())}]


def _pbf() -> list[dict[str, bytes]]:
    with tempfile.TemporaryDirectory() as folder:
        return [{"village.osm.pbf": osm_files.pbf(_town(), Path(folder) / "village.osm.pbf", _bounds()).read_bytes()}]


def _overpass() -> list[dict[str, bytes]]:
    return [{"village.json": json_text(osm_files.overpass(_town(), geometry))} for geometry in (True, False)]


def _packed() -> list[dict[str, bytes]]:
    return [
        {"village.geojson.gz": gzip.compress(geojson(), mtime=0)},
        {"village.osm.bz2": bz2.compress(_xml()[0]["village.osm"])},
    ]


def _raster(kind: str) -> bytes:
    """A slope over the small site, of pixels of 10 m."""
    import rasterio

    side = 2e-4
    transform = rasterio.Affine(side, 0.0, LONGITUDE - 10 * side, 0.0, -side, LATITUDE + 10 * side)
    height = (np.add.outer(np.arange(20), np.arange(20)) / 4 + 30).astype(np.float32)
    more = {"compress": "deflate", "tiled": True, "blockxsize": 16, "blockysize": 16} if kind == "tiles" else {}
    with rasterio.MemoryFile() as memory:
        with memory.open(
            driver="GTiff", width=20, height=20, count=1, dtype="float32", crs="EPSG:4326", transform=transform,
            nodata=-9999.0, **more,
        ) as target:  # fmt: skip
            target.write(height, 1)
        return bytes(memory.read())


def _ascii_grid() -> bytes:
    rows = "\n".join(" ".join(f"{30 + r / 4:.2f}" for _ in range(20)) for r in range(20))
    return (
        f"ncols 20\nnrows 20\nxllcorner {LONGITUDE - 2e-3}\nyllcorner {LATITUDE - 2e-3}\ncellsize 2e-4\n"
        f"NODATA_value -9999\n{rows}\n"
    ).encode()


def _grid_projection() -> bytes:
    import pyproj

    return pyproj.CRS.from_epsg(4326).to_wkt("WKT1_ESRI").encode()


def _terrain() -> list[dict[str, bytes]]:
    return [
        {"slope.tif": _raster("strips")},
        {"slope.tif": _raster("tiles")},
        {"slope.asc": _ascii_grid(), "slope.prj": _grid_projection()},
    ]


def _gpx() -> list[dict[str, bytes]]:
    points = "".join(
        f'<trkpt lat="{LATITUDE + k * 5e-5:.6f}" lon="{LONGITUDE + 1e-5 * k:.6f}"><ele>{30 + k}</ele>'
        f"<time>2024-05-01T12:00:{k:02d}Z</time></trkpt>"
        for k in range(12)
    )
    return [
        {
            "drive.gpx": (
                '<?xml version="1.0"?><gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1"><trk><name>drive</name>'
                f"<trkseg>{points}</trkseg></trk><rte><rtept lat='{LATITUDE}' lon='{LONGITUDE}'/></rte></gpx>"
            ).encode()
        }
    ]


RECIPE = b"""name = "rough"
together = true
scatter_centres = 2
[walls]
sigma = 0.5
[heights]
sigma = 0.3
[trees]
missing = 0.1
size_sigma = 0.2
[trees.position]
sigma = 1.0
[missing_buildings]
share = 0.05
[parked_vehicles]
count = 2
street_width = 8.0
streets = [[[-20.0, -20.0], [20.0, -20.0]]]
[materials]
concrete = "brick"
[hidden_materials]
share = 0.2
[pose]
yaw_sigma_deg = 1.0
"""

_RULES = b"""[base]
wall = "concrete"
roof = "concrete"
ground = "paving"
[materials]
concrete = { itu = "concrete", thickness = 0.2 }
paving = { itu = "concrete" }
own = { relative_permittivity = 4.0, conductivity = 0.01, thickness = 0.1, scattering_coefficient = 0.2 }
[[rule]]
target = "wall"
key = "building:material"
values = ["concrete", "*"]
material = "own"
"""

_TAGS = (
    b"building",
    b"height",
    b"building:levels",
    b"roof:shape",
    b"highway",
    b"natural",
    b"tree",
    b"type",
    b"multipolygon",
)
_TAGS += (
    b"coordinates",
    b"geometry",
    b"features",
    b"crs",
    b"properties",
    b"Polygon",
    b"GeometryCollection",
    b"coastline",
)
_TAGS += (b"nodes", b"members", b"ref", b"lat", b"lon", b"bounds", b"outer", b"inner", b"role", b"min_height", b"layer")
_TAGS += (b"building:part", b"tunnel", b"bridge", b"location", b"underground", b"width", b"dome", b"skillion", b"water")


def _terrain_of(folder: Path) -> Any:
    file = next((f for f in sorted(folder.iterdir()) if f.suffix != ".prj"), folder / "slope.tif")
    return load_terrain(file, Georeference(LATITUDE, LONGITUDE), EXTENT, Ledger())


def _one(folder: Path) -> Path:
    """The only file of an input."""
    return next(iter(sorted(folder.iterdir())))


def _check_streets(streets: Any) -> None:
    finite([np.array(line.coords) for line in streets.lines])
    assert all(0 < width < 1000 for width in streets.widths), "a street that is no metre or a kilometre wide"


def _map(name: str, seeds: Any, share: float = 0.7) -> Target:
    return Target(name, lambda folder: st.open_site(_one(folder)), seeds, _TAGS, checked_map, share)


TARGETS = (
    _map("geojson", lambda: [{"village.geojson": geojson()}]),
    _map("overpass", _overpass),
    _map("osm-xml", _xml),
    _map("osm-pbf", _pbf),
    _map("packed-map", _packed, 0.3),
    Target(
        "streets",
        lambda folder: read_streets(_one(folder), small_site()),
        lambda: [{"village.geojson": geojson()}, *_xml()],
        _TAGS,
        _check_streets,
        0.5,
    ),
    Target(
        "terrain", _terrain_of, _terrain, (b"nodata", b"ncols"), lambda t: plausible([t.heights, t.origin_height]), 0.7
    ),
    Target(
        "gpx",
        lambda folder: read_gpx(_one(folder)),
        _gpx,
        (b"trkpt", b"trkseg", b"lat", b"lon", b"ele", b"time", b"rte"),
    ),
    Target(
        "drives",
        lambda folder: trajectories_from_gpx(_one(folder), small_site(), speed=5.0),
        _gpx,
        (b"trkpt", b"trkseg", b"lat", b"lon", b"ele", b"time", b"rte"),
        lambda found: plausible([[t.times, t.positions, t.velocities] for t in found]),
    ),
    Target(
        "recipes",
        lambda folder: read_recipe(_one(folder)),
        lambda: [{"rough.toml": RECIPE}],
        (b"walls", b"heights", b"trees", b"sigma", b"share", b"pose", b"materials", b"name", b"together", b"missing"),
        plausible,
    ),
    Target(
        "recipe-applied",
        lambda folder: read_recipe(_one(folder)).apply(small_site(), np.random.default_rng(1)),
        lambda: [{"rough.toml": RECIPE}],
        (b"walls", b"heights", b"trees", b"sigma", b"share", b"pose", b"materials", b"name", b"together", b"missing"),
        sound_site,
        0.5,
        named=False,
    ),
    Target(
        "rules",
        lambda folder: load_rules(_one(folder)),
        lambda: [{"table.toml": _RULES}],
        (
            b"itu",
            b"thickness",
            b"rule",
            b"target",
            b"values",
            b"material",
            b"base",
            b"conductivity",
            b"alpha_r",
            b"wall",
        ),
        lambda rules: finite([m.to_dict() for m in rules.materials.values()]),
    ),
)
