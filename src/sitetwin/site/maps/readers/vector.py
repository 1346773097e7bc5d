"""Shapefiles and GeoPackages, read by GDAL (package pyogrio) in a process with little time and memory."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyproj
import shapely

from sitetwin import untrusted
from sitetwin.errors import SiteTwinError
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.readers import vector_child
from sitetwin.untrusted.arrays import read_npz
from sitetwin.untrusted.limited import ANSWER, ask

_ENVIRONMENT = {
    "GDAL_SKIP": vector_child.SKIPPED,
    "GDAL_DRIVER_PATH": "disable",
    "OGR_DRIVER_PATH": "disable",
    "OGR_SQLITE_ALLOW_EXTERNAL_ACCESS": "NO",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{noext}",
    "GDAL_DISABLE_READDIR_ON_OPEN": "YES",
    "SHAPE_RESTORE_SHX": "YES",
    "PROJ_NETWORK": "OFF",
}
_KEPT = ("GDAL_DATA", "PROJ_DATA", "PROJ_LIB")  # where the libraries' data lie
_SECONDS, _BYTES_A_SECOND = 6, 2**21
_MEMORY, _COPIES = 2**30, 12  # bytes of the process itself, and copies of the file that it may hold
_LONGEST_REFERENCE = 20_000
_OPENS_FILES = re.compile(r"PARAMETERFILE|EXTENSION|grids|BOUNDCRS|PROJ4|://", re.IGNORECASE)
_CODE = re.compile(r"(EPSG|ESRI|OGC|IGNF):[A-Za-z0-9]{1,12}")
_SHOWN = 10


@dataclass(frozen=True)
class Layer:
    """A layer of features.

    Attributes:
        name: Name of the layer.
        geojson: Its features as a GeoJSON FeatureCollection, in its own reference system.
        crs: Its reference system, or None where the file names none.
    """

    name: str
    geojson: dict[str, Any]
    crs: pyproj.CRS | None


def read_layers(
    sources: Mapping[str, Mapping[str, bytes]], where: str, ledger: Ledger, wanted: Sequence[str] | None = None
) -> list[Layer]:
    """Read the layers of shapefiles or of a GeoPackage that have geometry.

    Args:
        sources: Of each shapefile, by its name, its parts by their suffix (".shp", ".shx", ".dbf" ...); of a
            GeoPackage, under "", its content under ".gpkg".
        where: Name of the file, for messages.
        ledger: Account of the import; it records tables without geometry and shapes that are not read.
        wanted: Names of the layers, if there are several; all by default.

    Raises:
        SiteTwinError: The package pyogrio is not installed, or the file has none of the layers, is damaged, needs too
            much time or memory, has layers that are no plain tables or shapes that are neither points nor lines nor
            polygons, or names a reference system that is not known.
    """
    if find_spec("pyogrio") is None:
        raise SiteTwinError(
            f"'{where}' needs the package pyogrio; install it with `pip install 'sitetwin[geo]'`, or convert the file: "
            "`ogr2ogr -t_srs EPSG:4326 map.geojson FILE`"
        )
    answer, arrays = _ask(sources, where, wanted)
    told = answer["layers"]
    for words in answer["said"]:
        ledger.note("assumed", f"as GDAL read it: {words}")
    if wanted and len(told) > 1 and not any("count" in layer for layer in told):
        names = ", ".join(str(layer["name"])[:60] for layer in told[:_SHOWN])
        _refuse(where, f"has no layer '{str(wanted[0])[:60]}'; its layers are {names}")
    made = []
    for number, layer in enumerate(told):
        if layer["geometry"] is None:
            ledger.note("dropped", "table without geometry", str(layer["name"])[:60])
        elif "count" in layer:
            features = _features(layer, arrays[f"wkb{number}"], arrays[f"ends{number}"], where)
            crs = _reference(layer["crs"], f"{where}, layer {layer['name'][:60]}" if len(told) > 1 else where)
            if crs is None and sources.get(layer["name"], {}).get(".prj", b"").strip():
                _refuse(where, "has a .prj that is not understood; replace it by one with an EPSG code")
            made.append(Layer(layer["name"], {"type": "FeatureCollection", "features": features}, crs))
    return made


def _ask(
    sources: Mapping[str, Mapping[str, bytes]], where: str, wanted: Sequence[str] | None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the process says of the layers, and the arrays of their shapes."""
    size = sum(len(data) for parts in sources.values() for data in parts.values())
    seconds = _SECONDS + size // _BYTES_A_SECOND
    with _refusing(where), tempfile.TemporaryDirectory(prefix="sitetwin-") as folder:
        question = {
            "folder": folder,
            "sources": [_put(Path(folder), k, name, parts) for k, (name, parts) in enumerate(sources.items())],
            "wanted": None if wanted is None else list(wanted),
        }
        try:
            ended = ask(vector_child.__file__, question, seconds, _MEMORY + _COPIES * size, _ENVIRONMENT, _KEPT)
        except subprocess.TimeoutExpired:
            _refuse(where, "takes too long to read; export the layer that is wanted")
        if ended == "too long":
            _refuse(where, f"takes more than {seconds} s to read; export the layer that is wanted")
        if ended == "broken":
            _refuse(where, "is damaged, or needs far more memory than its size; export it again")
        mend = "export it again"
        arrays = read_npz(Path(folder) / ANSWER, f"what was read of '{where}'", mend)
    text = untrusted.parse_json(arrays["text"].tobytes(), f"what was read of '{where}'", mend, half_characters=True)
    if "refused" in text:
        _refuse(where, text["refused"])
    return text, arrays


