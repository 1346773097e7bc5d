"""Files of other programs that no importer reads: what to do with them."""

from __future__ import annotations

from pathlib import Path

from sitetwin.errors import SiteTwinError

_TO_GEOJSON = "convert it first: `ogr2ogr -t_srs EPSG:4326 map.geojson {name}`"
_TO_GLB = "open it in a modelling program (Blender) and export it as .glb, or as .obj"
_UNPACK = "unpack it and give the file inside"

_MENDS = {
    **dict.fromkeys((".fgb", ".parquet", ".kml", ".tab", ".mif", ".gdb"), _TO_GEOJSON),
    **dict.fromkeys(
        (".shx", ".dbf", ".prj", ".cpg"),
        "it is a part of a shapefile; give the .shp beside it",
    ),
    **dict.fromkeys((".gml", ".citygml"), "convert CityGML to CityJSON first: `citygml-tools to-cityjson {name}`"),
    **dict.fromkeys(
        (".stl", ".fbx", ".dae", ".3ds", ".blend", ".skp", ".dxf", ".dwg", ".ifc", ".usd", ".usda", ".usdz", ".step"),
        _TO_GLB,
    ),
    **dict.fromkeys(
        (".las", ".laz", ".e57", ".xyz"), "it is a cloud of points without surfaces; make a city model of it first"
    ),
    **dict.fromkeys(
        (".tif", ".tiff", ".asc", ".hgt", ".img"),
        "it is a raster; give a map or a mesh, and a raster of heights beside a map as its terrain",
    ),
    **dict.fromkeys((".7z", ".rar", ".tar", ".tgz", ".kmz"), _UNPACK),
}


def refuse_foreign(path: Path) -> None:
    """Refuse a file of a known format that is not read, with the way to one that is.

    Raises:
        SiteTwinError: The name ends as such files do.
    """
    mend = _MENDS.get(path.suffix.lower())
    if mend is not None:
        raise SiteTwinError(f"'{path.name}' is not read directly; {mend.format(name=path.name)}")
