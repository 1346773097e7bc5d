"""What an array's files say is not believed before it is unpacked."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numcodecs.zstd import Zstd

from sitetwin.errors import SiteTwinError
from sitetwin.store import Array, TileStore
from sitetwin.store.array_files import _LONGEST_HEADER, _stated_length, check_array_files
from sitetwin.store.groups import check_arrays, read_group, write_group
from sitetwin.store.manifest import Checksums, Manifest


@given(st.binary(max_size=100_000), st.integers(1, 3))
def test_a_frame_says_how_long_it_gets(data, level):
    assert _stated_length(Zstd(level).encode(data)[:_LONGEST_HEADER]) == len(data) or not data


@given(st.binary(max_size=30))
def test_any_bytes_are_a_header_or_none(data):
    _stated_length(data)
    _stated_length(b"\x28\xb5\x2f\xfd" + data)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(1)
    write_group(
        tmp_path / "g",
        {
            "a": Array(("user", "xyz"), rng.normal(size=(5, 3))),
            "b": Array(("path",), np.zeros(0, np.uint8)),
            "c": Array(("user", "none"), np.zeros((5, 0), bool)),
        },
        {},
    )
    return tmp_path / "g"


def test_what_is_written_here_is_read(folder):
    for name in ("a", "b", "c"):
        check_array_files(folder / name)
    assert sorted(read_group(folder).arrays) == ["a", "b", "c"]


def edited(folder, **changes):
    file = folder / "a" / "zarr.json"
    metadata = json.loads(file.read_bytes())
    for path, value in changes.items():
        *above, last = path.split("__")
        place = metadata
        for name in above:
            place = place[name]
        place[last] = value
    file.write_text(json.dumps(metadata))


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [400_000_000, 3]},
        {"shape": [2**62, 3]},
        {"shape": [2**64, 3]},
        {"shape": [400_000_000, 3], "chunk_grid__configuration__chunk_shape": [400_000_000, 3]},
        {"shape": [5, 400_000_000], "chunk_grid__configuration__chunk_shape": [5, 400_000_000]},
        {"shape": [4, 3]},
        {"shape": [5]},
        {"shape": []},
        {"shape": [5, 3.0]},
        {"shape": [True, 3]},
        {"shape": [-5, 3]},
        {"chunk_grid__configuration__chunk_shape": [1, 1]},
        {"chunk_grid__configuration__chunk_shape": [0, 3]},
        {"chunk_grid__name": "rectilinear"},
        {"data_type": "float32"},
        {"data_type": "string"},
        {"data_type": {"name": "numpy.datetime64"}},
        {"codecs": []},
        {"codecs": [{"name": "bytes", "configuration": {"endian": "big"}}, {"name": "zstd"}]},
        {"codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "gzip"}]},
        {"codecs": "zstd"},
        {"dimension_names": None},
        {"dimension_names": ["user"]},
        {"dimension_names": ["user", 3]},
        {"attributes": []},
        {"storage_transformers": [{"name": "x"}]},
        {"node_type": "group"},
        {"zarr_format": 2},
    ],
)
def test_metadata_that_are_not_written_here_are_refused(folder, changes):
    edited(folder, **changes)
    with pytest.raises((ValueError, SiteTwinError), match=r"'a'|chunk|more than 64 bits"):
        check_array_files(folder / "a")


@pytest.mark.parametrize("chunk", [b"", b"x" * 50, Zstd(1).encode(bytes(121)), Zstd(1).encode(bytes(200 << 20))])
def test_chunks_that_unpack_to_something_else_are_refused(folder, chunk):
    (folder / "a" / "c" / "0" / "0").write_bytes(chunk)
    with pytest.raises(ValueError, match="does not unpack to the 120 bytes"):
        check_array_files(folder / "a")


def test_a_missing_chunk_is_no_wish_for_zeros(folder):
    (folder / "a" / "c" / "0" / "0").unlink()
    with pytest.raises(ValueError, match="has 0 chunks, and 1 are due"):
        check_array_files(folder / "a")


READER = """
import resource, sys
from sitetwin.store import TileStore
from sitetwin.errors import SiteTwinError
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (1 << 28),) * 2)
try:
    TileStore.open(sys.argv[1]).read_tile(0)
