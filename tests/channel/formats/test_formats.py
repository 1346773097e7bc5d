"""What is written for other programs, read back, is the channel of this package."""

import json
import zipfile

import numpy as np
import pytest
import scipy.io
import torch

from sitetwin.backend import mitsuba
from sitetwin.channel import AntennaArray, ChannelRequest, OfdmGrid, Radio, frequency_response, path_gains
from sitetwin.channel.formats import (
    CirGenerator,
    GainSource,
    arrays,
    deepmimo,
    write_channel_arrays,
    write_deepmimo,
    write_parquet,
    write_path_arrays,
    write_sionna_cir,
)
from sitetwin.channel.formats.source import strongest
from sitetwin.channel.io import write_channels
from sitetwin.errors import SiteTwinError
from sitetwin.rays import TraceJob, TraceSettings, load_paths
from sitetwin.rays.jobs.io import LAYOUT
from sitetwin.store.outputs import Spool, new_folder
from tests.rays.shapes import ground, quad_site

CARRIER = 3.5e9
GRID = OfdmGrid(CARRIER, 64, 120e3)


@pytest.fixture(scope="module")
def site():
    walls = [
        [(-40, 30, 0), (40, 30, 0), (40, 30, 25), (-40, 30, 25)],
        [(-40, -25, 0), (-40, -25, 25), (40, -25, 25), (40, -25, 0)],
        [(20, -4, 0), (20, 4, 0), (20, 4, 18), (20, -4, 18)],
    ]
    return quad_site([ground(60.0), *walls])


@pytest.fixture(scope="module")
def store(site, tmp_path_factory):
    x, y = np.meshgrid(np.arange(-30.0, 36, 11), np.arange(-20.0, 26, 11))
    users = np.stack([x.ravel(), y.ravel(), np.full(x.size, 1.5)], axis=1)
    users[7] = [30.0, 50.0, 1.5]  # behind a wall: fewer paths or none
    folder = tmp_path_factory.mktemp("paths") / "p"
    TraceJob(site, np.array([-5.0, 1.0, 15.0]), users, TraceSettings(max_depth=3), tile_users=9).run(folder)
    return folder


def request_of(tx=None, rx=None, **more):
    return ChannelRequest(OfdmGrid(CARRIER, 1, 1.0), "gains", tx=tx or Radio(), rx=rx or Radio(), **more)


@pytest.fixture
def source(store, site):
    return GainSource.open(store, site, request_of())


def response(store, site, tx=None, rx=None, grid=GRID):
    """(U, R, T, K) in double precision."""
    paths = load_paths(store)
    gains = path_gains(paths, site, CARRIER, tx, rx, dtype=torch.complex128)
    return frequency_response(paths, gains, grid, tx, rx).numpy()


def sionna_response(a, tau, frequencies):
    """H(f) = sum_p a_p e^{-j 2 pi f tau_p}, as Sionna documents it: (..., num_time_steps, fft_size)."""
    delays = tau[..., :, None, :, None, :]  # room for the antennas of both sides
    tones = np.exp(-2j * np.pi * frequencies * delays[..., None])
    return (a[..., None] * tones[..., None, :]).sum(axis=-3)


def test_sionna_responses_are_ours(store, site, tmp_path):
    tx, rx = Radio(AntennaArray.upa(2, 4, polarisation="cross"), (0.4, 0.1, 0.0)), Radio(AntennaArray.ula(2))
    source = GainSource.open(store, site, request_of(tx, rx))
    write_sionna_cir(source, tmp_path / "c.npz")
    generator = CirGenerator(tmp_path / "c.npz")
    assert generator.sizes | {"num_paths": 0} == {
        "num_rx": 1, "num_rx_ant": 2, "num_tx": 1, "num_tx_ant": 16, "num_paths": 0, "num_time_steps": 1,
    }  # fmt: skip
    examples = list(generator())
    assert len(examples) == len(generator) == source.num_users
    a = np.stack([example[0].numpy() for example in examples]).astype(np.complex128)
    tau = np.stack([example[1].numpy() for example in examples]).astype(np.float64)
    assert a.shape == (source.num_users, *generator.sizes.values())
    assert examples[0][0].dtype == torch.complex64
    assert examples[0][1].dtype == torch.float32
    got = sionna_response(a, tau, GRID.frequencies_hz.numpy() - CARRIER)
    want = response(store, site, tx, rx)
    np.testing.assert_allclose(got[:, 0, :, 0, :, 0], want, atol=2e-5 * np.abs(want).max())
    assert generator.attributes["carrier_phase"].startswith("included")
    first, _ = next(CirGenerator(tmp_path / "c.npz", users=np.array([5]))())
    np.testing.assert_array_equal(first.numpy(), examples[5][0].numpy())


