"""The command `sitetwin export`: paths and channels for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sitetwin.cli.console import progress_bars, say
from sitetwin.cli.failures import Context, refuse_idle
from sitetwin.cli.options.fields import FieldChoices
from sitetwin.cli.options.groups import option_names, takes_groups
from sitetwin.cli.options.radios import PathArrays
from sitetwin.cli.options.single import Carrier, SiteOfPaths, choice
from sitetwin.errors import SiteTwinError

FORMATS = ("deepmimo", "sionna-cir", "mat", "npz", "parquet")
_OF_CHANNELS = ("mat", "npz")
_OF_GAINS = ("scene", "carrier", *option_names(PathArrays, FieldChoices))
_LIMITED = ("deepmimo", "sionna-cir")  # formats that keep the strongest paths


@takes_groups
def export(
    ctx: Context,
    store: Annotated[Path, typer.Argument(help="Store of paths, or data set of channels (for mat and npz).")],
    form: Annotated[str, choice(*FORMATS, option="--format", help="Format to write.")],
    to: Annotated[Path, typer.Option("--out", help="File to write, or folder of the DeepMIMO scenario.")],
    arrays: PathArrays,
    how: FieldChoices,
    scene: SiteOfPaths = None,
    carrier: Carrier = 3.5e9,
    max_paths: Annotated[
        int | None, typer.Option(min=1, help="Strongest paths kept per user of deepmimo (25) and sionna-cir (all).")
    ] = None,
) -> None:
    """Write traced paths with their gains, or a data set of channels, in a format of other programs."""
    if max_paths is not None and form not in _LIMITED:
        raise SiteTwinError(f"--max-paths says nothing to {form}, which holds all paths; leave it out")

    import sitetwin as st
    from sitetwin.store import TileStore
    from sitetwin.store.outputs import refuse_existing

    refuse_existing(to)
    if form in _OF_CHANNELS and to.suffix != f".{form}":
        raise SiteTwinError(f"--out {to} does not end in .{form}, the format asked for; name the file so")
    opened = TileStore.open(store)
    with progress_bars() as tell:
        if opened.configuration.get("kind") == "channels":
            if form not in _OF_CHANNELS:
                raise SiteTwinError(
                    f"{store} holds channels, from which no {form} can be made; give the store of their paths, or "
                    f"choose one of {', '.join(_OF_CHANNELS)}"
                )
            why = f"to the channels in {store}, which were made with their own; leave it out"
            refuse_idle(ctx, _OF_GAINS, why)
            st.export_channels(store, to, progress=tell)
        else:
            how.check_traced(ctx, opened)
            tx, rx = arrays.radios()
            site = how.site_of(opened, scene)
            how.note_assumptions(site, [carrier], opened.configuration.get("settings", {}))
            choices = {"carrier_hz": carrier, "radio": tx, "user_radio": rx, **how.keywords()}
            st.export_paths(store, site, to, form, max_paths=max_paths, progress=tell, **choices)
    say(str(to))
