"""The command `sitetwin trace`: all paths to a grid of users, into a store."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sitetwin.cli.console import note, out, plain, print_facts, progress_bars, say
from sitetwin.cli.extents import print_places
from sitetwin.cli.failures import Context, refuse_idle, writing_store
from sitetwin.cli.options.groups import option_group, takes_groups
from sitetwin.cli.options.places import UserPlaces
from sitetwin.cli.options.single import SiteName, choice
from sitetwin.cli.options.tracing import EdgeTracingOptions
from sitetwin.errors import SiteTwinError
from sitetwin.face.transmitter_texts import read_transmitters

if TYPE_CHECKING:
    from sitetwin.rays import TraceSettings
    from sitetwin.rays.jobs.io import TraceSummary
    from sitetwin.rays.scatter.account import DiffuseAccount
    from sitetwin.site import Site
    from sitetwin.site.maps import Ledger

ENGINES = ("sitetwin", "sionna")


@option_group("Run")
class RunOptions:
    """How the work is done and where its results go."""

    to: Annotated[Path, typer.Option("--out", help="Folder of the store to write.")]
    tile_users: Annotated[int, typer.Option(min=1, help="Users per tile of the store.")] = 50_000
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a store that was begun.")] = False
    workers: Annotated[int, typer.Option(min=1, help="Worker processes on this machine.")] = 1
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler whose workers are used (tcp://host:port).")
    ] = None
    engine: Annotated[
        str,
        choice(
            *ENGINES, help="Engine: sitetwin, or Sionna RT in safe batches as an independent referee.", checked=False
        ),
    ] = "sitetwin"

    def check(self, ctx: Context) -> None:
        """Make sure that every option that was given means something beside the others.

        Raises:
            SiteTwinError: One says nothing.
        """
        if self.scheduler is not None:
            refuse_idle(ctx, ("workers",), "beside --scheduler, which has its own workers; leave one out")


@takes_groups
def trace(
    ctx: Context,
    scene: SiteName,
    tx: Annotated[
        list[str],
        typer.Option(
            "--tx",
            "--transmitter",
            help="Transmitter X,Y,Z in metres or latlon:LAT,LON,HEIGHT (metres above the ground; roof+HEIGHT above the "
            "roof), or a file with one on each line; may be given several times.",
        ),
    ],
    places: UserPlaces,
    tracing: EdgeTracingOptions,
    run: RunOptions,
) -> None:
    """Trace all paths from one transmitter, or several, to a grid of users into a store, or one store for each."""
    tracing.check(ctx)
    run.check(ctx)
    positions = read_transmitters(tx, "--tx")
    places.check()

    import sitetwin as st
    from sitetwin.rays import summarise
    from sitetwin.rays.jobs.engines import check_engine
    from sitetwin.site import open_site
    from sitetwin.site.maps import Ledger

    begun = time.perf_counter()
    with writing_store(run.to, run.resume), progress_bars() as tell:
        site = open_site(scene)
        settings = tracing.settings()
        check_engine(run.engine, site, settings)
        _note_assumptions(site, settings)
        stand = st.transmitters(site, positions, allow_indoors=places.indoors)
        account = Ledger()
        users, dropped = places.users(site, account)
        job = st.TraceJob(site, stand, users, settings, run.tile_users, run.engine, allow_indoors=places.indoors)
        stores = job.run(run.to, tell, run.resume, workers=run.workers, scheduler=run.scheduler)
    summaries = {str(store.path): summarise(store.path) for store in stores}
    _print_traces(summaries, dropped, account, time.perf_counter() - begun)
    print_places(site, {"transmitter": stand}, users)
    say(str(run.to))
    _refuse_empty_traces(summaries)


def _note_assumptions(site: Site, settings: TraceSettings) -> None:
    """Say what follows from assumed materials for the paths that are traced; fields come later, at their carrier."""
    from sitetwin.site.assumption_effects import scattering_effects, thickness_effects

    told = thickness_effects(site) if settings.max_transmissions else []
    told += scattering_effects(site, diffuse=True) if settings.diffuse_paths else []
    for sentence in told:
        note(sentence)


def _print_traces(summaries: dict[str, TraceSummary], dropped: int, account: Ledger, seconds: float) -> None:
    """A table of finished traces, one row for each of several stores, and what was assumed and dropped of the users."""
    from sitetwin.face.users import INDOORS

    values = {name: _values(summary) for name, summary in summaries.items()}
    if len(values) > 1:
        table = Table("store", *next(iter(values.values())))
        for name, entries in values.items():
            table.add_row(plain(Path(name).name), *entries.values())
        out.print(table)
    only = next(iter(values.values())) if len(values) == 1 else {}
    surfaces = _by_surface(next(iter(summaries.values()))) if len(summaries) == 1 else []
    told = [(f"{e.kind}, {e.what}", f"{e.count:,}") for e in account.entries if e.kind != "read" and e.what != INDOORS]
    facts = [
        *only.items(),
        *surfaces,
        ("dropped, inside buildings", f"{dropped:,}"),
        *told,
        ("seconds", f"{seconds:.1f}"),
    ]
    print_facts(facts)


def _values(summary: TraceSummary) -> dict[str, str]:
    from sitetwin.rays.unseen import unseen_in_words

    return {
        "users": f"{summary.users:,}",
        "users without a path": f"{summary.users_without_path:,}",
        "paths": f"{summary.paths:,}",
        "line-of-sight share": f"{summary.line_of_sight_share:.1%}",
        "unseen share": unseen_in_words(summary.unseen_share, summary.unseen_high, summary.probe_users),
        **(
            {}
            if summary.unseen_share_diffracted is None
            else {
                "of diffracted paths": unseen_in_words(
                    summary.unseen_share_diffracted, summary.unseen_high_diffracted, summary.probe_users_diffracted
                )
            }
        ),
        **({} if summary.diffuse is None else {"diffuse power left out": _left_out(summary.diffuse)}),
    }


def _left_out(account: DiffuseAccount) -> str:
    exact = account.sampled_users == account.users
    how = "" if exact else f", estimated from {account.sampled_users:,} users"
    return f"{account.left_out:.1%}{how}"


def _by_surface(summary: TraceSummary) -> list[tuple[str, str]]:
    """Which surfaces the diffuse paths of a trace are of, and what they carry of the power bound."""
    if summary.diffuse is None:
        return []
    rows = [
        (
            f"diffuse paths of '{row.material}'",
            f"{row.paths:,}; {summary.diffuse.share(row.material):.1%} of the kept power, "
            f"{summary.diffuse.left_out_of(row.material):.1%} of its own left out",
        )
        for row in summary.diffuse.surfaces
    ]
    said = "no surface has a scattering coefficient: tiles were chosen as if all scattered alike"
    return [*rows, ("assumed", said)] if summary.diffuse.assumed else rows


def _refuse_empty_traces(summaries: dict[str, TraceSummary]) -> None:
    """Say so if a store holds not one path.

    Raises:
        SiteTwinError: It does not.
    """
    for name, summary in summaries.items():
        if summary.paths == 0:
            raise SiteTwinError(
                f"no user has a path: {name} holds {summary.users:,} users and not one path; move the transmitter or "
                "the area nearer to each other, or allow more reflections with --depth"
            )