def test_sionna_itself_reads_its_responses(store, site, tmp_path):
    """Its data set and its own sum over paths give our frequency response, user by user."""
    mitsuba()  # before Sionna, which imports Dr.Jit: it looks for LLVM once
    phy = pytest.importorskip("sionna.phy.channel", reason="Sionna's physical layer (the wheel 'sionna') is missing")
    tx, rx = Radio(AntennaArray.upa(2, 4, polarisation="cross"), (0.4, 0.1, 0.0)), Radio(AntennaArray.ula(2))
    write_sionna_cir(GainSource.open(store, site, request_of(tx, rx)), tmp_path / "c.npz")
    want = response(store, site, tx, rx)
    offsets = (GRID.frequencies_hz - CARRIER).float()
    for user in (0, 7, 20):
        generator = CirGenerator(tmp_path / "c.npz", users=np.array([user]))
        model = phy.CIRDataset(generator, batch_size=3, **generator.sizes, device="cpu")
        a, tau = model()
        got = phy.cir_to_ofdm_channel(offsets, a, tau, normalize=False).numpy()  # 3 times the same user
        for example in got:
            np.testing.assert_allclose(example[0, :, 0, :, 0], want[user], atol=1e-4 * np.abs(want).max())


def test_sionna_responses_may_keep_the_strongest_paths_only(source, store, tmp_path):
    write_sionna_cir(source, tmp_path / "c.npz", max_paths=2)
    generator = CirGenerator(tmp_path / "c.npz")
    assert generator.sizes["num_paths"] == 2
    paths = load_paths(store)
    power = np.abs(path_gains(paths, source.site, CARRIER).numpy()[:, 0, 0]) ** 2
    for user, (a, _) in enumerate(generator()):
        own = np.sort(power[paths.offsets[user] : paths.offsets[user + 1]])[::-1][:2]
        np.testing.assert_allclose(np.abs(a.numpy().ravel()[: len(own)]) ** 2, own, rtol=1e-5)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + b"\0" * 40])
def test_files_that_are_no_impulse_responses(tmp_path, content):
    (tmp_path / "c.npz").write_bytes(content)
    with pytest.raises(SiteTwinError, match="export"):
        CirGenerator(tmp_path / "c.npz")


@pytest.mark.parametrize(
    ("name", "spoil", "says"),
    [
        ("a", lambda a: a * np.inf, "not finite"),
        ("tau", lambda tau: tau * np.nan, "delays"),
        ("tau", lambda tau: tau - 1, "delays"),
        ("tau", lambda tau: tau + 1e9, "delays"),
        ("a", lambda a: a.astype(">c8"), "complex64"),
        ("a", lambda a: a.astype(np.complex128), "complex64"),
        ("tau", lambda tau: tau.astype(np.int64), "float32"),
    ],
)
def test_impulse_responses_that_cannot_be_are_refused(tmp_path, name, spoil, says):
    arrays = {"a": np.ones((2, 1, 1, 1, 1, 3, 1), np.complex64), "tau": np.zeros((2, 1, 1, 3), np.float32)}
    np.savez(tmp_path / "c.npz", attributes=np.array("{}"), **arrays)
    assert len(CirGenerator(tmp_path / "c.npz")) == 2
    with np.errstate(all="ignore"):
        np.savez(tmp_path / "c.npz", attributes=np.array("{}"), **{**arrays, name: spoil(arrays[name])})
    with pytest.raises(SiteTwinError, match=says):
        CirGenerator(tmp_path / "c.npz")


def test_pickles_are_never_read(tmp_path):
    np.savez(tmp_path / "c.npz", a=np.array([{}], dtype=object), tau=np.zeros(1), attributes=np.array("{}"))
    with pytest.raises(SiteTwinError, match="export"):
        CirGenerator(tmp_path / "c.npz")


@pytest.mark.parametrize("ending", ["npz", "mat"])
def test_path_arrays_come_back(source, store, tmp_path, ending):
    out = write_path_arrays(source, tmp_path / f"p.{ending}")
    read = dict(np.load(out, allow_pickle=False)) if ending == "npz" else scipy.io.loadmat(out)
    paths = load_paths(store)
    gains = path_gains(paths, source.site, CARRIER).numpy()
    for name in LAYOUT:
        want = getattr(paths, name)
        np.testing.assert_array_equal(np.asarray(read[name]).reshape(want.shape), want)
    np.testing.assert_allclose(np.asarray(read["gain"]).reshape(gains.shape), gains, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(read["delay"]).ravel(), paths.delay)
    text = read["attributes"]
    facts = json.loads(str(text if ending == "npz" else text[0]))
    assert facts["carrier_phase"].startswith("included")
    assert facts["carrier_hz"] == CARRIER
    assert facts["site_hash"] == source.site.hash
    assert facts["units"]["delay"] == "s"
    assert set(facts["axes"]) == {*LAYOUT, "delay", "gain"}


