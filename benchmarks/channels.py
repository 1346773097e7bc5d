"""Channels from paths against DeepMIMO 4.0.5's generator: same paths, one process, equal threads.

    pip install "sitetwin[benchmarks]" && python benchmarks/channels.py --json > channels.json

Both write every user's 32 x 256 frequency response as complex64. Ours is timed from geometry and path gains on:
element phases, delay phasors, products. Theirs is timed from finished array responses on (which favours it),
at the fastest of the swept chunk sizes. The limit is the batched matrix product of the same factors alone,
ready in memory and in the best order. `ratio_delay_angle` compares the direct 32 x 32 route with their
frequency responses alone, `ratio_delay_angle_same_output` with those and the two transforms that they still
need.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated, Any

THREADS = int(os.environ.get("SITETWIN_THREADS", "2"))
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, str(THREADS))
os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np  # noqa: E402
import torch  # noqa: E402
import typer  # noqa: E402
from scipy import fft  # noqa: E402

from sitetwin.channel import (  # noqa: E402
    AntennaArray,
    OfdmGrid,
    PathGains,
    Radio,
    delay_angle,
    delay_angle_from_response,
    frequency_response,
    path_gains,
)
from sitetwin.rays.paths import SPEED_OF_LIGHT, Paths  # noqa: E402

CHUNKS = (16, 32, 64, 128, 256, 512, 1024, None)
GRID = OfdmGrid(3.5e9, 256, 30e3)
TX = Radio(AntennaArray.ula(32))
RX = Radio()
TRANSMITTER = (8.5, 21.0, 27.0)  # metres in Sionna RT's Munich, above the roofs
SIDE = 240.0  # metres, of the users' square about the transmitter


def seconds(work: Callable[[], Any], repeats: int) -> float:
    """Median of the wall times after one warm run."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)


def munich_paths(users: int, seed: int = 0) -> tuple[Paths, PathGains]:
    """Paths and gains of `users` places in Munich that have at least one path, traced at depth 3."""
    from sitetwin.rays import TraceSettings, trace
    from sitetwin.site import load_scene, user_grid

    site = load_scene("munich")
    x, y, _ = TRANSMITTER
    area = (x - SIDE / 2, y - SIDE / 2, x + SIDE / 2, y + SIDE / 2)
    places, _ = user_grid(area, SIDE / float(np.sqrt(6 * users)), 1.5, site)
    paths = trace(site, np.array(TRANSMITTER), places, TraceSettings(max_depth=3))
    served = np.flatnonzero(paths.counts)
    if len(served) < users:
        raise SystemExit(f"only {len(served)} of {len(places)} places in Munich have a path; ask for fewer --users")
    chosen = np.sort(np.random.default_rng(seed).permutation(served)[:users])
    paths = paths.select_users(chosen)
    return paths, path_gains(paths, site, GRID.carrier_hz)


def even_paths(users: int, each: int, seed: int = 0) -> tuple[Paths, PathGains]:
    """Random paths, the same number for every user."""
    rng = np.random.default_rng(seed)
    count = users * each
    directions = rng.standard_normal((2, count, 3))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    length = rng.uniform(50.0, 900.0, count)
    paths = Paths(
        transmitter=np.zeros(3),
        users=np.zeros((users, 3)),
        offsets=np.arange(users + 1, dtype=np.int64) * each,
        kinds=np.zeros((count, 0), np.uint8),
        facets=np.zeros((count, 0), np.int32),
        vertices=np.zeros((count, 0, 3)),
        length=length,
        departure=directions[0],
        arrival=directions[1],
        crossing_offsets=np.zeros(count + 1, np.int64),
        crossing_volume=np.zeros(0, np.int32),
        crossing_entry=np.zeros(0),
        crossing_exit=np.zeros(0),
    )
    phase = torch.from_numpy(rng.uniform(0, 2 * np.pi, count))
    size = torch.from_numpy(SPEED_OF_LIGHT / GRID.carrier_hz / (4 * np.pi * length))
    values = torch.polar(size, phase).to(torch.complex64)[:, None, None]
    return paths, PathGains.of(paths, values, GRID.carrier_hz)


