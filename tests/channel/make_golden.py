"""Writes golden_three_paths.json: three hand-made paths that fix every convention of the channel layer.

Run `python -m tests.channel.make_golden` from the root of the repository. Uses the oracle alone, never the package.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.channel.oracle import EPS0, C, element_field, fresnel, path_gain, rotation, transfer_matrix

WORLD = {
    "transmitter": [0.0, 0.0, 10.0],
    "user": [40.0, 15.0, 1.5],
    "frequency_hz": 3.5e9,
    "num_subcarriers": 8,
    "spacing_hz": 2.0e6,
    "tx": {"elements": 4, "orientation": [0.3, 0.1, -0.2], "pattern": "tr38901", "slants_deg": [-45.0, 45.0]},
    "rx": {"elements": 2, "orientation": [-2.0, 0.2, 0.4], "pattern": "dipole", "slants_deg": [0.0]},
    "planes": [
        {"normal": [0.0, 0.0, 1.0], "offset": 0.0, "eps_r": 5.24, "sigma": 0.123, "thickness": None},
        {"normal": [0.0, 1.0, 0.0], "offset": 30.0, "eps_r": 6.31, "sigma": 0.0193, "thickness": 0.02},
    ],
    "chains": [[], [0], [1, 0]],
}


def vertices(tx, rx, planes):
    """Reflection points by mirroring the user back and intersecting the straight line plane by plane."""
    image = np.array(rx, float)
    images = [image]
    for plane in reversed(planes):
        n = np.array(plane["normal"])
        image = image - 2 * (n @ image - plane["offset"]) * n
        images.append(image)
    here, found = np.array(tx, float), []
    for plane, image in zip(planes, reversed(images), strict=False):
        n = np.array(plane["normal"])
        here = here + (plane["offset"] - n @ here) / (n @ (image - here)) * (image - here)
        found.append(here)
    return np.array(found).reshape(-1, 3)


def coefficient(plane, frequency):
    """r_te, r_tm as a function of the cosine of incidence."""
    eta = plane["eps_r"] - 1j * plane["sigma"] / (2 * np.pi * frequency * EPS0)
    if plane["thickness"] is None:
        return lambda cos: fresnel(cos, eta)

    def layer(cos):
        modes = transfer_matrix(np.arccos(cos), eta, plane["thickness"], frequency)
        return modes["te"][0], modes["tm"][0]

    return layer


def antennas(side):
    """(A, 3) element offsets in wavelengths (global) and the slant of each, port after port."""
    count, turn = side["elements"], rotation(*side["orientation"])
    places = [turn @ np.array([0.0, (m - (count - 1) / 2) * 0.5, 0.0]) for m in range(count)]
    return [(p, np.radians(s)) for s in side["slants_deg"] for p in places]


def compute(world):
    """Everything the golden file states."""
    f, k_count = world["frequency_hz"], world["num_subcarriers"]
    tx, rx = np.array(world["transmitter"]), np.array(world["user"])
    ks = [k - k_count // 2 for k in range(k_count)]
    n_rx = world["rx"]["elements"] * len(world["rx"]["slants_deg"])
    n_tx = world["tx"]["elements"] * len(world["tx"]["slants_deg"])
    cfr = np.zeros((n_rx, n_tx, k_count), complex)
    lengths, gains = [], []
    for chain in world["chains"]:
        planes = [world["planes"][i] for i in chain]
        points = np.concatenate([tx[None], vertices(tx, rx, planes), rx[None]])
        steps = np.diff(points, axis=0)
        length = float(np.linalg.norm(steps, axis=1).sum())
        out = steps[0] / np.linalg.norm(steps[0])
        back = -steps[-1] / np.linalg.norm(steps[-1])
        per_port = np.zeros((len(world["rx"]["slants_deg"]), len(world["tx"]["slants_deg"])), complex)
        for i, rx_slant in enumerate(world["rx"]["slants_deg"]):
            for j, tx_slant in enumerate(world["tx"]["slants_deg"]):
                per_port[i, j] = path_gain(
                    points,
                    [np.array(p["normal"]) for p in planes],
                    [coefficient(p, f) for p in planes],
                    f,
                    lambda d, s=tx_slant: element_field(
                        d, world["tx"]["orientation"], np.radians(s), world["tx"]["pattern"]
                    ),
                    lambda d, s=rx_slant: element_field(
                        d, world["rx"]["orientation"], np.radians(s), world["rx"]["pattern"]
                    ),
                )
        lengths.append(length)
        gains.append(per_port)
        for r, (rx_place, _) in enumerate(antennas(world["rx"])):
            for t, (tx_place, _) in enumerate(antennas(world["tx"])):
                a = per_port[r // world["rx"]["elements"], t // world["tx"]["elements"]]
                a = a * np.exp(2j * np.pi * (tx_place @ out)) * np.exp(2j * np.pi * (rx_place @ back))
                for i, k in enumerate(ks):
                    cfr[r, t, i] += a * np.exp(-2j * np.pi * k * world["spacing_hz"] * length / C)
    taps = np.zeros_like(cfr)
    for n in range(k_count):
        for i, k in enumerate(ks):
            taps[:, :, n] += cfr[:, :, i] * np.exp(2j * np.pi * k * n / k_count) / k_count
    size = world["tx"]["elements"]
    angle = np.zeros_like(taps)
    for port in range(len(world["tx"]["slants_deg"])):
        for place in range(size):
            q = place - size // 2  # fftshift: bin 0 stands in the middle
            for m in range(size):
                angle[:, port * size + place] += taps[:, port * size + m] * np.exp(-2j * np.pi * m * q / size)
    pair = lambda a: [np.real(a).tolist(), np.imag(a).tolist()]  # noqa: E731
    return {
        "lengths_m": lengths,
        "path_gains": pair(np.array(gains)),
        "cfr": pair(cfr),
        "delay_taps": pair(taps),
        "delay_angle": pair(angle),
    }


def main() -> None:
    """Write the file beside this script."""
    target = Path(__file__).with_name("golden_three_paths.json")
    target.write_text(json.dumps({"world": WORLD, "expected": compute(WORLD)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
