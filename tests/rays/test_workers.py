"""Tiles on worker processes: the same bytes however many, whatever dies."""

import os
import socket
import ssl
import time
from contextlib import suppress
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest
import xarray as xr

from sitetwin.errors import SiteTwinError
from sitetwin.rays import TraceJob, TraceSettings, load_paths
from sitetwin.rays.jobs import workers
from sitetwin.rays.jobs.workers import WorkerPool
from sitetwin.store import TileStore
from tests.kill_run import files_of, kill_often
from tests.rays.shapes import box_quads, ground, quad_site

SETTINGS = TraceSettings(max_depth=2, rays_per_lattice=20_000)
PLACES = [np.array([1.0, -28.0, 10.0]), np.array([0.0, 28.0, 12.0])]


@pytest.fixture(scope="module")
def street():
    """Two blocks on the ground, users between and behind them."""
    site = quad_site([ground(60.0), *box_quads((-20, -20, 0), (-5, 20, 15)), *box_quads((8, -15, 0), (20, 25, 12))])
    rng = np.random.default_rng(4)
    users = np.column_stack([rng.uniform(-4, 7, 90), rng.uniform(-30, 30, 90), np.full(90, 1.5)])
    return site, users


@pytest.fixture(scope="module")
def calm(street, tmp_path_factory):
    """What one process writes, without haste."""
    folder = tmp_path_factory.mktemp("calm") / "p"
    TraceJob(street[0], PLACES, street[1], SETTINGS, 20).run(folder)
    return folder


def test_two_workers_write_the_bytes_of_one(street, calm, tmp_path):
    told = []
    TraceJob(street[0], PLACES, street[1], SETTINGS, 20).run(
        tmp_path / "p", progress=lambda *news: told.append(news), workers=2
    )
    assert files_of(tmp_path / "p") == files_of(calm)
    shares = [share for stage, share in told if stage == "solve"]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_the_order_of_the_tiles_changes_no_byte(street, calm, tmp_path, monkeypatch):
    forward = TileStore.missing_tiles
    monkeypatch.setattr(TileStore, "missing_tiles", lambda store: forward(store)[::-1])
    TraceJob(street[0], PLACES, street[1], SETTINGS, 20).run(tmp_path / "p")
    assert files_of(tmp_path / "p") == files_of(calm)


def test_each_transmitter_has_a_store_and_all_are_one_tree(street, calm):
    alone = load_paths(calm / "tx001")
    np.testing.assert_array_equal(alone.transmitter, PLACES[1])
    assert alone.num_paths > 100
    with xr.open_datatree(calm, engine="zarr") as tree:
        length = tree["tx001/tiles/000000"]["length"]
        np.testing.assert_array_equal(length.values, alone.length[: length.size])
    assert TileStore.open(calm / "tx000").verify() == []


def test_a_folder_of_other_things_is_refused(street, calm, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SiteTwinError, match=r"mine\.txt"):
        TraceJob(street[0], PLACES, street[1], SETTINGS).run(tmp_path)
    with pytest.raises(SiteTwinError, match="not empty"):
        TraceJob(street[0], PLACES[0], street[1], SETTINGS).run(calm)
    with pytest.raises(SiteTwinError, match="no transmitter"):
        TraceJob(street[0], [], street[1], SETTINGS).run(tmp_path / "p")


def test_the_workers_of_a_scheduler(street, calm, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=True, dashboard_address="127.0.0.1:0", host="127.0.0.1"
    ) as cluster:
        TraceJob(street[0], PLACES[0], street[1], SETTINGS, 20).run(tmp_path / "p", scheduler=cluster.scheduler_address)
    assert files_of(tmp_path / "p") == files_of(calm / "tx000")


@pytest.mark.slow
def test_a_tile_that_kills_its_workers_is_given_up():
    with WorkerPool(1, 1) as pool, pytest.raises(SiteTwinError, match="a tile was given up: 4 workers died"):
        list(pool.run(_die, iter([("a", ())])))


def _die(state: int) -> None:
    os._exit(state)


