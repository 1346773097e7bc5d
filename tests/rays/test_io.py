import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.rays import dense
from sitetwin.rays.dense import TraceSettings
from sitetwin.rays.jobs.engines import trace
from sitetwin.rays.jobs.io import (
    LAYOUT,
    arrays_to_paths,
    concatenate,
    load_paths,
    merge_attributes,
    paths_to_arrays,
    save_paths,
    split_users,
    summarise,
    trace_configuration,
    widen,
)
from sitetwin.rays.jobs.job import TraceJob
from sitetwin.rays.paths import Paths
from sitetwin.store import Group, TileStore
from sitetwin.version import code_version
from tests.rays.shapes import box_quads, ground, quad_site


def unit_vectors(rng: np.random.Generator, count: int) -> np.ndarray:
    steps = rng.normal(size=(count, 3))
    return steps / np.linalg.norm(steps, axis=1, keepdims=True)


def random_paths(rng: np.random.Generator, users: int, depth: int = 2) -> Paths:
    """Ragged nonsense of the right shapes: storage must not care what the numbers mean."""
    counts = rng.integers(0, 4, users)
    paths = int(counts.sum())
    crossings = rng.integers(0, 3, paths)
    total = int(crossings.sum())
    kinds = -np.sort(-rng.integers(0, 2, (paths, depth)), axis=1).astype(np.uint8)
    vertices = rng.normal(size=(paths, depth, 3))
    vertices[kinds == 0] = np.nan
    return Paths(
        transmitter=rng.normal(size=3),
        users=rng.normal(size=(users, 3)),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        kinds=kinds,
        facets=np.where(kinds > 0, rng.integers(0, 99, (paths, depth)), -1).astype(np.int32),
        vertices=vertices,
        length=rng.uniform(1, 1000, paths),
        departure=unit_vectors(rng, paths),
        arrival=unit_vectors(rng, paths),
        crossing_offsets=np.concatenate([[0], np.cumsum(crossings)]),
        crossing_volume=rng.integers(0, 5, total).astype(np.int32),
        crossing_entry=rng.uniform(0, 10, total),
        crossing_exit=rng.uniform(10, 20, total),
        attributes={"engine": "test", "settings": {"max_depth": depth}},
    )


def assert_same(one: Paths, other: Paths) -> None:
    np.testing.assert_array_equal(one.transmitter, other.transmitter)
    for name in LAYOUT:
        left, right = getattr(one, name), getattr(other, name)
        assert left.dtype == right.dtype, name
        np.testing.assert_array_equal(left, right, err_msg=name)


def files_of(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(0, 3), st.data())
def test_cutting_and_joining_changes_nothing(seed, users, depth, data):
    paths = random_paths(np.random.default_rng(seed), users, depth)
    tile = data.draw(st.integers(1, users))
    parts = [paths.select_users(np.arange(*edges)) for edges in split_users(users, tile)]
    assert_same(concatenate(parts), paths)
    arrays = paths_to_arrays(paths)
    assert_same(arrays_to_paths(Group(arrays), paths.transmitter, {}), paths)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    paths = random_paths(np.random.default_rng(1), 23)
    folder = tmp_path_factory.mktemp("saved") / "p"
    save_paths(paths, folder, tile_users=5)
    return paths, folder


@pytest.mark.parametrize(
    "users",
    [None, slice(0, 23), slice(4, 9), slice(10, 11), slice(21, 99), slice(1, 22, 5), slice(20, 3, -4), slice(5, 5)],
)
def test_saved_paths_are_loaded_unchanged(saved, users):
    paths, folder = saved
    loaded = load_paths(folder, users)
    assert_same(loaded, paths.select_users(np.arange(23)[users or slice(None)]))
    assert loaded.attributes == paths.attributes


def test_only_the_tiles_asked_for_are_read(tmp_path):
    save_paths(random_paths(np.random.default_rng(1), 20), tmp_path / "p", tile_users=5)
    (tmp_path / "p/tiles/000003/length/c/0").write_bytes(b"")
    assert load_paths(tmp_path / "p", slice(0, 15)).num_users == 15
    with pytest.raises(SiteTwinError, match="tiles/000003"):
        load_paths(tmp_path / "p", slice(0, 16))


def test_xarray_alone_reads_paths_with_units(tmp_path):
    paths = random_paths(np.random.default_rng(2), 8)
    save_paths(paths, tmp_path / "p")
    with xr.open_datatree(tmp_path / "p", engine="zarr") as tree:
        tile = tree["tiles/000000"]
        assert tile["length"].dims == ("path",)
        assert tile["length"].attrs["units"] == "m"
        assert tree.attrs["transmitter"] == paths.transmitter.tolist()
        np.testing.assert_array_equal(tile["vertices"].values, paths.vertices)


