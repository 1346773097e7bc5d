"""Water and soil of ITU-R P.527-6."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site import Material, itu_material
from sitetwin.site.earth_surface import EARTH_SURFACES, fresh_water, sea_conductivity, sea_water, soil


def test_water_at_rest_is_what_handbooks_say():
    """CRC Handbook: static permittivity of water 80.1 at 20 degrees, 87.9 at 0; relaxation near 17 GHz at 20."""
    assert fresh_water(0.01, 20.0).real == pytest.approx(80.1, rel=0.005)
    assert fresh_water(0.01, 0.0).real == pytest.approx(87.9, rel=0.005)
    losses = {f / 10: -fresh_water(f / 10, 20.0).imag for f in range(50, 400)}
    assert max(losses, key=losses.__getitem__) == pytest.approx(17.0, abs=1.0)


def test_sea_conducts_as_standard_sea_water():
    """Practical salinity scale: 4.2914 S/m at 15 degrees and 35 g/kg."""
    assert sea_conductivity(15.0, 35.0) == pytest.approx(4.2914, rel=1e-3)
    assert sea_water(3.5, 15.0, 0.0) == pytest.approx(fresh_water(3.5, 15.0), rel=1e-12)
    # at 10 MHz ions carry the loss alone: eps'' = sigma / (omega eps_0)
    assert -sea_water(0.01).imag == pytest.approx(4.2914 / (2 * math.pi * 0.01e9 * 8.854e-12), rel=2e-3)


def test_soil_between_its_parts():
    """Dry loam is near 3; water makes it denser and lossier; loams with 20 % water measure 9 to 13."""
    assert soil(5.0, 0.01).real == pytest.approx(3.0, abs=0.5)
    assert 9 < soil(1.4, 0.2).real < 13
    for f in (1.0, 3.5, 28.0, 60.0):
        values = [soil(f, water) for water in (0.05, 0.1, 0.2, 0.35)]
        assert [v.real for v in values] == sorted(v.real for v in values)
        assert [-v.imag for v in values] == sorted(-v.imag for v in values)
        assert values[-1].real < fresh_water(f).real


@given(st.sampled_from(sorted(EARTH_SURFACES)), st.floats(1e6, 1e12))
def test_every_medium_is_passive(name, frequency):
    permittivity, conductivity = itu_material(name).evaluate(frequency, "error")
    assert permittivity >= 1
    assert conductivity > 0


def test_a_material_follows_the_frequency():
    water = itu_material("fresh_water")
    assert water.thickness is None
    assert Material.from_dict(water.to_dict()) == water
    permittivity, conductivity = water.evaluate(28e9)
    expected = fresh_water(28.0)
    assert permittivity == pytest.approx(expected.real)
    assert conductivity / (2 * math.pi * 28e9 * 8.8541878188e-12) == pytest.approx(-expected.imag)
    with pytest.raises(SiteTwinError, match=r"P\.527-6 defines 'fresh_water' for 0.001-1000 GHz"):
        water.evaluate(2e12, "error")
    with pytest.warns(SiteTwinWarning, match="1000 GHz"):
        water.evaluate(2e12)
