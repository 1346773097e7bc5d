"""The command `sitetwin site check`: is a site fit to be traced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from sitetwin.cli.console import out, plain, say
from sitetwin.cli.options.single import SiteName, carrier_option

REPORT, MAP = "check.json", "map.png"
_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def check(
    scene: SiteName,
    to: Annotated[
        Path | None, typer.Option("--out", help=f"Folder for {REPORT} and {MAP}, the site from above.")
    ] = None,
    carrier: Annotated[float | None, carrier_option("Carrier in Hz at which materials must be specified.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Check a site's mesh, places and materials. The exit status is 1 if there are errors."""
    from sitetwin.site import check_site, open_site

    site = open_site(scene)
    report = check_site(site, carrier)
    text = json.dumps(report.to_dict(), indent=1)
    written = []
    if to is not None:
        from sitetwin.report.site_map import write_site_map

        written = [write_site_map(site, to / MAP), _write(to / REPORT, text)]
    if as_json:
        print(text)
    else:
        _print_counts(report)
        _print_findings(report)
        for file in written:
            say(str(file))
    if not report.ok:
        raise typer.Exit(1)


def _write(file: Path, text: str) -> Path:
    from sitetwin.store.files import disk_errors, write_file

    with disk_errors(f"writing {file.name}", file.parent, again="check again"):
        write_file(file, (text + "\n").encode())
    return file


def _print_counts(report: Any) -> None:
    low, high = report.extent
    size = " x ".join(f"{b - a:,.0f}" for a, b in zip(low, high, strict=True))
    surfaces = Table(title=f"{plain(report.site)}: {size} m", title_justify="left")
    for column in ("surface", "triangles", "facets", "area (m2)"):
        surfaces.add_column(column, justify="left" if column == "surface" else "right")
    for kind, numbers in report.kinds.items():
        surfaces.add_row(kind, *(f"{numbers[key]:,.0f}" for key in ("triangles", "facets", "area_m2")))
    out.print(surfaces)
    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in report.counts.items())
    say(counts)
    shares = ", ".join(f"{m['name']} {100 * m['area_share']:.1f} %" for m in report.materials if m["area_share"] > 0)
    say(f"surface by material: {shares}")
    for what, numbers in report.vegetation.items():
        if numbers:
            say(f"canopies by {what.replace('_', ' ')}: " + ", ".join(f"{k} {n:,}" for k, n in numbers.items()))


def _print_findings(report: Any) -> None:
    if not report.findings:
        say("nothing to complain about")
        return
    table = Table(title_justify="left")
    for column in ("severity", "check", "found"):
        table.add_column(column, overflow="fold")
    for finding in report.findings:
        colour = _COLOURS[finding.severity]
        lines = [plain(finding.text)]
        if finding.objects:
            lines.append("e.g. " + plain(", ".join(finding.objects)))
        if finding.mend:
            lines.append("mend: " + plain(finding.mend))
        table.add_row(f"[{colour}]{finding.severity}[/{colour}]", finding.check, "\n".join(lines))
    out.print(table)