def test_other_paths_in_the_same_folder_are_refused(tmp_path):
    save_paths(random_paths(np.random.default_rng(1), 8), tmp_path / "p")
    with pytest.raises(SiteTwinError, match="content"):
        save_paths(random_paths(np.random.default_rng(2), 8), tmp_path / "p")


def test_a_store_of_something_else_is_said(tmp_path):
    TileStore.create(tmp_path / "s", {"kind": "channels"}, {}, [(0, 1)])
    with pytest.raises(SiteTwinError, match="not of paths"):
        load_paths(tmp_path / "s")


def test_widening_only_adds_room():
    paths = random_paths(np.random.default_rng(3), 9, depth=1)
    wide = widen(paths, 3)
    assert wide.max_depth == 3
    np.testing.assert_array_equal(wide.depth, paths.depth)
    assert np.isnan(wide.vertices[:, 1:]).all()
    assert (wide.facets[:, 1:] == -1).all()
    assert widen(paths, 1) is paths


def test_attributes_that_differ_between_tiles_stay_visible():
    assert merge_attributes([{"a": 1, "b": 2}, {"a": 1, "b": 3}]) == {"a": 1, "b": [2, 3]}


@pytest.fixture(scope="module")
def street():
    """Two blocks on the ground, users between and behind them."""
    site = quad_site([ground(60.0), *box_quads((-20, -20, 0), (-5, 20, 15)), *box_quads((8, -15, 0), (20, 25, 12))])
    rng = np.random.default_rng(4)
    users = np.column_stack([rng.uniform(-4, 7, 90), rng.uniform(-30, 30, 90), np.full(90, 1.5)])
    return site, np.array([1.0, -28.0, 10.0]), users


SETTINGS = TraceSettings(max_depth=2, rays_per_lattice=20_000)


def test_tiles_do_not_change_the_paths(street, tmp_path):
    site, transmitter, users = street
    told = []
    TraceJob(site, transmitter, users, SETTINGS, 40).run(tmp_path / "p", progress=lambda *news: told.append(news))
    loaded = load_paths(tmp_path / "p")
    chains = dense.discover(site, transmitter, users, SETTINGS)
    whole = dense.solve(site, chains, users, SETTINGS)
    assert whole.num_paths > 200
    assert_same(loaded, whole)
    assert loaded.attributes == json.loads(json.dumps(whole.attributes))
    assert told[-1] == ("solve", 1.0)
    assert {stage for stage, _ in told} == {"discover", "solve"}
    summary = summarise(tmp_path / "p")
    assert (summary.users, summary.paths) == (90, whole.num_paths)
    assert summary.users_without_path == np.count_nonzero(whole.counts == 0)
    line_of_sight = np.unique(whole.user_of_path[whole.depth == 0])
    assert summary.line_of_sight_share == pytest.approx(len(line_of_sight) / 90)
    assert summary.unseen_share == chains.completeness.unseen_share


