"""The bounds of the closed loop, on what a study has followed by now; it may still run, or have been stopped.

    sitetwin study vision --profile full --out runs/loop        # hours; goes on where it was stopped
    python benchmarks/closed_loop.py runs/loop --json

The bounds, all of one configuration and for networks: in 250 blocked moments or more of 60 blockages or more, the
traced twin's layer-1 accuracy is 20 points or more over GPS line of sight (lower end of the interval: 10) and its
median loss is 4 dB (factor 20) at most; in 250 clear moments or more its distance-based accuracy is at most 0.01
below; at the natural share of blockage it is no worse than the line of sight to the tracked user; blockage is told
with a recall of 0.85 at a precision of 0.95. Intervals draw whole drives.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from sitetwin.errors import SiteTwinError
from sitetwin.studies.vision.closed_loop.loop import SIGHT, TRACKED, TWIN, so_far
from sitetwin.studies.vision.closed_loop.scores import NATURAL
from sitetwin.vision import load_detector, load_lines


def said(estimate: dict[str, Any] | None) -> str:
    """An estimate with its interval in a few characters."""
    if estimate is None or estimate["mean"] is None:
        return "-"
    if estimate["low"] is None:
        return f"{estimate['mean']:.3f}"
    return f"{estimate['mean']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def bounds(found: dict[str, Any], eyes: str) -> dict[str, Any]:
    """Each bound with what was measured, and whether it is met."""
    rows = {(row["moments"], row["method"]): row for row in found["rows"]}
    twin, tracked = f"{TWIN}, {eyes}", f"{TRACKED}, {eyes}"
    hidden, clear, natural = (rows[group, twin] for group in ("blocked", "clear", NATURAL))
    now = next(row for row in found["blockage"] if row["perception"] == eyes and not row["ahead_s"])
    gain, shift = hidden["l1_gain"], clear["dba_gain"]
    beside = rows[NATURAL, tracked]
    recall, precision = now["recall"]["mean"], now["precision"]["mean"]
    return {
        "moments": (f"{hidden['count']} blocked, {clear['count']} clear, {found['blockages']} blockages",
                    hidden["count"] >= 250 and clear["count"] >= 250 and found["blockages"] >= 60),
        "blocked, layer 1 over GPS": (said(gain), gain["mean"] >= 0.2 and (gain["low"] or 0.0) >= 0.1),
        "blocked, median loss, dB with factor 20": (f"{hidden['loss_20log']:.2f}", hidden["loss_20log"] <= 4.0),
        "clear, DBA over GPS": (said(shift), shift["mean"] >= -0.01),
        "natural share, layer 1 and DBA beside the tracked line of sight": (
            f"{natural['l1']['mean']:.3f} to {beside['l1']['mean']:.3f}, "
            f"{natural['dba']['mean']:.3f} to {beside['dba']['mean']:.3f}",
            all(natural[key]["mean"] >= beside[key]["mean"] for key in ("l1", "dba"))),
        "blockage, recall and precision": (f"{said(now['recall'])}, {said(now['precision'])}",
                                           (recall or 0) >= 0.85 and (precision or 0) >= 0.95),
    }  # fmt: skip


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of a study that records its own drives.")],
    detector: Annotated[str, typer.Option(help="The networks of the study; 'none' leaves them out.")] = "both",
    poles: Annotated[bool, typer.Option(help="Whether the study had a network of lines, as it has by default.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="All rows.")] = False,
) -> None:
    """Print tables and bounds of what was followed by now."""
    try:
        none = detector == "none"
        found = so_far(folder, None if none else load_detector(detector), None if none or not poles else load_lines())
    except SiteTwinError as error:
        raise SystemExit(f"error: {error}") from None
    if as_json:
        print(json.dumps(found))
        return
    print(
        f"{found['drives']} drives of {found['streets']} streets, {found['moments']} moments, "
        f"{found['blocked']} blocked in {found['blockages']} blockages, natural share {found['natural_share']:.3f}"
    )
    for row in found["rows"]:
        print(
            f"{row['moments']:14s} {row['method']:50s} L1 {said(row['l1'])} gain {said(row.get('l1_gain'))}  "
            f"DBA {said(row['dba'])} gain {said(row.get('dba_gain'))}  loss {said(row['loss'])} dB"
        )
    for row in found["blockage"]:
        print(
            f"blockage, {row['perception']}, {row['ahead_s']:g} s ahead: {row['blocked']} of {row['moments']}, recall "
            f"{said(row['recall'])}, precision {said(row['precision'])}"
        )
    for eyes in [name for name in ("networks", "true boxes") if any(name in row["method"] for row in found["rows"])]:
        print(f"\nbounds, {eyes} (gains over {SIGHT})")
        for name, (measured, met) in bounds(found, eyes).items():
            print(f"  {'met   ' if met else 'missed'} {name}: {measured}")


if __name__ == "__main__":
    typer.run(main)
