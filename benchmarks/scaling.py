"""How the tracer's time and memory grow: with users in Munich, and with triangles in generated cities.

    python benchmarks/scaling.py --json > scaling.json

Each point runs in a process of its own, so that its peak memory is its own. The time of a point is that of a whole run
into a store in a temporary folder (ray caster, discovery, tiles, checksums, writing), after a small run that compiles
the kernels. The time until the first tile begins does not depend on the users; what is left is the marginal time, whose
exponent is fitted by least squares in the logarithms.

`reevaluation` compares a new trace with the gains at another frequency on the paths that are there.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from sitetwin.rays import TraceJob, TraceSettings, summarise, trace
from sitetwin.site import Site, build_site, itu_material, load_scene, user_grid

USERS = (10_000, 30_000, 100_000, 300_000, 1_000_000, 2_000_000)
TRIANGLES = (100, 1_000, 10_000, 100_000, 1_000_000)
MUNICH_TRANSMITTER, MUNICH_SPAN = (8.5, 21.0, 27.0), 480.0  # m
CITY_PITCH, CITY_HOUSE, CITY_SPAN = 40.0, 24.0, 240.0  # m: from house to house, side of a house, side of the users


def generated_city(triangles: int, seed: int = 0) -> Site:
    """Houses of random heights on a square grid with streets between, on flat ground.

    Args:
        triangles: About how many; a house has 10 (walls and roof), the ground 2.
        seed: Of the heights.
    """
    side = max(1, round(np.sqrt((triangles - 2) / 10)))
    rng = np.random.default_rng(seed)
    centre = (np.arange(side) - (side - 1) / 2) * CITY_PITCH
    x, y = (axis.ravel() for axis in np.meshgrid(centre, centre))
    houses, half = side * side, CITY_HOUSE / 2
    height = rng.uniform(8.0, 30.0, houses)
    corner = np.array([[-half, -half], [half, -half], [half, half], [-half, half]])
    vertices = np.zeros((houses, 8, 3))
    vertices[:, :4, :2] = vertices[:, 4:, :2] = np.stack([x, y], axis=1)[:, None] + corner
    vertices[:, 4:, 2] = height[:, None]
    walls = [[k, (k + 1) % 4, 4 + (k + 1) % 4] for k in range(4)] + [[k, 4 + (k + 1) % 4, 4 + k] for k in range(4)]
    house = np.array([*walls, [4, 5, 6], [4, 6, 7]])
    edge = side * CITY_PITCH / 2 + CITY_SPAN
    ground = np.array([[-edge, -edge, 0], [edge, -edge, 0], [edge, edge, 0], [-edge, edge, 0]])
    return build_site(
        f"city of {houses} houses",
        np.concatenate([vertices.reshape(-1, 3), ground]),
        np.concatenate([(8 * np.arange(houses)[:, None, None] + house).reshape(-1, 3), 8 * houses + house[-2:] - 4]),
        np.concatenate([np.repeat(np.arange(houses), len(house)), [houses, houses]]),
        [*(f"house {k}" for k in range(houses)), "ground"],
        [0] * houses + [1],
        [itu_material("concrete"), itu_material("concrete")],
    )


def users_in(site: Site, centre: tuple[float, float], span: float, count: int) -> np.ndarray:
    """Exactly `count` outdoor users at 1.5 m on a grid in a square."""
    area = (centre[0] - span / 2, centre[1] - span / 2, centre[0] + span / 2, centre[1] + span / 2)
    spacing = span / np.sqrt(count)
    while len(users := user_grid(area, spacing, 1.5, site)[0]) < count:
        spacing *= 0.97 * np.sqrt(max(len(users), 1) / count)
    return users[np.linspace(0, len(users) - 1, count).round().astype(int)]


def measure(site: Site, transmitter: np.ndarray, users: np.ndarray, depth: int) -> dict[str, Any]:
    """One run into a store: its times, paths and the peak memory of the process so far."""
    settings = TraceSettings(max_depth=depth)
    with tempfile.TemporaryDirectory() as folder:
        TraceJob(site, transmitter, users[:: max(1, len(users) // 200)], settings).run(Path(folder) / "warm")
        begun = first = time.perf_counter()

        def tell(stage: str, share: float) -> None:
            nonlocal first
            if stage == "discover":
                first = time.perf_counter()

        TraceJob(site, transmitter, users, settings).run(Path(folder) / "paths", progress=tell)
        ended = time.perf_counter()
        summary = summarise(Path(folder) / "paths")
    return {
        "users": len(users),
        "triangles": site.num_triangles,
        "paths": summary.paths,
        "unseen_share_estimated": summary.unseen_share,
        "seconds": ended - begun,
        "seconds_fixed": first - begun,
        "seconds_marginal": ended - first,
        "seconds_per_user": (ended - begun) / len(users),
        "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }


def measure_reevaluation(site: Site, transmitter: np.ndarray, users: np.ndarray, depth: int) -> dict[str, Any]:
    """Seconds of a new trace in memory, and of the gains at another frequency on the paths of the last one."""
    from sitetwin.channel import path_gains  # brings torch, whose memory is not the tracer's

    settings = TraceSettings(max_depth=depth)
    path_gains(trace(site, transmitter, users[:200], settings), site, 3.5e9)  # compiles the kernels
    marks = [time.perf_counter()]
    paths = trace(site, transmitter, users, settings)
    marks.append(time.perf_counter())
    for frequency in (3.5e9, 7e9, 3.6e9):
        path_gains(paths, site, frequency)
        marks.append(time.perf_counter())
    seconds = np.diff(marks)
    evaluation = float(np.median(seconds[1:]))
    return {
        "users": len(users),
        "paths": paths.num_paths,
        "seconds_trace": float(seconds[0]),
        "seconds_evaluation": evaluation,
        "ratio": evaluation / float(seconds[0]),
    }


def in_a_process(what: str, size: int, users: int, depth: int) -> dict[str, Any]:
    """The point of `measure` from a fresh process."""
    command = [sys.executable, str(Path(__file__).resolve()), "--point", f"{what},{size},{users},{depth}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def point(text: str) -> dict[str, Any]:
    """One point, here: ``munich,0,USERS,DEPTH``, ``reevaluation,0,USERS,DEPTH`` or ``city,TRIANGLES,USERS,DEPTH``."""
    what, *numbers = text.split(",")
    size, count, depth = map(int, numbers)
    if what != "city":
        site, transmitter, span = load_scene("munich"), np.array(MUNICH_TRANSMITTER), MUNICH_SPAN
    else:
        site, span = generated_city(size), CITY_SPAN
        transmitter = np.array([CITY_PITCH / 2 if round(np.sqrt((size - 2) / 10)) % 2 else 0.0, 1.0, 25.0])
    users = users_in(site, (transmitter[0], transmitter[1]), span, count)
    return (measure_reevaluation if what == "reevaluation" else measure)(site, transmitter, users, depth)


def slope(x: list[float], y: list[float]) -> float:
    """Exponent of a power law, by least squares in the logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def run(
    users: Annotated[str, typer.Option(help="Numbers of users in Munich.")] = ",".join(map(str, USERS)),
    triangles: Annotated[str, typer.Option(help="Sizes of the cities; empty for none.")] = ",".join(
        map(str, TRIANGLES)
    ),
    mesh_users: Annotated[int, typer.Option(help="Users in the cities.")] = 20_000,
    reevaluation_users: Annotated[int, typer.Option(help="Users of the new trace and of the evaluation.")] = 200_000,
    depth: Annotated[int, typer.Option(help="Most reflections.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    at: Annotated[str, typer.Option("--point", hidden=True)] = "",
) -> None:
    """Measure and print."""
    if at:
        print(json.dumps(point(at)))
        return

    def told(what: str, size: int, count: int) -> dict[str, Any]:
        result = in_a_process(what, size, count, depth)
        if not as_json:
            typer.echo(f"{what}: {json.dumps(result)}", err=True)
        return result

    points = [told("munich", 0, int(count)) for count in users.split(",")]
    meshes = [told("city", int(size), mesh_users) for size in triangles.split(",") if size]
    again = told("reevaluation", 0, reevaluation_users)
    result: dict[str, Any] = {
        "scene": "munich",
        "depth": depth,
        "points": points,
        "peak_memory_gb": max(p["peak_memory_gb"] for p in points),
        "meshes": meshes,
        "reevaluation": again,
    }
    if len(points) > 1:
        last, before = points[-1], points[-2]
        more = last["users"] - before["users"]
        result["exponent"] = slope([p["users"] for p in points], [p["seconds_marginal"] for p in points])
        result["marginal_seconds_per_user"] = (last["seconds"] - before["seconds"]) / more
    if len(meshes) > 1:
        result["mesh_exponent"] = slope([m["triangles"] for m in meshes], [m["seconds"] for m in meshes])
    print(json.dumps(result, indent=None if as_json else 2))


if __name__ == "__main__":
    typer.run(run)
