"""The one shape of all codecs: labelled data, fit, encode, decode, update, files that may come from strangers."""

from __future__ import annotations

import contextlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.learn import (
    COSINE,
    PAPER,
    AdaptiveCodec,
    AdaptiveConfig,
    Budget,
    CsiCodec,
    CsiNetPlus,
    GlobalKltCodec,
    KltCodec,
    KltConfig,
    MeanCodec,
    MixerCodec,
    MixerConfig,
    RefinementConfig,
    TwinLookupCodec,
    ZeroCodec,
    check_budget,
    prepare,
    reconstruct,
)
from sitetwin.learn.csi.data import csi_matrices
from sitetwin.learn.model_files import write_model

TAPS, BEAMS = 12, 8
SMALL = AdaptiveConfig(states=4, front_rank=16, hidden=16, generator_hidden=8)
FEW = Budget(8, 8)
ONCE = RefinementConfig(rehearsal=True, schedule=replace(COSINE, epochs=1))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def channels(users: int = 30, seed: int = 1) -> xr.DataArray:
    """Delay-angle channels as a request gives them: another order than a codec's, more angles than delays."""
    rng = np.random.default_rng(seed)
    size = (users, 1, BEAMS, TAPS)
    values = (rng.normal(size=size) + 1j * rng.normal(size=size)).astype(np.complex64)
    return xr.DataArray(values, dims=("user", "rx_antenna", "angle", "delay"), name="delay_angle")


def made() -> list[CsiCodec]:
    """One of each kind, of little work."""
    return [
        KltCodec(KltConfig(zones=4), FEW),
        GlobalKltCodec(FEW),
        AdaptiveCodec(SMALL, replace(COSINE, epochs=1), ONCE, FEW),
        MixerCodec(MixerConfig(1, 8, 8), replace(COSINE, epochs=1), ONCE, FEW),
        CsiNetPlus(replace(PAPER, epochs=1), replace(ONCE, schedule=replace(PAPER, epochs=1)), FEW, refinements=1),
        ZeroCodec(),
        MeanCodec(),
        TwinLookupCodec(20),
    ]


@pytest.fixture(scope="module")
def fitted() -> list[CsiCodec]:
    return [codec.fit(channels(), seeded()) for codec in made()]


def test_labelled_channels_are_read_by_name_in_any_order() -> None:
    array = channels()
    one = csi_matrices(array)
    assert one.shape == (30, TAPS, BEAMS)
    assert torch.equal(one, csi_matrices(array.transpose("delay", "user", "angle", "rx_antenna")))
    plain = torch.from_numpy(array.values[:, 0].transpose(0, 2, 1).copy())
    assert torch.equal(one, prepare(plain).x)
    assert torch.equal(one, csi_matrices(prepare(array)))


def test_square_channels_are_not_transposed_in_silence() -> None:
    """At 32 x 32 no shape betrays swapped axes: the names decide."""
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(4, 5, 5)) + 1j * rng.normal(size=(4, 5, 5))).astype(np.complex64)
    array = xr.DataArray(values, dims=("user", "angle", "delay"))
    swapped = csi_matrices(array.transpose("user", "delay", "angle"))
    assert torch.equal(csi_matrices(array), swapped)
    assert torch.equal(csi_matrices(array), prepare(torch.from_numpy(values.transpose(0, 2, 1).copy())).x)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda a: a.rename(delay="subcarrier"), "user, rx_antenna, angle, subcarrier|user, angle, subcarrier"),
        (lambda a: a.expand_dims(time=2), "time"),
        (lambda a: a.real, "complex"),
        (lambda a: a.where(a.user != 3), "user 3"),
        (lambda a: xr.concat([a, a], "rx_antenna"), "choose one with"),
        (lambda a: csi_matrices(a).swapaxes(1, 2), "swapped"),
        (lambda a: csi_matrices(a)[0], "users, taps, beams"),
        (lambda a: csi_matrices(a) * torch.nan, "user 0 is not finite"),
    ],
)
def test_data_of_another_kind_are_refused_in_a_sentence(fitted: list[CsiCodec], spoil, said: str) -> None:
    data = spoil(channels())
    for codec in fitted:
        with pytest.raises(SiteTwinError, match=said):
            codec.encode(data)


def test_every_codec_has_the_one_shape(fitted: list[CsiCodec], tmp_path: Path) -> None:
    data, fresh = channels(), channels(6, seed=2)
    for k, codec in enumerate(fitted):
        check_budget(codec)
        recovered = codec.decode(codec.encode(fresh))
        assert recovered.shape == (6, TAPS, BEAMS)
        assert torch.equal(recovered, reconstruct(codec, fresh))
        again = made()[k].fit(data, seeded())
        assert torch.equal(again.decode(again.encode(fresh)), recovered), codec.kind
        codec.save(tmp_path / "codec.npz")
        loaded = type(codec).load(tmp_path / "codec.npz")
        assert torch.equal(loaded.decode(loaded.encode(fresh)), recovered), codec.kind
        assert loaded.costs() == codec.costs()
        assert loaded.budget == codec.budget


def test_a_loaded_codec_is_updated_like_the_one_that_was_saved(fitted: list[CsiCodec], tmp_path: Path) -> None:
    measured, asked = channels(4, seed=3), channels(5, seed=4)
    for codec in fitted[:5]:
        before = reconstruct(codec, asked)
        codec.save(tmp_path / "codec.npz")
        updated = codec.update(measured, seeded(1))
        loaded = type(codec).load(tmp_path / "codec.npz").update(measured, seeded(1))
        torch.testing.assert_close(reconstruct(updated, asked), reconstruct(loaded, asked), rtol=0, atol=1e-4)
        assert torch.equal(reconstruct(codec, asked), before), codec.kind  # the update is another codec
        assert not torch.equal(reconstruct(updated, asked), before), codec.kind


