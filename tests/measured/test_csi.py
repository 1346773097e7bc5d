"""Measured channels: archives, TensorFlow's records without TensorFlow, and whose channels they can be."""

import json
import struct
from contextlib import suppress

import google_crc32c
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy.io import savemat

from sitetwin.channel import OfdmGrid
from sitetwin.errors import SiteTwinError
from sitetwin.measured import csi_dataset, drives_of, on_grid, read_csi, read_dichasus
from sitetwin.measured.tfrecords import read_records

SAMPLES, ANTENNAS, CARRIERS = 5, 3, 8
FREQUENCY = 3.5e9 + np.arange(-4, 4) * 1e5


def channels(seed=0, samples=SAMPLES):
    rng = np.random.default_rng(seed)
    shape = (samples, ANTENNAS, CARRIERS)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def positions(samples=SAMPLES):
    return np.arange(3.0 * samples).reshape(samples, 3) + 10


def archive(path, **changed):
    arrays = {"h": channels(), "frequency": FREQUENCY, "position": positions(), **changed}
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


# A writer of records, from the documentation of the formats.


def varint(value):
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor(array):
    kind = {"f4": 1, "f8": 2, "i8": 9}[array.dtype.str[1:]]
    shape = b"".join(field(2, b"\x08" + varint(n)) for n in array.shape)
    return b"\x08" + varint(kind) + field(2, shape) + field(4, array.tobytes())


def example(**features):
    entries = b""
    for name, value in features.items():
        if isinstance(value, np.ndarray):
            feature = field(1, field(1, tensor(value)))
        elif isinstance(value, bytes):
            feature = field(1, field(1, value))
        elif isinstance(value, float):
            feature = field(2, field(1, struct.pack("<f", value)))
        else:
            feature = field(3, field(1, varint(value & (2**64 - 1))))
        entries += field(1, field(1, name.encode()) + field(2, feature))
    return field(1, entries)


def masked(data):
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data):
    head = struct.pack("<Q", len(data))
    return head + masked(head) + data + masked(data)


def dichasus(path, h, places, times=None):
    """Records as the data sets have them: lowest frequency in the middle of the axis."""
    out = b""
    for number, (one, place) in enumerate(zip(h, places, strict=True)):
        parts = np.fft.ifftshift(np.stack([one.real, one.imag], axis=-1), axes=1).astype("<f4")
        out += record(example(csi=parts, time=float(number), **{"pos-tachy": place.astype("<f8")}))
    path.write_bytes(out)
    return path


# Archives


def test_an_archive_is_read_with_named_axes_and_units(tmp_path):
    data = read_csi(archive(tmp_path / "m.npz", time=np.arange(5.0)))
    assert data["csi"].dims == ("sample", "antenna", "subcarrier")
    assert np.array_equal(data["csi"].values, channels())
    assert np.array_equal(data["frequency"].values, FREQUENCY)
    assert np.array_equal(np.stack([data[n].values for n in "xyz"], axis=1), positions())
    assert data["x"].attrs["units"] == "m"
    assert data.attrs["left_out"] == 0


@pytest.mark.parametrize("packed", [False, True])
def test_a_matlab_file_says_the_same_as_an_archive(tmp_path, packed):
    arrays = {"h": channels().astype(complex), "frequency": FREQUENCY, "position": positions(), "time": np.arange(5.0)}
    savemat(tmp_path / "m.mat", arrays, do_compression=packed)
    data = read_csi(tmp_path / "m.mat")
    assert data.equals(read_csi(archive(tmp_path / "m.npz", time=np.arange(5.0))))
    (tmp_path / "m.mat").write_bytes((tmp_path / "m.mat").read_bytes()[:-40])
    with pytest.raises(SiteTwinError, match="damaged or truncated"):
        read_csi(tmp_path / "m.mat")


def test_the_order_of_subcarriers_and_the_kind_of_complex_numbers_do_not_matter(tmp_path):
    plain = read_csi(archive(tmp_path / "a.npz"))
    h = channels()[:, :, ::-1]
    turned = read_csi(archive(tmp_path / "b.npz", h=np.stack([h.real, h.imag], axis=-1), frequency=FREQUENCY[::-1]))
    assert plain.equals(turned)


