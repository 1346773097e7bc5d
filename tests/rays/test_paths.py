"""Rows, users, labels and words of paths."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.rays.layout import LAYOUT
from sitetwin.rays.paths import SPEED_OF_LIGHT, Paths
from tests.rays.test_io import assert_same, random_paths


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_rows_are_taken_by_mask_and_by_index_alike(seed: int, users: int) -> None:
    rng = np.random.default_rng(seed)
    paths = random_paths(rng, users)
    mask = rng.random(paths.num_paths) < 0.5
    taken = paths.take(mask)
    assert_same(paths.take(rng.permutation(np.flatnonzero(mask))), taken)
    assert len(taken) == mask.sum()
    np.testing.assert_array_equal(taken.user_of_path, paths.user_of_path[mask])
    np.testing.assert_array_equal(taken.length, paths.length[mask])
    assert taken.num_users == users
    crossings = [paths.crossing_volume[paths.crossing_offsets[p] : paths.crossing_offsets[p + 1]] for p in
                 np.flatnonzero(mask)]  # fmt: skip
    np.testing.assert_array_equal(taken.crossing_volume, np.concatenate([np.zeros(0, np.int32), *crossings]))


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_users_are_selected_by_mask_and_by_index_alike(seed: int, users: int) -> None:
    rng = np.random.default_rng(seed)
    paths = random_paths(rng, users)
    mask = rng.random(users) < 0.5
    assert_same(paths.select_users(mask), paths.select_users(np.flatnonzero(mask)))
    order = rng.permutation(users)
    assert_same(paths.select_users(order).select_users(np.argsort(order)), paths)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (np.ones(3, dtype=bool), "a mask of 3 entries cannot select among 10 paths"),
        (np.array([0.0, 1.0]), "not by float64 of shape"),
        (np.array([[0, 1]]), "whole numbers or a mask of one dimension"),
        (np.array([0, 10]), "no number 10 among 10 paths; they count from 0 to 9"),
        (np.array([-1]), "no number -1 among 10 paths"),
        (np.array([2, 1, 2]), "a path is taken twice"),
    ],
)
def test_what_is_no_selection_is_refused(rows: np.ndarray, said: str) -> None:
    paths = ten_paths()
    with pytest.raises(SiteTwinError, match=said):
        paths.take(rows)
    if "twice" not in said:
        with pytest.raises(SiteTwinError, match=said.replace("paths", "users")):
            replace_users(paths, 10).select_users(rows)


def ten_paths() -> Paths:
    paths = random_paths(np.random.default_rng(3), 12)
    assert paths.num_paths >= 10
    return paths.take(np.arange(10))


def replace_users(paths: Paths, users: int) -> Paths:
    return paths.select_users(np.arange(users))


def test_a_labelled_data_set_holds_all_that_a_store_holds(tmp_path) -> None:
    paths = replace(ten_paths(), attributes={"engine": "none", "settings": {"max_depth": 2}})
    data = paths.to_xarray()
    for name, (dims, facts) in LAYOUT.items():
        assert data[name].dims == dims
        assert data[name].attrs == facts
        np.testing.assert_array_equal(data[name].values, getattr(paths, name))
    np.testing.assert_array_equal(data["delay"], paths.length / SPEED_OF_LIGHT)
    assert data["length"].groupby(data["user_of_path"]).max().size == np.count_nonzero(paths.counts)
    assert json.loads(data.attrs["settings"]) == {"max_depth": 2}
    assert data["vertices"].sel(xyz="z").shape == (10, 2)


def test_paths_are_saved_and_loaded(tmp_path) -> None:
    paths = ten_paths()
    folder = paths.save(tmp_path / "p", tile_users=5)
    assert_same(Paths.load(folder), paths)
    assert_same(Paths.load(folder, slice(2, 7)), paths.select_users(np.arange(2, 7)))


def test_paths_say_what_they_are_in_a_few_lines() -> None:
    found = {"completeness": {"unseen_share": 1e-4}, "engine": "by <hand>"}
    paths = replace(ten_paths(), attributes=found)
    said = repr(paths)
    assert len(said.splitlines()) < 20
    for words in ("12, ", "10, at most", "reflection", "line of sight", "engine: by <hand>", "0.0001 of the paths"):
        assert words in said
    assert "by &lt;hand&gt;" in paths._repr_html_()
    nothing = paths.take(np.zeros(10, dtype=bool))
    assert len(nothing) == 0
    assert nothing
    assert "interactions: none" in repr(nothing)