def product_alone(paths: Paths, out: torch.Tensor, repeats: int) -> float:
    """Seconds of the batched products alone: factors ready, users sorted by their number of paths."""
    values, sizes = np.unique(paths.counts, return_counts=True)
    generator = torch.Generator().manual_seed(0)
    jobs, start = [], 0
    for count, size in zip(values.tolist(), sizes.tolist(), strict=True):
        if count:
            left = torch.randn(size, count, 32, dtype=torch.complex64, generator=generator).transpose(1, 2)
            right = torch.randn(size, count, GRID.num_subcarriers, dtype=torch.complex64, generator=generator)
            jobs.append((left, right, out.view(len(out), 32, -1)[start : start + size]))
        start += size

    def work() -> None:
        for left, right, place in jobs:
            torch.bmm(left, right, out=place)

    return seconds(work, repeats)


def deepmimo_inputs(paths: Paths, gains: PathGains) -> dict[str, Any]:
    """The same channels in DeepMIMO's terms.

    Its subcarrier 0 lies at the carrier and ours at the lower edge, so each phase gets the delay across half a band; it
    divides powers by the number of subcarriers, so powers are multiplied by it.
    """
    counts = paths.counts
    width = int(counts.max())
    user, slot = paths.user_of_path, np.arange(paths.num_paths) - np.repeat(paths.offsets[:-1], counts)

    def padded(values: np.ndarray) -> np.ndarray:
        table = np.full((len(counts), width), np.nan)
        table[user, slot] = values
        return table

    a = gains.numpy()[:, 0, 0].astype(np.complex128)
    delay = paths.length / SPEED_OF_LIGHT
    phase = np.angle(a) - 2 * np.pi * GRID.first * GRID.spacing_hz * delay
    response = np.zeros((len(counts), 32, width), dtype=np.complex64)
    turns = TX.cycles(torch.from_numpy(paths.departure)).numpy()
    response[user, :, slot] = np.exp(2j * np.pi * turns)
    return {
        "power": padded(gains.power[:, 0, 0].numpy() * GRID.num_subcarriers),
        "delay": padded(delay),
        "phase": padded(np.degrees(phase)),
        "doppler": np.zeros((len(counts), width)),
        "array_response_rx": np.ones((len(counts), 1, width), dtype=np.complex64),
        "array_response_tx": response,
        "ofdm_params": {
            "subcarriers": GRID.num_subcarriers,
            "selected_subcarriers": np.arange(GRID.num_subcarriers),
            "bandwidth": GRID.bandwidth_hz,
            "rx_filter": 0,
        },
    }


def deepmimo_generator() -> Callable[..., np.ndarray]:
    """DeepMIMO's own function, quietened."""
    try:
        from importlib.metadata import version

        from deepmimo.generator.channel import _generate_mimo_channel
    except ImportError:
        raise SystemExit(
            "DeepMIMO is missing: run `pip install deepmimo==4.0.5` in this environment (it brings NumPy 2.2)"
        ) from None
    if version("deepmimo") != "4.0.5":
        print(f"warning: DeepMIMO {version('deepmimo')} is installed, the figures are for 4.0.5", file=sys.stderr)

    def quiet(**arguments: Any) -> np.ndarray:
        with contextlib.redirect_stdout(io.StringIO()):
            return _generate_mimo_channel(**arguments)

    return quiet


def sweep_chunks(generate: Callable[..., np.ndarray], inputs: dict[str, Any], sample: int) -> int | None:
    """The chunk size at which DeepMIMO is fastest, tried on the first users."""
    few = {k: (v[:sample] if isinstance(v, np.ndarray) else v) for k, v in inputs.items()}
    return min(CHUNKS, key=lambda chunk: seconds(lambda: generate(**few, chunk_size=chunk), 2))


