"""Files that nobody vouches for: what is read is right, and everything else is refused in one sentence, soon."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import json
import os
import struct
import tomllib
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin import untrusted
from sitetwin.channel.antennas.pattern_files import load_pattern
from sitetwin.channel.stations import read_stations
from sitetwin.errors import SiteTwinError
from sitetwin.learn.model_files import read_model
from sitetwin.site import load_scene
from sitetwin.site.importers.blocks import parse_blocks
from sitetwin.site.importers.mitsuba_xml import parse_scene
from sitetwin.site.importers.models import ModelReading, load_model
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.readers.files import read_map_file
from sitetwin.site.maps.readers.geojson import read_geojson
from sitetwin.site.maps.readers.osm_xml import read_osm_xml
from sitetwin.site.maps.readers.overpass import read_overpass
from sitetwin.site.materials import Material
from sitetwin.site.mesh import check_vertices
from sitetwin.site.recipes import read_recipe
from sitetwin.store import TileStore
from sitetwin.store.files import own_place
from sitetwin.store.mat_files import read_mat, read_mat_arrays
from sitetwin.untrusted.arrays import as_float64, read_npy, read_npz

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def _npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


@given(VALUES)
def test_json_is_read_as_it_was_written(value: object) -> None:
    assert untrusted.parse_json(json.dumps(value).encode(), "x") == value


@pytest.mark.parametrize(
    "data",
    [
        b"9" * 5000,
        b'"\\ud800"',
        b'{"\\udfff": 1}',
        b'"\xed\xa0\x80"',
        b"[" * 100_000,
        b"",
        b"\xff",
        b"9223372036854775808",
        b"[-1" + b"0" * 400 + b"]",
        b"[1e400]",
        b"[-1.5E+999]",
        b"[" + b"9" * 400 + b".5]",
        "[9223372036854775808]".encode("utf-16"),
    ],
)
def test_json_that_later_code_cannot_hold_is_refused(data: bytes) -> None:
    with pytest.raises(SiteTwinError, match="file x "):
        untrusted.parse_json(data, "file x")


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "9" * 5000,
        "a = 9223372036854775808",
        "a." * 300_000 + "a = 1",
        "[" + "a." * 9999 + "a]",
        "a = " + "[" * 9999,
        "a = nan",
        "a.b = [0.0, -inf]",
        "a = [{ b = 1e400 }]",
    ],
)
def test_toml_that_later_code_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(SiteTwinError, match="file x "):
        untrusted.parse_toml(text.encode(), "file x")


def test_toml_of_many_numbers_and_words_is_read() -> None:
    text = "a.b.c = [" + "1.5, " * 999 + "]\nd = 'one. two. three. 1.2.3'"
    assert untrusted.parse_toml(text.encode(), "x") == tomllib.loads(text)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_archives_give_the_arrays_or_a_sentence(data: st.DataObject) -> None:
    arrays = {"a": np.arange(12.0).reshape(3, 4), "b": np.arange(5, dtype=np.int32)}
    content = bytearray(_npz(**arrays))
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_npz(bytes(content), "x", "mend it", ("a", "b"))
    except SiteTwinError:
        return
    assert sum(array.nbytes for array in found.values()) <= len(content)


def _archive(method: int, header: bytes, body: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("a.npy", header + body)
    return stream.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED])
def test_archives_that_grow_beyond_reason_are_refused(method: int) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**25,)})
    with pytest.raises(SiteTwinError, match=r"claim to hold|packed by a method"):
        read_npz(_archive(method, header.getvalue(), bytes(2**25)), "x", "mend it")


def test_an_array_of_fortran_order_is_the_same() -> None:
    array = np.asfortranarray(np.arange(24).reshape(2, 3, 4))
    np.testing.assert_array_equal(read_npz(_npz(a=array), "x", "mend it")["a"], array)


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<i2"])
def test_numbers_of_a_file_can_be_changed(dtype: str) -> None:
    """Bytes cannot: readers that mend a number would fail."""
    values = as_float64(np.frombuffer(np.arange(5).astype(dtype).tobytes(), dtype))
    values[0] = 7.0
    np.testing.assert_array_equal(values, [7.0, 1.0, 2.0, 3.0, 4.0])


def test_pipes_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r.toml")
    with pytest.raises(SiteTwinError, match="is no file"):
        read_recipe(tmp_path / "r.toml")


def test_maps_that_grow_beyond_reason_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.geojson.gz").write_bytes(gzip.compress(b"[" + b"0," * 2**24))
    with pytest.raises(SiteTwinError, match="grows more than 100 times"):
        read_map_file(tmp_path / "m.geojson.gz")


def _mat(*sizes: int) -> bytes:
    """A file of packed arrays of so many numbers of eight bits."""
    parts = [b"MATLAB 5.0 MAT-file".ljust(124, b" ") + b"\0\1IM"]
    for number, size in enumerate(sizes):
        body = struct.pack("<IIII", 6, 8, 9, 0) + struct.pack("<IIii", 5, 8, size, 1)
        body += struct.pack("<II", 1, 8) + f"array{number:03d}".encode() + struct.pack("<II", 2, size) + bytes(size)
        packed = zlib.compress(struct.pack("<II", 14, len(body)) + body)
        parts.append(struct.pack("<II", 15, len(packed)) + packed)
    return b"".join(parts)


def test_arrays_of_a_matlab_file_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each alone stays within the bound; numbers of eight bits become eight times larger."""
    path = tmp_path / "m.mat"
    path.write_bytes(_mat(8000, 8000))
    assert [array.shape for array in read_mat_arrays(path).values()] == [(8000, 1)] * 2
    for limit in (100_000, 10_000):
        monkeypatch.setattr("sitetwin.store.mat_files.FREE_NUMBERS", limit)
        with pytest.raises(SiteTwinError, match=r"m\.mat' is damaged"):
            read_mat_arrays(path)


