"""The commands `sitetwin beams ...`: a predictor of a station's best beams from one's own measurements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sitetwin.cli.console import note, print_facts, say
from sitetwin.cli.options.single import choice
from sitetwin.cli.study_beams import POWER_UNITS
from sitetwin.errors import SiteTwinError

if TYPE_CHECKING:
    from sitetwin.calibrate.site_beams import SiteBeams

Measured = Annotated[
    Path,
    typer.Argument(metavar="MEASURED", help="CSV of time, position and powers (or best beam), or a DeepSense folder."),
]
PredictorFile = Annotated[Path, typer.Argument(metavar="PREDICTOR", help="File of the predictor.")]
PowerUnitOption = Annotated[
    str | None,
    choice(
        *POWER_UNITS,
        help="Unit of the powers where the columns do not say it. By default the numbers decide, and numbers that may "
        "be either are refused.",
    ),
]
Reliability = Annotated[
    float, typer.Option(min=0.01, max=0.9999, help="Wanted share of users whose best beam is among those swept.")
]


def fit(
    measured: Measured,
    to: Annotated[Path, typer.Option("--out", help="File of the predictor to write.")],
    codebook: Annotated[
        Path | None,
        typer.Option(
            help="Codebook of the array: CSV of directions or patterns, .npz or .mat of weights, or a folder of "
            "patterns; without one, only what was measured near by answers."
        ),
    ] = None,
    antennas: Annotated[
        int | None, typer.Option(min=2, help="Elements of the array in a row, for a codebook of directions alone.")
    ] = None,
    station: Annotated[
        str | None, typer.Option(metavar="LAT,LON", help="Place of the station in degrees, for positions in degrees.")
    ] = None,
    power_unit: PowerUnitOption = None,
    beams: Annotated[
        int | None, typer.Option(min=2, help="Number of beams, for best beams alone without a codebook.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the fit.")] = 0,
) -> None:
    """Fit a predictor of a station's best beams to measured powers, or to best beams alone."""
    from sitetwin.face.predicting_beams import fit_beams
    from sitetwin.store.outputs import refuse_existing

    refuse_existing(to)
    found = fit_beams(
        measured,
        codebook,
        station=_station(station),
        power_unit=power_unit,  # type: ignore[arg-type]  # checked as it was read
        beams=beams,
        antennas=antennas,
        seed=seed,
    )
    found.save(to)
    _print(found)
    say(str(to))


def predict(
    predictor: PredictorFile,
    asked: Annotated[Path, typer.Argument(metavar="USERS", help="CSV of time and position, or a DeepSense 6G folder.")],
    to: Annotated[Path, typer.Option("--out", help="CSV to write: the beams of each user, and how many to sweep.")],
    reliability: Reliability = 0.95,
) -> None:
    """Rank the beams of users, and say how many to sweep for an asked reliability."""
    from sitetwin.calibrate.site_beams import SiteBeams
    from sitetwin.face.predicting_beams import open_beams
    from sitetwin.store.outputs import refuse_existing

    refuse_existing(to)
    known = SiteBeams.load(predictor)
    told = known.predict(open_beams(asked, known.station_of(asked), places_only=True), reliability)
    told.write(to)
    for one in told.notes:
        note(one)
    say(f"{len(told.sweep):,} users, {told.sweep.mean():.3g} beams to sweep each on average: {to}")


def evaluate(
    predictor: PredictorFile,
    measured: Measured,
    reliability: Reliability = 0.95,
    power_unit: PowerUnitOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap over drives.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Judge a predictor on other measurements: accuracy, lost power, delivered reliability, intervals over drives."""
    from sitetwin.calibrate.site_beams import SiteBeams
    from sitetwin.face.predicting_beams import open_beams

    known = SiteBeams.load(predictor)
    rows = open_beams(measured, known.station_of(measured), power_unit, known.count)  # type: ignore[arg-type]  # checked
    found = known.evaluate(rows, reliability, seed)
    if as_json:
        print(json.dumps(found, indent=1))
        return
    for one in found.pop("notes"):
        note(one)
    names = [name for name in found if not name.endswith(("_low", "_high"))]
    print_facts((name.replace("_", " "), _with_ends(found, name)) for name in names)


def _with_ends(found: dict[str, float | None], name: str) -> str:
    """A figure with the ends of its interval, where it has some."""
    value, low, high = (found.get(f"{name}{end}") for end in ("", "_low", "_high"))
    text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    return text if low is None or high is None else f"{text} ({low:.4g} to {high:.4g})"


def _station(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError as error:
        raise SiteTwinError(
            f"the station is '{text[:40]}'; give its latitude and longitude in degrees, as 33.42,-111.93"
        ) from error
    return latitude, longitude


def _print(found: SiteBeams) -> None:
    account = found.account
    for one in account["notes"]:
        note(one)
    facts = [(name, str(account[name])) for name in ("rows", "drives", "beams", "measured", "codebook", "map")]
    facts += [(f"share of {name}", f"{share:.0%}") for name, share in account.get("weights", {}).items() if share]
    facts += [
        (f"top-1 of {name}, left-out rows", f"{top:.3f}") for name, top in account.get("left_out_top1", {}).items()
    ]
    print_facts([*facts, ("decision", account["decision"])])
