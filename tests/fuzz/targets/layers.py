"""Targets: shapefiles and GeoPackages, which a process of its own reads."""

from __future__ import annotations

import io
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import pyogrio
from shapely.geometry import Polygon, box

import sitetwin as st
from tests.fuzz.judge import Target
from tests.fuzz.targets.properties import checked_map
from tests.site.maps.vector_files import write_layer

_X, _Y = 691_000.0, 5_335_000.0  # EPSG:25832
_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
_WORDS = (b"height", b"building", b"EPSG", b"UNIT", b"gpkg_contents", b"CREATE VIEW", b"WITH RECURSIVE", b"UTF-8")


@cache
def _written() -> dict[str, bytes]:
    """The files of one layer of two houses, by their names."""
    court = Polygon(box(_X, _Y, _X + 30, _Y + 20).exterior, [box(_X + 8, _Y + 5, _X + 18, _Y + 13).exterior])
    fields = {"height": [12.5, None], "name": ["Höhe", None], "levels": [3, 4]}
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2020-01-01T00:00:00.000Z"})  # the same bytes every day
    with tempfile.TemporaryDirectory() as folder:
        for ending in (".shp", ".gpkg"):
            write_layer(Path(folder) / f"town{ending}", [court, box(_X + 40, _Y, _X + 60, _Y + 9)], fields)
        found = {file.name: file.read_bytes() for file in sorted(Path(folder).iterdir())}
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
    table = found["town.dbf"]
    return found | {"town.dbf": table[:1] + bytes([120, 1, 1]) + table[4:]}


def _shapefile() -> list[dict[str, bytes]]:
    return [{f"town{ending}": _written()[f"town{ending}"] for ending in _PARTS}]


def _archive() -> list[dict[str, bytes]]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in _shapefile()[0].items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return [{"town.zip": packed.getvalue()}]


def _target(name: str, file: str, seeds: object) -> Target:
    return Target(name, lambda folder: st.open_site(folder / file), seeds, _WORDS, checked_map, 0.2)  # type: ignore[arg-type]


TARGETS = (
    _target("shapefile", "town.shp", _shapefile),
    _target("packed-shapefile", "town.zip", _archive),
    _target("geopackage", "town.gpkg", lambda: [{"town.gpkg": _written()["town.gpkg"]}]),
)
