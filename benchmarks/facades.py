"""How far off the facades are that straight lines of images tell, on the drives of a recorded campaign.

    python benchmarks/facades.py runs/loop/campaign --frames 5 --json

For each window of each drive its first frames are taken, with the true boxes of vehicles in the place of a detector's.
A wall that was found is compared, metre by metre, with the front and the height of the house that stands there. The
direction of the street is compared with the true one. What the renderer's depth finds in the first frame stands beside
it: metres of walls, which the camera sees at all.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from sitetwin.site import Site
from sitetwin.vision import Ground, PerfectDepth, PerfectDetector
from sitetwin.vision.scene.facade_lines import facades_by_lines
from sitetwin.vision.scene.facades import Facade, find_facades
from sitetwin.vision.scene.placing import place_boxes
from sitetwin.vision.worlds import Recording, read_campaign, recorded_world
from sitetwin.vision.worlds.following import ALONG_THE_STREET


def errors(site: Site, wall: Facade) -> list[tuple[float, float]]:
    """Metres that a wall stands and ends too far from the street and too high, in each metre; NaN without a house."""
    names = [k for k, name in enumerate(site.objects) if name.startswith("house-")]
    low, high = sorted((wall.start, wall.end), key=lambda end: float(end[0]))
    found = []
    for x in np.arange(low[0] + 0.5, high[0], 1.0):
        y = float(np.interp(x, [low[0], high[0]], [low[1], high[1]]))
        side = math.copysign(1.0, y)
        own = [b for b in site.object_bounds[names] if b[0, 0] <= x <= b[1, 0] and side * b[:, 1].mean() > 0]
        front = min((side * box[:, 1]).min() for box in own) if own else math.nan
        found.append((abs(y) - front, wall.height - max(box[1, 2] for box in own) if own else math.nan))
    return found


def window_of(recording: Recording, window: int, frames: int, site: Site) -> dict[str, object]:
    """What lines tell of one window of a drive, and how far off it is."""
    camera, rows = recording.camera, np.flatnonzero(recording.window == window)[:frames].tolist()
    images, moving, places = [], [], []
    for row in rows:
        frame = recording.frame(row)
        boxes = PerfectDetector().detect(frame)
        hidden = np.zeros((camera.height, camera.width), dtype=bool)
        for one in boxes:
            left, upper, right, lower = (int(edge) for edge in one.box)
            hidden[upper : lower + 1, left : right + 1] = True
        placed = place_boxes(camera, boxes, Ground(), ALONG_THE_STREET)
        places += [one.position for one in placed if one is not None and np.trace(one.covariance) < 2.0]
        images.append(frame.image)
        moving.append(hidden)
    started = time.perf_counter()
    found = facades_by_lines(camera, images, moving, vehicles=np.array(places).reshape(-1, 2))
    seconds = time.perf_counter() - started
    seen = find_facades(camera, PerfectDepth().depth(recording.frame(rows[0]), camera), 0.0, moving=moving[0])
    return {
        "street": str(recording.world["name"]),
        "drive": recording.folder.name,
        "light": str(recording.world["light"]),
        "flags": list(found.flags),
        "heading_deg": math.degrees(math.remainder(found.heading, math.pi)),
        "errors": [one for wall in found.facades for one in errors(site, wall)],
        "seen_m": sum(float(np.linalg.norm(wall.end - wall.start)) for wall in seen),
        "seconds": seconds,
    }


def main(
    campaign: Annotated[Path, typer.Argument(help="Folder of recorded drives.")],
    frames: Annotated[int, typer.Option(help="Images of a window that are taken together.")] = 5,
    windows: Annotated[int, typer.Option(help="At most, spread over the drives.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Print each window, and the errors of all."""
    recordings, _ = read_campaign(campaign)
    pairs = [(one, window) for one in recordings for window in sorted(set(one.window.tolist()))]
    chosen = [pairs[k] for k in np.unique(np.linspace(0, len(pairs) - 1, min(windows, len(pairs))).astype(int))]
    sites: dict[str, Site] = {}
    rows = []
    for one, window in chosen:
        name = json.dumps(one.world, sort_keys=True)
        if name not in sites:
            sites[name] = recorded_world(one).canyon.site
        row = window_of(one, window, frames, sites[name])
        rows.append(row)
        off = np.array(row["errors"]).reshape(-1, 2)
        shown = {**row, "errors": np.round(np.median(np.abs(off), axis=0), 2).tolist() if len(off) else None}
        print(json.dumps(shown) if as_json else shown, flush=True)
    off = np.abs(np.concatenate([np.array(row["errors"]).reshape(-1, 2) for row in rows]))
    heading = np.abs([row["heading_deg"] for row in rows])
    found = [row for row in rows if row["errors"]]
    summary = {
        "windows": len(rows),
        "streets": len(sites),
        "with_walls": len(found),
        "flags": {flag: sum(flag in row["flags"] for row in rows) for flag in ("no-street-direction", "no-facade")},
        "metres": len(off),
        "metres_seen": round(sum(float(row["seen_m"]) for row in found)),
        "off_m": {"median": float(np.nanmedian(off[:, 0])), "90 %": float(np.nanpercentile(off[:, 0], 90))},
        "within_a_metre": float(np.nanmean(off[:, 0] < 1.0)),
        "no_house_there": float(np.isnan(off[:, 0]).mean()),
        "height_off_m": float(np.nanmedian(off[:, 1])),
        "heading_off_deg": {"median": float(np.nanmedian(heading)), "90 %": float(np.nanpercentile(heading, 90))},
        "seconds": float(np.median([row["seconds"] for row in rows])),
    }
    print(json.dumps(summary) if as_json else summary)


if __name__ == "__main__":
    typer.run(main)
