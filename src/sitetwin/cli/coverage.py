"""The command `sitetwin coverage`: maps of what users of an area receive from base stations."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sitetwin.cli.console import out, plain, print_facts, progress_bars, say
from sitetwin.cli.extents import print_places
from sitetwin.cli.failures import Context, resumed_by
from sitetwin.cli.options.fields import FieldChoices
from sitetwin.cli.options.groups import option_group, takes_groups
from sitetwin.cli.options.places import UserArea
from sitetwin.cli.options.single import SiteName, number
from sitetwin.cli.options.tracing import TracingOptions
from sitetwin.errors import SiteTwinError

if TYPE_CHECKING:
    from sitetwin.channel.fields.options import FieldOptions
    from sitetwin.channel.stations import GeographicStation, Station
    from sitetwin.site.maps import Ledger
    from sitetwin.studies.coverage.results import CoverageResults


@option_group("Stations")
class Stations:
    """The base stations, by hand and from a file."""

    station: Annotated[
        list[str] | None,
        typer.Option(
            help="A station, repeatable: 'position=X,Y,Z eirp_dbm=46', and where wanted name, azimuth_deg (from north, "
            "clockwise) or yaw_deg, downtilt_deg, pattern, carrier_hz, subcarriers, spacing_hz, load. "
            "position=latlon:LAT,LON,HEIGHT or latlon:LAT,LON,roof+HEIGHT; in place of eirp_dbm: power_dbm, "
            "gain_dbi and cable_loss_db."
        ),
    ] = None
    stations: Annotated[
        Path | None, typer.Option(help="TOML or JSON file with a list 'stations' of the same keys.")
    ] = None

    def read(self, options: FieldOptions) -> list[Station | GeographicStation]:
        """The stations, after a check of names, bands and patterns, and of the models of leaves and air.

        Raises:
            SiteTwinError: There is none, one is not what it should be, or a model does not know its carrier.
        """
        import sitetwin as st
        from sitetwin.channel.stations import named_stations, parse_station

        listed = st.read_stations(self.stations) if self.stations else []
        given = [*listed, *(parse_station(text) for text in self.station or [])]
        for one in named_stations(given):
            options.check_at(one.carrier_hz)
        return given


@option_group("Run")
class CoverageRun:
    """How the work is done and where its results go."""

    to: Annotated[Path, typer.Option("--out", help="Folder of the maps to write.")]
    tile_users: Annotated[int, typer.Option(min=1, help="Users that are worked on at a time.")] = 50_000
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a folder that was begun, or use its paths for other stations.")
    ] = False

    def is_begun(self) -> bool:
        """Whether a coverage was begun there."""
        return (self.to / "configuration.json").is_file()

    def check(self) -> None:
        """Make sure that the folder is new or empty, or was begun and is to be gone on with.

        Raises:
            SiteTwinError: It is neither.
        """
        to, begun = self.to, self.is_begun()
        if to.exists() and not to.is_dir():
            raise SiteTwinError(f"{to} is a file, not a folder; choose another folder")
        if self.resume and not begun:
            raise SiteTwinError(f"{to} holds no coverage to go on with; check the path, or begin one without --resume")
        if not self.resume and to.is_dir() and any(to.iterdir()):
            mend = "go on with it with --resume, or " if begun else ""
            raise SiteTwinError(f"{to} is not empty; {mend}choose another folder")


@takes_groups
def coverage(
    ctx: Context,
    scene: SiteName,
    given: Stations,
    grid: UserArea,
    tracing: TracingOptions,
    how: FieldChoices,
    run: CoverageRun,
    noise_figure: Annotated[float, number(0, 100, "dB", "Noise figure of the users' receivers in dB.")] = 9.0,
) -> None:
    """Map path gain, RSRP, SINR, best server, delay and angular spread, Rician K and line of sight."""
    area, degrees = grid.bounds()
    tracing.check(ctx, of_edges=("diffraction_model",), of_tiles=("diffuse_seed",))
    run.check()

    import sitetwin as st
    from sitetwin.channel.stations import GeographicStation
    from sitetwin.face.users import note_ground
    from sitetwin.report.coverage.frames import MapFrame
    from sitetwin.site import open_site
    from sitetwin.site.maps import Ledger
    from sitetwin.studies.coverage import CoverageSettings

    begun = time.perf_counter()
    options = how.options()
    stations = given.read(options)
    how.warn_of_idle_scattering(tracing.diffuse, "the coverage is traced")
    settings = CoverageSettings(tracing.settings(), options, noise_figure, run.tile_users)
    with resumed_by(run.to, run.is_begun), progress_bars() as tell:
        site = how.roughened(open_site(scene))
        sectors = [one.sector if isinstance(one, GeographicStation) else one for one in stations]
        how.note_assumptions(site, [sector.carrier_hz for sector in sectors], asdict(settings.trace))
        found = st.coverage(
            site, stations, area, grid.spacing, grid.height, degrees=degrees,
            settings=settings, allow_indoors=grid.indoors, folder=run.to, progress=tell, resume=run.resume,
        )  # fmt: skip
        summary = st.write_coverage(found, run.to, tell)
    account = Ledger()
    note_ground(site, found.users, account)
    _print_summary(summary, account, time.perf_counter() - begun)
    say(f"GeoTIFF: {MapFrame.of(found.raster, site.georeference).words}")
    print_places(site, {f"station {s.name}": s.position for s in found.stations}, found.users)
    say(str(run.to))
    if summary.users.without_a_path == len(found.users):
        raise SiteTwinError(
            f"no user has a path: the maps in {run.to} are empty; move the stations or the area nearer to each other, "
            "or allow more reflections with --depth"
        )


def _print_summary(summary: CoverageResults, account: Ledger, seconds: float) -> None:
    from sitetwin.rays.unseen import unseen_in_words

    table = Table()
    for column in ("station", "served users", "served area", "line of sight", "unseen share"):
        table.add_column(column, justify="left" if column == "station" else "right")
    for station in summary.stations:
        table.add_row(
            plain(station.name),
            f"{station.served_users:,}",
            f"{station.served_area_m2:,.0f} m²",
            f"{station.line_of_sight_share:.1%}",
            unseen_in_words(station.unseen_share, station.unseen_high, station.probe_users),
        )
    out.print(table)
    facts = []
    for name in ("path_gain_db", "rsrp_dbm", "sinr_db"):
        percentiles = summary.quantities[name].percentiles
        if percentiles:
            found = (percentiles[key] for key in ("5", "50", "95"))
            values = ", ".join("infinite" if value is None else f"{value:.1f}" for value in found)
            facts.append((f"{name}: 5 %, median, 95 %", values))
    users = summary.users
    facts.append(("users", f"{users.count:,}"))
    facts.append(("dropped, inside buildings", f"{users.dropped_inside_buildings:,}"))
    facts += [(f"{entry.kind}, {entry.what}", f"{entry.count:,}") for entry in account.entries]
    facts.append(("users without a path", f"{users.without_a_path:,}"))
    facts.append(("seconds", f"{seconds:.1f}"))
    print_facts(facts)
