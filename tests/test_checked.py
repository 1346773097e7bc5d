"""Shapes are checked for real: a wrong one is refused in a test, and one name is one length within a call."""

import numpy as np
import pytest
import torch
from beartype.roar import BeartypeCallHintViolation

from sitetwin.channel import AntennaArray, Radio
from sitetwin.channel.synthesis.steering import spread_ports
from sitetwin.site.mesh import check_vertices


def test_a_wrong_shape_is_refused():
    check_vertices(np.zeros((2, 3)), "here")
    with pytest.raises(BeartypeCallHintViolation):
        check_vertices(np.zeros((2, 2)), "here")


def test_one_name_is_one_length_within_a_call(tmp_path, monkeypatch):
    (tmp_path / "shaped_module.py").write_text(
        "import numpy as np\nfrom jaxtyping import Float\n\n\n"
        'def both(a: Float[np.ndarray, " users"], b: Float[np.ndarray, " users"]) -> None:\n    """Nothing."""\n'
    )
    import importlib.util

    from beartype import beartype

    from tests.checked import _share_lengths

    spec = importlib.util.spec_from_file_location("shaped_module", tmp_path / "shaped_module.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.both = beartype(module.both)
    _share_lengths(module, "shaped_module")
    module.both(np.zeros(3), np.zeros(3))
    with pytest.raises(BeartypeCallHintViolation):
        module.both(np.zeros(3), np.zeros(4))


def test_a_property_has_lengths_of_its_own():
    # Both radios are asked for the ports of their "antennas", 8 and 4, within one call.
    tx, rx = (Radio(AntennaArray.ula(count, polarisation="VH")) for count in (4, 2))
    assert spread_ports(torch.zeros(5, 2, 2, dtype=torch.complex64), tx, rx).shape == (5, 4, 8)
