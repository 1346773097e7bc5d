"""Neural codecs: published sizes, training that resumes bit for bit, refinement."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.adaptive import AdaptiveConfig, Front, adaptive_network, coefficients, combine
from sitetwin.learn.csi.codec import Budget, Codec, check_budget, reconstruct
from sitetwin.learn.csi.csinet import csinet_plus_network
from sitetwin.learn.csi.data import prepare, to_complex, to_real
from sitetwin.learn.csi.klt import GlobalKltCodec
from sitetwin.learn.csi.metrics import nmse, to_db
from sitetwin.learn.csi.neural import trainable_parameters
from sitetwin.learn.csi.refinement import RefinementConfig, refine
from sitetwin.learn.csi.subspaces import principal_subspace
from sitetwin.learn.csi.training import COSINE, PAPER, PAPER_REFINEMENT, Schedule, mean_nmse, train

SHORT = replace(COSINE, epochs=3)
SMALL = AdaptiveConfig(front_rank=64, hidden=64, generator_hidden=16)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def twin(world):
    return prepare(world.twin).x


@pytest.fixture(scope="module")
def target(world):
    return prepare(world.target).x


def small(twin, seed=0):
    return adaptive_network(twin, seeded(seed), SMALL)


def weights(codec):
    return torch.cat([t.flatten().double() for t in codec.state_dict().values()])


def test_csinet_plus_has_the_published_size():
    codec = csinet_plus_network(seeded())
    costs = codec.costs()
    refine_net = (49 * 2 * 8 + 8 + 16) + (25 * 8 * 16 + 16 + 32) + (9 * 16 * 2 + 2 + 4)
    head = 49 * 2 * 2 + 2 + 4
    linear = (2048 * 32 + 32) + (32 * 2048 + 2048)
    assert trainable_parameters(codec) == 3 * head + 5 * refine_net + linear == 155_508
    pixels = 32 * 32
    encoder = 2 * 196 * pixels + 65_536
    decoder = 65_536 + 196 * pixels + 5 * (784 + 3200 + 288) * pixels
    assert (costs.macs_ue, costs.macs_bs) == (encoder, decoder)
    assert round((costs.macs_ue + costs.macs_bs) / 1e6, 2) == 22.61
    assert costs.reals == 32
    check_budget(codec)


def test_csinet_plus_follows_the_published_layout(twin):
    codec = csinet_plus_network(seeded())
    kinds = [type(m).__name__ for m in codec.modules() if not list(m.children())]
    assert sum(isinstance(m, nn.Conv2d) for m in codec.modules()) == 3 + 15
    assert kinds.count("BatchNorm2d") == 3 + 15
    assert kinds.count("Tanh") == 1 + 5
    slopes = {m.negative_slope for m in codec.modules() if isinstance(m, nn.LeakyReLU)}
    assert slopes == {0.3}
    out = reconstruct(codec, twin[:8])
    assert torch.allclose(torch.linalg.vector_norm(out, dim=(1, 2)), torch.ones(8), atol=1e-5)
    assert isinstance(codec, Codec)


def test_the_published_schedule():
    assert (PAPER.learning_rate, PAPER.batch, PAPER.epochs, PAPER.milestones) == (1e-2, 32, 160, (100,))
    assert PAPER.total_epochs(4096) * 4096 // PAPER.batch == 20_480
    assert (PAPER_REFINEMENT.learning_rate, PAPER_REFINEMENT.epochs) == (1e-3, 100)
    assert replace(PAPER, steps=25_600).total_epochs(40) == 12_800


def test_front_is_the_complex_projection(twin):
    basis = principal_subspace(twin.flatten(1), 1e-2)
    front = Front(basis, (32, 32))
    y = torch.view_as_complex(front.project(to_real(twin[:9])))
    assert (y - twin[:9].flatten(1) @ basis.conj()).abs().amax() < 1e-5
    back = to_complex(front.expand(torch.view_as_real(y)))
    assert (back.flatten(1) - y @ basis.T).abs().amax() < 1e-5


def test_coefficients_are_complex_least_squares():
    g = seeded(2)
    basis = torch.randn(5, 20, 6, dtype=torch.complex64, generator=g)
    y = torch.randn(5, 20, dtype=torch.complex64, generator=g)
    real = torch.cat([basis.real, basis.imag], dim=2)
    c = coefficients(real, torch.view_as_real(y))
    expected = torch.linalg.lstsq(basis, y[:, :, None]).solution[:, :, 0]
    assert (torch.complex(c[:, :6], c[:, 6:]) - expected).abs().amax() < 1e-3
    fitted = torch.view_as_complex(combine(real, c).contiguous())
    assert (fitted - (basis @ expected[:, :, None])[:, :, 0]).abs().amax() < 1e-2


def test_adaptive_codec_is_a_codec(twin):
    codec = small(twin)
    assert isinstance(codec, Codec)
    assert codec.encode(twin[:4]).values.shape == (4, 32)
    check_budget(codec)
    out = reconstruct(codec, twin[:50])
    assert torch.linalg.vector_norm(out, dim=(1, 2)).amax() <= 1 + 1e-4
    trained_on = torch.view_as_complex(codec.eval()(codec.training_inputs(twin[:50])).contiguous())
    flat = out.flatten(1)
    assert torch.linalg.vector_norm(flat, dim=1).sub(torch.linalg.vector_norm(trained_on, dim=1)).abs().amax() < 1e-4
    r, d, s, g, h = 64, 11, 10, 16, 64
    generator = s * g + 4 * g * g + g * r * 2 * d
    assert codec.costs().macs_bs == generator + r * 2 * d * 2 + 4 * 1024 * r
    network = 3 * r * h + 2 * h * h + h * s
    gram = r * 2 * d * 2 * d + r * 2 * d * 2
    assert codec.costs().macs_ue == 4 * 1024 * r + network + generator + gram


def test_training_beats_the_global_klt_on_its_own_source(twin):
    codec = adaptive_network(twin, seeded(), replace(SMALL, front_rank=128))
    before = mean_nmse(codec, twin)
    result = train(codec, twin, replace(COSINE, epochs=25), seeded())
    after = mean_nmse(codec, twin)
    linear = float(nmse(twin, reconstruct(GlobalKltCodec().fit(twin), twin)).mean())
    assert result.finished
    assert after < before
    assert to_db(after) < to_db(linear) - 1


def test_csinet_plus_learns():
    g = seeded(5)
    basis = torch.randn(2, 32, 32, dtype=torch.complex64, generator=g)
    mix = torch.randn(64, 2, dtype=torch.complex64, generator=g)
    x = prepare(torch.einsum("nk,kij->nij", mix, basis)).x
    codec = csinet_plus_network(seeded(), refinements=1)
    result = train(codec, x, replace(PAPER, epochs=8), seeded(), validation=x)
    assert result.history.loss[-1] < 0.7 * result.history.loss[0]
    last = result.history.validation[-50:]
    assert result.score_db == pytest.approx(to_db(sum(last) / len(last)))


def test_the_same_seed_gives_the_same_weights(twin):
    runs = [small(twin) for _ in range(2)]
    for codec in runs:
        torch.rand(1)  # the global generator must not matter
        train(codec, twin, SHORT, seeded(1))
    assert torch.equal(weights(runs[0]), weights(runs[1]))
    other = small(twin)
    train(other, twin, SHORT, seeded(2))
    assert not torch.equal(weights(runs[0]), weights(other))


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_an_interrupted_run_resumes_bit_for_bit(twin, tmp_path, noise):
    config = replace(SMALL, state_noise=noise)
    straight = adaptive_network(twin, seeded(), config)
    whole = train(straight, twin, SHORT, seeded(1), validation=twin[:20])

    stopped = adaptive_network(twin, seeded(), config)
    seen: list[int] = []
    part = train(
        stopped, twin, SHORT, seeded(1), validation=twin[:20], folder=tmp_path,
        progress=lambda done, total, numbers: seen.append(done), should_stop=lambda: seen[-1] == 1,
    )  # fmt: skip
    assert not part.finished
    assert seen == [1]

    resumed = adaptive_network(twin, seeded(), config)
    rest = train(
        resumed, twin, SHORT, seeded(1), validation=twin[:20], folder=tmp_path,
        progress=lambda done, total, numbers: seen.append(done),
    )  # fmt: skip
    assert rest.finished
    assert seen == [1, 2, 3]
    assert rest.key == part.key == whole.key
    assert torch.equal(weights(straight), weights(resumed))
    assert rest.history.loss == whole.history.loss
    assert rest.history.validation == whole.history.validation

    again = adaptive_network(twin, seeded(), config)
    train(
        again, twin, SHORT, seeded(1), validation=twin[:20], folder=tmp_path, progress=lambda *_: pytest.fail("trained")
    )
    assert torch.equal(weights(again), weights(straight))
    assert len(list(tmp_path.iterdir())) == 1


def test_another_configuration_has_another_key(twin, tmp_path):
    keys = set()
    for schedule, data, seed in [
        (SHORT, twin, 1),
        (replace(SHORT, learning_rate=1e-3), twin, 1),
        (SHORT, twin[1:], 1),
        (SHORT, twin, 2),
    ]:
        keys.add(train(small(twin), data, replace(schedule, epochs=1), seeded(seed), folder=tmp_path).key)
    assert len(keys) == 4
    assert len(list(tmp_path.glob("*.pt"))) == 4


def test_a_broken_checkpoint_is_named(twin, tmp_path):
    result = train(small(twin), twin, replace(SHORT, epochs=1), seeded(), folder=tmp_path)
    path = tmp_path / f"{result.key}.pt"
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1  # in a weight, where PyTorch sees nothing
    for broken in (whole[:100], bytes(flipped), whole[32:], b""):
        path.write_bytes(broken)
        with pytest.raises(SiteTwinError, match="delete it"):
            train(small(twin), twin, replace(SHORT, epochs=1), seeded(), folder=tmp_path)


def test_a_checkpoint_of_other_code_is_not_gone_on_with(twin, tmp_path, monkeypatch):
    for version in ("0.1.0+1", "0.1.0+2"):
        monkeypatch.setattr("sitetwin.learn.csi.training.code_version", lambda *rooms, version=version: version)
        train(small(twin), twin, replace(SHORT, epochs=1), seeded(), folder=tmp_path)
    assert len(list(tmp_path.glob("*.pt"))) == 2


def test_rehearsal_forgets_less_than_naive_fine_tuning(twin, target):
    codec = adaptive_network(twin, seeded(), replace(SMALL, front_rank=128))
    train(codec, twin, replace(COSINE, epochs=8), seeded())
    kept = weights(codec)
    measured = target[:20]
    schedule = replace(COSINE, steps=60)
    naive, _ = refine(codec, measured, seeded(1), RefinementConfig(rehearsal=False, schedule=schedule))
    rehearsed, _ = refine(codec, measured, seeded(1), RefinementConfig(schedule=schedule, repeats=3), twin=twin)
    assert torch.equal(weights(codec), kept)
    assert mean_nmse(naive, measured) < mean_nmse(codec, measured)
    assert mean_nmse(rehearsed, measured) < mean_nmse(codec, measured)
    assert mean_nmse(rehearsed, twin) < mean_nmse(naive, twin)


def test_frozen_batchnorm_stays_as_it_was(twin):
    codec = csinet_plus_network(seeded(), refinements=1)
    train(codec, twin[:64], replace(PAPER, epochs=1), seeded())
    config = RefinementConfig(rehearsal=False, frozen_batchnorm=True, schedule=replace(PAPER_REFINEMENT, epochs=1))
    frozen, _ = refine(codec, twin[:8], seeded(), config)
    free, _ = refine(codec, twin[:8], seeded(), replace(config, frozen_batchnorm=False))

    def norms(c):
        parts = [m for m in c.modules() if isinstance(m, nn.BatchNorm2d)]
        return torch.cat([t.flatten().double() for m in parts for t in m.state_dict().values()])

    assert torch.equal(norms(frozen), norms(codec))
    assert not torch.equal(norms(free), norms(codec))
    assert not torch.equal(weights(frozen), weights(codec))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: train(small(x), x[:0], SHORT, seeded()), "empty"),
        (lambda x: refine(small(x), x[:0], seeded()), "at least one measured"),
        (lambda x: refine(small(x), x[:2], seeded()), "rehearsal needs"),
        (lambda x: adaptive_network(x, seeded(), replace(SMALL, states=7)), "whole number"),
        (lambda x: adaptive_network(x[:0], seeded()), "at least one"),
        (lambda x: adaptive_network(x, seeded(), SMALL, Budget(8)), "whole number"),
        (lambda x: train(small(x), x * float("nan"), Schedule(epochs=1), seeded()), "diverged"),
    ],
)
def test_bad_requests_are_said_in_a_sentence(twin, call, message):
    with pytest.raises(SiteTwinError, match=message):
        call(twin)