def test_nobody_else_speaks_to_the_scheduler_of_this_machine():
    """Whoever does could run code: there is a certificate, and neither a page nor a metric is served."""
    with WorkerPool("state", 1) as pool:
        server = pool._client.cluster.scheduler
        assert server.address.startswith("tls://127.0.0.1:")
        stranger = ssl.create_default_context()
        stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
        place = ("127.0.0.1", server.port)
        with (
            socket.create_connection(place, timeout=10) as plain,
            stranger.wrap_socket(plain) as spoken,
            pytest.raises(OSError, match="certificate required"),
        ):
            spoken.recv(1)
        with socket.create_connection(place, timeout=10) as plain, suppress(ConnectionResetError):
            plain.sendall(bytes(64))
            assert plain.recv(64)[:1] in (b"", b"\x15")  # nothing, or the alert of a failed handshake
        page = f"http://127.0.0.1:{server.http_server.port}"
        for path in ("/", "/status", "/health", "/metrics", "/info/main/workers.html", "/json/index.html"):
            with pytest.raises(HTTPError, match="404"):
                urlopen(page + path, timeout=5)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "no address at all", "tcp://", "bogus://x"])
def test_a_scheduler_that_does_not_answer(street, tmp_path, monkeypatch, address):
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 0.5)
    with pytest.raises(SiteTwinError, match="no Dask scheduler answers at"):
        TraceJob(street[0], PLACES[0], street[1], SETTINGS).run(tmp_path / "p", scheduler=address)


def test_an_event_loop_that_comes_up_late_is_tried_again(monkeypatch):
    tried = []

    def late(address, **_):
        tried.append(address)
        assert len(tried) > 2
        return "client"

    monkeypatch.setattr("distributed.Client", late)
    assert workers._client("tcp://somewhere:1") == "client"
    tried.clear()
    monkeypatch.setattr("distributed.Client", lambda address, **_: tried.append(address) or exec("assert False"))
    with pytest.raises(SiteTwinError, match="event loop does not start"):
        workers._client("tcp://somewhere:1")


def test_no_workers_at_all(street, tmp_path):
    with pytest.raises(SiteTwinError, match="0 workers"):
        TraceJob(street[0], PLACES[0], street[1], SETTINGS).run(tmp_path / "p", workers=0)
    assert not (tmp_path / "p").exists()


def test_the_state_of_workers_is_small_to_send(street):
    """A prepared solver travels as site and settings; a worker loads neither torch nor the channel layer for it."""
    import pickle
    import subprocess
    import sys

    from sitetwin.rays.jobs.run import TileSolver

    solver = TileSolver(street[0], SETTINGS)
    size = len(pickle.dumps(solver))
    _ = solver.caster
    assert len(pickle.dumps(solver)) == size
    program = "import sys; import sitetwin.rays.jobs.run; sys.exit('torch' in sys.modules)"
    begun = time.monotonic()
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    assert time.monotonic() - begun < 60


def test_killed_runs_end_in_the_same_bytes(tmp_path):
    """One kill of each kind; `python tests/kill_run.py` does a hundred."""
    counts = kill_often(tmp_path, 3, seed=1)
    assert counts["finished"] >= 1


def test_a_second_tile_compiles_nothing(street):
    """Kernels know no sizes, positions or chains: each worker compiles them in its first tile."""
    import drjit as dr

    from sitetwin.rays import discover, solve
    from sitetwin.rays.caster import RayCaster

    site, users = street
    caster = RayCaster(site)
    chains = discover(site, PLACES[0], users, SETTINGS, caster=caster)
    solve(site, chains, users[:40], SETTINGS, caster=caster)
    with dr.scoped_set_flag(dr.JitFlag.KernelHistory, True):
        dr.kernel_history()
        solve(site, chains, users[40:], SETTINGS, caster=caster)
        launched = [kernel for kernel in dr.kernel_history() if kernel["type"] == dr.KernelType.JIT]
    assert launched
    assert all(kernel["cache_hit"] for kernel in launched)
