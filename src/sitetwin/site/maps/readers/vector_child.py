"""Read shapefiles and GeoPackages by GDAL, as a program of its own: files of strangers get little time and memory.

`sitetwin.untrusted.limited` lets this program run. It imports nothing of the package, so that it starts quickly.
`vector.py` asks the question and checks the answer.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

MOST_LAYERS = 200
MOST_FIELDS = 1000
MOST_WARNINGS = 10

SKIPPED = (
    "ADBC,AIVector,AVCBin,AVCE00,AmigoCloud,CSV,CSW,Carto,DGN,DXF,EDIGEO,EEDA,ESRIJSON,Elasticsearch,FlatGeobuf,GDALG,"
    "GML,GPSBabel,GPX,GTFS,GeoJSON,GeoJSONSeq,GeoRSS,HTTP,Idrisi,JML,JSONFG,KML,LIBKML,LVBAG,MBTiles,MVT,MapInfo File,"
    "MapML,MiraMonVector,NGW,OAPIF,ODS,OGCAPI,OGR_GMT,OGR_PDS,OGR_VRT,OSM,OpenFileGDB,PCIDSK,PDF,PDS4,PGDUMP,PLSCENES,"
    "PMTiles,S57,SQLite,SXF,Selafin,TopoJSON,VDV,VFK,VICAR,WAsP,WFS,XLSX,VRT,Rasterlite,WMS,WCS,WMTS,Parquet,Arrow"
)
"""Drivers of GDAL that are not even registered; any that a newer GDAL adds is refused by its name."""

_DRIVERS = {".shp": "ESRI Shapefile", ".gpkg": "GPKG"}


class RefusalError(Exception):
    """What is wrong with a file, and how to mend it."""


def answer(question: dict[str, Any]) -> None:
    """Read what the question names and write the answer.

    Args:
        question: `folder`; `answer`, the file to write; `sources`, each with its `file` in the folder, the
            `name` of its layer ("" where the file has names) and perhaps an `encoding`; and
            `wanted`, names of layers or None.
    """
    import numpy as np

    arrays: dict[str, Any] = {}
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            layers = _layers(question, arrays)
        told = list(dict.fromkeys(_short(warning.message) for warning in said))
        text: dict[str, Any] = {"layers": layers, "said": told[:MOST_WARNINGS]}
    except RefusalError as refusal:
        text, arrays = {"refused": str(refusal)}, {}
    except UnicodeDecodeError as error:
        mend = "correct its .cpg, or export it in UTF-8"
        text, arrays = {"refused": f"has text in another encoding than it says ({_short(error)}); {mend}"}, {}
    except UnboundLocalError:  # pyogrio's way of saying that GDAL cannot write a damaged reference system out
        mend = "replace its .prj by one with an EPSG code, or reproject it"
        text, arrays = {"refused": f"describes its reference system in a way that is not understood; {mend}"}, {}
    except Exception as error:  # whatever GDAL and its wrapper meet, this process ends here
        text, arrays = {"refused": f"is damaged ({_short(error) or type(error).__name__}); export it again"}, {}
    encoded = json.dumps(text, allow_nan=False).encode()
    np.savez(question["answer"], text=np.frombuffer(encoded, dtype=np.uint8), **arrays)


def _layers(question: dict[str, Any], arrays: dict[str, Any]) -> list[dict[str, Any]]:
    """The layers that are wanted, if there are several; of others, and of tables without geometry, the names alone."""
    import pyogrio

    told: list[dict[str, Any]] = []
    for source in question["sources"]:
        file = Path(question["folder"]) / source["file"]
        layers = pyogrio.list_layers(file).tolist()
        if len(layers) > MOST_LAYERS:
            raise RefusalError(f"has more than {MOST_LAYERS} layers; export those that are wanted")
        several = len(question["sources"]) > 1 or sum(kind is not None for _, kind in layers) > 1
        for layer, kind in layers:
            name = source["name"] or layer
            told.append({"name": name, "geometry": kind})
            if kind is not None and not (several and question["wanted"] and name not in question["wanted"]):
                told[-1] |= _layer(file, layer, source.get("encoding"), len(told) - 1, arrays)
    return told


def _layer(file: Path, layer: str, encoding: str | None, number: int, arrays: dict[str, Any]) -> dict[str, Any]:
    """One layer: its reference system and attributes; the shapes go into the arrays."""
    import numpy as np
    import pyogrio
    import pyogrio.raw

    expected = _rows_of_table(file, layer) if file.suffix == ".gpkg" else None
    about = pyogrio.read_info(file, layer=layer, encoding=encoding)
    if about["driver"] != _DRIVERS[file.suffix]:
        raise RefusalError(f"is read as '{about['driver']}', which its name does not say; export it again")
    if len(about["fields"]) > MOST_FIELDS:
        raise RefusalError(f"has a layer of more than {MOST_FIELDS} attributes; export those that are wanted")
    meta, _, shapes, columns = pyogrio.raw.read(
        file, layer=layer, encoding=encoding, force_2d=True, datetime_as_string=True
    )
    count = len(shapes)
    if expected is not None and expected != count:
        raise RefusalError(
            f"has {expected} features in the layer '{layer[:60]}', of which {count} can be read; mend it"
        )
    shapes = [shape or b"" for shape in shapes]
    arrays[f"wkb{number}"] = np.frombuffer(b"".join(shapes), dtype=np.uint8)
    arrays[f"ends{number}"] = np.cumsum([len(shape) for shape in shapes], dtype=np.int64)
    fields = [[str(name), _values(column)] for name, column in zip(meta["fields"], columns, strict=True)]
    return {"crs": meta["crs"], "count": count, "fields": fields}


def _values(column: Any) -> list[Any]:
    """Values of an attribute as JSON has them: what is missing or not finite is null, what is no text or number too."""
    if column.dtype.kind in "iub":
        return list(column.tolist())
    if column.dtype.kind == "f":
        return [value if abs(value) < float("inf") else None for value in column.astype(float).tolist()]
    return [value if isinstance(value, (str, int, bool)) else None for value in column.tolist()]


def _rows_of_table(file: Path, layer: str) -> int:
    """The number of features of a GeoPackage's layer, which is a plain table: nothing in it computes.

    Views and generated columns run commands of the file, which may never end; so do virtual tables.
    """
    import sqlite3

    quoted = '"' + layer.replace('"', '""') + '"'
    try:
        database = sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True)
        database.execute("PRAGMA trusted_schema=OFF")
        found = database.execute(
            "SELECT type, sql FROM sqlite_master WHERE lower(name) = lower(?)", (layer,)
        ).fetchall()
        if [kind for kind, _ in found] != ["table"] or not str(found[0][1]).lstrip().upper().startswith("CREATE TABLE"):
            raise RefusalError(f"has the layer '{layer[:60]}', which is a view and no table; export that layer as one")
        if any(row[6] for row in database.execute(f"PRAGMA table_xinfo({quoted})")):
            raise RefusalError(f"has the layer '{layer[:60]}' with computed columns; export that layer without them")
        sound = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if sound != "ok":
            raise RefusalError(f"is damaged ({_short(sound)}); export it again")
        return int(database.execute(f"SELECT count(*) FROM {quoted}").fetchone()[0])
    except sqlite3.Error as error:
        raise RefusalError(f"is damaged ({_short(error)}); export it again") from error


def _short(error: object) -> str:
    return " ".join(str(error).split())[-100:]
