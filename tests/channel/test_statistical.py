"""Statistical channels of TR 38.901: laws where Sionna's physical layer is installed, refusals everywhere."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import sitetwin as st
from sitetwin.backend import mitsuba
from sitetwin.channel import OfdmGrid, Radio
from sitetwin.channel.statistical import FARTHEST_M, MODELS, NEAREST_M, SPEED_OF_LIGHT, statistical_responses
from sitetwin.errors import SiteTwinError

GRID = OfdmGrid(3.5e9, 64, 480e3)


@pytest.fixture
def phy():
    mitsuba()
    return pytest.importorskip("sionna.phy", exc_type=ImportError)


@pytest.mark.usefixtures("phy")
@pytest.mark.parametrize("model", ["umi", "cdl-d"])
def test_the_same_seed_gives_the_same_channels(model: str) -> None:
    first, again, other = (statistical_responses(model, GRID, Radio("ula:4"), 3, seed) for seed in (1, 1, 2))
    assert first.shape == (3, 1, 4, 64)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


@pytest.mark.usefixtures("phy")
def test_delays_count_from_the_transmission_or_from_the_first_path() -> None:
    """The strongest tap of a line of sight lies at the flight time, or at zero."""
    line = {"model": "cdl-d", "grid": GRID, "radio": Radio("single"), "users": 40, "seed": 0}
    width = GRID.bandwidth_hz
    late = _strongest_tap(statistical_responses(**line)) / width * SPEED_OF_LIGHT
    assert (late > NEAREST_M - SPEED_OF_LIGHT / width).all()
    assert (late < FARTHEST_M + SPEED_OF_LIGHT / width).all()
    assert late.std() > 15
    assert (_strongest_tap(statistical_responses(**line, from_first_path=True)) == 0).mean() > 0.9


@pytest.mark.usefixtures("phy")
def test_antennas_stand_in_our_order() -> None:
    """Users of a high station are below it: a tilt downwards turns the beams to them towards broadside.

    The vertical steering vector of a wave that leaves downwards falls in phase from the top row on, as in our arrays.
    """
    h = statistical_responses("umi", GRID, Radio("upa:4x1"), 60, 0)[:, 0].mean(dim=2)
    step = (h[:, 1:] * h[:, :-1].conj()).sum(1)
    downwards = torch.angle(step / step.abs()).mean()
    assert downwards > 0.1  # the lower row is nearer to the user: its phase is ahead
    tilted = statistical_responses("umi", GRID, Radio("upa:4x1", downtilt_deg=12), 60, 0)[:, 0].mean(dim=2)
    step = (tilted[:, 1:] * tilted[:, :-1].conj()).sum(1)
    assert torch.angle(step / step.abs()).mean() < downwards


@pytest.mark.usefixtures("phy")
def test_two_ports_and_labels(phy) -> None:
    h = st.statistical_channels(
        "cdl-a", 6, carrier_hz=3.5e9, radio=Radio("upa:2x2:cross"), subcarriers=32, quantity="delay-angle", num_taps=16
    )
    assert h.sizes == {"user": 6, "rx_antenna": 1, "angle": 8, "delay": 16}
    assert h.attrs["statistical_model"] == "3GPP TR 38.901, cdl-a"
    codec = st.fit_codec(h, method="etype2", bits=96)
    assert codec.link.array_name == "upa:2x2 with 2 ports"
    assert not codec.link.site


def _strongest_tap(h: torch.Tensor) -> np.ndarray:
    return torch.fft.ifft(torch.fft.ifftshift(h[:, 0, 0], dim=1), dim=1).abs().argmax(1).numpy()


@pytest.mark.usefixtures("phy")
def test_a_carrier_beyond_the_model_and_an_odd_array_are_refused() -> None:
    with pytest.raises(SiteTwinError, match="uniform array of isotropic"):
        statistical_responses("umi", GRID, Radio("ula:4", pattern="dipole"), 2, 0)


def test_what_says_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SiteTwinError, match=f"choose one of {MODELS[0]}"):
        st.statistical_channels("rma", carrier_hz=3.5e9)
    with pytest.raises(SiteTwinError, match="0 users"):
        st.statistical_channels("umi", 0, carrier_hz=3.5e9)
    with pytest.raises(SiteTwinError, match="seed -1 is negative"):
        st.statistical_channels("umi", 2, -1, carrier_hz=3.5e9)
    with pytest.raises(SiteTwinError, match="season says nothing"):
        st.statistical_channels("umi", carrier_hz=3.5e9, season="winter")
    with pytest.raises(SiteTwinError, match="cfr or delay-angle"):
        st.statistical_channels("umi", carrier_hz=3.5e9, quantity="gains")
    monkeypatch.setitem(sys.modules, "sionna.phy", None)
    with pytest.raises(SiteTwinError, match=r"sitetwin\[statistical\]"):
        st.statistical_channels("umi", 2, carrier_hz=3.5e9)


def test_paths_can_be_traced_after_a_question_for_statistical_channels() -> None:
    """Sionna imports Dr.Jit, which takes the first LLVM that it finds, unless it was told of a fitting one before."""
    code = """
import sitetwin as st
from sitetwin.backend import find_llvm
try:
    st.statistical_channels("umi", 1, carrier_hz=3.5e9)
except st.SiteTwinError:
    pass
import os
assert find_llvm() is None or os.environ["DRJIT_LIBLLVM_PATH"] == find_llvm().path
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