def test_samples_without_channel_or_place_are_left_out_and_counted(tmp_path):
    h, place = channels(), positions()
    h[1], h[2, 0, 0], place[3, 1] = 0, np.nan, np.nan
    data = read_csi(archive(tmp_path / "m.npz", h=h, position=place))
    assert data.attrs["left_out"] == 3
    assert np.array_equal(data["csi"].values, channels()[[0, 4]])


def test_positions_on_the_globe_stay_degrees_and_radians_are_refused(tmp_path):
    degrees = {"position": None, "latitude": np.full(5, 48.1), "longitude": np.full(5, 11.6)}
    data = read_csi(archive(tmp_path / "m.npz", **degrees))
    assert {"latitude", "longitude"} <= set(data.variables)
    with pytest.raises(SiteTwinError, match="radians"):
        read_csi(archive(tmp_path / "r.npz", **degrees | {"latitude": np.full(5, 0.84), "longitude": np.full(5, 0.2)}))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"h": None}, "lack the array 'h'"),
        ({"h": channels()[0]}, "h has 2 axes"),
        ({"h": np.ones((5, 3, 8))}, "neither complex"),
        ({"h": np.zeros((5, 3, 8), dtype=complex)}, "none is left"),
        ({"frequency": FREQUENCY / 1e9}, "frequencies are Hz"),
        ({"frequency": FREQUENCY[:4]}, "go with 4 frequencies"),
        ({"frequency": np.full(8, 3.5e9)}, "two subcarriers have one frequency"),
        ({"position": positions()[:, :1]}, r"positions are \(samples, 3\)"),
        ({"position": positions()[:3]}, "3 positions"),
        ({"position": None}, "lack the array 'latitude'"),
        ({"time": np.arange(2.0)}, "2 times"),
        ({"position": positions() * 1e9}, "off every site"),
        ({"time": np.array(2.0)}, "time is not a row"),
        ({"position": np.array(2.0)}, "position is not a table"),
        ({"frequency": FREQUENCY[None]}, "frequency is not a row"),
        ({"h": np.array([{"a": 1}])}, "objects"),
    ],
)
def test_what_no_measurement_holds_is_refused(tmp_path, changed, message):
    with pytest.raises(SiteTwinError, match=message):
        read_csi(archive(tmp_path / "m.npz", **changed))


def test_channels_are_taken_at_the_subcarriers_of_a_grid_or_refused():
    data = csi_dataset(channels(), FREQUENCY, positions(), np.full(5, np.nan))
    inner = OfdmGrid(3.5e9, num_subcarriers=4, spacing_hz=1e5)
    assert np.array_equal(on_grid(data, inner, ANTENNAS), channels()[:, :, 2:6])
    thinned = OfdmGrid(3.5e9, num_subcarriers=4, spacing_hz=2e5)
    assert np.array_equal(on_grid(data, thinned, ANTENNAS), channels()[:, :, ::2])
    with pytest.raises(SiteTwinError, match="8 of 16 subcarriers"):
        on_grid(data, OfdmGrid(3.5e9, num_subcarriers=16, spacing_hz=1e5), ANTENNAS)
    with pytest.raises(SiteTwinError, match="3 antennas and the array has 4"):
        on_grid(data, inner, 4)
    with pytest.raises(SiteTwinError, match="not measured"):
        on_grid(data, OfdmGrid(751e6, num_subcarriers=4, spacing_hz=1e5), ANTENNAS)


# Records of TensorFlow


def test_the_checksum_is_crc_32c():
    assert google_crc32c.value(b"123456789") == 0xE3069283  # the check value of the standard


def test_dichasus_is_read_with_its_lowest_frequency_first(tmp_path):
    path = dichasus(tmp_path / "d.tfrecords", channels(), positions())
    data = read_dichasus([path], 3.5e9, 8e5)
    assert np.array_equal(data["csi"].values, channels())
    assert data["frequency"].values == pytest.approx(FREQUENCY)
    assert np.array_equal(data["z"].values, positions()[:, 2])
    assert data["time"].values.tolist() == [0, 1, 2, 3, 4]
    assert read_dichasus([path, path], 3.5e9, 8e5, most=7).sizes["sample"] == 7


