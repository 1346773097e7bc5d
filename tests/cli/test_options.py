"""What holds for every command: few parameters, help for each option, choices that the library knows."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Annotated, Any, get_args

import pytest
import typer
from typer.testing import CliRunner

from sitetwin.channel.antennas.patterns import PATTERNS
from sitetwin.channel.fields.diffraction import DiffractionModel
from sitetwin.channel.fields.foliage import MODELS, SEASONS
from sitetwin.channel.request import Quantity
from sitetwin.channel.synthesis.cfr import Steering, Wavefront
from sitetwin.cli import app as cli
from sitetwin.cli import channels, codec_fit, trace
from sitetwin.cli import codec as codec_commands
from sitetwin.cli.options import fields, radios, single
from sitetwin.cli.options.groups import option_group, option_names, takes_groups
from sitetwin.learn.cell.codec import Rule
from sitetwin.learn.cell.link import DelayReference
from sitetwin.learn.cell.methods import METHODS
from sitetwin.rays.jobs.engines import ENGINES
from sitetwin.site.importers.mesh_files import UNITS
from sitetwin.site.materials import OutOfRange
from sitetwin.studies.beams.config import BeamProfile
from sitetwin.studies.csi.config import Profile

MOST_PARAMETERS = 10


def commands(group: Any = None, words: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """All commands of the program with the words that call them."""
    group = group or typer.main.get_command(cli.app)
    found: list[tuple[tuple[str, ...], Any]] = [(words, group)]
    for name, command in getattr(group, "commands", {}).items():
        found += commands(command, (*words, name))
    return found


COMMANDS = commands()


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(words) or "sitetwin" for words, _ in COMMANDS])
def test_every_command_helps(words: tuple[str, ...], command: Any) -> None:
    short, long = (CliRunner().invoke(cli.app, [*words, option]) for option in ("-h", "--help"))
    assert short.exit_code == long.exit_code == 0
    assert short.stdout == long.stdout
    assert command.help
    for parameter in command.params:
        assert parameter.help, parameter.name
        assert parameter.help[-1] in ".)", parameter.help


def test_there_are_as_many_commands_as_the_page_names() -> None:
    assert len([words for words, command in COMMANDS if not hasattr(command, "commands")]) == 40


def test_no_command_has_many_parameters() -> None:
    for group in (cli.app, cli.codec_app, cli.site_app, cli.store_app, cli.study_app, cli.vision_app, cli.models_app):
        for info in group.registered_commands:
            command = getattr(info.callback, "__command__", info.callback)  # as it was written, with its groups
            assert len(inspect.signature(command).parameters) <= MOST_PARAMETERS, info.name


@option_group("Colours")
class _Colours:
    shade: Annotated[str, typer.Option(help="A shade.")]
    depth: Annotated[int, typer.Option(min=0, help="A depth.")] = 3


@option_group("Colours")
class _Deeper(_Colours):
    depth: Annotated[int, typer.Option(min=0, help="Another depth.")] = 5


def test_a_group_is_handed_to_the_command_as_one_object() -> None:
    app, seen = typer.Typer(), []

    @app.command()
    @takes_groups
    def paint(wall: str, colours: _Deeper, coats: int = 1) -> None:
        """Paint."""
        seen.append((wall, colours, coats))

    assert CliRunner().invoke(app, ["north", "--shade", "red", "--coats", "2"]).exit_code == 0
    assert CliRunner().invoke(app, ["north", "--shade", "red", "--depth", "1"]).exit_code == 0
    assert seen == [("north", _Deeper(shade="red"), 2), ("north", _Deeper(shade="red", depth=1), 1)]
    assert CliRunner().invoke(app, ["north"]).exit_code == 2
    assert CliRunner().invoke(app, ["north", "--shade", "red", "--depth", "-1"]).exit_code == 2
    assert option_names(_Deeper) == ("shade", "depth")
    assert "Colours" in CliRunner().invoke(app, ["--help"]).stdout


def test_an_option_stands_once() -> None:
    def twice(colours: _Colours, depth: int = 1) -> None:
        """Two depths."""

    with pytest.raises(TypeError, match="depth twice"):
        takes_groups(twice)


@pytest.mark.parametrize(
    ("listed", "known"),
    [
        (fields.SEASONS, SEASONS),
        (fields.FOLIAGE, ("default", *MODELS, "none")),
        (fields.OUT_OF_RANGE, get_args(OutOfRange)),
        (fields.DIFFRACTION_MODELS, get_args(DiffractionModel)),
        (radios.PATTERNS, tuple(PATTERNS)),
        (channels.QUANTITIES, tuple(q for q in get_args(Quantity) if q != "cir")),  # it needs a pulse: in Python alone
        (channels.WAVEFRONTS, get_args(Wavefront)),
        (channels.STEERINGS, get_args(Steering)),
        (codec_fit.METHODS, tuple(METHODS)),
        (single.DELAY_REFERENCES, get_args(DelayReference)),
        (codec_commands.RULES, get_args(Rule)),
        (trace.ENGINES, ENGINES),
        (single.PROFILES, get_args(BeamProfile)),
        (("demo", *single.PROFILES), get_args(Profile)),
    ],
)
def test_the_choices_are_those_of_the_library(listed: tuple[str, ...], known: tuple[str, ...]) -> None:
    """They are written out here, so that help needs none of the library."""
    assert set(listed) == set(known)


def test_the_units_of_meshes_are_those_of_the_library() -> None:
    (command,) = (command for words, command in COMMANDS if words == ("site", "import"))
    (unit,) = (parameter for parameter in command.params if parameter.name == "unit")
    assert set(unit.metavar.strip("[]").split("|")) == set(UNITS)


def complete(*words: str, shell: str = "bash") -> list[str]:
    environment = {"_SITETWIN_COMPLETE": f"complete_{shell}", "COMP_WORDS": " ".join(words),
                   "COMP_CWORD": str(len(words) - 1)}  # fmt: skip
    result = CliRunner().invoke(cli.app, [], prog_name="sitetwin", env=environment)
    assert result.exit_code == 0
    return result.stdout.split()


def test_shells_complete_commands_options_and_choices() -> None:
    assert complete("sitetwin", "cov") == ["coverage"]
    assert set(complete("sitetwin", "site", "")) == {"import", "fetch", "export", "check", "variant"}
    assert complete("sitetwin", "codec", "e") == ["eval", "encode", "export"]
    assert complete("sitetwin", "codec", "update", "c", "--select", "k") == ["k-centre"]
    assert complete("sitetwin", "trace", "munich", "--diffuse-t") == ["--diffuse-tile"]
    assert complete("sitetwin", "channels", "p", "--season", "w") == ["winter"]
    assert complete("sitetwin", "channels", "p", "--season", "spring", "--wavefront", "s") == ["spherical"]
    assert complete("sitetwin", "export", "p", "--format", "p") == ["parquet"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed_without_a_network(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    result = CliRunner().invoke(cli.app, [], prog_name="sitetwin", env={"_SITETWIN_COMPLETE": f"source_{shell}"})
    assert result.exit_code == 0
    assert "_SITETWIN_COMPLETE" in result.stdout


def test_help_loads_no_heavy_library() -> None:
    heavy = ("torch", "mitsuba", "drjit", "numpy", "scipy", "xarray", "zarr", "dask", "psutil", "matplotlib")
    program = (
        "import sys\nfrom sitetwin.cli.app import app\n"
        "try:\n    app(['trace', '--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"
