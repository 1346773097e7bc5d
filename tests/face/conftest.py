"""One small street with traced paths for all tests of the face."""

import numpy as np
import pytest

import sitetwin as st

CARRIER = 3.5e9


@pytest.fixture(scope="session")
def street():
    """Site, users and paths of a small canyon."""
    site = st.open_site("simple_street_canyon")
    users = st.grid(site, area=(-40, -12, 40, 12), spacing=4.0)
    paths = st.trace(site, tx=(-33, 0, 32), users=users, max_depth=2)
    return site, users, paths


@pytest.fixture(scope="session")
def store(street, tmp_path_factory):
    """The same paths in a store of three tiles."""
    site, users, _ = street
    folder = tmp_path_factory.mktemp("face") / "paths"
    st.TraceJob(site, (-33, 0, 32), users, st.TraceSettings(max_depth=2), len(users) // 3 + 1).run(folder)
    return folder


@pytest.fixture
def rng():
    return np.random.default_rng(0)