def test_offsets_take_out_what_the_antennas_clocks_put_in(tmp_path):
    sto, cpo = [0.5, -0.25, 0.1], [1.0, 2.0, -0.5]
    ramp = 2 * np.pi * np.arange(CARRIERS) / CARRIERS
    wrong = np.exp(-1j * (np.outer(sto, ramp) + np.array(cpo)[:, None]))
    path = dichasus(tmp_path / "d.tfrecords", channels() * wrong, positions())
    (tmp_path / "o.json").write_text(json.dumps({"sto": sto, "cpo": cpo}))
    data = read_dichasus([path], 3.5e9, 8e5, tmp_path / "o.json")
    assert np.abs(data["csi"].values - channels()).max() < 1e-5
    (tmp_path / "o.json").write_text(json.dumps({"sto": sto[:2], "cpo": cpo}))
    with pytest.raises(SiteTwinError, match="'sto' for each of 3 antennas"):
        read_dichasus([path], 3.5e9, 8e5, tmp_path / "o.json")


def test_features_of_every_kind_and_signs_of_whole_numbers_are_read(tmp_path):
    path = tmp_path / "r.tfrecords"
    path.write_bytes(record(example(a=np.arange(6, dtype="<i8").reshape(2, 3), b=1.5, c=-7, d=b"a text")))
    (found,) = read_records(path)
    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["b"].tolist() == [1.5]
    assert found["c"].tolist() == [-7]
    assert "d" not in found


def test_records_of_more_fields_than_any_data_set_has_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "r.tfrecords"
    path.write_bytes(record(example(c=-7)))
    monkeypatch.setattr("sitetwin.measured.tfrecords.MOST_FIELDS", 1)
    with pytest.raises(SiteTwinError, match=r"record 1 of .* more than 1 fields"):
        list(read_records(path))


def test_channels_of_one_repeated_number_do_not_fill_the_memory(tmp_path, monkeypatch):
    """The format writes a constant tensor as one value: a few bytes would become any number of channels."""
    path = dichasus(tmp_path / "d.tfrecords", channels(), positions())
    monkeypatch.setattr("sitetwin.measured.dichasus.largest_unpacked", lambda size, largest: 100)
    with pytest.raises(SiteTwinError, match=r"'d\.tfrecords' take more than 100 times its size"):
        read_dichasus([path], 3.5e9, 8e5)


def test_a_truncated_record_is_named_by_its_number(tmp_path):
    path = dichasus(tmp_path / "d.tfrecords", channels(), positions())
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(SiteTwinError, match=r"record 5 of .* is truncated or damaged"):
        read_dichasus([path], 3.5e9, 8e5)
    path.write_bytes(b"")
    with pytest.raises(SiteTwinError, match="hold no record"):
        read_dichasus([path], 3.5e9, 8e5)
    with pytest.raises(SiteTwinError, match="no file"):
        read_dichasus([tmp_path], 3.5e9, 8e5)


def test_records_of_something_else_and_of_two_arrays_are_refused(tmp_path):
    path = tmp_path / "r.tfrecords"
    path.write_bytes(record(example(image=np.zeros((2, 2), dtype="<f4"))))
    with pytest.raises(SiteTwinError, match="has no channel 'csi'"):
        read_dichasus([path], 3.5e9, 8e5)
    two = dichasus(tmp_path / "d.tfrecords", channels()[:, :2], positions())
    one = dichasus(tmp_path / "e.tfrecords", channels(), positions())
    with pytest.raises(SiteTwinError, match="3 antennas and 8 subcarriers, those before 2 and 8"):
        read_dichasus([two, one], 3.5e9, 8e5)