def test_matlab_files_that_grow_beyond_reason_are_refused(tmp_path: Path) -> None:
    for size in (2**25, 2**20):
        packed = zlib.compress(bytes(size), 9)
        head = b"MATLAB 5.0 MAT-file".ljust(124, b" ") + b"\0\1IM"
        (tmp_path / "m.mat").write_bytes(head + struct.pack("<II", 15, len(packed)) + packed)
        with pytest.raises(SiteTwinError, match="damaged"):
            read_mat(tmp_path / "m.mat")


def test_parameters_of_scenes_do_not_multiply() -> None:
    scene = f'<scene><default name="a" value="{"x" * 4000}"/><shape type="cube" id="{"$a" * 1000}"/></scene>'
    with pytest.raises(SiteTwinError, match="more than 4096 characters"):
        parse_scene(scene.encode(), "s.xml")


def test_a_scene_has_a_bounded_number_of_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sitetwin.site.importers.mitsuba_xml.MOST_SHAPES", 2)
    material = '<bsdf type="itu-radio-material" id="c"><string name="type" value="concrete"/></bsdf>'
    cubes = "".join(f'<shape type="cube" id="{number}"><ref id="c"/></shape>' for number in range(3))
    with pytest.raises(SiteTwinError, match=r"'s\.xml' has 3 shapes, more than 2"):
        parse_scene(f"<scene>{material}{cubes}</scene>".encode(), "s.xml")


def test_impossible_sizes_are_refused(tmp_path: Path) -> None:
    for far in ([[0, 0, 0], [1e6, 0, 0]], [[0, 0, 0], [0, 0, 1e5]]):
        with pytest.raises(SiteTwinError, match="km wide"):
            check_vertices(np.array(far, dtype=np.float64), "the mesh")
    with pytest.raises(SiteTwinError, match="outside 1 to 1000"):
        Material("m", relative_permittivity=1e20, conductivity=0.0)
    (tmp_path / "r.toml").write_text("trees = { position = { sigma = 1e6 } }")
    with pytest.raises(SiteTwinError, match="no error of a map"):
        read_recipe(tmp_path / "r.toml")
    (tmp_path / "s.toml").write_text("[[stations]]\nposition = [1.0, 2147483647, 30.0]\neirp_dbm = 46")
    with pytest.raises(SiteTwinError, match="position"):
        read_stations(tmp_path / "s.toml")


