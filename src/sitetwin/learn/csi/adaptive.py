"""A small neural codec whose transform adapts to the user: a learned, continuous kin of the mixture of local KLTs.

The encoder maps a matrix to a few bounded *state* numbers. A generator, known to both sides, turns the state into d
complex basis vectors B(s); the rest of the code are the least-squares coefficients of the matrix in them. The decoder
forms B(s) c. Path phases, which vary over centimetres, enter the coefficients linearly, and the network has to learn
only what varies slowly: which angles and delays occur together. All work is dense matrix products in the principal
coordinates of the training source, so that it trains an order of magnitude faster on a CPU than convolutions at full
resolution.

The output is an orthogonal projection of the input, hence of norm at most one. It is not scaled up to unit norm: that
would raise the error from 1 - rho^2 to 2 - 2 rho.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.codec import Budget, Code
from sitetwin.learn.csi.data import data_hash, to_complex, to_real
from sitetwin.learn.csi.neural import CodecNetwork, build
from sitetwin.learn.csi.refinement import RefinementConfig
from sitetwin.learn.csi.subspaces import principal_subspace
from sitetwin.learn.csi.trained import NeuralCodec, file_schedules
from sitetwin.learn.csi.training import COSINE, COSINE_REFINEMENT, Schedule
from sitetwin.learn.model_files import ModelFile

RIDGE = 1e-4  # of the mean diagonal of the Gram matrix; keeps the solve well conditioned in float32
START_SPREAD = 0.1  # of the default weights: every basis starts close to the first d principal directions
AMPLITUDE_FLOOR = 1e-2  # below it a coordinate of a unit-norm matrix counts as absent in the log features (-40 dB)


@dataclass(frozen=True)
class AdaptiveConfig:
    """Sizes.

    Attributes:
        states: Real numbers of the code that choose the basis; the others carry (reals - states) / 2 complex
            coefficients.
        front_rank: At most this many principal coordinates of the training source.
        energy_floor: Share of the training energy that they may lose if fewer will do.
        hidden: Width of the state network.
        generator_hidden: Width of the basis generator.
        state_noise: Full width of the uniform noise put on the states in training, which makes the generator smooth
            enough to bear their quantisation; 2 / 2^bits is one step of the quantiser.
    """

    states: int = 10
    front_rank: int = 192
    energy_floor: float = 1e-4
    hidden: int = 256
    generator_hidden: int = 128
    state_noise: float = 0.0


class Residual(nn.Module):
    """x + W2 gelu(W1 norm(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, width) -> (N, width)."""
        return x + self.body(x)


class Front(nn.Module):
    """Fixed principal directions; (N, r, 2) coordinates, real and imaginary part last."""

    basis: Tensor

    def __init__(self, basis: Tensor, shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape = shape
        self.rank = basis.shape[1]
        self.register_buffer("basis", torch.cat([basis.real, basis.imag], dim=1).contiguous())  # (D, 2 r)

    def project(self, x: Float[Tensor, "users 2 taps beams"]) -> Float[Tensor, "users front 2"]:
        """Coordinates of matrices."""
        products = (x.flatten(2).flatten(0, 1) @ self.basis).view(-1, 2, 2, self.rank)
        real = products[:, 0, 0] + products[:, 1, 1]
        imaginary = products[:, 1, 0] - products[:, 0, 1]
        return torch.stack([real, imaginary], dim=2)

    def expand(self, y: Float[Tensor, "users front 2"]) -> Float[Tensor, "users 2 taps beams"]:
        """Matrices of coordinates."""
        basis = self.basis.view(-1, 2, self.rank)
        real, imaginary = (y.transpose(1, 2).flatten(0, 1) @ part.T for part in (basis[:, 0], basis[:, 1]))
        real, imaginary = real.unflatten(0, (-1, 2)), imaginary.unflatten(0, (-1, 2))
        x = torch.stack([real[:, 0] - imaginary[:, 1], real[:, 1] + imaginary[:, 0]], dim=1)
        return x.unflatten(2, self.shape)


class BasisGenerator(nn.Module):
    """State (N, S) -> d complex basis vectors as (N, r, 2 d) reals, real parts first. Starts near the global KLT."""

    def __init__(self, states: int, width: int, size: int, rank: int) -> None:
        super().__init__()
        self.size, self.rank = size, rank
        self.body = nn.Sequential(
            nn.Linear(states, width), nn.GELU(), Residual(width), Residual(width), nn.LayerNorm(width)
        )
        self.output = nn.Linear(width, size * 2 * rank)
        start = torch.zeros(size, 2 * rank)
        start[:rank, :rank] = torch.eye(rank)
        with torch.no_grad():
            self.output.bias.copy_(start.flatten())
            self.output.weight.mul_(START_SPREAD)

    def forward(self, state: Tensor) -> Tensor:
        """(N, S) -> (N, r, 2 d)."""
        return self.output(self.body(state)).unflatten(1, (self.size, 2 * self.rank))


def normal_equations(
    basis: Float[Tensor, "users front reals"], y: Float[Tensor, "users front 2"]
) -> tuple[Float[Tensor, "users reals reals"], Float[Tensor, "users reals"]]:
    """Positive definite system and right side of least-squares coefficients, real parts first."""
    d = basis.shape[2] // 2
    gram = basis.transpose(1, 2) @ basis
    real = gram[:, :d, :d] + gram[:, d:, d:]
    imaginary = gram[:, :d, d:] - gram[:, d:, :d]
    system = torch.cat([torch.cat([real, -imaginary], 2), torch.cat([imaginary, real], 2)], 1)
    ridge = RIDGE * system.diagonal(dim1=1, dim2=2).mean(1)
    system = system + ridge[:, None, None] * torch.eye(2 * d)
    product = basis.transpose(1, 2) @ y
    right = torch.cat([product[:, :d, 0] + product[:, d:, 1], product[:, :d, 1] - product[:, d:, 0]], dim=1)
    return system, right


def coefficients(
    basis: Float[Tensor, "users front reals"], y: Float[Tensor, "users front 2"]
) -> Float[Tensor, "users reals"]:
    """Least-squares coefficients of coordinates in a basis, real parts first in both."""
    system, right = normal_equations(basis, y)
    return torch.cholesky_solve(right[:, :, None], torch.linalg.cholesky(system))[:, :, 0]


def combine(
    basis: Float[Tensor, "users front reals"], c: Float[Tensor, "users reals"]
) -> Float[Tensor, "users front 2"]:
    """Coordinates from a basis and coefficients in it."""
    real, imaginary = c.chunk(2, dim=1)
    weights = torch.stack([torch.cat([real, -imaginary], 1), torch.cat([imaginary, real], 1)], dim=2)
    return basis @ weights


class AdaptiveEncoder(nn.Module):
    """(N, 2, T, B) -> (N, M): states, then coefficients."""

    def __init__(self, front: Front, generator: BasisGenerator, config: AdaptiveConfig) -> None:
        super().__init__()
        self.front = front
        self.generator = generator
        self.network = nn.Sequential(
            nn.Linear(3 * front.rank, config.hidden),
            nn.GELU(),
            Residual(config.hidden),
            nn.LayerNorm(config.hidden),
            nn.Linear(config.hidden, config.states),
            nn.Tanh(),
        )

    def state(self, y: Tensor) -> Tensor:
        """(N, S) in -1..1 from (N, r, 2) coordinates, seen as numbers of about unit size and as log levels."""
        level = torch.log(1 + y.square().sum(dim=2).sqrt() / AMPLITUDE_FLOOR)
        return self.network(torch.cat([y.flatten(1) * self.front.rank**0.5, level - 1], dim=1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 2, T, B) -> (N, M)."""
        y = self.front.project(x)
        state = self.state(y)
        return torch.cat([state, coefficients(self.generator(state), y)], dim=1)


class AdaptiveDecoder(nn.Module):
    """(N, M) -> (N, 2, T, B)."""

    generator: BasisGenerator

    def __init__(self, front: Front, generator: BasisGenerator, states: int) -> None:
        super().__init__()
        self.front, self.generator, self.states = front, generator, states

    def forward(self, code: Tensor) -> Tensor:
        """(N, M) -> (N, 2, T, B)."""
        basis = self.generator(code[:, : self.states])
        return self.front.expand(combine(basis, code[:, self.states :]))


class AdaptiveNetwork(CodecNetwork):
    """Encoder and decoder. They train in front-end coordinates, where the loss is the same up to the energy floor."""

    encoder: AdaptiveEncoder
    decoder: AdaptiveDecoder

    def __init__(
        self,
        encoder: AdaptiveEncoder,
        decoder: AdaptiveDecoder,
        budget: Budget,
        configuration: dict[str, Any],
        noise: float,
    ) -> None:
        super().__init__(encoder, decoder, budget, configuration)
        self.noise = noise

    @property
    def code_reals(self) -> int:
        """States and coefficients; a front-end of few directions leaves fewer than the budget."""
        return self.decoder.states + 2 * self.decoder.generator.rank

    def training_inputs(self, x: Tensor) -> Tensor:
        """(N, r, 2) front-end coordinates of (N, T, B) complex64 matrices."""
        with torch.no_grad():
            return torch.cat([self.encoder.front.project(to_real(part)) for part in x.split(1024)])

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(N, r, 2) -> its reconstruction. In training the states carry noise, drawn from `generator`."""
        state = self.encoder.state(x)
        if self.training and self.noise > 0:
            state = state + self.noise * (torch.rand(state.shape, generator=generator) - 0.5)
        basis = self.encoder.generator(state)
        return combine(basis, coefficients(basis, x))

    @torch.no_grad()
    def decode(self, code: Code) -> Complex[Tensor, "users taps beams"]:
        """complex64 matrices of norm at most one. This puts the model into evaluation mode."""
        self.eval()
        return to_complex(self.decoder(code.values))


def adaptive_network(
    x: Tensor,
    generator: torch.Generator,
    config: AdaptiveConfig = AdaptiveConfig(),
    budget: Budget = Budget(),  # noqa: B008
) -> AdaptiveNetwork:
    """Untrained networks with their front-end fitted to the training source.

    Args:
        x: (N, T, B) complex64, the training matrices.
        generator: Source of the initial weights.
        config: Sizes.
        budget: Code length M.

    Raises:
        SiteTwinError: No matrices, or states that leave no whole number of complex coefficients.
    """
    if len(x) == 0:
        raise SiteTwinError("the adaptive codec needs at least one training matrix for its front-end")
    rank, odd = divmod(budget.reals - config.states, 2)
    if rank < 1 or odd or config.states < 1:
        raise SiteTwinError(
            f"{config.states} states of {budget.reals} reals leave no whole number of complex coefficients; "
            "change the number of states by one"
        )
    basis = principal_subspace(x.flatten(1), config.energy_floor)[:, : config.front_rank].contiguous()
    return build(lambda: _assembled(basis, (x.shape[1], x.shape[2]), config, budget), generator)


def _assembled(basis: Tensor, shape: tuple[int, int], config: AdaptiveConfig, budget: Budget) -> AdaptiveNetwork:
    """Networks about given principal directions, whose weights torch's global generator draws."""
    configuration = {"model": "adaptive", "shape": list(shape), "reals": budget.reals, **asdict(config)}
    if not basis.is_meta:
        configuration["front"] = data_hash(basis)
    rank = min((budget.reals - config.states) // 2, basis.shape[1])
    front = Front(basis, shape)
    shared = BasisGenerator(config.states, config.generator_hidden, basis.shape[1], rank)
    encoder, decoder = AdaptiveEncoder(front, shared, config), AdaptiveDecoder(front, shared, config.states)
    return AdaptiveNetwork(encoder, decoder, budget, configuration, config.state_noise)


class AdaptiveCodec(NeuralCodec):
    """The adaptive codec, trained with a cosine schedule by default.

    Args:
        config: Sizes.
        schedule: How it is trained.
        refinement: How an update trains it on.
        budget: Real numbers of one report.
        checkpoints: Folder where trained weights are kept; see `NeuralCodec`.
    """

    kind: ClassVar[str] = "adaptive"

    def __init__(
        self,
        config: AdaptiveConfig = AdaptiveConfig(),
        schedule: Schedule = COSINE,
        refinement: RefinementConfig = RefinementConfig(schedule=COSINE_REFINEMENT),  # noqa: B008  (frozen)
        budget: Budget | None = None,
        checkpoints: Path | None = None,
    ) -> None:
        super().__init__(schedule, refinement, budget, checkpoints)
        self.config = config

    def _untrained(self, x: Tensor, rng: torch.Generator) -> CodecNetwork:
        return adaptive_network(x, rng, self.config, self.budget)

    def _parameters(self) -> Mapping[str, Any]:
        return {**super()._parameters(), "config": asdict(self.config)}

    @classmethod
    def _restored(cls, file: ModelFile, budget: Budget, shape: tuple[int, int]) -> AdaptiveCodec:
        config = file.parameter("config", AdaptiveConfig)
        widest = max(config.hidden, config.generator_hidden)
        if not (
            0 < config.states < budget.reals and 0 < min(config.hidden, config.generator_hidden) <= widest <= 65536
        ):
            raise file.refusal("its sizes are out of range")
        front = file.array("network.encoder.front.basis", "size directions", torch.float32)
        if len(front) != shape[0] * shape[1] or front.shape[1] < 2:
            raise file.refusal("its principal directions are of another size")
        codec = cls(config, *file_schedules(file), budget)
        with torch.device("meta"):
            basis = torch.empty(len(front), front.shape[1] // 2, dtype=torch.complex64)
            empty = _assembled(basis, shape, config, budget)
        codec._restore(file, empty, shape)
        real, imaginary = front.chunk(2, dim=1)
        empty.configuration["front"] = data_hash(torch.complex(real, imaginary))
        return codec
