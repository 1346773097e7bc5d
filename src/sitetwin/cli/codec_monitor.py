"""The command `sitetwin codec monitor`: look after a codec in use."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sitetwin.cli.codec import AsJson, Axes, CodecFile, OtherWorld, matrices, next_file
from sitetwin.cli.console import note, print_facts, say
from sitetwin.cli.failures import Context, refuse_idle
from sitetwin.cli.options.groups import option_group, option_names, takes_groups

if TYPE_CHECKING:
    from sitetwin.learn.upkeep.monitor import CodecMonitor
    from sitetwin.learn.upkeep.settings import Event


@option_group("Upkeep")
class UpkeepChoices:
    """How a codec is looked after; the file of the state keeps it."""

    false_alarms: Annotated[
        float, typer.Option(min=1, help="Reports between two false alarms: at least so many on average.")
    ] = 100_000.0
    keep: Annotated[int, typer.Option(min=1, help="Uploads that an update is trained with.")] = 40
    check: Annotated[int, typer.Option(min=1, help="Uploads of any users, on which an update has to be better.")] = 20
    rounds: Annotated[
        int, typer.Option(min=1, help="Most updates after one alarm; one that is no better ends them.")
    ] = 1
    error_bits: Annotated[
        int, typer.Option(min=2, max=8, help="Bits in which a user reports its error, from -30 to -2 dB.")
    ] = 4


@takes_groups
def monitor(
    ctx: Context,
    codec: CodecFile,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="REPORTS",
            help="What came in, in order: channels (a data set or a file), or a file with the errors nmse_db.",
        ),
    ],
    state: Annotated[Path, typer.Option(help="File of what the monitor knows; it is begun, or gone on with.")],
    upkeep: UpkeepChoices,
    ask: Annotated[
        bool, typer.Option("--ask", help="Collect uploads without an alarm, as where a codec comes into use.")
    ] = False,
    axes: Axes = None,
    other_world: OtherWorld = False,
    as_json: AsJson = False,
) -> None:
    """Notice changes of how a codec serves its users, collect channels, and write its next version."""
    from sitetwin.learn.cell.codec import CellCodec
    from sitetwin.learn.upkeep.levels import ErrorLevels
    from sitetwin.learn.upkeep.monitor import CodecMonitor
    from sitetwin.learn.upkeep.monitor_file import load_monitor, save_monitor
    from sitetwin.learn.upkeep.settings import MonitorSettings
    from sitetwin.store.outputs import refuse_existing

    known = CellCodec.load(codec)
    if state.exists():
        refuse_idle(ctx, option_names(UpkeepChoices), f"to {state}, which was begun with its own; leave it out")
        looking = load_monitor(state, known)
    else:
        refuse_existing(state)
        looking = CodecMonitor(
            known,
            MonitorSettings(
                reports_between_false_alarms=upkeep.false_alarms,
                levels=ErrorLevels.spanning(upkeep.error_bits),
                keep=upkeep.keep,
                check=upkeep.check,
                rounds=upkeep.rounds,
            ),
        )
    if ask:
        looking.ask()
    events = _observed(looking, source, axes, other_world)
    files = [next_file(codec, version.version) for version in looking.versions]
    for file in files:
        refuse_existing(file)
    for version, file in zip(looking.versions, files, strict=True):
        version.save(file)
    save_monitor(looking, state)
    _print(looking, events, files, as_json)


def _observed(looking: CodecMonitor, source: Path, axes: str | None, other_world: bool) -> list[Event]:
    """What happened by what came in."""
    from sitetwin.measured.named_arrays import holds_array
    from sitetwin.measured.reported_errors import NMSE_DB, read_reported_errors

    if source.is_file() and holds_array(source, NMSE_DB):
        return looking.observe_errors(read_reported_errors(source))
    return looking.observe(matrices(looking.codec, source, axes, other_world, skip_silent=True))


def _print(looking: CodecMonitor, events: list[Event], files: list[Path], as_json: bool) -> None:
    facts: dict[str, Any] = looking.facts()
    if as_json:
        written = [str(file) for file in files]
        print(json.dumps({"events": [asdict(event) for event in events], **facts, "written": written}, indent=1))
        return
    for event in events:
        note(event.in_words)
    print_facts(
        (name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value) or "nothing")
        for name, value in facts.items()
    )
    for file in files:
        say(str(file))
