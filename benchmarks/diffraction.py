"""Diffracted paths: time and memory of a streamed trace, and what Sionna RT finds that ours does not.

    python benchmarks/tracing.py --diffraction --depth 5 --users 200000 --json

One diffraction with up to one reflection before and one after it, besides reflections alone. Sionna RT is asked for the
same at equal depth; it takes a diffraction in a fifth of the hits, so it finds a share that grows with its samples.
Only its paths with at most one reflection on either side of the edge are compared. Each that ours lacks is judged by
the independent law test, and told apart by where its edge is.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tests.rays.laws import LawTest, Verdict

from sitetwin.rays import TraceJob, TraceSettings, discover, solve, summarise
from sitetwin.rays.paths import Interaction, Paths
from sitetwin.rays.referee.compare import match_paths
from sitetwin.rays.referee.scope import singly_diffracted
from sitetwin.rays.referee.sionna import ReferenceEngine, ReferenceSettings

TILE_USERS = 10_000
SAMPLES = 1_000_000


def settings(depth: int, seed: int = 0) -> TraceSettings:
    """One diffraction, one reflection on either side of it."""
    return TraceSettings(max_depth=depth, diffraction=True, seed=seed)


def streamed(job: Any) -> dict:
    """Seconds and peak memory of one cold run into a store, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        TraceJob(job.site, job.transmitter, job.users, settings(job.depth), tile_users=TILE_USERS).run(
            Path(folder) / "paths"
        )
        seconds = time.perf_counter() - start
        found = summarise(Path(folder) / "paths")
    return {
        "seconds_cold_with_store": seconds,
        "users": found.users,
        "users_per_second": found.users / seconds,
        "paths": found.paths,
        "users_without_path": found.users_without_path,
        "unseen_share_estimated": found.unseen_share,
        "unseen_share_diffracted_estimated": found.unseen_share_diffracted,
        "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }


def streamed_alone(arguments: list[str]) -> dict:
    """The same in a process of its own."""
    tracing = Path(__file__).resolve().parent / "tracing.py"
    command = [sys.executable, str(tracing), "--diffraction", "--memory-only", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def in_scope(paths: Paths, asked: TraceSettings) -> tuple[np.ndarray, np.ndarray]:
    """(P,) bool twice: reflections alone; one diffraction with at most one reflection on either side."""
    return ~(paths.kinds == Interaction.DIFFRACTION).any(axis=1), singly_diffracted(paths, asked)


def recall(job: Any, engine: ReferenceEngine, judge: LawTest, seeds: int, total: int, say: Callable) -> dict:
    """Shares of Sionna RT's paths that ours has, by count and by power, and what the others are."""
    asked = ReferenceSettings(
        job.depth, samples=SAMPLES, batch=50, max_num_paths=20_000_000, diffraction=True, edge_diffraction=True
    )
    count: Counter[str] = Counter()
    power: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    missed_power: Counter[str] = Counter()
    for seed in range(seeds):
        chosen = np.sort(np.random.default_rng(seed).choice(len(job.users), total // seeds, replace=False))
        users = job.users[chosen]
        chains = discover(job.site, job.transmitter, job.users, settings(job.depth, seed))  # of the whole run
        mine = solve(job.site, chains, users, settings(job.depth, seed))
        theirs, gains = engine.trace(job.transmitter, users, asked)
        say(f"recall: seed {seed}, {mine.num_paths} paths of ours, {theirs.num_paths} of theirs")
        match = match_paths(mine, theirs)
        strength = np.abs(gains.gain) ** 2
        lacking = np.zeros(theirs.num_paths, dtype=bool)
        lacking[match.only_b] = True
        for name, rows in zip(("specular", "diffracted"), in_scope(theirs, settings(job.depth)), strict=True):
            count[name] += int(rows.sum())
            power[name] += float(strength[rows].sum())
            lost = np.flatnonzero(rows & lacking)
            for row, judgement in zip(lost, judge_each(judge, theirs, lost), strict=True):
                label = f"{name}: {judgement}"
                missed[label] += 1
                missed_power[label] += float(strength[row])
        count["ours diffracted"] += int(in_scope(mine, settings(job.depth))[1].sum())
    result: dict[str, Any] = {"recall_users": (total // seeds) * seeds, "ours_diffracted": count["ours diffracted"]}
    for name in ("specular", "diffracted"):
        labels = [label for label in missed if label.startswith(name)]
        lawful = [label for label in labels if label.endswith("lawful")]
        for suffix, out in (("", labels), ("_of_lawful", lawful)):
            lost, weight = sum(missed[label] for label in out), sum(missed_power[label] for label in out)
            base = count[name] - (sum(missed[label] for label in labels) - lost)
            heavy = power[name] - (sum(missed_power[label] for label in labels) - weight)
            result[f"peer_{name}_found{suffix}"] = 1 - lost / max(base, 1)
            result[f"peer_{name}_found{suffix}_power"] = 1 - weight / heavy if heavy else 1.0
        result[f"peer_{name}_paths"] = count[name]
    result["missed"] = dict(missed.most_common())
    return result


def judge_each(judge: LawTest, paths: Paths, rows: np.ndarray) -> list[str]:
    """What is wrong with each path, or that nothing is; edges that the mesh as a whole does not have are named."""
    found = []
    for row in rows:
        bent = paths.kinds[row] == Interaction.DIFFRACTION
        if (paths.facets[row][bent] < 0).any():
            found.append("at an edge that is none once all meshes are joined")
            continue
        (judgement,) = judge.judge_paths(paths, np.array([row]))
        found.append(
            "lawful" if judgement.verdict is Verdict.VALID else f"{judgement.verdict.value} by {judgement.law}"
        )
    return found


def measure(job: Any, arguments: list[str], seeds: int, recall_users: int, say: Callable) -> dict:
    """The streamed run in a process of its own, then the recall."""
    result = streamed_alone(arguments)
    say(f"ours: {result['seconds_cold_with_store']:.1f} s, {result['peak_memory_gb']:.2f} GB")
    if recall_users:
        engine = ReferenceEngine(job.site, job.frequency)
        result |= recall(job, engine, LawTest(job.site), seeds, recall_users, say)
    return result