def test_an_interrupted_run_resumes_without_discovering_again(street, tmp_path, monkeypatch):
    site, transmitter, users = street
    TraceJob(site, transmitter, users, SETTINGS, 40).run(tmp_path / "whole")
    solve, calls = dense.solve, []

    def stop_at_the_second(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return solve(*arguments)

    monkeypatch.setattr(dense, "solve", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        TraceJob(site, transmitter, users, SETTINGS, 40).run(tmp_path / "p")
    with pytest.raises(SiteTwinError, match="not written yet"):
        load_paths(tmp_path / "p")
    monkeypatch.setattr(dense, "discover", None)  # not callable: discovering again would fail
    with pytest.raises(SiteTwinError, match="resume"):
        TraceJob(site, transmitter, users, SETTINGS, 40).run(tmp_path / "p", resume=False)
    monkeypatch.setattr(dense, "solve", solve)
    TraceJob(site, transmitter, users, SETTINGS, 40).run(tmp_path / "p")
    assert files_of(tmp_path / "p") == files_of(tmp_path / "whole")


@pytest.mark.parametrize("damage", [lambda f: shutil.rmtree(f), lambda f: (f / "facets/zarr.json").write_bytes(b"")])
def test_a_lost_chain_list_is_found_again_though_all_tiles_are_there(street, tmp_path, damage):
    site, transmitter, users = street
    TraceJob(site, transmitter, users, SETTINGS, 40).run(tmp_path / "p")
    before = files_of(tmp_path / "p")
    damage(tmp_path / "p" / "chains")
    TraceJob(site, transmitter, users, SETTINGS, 40).run(tmp_path / "p")
    assert files_of(tmp_path / "p") == before


def test_another_trace_in_the_same_folder_is_refused_by_name(street, tmp_path):
    site, transmitter, users = street
    TraceJob(site, transmitter, users[:3], SETTINGS).run(tmp_path / "p")
    deeper = TraceSettings(max_depth=3, rays_per_lattice=20_000)
    with pytest.raises(SiteTwinError, match=r"settings\.max_depth \(2 there, 3 asked\)"):
        TraceJob(site, transmitter, users[:3], deeper).run(tmp_path / "p")
    with pytest.raises(SiteTwinError, match=r"users\.sha256"):
        TraceJob(site, transmitter, users[3:6], SETTINGS).run(tmp_path / "p")


@pytest.mark.parametrize(
    ("transmitter", "users", "said"),
    [
        ([0, 0, np.nan], np.zeros((2, 3)), "transmitter"),
        ([0, 0], np.zeros((2, 3)), "transmitter"),
        ([0, 0, 1], np.zeros((0, 3)), "no user to trace to"),
        ([0, 0, 1], np.zeros((2, 2)), "shape"),
        ([0, 0, 1], [[0, 0, 0], [0, 0, 1]], "user 1 stands where the transmitter is"),
        ([0, 0, 1], [[0, 0, 0], [0, np.inf, 0]], "1 user positions .* number 1"),
    ],
)
def test_bad_positions_leave_no_folder(street, tmp_path, transmitter, users, said):
    with pytest.raises(SiteTwinError, match=said):
        TraceJob(street[0], np.array(transmitter), np.array(users), SETTINGS).run(tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_a_store_begun_by_other_code_is_not_gone_on_with_but_read(street, tmp_path, monkeypatch):
    site, transmitter, users = street
    job = TraceJob(site, transmitter, users[:3], SETTINGS)
    job.run(tmp_path / "p")
    before = files_of(tmp_path / "p")
    this = job.configuration()["code"]
    assert this == code_version("backend.py", "compiled.py", "site", "rays", "store")
    monkeypatch.setattr("sitetwin.rays.jobs.io.code_version", lambda *rooms: "0.9.0+0123456789ab")
    with pytest.raises(SiteTwinError, match=rf"other code \({re.escape(this)}\) than this \(0\.9\.0\+0123456789ab\).*"):
        job.run(tmp_path / "p")
    with pytest.raises(SiteTwinError, match=r"begin again in another folder, or go on with the code that began it$"):
        job.run(tmp_path / "p")
    assert load_paths(tmp_path / "p").num_users == 3
    assert files_of(tmp_path / "p") == before


def test_paths_in_memory_are_not_added_to_a_store_of_other_code(street, tmp_path, monkeypatch):
    site, transmitter, users = street
    paths = trace(site, transmitter, users[:3], SETTINGS)
    monkeypatch.setattr("sitetwin.rays.jobs.io.code_version", lambda *rooms: "0.0.1+0123456789ab")
    save_paths(paths, tmp_path / "p")
    monkeypatch.undo()
    with pytest.raises(SiteTwinError, match=r"begun by other code \(0\.0\.1\+0123456789ab\)"):
        save_paths(paths, tmp_path / "p")
    assert_same(load_paths(tmp_path / "p"), paths)


def test_a_transmitter_inside_a_building_is_refused_before_any_work(street, tmp_path, monkeypatch):
    site, _, users = street
    inside = np.array([-10.0, 0.0, 5.0])
    with monkeypatch.context() as patched:
        patched.setattr(dense, "discover", None)  # not callable
        with pytest.raises(SiteTwinError, match=r"\(-10, 0, 5\) m is inside a building; .* allow_indoors=True"):
            trace(site, inside, users[:3], SETTINGS)
        with pytest.raises(SiteTwinError, match=r"\(-10, 0, 5\) m is inside a building; .* allow_indoors=True"):
            TraceJob(site, [[1.0, -28.0, 10.0], inside], users[:3], SETTINGS).run(tmp_path / "p")
    assert not (tmp_path / "p").exists()
    assert trace(site, inside, users[:3], SETTINGS, allow_indoors=True).num_paths == 0
    TraceJob(site, inside, users[:3], SETTINGS, allow_indoors=True).run(tmp_path / "p")
    assert load_paths(tmp_path / "p").num_paths == 0


def test_whole_numbers_ask_for_the_same_trace_as_their_floats(street):
    site, transmitter, users = street
    one, other = TraceSettings(diffuse_tile_m=5.0), TraceSettings(diffuse_tile_m=5)
    assert trace_configuration(site, transmitter, users, one, 40) == trace_configuration(
        site, transmitter, users, other, 40
    )


def test_paths_of_no_user_are_not_saved(tmp_path):
    site = quad_site([ground(20.0)])
    paths = trace(site, np.array([0.0, 0.0, 5.0]), np.array([[3.0, 0.0, 1.5]]), TraceSettings(max_depth=0))
    with pytest.raises(SiteTwinError, match=r"no user.*select at least one"):
        paths.select_users(np.zeros(0, dtype=np.int64)).save(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    without = paths.take(np.zeros(0, dtype=np.int64))
    assert Paths.load(without.save(tmp_path / "users")).num_users == 1
