"""Measured channels in HDF5, also of MATLAB 7.3: what is in the file is read, and what is elsewhere is refused."""

import subprocess
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from sitetwin.errors import SiteTwinError
from sitetwin.measured import read_csi
from sitetwin.untrusted import hdf5_child
from tests.measured.test_csi import FREQUENCY, archive, channels, positions


def inside(command, **given):
    """What runs the child, in this process: the child's limits are left out."""
    import json

    hdf5_child.answer(json.loads(given["input"]))
    return SimpleNamespace(returncode=0)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("sitetwin.untrusted.limited.subprocess.run", inside)


def store(path, **changed):
    arrays = {"h": channels(), "frequency": FREQUENCY, "position": positions(), **changed}
    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            if value is not None:
                file[name] = value
    return path


def test_hdf5_says_the_same_as_an_archive_through_a_process_of_its_own(tmp_path):
    assert read_csi(store(tmp_path / "m.h5")).equals(read_csi(archive(tmp_path / "m.npz")))


@pytest.mark.usefixtures("quick")
def test_packed_arrays_parts_of_complex_numbers_and_other_arrays_do_not_matter(tmp_path):
    plain = read_csi(archive(tmp_path / "m.npz"))
    h = channels()
    with h5py.File(store(tmp_path / "m.hdf5", h=None, comment="a street"), "a") as file:
        parts = np.stack([h.real, h.imag], axis=-1)
        file.create_dataset("h", data=parts, chunks=True, compression="gzip", shuffle=True, fletcher32=True)
        file["others/h"] = np.zeros(3)
    assert read_csi(tmp_path / "m.hdf5").equals(plain)


@pytest.mark.usefixtures("quick")
def test_matlab_7_3_has_its_axes_in_its_own_order(tmp_path):
    plain = read_csi(archive(tmp_path / "m.npz"))
    pairs = np.empty(channels().T.shape, dtype=[("real", "f8"), ("imag", "f8")])
    pairs["real"], pairs["imag"] = channels().T.real, channels().T.imag
    path = tmp_path / "m.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in {"h": pairs, "frequency": FREQUENCY[:, None], "position": positions().T}.items():
            file[name] = value
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    assert read_csi(path).equals(plain)


def _external_link(file):
    file["h"] = h5py.ExternalLink("other.h5", "/h")


def _soft_link(file):
    file["real/h"] = channels()
    file["h"] = h5py.SoftLink("/real/h")


def _virtual(file):
    layout = h5py.VirtualLayout((5, 3, 8), np.complex64)
    layout[:] = h5py.VirtualSource("other.h5", "h", (5, 3, 8))
    file.create_virtual_dataset("h", layout)


def _external_storage(file):
    file.create_dataset("h", (5, 3, 8), "f4", external=[("/etc/hostname", 0, 480)])


def _texts(file):
    file["h"] = np.array(["a", "b"], dtype=object)


def _group(file):
    file["h/x"] = channels()


def _bomb(file):
    file.create_dataset("h", (1 << 20, 64, 64), np.complex64, chunks=(1, 64, 64), compression="gzip")


def _unknown_filter(file):
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((5, 3, 8))
    properties.set_filter(32008, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple((5, 3, 8))
    h5py.h5d.create(file.id, b"h", h5py.h5t.NATIVE_FLOAT, space, properties)


def _nothing(file):
    file.create_dataset("h", dtype="f4", shape=None)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (_external_link, "has a link in place of 'h'"),
        (_soft_link, "has a link in place of 'h'"),
        (_virtual, "keeps 'h' in other files"),
        (_external_storage, "keeps 'h' in other files"),
        (_texts, "other than plain numbers in 'h'"),
        (_group, "has a group in place of 'h'"),
        (_bomb, "would take more memory with 'h' than a file of its size means"),
        (_unknown_filter, "packs 'h' by filter 32008"),
        (_nothing, "has no array of a few axes in 'h'"),
    ],
)
def test_what_is_elsewhere_no_number_or_a_bomb_is_refused(tmp_path, spoilt, said):
    with h5py.File(store(tmp_path / "m.h5", h=None), "a") as file:
        spoilt(file)
    with pytest.raises(SiteTwinError, match=said) as refusal:
        read_csi(tmp_path / "m.h5")
    assert "m.h5" in str(refusal.value)


@pytest.mark.usefixtures("quick")
def test_missing_arrays_and_files_that_are_no_hdf5_are_named(tmp_path):
    with pytest.raises(SiteTwinError, match="lack the array 'frequency'"):
        read_csi(store(tmp_path / "m.h5", frequency=None))
    (tmp_path / "n.h5").write_bytes(b"something else")
    with pytest.raises(SiteTwinError, match="damaged or no HDF5 file"):
        read_csi(tmp_path / "n.h5")
    with pytest.raises(SiteTwinError, match=r"o\.h5' cannot be read"):
        read_csi(tmp_path / "o.h5")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(at=some.floats(0, 1))
def test_a_truncated_file_is_refused(tmp_path, monkeypatch, at):
    monkeypatch.setattr("sitetwin.untrusted.limited.subprocess.run", inside)
    whole = store(tmp_path / "m.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: int(at * (len(whole) - 1))])
    with pytest.raises(SiteTwinError, match="damaged or no HDF5 file"):
        read_csi(tmp_path / "cut.h5")


def test_a_process_that_dies_or_hangs_is_a_sentence(tmp_path, monkeypatch):
    path = store(tmp_path / "m.h5")
    for code, said in ((-11, "is damaged, or needs far more memory"), (-9, "s to read")):
        monkeypatch.setattr(
            "sitetwin.untrusted.limited.subprocess.run", lambda *a, code=code, **k: SimpleNamespace(returncode=code)
        )
        with pytest.raises(SiteTwinError, match=said):
            read_csi(path)

    def late(*given, **named):
        raise subprocess.TimeoutExpired("python", 1)

    monkeypatch.setattr("sitetwin.untrusted.limited.subprocess.run", late)
    with pytest.raises(SiteTwinError, match="cannot be read by a process of Python"):
        read_csi(path)


def test_without_h5py_the_mend_is_named(tmp_path, monkeypatch):
    path = store(tmp_path / "m.h5")
    monkeypatch.setattr("sitetwin.untrusted.hdf5.find_spec", lambda name: None)
    with pytest.raises(SiteTwinError, match=r"pip install 'sitetwin\[formats\]'"):
        read_csi(path)
