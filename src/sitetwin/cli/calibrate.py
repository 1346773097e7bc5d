"""The command `sitetwin calibrate`: materials and pose of a cell from measured channels or power-delay profiles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from sitetwin.cli.console import note, out, plain, progress_bars, say
from sitetwin.cli.failures import Context, Interrupted
from sitetwin.cli.options.groups import option_group, takes_groups
from sitetwin.cli.options.radios import PathArrays
from sitetwin.cli.options.single import Height, SiteName, carrier_option, choice
from sitetwin.cli.options.tracing import TracingOptions
from sitetwin.errors import SiteTwinError

if TYPE_CHECKING:
    from sitetwin.calibrate.channels.outcome import SiteCalibration

MATERIALS = ("building", "class")
WINDOWS = ("hann", "rectangular")


@option_group("Measurements")
class MeasurementOptions:
    """What was measured, and how it is read."""

    measured: Annotated[
        Path,
        typer.Option(
            help="File of measured channels (.npz, .h5, .mat) or power-delay profiles (the same, or .csv), as the "
            "reference of measured data describes it."
        ),
    ]
    carrier: Annotated[
        float | None, carrier_option("Carrier in Hz; the middle of the measured band, or the file's, by default.")
    ] = None
    noise_db: Annotated[
        float | None,
        typer.Option(
            help="Noise of a subcarrier (channels) or tap (profiles) in dB; from the weakest taps by default."
        ),
    ] = None
    window: Annotated[str, choice(*WINDOWS, help="Window over the subcarriers, which shapes the taps.")] = "hann"
    height: Height = 1.5


@option_group("Calibration")
class FitOptions:
    """What is fitted, and how it is judged."""

    fit: Annotated[
        str | None,
        typer.Option(
            help="What is fitted, separated by commas: offset, pose, pattern, scattering, materials; by default all, "
            "but no scattering without --diffuse."
        ),
    ] = None
    materials: Annotated[
        str, choice(*MATERIALS, help="Whether each building, or each class of materials, has values of its own.")
    ] = "building"
    prior: Annotated[
        list[str] | None,
        typer.Option(help="Standard deviation of a prior, as yaw_deg=10 or users_m=3; 0 holds it; repeatable."),
    ] = None
    block: Annotated[float, typer.Option(help="Side of the squares of users that are held out, in metres.")] = 10.0
    holdout_seed: Annotated[int, typer.Option(min=0, help="Seed of the choice of held-out squares.")] = 0

    def priors(self) -> dict[str, float]:
        """The priors that were given.

        Raises:
            SiteTwinError: One is no name and number.
        """
        found = {}
        for text in self.prior or ():
            name, mark, value = text.partition("=")
            try:
                found[name] = float(value)
            except ValueError:
                mark = ""
            if not mark:
                raise SiteTwinError(f"--prior is '{text[:40]}'; give a name and a number, as yaw_deg=10")
        return found


@takes_groups
def calibrate(
    ctx: Context,
    scene: SiteName,
    tx: Annotated[
        str,
        typer.Option("--tx", "--transmitter", help="Station X,Y,Z in metres, latlon:LAT,LON,HEIGHT, or its file."),
    ],
    to: Annotated[Path, typer.Option("--out", help="Folder to make.")],
    measurements: MeasurementOptions,
    how: FitOptions,
    arrays: PathArrays,
    tracing: TracingOptions,
) -> None:
    """Calibrate materials and the station's pose with measured channels or power-delay profiles."""
    tracing.check(ctx)
    priors = how.priors()

    import sitetwin as st
    from sitetwin.site import open_site
    from sitetwin.store.outputs import refuse_existing

    refuse_existing(to)
    radio, user_radio = arrays.radios()
    try:
        with progress_bars() as tell:
            found = st.calibrate_site(
                open_site(scene),
                measurements.measured,
                tx,
                radio=radio,
                user_radio=user_radio,
                progress=tell,
                carrier_hz=measurements.carrier,
                noise_db=measurements.noise_db,
                window=measurements.window,  # type: ignore[arg-type]  # checked as it was read
                height=measurements.height,
                fit=None if how.fit is None else how.fit.split(","),
                materials=how.materials,  # type: ignore[arg-type]
                priors=priors,
                block_m=how.block,
                holdout_seed=how.holdout_seed,
                settings=tracing.settings(),
            )
            st.write_calibration(found, to)
    except KeyboardInterrupt as error:
        raise Interrupted(f"stopped; nothing was written to {to}") from error
    for one in found.cell.notes:
        note(one)
    _print(found)
    say(str(to))


def _print(found: SiteCalibration) -> None:
    table = Table("parameter", "prior", "posterior", "posterior / prior sd", "")
    for row in found.cell.rows():
        table.add_row(*(plain(text) for text in _cells(row)))
    out.print(table)
    for trial in found.cell.trials:
        if not trial.kept:
            say(f"stage {trial.stage} was not kept: {trial.why}")
    for one in found.cell.candidates:
        behind = "taken" if one.chosen else f"{one.behind_db:+.2f} ± {one.noise_db:.2f} dB against it"
        say(f"left-out users, mean error of the power with {one.name}: {one.error_db:.2f} dB ({behind})")
    held = found.cell.held_out
    if len(held.measured_db):
        before, after = held.errors_db
        say(
            f"median error of the power of {len(held.measured_db):,} held-out users: {before:.2f} dB with the offset "
            f"alone, {after:.2f} dB calibrated"
        )


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    prior, posterior = (f"{row[value]:.4g} ± {row[sd]:.2g}" for value, sd in (("prior", "prior_sd"), ("value", "sd")))
    unit = f" ({row['unit']})" if row["unit"] else ""
    return (
        f"{row['name']}{unit}",
        prior,
        posterior,
        f"{row['ratio']:.2f}",
        "" if row["identified"] else row["verdict"],
    )
