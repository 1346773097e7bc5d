"""The data set of torch: each user once a pass, whoever loads."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

import sitetwin as st
from tests.face.conftest import CARRIER

BAND = {"carrier_hz": CARRIER, "subcarriers": 8}


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores: slow, and right
@pytest.mark.parametrize("workers", [0, 1, 2, 4])
@pytest.mark.parametrize("kept", [False, True])
def test_each_user_once_a_pass_and_another_order_in_the_next(street, workers, kept):
    if kept and not workers:
        pytest.skip("workers are kept where there are some")
    site, users, paths = street
    data = st.torch_dataset(paths, site, seed=3, **BAND)
    assert isinstance(data, IterableDataset)
    loader = DataLoader(data, batch_size=16, num_workers=workers, persistent_workers=kept)
    passes = [torch.cat([index for index, _ in loader]).tolist() for _ in range(3)]
    for order in passes:
        assert sorted(order) == list(range(len(users)))
    assert len({tuple(order) for order in passes}) == 3


def test_ranks_share_the_users(street, monkeypatch):
    from sitetwin.channel import shards

    site, users, paths = street
    seen = []
    for rank in range(2):
        monkeypatch.setattr(shards, "rank_and_ranks", lambda rank=rank: (rank, 2))
        seen.append([user for user, _ in st.torch_dataset(paths, site, seed=5, **BAND)])
    assert sorted(seen[0] + seen[1]) == list(range(len(users)))
    assert abs(len(seen[0]) - len(seen[1])) <= 1


def test_channels_are_those_of_the_labelled_array(street, store):
    site, _, paths = street
    h = st.channels(paths, site, **BAND)
    for source in (paths, store):
        for user, channel in st.torch_dataset(source, site, seed=1, **BAND):
            np.testing.assert_allclose(channel.numpy(), h.values[user], rtol=1e-5, atol=1e-12)


def test_the_same_seed_is_the_same_order(street, store):
    site, _, _ = street
    first, second = (st.torch_dataset(store, site, seed=7, **BAND) for _ in range(2))
    assert [user for user, _ in first] == [user for user, _ in second]
    plain = [user for user, _ in st.torch_dataset(store, site, **BAND)]
    assert plain == sorted(plain)


def test_impossible_data_sets_are_refused(street):
    site, _, paths = street
    with pytest.raises(st.SiteTwinError, match="not of users"):
        st.torch_dataset(paths, site, carrier_hz=CARRIER, quantity="gains")
    with pytest.raises(st.SiteTwinError, match="0 or more"):
        st.torch_dataset(paths, site, seed=-1, **BAND)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_each_user_once_though_passes_were_left_early_or_had_other_workers(street):
    site, users, paths = street
    data = st.torch_dataset(paths, site, seed=3, **BAND)
    next(iter(data))
    for workers in (2, 3, 0, 2):
        next(iter(DataLoader(data, batch_size=4, num_workers=workers)))
        seen = [int(user) for user, _ in DataLoader(data, batch_size=None, num_workers=workers)]
        assert sorted(seen) == list(range(len(users)))


def test_orientations_of_other_users_are_refused(street):
    site, users, paths = street
    for count in (len(users) - 1, len(users) + 1):
        radio = st.Radio("single", torch.zeros(count, 3))
        for wrong in (
            lambda radio=radio: st.torch_dataset(paths, site, user_radio=radio, **BAND),
            lambda radio=radio: st.channels(paths, site, user_radio=radio, **BAND),
            lambda radio=radio: st.channels(paths, site, user_radio=radio, lazy=True, **BAND),
            lambda radio=radio: st.gains(paths, site, user_radio=radio, carrier_hz=CARRIER),
        ):
            with pytest.raises(st.SiteTwinError, match=f"{count} orientations were given for {len(users)} users"):
                wrong()
