"""Loss in air and rain against the validation examples of the ITU-R and the tables of P.838-3."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sitetwin.channel import (
    AntennaArray,
    Atmosphere,
    ChannelRequest,
    FieldOptions,
    OfdmGrid,
    Radio,
    path_gains,
    rain_db_per_km,
)
from sitetwin.channel.fields.atmosphere import _lines, oxygen_db_per_km, rain_coefficients, vapour_db_per_km
from sitetwin.errors import SiteTwinError
from tests.channel.worlds import make_paths, plane_site

STATE = (1013.25, 288.15, 7.5)  # of the validation examples: the pressure is that of dry air

# ITU-R Study Group 3, validation examples for P.676-13: GHz, oxygen, water vapour, dB/km.
GAS = [
    (12, 0.00869826406877357, 0.00953538822024593),
    (20, 0.0118835504778076, 0.0970473048151117),
    (60, 14.6234747964861, 0.154841841),
    (90, 0.0388697110724235, 0.341973394),
    (130, 0.0415090835995228, 0.751844704),
]
# ITU-R Study Group 3, validation examples for P.838-3: elevation deg, GHz, mm/h, tilt deg, dB/km.
RAIN = [
    (31.07699124, 14.25, 26.48052, 0, 1.58130839),
    (46.35969261, 29, 27.13586832, 0, 5.03135479),
    (52.67898486, 29, 78.2994993, 0, 13.59290086),
    (48.24117054, 14.25, 63.62668149, 90, 3.72901264),
    (85.80459566, 14.25, 99.13558978, 90, 6.34064598),
    (20.14335809, 29, 42.91007183, 90, 6.83364556),
]
# P.838-3, Table 5: GHz, k_H, alpha_H, k_V, alpha_V as printed.
TABLE_5 = [
    (1, 0.0000259, 0.9691, 0.0000308, 0.8592),
    (10, 0.01217, 1.2571, 0.01129, 1.2156),
    (20, 0.09164, 1.0568, 0.09611, 0.9847),
    (30, 0.2403, 0.9485, 0.2291, 0.9129),
    (40, 0.4431, 0.8673, 0.4274, 0.8421),
    (60, 0.8606, 0.7656, 0.8515, 0.7486),
    (100, 1.3671, 0.6815, 1.3680, 0.6765),
]


@pytest.mark.parametrize(("ghz", "oxygen", "vapour"), GAS)
def test_validation_examples_of_gases(ghz, oxygen, vapour):
    assert oxygen_db_per_km(ghz * 1e9, *STATE) == pytest.approx(oxygen, rel=1e-12)
    assert vapour_db_per_km(ghz * 1e9, *STATE) == pytest.approx(vapour, rel=1e-8)


def test_tables_have_the_lines_of_the_recommendation():
    assert _lines("p676_oxygen.csv").shape == (7, 44)
    assert _lines("p676_water_vapour.csv").shape == (7, 35)


def test_barometric_pressure_holds_the_vapour():
    wet = Atmosphere(pressure_hpa=1013.25 + 7.5 * 288.15 / 216.7)
    assert wet.dry_pressure_hpa == pytest.approx(1013.25)
    assert wet.gas_db_per_km(60e9) == pytest.approx(14.6234747964861 + 0.154841841, rel=1e-9)


def test_well_known_peaks_and_windows():
    air = Atmosphere()
    by_ghz = {f: air.gas_db_per_km(f * 1e9) for f in (22.235, 31, 60, 77, 94, 118.75, 183.31, 220, 325.15, 557)}
    assert by_ghz[22.235] == pytest.approx(0.2, abs=0.03)
    assert 13 < by_ghz[60] < 16
    assert by_ghz[31] < by_ghz[22.235]  # windows lie beside lines
    assert by_ghz[94] < by_ghz[118.75]
    assert by_ghz[220] < by_ghz[183.31]
    assert by_ghz[557] > 1e3


def test_no_air_takes_nothing():
    assert Atmosphere(pressure_hpa=0, vapour_g_m3=0).gas_db_per_km(60e9) == 0


@pytest.mark.parametrize(("elevation", "ghz", "rate", "tilt", "loss"), RAIN)
def test_validation_examples_of_rain(elevation, ghz, rate, tilt, loss):
    got = rain_db_per_km(ghz * 1e9, rate, math.radians(elevation), math.radians(tilt))
    assert got == pytest.approx(loss, rel=1e-7)


@pytest.mark.parametrize(("ghz", "k_h", "alpha_h", "k_v", "alpha_v"), TABLE_5)
def test_rain_coefficients_as_printed(ghz, k_h, alpha_h, k_v, alpha_v):
    got = rain_coefficients(ghz * 1e9)
    np.testing.assert_allclose(got, (k_h, alpha_h, k_v, alpha_v), rtol=2e-3)


def test_straight_up_polarisations_are_alike_and_slant_is_between():
    up = [rain_db_per_km(40e9, 30, math.pi / 2, tilt) for tilt in (0, math.pi / 4, math.pi / 2)]
    assert max(up) == pytest.approx(min(up), rel=1e-12)
    h, slant, v = (rain_db_per_km(40e9, 30, 0, tilt) for tilt in (0, math.pi / 4, math.pi / 2))
    assert v < slant < h


def gains(atmosphere, polarisation="V", f=38e9, users=((300.0, 0.0, 10.0),)):
    """Line of sight, a bounce off the ground, and one off ground and wall, between level antennas."""
    site = plane_site([((0, 0, 1), 0.0), ((0, 1, 0), 40.0)])
    paths = make_paths((0, 0, 10.0), users, site, [[[], [0], [0, 1]]] * len(users))
    radio = Radio(AntennaArray.ula(1, polarisation=polarisation))
    options = FieldOptions(atmosphere=atmosphere)
    got = path_gains(paths, site, f, radio, radio, options, dtype=torch.complex128).values
    return got[:, 0, 0].numpy(), paths


def test_air_takes_its_share_of_every_metre():
    air = Atmosphere()
    dry, paths = gains(None)
    wet, _ = gains(air)
    loss = -20 * np.log10(np.abs(wet / dry))
    np.testing.assert_allclose(loss, air.gas_db_per_km(38e9) * paths.length / 1e3, rtol=1e-9)
    np.testing.assert_allclose(np.angle(wet / dry), 0, atol=1e-12)


@pytest.mark.parametrize(("polarisation", "tilt"), [("V", math.pi / 2), ("H", 0.0)])
def test_rain_on_a_level_path_is_that_of_its_polarisation(polarisation, tilt):
    rain = Atmosphere(pressure_hpa=0, vapour_g_m3=0, rain_mm_h=50)
    clear, paths = gains(None, polarisation)
    wet, _ = gains(rain, polarisation)
    loss = -20 * np.log10(np.abs(wet / clear))
    assert loss[0] == pytest.approx(rain_db_per_km(38e9, 50, 0, tilt) * 0.3, rel=1e-9)
    # the ground keeps vertical vertical and horizontal horizontal; both legs climb alike
    elevation = math.asin(abs(paths.departure[1, 2]))
    assert loss[1] == pytest.approx(rain_db_per_km(38e9, 50, elevation, tilt) * paths.length[1] / 1e3, rel=1e-7)


def test_rain_is_reciprocal_and_lossy_on_every_chain():
    rain = Atmosphere(rain_mm_h=80)
    site = plane_site([((0, 0, 1), 0.0), ((0.3, 1, 0.1), 40.0)])
    a, b = (0.0, 0.0, 12.0), (90.0, 7.0, 3.0)
    radio = Radio(AntennaArray.ula(1, polarisation="cross"), (0.4, 0.2, -0.3))
    options = FieldOptions(atmosphere=rain)
    out = path_gains(make_paths(a, [b], site, [[[], [0], [0, 1]]]), site, 38e9, radio, radio, options,
                     dtype=torch.complex128).values  # fmt: skip
    back = path_gains(make_paths(b, [a], site, [[[], [0], [1, 0]]]), site, 38e9, radio, radio, options,
                      dtype=torch.complex128).values  # fmt: skip
    np.testing.assert_allclose(out.transpose(1, 2).numpy(), back.numpy(), rtol=1e-9)
    dry = path_gains(make_paths(a, [b], site, [[[], [0], [0, 1]]]), site, 38e9, radio, radio,
                     replace(options, atmosphere=None), dtype=torch.complex128).values  # fmt: skip
    power, clear = (g.abs().square().sum(dim=(1, 2)) for g in (out, dry))
    assert bool((power < clear).all())


def test_bad_air_is_refused():
    for bad in ({"pressure_hpa": -1}, {"temperature_k": 0}, {"vapour_g_m3": math.nan}, {"rain_mm_h": -2}):
        with pytest.raises(SiteTwinError, match=next(iter(bad))):
            Atmosphere(**bad)
    with pytest.raises(SiteTwinError, match="less vapour"):
        Atmosphere(pressure_hpa=5)
    with pytest.raises(SiteTwinError, match="1 to 1000 GHz"):
        gains(Atmosphere(), f=0.9e9)


def test_a_request_carries_its_air():
    grid = OfdmGrid(38e9, 8, 1e6)
    air = Atmosphere(rain_mm_h=20)
    wet = ChannelRequest(grid, options=FieldOptions(atmosphere=air))
    assert wet.options.atmosphere is air
    assert wet.configuration()["atmosphere"]["rain_mm_h"] == 20
    assert wet.configuration() != ChannelRequest(grid, options=FieldOptions(atmosphere=Atmosphere())).configuration()
    assert "atmosphere" not in ChannelRequest(grid).configuration()
    with pytest.raises(SiteTwinError, match="1 to 1000 GHz"):
        ChannelRequest(OfdmGrid(0.9e9, 8, 1e6), options=FieldOptions(atmosphere=air))


def test_gases_and_rain_are_those_of_another_engine():
    """The package itur sums the lines of P.676-12, whose specific attenuation is that of P.676-13, and has P.838-3 too.

    Both have the same sums and regressions, so that only rounding is left.
    """
    from itur.models import itu676, itu838

    assert (itu676.get_version(), itu838.get_version()) == (12, 3)
    ghz = np.concatenate([np.geomspace(1, 300, 30), [22.235, 60.0, 118.75, 183.31]])
    for pressure, temperature, vapour in (
        (1013.25, 288.15, 7.5),
        (500.0, 250.0, 0.5),
        (850.0, 310.0, 30.0),
        (990.0, 270.0, 0.0),
    ):
        air = Atmosphere(pressure, temperature, vapour)
        state = (air.dry_pressure_hpa, temperature, vapour)
        other = (air.dry_pressure_hpa, vapour, temperature)
        oxygen, water = (np.array(loss(ghz, *other)) for loss in (itu676.gamma0_exact, itu676.gammaw_exact))
        np.testing.assert_allclose([oxygen_db_per_km(f * 1e9, *state) for f in ghz], oxygen, rtol=1e-12)
        np.testing.assert_allclose([vapour_db_per_km(f * 1e9, *state) for f in ghz], water, rtol=1e-12)
    for f in (1.0, 6.0, 12.0, 28.0, 60.0, 110.0, 300.0):
        for rain in (0.25, 5.0, 150.0):
            for elevation, tilt in ((0.0, 0.0), (10.0, 90.0), (45.0, 45.0), (90.0, 30.0)):
                other = float(itu838.rain_specific_attenuation(rain, f, elevation, tilt).value)
                ours = rain_db_per_km(f * 1e9, rain, math.radians(elevation), math.radians(tilt))
                assert ours == pytest.approx(other, rel=1e-12)
