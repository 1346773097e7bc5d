"""What does not fit together is refused in a sentence: codes, matrices, scores, blocks."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.channel.worlds import free_paths

from sitetwin.channel import AntennaArray, OfdmGrid, PathGains, Radio, delay_angle
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.learn import (
    COSINE,
    AdaptiveCodec,
    AdaptiveConfig,
    BeamSet,
    Budget,
    Code,
    CsiCodec,
    CsiSet,
    GlobalKltCodec,
    KltCodec,
    KltConfig,
    MeanCodec,
    NearestBeams,
    TwinLookupCodec,
    UniformQuantiser,
    bootstrap_blocks,
    nmse,
    prepare,
    summarise,
)
from sitetwin.learn.beams.metrics import distance_based_accuracy, power_ratio, rank_of_best

TAPS, BEAMS = 6, 8
SMALL = AdaptiveConfig(states=4, front_rank=8, hidden=8, generator_hidden=8)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def as_users_call(function: Callable[..., object]) -> Callable[..., object]:
    """The function without the tests' own check of lengths, which users do not have."""
    return inspect.unwrap(function)


def matrices(users: int = 40, taps: int = TAPS, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return prepare(torch.randn(users, taps, BEAMS, dtype=torch.complex64, generator=g)).x


@pytest.fixture(scope="module")
def fitted() -> list[CsiCodec]:
    codecs = (
        KltCodec(KltConfig(zones=4), Budget(8, 8)),
        TwinLookupCodec(),
        GlobalKltCodec(Budget(8, 8)),
        MeanCodec(),
        AdaptiveCodec(SMALL, replace(COSINE, epochs=1), budget=Budget(8, 8)),
    )
    return [codec.fit(matrices(), seeded()) for codec in codecs]


@pytest.mark.parametrize("index", [4, 40, -1, 10**12])
def test_an_index_out_of_range_is_named(fitted: list[CsiCodec], index: int) -> None:
    for codec, most in zip(fitted[:2], (3, 39), strict=True):
        code = codec.encode(matrices(5))
        assert code.index is not None
        stored = code.index.clone()
        stored[2] = index
        if index > most or index < 0:
            with pytest.raises(SiteTwinError, match=f"user 2 has the index {index}, and .* from 0 to {most}"):
                codec.decode(Code(code.values, stored))
        else:
            codec.decode(Code(code.values, stored))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda c: Code(torch.cat([c.values, c.values], dim=1), c.index), "real numbers for each user"),
        (lambda c: Code(c.values[:, :0], c.index), "real numbers for each user"),
        (lambda c: Code(c.values * torch.nan, c.index), "not finite"),
    ],
)
def test_codes_of_another_size_or_without_a_number_are_refused(
    fitted: list[CsiCodec], spoil: Callable[[Code], Code], said: str
) -> None:
    for codec in fitted:
        spoilt = spoil(codec.encode(matrices(5)))
        if isinstance(codec, MeanCodec):
            codec.decode(spoilt)  # a code without numbers stays one
            continue
        with pytest.raises(SiteTwinError, match=said):
            codec.decode(spoilt)


def test_an_index_is_neither_lost_nor_added(fitted: list[CsiCodec]) -> None:
    for codec in fitted[:3]:
        with pytest.raises(SiteTwinError, match="without its index"):
            codec.decode(Code(codec.encode(matrices(5)).values))
    code = fitted[4].encode(matrices(5))
    with pytest.raises(SiteTwinError, match="has no index"):
        fitted[4].decode(Code(code.values, torch.zeros(5, dtype=torch.int64)))
    with pytest.raises(SiteTwinError, match="not fitted"):
        KltCodec().decode(code)


def test_an_update_with_nan_or_of_another_size_is_refused(fitted: list[CsiCodec]) -> None:
    good = prepare(matrices(4))
    for codec in (fitted[0], fitted[2], fitted[4]):
        for wrong, said in (
            (good.x * torch.nan, "user 0 is not finite"),
            (CsiSet(good.x * torch.inf, good.norm, good.phase, good.reference), "user 0 is not finite"),
            (matrices(4, TAPS + 1), "made for 6 delay taps and 8 beams"),
        ):
            with pytest.raises(SiteTwinError, match=said):
                codec.update(wrong, seeded())
            with pytest.raises(SiteTwinError, match=said):
                codec.encode(wrong)