@contextmanager
def _refusing(where: str) -> Iterator[None]:
    """Refuse the file where the system gives no folder, no room or no process: Python within a program has none."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        _refuse(
            where,
            f"cannot be copied and read by a process of Python ({reason}: '{str(error.filename or '')[:80]}'); make "
            "room for temporary files and run an ordinary Python, or convert it to GeoJSON",
        )


def _put(folder: Path, number: int, name: str, parts: Mapping[str, bytes]) -> dict[str, Any]:
    """Write the parts of a source under a name of ours, with no other file beside them."""
    for suffix, data in parts.items():
        (folder / f"{number}{suffix}").write_bytes(data)
    source = {"name": name, "file": f"{number}{'.gpkg' if '.gpkg' in parts else '.shp'}"}
    if ".dbf" in parts and ".cpg" not in parts and _is_utf8(parts[".dbf"]):
        source["encoding"] = "UTF-8"
    return source


def _is_utf8(table: bytes) -> bool:
    """Whether a table without a word of its encoding has text that is UTF-8 and nothing else."""
    text = table[32:]
    if text.isascii():
        return False
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _features(layer: Mapping[str, Any], wkb: np.ndarray, ends: np.ndarray, where: str) -> list[dict[str, Any]]:
    data, starts = wkb.tobytes(), np.concatenate([[0], ends[:-1]])
    blobs = np.array([data[a:b] or None for a, b in zip(starts, ends, strict=True)], dtype=object)
    shapes = shapely.from_wkb(blobs, on_invalid="ignore")
    lost = sum(blob is not None and shape is None for blob, shape in zip(blobs, shapes, strict=True))
    if lost:
        _refuse(where, f"has {lost} shapes that are no points, lines or polygons; export footprints as polygons")
    names = [name for name, _ in layer["fields"]]
    rows = zip(*(values for _, values in layer["fields"]), strict=True) if names else iter([()] * len(shapes))
    return [
        {"type": "Feature", "geometry": _geometry(shape), "properties": dict(zip(names, row, strict=True))}
        for shape, row in zip(shapes, rows, strict=True)
    ]


def _geometry(shape: Any) -> dict[str, Any] | None:
    return None if shape is None or shape.is_empty else dict(shape.__geo_interface__)


def _reference(text: str | None, where: str) -> pyproj.CRS | None:
    """The reference system that GDAL found; none where it says that it is undefined."""
    if not text or re.search(r"undefined", text[:200], re.IGNORECASE):
        return None
    code = _CODE.fullmatch(text)
    if code is None and (len(text) > _LONGEST_REFERENCE or _OPENS_FILES.search(text)):
        _refuse(where, "describes its reference system by other files; reproject it to one with an EPSG code")
    try:
        return pyproj.CRS.from_user_input(text) if code is not None else pyproj.CRS.from_wkt(text)
    except pyproj.exceptions.CRSError:
        _refuse(where, f"is in the reference system '{' '.join(text.split())[:60]}', which is not known; reproject it")


def _refuse(where: str, what: str) -> NoReturn:
    raise SiteTwinError(f"'{where}' {what}")
