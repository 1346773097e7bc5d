import errno
import json
import multiprocessing
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import sitetwin.store.tiles as tiles_module
from sitetwin.errors import SiteTwinError
from sitetwin.store import Array, TileStore, compact
from sitetwin.store.files import PARTIAL
from sitetwin.store.groups import CHUNK_BYTES, chunk_shape

TILES = [(0, 5), (5, 10), (10, 13)]
CONFIGURATION = {"kind": "test", "settings": {"depth": 3, "seed": 1}}


def files_of(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def write_all(path: Path, tile_arrays, order=(0, 1, 2), **options) -> TileStore:
    store = TileStore.create(path, CONFIGURATION, {"title": "test"}, TILES, **options)
    for index in order:
        if index in store.missing_tiles():
            store.write_tile(index, tile_arrays[index], {"number": index})
    return store


def test_what_is_written_is_read_back(tmp_path, tile_arrays):
    write_all(tmp_path / "s", tile_arrays)
    store = TileStore.open(tmp_path / "s")
    assert store.missing_tiles() == []
    assert store.verify() == []
    for index, arrays in enumerate(tile_arrays):
        tile = store.read_tile(index)
        assert tile.attributes == {"number": index}
        assert set(tile.arrays) == set(arrays)
        for name, array in arrays.items():
            assert tile.arrays[name].dims == array.dims
            assert tile.arrays[name].attributes == array.attributes
            assert tile[name].dtype == array.data.dtype
            np.testing.assert_array_equal(tile[name], array.data)


def test_xarray_alone_reads_it_without_a_warning(tmp_path, tile_arrays):
    write_all(tmp_path / "s", tile_arrays)
    with xr.open_datatree(tmp_path / "s", engine="zarr") as tree:  # warnings are errors in these tests
        assert tree.attrs["title"] == "test"
        assert sorted(tree["tiles"].children) == ["000000", "000001", "000002"]
        tile = tree["tiles/000001"]
        assert tile["length"].dims == ("path",)
        assert tile["users"].attrs["units"] == "m"
        assert tile["kinds"].dtype == np.uint8
        np.testing.assert_array_equal(tile["gain"].values, tile_arrays[1]["gain"].data)


def test_xarray_reads_an_unfinished_store(tmp_path, tile_arrays):
    write_all(tmp_path / "s", tile_arrays, order=(1,))
    with xr.open_datatree(tmp_path / "s", engine="zarr") as tree:
        assert list(tree["tiles"].children) == ["000001"]


def test_bytes_do_not_depend_on_order_process_or_resume(tmp_path, tile_arrays):
    write_all(tmp_path / "a", tile_arrays)
    write_all(tmp_path / "b", tile_arrays, order=(2, 0))
    write_all(tmp_path / "b", tile_arrays)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_only_what_is_missing_is_left_to_do(tmp_path, tile_arrays):
    write_all(tmp_path / "s", tile_arrays, order=(1,))
    assert TileStore.open(tmp_path / "s").missing_tiles() == [0, 2]


def test_another_configuration_is_refused_by_name(tmp_path, tile_arrays):
    write_all(tmp_path / "s", tile_arrays)
    other = {"kind": "test", "settings": {"depth": 4, "seed": 1}}
    with pytest.raises(SiteTwinError, match=r"s holds a store of another configuration: settings\.depth \(3 .* 4"):
        TileStore.create(tmp_path / "s", other, {}, TILES)
    with pytest.raises(SiteTwinError, match="tiles"):
        TileStore.create(tmp_path / "s", CONFIGURATION, {}, [(0, 13)])


def test_existing_store_without_resume_is_refused(tmp_path, tile_arrays):
    write_all(tmp_path / "s", tile_arrays)
    with pytest.raises(SiteTwinError, match="resume"):
        write_all(tmp_path / "s", tile_arrays, resume=False)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(SiteTwinError, match=r"thesis\.tex"):
        TileStore.create(tmp_path, CONFIGURATION, {}, TILES)
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("absent", ["nowhere", "file"])
def test_what_is_no_store_is_said(tmp_path, absent):
    (tmp_path / "file").write_text("")
    with pytest.raises(SiteTwinError, match="check the path"):
        TileStore.open(tmp_path / absent)


DAMAGES = {
    "truncated": lambda f: f.write_bytes(f.read_bytes()[: f.stat().st_size // 2]),
    "emptied": lambda f: f.write_bytes(b""),
    "one bit": lambda f: f.write_bytes(bytes([f.read_bytes()[0] ^ 1]) + f.read_bytes()[1:]),
    "deleted": lambda f: f.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", ["length/c/0", "length/zarr.json", "zarr.json"])
def test_damage_is_found_named_and_mended_by_resuming(tmp_path, tile_arrays, damage, file):
    write_all(tmp_path / "s", tile_arrays)
    before = files_of(tmp_path / "s")
    DAMAGES[damage](tmp_path / "s" / "tiles" / "000001" / file)
    store = TileStore.open(tmp_path / "s")
    assert store.verify() == ["tiles/000001"]
    with pytest.raises(SiteTwinError, match=r"tiles/000001 of .*s is damaged .* resume"):
        store.read_tile(1)
    store.read_tile(0)
    write_all(tmp_path / "s", tile_arrays)
    assert files_of(tmp_path / "s") == before


def test_two_damaged_tiles_are_mended(tmp_path, tile_arrays):
    write_all(tmp_path / "s", tile_arrays)
    before = files_of(tmp_path / "s")
    for index in (0, 2):
        (tmp_path / "s" / "tiles" / f"{index:06d}" / "users" / "zarr.json").write_bytes(b"{")
    write_all(tmp_path / "s", tile_arrays)
    assert files_of(tmp_path / "s") == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_root_is_found_and_mended_by_resuming(tmp_path, tile_arrays, damage):
    write_all(tmp_path / "s", tile_arrays)
    before = files_of(tmp_path / "s")
    DAMAGES[damage](tmp_path / "s" / "zarr.json")
    assert TileStore.open(tmp_path / "s").verify() == ["zarr.json"]
    write_all(tmp_path / "s", tile_arrays)
    assert files_of(tmp_path / "s") == before


def test_a_kill_between_manifest_and_root_loses_no_tile_for_other_readers(tmp_path, tile_arrays, monkeypatch):
    store = write_all(tmp_path / "s", tile_arrays, order=(0, 1))
    write = tiles_module.write_file

    def killed_before_the_root(path, data):
        if path.name == "zarr.json":
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(tiles_module, "write_file", killed_before_the_root)
    with pytest.raises(KeyboardInterrupt):
        store.write_tile(2, tile_arrays[2], {"number": 2})
    monkeypatch.undo()
    write_all(tmp_path / "s", tile_arrays)  # nothing is missing, and yet there is something to do
    with xr.open_datatree(tmp_path / "s", engine="zarr") as tree:
        assert sorted(tree["tiles"].children) == ["000000", "000001", "000002"]
    assert TileStore.open(tmp_path / "s").verify() == []


@pytest.mark.parametrize("name", ["../precious", "/tmp/precious", "tiles/../../precious", "", ".", "..", ".partial"])
@pytest.mark.parametrize("where", ["groups", "tiles"])
def test_a_forged_manifest_deletes_nothing_outside_the_store(tmp_path, tile_arrays, name, where):
    write_all(tmp_path / "s", tile_arrays)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("years")
    file = tmp_path / "s" / "manifest.json"
    manifest = json.loads(file.read_text())
    if where == "groups":
        manifest["groups"][name] = "00"
    else:
        manifest["tiles"][1]["group"] = name
    file.write_text(json.dumps(manifest))
    with pytest.raises(SiteTwinError, match="cannot be the name of"):
        write_all(tmp_path / "s", tile_arrays)
    assert (tmp_path / "precious" / "thesis.tex").read_text() == "years"


@pytest.fixture
def precious(tmp_path):
    """A folder outside the store, with names that a store has too; it must survive whatever is done to the store."""
    folder = tmp_path / "precious"
    for name in ("thesis.tex", "thesis-999999999", "000001/zarr.json", "zarr.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("years")
    yield folder
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "000001/zarr.json", "thesis-999999999", "thesis.tex", "zarr.json",
    ]  # fmt: skip


@pytest.mark.parametrize("name", [".partial", "tiles", "tiles/000001", "tiles/000001/power", "tiles/000001/zarr.json"])
def test_nothing_is_removed_or_read_through_a_link_in_a_store(tmp_path, tile_arrays, precious, name):
    store = write_all(tmp_path / "s", tile_arrays)
    place = store.path / name
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.symlink_to(precious / "thesis.tex" if place.suffix else precious)
    inside = name.startswith("tiles/000001/")  # a link in a group makes the group a damaged one
    actions = {
        "read": lambda: store.read_tile(1),
        "resume": lambda: write_all(tmp_path / "s", tile_arrays),
        "write": lambda: store.write_tile(1, tile_arrays[1]),
        "sweep": store.sweep,
    }
    concerned = {".partial": {"resume", "write", "sweep"}}.get(
        name, {"read"} if inside else {"read", "resume", "write"}
    )
    for action, act in actions.items():
        if action in concerned:
            with pytest.raises(SiteTwinError, match="damaged" if inside else "is a symbolic link"):
                act()
        else:
            act()
    if inside:
        assert TileStore.open(tmp_path / "s").verify() == []


def test_what_others_keep_in_a_folder_of_unfinished_files_stays(tmp_path, tile_arrays):
    store = write_all(tmp_path / "s", tile_arrays)
    kept = [tmp_path / PARTIAL / name for name in ("notes.txt", "flat.old-999999999", "thesis-999999999/chapter.tex")]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("years")
    (tmp_path / PARTIAL / "flat-999999999").mkdir()  # of a compaction that was killed
    compact(store, tmp_path / "flat")
    assert [path.read_text() for path in kept] == ["years"] * 3
    assert not (tmp_path / PARTIAL / "flat-999999999").exists()


def test_a_store_inside_a_store_is_refused(tmp_path, tile_arrays):
    outer = write_all(tmp_path / "s", tile_arrays)
    for place in ("inner", "tiles/inner", "tiles/000001/inner"):
        with pytest.raises(SiteTwinError, match="lies inside the store"):
            write_all(tmp_path / "s" / place, tile_arrays)
        with pytest.raises(SiteTwinError, match="lies inside the store"):
            compact(outer, tmp_path / "s" / place)
    assert outer.verify() == []


def test_a_store_of_another_kind_is_refused_in_a_few_words(tmp_path, tile_arrays):
    write_all(tmp_path / "s", tile_arrays)
    with pytest.raises(SiteTwinError, match=r"holds a store of test, not of channels; choose another folder$"):
        TileStore.create(tmp_path / "s", {"kind": "channels", "many": 1, "other": 2}, {}, TILES)


@pytest.mark.parametrize("place", ["file", "file/below", "file/far/below"])
def test_a_file_in_the_way_is_named(tmp_path, tile_arrays, place):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(SiteTwinError, match=r"file is a file, not a folder; choose another folder"):
        write_all(tmp_path / place, tile_arrays)
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda text: "[" * 100_000, "not JSON"),
        (lambda text: re.sub(r'"attributes": \{[^}]*\}', '"attributes": 3', text), "damaged"),
        (lambda text: text[: len(text) // 2], "not JSON"),
        (lambda text: "[]", "not the manifest"),
        (lambda text: text.replace('"schema_version": 1', '"schema_version": 99'), "schema version 99"),
        (lambda text: text.replace('"depth": 3', '"depth": 2'), "altered"),
        (lambda text: text.replace('"tiles"', '"tails"'), "damaged"),
        (lambda text: text.replace('"stop": 5', '"stop": 4').replace('"start": 5', '"start": 4'), "altered"),
    ],
)
def test_a_bad_manifest_is_said(tmp_path, tile_arrays, damage, sentence):
    write_all(tmp_path / "s", tile_arrays)
    manifest = tmp_path / "s" / "manifest.json"
    manifest.write_text(damage(manifest.read_text()))
    with pytest.raises(SiteTwinError, match=sentence):
        TileStore.open(tmp_path / "s")


def test_full_disk_leaves_nothing_half_written(tmp_path, tile_arrays, monkeypatch):
    store = write_all(tmp_path / "s", tile_arrays, order=(0,))
    before = files_of(tmp_path / "s")
    write = tiles_module.write_group

    def half(folder, arrays, attributes):
        write(folder, dict(list(arrays.items())[:2]), attributes)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tiles_module, "write_group", half)
    with pytest.raises(SiteTwinError, match=r"the disk is full .* writing tiles/000001 .* resume"):
        store.write_tile(1, tile_arrays[1])
    assert files_of(tmp_path / "s") == before
    assert not (tmp_path / "s" / PARTIAL).exists()
    monkeypatch.undo()
    write_all(tmp_path / "s", tile_arrays)
    assert TileStore.open(tmp_path / "s").verify() == []


@pytest.mark.parametrize(
    "arrays",
    [
        {"a": Array(("x",), np.zeros((2, 2)))},
        {"a": Array(("x",), np.zeros(2)), "b": Array(("x",), np.zeros(3))},
        {"a": Array(("x",), np.array(["text", "more"], dtype=object))},
        {"a": Array((), np.zeros(()))},
    ],
)
def test_contradicting_labels_are_refused_before_anything_is_written(tmp_path, arrays):
    store = TileStore.create(tmp_path / "s", CONFIGURATION, {}, TILES)
    with pytest.raises(ValueError, match=r"axis|axes|numbers"):
        store.write_tile(0, arrays)
    assert store.missing_tiles() == [0, 1, 2]


@pytest.mark.parametrize("tiles", [[(1, 5)], [(0, 5), (6, 7)], [(0, 5), (4, 7)], [(0, 0)]])
def test_tiles_with_gaps_are_refused(tmp_path, tiles):
    with pytest.raises(ValueError, match="does not continue"):
        TileStore.create(tmp_path / "s", CONFIGURATION, {}, tiles)


def test_manifest_says_what_a_reader_needs(tmp_path, tile_arrays):
    write_all(tmp_path / "s", tile_arrays, order=(0,))
    manifest = json.loads((tmp_path / "s" / "manifest.json").read_bytes())
    assert manifest["schema_version"] == 1
    assert manifest["configuration"] == CONFIGURATION
    assert [(t["start"], t["stop"]) for t in manifest["tiles"]] == TILES
    assert [t["sha256"] is not None for t in manifest["tiles"]] == [True, False, False]


def _write_one(path: str, index: int, arrays) -> None:
    TileStore.open(path).write_tile(index, arrays, {"number": index})


def test_processes_may_write_tiles_of_one_store_at_the_same_time(tmp_path, tile_arrays):
    write_all(tmp_path / "alone", tile_arrays)
    write_all(tmp_path / "s", tile_arrays, order=())
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=_write_one, args=(str(tmp_path / "s"), i, arrays))
        for i, arrays in enumerate(tile_arrays)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert files_of(tmp_path / "s") == files_of(tmp_path / "alone")


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=4), st.sampled_from([1, 2, 4, 8, 16]))
def test_chunks_fit_and_cover(shape, itemsize):
    chunks = chunk_shape(tuple(shape), itemsize)
    assert all(1 <= chunk <= max(size, 1) for chunk, size in zip(chunks, shape, strict=True))
    row = itemsize * int(np.prod([max(n, 1) for n in shape[1:]], dtype=object))
    assert chunks[0] == 1 or chunks[0] * row <= CHUNK_BYTES
