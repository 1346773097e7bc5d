"""The dense tracer against Sionna RT's `PathSolver`: same scene, depth, users and outputs, in one process.

    python benchmarks/tracing.py --json > tracing.json

Both give complex gains, delays and angles of every path. Ours is timed whole: loading the mesh into the ray caster,
discovery, image method, verification, gains. Theirs is timed at its best: the scene is built beforehand, positions
come from arrays instead of `Receiver` objects, and samples, batch and `max_num_paths_per_src` are swept; the peer is
the fastest setting whose recall of the law-tested union of both engines' paths is 98 % or more.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
import typer

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # tests.rays.laws, the judge that neither engine shares code with

from benchmarks import diffraction as bent  # noqa: E402
from benchmarks.machine import bare_ray_rate, peak_memory_gb  # noqa: E402
from tests.rays.laws import Judgement, LawTest, Verdict  # noqa: E402

from sitetwin.channel.fields.path_gains import path_gains  # noqa: E402
from sitetwin.errors import SiteTwinError  # noqa: E402
from sitetwin.rays import TraceSettings, discover, solve  # noqa: E402
from sitetwin.rays.caster import RayCaster  # noqa: E402
from sitetwin.rays.jobs.io import save_paths  # noqa: E402
from sitetwin.rays.paths import SPEED_OF_LIGHT, Paths  # noqa: E402
from sitetwin.rays.referee.compare import Match, gain_differences, match_paths  # noqa: E402
from sitetwin.rays.referee.sionna import ReferenceEngine, ReferenceSettings  # noqa: E402
from sitetwin.site import Site, check_transmitter, load_scene, user_grid  # noqa: E402

RECALL_ASKED = 0.98
LONG_SEGMENT = 2.0  # m
SWEEP_SAMPLES = (20_000, 50_000, 100_000, 200_000, 1_000_000)
SWEEP_BATCHES = (50, 100, 200)
SWEEP_PATHS = (1_000_000, 20_000_000)


@dataclass(frozen=True)
class Job:
    """What both engines are asked."""

    site: Site
    transmitter: np.ndarray
    users: np.ndarray
    depth: int
    frequency: float


@dataclass(frozen=True)
class Stages:
    """Seconds of one run of ours."""

    caster: float
    discovery: float
    solve_and_verify: float
    gains: float
    angles: float

    @property
    def total(self) -> float:
        return self.caster + self.discovery + self.solve_and_verify + self.gains + self.angles


class CountingCaster(RayCaster):
    """Counts the rays that verification casts."""

    rays = 0

    def first_facet(self, origin: Any, target: Any, active: Any) -> Any:
        """As its parent."""
        self._count(origin)
        return super().first_facet(origin, target, active)

    def clear(self, origin: Any, target: Any, active: Any) -> Any:
        """As its parent."""
        self._count(origin)
        return super().clear(origin, target, active)

    def _count(self, origin: Any) -> None:
        import drjit as dr

        self.rays += dr.width(origin)


def trace_ours(job: Job, seed: int = 0, caster_class: type[RayCaster] = RayCaster) -> tuple[Paths, Any, Stages, Any]:
    """Paths, gains and stages of one whole run; the caster is returned for its counts."""
    settings = TraceSettings(max_depth=job.depth, seed=seed)
    marks = [time.perf_counter()]

    def lap() -> None:
        marks.append(time.perf_counter())

    caster = caster_class(job.site)
    lap()
    chains = discover(job.site, job.transmitter, job.users, settings, caster=caster)
    lap()
    paths = solve(job.site, chains, job.users, settings, caster=caster)
    lap()
    gains = our_gains(job, paths)
    lap()
    for direction in (paths.departure, paths.arrival):
        np.arctan2(direction[:, 1], direction[:, 0])
        np.arccos(direction[:, 2])
    lap()
    return paths, gains, Stages(*np.diff(marks).tolist()), (caster, chains)


def our_gains(job: Job, paths: Paths) -> np.ndarray:
    """(P,) complex voltage gains with the carrier phase, isotropic V antennas."""
    return path_gains(paths, job.site, job.frequency).numpy()[:, 0, 0]


def their_outputs(raw: Any) -> tuple[Any, ...]:
    """Gains, delays and the four angles as NumPy arrays."""
    angles = tuple(getattr(raw, name).numpy() for name in ("theta_t", "phi_t", "theta_r", "phi_r"))
    return (*raw.cir(normalize_delays=False, out_type="numpy"), *angles)


def run_theirs(
    engine: ReferenceEngine, job: Job, users: np.ndarray, settings: ReferenceSettings
) -> tuple[float, Paths]:
    """Seconds of `PathSolver` and its outputs for all `users`, in batches; and the paths, converted off the clock."""
    seconds, parts = 0.0, []
    for first in range(0, len(users), settings.batch):
        start = time.perf_counter()
        raw = engine.solve(job.transmitter, users[first : first + settings.batch], settings)
        their_outputs(raw)
        seconds += time.perf_counter() - start
        parts.append(engine.rows(raw, settings.max_depth))
    return seconds, engine.assemble(job.transmitter, users, settings, parts)[0]


def sweep(engine: ReferenceEngine, job: Job, ours: Paths, judge: LawTest, chosen: np.ndarray, say: Callable) -> dict:
    """Rate and recall of each setting of the peer on a sample of users; the fastest that recalls enough."""
    users = job.users[chosen]
    mine = ours.select_users(chosen)
    runs = []
    for samples in SWEEP_SAMPLES:
        for batch in SWEEP_BATCHES:
            for max_num_paths in SWEEP_PATHS:
                if samples == max(SWEEP_SAMPLES) and (batch, max_num_paths) != (100, 20_000_000):
                    continue  # minutes each, and these lose by far
                setting = ReferenceSettings(job.depth, samples, batch, max_num_paths)
                run_theirs(engine, job, users[:batch], setting)  # warm: kernels of this size
                seconds, paths = run_theirs(engine, job, users, setting)
                runs.append(
                    {"setting": setting, "seconds": [seconds], "match": match_paths(mine, paths), "paths": paths}
                )
                say(
                    f"peer: {samples} samples, batch {batch}, {max_num_paths} slots: {len(users) / seconds:.1f} users/s"
                )
    truth = union_of(judge, mine, [(run["match"], run["paths"]) for run in runs])
    for run in runs:
        run["recall"] = len(truth["ours"] & set(run["match"].a.tolist())) + len(
            truth["theirs"] & {key_of(run["paths"], row) for row in run["match"].only_b}
        )
        run["recall"] /= truth["size"]
    good = sorted((r for r in runs if r["recall"] >= RECALL_ASKED), key=lambda r: r["seconds"][0])
    finest = next(r for r in runs if r["setting"].samples == max(SWEEP_SAMPLES))
    timed = {id(run): run for run in (*good[:3], finest)}
    for run in timed.values():
        run["seconds"] += [run_theirs(engine, job, users, run["setting"])[0] for _ in range(2)]
    best = min(good[:3] or [finest], key=lambda r: median(r["seconds"]))

    def row(run: dict) -> dict:
        s = run["setting"]
        return {
            "samples": s.samples,
            "batch": s.batch,
            "max_num_paths_per_src": s.max_num_paths,
            "users_per_second": len(users) / median(run["seconds"]),
            "recall": run["recall"],
            "timed_runs": len(run["seconds"]),
        }

    return {"best": row(best), "finest": row(finest), "all": [row(r) for r in runs], "union_paths": truth["size"]}


def key_of(paths: Paths, row: int) -> tuple:
    """User and chain of a path."""
    return (int(paths.user_of_path[row]), *paths.facets[row].tolist())


def union_of(judge: LawTest, mine: Paths, theirs: list[tuple[Match, Paths]]) -> dict:
    """The lawful paths that any run found: ours by row, others by user and chain."""
    lawful = {row for row, j in enumerate(judge.judge_paths(mine)) if j.verdict is Verdict.VALID}
    extra: dict[tuple, Judgement] = {}
    for match, paths in theirs:
        fresh = [row for row in match.only_b if key_of(paths, row) not in extra]
        for row, judgement in zip(fresh, judge.judge_paths(paths, np.array(fresh, int)), strict=True):
            extra[key_of(paths, row)] = judgement
    others = {key for key, judgement in extra.items() if judgement.verdict is Verdict.VALID}
    return {"ours": lawful, "theirs": others, "size": max(len(lawful) + len(others), 1)}


def shortest_segments(paths: Paths) -> np.ndarray:
    """(P,) metres between the two nearest neighbours among transmitter, vertices and user of each path.

    The peer's vertices are single precision, some 0.1 mm here: over a short segment that turns the wave's direction.
    """
    ends = paths.users[paths.user_of_path][:, None]
    vertices = np.where(np.isnan(paths.vertices), ends, paths.vertices)
    start = np.broadcast_to(paths.transmitter, (paths.num_paths, 1, 3))
    steps = np.linalg.norm(np.diff(np.concatenate([start, vertices, ends], axis=1), axis=1), axis=2)
    return np.where(steps > 0, steps, np.inf).min(axis=1)


def recall_run(engine: ReferenceEngine, job: Job, judge: LawTest, seeds: int, total: int, say: Callable) -> dict:
    """Recall of both engines at 10^6 samples over sampled users, with every disagreement judged."""
    setting = ReferenceSettings(job.depth, samples=1_000_000, batch=100, max_num_paths=20_000_000)
    counts = dict.fromkeys(("union", "ours", "theirs"), 0)
    powers = dict.fromkeys(("union", "ours", "theirs"), 0.0)
    unlawful, disagreements, lengths, decibels, phases, shortest, rounding = [], [], [], [], [], [], []
    for seed in range(seeds):
        chosen = np.sort(np.random.default_rng(seed).choice(len(job.users), total // seeds, replace=False))
        mine = trace_ours(job, seed)[0].select_users(chosen)
        theirs, gains = engine.trace(job.transmitter, job.users[chosen], setting)
        say(f"recall: seed {seed}, {len(chosen)} users, {mine.num_paths} paths of ours, {theirs.num_paths} of theirs")
        match = match_paths(mine, theirs)
        our_gain = our_gains(job, mine)
        power_a, power_b = np.abs(our_gain) ** 2, np.abs(gains.gain) ** 2
        verdicts = judge.judge_paths(mine)
        lawful = np.array([j.verdict is Verdict.VALID for j in verdicts], dtype=bool)
        verdicts_b = judge.judge_paths(theirs, match.only_b)
        lawful_b = np.array([j.verdict is Verdict.VALID for j in verdicts_b], dtype=bool)
        both = np.zeros(mine.num_paths, dtype=bool)
        both[match.a] = True
        for total_of, weight_a, weight_b in (
            (counts, np.ones(mine.num_paths), np.ones(len(match.only_b))),
            (powers, power_a, power_b[match.only_b]),
        ):
            total_of["ours"] += weight_a[lawful].sum()
            total_of["theirs"] += weight_a[lawful & both].sum() + weight_b[lawful_b].sum()
            total_of["union"] += weight_a[lawful].sum() + weight_b[lawful_b].sum()
        for engine_name, paths, rows, found in (
            ("sitetwin", mine, match.only_a, [verdicts[row] for row in match.only_a]),
            ("sionna-rt", theirs, match.only_b, verdicts_b),
        ):
            strength = power_a if engine_name == "sitetwin" else power_b
            disagreements += [
                describe(paths, row, j, engine_name, strength[row], seed, chosen)
                for row, j in zip(rows, found, strict=True)
            ]
        for row in match.a[~lawful[match.a]]:
            unlawful.append(describe(mine, row, verdicts[row], "both", power_a[row], seed, chosen))
        lengths.append(np.abs(mine.length[match.a] - gains.delay[match.b].astype(float) * SPEED_OF_LIGHT))
        carrier = np.exp(2j * np.pi * job.frequency * mine.delay[match.a])
        decibel, phase = gain_differences(our_gain[match.a] * carrier, gains.gain_at_zero_delay[match.b])
        decibels.append(decibel)
        phases.append(np.degrees(phase))
        shortest.append(shortest_segments(mine)[match.a])
        in_double = path_gains(mine, job.site, job.frequency, dtype=torch.complex128).numpy()[:, 0, 0]
        rounding.append(gain_differences(our_gain, in_double)[0])
    return {
        "recall": float(counts["ours"] / counts["union"]),
        "recall_power": float(powers["ours"] / powers["union"]),
        "peer_recall": float(counts["theirs"] / counts["union"]),
        "peer_recall_power": float(powers["theirs"] / powers["union"]),
        "recall_users": (total // seeds) * seeds,
        "union_paths": int(counts["union"]),
        "length_difference_m": spread(lengths),
        "power_difference_db": spread(decibels),
        "power_difference_db_segments_over_2_m": spread(
            [d[long >= LONG_SEGMENT] for d, long in zip(decibels, shortest, strict=True)]
        ),
        "power_difference_db_our_single_to_double": spread(rounding),
        "phase_difference_degrees": spread(phases),
        "disagreements": disagreements,
        "agreed_but_not_lawful": unlawful,
    }


def describe(paths: Paths, row: int, judgement: Judgement, found_by: str, power: float, seed: int, chosen: Any) -> dict:
    """One path that only one engine found, with what the law says."""
    depth = int(paths.depth[row])
    return {
        "found_by": found_by,
        "seed": seed,
        "user": int(chosen[paths.user_of_path[row]]),
        "facets": paths.facets[row, :depth].tolist(),
        "length_m": float(paths.length[row]),
        "power_db": float(10 * np.log10(power)),
        "verdict": judgement.verdict.value,
        "law": judgement.law,
        "detail": judgement.detail,
    }


def spread(parts: list[np.ndarray]) -> dict:
    """Median, 99th percentile and maximum."""
    values = np.concatenate(parts)
    keys = ("median", "p99", "max")
    return dict(zip(keys, map(float, np.percentile(values, [50, 99, 100])), strict=True)) | {"paths": len(values)}


def make_job(scene: str, depth: int, count: int, frequency: float, transmitter: str, span: float) -> Job:
    """The scene and exactly `count` outdoor users at 1.5 m, in a square of side `span` about the transmitter."""
    site = load_scene(scene)
    position = check_transmitter(site, np.array([float(x) for x in transmitter.split(",")]))
    x, y = position[:2]
    area = (x - span / 2, y - span / 2, x + span / 2, y + span / 2)
    spacing = span / np.sqrt(count)
    while len(users := user_grid(area, spacing, 1.5, site)[0]) < count:
        spacing *= 0.9 * np.sqrt(max(len(users), 1) / count)
    keep = np.linspace(0, len(users) - 1, count).round().astype(int)
    return Job(site, position, users[keep], depth, frequency)


def measure_ours(job: Job, say: Callable) -> tuple[dict, Paths]:
    """Cold and warm times of ours, its stages, and how many rays it casts."""
    cold = trace_ours(job)[2].total
    say(f"ours, cold: {cold:.2f} s")
    runs = [trace_ours(job) for _ in range(3)]
    paths, gains = runs[0][0], runs[0][1]
    stages = sorted((run[2] for run in runs), key=lambda s: s.total)[1]
    say(f"ours, warm: {stages.total:.2f} s for {paths.num_paths} paths")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        save_paths(paths, Path(folder) / "paths")
        written = time.perf_counter() - start
    _, _, _, (caster, chains) = trace_ours(job, caster_class=CountingCaster)
    completeness = chains.completeness
    shot = completeness.lattices * completeness.rays_per_lattice
    return {
        "users": len(job.users),
        "paths": paths.num_paths,
        "chains": len(chains),
        "unseen_share_estimated": completeness.unseen_share,
        "users_per_second": len(job.users) / stages.total,
        "seconds_warm": [run[2].total for run in runs],
        "seconds_cold": cold,
        "seconds_stages": vars(stages),
        "seconds_writing_store": written,
        "verification_rays": caster.rays,
        "discovery_lattice_rays": shot,
        "verification_rays_per_second": caster.rays / stages.solve_and_verify,
        "mean_power_db": float(10 * np.log10(np.mean(np.abs(gains) ** 2))),
    }, paths


def run(
    scene: Annotated[str, typer.Option(help="Built-in scene or Mitsuba XML file.")] = "munich",
    depth: Annotated[int, typer.Option(help="Most reflections.")] = 3,
    users: Annotated[int, typer.Option(help="Users of ours.")] = 921_600,
    transmitter: Annotated[str, typer.Option(help="x,y,z in metres.")] = "8.5,21,27",
    span: Annotated[float, typer.Option(help="Side of the users' square about the transmitter, metres.")] = 480.0,
    frequency: Annotated[float, typer.Option(help="Carrier, Hz.")] = 3.5e9,
    rate_users: Annotated[int, typer.Option(help="Users on which the peer's rate and recall are swept.")] = 400,
    seeds: Annotated[int, typer.Option(help="Draws of users (and of our lattices) for the recall.")] = 5,
    recall_users: Annotated[int, typer.Option(help="Users in all of these draws; 0 leaves the recall out.")] = 2000,
    diffraction: Annotated[
        bool, typer.Option("--diffraction", help="Measure diffracted paths, streamed to a store, instead.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    memory_only: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Measure both engines and print the comparison."""
    job = make_job(scene, depth, users, frequency, transmitter, span)
    if memory_only and diffraction:
        print(json.dumps(bent.streamed(job)))
        return
    if memory_only:
        trace_ours(job)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)
        return

    def say(text: str) -> None:
        if not as_json:
            typer.echo(text, err=True)

    options = {"scene": scene, "depth": depth, "users": users, "transmitter": transmitter, "span": span}
    arguments = [f"--{name}={value}" for name, value in options.items()] + [f"--frequency={frequency}"]
    if diffraction:
        result = {"scene": scene, "depth": depth} | bent.measure(job, arguments, seeds, recall_users, say)
        print(json.dumps(result, indent=None if as_json else 2))
        return
    memory = peak_memory_gb(Path(__file__), arguments)
    say(f"ours, alone in a process: {memory:.2f} GB at the peak")
    result, paths = measure_ours(job, say)
    judge = LawTest(job.site)
    engine = ReferenceEngine(job.site, job.frequency)
    chosen = np.sort(np.random.default_rng(1).choice(users, min(rate_users, users), replace=False))
    peer = sweep(engine, job, paths, judge, chosen, say)
    result |= {
        "scene": scene,
        "depth": depth,
        "frequency_hz": frequency,
        "peer": "sionna-rt PathSolver",
        "peer_setting": {k: v for k, v in peer["best"].items() if k not in ("users_per_second", "timed_runs")},
        "peer_users_per_second": peer["best"]["users_per_second"],
        "ratio": result["users_per_second"] / peer["best"]["users_per_second"],
        "peer_users_per_second_1e6": peer["finest"]["users_per_second"],
        "ratio_1e6": result["users_per_second"] / peer["finest"]["users_per_second"],
        "peer_sweep": peer["all"],
        "peer_sweep_users": len(chosen),
        "bare_rays_per_second": bare_ray_rate(job.site, job.users),
        "peak_memory_gb": memory,
    }
    if recall_users:
        result |= recall_run(engine, job, judge, seeds, recall_users, say)
    print(json.dumps(result, indent=None if as_json else 2))


if __name__ == "__main__":
    try:
        typer.run(run)
    except SiteTwinError as error:
        sys.exit(f"error: {error}")
