"""What the commands that make sites share: building the site of a map, and saying what became of what was read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from sitetwin.cli.console import out, plain, progress_bars, say

if TYPE_CHECKING:
    from sitetwin.site import Site
    from sitetwin.site.maps import Clip, MapOptions

SiteFolder = Annotated[Path, typer.Option("--out", help="Folder of the site to write.")]

_COLOURS = {"read": "green", "repaired": "cyan", "assumed": "yellow", "dropped": "red"}


def site_of_map(
    files: list[str],
    clip: Clip | None,
    origin: tuple[float, float] | None,
    footprints: bool,
    options: MapOptions,
) -> Site:
    """The site of one or more map files, which are read as one map."""
    from sitetwin.site.maps import read_maps, site_from_map

    with progress_bars() as tell:
        tell("read", 0.0)
        map_data, ledger = read_maps(files, clip=clip, origin=origin, footprints=footprints)
        tell("read", 1.0)
        tell("build", 0.0)
        site = site_from_map(map_data, ledger, options)
        tell("build", 1.0)
    return site


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


def finish_site(site: Site, to: Path) -> None:
    """Save a site and say what it holds and what was read, repaired, assumed and dropped."""
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