def test_matrices_that_cannot_be_compared_are_refused() -> None:
    x = matrices(4)
    dark = x.clone()
    dark[2] = 0
    for truth, found, said in (
        (x, x[:1], r"shape \(1, 6, 8\) cannot be compared"),
        (x, x.swapaxes(1, 2), r"shape \(4, 8, 6\) cannot be compared"),
        (dark, x, "user 2 is zero"),
        (x * torch.nan, x, "user 0 is zero or not finite"),
    ):
        with pytest.raises(SiteTwinError, match=said):
            nmse(truth, found)
    with pytest.raises(SiteTwinError, match="at least one user"):
        summarise(torch.zeros(0))
    with pytest.raises(SiteTwinError, match="1 users is negative; give linear values"):
        summarise(torch.tensor([0.1, -10.0]))


def test_a_quantiser_of_another_codec_is_refused(fitted: list[CsiCodec]) -> None:
    quantiser = UniformQuantiser.fit(fitted[0], matrices())
    with pytest.raises(SiteTwinError, match="fitted to codes of 6 values"):
        quantiser(fitted[1].encode(matrices(3)))
    with pytest.raises(SiteTwinError, match="at least one training matrix"):
        UniformQuantiser.fit(fitted[0], matrices()[:0])


@pytest.mark.parametrize("numbers", [(0, 4), (32, 0), (-1, 4)])
def test_a_budget_is_positive(numbers: tuple[int, int]) -> None:
    with pytest.raises(SiteTwinError, match="at least one real"):
        Budget(*numbers)
    with pytest.raises(SiteTwinError, match="at least one training matrix, not -1"):
        TwinLookupCodec(-1)


def test_a_predictor_of_other_beams_is_not_judged(tmp_path) -> None:
    rng = np.random.default_rng(0)
    place = rng.uniform(1, 9, (20, 2))
    NearestBeams(3).fit(BeamSet(place, rng.uniform(1, 2, (20, 16)))).save(tmp_path / "sixteen.npz")
    predictor = NearestBeams.load(tmp_path / "sixteen.npz")
    score, power = predictor.predict(place), rng.uniform(1, 2, (20, 64))
    for judge in (rank_of_best, power_ratio, distance_based_accuracy):
        with pytest.raises(SiteTwinError, match="16 beams cannot be judged by powers of 20 rows and 64 beams"):
            as_users_call(judge)(score, power)
    with pytest.raises(SiteTwinError, match="beams cannot join"):
        predictor.update(BeamSet(place, power))


def test_blocks_are_those_of_the_users() -> None:
    with pytest.raises(SiteTwinError, match="5 errors go with 4 blocks"):
        as_users_call(bootstrap_blocks)(torch.ones(5), torch.zeros(4, dtype=torch.int64), seeded())


def test_matrices_as_a_data_set_holds_them_are_asked_about() -> None:
    """32 angles and 32 delays: the sizes do not tell which is which, the energy does."""
    rng = np.random.default_rng(3)
    paths = free_paths(np.full(60, 4), rng)
    paths.length[:] = rng.uniform(20.0, 250.0, paths.num_paths)
    radio = Radio(AntennaArray.ula(32))
    values = torch.from_numpy(rng.standard_normal((paths.num_paths, 1, 1)) + 0j).to(torch.complex64)
    loaded = delay_angle(paths, PathGains.of(paths, values, 3.5e9, radio), OfdmGrid(3.5e9, 256, 30e3))[:, 0]
    with pytest.warns(SiteTwinWarning, match=r"do .transpose\(1, 2\)"):
        prepare(loaded)
    right = prepare(loaded.transpose(1, 2).contiguous())
    assert right.x.shape == (60, 32, 32)
    noise = torch.randn(50, 32, 32, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    prepare(noise)
    prepare(noise[:, :8, :8].contiguous())
