"""What a step of gradients costs with a prepared evaluator, over what it costs with `path_gains`.

    python benchmarks/evaluator.py
    python benchmarks/evaluator.py --pairs 30 --json

A step is what a calibration repeats: gains with other permittivities and conductivities, their power, and its gradient.
Both ways are measured in one process on one thread, in alternated pairs of process time, on few and on many paths of
the street canyon (reflections and diffraction). The gains must be equal to the last bit.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import torch
import typer

from sitetwin.channel import FieldOptions, PathGains, path_gains, prepare
from sitetwin.rays import Paths, TraceSettings, trace
from sitetwin.site import Site, load_scene, user_grid

CARRIER = 3.5e9
SPACINGS = {"few": 9.2, "many": 2.0}
"""Metres between the users: some 2,450 and 53,000 paths."""


def canyon(spacing: float) -> tuple[Site, Paths]:
    """The site, and paths to a grid of users."""
    site = load_scene("simple_street_canyon")
    users, _ = user_grid((-60.0, -30.0, 60.0, 30.0), spacing, 1.5, site)
    return site, trace(site, np.array([-33.0, 0.0, 12.0]), users, TraceSettings(max_depth=3, diffraction=True))


def spent(step: Callable[[], PathGains]) -> float:
    """Seconds of process time of a step with its gradient."""
    begun = time.process_time()
    step().power.sum().backward()
    return time.process_time() - begun


def compare(spacing: float, pairs: int) -> dict[str, Any]:
    """Milliseconds of both ways, and the median ratio of the pairs."""
    site, paths = canyon(spacing)
    constants = torch.tensor([m.evaluate(CARRIER) for m in site.materials], dtype=torch.float64)
    tensors = {
        name: constants[:, column].clone().requires_grad_()
        for column, name in enumerate(("relative_permittivity", "conductivity"))
    }
    evaluate = prepare(paths, site, CARRIER)

    def anew() -> PathGains:
        return path_gains(paths, site, CARRIER, options=FieldOptions(**tensors))

    def prepared() -> PathGains:
        return evaluate(**tensors)

    equal = torch.equal(anew().values, prepared().values)
    spent(anew), spent(prepared)  # first gradients allocate
    times = np.array(
        [
            [spent(anew), spent(prepared)] if pair % 2 == 0 else [spent(prepared), spent(anew)][::-1]
            for pair in range(pairs)
        ]
    )
    return {
        "paths": paths.num_paths,
        "bit_equal": equal,
        "path_gains_ms": 1e3 * float(np.median(times[:, 0])),
        "evaluator_ms": 1e3 * float(np.median(times[:, 1])),
        "ratio": float(np.median(times[:, 1] / times[:, 0])),
    }


def main(
    pairs: Annotated[int, typer.Option(min=2, help="Pairs of each size.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare the prepared evaluator with path_gains."""
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {name: compare(spacing, pairs) for name, spacing in SPACINGS.items()}
    if as_json:
        print(json.dumps(found, indent=1))
        return
    for name, row in found.items():
        print(
            f"{name}: {row['paths']:,} paths, {row['path_gains_ms']:.1f} ms with path_gains, "
            f"{row['evaluator_ms']:.1f} ms prepared, ratio {row['ratio']:.3f}, bit-equal: {row['bit_equal']}"
        )


if __name__ == "__main__":
    typer.run(main)