@pytest.mark.parametrize("make", [gzip.compress, bz2.compress])
def test_packed_data_are_as_before(make: Callable[[bytes], bytes]) -> None:
    parts = [os.urandom(200_000), b"", b"x" * 3_000_000]
    unpack = untrusted.gunzip if make is gzip.compress else untrusted.bunzip
    packed = b"".join(map(make, parts))
    assert unpack(packed, 2**30) == b"".join(parts)
    for damaged in (packed[:-1], packed + b"\0", packed[:100_000] + b"damage" + packed[100_006:]):
        with pytest.raises(ValueError, match=r".+"):
            unpack(damaged, 2**30)
    with pytest.raises(ValueError, match="streams"):
        unpack(make(b"") * (2**16 + 1), 2**30)


def test_a_table_of_text_has_a_bounded_number_of_cells() -> None:
    assert untrusted.parse_table('a, "b,c"\n\n1,2\r\n', "x") == [["a", "b,c"], [], ["1", "2"]]
    for text in ("," * (2**23 + 1), "\n" * (2**23 + 1), "\f" * (2**23 + 1)):
        with pytest.raises(SiteTwinError, match="cells"):
            untrusted.parse_table(text, "file x")
    with pytest.raises(SiteTwinError, match="no table of text"):
        untrusted.parse_table("a" * 200_000, "file x")


@given(st.text(alphabet="ab\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", max_size=30))
def test_lines_are_counted_where_python_ends_them(text: str) -> None:
    assert untrusted.count_lines(text + "a") == len((text + "a").splitlines()) - 1


def test_lines_of_patterns_and_insite_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sitetwin.channel.antennas.pattern_text.MOST_LINES", 3)
    (tmp_path / "p.csv").write_text("0,0,0\n" * 4)
    with pytest.raises(SiteTwinError, match=r"p\.csv has more than 3 lines"):
        load_pattern(tmp_path / "p.csv")
    monkeypatch.setattr("sitetwin.site.importers.blocks.MOST_LINES", 3)
    with pytest.raises(SiteTwinError, match=r"'a\.city' has more than 3 lines"):
        parse_blocks(b"a\n" * 4, "a.city")


@pytest.mark.parametrize("read", [untrusted.read_head, untrusted.regular_size])
def test_what_is_no_file_is_not_opened(read: Callable[..., object], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path / "link", tmp_path, Path("/dev/zero"), Path("/dev/null"), Path("a\0b")):
        with pytest.raises(SiteTwinError, match=r"is no file|cannot be read"):
            read(place, 10) if read is untrusted.read_head else read(place, "x")


def test_an_array_is_read_only_if_it_is_one_of_numbers(tmp_path: Path) -> None:
    for values in (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)), np.float32(3)):
        np.save(tmp_path / "a.npy", values)
        found = read_npy(tmp_path / "a.npy", "x", "mend it")
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, values)
    whole = (tmp_path / "a.npy").read_bytes()
    bomb = io.BytesIO()
    np.lib.format.write_array_header_1_0(bomb, {"descr": "<f8", "fortran_order": False, "shape": (2**40,)})
    for content in (whole[:-1], whole + b"\0", bomb.getvalue(), b"", _npz(a=np.zeros(2))):
        (tmp_path / "a.npy").write_bytes(content)
        with pytest.raises(SiteTwinError, match="cannot be read as a NumPy array"):
            read_npy(tmp_path / "a.npy", "x", "mend it")
    np.save(tmp_path / "a.npy", np.array(["a"]))
    with pytest.raises(SiteTwinError, match="other than real numbers"):
        read_npy(tmp_path / "a.npy", "x", "mend it")


