"""The commands `sitetwin site import`, `fetch` and `export`: foreign maps and meshes in, and out again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from sitetwin.cli.console import Context, out, plain, progress_bars, refuse_idle, say
from sitetwin.cli.map_options import OF_MAPS, MapBuild, takes_map_build
from sitetwin.cli.options import SiteName
from sitetwin.errors import SiteTwinError

if TYPE_CHECKING:
    from sitetwin.site import Site
    from sitetwin.site.maps import Clip, MapOptions

_COLOURS = {"read": "green", "repaired": "cyan", "assumed": "yellow", "dropped": "red"}
_OF_CLIPS = {"box": "--box", "around": "--around", "radius": "--radius", "footprints": "--footprints"}

To = Annotated[Path, typer.Option("--out", help="Folder of the site to write.")]


def register_site_import(app: typer.Typer) -> None:
    """Add the commands to the group `site`."""
    app.command("import")(takes_map_build(import_site))
    app.command("fetch")(takes_map_build(fetch))
    app.command("export")(export)


def import_site(
    ctx: Context,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Map (.osm, .osm.pbf, Overpass .json, .geojson; several make one map), or one CityJSON, GLB, glTF, "
            "OBJ, PLY or Mitsuba XML file or Wireless InSite project.",
        ),
    ],
    to: To,
    box: Annotated[str | None, typer.Option(help="Part of the map: WEST,SOUTH,EAST,NORTH in degrees.")] = None,
    around: Annotated[str | None, typer.Option(help="Part of the map: about LATITUDE,LONGITUDE.")] = None,
    radius: Annotated[float | None, typer.Option(help="Metres about --around.")] = None,
    origin: Annotated[
        str | None, typer.Option(help="LATITUDE,LONGITUDE of the local origin; of a mesh, where its origin lies.")
    ] = None,
    footprints: Annotated[
        bool, typer.Option("--footprints", help="Polygons of GeoJSON that do not say what they are are buildings.")
    ] = False,
    *,
    build: MapBuild,
    lod: Annotated[
        str | None, typer.Option(help="Level of detail of CityJSON (2 or 1.2); the highest otherwise.")
    ] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of a mesh: m, cm, mm, km, in, ft or us-ft.")] = None,
    up: Annotated[str | None, typer.Option(help="Axis of a mesh that points up: y or z.")] = None,
) -> None:
    """Make a site of a map, a city model or a mesh, and say what was read, repaired, assumed and dropped."""
    from sitetwin.site.io import check_site_folder
    from sitetwin.site.opening import is_map

    check_site_folder(to)
    if all(is_map(Path(name)) for name in files):
        refuse_idle(ctx, {"lod": "--lod", "unit": "--unit", "up": "--up"}, "for a map; leave it out")
        options = build.options(ctx)
        site = _site_of_map(files, _clip(box, around, radius), _origin(origin), footprints, options)
    else:
        if len(files) > 1:
            raise SiteTwinError("only map files can be joined; give one file of a city model or mesh")
        refuse_idle(ctx, {**_OF_CLIPS, **OF_MAPS}, "for a city model or mesh, which is taken whole; leave it out")
        site = _site_of_model(ctx, files[0], build.materials, origin, lod, unit, up)
    _finish(site, to)


def fetch(
    ctx: Context,
    place: Annotated[str, typer.Argument(metavar="PLACE", help="Name of a place, or LATITUDE,LONGITUDE.")],
    to: To,
    radius: Annotated[float, typer.Option(help="Metres about the place.")] = 300.0,
    *,
    build: MapBuild,
) -> None:
    """Download a place from OpenStreetMap once, keep what was sent beside the site, and make the site of it."""
    from sitetwin.site.io import check_site_folder
    from sitetwin.site.maps import fetch_map

    check_site_folder(to)
    options = build.options(ctx)
    fetched = fetch_map(place, radius, to.with_name(to.name + ".map"))
    site = _site_of_map([str(fetched.path)], fetched.clip, None, False, options)
    _finish(site, to)


def export(
    ctx: Context,
    scene: SiteName,
    to: Annotated[Path, typer.Option("--out", help="Folder of the Mitsuba scene, or file to write.")],
    form: Annotated[
        str, typer.Option("--format", help="mitsuba (for Sionna RT), glb, or geojson (footprints and trees).")
    ] = "mitsuba",
    carrier: Annotated[
        float, typer.Option(help="Carrier in Hz, at which mitsuba gets the constants of what Sionna RT does not know.")
    ] = 3.5e9,
) -> None:
    """Write a site for other programs, and say what their format cannot hold."""
    from sitetwin.site import open_site
    from sitetwin.site.exporters import export_footprints, export_glb, export_mitsuba

    if form not in ("mitsuba", "glb", "geojson"):
        raise SiteTwinError(f"--format '{form}' is unknown; choose mitsuba, glb or geojson")
    if form != "mitsuba":
        refuse_idle(ctx, {"carrier": "--carrier"}, f"with --format {form}; leave it out")
    site = open_site(scene)
    if form == "mitsuba":
        ledger = export_mitsuba(site, to, carrier)
    else:
        ledger = export_glb(site, to) if form == "glb" else export_footprints(site, to)
    print_account(ledger.to_list())
    say(str(to))


def print_account(entries: list[dict[str, Any]]) -> None:
    """What an import or export read, repaired, assumed and dropped, as a table."""
    if not entries:
        return
    table = Table(title_justify="left")
    for column in ("", "what", "how often", "for instance"):
        table.add_column(column, overflow="fold", justify="right" if column == "how often" else "left")
    for entry in entries:
        colour = _COLOURS[entry["kind"]]
        kind, examples = f"[{colour}]{entry['kind']}[/{colour}]", plain(", ".join(entry["examples"][:3]))
        table.add_row(kind, plain(entry["what"]), f"{entry['count']:,}", examples)
    out.print(table)


def _finish(site: Site, to: Path) -> None:
    from sitetwin.site import save_site
    from sitetwin.site.account import account_of
    from sitetwin.site.plan import standing_buildings

    flat = site.provenance["dropped_degenerate_triangles"]
    without_area = {"kind": "dropped", "what": "triangle without area", "count": flat, "examples": []}
    print_account([*account_of(site), *([without_area] if flat else [])])
    save_site(site, to)
    size = site.bounds[1] - site.bounds[0]
    trunks = int(site.vegetation.is_trunk.sum())
    say(
        f"buildings: {int(standing_buildings(site).sum()):,}, canopies: {site.vegetation.num_volumes - trunks:,}, "
        f"trunks: {trunks:,}, triangles: {site.num_triangles:,}, facets: {site.num_facets:,}"
    )
    say(f"{size[0]:,.0f} x {size[1]:,.0f} x {size[2]:,.0f} m")
    say(f"site {site.hash[:16]} written to {to}")


def _clip(box: str | None, around: str | None, radius: float | None) -> Clip | None:
    from sitetwin.site.maps import Box, Radius

    if box is not None and around is not None:
        raise SiteTwinError("--box and --around both cut the map; give one of them")
    if (around is None) != (radius is None):
        raise SiteTwinError("--around and --radius go together; give both, or neither")
    if box is not None:
        return Box.parse(box)
    return None if around is None or radius is None else Radius.parse(around, radius)


def _origin(text: str | None) -> tuple[float, float] | None:
    from sitetwin.site.maps import Radius

    return None if text is None else Radius.parse(text, 1.0).centre


def _site_of_map(
    files: list[str],
    clip: Clip | None,
    origin: tuple[float, float] | None,
    footprints: bool,
    options: MapOptions,
) -> Site:
    from sitetwin.site.maps import read_maps, site_from_map

    with progress_bars() as tell:
        tell("read", 0.0)
        map_data, ledger = read_maps(files, clip=clip, origin=origin, footprints=footprints)
        tell("read", 1.0)
        tell("build", 0.0)
        site = site_from_map(map_data, ledger, options)
        tell("build", 1.0)
    return site


def _site_of_model(
    ctx: Context,
    file: str,
    materials: str,
    origin: str | None,
    lod: str | None,
    unit: str | None,
    up: str | None,
) -> Site:
    from sitetwin.site import load_scene, with_georeference
    from sitetwin.site.importers import CITYJSON_SUFFIXES, MESH_SUFFIXES, load_cityjson, load_mesh
    from sitetwin.site.maps import load_rules

    suffix = Path(file).suffix.lower()
    if suffix in CITYJSON_SUFFIXES:
        refuse_idle(ctx, {"unit": "--unit", "up": "--up", "origin": "--origin"}, "for CityJSON; leave it out")
        return load_cityjson(file, lod=lod, rules=load_rules(materials))
    refuse_idle(ctx, {"lod": "--lod", "materials": "--materials"}, f"for '{file}', which names its own; leave it out")
    if suffix in MESH_SUFFIXES:
        site = load_mesh(file, unit=unit, up=up)
    else:
        refuse_idle(ctx, {"unit": "--unit", "up": "--up"}, "for a scene in metres with z up; leave it out")
        site = load_scene(file)
    place = _origin(origin)
    return site if place is None else with_georeference(site, *place)
