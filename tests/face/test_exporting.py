"""Paths and channels for other programs: the files hold what the face computes."""

import numpy as np
import pytest

import sitetwin as st
from sitetwin.cli.export import FORMATS as LISTED
from sitetwin.face.exporting import FORMATS
from tests.face.conftest import CARRIER


def test_the_command_line_lists_the_formats():
    assert LISTED == FORMATS


def test_paths_are_written_with_their_gains(street, store, tmp_path):
    site, _, paths = street
    written = st.export_paths(store, site, tmp_path / "p.npz", "npz", carrier_hz=CARRIER, season="winter")
    with np.load(written, allow_pickle=False) as file:
        gains = st.gains(paths, site, carrier_hz=CARRIER, season="winter").values.numpy()
        np.testing.assert_allclose(file["gain"], gains, rtol=1e-5, atol=1e-12)
        np.testing.assert_array_equal(file["delay"], paths.delay)


def test_the_strongest_paths_are_kept(street, store, tmp_path):
    site, users, _ = street
    written = st.export_paths(store, site, tmp_path / "c.npz", "sionna-cir", carrier_hz=CARRIER, max_paths=2)
    with np.load(written, allow_pickle=False) as file:
        assert file["tau"].shape[-1] == 2
        assert len(users) in file["tau"].shape


def test_channels_are_written_as_they_are(street, store, tmp_path):
    site, _, _ = street
    h = st.channels_to_store(tmp_path / "h", store, site, carrier_hz=CARRIER, subcarriers=4)
    with np.load(st.export_channels(tmp_path / "h", tmp_path / "h.npz"), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["cfr"], h.values)


@pytest.mark.parametrize(
    ("form", "name", "choices", "sentence"),
    [
        ("csv", "o.csv", {}, "no format 'csv'; choose one of deepmimo"),
        ("npz", "o.mat", {}, r"does not end in \.npz"),
        ("parquet", "o.parquet", {"max_paths": 3}, "max_paths says nothing to parquet"),
        ("npz", "o.npz", {"subcarriers": 64}, "subcarriers says nothing to paths"),
    ],
)
def test_what_says_nothing_is_refused(street, store, tmp_path, form, name, choices, sentence):
    with pytest.raises(st.SiteTwinError, match=sentence):
        st.export_paths(store, street[0], tmp_path / name, form, carrier_hz=CARRIER, **choices)
    assert not (tmp_path / name).exists()


def test_paths_are_no_channels(store, tmp_path):
    with pytest.raises(st.SiteTwinError, match="export_paths"):
        st.export_channels(store, tmp_path / "o.npz")
