"""The command `sitetwin doctor`: what of this machine can be used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sitetwin.cli.console import out, plain
from sitetwin.version import __version__

if TYPE_CHECKING:
    from sitetwin.cli.diagnosis import Diagnosis


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Check what this machine can do. The exit status is 1 if rays cannot be traced here."""
    from sitetwin.cli.diagnosis import diagnose

    diagnosis = diagnose()
    if as_json:
        print(json.dumps(diagnosis.to_dict(), indent=1))
    else:
        _print_diagnosis(diagnosis)
    if not diagnosis.can_trace:
        raise typer.Exit(1)


def _print_diagnosis(diagnosis: Diagnosis) -> None:
    colours = {"ok": "green", "warning": "yellow", "failure": "red"}
    table = Table(title=f"sitetwin {__version__}", title_justify="left")
    for column in ("check", "status", "found"):
        table.add_column(column, overflow="fold")
    for check in diagnosis.checks:
        colour = colours[check.status]
        table.add_row(check.name, f"[{colour}]{check.status}[/{colour}]", plain(check.detail))
    out.print(table)
    for check in diagnosis.checks:
        if check.mend:
            out.print(f"{check.name}: {check.mend}", markup=False, soft_wrap=True)
    if diagnosis.can_trace:
        out.print("Rays can be traced here.")
    else:
        out.print("Rays cannot be traced here: mend 'ray casting' first.")
