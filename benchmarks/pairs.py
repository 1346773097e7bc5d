"""Is this checkout slower than another? Alternated pairs of short benchmarks, and a bound on their ratio.

    python benchmarks/pairs.py ../other-checkout
    python benchmarks/pairs.py ../other-checkout --only tracing --pairs 9 --json

Each pair runs `probes.py` over the other checkout and over this one, one after the other, each pair in the other order:
a machine that grows slower or faster favours neither of them. Both run with this environment's interpreter.
The ratio of a pair is seconds here over seconds there; the upper bound is that of the two-sided 95 % interval of the
mean logarithm of the ratios (Student's t).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from scipy import stats

HERE = Path(__file__).resolve().parents[1]


PROBES = ("tracing", "channels", "scaling")


def run_once(checkout: Path, probe: str) -> dict[str, float]:
    """Seconds of one run of a probe over the code of a checkout.

    Raises:
        SystemExit: The benchmark failed.
    """
    command = [sys.executable, str(HERE / "benchmarks" / "probes.py"), probe]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(checkout / "src"), str(checkout)))}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{probe} over {checkout} failed:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def bound(ratios: np.ndarray) -> dict[str, Any]:
    """Geometric mean of some ratios and its two-sided 95 % interval (Student's t on the logarithms)."""
    logarithms = np.log(ratios)
    half = stats.t.ppf(0.975, len(ratios) - 1) * logarithms.std(ddof=1) / np.sqrt(len(ratios))
    low, middle, high = np.exp(logarithms.mean() + half * np.array([-1, 0, 1])).tolist()
    return {"ratio": middle, "low": low, "high": high, "ratios": ratios.tolist()}


def main(
    other: Annotated[Path, typer.Argument(help="Folder of the other checkout, the one before.")],
    pairs: Annotated[int, typer.Option(min=2, help="Pairs of each benchmark.")] = 9,
    only: Annotated[str, typer.Option(help="Names of benchmarks, separated by commas.")] = ",".join(PROBES),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare this checkout with another one."""
    result: dict[str, Any] = {}
    for name in only.split(","):
        ratios: list[dict[str, float]] = []
        for checkout in (other.resolve(), HERE):
            run_once(checkout, name)  # compiles kernels, fills caches of files
        for number in range(pairs):
            begun = time.perf_counter()
            order = [other.resolve(), HERE] if number % 2 == 0 else [HERE, other.resolve()]
            found = {checkout: run_once(checkout, name) for checkout in order}
            ratios.append({key: found[HERE][key] / found[other.resolve()][key] for key in found[HERE]})
            said = ", ".join(f"{key} {value:.3f}" for key, value in ratios[-1].items())
            print(f"{name}, pair {number + 1}: {said} ({time.perf_counter() - begun:.0f} s)", file=sys.stderr)
        result[name] = {key: bound(np.array([ratio[key] for ratio in ratios])) for key in ratios[0]}
    if as_json:
        print(json.dumps(result, indent=1))
        return
    for name, figures in result.items():
        for key, value in figures.items():
            print(f"{name}, {key}: {value['ratio']:.3f} [{value['low']:.3f}, {value['high']:.3f}]")


if __name__ == "__main__":
    typer.run(main)
