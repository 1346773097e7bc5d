"""Three hand-made paths fix phase, angle, delay, polarisation and antenna order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sitetwin.channel import (
    AntennaArray,
    OfdmGrid,
    Radio,
    delay_angle,
    delay_angle_from_response,
    delay_taps,
    frequency_response,
    path_gains,
)
from sitetwin.channel.antennas.patterns import antenna_pattern
from sitetwin.site.materials import Material
from tests.channel.make_golden import WORLD, compute
from tests.channel.worlds import make_paths, plane_site

GOLDEN = json.loads(Path(__file__).with_name("golden_three_paths.json").read_text())


def complex_of(pair):
    return torch.complex(*(torch.tensor(p, dtype=torch.float64) for p in pair))


def radio(side):
    ula = AntennaArray.ula(side["elements"])
    slants = tuple(np.radians(side["slants_deg"]))
    return Radio(
        AntennaArray(ula.positions, antenna_pattern(side["pattern"]), slants, ula.shape, ula.spacing),
        tuple(side["orientation"]),
    )


@pytest.fixture(scope="module")
def world():
    w = GOLDEN["world"]
    materials = [
        Material(f"m{i}", relative_permittivity=p["eps_r"], conductivity=p["sigma"], thickness=p["thickness"])
        for i, p in enumerate(w["planes"])
    ]
    site = plane_site([(p["normal"], p["offset"]) for p in w["planes"]], materials, [0, 1])
    paths = make_paths(w["transmitter"], [w["user"]], site, [w["chains"]])
    return w, site, paths, radio(w["tx"]), radio(w["rx"])


def test_the_file_is_what_the_generator_writes():
    assert GOLDEN["world"] == WORLD
    fresh = compute(WORLD)
    for name, value in GOLDEN["expected"].items():
        np.testing.assert_allclose(np.array(fresh[name]), np.array(value), rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.complex128, 1e-9), (torch.complex64, 2e-6)])
def test_conventions(world, dtype, tolerance):
    w, site, paths, tx, rx = world
    expected = GOLDEN["expected"]
    np.testing.assert_allclose(paths.length, expected["lengths_m"], rtol=1e-14)
    grid = OfdmGrid(w["frequency_hz"], w["num_subcarriers"], w["spacing_hz"])
    gains = path_gains(paths, site, w["frequency_hz"], tx, rx, dtype=dtype)
    cfr = frequency_response(paths, gains, grid, tx, rx)
    taps = delay_taps(cfr)
    for name, ours in {
        "path_gains": gains.values,
        "cfr": cfr[0],
        "delay_taps": taps[0],
        "delay_angle": delay_angle_from_response(cfr, tx, w["num_subcarriers"])[0],
    }.items():
        theirs = complex_of(expected[name])
        assert ours.shape == theirs.shape, name
        assert float((ours - theirs).abs().max() / theirs.abs().max()) < tolerance, name
    direct = delay_angle(paths, gains, grid, tx, rx, num_taps=w["num_subcarriers"])[0]
    theirs = complex_of(expected["delay_angle"])
    assert float((direct - theirs).abs().max() / theirs.abs().max()) < max(tolerance, 3e-7)
