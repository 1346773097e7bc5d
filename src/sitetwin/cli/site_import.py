"""The command `sitetwin site import`: a site of a map, a city model or a mesh."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sitetwin.cli.console import progress_bars
from sitetwin.cli.failures import Context, refuse_idle
from sitetwin.cli.options.groups import option_group, option_names, takes_groups
from sitetwin.cli.options.maps import OF_MAPS, MapBuild
from sitetwin.cli.options.single import choice
from sitetwin.cli.site_build import Force, SiteFolder, finish_site
from sitetwin.errors import SiteTwinError

if TYPE_CHECKING:
    from sitetwin.site import Site
    from sitetwin.site.maps import Clip


@option_group("Part of a map")
class MapPart:
    """Which part of a map is read, and what its polygons are."""

    box: Annotated[str | None, typer.Option(help="Part of the map: WEST,SOUTH,EAST,NORTH in degrees.")] = None
    around: Annotated[str | None, typer.Option(help="Part of the map: a circle around LATITUDE,LONGITUDE.")] = None
    radius: Annotated[float | None, typer.Option(help="Metres around --around that are read.")] = None
    footprints: Annotated[
        bool,
        typer.Option(
            "--footprints",
            help="Take polygons of GeoJSON, shapefiles and GeoPackages as buildings if they do not say what they are.",
        ),
    ] = False
    height_key: Annotated[
        str | None,
        typer.Option(
            help="Attribute that holds the heights of buildings: NAME in metres, NAME:ft, NAME:cm or NAME:levels."
        ),
    ] = None
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layer", help="Layer of a GeoPackage, or shapefile of a folder or archive, that is read (several times)."
        ),
    ] = None

    def clip(self) -> Clip | None:
        """The part; None for the whole map.

        Raises:
            SiteTwinError: Two parts were given, or half of one.
        """
        from sitetwin.site.maps import Box, Radius

        if self.box is not None and self.around is not None:
            raise SiteTwinError("--box and --around both cut the map; give one of them")
        if (self.around is None) != (self.radius is None):
            raise SiteTwinError("--around and --radius go together; give both, or neither")
        if self.box is not None:
            return Box.parse(self.box)
        return None if self.around is None or self.radius is None else Radius.parse(self.around, self.radius)


@option_group("City model or mesh")
class ModelReading:
    """How a city model or a mesh is read."""

    lod: Annotated[str | None, typer.Option(help="Level of detail of CityJSON (2 or 1.2); by default the highest.")] = (
        None
    )
    unit: Annotated[
        str | None,
        choice("m", "cm", "mm", "km", "in", "ft", "us-ft", checked=False, help="Unit of a mesh."),
    ] = None
    up: Annotated[str | None, choice("x", "y", "z", checked=False, help="Axis of a mesh or scene that points up.")] = (
        None
    )
    crs: Annotated[
        str | None,
        typer.Option(help="Reference system of a mesh, a scene, or a map that names none, such as EPSG:25832."),
    ] = None

    def read(self, ctx: Context, file: str, materials: str, origin: str | None) -> Site:
        """The site of a file.

        Raises:
            SiteTwinError: The file cannot be read, or an option says nothing to files of its kind.
        """
        from sitetwin.site.importers import models

        idle, why = models.idle_choices(file)
        refuse_idle(ctx, idle, why)
        how = models.ModelReading(
            lod=self.lod,
            unit=self.unit,
            up=self.up,
            crs=self.crs,
            materials=None if "materials" in idle else materials,
            origin=_origin(origin),
        )
        return models.load_model(file, how)


@takes_groups
def import_site(
    ctx: Context,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Map (.osm, .osm.pbf, Overpass .json, .geojson, .shp, .shp.zip, .gpkg; several make one map), or one "
            "CityJSON, GLB, glTF, OBJ, PLY or Mitsuba XML file or Wireless InSite project.",
        ),
    ],
    to: SiteFolder,
    part: MapPart,
    build: MapBuild,
    model: ModelReading,
    origin: Annotated[
        str | None, typer.Option(help="LATITUDE,LONGITUDE of the local origin; of a mesh, where its origin lies.")
    ] = None,
    force: Force = False,
) -> None:
    """Make a site of a map, a city model or a mesh, and say what was read, repaired, assumed and dropped."""
    import sitetwin as st
    from sitetwin.site.io import check_site_folder
    from sitetwin.site.opening import is_map

    check_site_folder(to)
    if all(is_map(Path(name)) for name in files):
        refuse_idle(ctx, [name for name in option_names(ModelReading) if name != "crs"], "for a map; leave it out")
        options = build.options(ctx)
        clip, place = part.clip(), _origin(origin)
        with progress_bars() as tell:
            how: Any = {"clip": clip, "origin": place, "footprints": part.footprints, "height_key": part.height_key}
            how |= {"layers": part.layers, "crs": model.crs}
            site = st.open_site(files, **how, options=options, progress=tell)
    else:
        if len(files) > 1:
            raise SiteTwinError("only map files can be joined; give one file of a city model or mesh")
        why = "for a city model or mesh, which is taken whole; leave it out"
        refuse_idle(ctx, (*option_names(MapPart), *OF_MAPS), why)
        site = model.read(ctx, files[0], build.materials, origin)
    finish_site(site, to, force)


def _origin(text: str | None) -> tuple[float, float] | None:
    from sitetwin.site.maps import Radius

    return None if text is None else Radius.parse(text, 1.0).centre
