"""What the commands that make sites share: saving the site, and saying what became of what was read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from sitetwin.cli.console import note, out, plain, say

if TYPE_CHECKING:
    from sitetwin.site import Site

SiteFolder = Annotated[Path, typer.Option("--out", help="Folder of the site to write.")]

Force = Annotated[bool, typer.Option("--force", help="Replace a site of another place that the folder holds.")]

_COLOURS = {"read": "green", "repaired": "cyan", "assumed": "yellow", "dropped": "red"}


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


def finish_site(site: Site, to: Path, force: bool) -> None:
    """Save a site and say what it holds and what was read, repaired, assumed and dropped."""
    from sitetwin.site import save_site
    from sitetwin.site.account import account_of, file_origin
    from sitetwin.site.assumption_effects import assumption_effects
    from sitetwin.site.plan import standing_buildings

    flat = site.provenance["dropped_degenerate_triangles"]
    without_area = {"kind": "dropped", "what": "triangle without area", "count": flat, "examples": []}
    print_account([*account_of(site), *([without_area] if flat else [])])
    for sentence in assumption_effects(site):
        note(sentence)
    save_site(site, to, force=force)
    size = site.bounds[1] - site.bounds[0]
    trunks = int(site.vegetation.is_trunk.sum())
    say(
        f"buildings: {int(standing_buildings(site).sum()):,}, canopies: {site.vegetation.num_volumes - trunks:,}, "
        f"trunks: {trunks:,}, triangles: {site.num_triangles:,}, facets: {site.num_facets:,}"
    )
    say(f"{size[0]:,.0f} x {size[1]:,.0f} x {size[2]:,.0f} m")
    origin = file_origin(site)
    if origin is not None:
        say(f"0, 0, 0 of the site is {origin[0]:,.3f}, {origin[1]:,.3f}, {origin[2]:,.3f} of the file's coordinates")
    say(f"site {site.hash[:16]} written to {to}")
