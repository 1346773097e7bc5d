"""Forged arrays of paths are refused before any kernel follows their offsets."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.rays.jobs.io import arrays_to_paths, load_paths, paths_to_arrays, save_paths
from sitetwin.rays.layout import LAYOUT
from sitetwin.rays.soundness import check_structure
from sitetwin.store import Array, Group, TileStore
from tests.rays.test_io import assert_same, random_paths


def forged(paths, name, data):
    arrays = paths_to_arrays(paths)
    return Group({**arrays, name: Array(arrays[name].dims, data, {})})


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(["offsets", "crossing_offsets"]), data=st.data())
def test_forged_offsets_never_pass(seed, name, data):
    paths = random_paths(np.random.default_rng(seed), 5)
    offsets = getattr(paths, name).copy()
    place = data.draw(st.integers(0, len(offsets) - 1))
    offsets[place] = data.draw(st.integers(-(2**62), 2**62))
    sound = offsets[0] == 0 and offsets[-1] == getattr(paths, name)[-1] and (np.diff(offsets) >= 0).all()
    if sound:
        arrays_to_paths(forged(paths, name, offsets), paths.transmitter, {})
    else:
        with pytest.raises(SiteTwinError, match=name):
            arrays_to_paths(forged(paths, name, offsets), paths.transmitter, {})


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(sorted(LAYOUT)), longer=st.booleans())
def test_arrays_of_other_lengths_never_pass(seed, name, longer):
    paths = random_paths(np.random.default_rng(seed), 5)
    array = getattr(paths, name)
    other = np.concatenate([array, array[-1:]]) if longer else array[:-1]
    if len(other) == len(array):
        return
    arrays = SimpleNamespace(**{**{key: getattr(paths, key) for key in LAYOUT}, name: other})
    with pytest.raises(SiteTwinError, match=r"do not fit together|rise from 0"):
        check_structure(arrays)  # not `Paths`, whose annotations refuse the arrays first in these tests


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("users", np.nan, "not finite"),
        ("length", np.inf, "not positive"),
        ("length", -3.0, "not positive"),
        ("departure", 0.0, "departures"),
        ("arrival", np.nan, "arrivals"),
        ("vertices", np.nan, "without a place"),
        ("facets", -7, "below -1"),
        ("crossing_volume", -1, "negative volume"),
        ("crossing_entry", 50.0, "end before"),
        ("crossing_exit", np.nan, "end before"),
    ],
)
def test_impossible_numbers_in_a_store_are_said(tmp_path, name, value, said):
    paths = random_paths(np.random.default_rng(7), 20)
    save_paths(paths, tmp_path / "s")
    store = TileStore.open(tmp_path / "s")
    arrays = paths_to_arrays(paths)
    arrays[name].data[...] = value
    store.write_tile(0, arrays)  # a forger knows how to compute checksums
    with pytest.raises(SiteTwinError, match=said):
        load_paths(tmp_path / "s")


def test_a_tile_of_fewer_users_than_the_manifest_says_is_damaged(tmp_path):
    paths = random_paths(np.random.default_rng(7), 20)
    save_paths(paths, tmp_path / "s")
    assert_same(load_paths(tmp_path / "s"), paths)
    TileStore.open(tmp_path / "s").write_tile(0, paths_to_arrays(paths.select_users(np.arange(19))))
    with pytest.raises(SiteTwinError, match="of 19 users, and the manifest says 20"):
        load_paths(tmp_path / "s")


def test_paths_in_memory_must_fit_together():
    paths = random_paths(np.random.default_rng(3), 4)
    with pytest.raises(SiteTwinError, match="offsets"):
        replace(paths, offsets=paths.offsets + 1)