except SiteTwinError as error:
    print("refused", error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited by Linux")
def test_gigabytes_declared_by_a_few_bytes_take_no_memory(tmp_path):
    store = TileStore.create(tmp_path / "s", {"kind": "test"}, {}, [(0, 5)])
    store.write_tile(0, {"a": Array(("user",), np.arange(5.0))})
    folder = tmp_path / "s/tiles/000000"
    edited(folder, shape=[400_000_000], chunk_grid__configuration__chunk_shape=[400_000_000])
    (folder / "a/c/0").write_bytes(b"\x28\xb5\x2f\xfd\xe0" + (3_200_000_000).to_bytes(8, "little") + b"\x03\x00\x00")
    store._list("tiles/000000", Checksums.of(folder))  # a forger knows how to compute checksums
    done = subprocess.run([sys.executable, "-c", READER, tmp_path / "s"], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("refused"), done.stderr


def test_offsets_lead_through_all_rows():
    sound = {
        "offsets": Array(("edge",), np.array([0, 2, 2, 3]), {"rows": "path"}),
        "length": Array(("path",), np.zeros(3)),
    }
    check_arrays(sound)
    for wrong in ([0, 2, 1, 3], [1, 2, 2, 3], [0, 2, 2, 4], [0, 2, 2, 2]):
        with pytest.raises(ValueError, match="do not rise from 0 to 3"):
            check_arrays({**sound, "offsets": Array(("edge",), np.array(wrong), {"rows": "path"})})


def test_one_array_is_checked_and_read_without_the_others(tmp_path):
    store = TileStore.create(tmp_path / "s", {"kind": "test"}, {}, [(0, 5)])
    arrays = {name: Array(("user",), np.arange(5.0)) for name in ("small", "large")}
    store.write_tile(0, arrays)
    (tmp_path / "s/tiles/000000/large/c/0").write_bytes(b"x")
    store = TileStore.open(tmp_path / "s")
    assert store.verify() == ["tiles/000000"]
    assert list(store.read_tile(0, names=["small"]).arrays) == ["small"]
    assert store.tile_layout(0)["large"].shape == (5,)
    for names in (None, ["large"], ["small", "large"]):
        with pytest.raises(SiteTwinError, match="is damaged"):
            store.read_tile(0, names=names)
    for file in ("small/c/0", "large/zarr.json", "zarr.json"):
        store.write_tile(0, arrays)
        with (tmp_path / "s/tiles/000000" / file).open("ab") as stream:
            stream.write(b" ")
        with pytest.raises(SiteTwinError, match="is damaged"):
            store.read_tile(0, names=["small"])


def test_stores_without_checksums_of_parts_are_checked_whole(tmp_path):
    store = TileStore.create(tmp_path / "s", {"kind": "test"}, {}, [(0, 5)])
    store.write_tile(0, {name: Array(("user",), np.arange(5.0)) for name in ("small", "large")})
    store._list("tiles/000000", Checksums(Checksums.of(tmp_path / "s/tiles/000000").whole))
    store = TileStore.open(tmp_path / "s")
    assert b"parts" not in (tmp_path / "s/manifest.json").read_bytes()
    np.testing.assert_array_equal(store.read_tile(0, names=["small"])["small"], np.arange(5.0))
    (tmp_path / "s/tiles/000000/large/c/0").write_bytes(b"x")
    with pytest.raises(SiteTwinError, match="is damaged"):
        store.read_tile(0, names=["small"])


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    users=st.builds(slice, *[st.none() | st.integers(-50, 50)] * 2, st.none() | st.integers(-9, 9).filter(bool)),
)
def test_users_are_found_in_their_tiles(sizes, users):
    edges = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    store = TileStore(Path("nowhere"), Manifest({}, {}, tuple(pairwise(edges))))
    found = [store.tiles[index][0] + place for index, inside in store.tiles_of(users) for place in inside]
    assert found == list(range(edges[-1]))[users]


def test_users_that_are_only_said_to_be_there_take_no_memory(tmp_path):
    store = TileStore.create(tmp_path / "s", {}, {}, [(0, 10**15), (10**15, 10**15 + 3)])
    assert store.tiles_of(slice(10**15 + 1, None)) == [(1, range(1, 3))]
