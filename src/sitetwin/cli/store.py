"""The commands `sitetwin store ...`: looking after stores of paths and data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sitetwin.cli.console import print_facts, say
from sitetwin.errors import SiteTwinError


def verify(path: Annotated[Path, typer.Argument(help="Folder of the store.")]) -> None:
    """Compare every group with its checksum. The exit status is 1 if one is damaged or missing."""
    from sitetwin.store import TileStore

    store = TileStore.open(path)
    damaged, missing = store.verify(), store.missing_tiles()
    for group in damaged:
        say(f"damaged: {group}")
    for index in missing:
        start, stop = store.tiles[index]
        say(f"missing: tile {index} (users {start} to {stop - 1})")
    if damaged or missing:
        raise SiteTwinError(
            f"{path} is not whole (damaged parts: {len(damaged)}, missing tiles: {len(missing)}); "
            "resume the run that makes it, which writes both"
        )
    say(f"{path}: {len(store.groups)} groups, all as their checksums say")


def compact(
    path: Annotated[Path, typer.Argument(help="Folder of the store.")],
    to: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the flat data set to write.")],
) -> None:
    """Put the tiles of a store end to end into one Zarr data set."""
    from sitetwin.store import TileStore, compact

    compact(TileStore.open(path), to)
    say(str(to))


def info(path: Annotated[Path, typer.Argument(help="Folder of the store.")]) -> None:
    """Say what a store holds and how far it is."""
    from sitetwin.store import TileStore

    store = TileStore.open(path)
    print_facts(
        [
            *((key, json.dumps(value)) for key, value in store.attributes.items()),
            *(
                (f"configuration: {key}", json.dumps(value))
                for key, value in store.configuration.items()
                if key not in store.attributes or store.attributes[key] != value
            ),
            ("configuration hash", store.configuration_hash),
            ("users", f"{store.num_users:,}"),
            ("tiles finished", f"{len(store.tiles) - len(store.missing_tiles())} of {len(store.tiles)}"),
        ]
    )