def test_what_a_codec_cannot_do_is_said(fitted: list[CsiCodec]) -> None:
    for codec in made():
        if not isinstance(codec, ZeroCodec):
            with pytest.raises(SiteTwinError, match="not fitted"):
                codec.encode(channels())
            with pytest.raises(SiteTwinError, match="not fitted"):
                codec.costs()
        with pytest.raises(SiteTwinError, match="at least one"):
            codec.fit(csi_matrices(channels())[:0], seeded())
    for codec in fitted[5:]:
        with pytest.raises(SiteTwinError, match="cannot be updated"):
            codec.update(channels(2))
    for codec in (made()[0], made()[2], made()[3], made()[4]):
        with pytest.raises(SiteTwinError, match=r"torch\.Generator"):
            codec.fit(channels())


def test_trained_weights_are_found_again(tmp_path: Path) -> None:
    first, second = (CsiNetPlus(replace(PAPER, epochs=1), budget=FEW, checkpoints=tmp_path) for _ in range(2))
    first.fit(channels(), seeded())
    second.fit(channels(), seeded())
    assert first.history is not None
    assert second.history is not None
    assert second.history.seconds == first.history.seconds  # it was read, not trained again
    assert len(list(tmp_path.glob("*.pt"))) == 1


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"[" * 100_000, b"\x80\x04K\x01."])
def test_files_of_something_else_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "codec.npz"
    path.write_bytes(content)
    for codec in made():
        with pytest.raises(SiteTwinError, match=r"codec\.npz is damaged"):
            type(codec).load(path)
    with pytest.raises(SiteTwinError, match="there is no model"):
        KltCodec.load(tmp_path / "nowhere")


def test_a_codec_of_another_kind_is_named(fitted: list[CsiCodec], tmp_path: Path) -> None:
    fitted[6].save(tmp_path / "mean.npz")
    with pytest.raises(SiteTwinError, match="'mean', not 'klt'"):
        KltCodec.load(tmp_path / "mean.npz")


def _bytes_of(codec: CsiCodec, folder: Path) -> bytes:
    codec.save(folder / "codec.npz")
    return (folder / "codec.npz").read_bytes()


@pytest.mark.parametrize("kind", range(8))
def test_lengthened_shortened_and_renamed_arrays_are_refused(fitted: list[CsiCodec], tmp_path: Path, kind: int) -> None:
    codec = fitted[kind]
    parameters = {
        "shape": list(codec.fitted_shape),
        "reals": codec.budget.reals,
        "bits_per_real": codec.budget.bits_per_real,
        **codec._parameters(),
    }
    arrays = dict(codec._arrays())
    path = tmp_path / "codec.npz"
    for name in arrays:
        for wrong in (arrays[name][None], arrays[name].abs().double(), None):
            changed = {n: t for n, t in arrays.items() if n != name}
            if wrong is not None:
                changed[name] = wrong
            write_model(path, codec.kind, parameters, changed)
            if name == "samples" and wrong is None and kind in (2, 3, 4):
                continue  # a network works without them: it cannot rehearse
            with pytest.raises(SiteTwinError, match=r"codec\.npz"):
                type(codec).load(path)
    for name, values in (
        ("shape", ([10**9, 10**9], [TAPS], "x", [-1, 3], [TAPS + 1, BEAMS])),
        ("reals", (-1, 10**12, "many", None)),
        ("schedule", (3, {"epochs": "x"})),
        ("config", (None, {"zones": "x", "states": "x"})),
        ("refinements", (10**9, -1, "x")),
    ):
        for value in values if name in parameters else ():
            write_model(path, codec.kind, {**parameters, name: value}, arrays)
            if isinstance(codec, ZeroCodec) and name == "shape" and value == [TAPS + 1, BEAMS]:
                continue  # it has no numbers that a size could contradict
            with pytest.raises(SiteTwinError, match=r"codec\.npz"):
                type(codec).load(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bytes_never_end_in_a_traceback(fitted: list[CsiCodec], tmp_path: Path, data: st.DataObject) -> None:
    codec = fitted[data.draw(st.sampled_from([0, 6, 7]))]
    content = bytearray(_bytes_of(codec, tmp_path))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "codec.npz").write_bytes(bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))]))
    with contextlib.suppress(SiteTwinError):
        type(codec).load(tmp_path / "codec.npz")


def test_a_claimed_size_reserves_no_memory(tmp_path: Path) -> None:
    header = b"{'descr': '<c8', 'fortran_order': False, 'shape': (1000000000, 1000000), }".ljust(117) + b"\n"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 8
    about = {"format": "sitetwin.model/1", "kind": "mean", "parameters": {}}
    with zipfile.ZipFile(tmp_path / "codec.npz", "w") as archive:
        archive.writestr("model.json", json.dumps(about))
        archive.writestr("mean.npy", array)
    with pytest.raises(SiteTwinError, match="damaged"):
        MeanCodec.load(tmp_path / "codec.npz")
    with zipfile.ZipFile(tmp_path / "codec.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.json", json.dumps(about))
        archive.writestr("mean.npy", b"\0" * 10_000_000)
    with pytest.raises(SiteTwinError, match="damaged"):
        MeanCodec.load(tmp_path / "codec.npz")
