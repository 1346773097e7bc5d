"""What measurements cannot tell: each statement of docs/background/identifiability.md as a law."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.calibrate.street import CARRIER, STATION, channels, street, users

from sitetwin.calibrate.channels import CalibrationSettings, Priors, calibrate_cell
from sitetwin.calibrate.channels.cell import pose_parameters
from sitetwin.channel import Radio, complex_permittivity, half_space, slab
from sitetwin.measured.profiles import profiles_of_csi
from sitetwin.rays import TraceSettings, trace


def cell(depth, **choices):
    """A calibration of profiles along the street."""
    site = street()
    paths = trace(site, STATION, users(24, 3), TraceSettings(max_depth=depth))
    data = channels(site, paths, 4, subcarriers=128)
    return calibrate_cell(site, paths, profiles_of_csi(data, taps=(-2, 60)), **choices)


def changed(signal, before):
    """Largest change of a tap over the strongest tap."""
    return np.abs(signal - before).max() / before.max()


def reflected_power(permittivity, conductivity, cosine):
    """Of both polarisations together, with its derivatives by the logarithms of both constants."""
    logs = [torch.tensor([math.log(v)], dtype=torch.float64, requires_grad=True) for v in (permittivity, conductivity)]
    eta = complex_permittivity(*(log.exp() for log in logs), CARRIER)
    te, tm = half_space(torch.tensor([cosine], dtype=torch.float64), eta)
    power = (te.abs().square() + tm.abs().square()).log().sum()
    return torch.autograd.grad(power, logs)


@pytest.mark.parametrize("cosine", [0.5, 0.7, 0.9])
@pytest.mark.parametrize("permittivity", [3.9, 5.24, 6.31])
def test_the_power_of_a_wall_hardly_knows_its_conductivity(permittivity, cosine):
    """A factor of two in 0.02 S/m changes the power by less than 0.01 dB; in the permittivity, by more than 0.5 dB."""
    slopes = reflected_power(permittivity, 0.02, cosine)
    by_permittivity, by_conductivity = (10 / math.log(10) * math.log(2) * abs(slope.item()) for slope in slopes)
    assert by_conductivity < 0.01
    assert by_permittivity > 0.5


def test_slabs_of_other_thicknesses_reflect_the_same():
    """Half a wavelength inside the slab more is the same reflection, so that its likelihood has many maxima."""
    eta, cosine = torch.tensor([5.0 + 0j], dtype=torch.complex128), torch.tensor([0.6], dtype=torch.float64)
    root = math.sqrt(5.0 - 1 + 0.6**2)
    found = [slab(cosine, eta, torch.tensor([1.3 + n * math.pi / root], dtype=torch.float64))[0] for n in range(4)]
    for te, tm in found[1:]:
        torch.testing.assert_close(te, found[0][0])
        torch.testing.assert_close(tm, found[0][1])
    between = slab(cosine, eta, torch.tensor([1.3 + 0.5 * math.pi / root], dtype=torch.float64))[0]
    assert abs(between[0].abs().item() - found[0][0].abs().item()) > 0.05


def test_an_isotropic_antenna_does_not_see_its_turn():
    found = cell(1, settings=CalibrationSettings(stages=("offset", "pose"), priors=Priors(station_m=0, height_m=0)))
    rows = {e.parameter.name: e for e in found.estimates}
    assert rows["yaw_deg"].ratio == pytest.approx(1.0, abs=1e-6)
    assert not rows["yaw_deg"].identified
    directive = cell(
        1,
        tx=Radio("single", pattern="tr38901"),
        settings=CalibrationSettings(stages=("offset", "pose"), priors=Priors(station_m=0, height_m=0)),
    )
    assert {e.parameter.name: e for e in directive.estimates}["yaw_deg"].ratio < 0.97


def test_station_and_positions_are_one_offset_on_direct_paths():
    """Moved together they change nothing; only walls across the shift see it."""
    parameters = pose_parameters(Priors(users_m=3.0), Radio())
    names = [p.name for p in parameters]
    together = np.array([0.4 if name in ("station_x", "users_x") else 0.0 for name in names])
    apart = np.array([0.4 if name == "users_x" else 0.0 for name in names])
    across = np.array([0.4 if name in ("station_y", "users_y") else 0.0 for name in names])  # of the street
    for depth in (0, 1):
        twin = cell(depth, settings=CalibrationSettings(stages=("offset",))).scorer.twin
        still = twin.law(parameters, 0 * together).signal
        assert changed(twin.law(parameters, apart).signal, still) > 1e-3
        for theta in (together, across):
            change = changed(twin.law(parameters, theta).signal, still)
            if depth == 0 or theta is together:  # walls along the street do not see a shift along it
                assert change < 1e-6
            else:
                assert change > 1e-3