def test_the_same_content_gives_the_same_bytes(source, tmp_path):
    for ending in ("npz", "mat"):
        files = [write_path_arrays(source, tmp_path / f"{i}.{ending}").read_bytes() for i in range(2)]
        assert files[0] == files[1]
    with zipfile.ZipFile(tmp_path / "0.npz") as archive:
        assert archive.testzip() is None


@pytest.mark.parametrize("quantity", ["cfr", "gains"])
@pytest.mark.parametrize("ending", ["npz", "mat"])
def test_channels_come_back(store, site, tmp_path, quantity, ending):
    tx = Radio(AntennaArray.ula(4))
    request = ChannelRequest(GRID if quantity == "cfr" else OfdmGrid(CARRIER, 1, 1.0), quantity, tx=tx)
    data = write_channels(store, site, tmp_path / "d", request)
    out = write_channel_arrays(data, tmp_path / f"c.{ending}")
    read = dict(np.load(out, allow_pickle=False)) if ending == "npz" else scipy.io.loadmat(out)
    if quantity == "cfr":
        want = response(store, site, tx)
        np.testing.assert_allclose(read["cfr"], want, atol=1e-5 * np.abs(want).max())
        np.testing.assert_array_equal(np.ravel(read["axis_frequency"]), GRID.frequencies_hz.numpy())
    else:
        paths = load_paths(store)
        np.testing.assert_array_equal(np.ravel(read["offsets"]), paths.offsets)
        want = path_gains(paths, site, CARRIER, tx).numpy()
        np.testing.assert_allclose(np.asarray(read["gain"]).reshape(want.shape), want, rtol=1e-5)


def test_what_mat_cannot_hold_is_refused(source, tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "LARGEST_MAT_ARRAY", 1000)
    with pytest.raises(SiteTwinError, match="npz, or read the Zarr store"):
        write_path_arrays(source, tmp_path / "p.mat")
    assert list(tmp_path.iterdir()) == []