def test_json_of_many_small_values_is_refused_before_it_is_parsed() -> None:
    for item in (b"[],", b"{},", b'"a",', b'{"a":1},'):
        with pytest.raises(SiteTwinError, match="more values in its"):
            untrusted.parse_json(b"[" + item * (2**26 // len(item)) + b"1]", "file x")
    assert len(untrusted.parse_json(b"[" + b"[1.25,2.5]," * 100_000 + b"1]", "x")) == 100_001


def test_xml_of_many_small_elements_is_refused_before_it_is_parsed() -> None:
    for read, count in ((parse_scene, 2**20), (lambda data, name: read_osm_xml(data, name, Ledger()), 2**22)):
        with pytest.raises(SiteTwinError, match=r"x\.xml.*tags"):
            read(b"<osm>" + b"<a/>" * count + b"</osm>", "x.xml")


def test_maps_of_very_many_features_are_refused() -> None:
    for document, read in (
        ({"type": "FeatureCollection", "features": [1] * (2**20 + 1)}, lambda d: read_geojson(d, "x", Ledger())),
        ({"elements": [1] * (2**22 + 1)}, lambda d: read_overpass(d, "x", Ledger())),
    ):
        with pytest.raises(SiteTwinError, match="'x' has more than"):
            read(document)


def test_what_is_refused_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("trees = { position = { sigma = 1e6 } }")
    with pytest.raises(SiteTwinError, match=r"r\.toml: a geometry error"):
        read_recipe(tmp_path / "r.toml")
    (tmp_path / "tall.xml").write_text(
        '<scene><bsdf type="itu-radio-material" id="c"><string name="type" value="concrete"/></bsdf><shape type="cube">'
        '<transform name="to_world"><scale x="5" y="5" z="1e5"/></transform><ref id="c"/></shape></scene>'
    )
    for open_it in (load_scene, lambda file: load_model(file, ModelReading())):
        with pytest.raises(SiteTwinError, match=r"tall\.xml.*km high"):
            open_it(tmp_path / "tall.xml")


@pytest.mark.parametrize("text", ["9" * 5000, '"\\ud800"'])
def test_what_python_says_of_digits_and_characters_is_said_in_plain_words(text: str) -> None:
    with pytest.raises(SiteTwinError, match=r"more than 4300 digits|half a character"):
        untrusted.parse_json(text.encode(), "file x")


def test_nans_that_alarm_the_processor_are_read_without_a_warning(tmp_path: Path) -> None:
    """Bits of a signalling NaN, which NumPy's cast to float64 warns of."""
    np.save(tmp_path / "a.npy", np.frombuffer(b"\x01\x00\xa0\x7f" * 3, "<f4"))
    assert np.isnan(read_npy(tmp_path / "a.npy", "x", "mend it")).all()


def test_a_name_that_is_too_long_is_refused(tmp_path):
    path = tmp_path / ("a" * 300)
    with pytest.raises(SiteTwinError, match="name too long"):
        TileStore.open(path)
    with pytest.raises(SiteTwinError, match="damaged"):
        read_model(path, "codec")
    assert own_place(path, "tiles/000000") == path / "tiles" / "000000"


def test_a_closed_folder_is_not_taken_for_one_without_the_file(monkeypatch, tmp_path):
    def closed(path, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "lstat", closed)
    monkeypatch.setattr(Path, "stat", closed)
    with pytest.raises(SiteTwinError, match=r"manifest\.json cannot be read: Permission denied"):
        TileStore.open(tmp_path)
    with pytest.raises(SiteTwinError, match="damaged"):
        read_model(tmp_path / "codec.model", "codec")


def test_a_small_file_takes_little_memory(tmp_path: Path) -> None:
    (file := tmp_path / "small.json").write_bytes(b"{}")
    tracemalloc.start()
    assert untrusted.read_bytes(file, "it", 2**28) == b"{}"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20
    with pytest.raises(SiteTwinError, match="it is larger than 1 byte"):
        untrusted.read_bytes(file, "it", 1)
