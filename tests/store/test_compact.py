import numpy as np
import pytest
import xarray as xr

from sitetwin.errors import SiteTwinError
from sitetwin.store import Array, TileStore, compact

TILES = [(0, 5), (5, 10), (10, 13)]


def make_store(path, tile_arrays, indices=(0, 1, 2)):
    store = TileStore.create(path, {"kind": "test"}, {"title": "ragged"}, TILES)
    for index in indices:
        store.write_tile(index, tile_arrays[index])
    return store


def test_each_user_keeps_its_rows(tmp_path, tile_arrays):
    compact(make_store(tmp_path / "s", tile_arrays), tmp_path / "flat")
    with xr.open_zarr(tmp_path / "flat") as flat:
        assert dict(flat.sizes)["user"] == 13
        assert flat.attrs["title"] == "ragged"
        offsets = flat["offsets"].values
        assert len(offsets) == 14
        assert flat["length"].dims == ("path",)
        for (start, stop), arrays in zip(TILES, tile_arrays, strict=True):
            np.testing.assert_array_equal(flat["users"].values[start:stop], arrays["users"].data)
            for user in range(start, stop):
                low, high = arrays["offsets"].data[user - start : user - start + 2]
                mine = slice(offsets[user], offsets[user + 1])
                for name in ("length", "kinds", "gain"):
                    np.testing.assert_array_equal(flat[name].values[mine], arrays[name].data[low:high])


def test_chunks_that_straddle_tiles(tmp_path, tile_arrays, monkeypatch):
    monkeypatch.setattr("sitetwin.store.groups.CHUNK_BYTES", 64)  # a chunk of few rows: every edge is crossed
    store = make_store(tmp_path / "s", tile_arrays)
    compact(store, tmp_path / "flat")
    with xr.open_zarr(tmp_path / "flat") as flat:
        expected = np.concatenate([arrays["length"].data for arrays in tile_arrays])
        np.testing.assert_array_equal(flat["length"].values, expected)


def test_unfinished_stores_are_refused(tmp_path, tile_arrays):
    with pytest.raises(SiteTwinError, match="1 of 3 tiles are missing"):
        compact(make_store(tmp_path / "s", tile_arrays, (0, 2)), tmp_path / "flat")
    assert not (tmp_path / "flat").exists()


def test_nothing_is_overwritten(tmp_path, tile_arrays):
    (tmp_path / "flat").mkdir()
    with pytest.raises(SiteTwinError, match="exists"):
        compact(make_store(tmp_path / "s", tile_arrays), tmp_path / "flat")


def test_a_damaged_tile_stops_it_and_leaves_nothing(tmp_path, tile_arrays):
    store = make_store(tmp_path / "s", tile_arrays)
    (tmp_path / "s/tiles/000002/length/c/0").write_bytes(b"")
    with pytest.raises(SiteTwinError, match="tiles/000002"):
        compact(store, tmp_path / "flat")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["s"]


def test_tiles_of_other_arrays_are_refused(tmp_path, tile_arrays):
    store = make_store(tmp_path / "s", tile_arrays, (0, 1))
    store.write_tile(2, {"users": Array(("user", "xyz"), np.zeros((3, 3)))})
    with pytest.raises(SiteTwinError, match="other arrays"):
        compact(store, tmp_path / "flat")