def test_parquet_comes_back(store, site, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    tx = Radio(AntennaArray.single(polarisation="VH"))
    source = GainSource.open(store, site, request_of(tx))
    write_parquet(source, tmp_path / "p.parquet")
    file = pq.ParquetFile(tmp_path / "p.parquet")
    rows = file.read().to_pylist()
    paths = load_paths(store)
    gains = path_gains(paths, site, CARRIER, tx).numpy()
    assert len(rows) == paths.num_paths
    assert file.num_row_groups == len(source.store.tiles)
    for number, row in enumerate(rows):
        depth = int(paths.depth[number])
        assert row["user"] == paths.user_of_path[number]
        assert row["path"] == number - paths.offsets[row["user"]]
        assert row["kinds"] == paths.kinds[number, :depth].tolist()
        assert row["facets"] == paths.facets[number, :depth].tolist()
        assert row["vertices"] == paths.vertices[number, :depth].tolist()
        assert row["user_position"] == paths.users[row["user"]].tolist()
        assert row["departure"] == paths.departure[number].tolist()
        assert row["arrival"] == paths.arrival[number].tolist()
        got = np.array(row["gain_real"]) + 1j * np.array(row["gain_imag"])
        np.testing.assert_allclose(got, gains[number].ravel(), atol=1e-5 * np.abs(gains[number]).max())
        assert 10 ** (row["power_db"] / 10) == pytest.approx((np.abs(gains[number]) ** 2).sum(), rel=1e-5)
    facts = json.loads(file.schema_arrow.metadata[b"attributes"])
    assert facts["users"] == source.num_users
    assert facts["carrier_phase"].startswith("included")


def test_parquet_without_its_package_names_the_extra(source, tmp_path, monkeypatch):
    monkeypatch.setattr("sitetwin.channel.formats.parquet.find_spec", lambda name: None)
    with pytest.raises(SiteTwinError, match=r"sitetwin\[formats\]"):
        write_parquet(source, tmp_path / "p.parquet")


def test_deepmimo_arrays_hold_the_paths(source, store, tmp_path):
    folder = write_deepmimo(source, tmp_path / "toy", max_paths=4)
    read = {
        file.name.split("_t000")[0]: np.load(file, allow_pickle=False)[file.name.split("_t000")[0]]
        for file in folder.glob("*_t000_tx000_r001.npz")
    }
    paths = load_paths(store)
    gains = path_gains(paths, source.site, CARRIER).numpy()[:, 0, 0]
    assert len(read) == 11
    for user in range(paths.num_users):
        own = np.arange(paths.offsets[user], paths.offsets[user + 1])
        kept = own[np.argsort(-np.abs(gains[own]), kind="stable")][:4]
        kept = np.array(sorted(kept, key=lambda p: (paths.depth[p] > 0, -np.abs(gains[p]))), dtype=int)
        count = len(kept)
        assert np.isnan(read["power"][user, count:]).all()
        complex_gain = 10 ** (read["power"][user, :count] / 20) * np.exp(1j * np.radians(read["phase"][user, :count]))
        np.testing.assert_allclose(complex_gain, gains[kept], rtol=2e-5)
        digits = [int("1" * depth or "0") for depth in paths.depth[kept]]
        assert read["inter"][user, :count].tolist() == digits
        for place, path in enumerate(kept):
            np.testing.assert_allclose(read["inter_pos"][user, place], paths.vertices[path], atol=1e-4)
            az, el = np.radians(read["aod_az"][user, place]), np.radians(read["aod_el"][user, place])
            looks = [np.sin(el) * np.cos(az), np.sin(el) * np.sin(az), np.cos(el)]
            np.testing.assert_allclose(looks, paths.departure[path], atol=1e-6)
    facts = json.loads((folder / "sitetwin.json").read_text())
    assert facts["phase"].startswith("includes the carrier's")


def test_interactions_as_digits():
    kinds = np.array([[0, 0, 0], [1, 0, 0], [1, 2, 1], [2, 0, 0]], np.uint8)
    codes = deepmimo._codes(kinds)
    assert codes.tolist() == [0, 1, 131, 3]
    assert deepmimo._most(np.append(codes, np.nan))[:5].tolist() == [3, 2, 0, 1, 0]
    with pytest.raises(SiteTwinError, match="kind 99 have no code"):
        deepmimo._codes(np.array([[99]], np.uint8))


@pytest.mark.parametrize(
    ("name", "radio", "most", "said"),
    [
        ("Toy", None, 25, "lowers names"),
        ("to:y", None, 25, "cannot be loaded"),
        ("toy", Radio(AntennaArray.ula(4)), 25, "single"),
        ("toy", Radio(AntennaArray.single(polarisation="VH")), 25, "single"),
        ("toy", None, 26, "1 to 25"),
    ],
)
def test_what_deepmimo_cannot_load_is_refused(store, site, tmp_path, name, radio, most, said):
    with pytest.raises(SiteTwinError, match=said):
        write_deepmimo(GainSource.open(store, site, request_of(radio)), tmp_path / name, most)
    assert list(tmp_path.iterdir()) == []


def test_the_strongest_paths_of_each_user():
    owner = np.array([0, 0, 0, 2, 2, 5])
    rows, rank = strongest(owner, np.array([1.0, 3.0, 2.0, 5.0, 5.0, 1.0]), 2)
    np.testing.assert_array_equal(rows, [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(rank, [0, 1, 0, 1, 0])


def test_nothing_is_overwritten_and_nothing_half_written_is_left(source, store, tmp_path):
    for name, write in (("a.npz", write_path_arrays), ("b.npz", write_sionna_cir), ("c", write_deepmimo)):
        (tmp_path / name).write_text("precious")
        with pytest.raises(SiteTwinError, match="exists already"):
            write(source, tmp_path / name)
        assert (tmp_path / name).read_text() == "precious"
    with pytest.raises(SiteTwinError, match="inside the store"):
        write_path_arrays(source, store / "p.npz")
    with pytest.raises(SiteTwinError, match=r"neither in \.npz nor in \.mat"):
        write_path_arrays(source, tmp_path / "p.csv")

    def fail(new: "list[int]") -> None:
        with new_folder(tmp_path / "new") as folder:
            (folder / "part").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail([])
    assert sorted(f.name for f in tmp_path.iterdir()) == ["a.npz", "b.npz", "c"]


def test_another_site_is_refused(store):
    with pytest.raises(SiteTwinError, match="another geometry"):
        GainSource.open(store, quad_site([ground(61.0)]), request_of())


def test_a_spool_refuses_rows_of_another_kind(tmp_path):
    spool = Spool(tmp_path)
    spool.append({"x": np.zeros((2, 3))})
    spool.append({"x": np.ones((1, 3))})
    np.testing.assert_array_equal(spool.array("x"), [[0, 0, 0], [0, 0, 0], [1, 1, 1]])
    with pytest.raises(ValueError, match="cannot grow"):
        spool.append({"x": np.zeros((2, 4))})
