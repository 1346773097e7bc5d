"""Mean and spread of taps with named axes: the law below, in the place of channels."""

import numpy as np
import pytest

import sitetwin as st
from sitetwin.channel import path_gains, tap_power_law
from tests.face.conftest import CARRIER


def test_axes_are_those_of_impulse_responses_and_values_those_of_the_law(street):
    site, _, paths = street
    wanted = {"carrier_hz": CARRIER, "bandwidth_hz": 50e6, "num_taps": 40}
    law = st.tap_power_law(paths, site, noise=1e-12, **wanted)
    with pytest.warns(st.SiteTwinWarning):
        h = st.channels(paths, site, quantity="cir", **wanted)
    assert law["mean"].dims == h.dims
    for name in ("x", "y", "z", "delay"):
        np.testing.assert_array_equal(law[name], h[name])
    found = tap_power_law(paths, path_gains(paths, site, CARRIER), 50e6, 40, noise=1e-12)
    np.testing.assert_allclose(law["mean"], found.mean, rtol=1e-6)
    np.testing.assert_allclose(law["sd"] ** 2, found.variance, rtol=1e-5, atol=1e-30)
    assert law["sd_db"].attrs["units"] == "dB"
    alone = law.isel(user=int(np.flatnonzero(paths.counts == 0)[0]))
    np.testing.assert_allclose(alone["sd_db"], 5.57, atol=0.01)
    wide = st.tap_power_law(paths, site, noise=1e-12, relative_error=0.5, **wanted)
    assert (wide["sd"] >= law["sd"]).all()


def test_delays_may_count_from_the_first_path_and_taps_be_counted(street):
    site, _, paths = street
    law = st.tap_power_law(
        paths, site, carrier_hz=CARRIER, bandwidth_hz=50e6, num_taps="auto", delay_reference="first-path"
    )
    seen = np.flatnonzero(paths.counts)
    assert "delay_reference" in law.coords
    assert float(law["mean"][seen].sum()) > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"quantity": "cfr"}, "leave quantity out"),
        ({"relative_error": -1.0}, "relative_error is -1.0"),
        ({"noise": float("nan")}, "the noise is nan"),
    ],
)
def test_other_quantities_and_negative_numbers_are_refused(street, change, said):
    site, _, paths = street
    with pytest.raises(st.SiteTwinError, match=said):
        st.tap_power_law(paths, site, carrier_hz=CARRIER, bandwidth_hz=50e6, **change)
