"""The commands `sitetwin vision models ...`: published networks on this machine."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from sitetwin.cli.console import print_facts, say
from sitetwin.errors import SiteTwinError


def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """List the networks, with version, licence and size, and say which are on this machine."""
    from dataclasses import asdict

    from sitetwin.vision.models import MODELS, is_fetched

    if as_json:
        print(json.dumps({name: {**asdict(pin), "fetched": is_fetched(pin)} for name, pin in MODELS.items()}, indent=1))
        return
    for name, pin in MODELS.items():
        print_facts(
            [
                (name, pin.purpose),
                ("package", f"{pin.package} {pin.version} ({pin.client})"),
                ("licence", f"{pin.licence}; {pin.remark}"),
                ("download", f"{pin.size / 1e6:.1f} MB"),
                ("on this machine", "yes" if is_fetched(pin) else "no"),
            ]
        )


def fetch_models(
    names: Annotated[list[str] | None, typer.Argument(metavar="NETWORK...", help="Names; all by default.")] = None,
) -> None:
    """Fetch networks through npm or pip, compare their checksums, and keep them in the cache."""
    from sitetwin.vision.models import MODELS, fetch_model

    wanted = names or list(MODELS)
    unknown = sorted(set(wanted) - set(MODELS))
    if unknown:
        raise SiteTwinError(f"there is no network '{unknown[0]}'; choose one of {', '.join(MODELS)}")
    for name in wanted:
        say(f"{name}: {fetch_model(name)} ({MODELS[name].licence})")
