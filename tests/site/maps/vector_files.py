"""Shapefiles and GeoPackages for tests, and a reader of them that starts no process of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import shapely
from shapely.geometry import mapping

from sitetwin.site.maps.readers import vector_child

DRIVERS = {".shp": "ESRI Shapefile", ".gpkg": "GPKG"}


def write_layer(
    file: Path, shapes: list[Any], fields: dict[str, list[Any]], crs: str | None = "EPSG:25832", **how: Any
) -> Path:
    """Write a layer by GDAL; None is a missing shape or value."""
    wkb = np.array([None if shape is None else shapely.to_wkb(shape) for shape in shapes], dtype=object)
    kinds = {shape.geom_type.removeprefix("Multi") for shape in shapes if shape is not None}
    kind = how.pop("geometry_type", None) or (kinds.pop() if len(kinds) == 1 else "Unknown")
    options = {"geometry_type": kind, "crs": crs, "driver": DRIVERS[file.suffix], **how}
    columns = [_column(values) for values in fields.values()]
    masks = [np.array([value is None for value in values]) for values in fields.values()]
    pyogrio.raw.write(file, wkb, columns, list(fields), field_mask=masks, **options)
    return file


def _column(values: list[Any]) -> np.ndarray:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, (int, float)) for value in known):
        kind = int if all(isinstance(value, int) for value in known) else float
        return np.array([0 if value is None else value for value in values], dtype=kind)
    return np.array(values, dtype=object)


def write_geojson(file: Path, shapes: list[Any], fields: dict[str, list[Any]], crs: str = "EPSG:25832") -> Path:
    rows = [dict(zip(fields, values, strict=True)) for values in zip(*fields.values(), strict=True)]
    features = [
        {"type": "Feature", "properties": row, "geometry": None if shape is None else mapping(shape)}
        for shape, row in zip(shapes, rows or [{}] * len(shapes), strict=True)
    ]
    member = {"type": "name", "properties": {"name": crs}}
    file.write_text(json.dumps({"type": "FeatureCollection", "crs": member, "features": features}), encoding="utf-8")
    return file


def without_process(*_: Any, input: bytes, **__: Any) -> subprocess.CompletedProcess:
    """Stands in for `subprocess.run`: the reader's process costs a second, which a property test cannot pay."""
    vector_child.answer(json.loads(input))
    return subprocess.CompletedProcess([], 0)