@given(at=some.integers(0, 10_000), byte=some.integers(1, 255))
def test_a_changed_byte_is_always_noticed(tmp_path_factory, at, byte):
    path = dichasus(tmp_path_factory.mktemp("d") / "d.tfrecords", channels(samples=2), positions(2))
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= byte
    path.write_bytes(content)
    with pytest.raises(SiteTwinError, match="truncated or damaged"):
        list(read_records(path))


@given(message=some.binary(max_size=200))
def test_messages_of_strangers_with_right_checksums_are_read_or_refused(tmp_path_factory, message):
    path = tmp_path_factory.mktemp("d") / "d.tfrecords"
    path.write_bytes(record(message) + record(field(1, field(1, field(1, b"csi") + field(2, message)))))
    with suppress(SiteTwinError):
        list(read_records(path))


@pytest.mark.parametrize(
    ("h", "said"),
    [
        (lambda c: np.stack([np.abs(c), np.angle(c)], -1), "look like magnitude and phase in radians; give magnitude"),
        (lambda c: np.stack([np.abs(c), np.degrees(np.angle(c))], -1), "magnitude and phase in degrees; .*np.radians"),
        (
            lambda c: np.stack([20 * np.log10(np.abs(c)) - 80, np.angle(c)], -1),
            r"look like dB and phase in radians; give 10 \*\* \(dB / 20\)",
        ),
        (
            lambda c: np.stack([np.angle(c), np.abs(c)], -1),
            "imaginary parts are all positive.* look like phase in radians and magnitude; .* or complex numbers if",
        ),
        (lambda c: np.stack([c.real, 0 * c.real], -1), "no imaginary part"),
        (lambda c: np.abs(c).astype(complex), "no imaginary part: magnitudes have no phase"),
        (lambda c: c.real.astype(complex), "no imaginary part"),
    ],
)
def test_magnitudes_and_phases_are_told_from_real_and_imaginary_parts(tmp_path, h, said):
    with pytest.raises(SiteTwinError, match=said):
        read_csi(archive(tmp_path / "m.npz", h=h(channels(samples=SAMPLES))))


def test_complex_channels_of_nearly_one_phase_are_lawful(tmp_path):
    h = 1 + 0.2 * channels(samples=SAMPLES) / np.abs(channels(samples=SAMPLES)).max()
    np.testing.assert_allclose(read_csi(archive(tmp_path / "m.npz", h=h))["csi"].values, h, rtol=1e-6)


@pytest.mark.parametrize("drive", [np.inf, np.nan, 0.5, 1e300])
def test_drives_are_whole_numbers(tmp_path, drive):
    with pytest.raises(SiteTwinError, match="drive needs a whole number for each of 5 samples"):
        read_csi(archive(tmp_path / "m.npz", drive=np.array([0, 1, drive, 1, 2])))


def test_drives_are_those_of_the_file_or_of_pauses_in_its_times(tmp_path):
    count = 40
    more = {"h": channels(samples=count), "position": positions(count)}
    time = np.arange(float(count)) + 600.0 * (np.arange(count) >= 25)
    data = read_csi(archive(tmp_path / "t.npz", **more, time=time[::-1]))
    number, said = drives_of(data)
    np.testing.assert_array_equal(number, (np.arange(count) < 15).astype(int))
    assert "pauses of more than 30 s in the times of the file: 2 drives" in said
    data = read_csi(archive(tmp_path / "d.npz", **more, time=time, drive=np.repeat([7, 3, 7], [10, 20, 10])))
    number, said = drives_of(data)
    np.testing.assert_array_equal(number, np.repeat([1, 0, 1], [10, 20, 10]))
    assert "that the file numbers: 2 drives" in said
    number, said = drives_of(read_csi(archive(tmp_path / "n.npz", **more)))
    assert number is None
    assert "neither the drive nor the time" in said
    number, said = drives_of(read_csi(archive(tmp_path / "o.npz", **more, time=np.arange(count) * 1.0)))
    assert number is None
    assert "no two of 10 samples" in said
    with pytest.raises(SiteTwinError, match="drive needs a whole number for each of 40 samples"):
        read_csi(archive(tmp_path / "w.npz", **more, drive=np.arange(count) + 0.5))
