"""The commands `sitetwin codec ...` that use a codec: update, eval, encode, decode, export, info."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sitetwin.cli.codec_fit import print_codec
from sitetwin.cli.console import note, print_facts, say
from sitetwin.cli.options.single import choice

if TYPE_CHECKING:
    from sitetwin.learn.cell.codec import CellCodec
    from sitetwin.learn.cell.matrices import CellMatrices

RULES = ("high-nmse", "k-centre", "random")

CodecFile = Annotated[Path, typer.Argument(metavar="CODEC", help="File of the codec.")]
Source = Annotated[
    Path,
    typer.Argument(metavar="CHANNELS", help="Channels: a data set, or a file (.npz, .h5, .mat) with the array h."),
]
Axes = Annotated[
    str | None,
    typer.Option(
        help="Names of the axes of a file's array h in order, as time,antenna,subcarrier or user,delay,angle,re_im."
    ),
]
OtherWorld = Annotated[
    bool, typer.Option("--other-world", help="The channels are of the same cell in another state, as with trees.")
]
Layers = Annotated[
    int | None, typer.Option(min=1, help="Layers of users with several antennas, in the place of the users.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


def update(
    codec: CodecFile,
    measured: Annotated[Path, typer.Option(help="Measured channels: a file (.npz, .h5, .mat), or a data set.")],
    keep: Annotated[int, typer.Option(min=1, help="How many measured channels the codec is updated with.")] = 40,
    select: Annotated[
        str,
        choice(*RULES, help="Which: those recovered worst, different ones among these, or any."),
    ] = "high-nmse",
    axes: Axes = None,
    other_world: OtherWorld = False,
    layers: Layers = None,
    to: Annotated[
        Path | None,
        typer.Option("--out", help="File of the next version; by default beside the codec, as cell-v2.codec."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
) -> None:
    """Update a codec with measured channels, into the file of its next version; the old file stays."""
    from sitetwin.learn.cell.codec import CellCodec
    from sitetwin.store.outputs import refuse_existing

    known = CellCodec.load(codec)
    where = next_file(codec, known.version + 1) if to is None else to
    refuse_existing(where)
    given = matrices(known, measured, axes, other_world, skip_silent=True, layers=layers)
    found = known.update(given, keep, select, seed=seed)
    found.save(where)
    print_codec(found)
    say(str(where))


def evaluate(
    codec: CodecFile,
    source: Source,
    axes: Axes = None,
    other_world: OtherWorld = False,
    layers: Layers = None,
    as_json: AsJson = False,
) -> None:
    """Say how well a codec serves some users: NMSE, cosine similarity, bits; of several antennas for each layer."""
    from sitetwin.learn.cell.codec import CellCodec
    from sitetwin.learn.cell.layers import evaluate_layers

    known = CellCodec.load(codec)
    given = matrices(known, source, axes, other_world, skip_silent=True, layers=layers)
    found: dict[str, Any] = known.evaluate(given)
    if layers is not None:
        found["layers"] = evaluate_layers(known, given, layers)
    if as_json:
        print(json.dumps(found, indent=1))
        return
    for one in found.pop("layers", []):
        number = one.pop("layer")
        found |= {f"{name}_of_layer_{number}": value for name, value in one.items()}
    print_facts(
        (name.replace("_", " "), f"{value:,}" if isinstance(value, int) else f"{value:.4g}")
        for name, value in found.items()
    )


def encode(
    codec: CodecFile,
    source: Source,
    to: Annotated[Path, typer.Option("--out", help="File of the reports to write (.npz).")],
    axes: Axes = None,
    other_world: OtherWorld = False,
    layers: Layers = None,
) -> None:
    """Write the reports of users: the bits that they feed back; of several antennas one for each layer."""
    from sitetwin.learn.cell.codec import CellCodec
    from sitetwin.store.outputs import refuse_existing

    refuse_existing(to)
    known = CellCodec.load(codec)
    reports = known.encode(matrices(known, source, axes, other_world, layers=layers))
    reports.save(to)
    say(f"{len(reports):,} reports, {reports.bits.mean():.4g} bits each: {to}")


def decode(
    codec: CodecFile,
    reports: Annotated[Path, typer.Argument(help="File of the reports, as `sitetwin codec encode` wrote it.")],
    to: Annotated[Path, typer.Option("--out", help="File of the recovered channels to write (.npz or .mat).")],
    axes: Annotated[
        str, typer.Option(help="Axes of the channels: user, antenna or angle, and subcarrier or delay, in any order.")
    ] = "user,delay,angle",
) -> None:
    """Write the channels that the base station recovers of reports: of unit norm, without their common phase."""
    from sitetwin.learn.cell.codec import CellCodec
    from sitetwin.learn.cell.reports import Reports
    from sitetwin.measured import write_named_csi
    from sitetwin.store.outputs import refuse_existing

    refuse_existing(to)
    found = CellCodec.load(codec).decode(Reports.load(reports), _names(axes) or ())
    write_named_csi(found, to)
    say(f"{found.sizes['user']:,} channels over {', '.join(map(str, found.dims))}: {to}")


def export(
    codec: CodecFile,
    onnx: Annotated[
        Path, typer.Option(help="Folder to make: encoder.onnx, encoder_int8.onnx, decoder.onnx, codec.json.")
    ],
) -> None:
    """Write the encoder for users and the decoder for the base station as ONNX graphs, compared with torch."""
    from sitetwin.learn.cell.codec import CellCodec
    from sitetwin.learn.cell.onnx_export import export_onnx

    checks = export_onnx(CellCodec.load(codec), onnx)
    print_facts(
        (name, f"{one.same_index:.2%} of {one.users} have the same index, {one.in_words}")
        for name, one in checks.items()
    )
    say(str(onnx))


def info(codec: CodecFile, as_json: AsJson = False) -> None:
    """Say what a codec is for, its versions, sizes and costs."""
    from sitetwin.learn.cell.codec import CellCodec

    known = CellCodec.load(codec)
    if as_json:
        print(json.dumps(known.facts(), indent=1))
        return
    print_codec(known)


def next_file(codec: Path, version: int) -> Path:
    """The file beside a codec for another version of it: of ``cell.codec`` and ``cell-v2.codec``, ``cell-v3.codec``."""
    return codec.with_name(f"{re.sub(r'-v[0-9]+$', '', codec.stem)}-v{version}{codec.suffix}")


def _names(axes: str | None) -> list[str] | None:
    return None if axes is None else [name.strip() for name in axes.split(",")]


def matrices(
    codec: CellCodec,
    source: Path,
    axes: str | None,
    other_world: bool = False,
    skip_silent: bool = False,
    layers: int | None = None,
) -> CellMatrices:
    """Matrices of a source, with a note of what it does not say."""
    import sitetwin as st
    from sitetwin.learn.cell.layers import layer_channels

    h = st.open_csi(source, _names(axes)).compute()
    h = h if layers is None else layer_channels(h, layers)
    found = codec.matrices(h, other_world=other_world, skip_silent=skip_silent)
    if found.assumed:
        note(f"{source} does not say its {', '.join(found.assumed)}: taken to be the codec's")
    if found.silent.any():
        note(f"{int(found.silent.sum())} of {len(found.silent)} users have no channel and are left out")
    return found