def compare(paths: Paths, gains: PathGains, repeats: int, generate: Callable[..., np.ndarray]) -> dict[str, Any]:
    """Rates of both engines and of the product alone on the same paths, and the largest difference."""
    users = paths.num_users
    out = torch.zeros(users, 1, 32, GRID.num_subcarriers, dtype=torch.complex64)
    result: dict[str, Any] = {"mean_paths": paths.num_paths / users, "max_paths": int(paths.counts.max())}

    def synthesise() -> None:
        frequency_response(paths, gains, GRID, TX, RX, out=out)

    ours = seconds(synthesise, repeats)
    limit = product_alone(paths, out, repeats)
    synthesise()  # the products alone have overwritten it
    result["users_per_second"] = users / ours
    result["limit_users_per_second"] = users / limit
    result["limit_fraction"] = limit / ours
    direct = torch.zeros(users, 1, 32, 32, dtype=torch.complex64)
    result["delay_angle_users_per_second"] = users / seconds(
        lambda: delay_angle(paths, gains, GRID, TX, RX, out=direct), repeats
    )
    few = slice(0, min(users, 2000))
    by_band = delay_angle_from_response(out[few], TX)
    result["delay_angle_max_error"] = float((by_band - direct[few]).abs().max() / by_band.abs().max())
    result["peak_memory_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    fresh = seconds(lambda: frequency_response(paths, gains, GRID, TX, RX), repeats)
    result["users_per_second_new_output"] = users / fresh
    inputs = deepmimo_inputs(paths, gains)
    chunk = sweep_chunks(generate, inputs, min(users, 4000))
    result["peer_chunk"] = chunk
    peer = seconds(lambda: generate(**inputs, chunk_size=chunk), repeats)
    result["peer_users_per_second"] = users / peer
    theirs = generate(**inputs, chunk_size=chunk)
    mine = out.numpy()
    worst = max(float(np.abs(mine[i : i + 500] - theirs[i : i + 500]).max()) for i in range(0, users, 500))
    result["max_error"] = worst / float(max(np.abs(theirs[i : i + 500]).max() for i in range(0, users, 500)))

    def transformed() -> np.ndarray:
        taps = fft.ifft(fft.ifftshift(theirs, axes=-1), axis=-1, workers=THREADS)[..., :32]
        return fft.fftshift(fft.fft(taps, axis=-2, workers=THREADS), axes=-2)

    to_angles = seconds(transformed, 1)
    result["peer_delay_angle_users_per_second"] = users / (peer + to_angles)
    result["ratio"] = peer / ours
    result["ratio_delay_angle"] = result["delay_angle_users_per_second"] / result["peer_users_per_second"]
    result["ratio_delay_angle_same_output"] = (
        result["delay_angle_users_per_second"] / result["peer_delay_angle_users_per_second"]
    )
    return result


def main(
    users: Annotated[int, typer.Option(help="Users in Munich with at least one path.")] = 20_000,
    repeats: Annotated[int, typer.Option(help="Timed runs, of which the median counts.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare channel generation with DeepMIMO 4.0.5."""
    torch.set_num_threads(THREADS)
    generate = deepmimo_generator()
    natural = compare(*munich_paths(users), repeats, generate)
    even = compare(*even_paths(max(1000, users // 4), 25), repeats, generate)
    result = {
        "users": users,
        "users_per_second": natural["users_per_second"],
        "peer": "DeepMIMO 4.0.5 _generate_mimo_channel",
        "peer_users_per_second": natural["peer_users_per_second"],
        "ratio": natural["ratio"],
        "ratio_25_paths": even["ratio"],
        "ratio_delay_angle": natural["ratio_delay_angle"],
        "ratio_delay_angle_same_output": natural["ratio_delay_angle_same_output"],
        "limit_fraction": natural["limit_fraction"],
        "limit_fraction_25_paths": even["limit_fraction"],
        "max_error": max(natural["max_error"], even["max_error"]),
        "peak_memory_gb": natural["peak_memory_gb"],
        "threads": THREADS,
        "host": platform.processor() or platform.machine(),
        "munich": natural,
        "paths_25": even,
    }
    if as_json:
        print(json.dumps(result, indent=1))
        return
    width = max(map(len, result))
    for name, value in result.items():
        if not isinstance(value, dict):
            print(f"{name:<{width}}  {value:.4g}" if isinstance(value, float) else f"{name:<{width}}  {value}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    typer.run(main)
