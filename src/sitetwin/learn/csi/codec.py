"""What every CSI codec offers, and the accounting that keeps comparisons between them equal."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.data import CsiData, csi_matrices


@dataclass(frozen=True)
class Budget:
    """What one feedback report may carry.

    The paper's M = 32 are real numbers: the authors' encoder ends in 32 real outputs, and 2048 / 32 = 64 is their
    stated compression. An index that is fed back is paid for in the same currency: its bits divided by the bits of
    one real.

    Attributes:
        reals: Real numbers in one report.
        bits_per_real: Bits each of them would take on air.

    Example:
        An index into 256 alternatives takes 8 bits, which are two of the 32 real numbers:

        >>> Budget(32, bits_per_real=4).reals_left(choices=256)
        30

    Raises:
        SiteTwinError: A number is not positive.
    """

    reals: int = 32
    bits_per_real: int = 4

    def __post_init__(self) -> None:
        if min(self.reals, self.bits_per_real) < 1:
            raise SiteTwinError(
                f"a report carries at least one real number of at least one bit, not {self.reals} of "
                f"{self.bits_per_real} bits; give a positive budget"
            )

    @property
    def bits(self) -> int:
        """Bits of the whole report."""
        return self.reals * self.bits_per_real

    @staticmethod
    def index_bits(choices: int) -> int:
        """Bits of an index into `choices` alternatives."""
        return max(choices - 1, 0).bit_length()

    def reals_left(self, choices: int) -> int:
        """Real numbers left once an index into `choices` alternatives is paid for.

        Raises:
            SiteTwinError: The index alone exceeds the budget.
        """
        left = self.reals - math.ceil(self.index_bits(choices) / self.bits_per_real)
        if left < 0:
            raise SiteTwinError(
                f"an index into {choices} alternatives takes {self.index_bits(choices)} bits, more than the "
                f"{self.bits} bits of the feedback budget; use fewer alternatives or a larger budget"
            )
        return left

    def complex_coefficients(self, choices: int, first_is_real: bool = False) -> int:
        """Complex numbers that fit beside an index into `choices` alternatives.

        Args:
            choices: Number of alternatives of the index; 1 costs nothing.
            first_is_real: The first coefficient is made real by the common phase, which saves one real.
        """
        return (self.reals_left(choices) + int(first_is_real)) // 2


@dataclass(frozen=True, eq=False)
class Code:
    """What N users feed back.

    Attributes:
        values: float32.
        index: int64, or None where the codec has no index.
    """

    values: Float[Tensor, "users reals"]
    index: Int[Tensor, " users"] | None = None


def check_code(code: Code, kind: str, reals: int, choices: int | None) -> None:
    """Refuse a code that a codec cannot have made; codes may come from files or over the air.

    Args:
        code: The code.
        kind: Name of the codec, for the message.
        reals: Real numbers of one of its codes.
        choices: How many values its index can have; None without an index.

    Raises:
        SiteTwinError: The code has other sizes, a number that is not finite, or an index out of range or too many.
    """
    values, index = code.values, code.index
    if values.ndim != 2 or values.shape[1] != reals:
        raise SiteTwinError(
            f"a code of the {kind} codec has {reals} real numbers for each user, and this one is of shape "
            f"{tuple(values.shape)}; decode it with the codec that made it"
        )
    if not bool(torch.isfinite(values).all()):
        raise SiteTwinError(f"a code of the {kind} codec holds a number that is not finite; ask for the code again")
    if choices is None:
        if index is not None:
            raise SiteTwinError(f"the {kind} codec has no index, and this code has one; use the codec that made it")
        return
    if index is None:
        raise SiteTwinError(f"a {kind} code without its index cannot be decoded; keep the index that encode gave")
    if index.shape != values.shape[:1]:
        raise SiteTwinError(f"{len(index)} indices go with {len(values)} codes of the {kind} codec; pair them")
    if len(index) and not 0 <= int(index.min()) <= int(index.max()) < choices:
        wrong = int(((index < 0) | (index >= choices)).nonzero()[0])
        raise SiteTwinError(
            f"the code of user {wrong} has the index {int(index[wrong])}, and the {kind} codec knows those from 0 to "
            f"{choices - 1}; decode it with the codec that made it"
        )


@dataclass(frozen=True)
class Costs:
    """What a codec costs, for the table beside its accuracy.

    Attributes:
        parameters_ue: Real numbers the user equipment must hold.
        parameters_bs: Real numbers the base station must hold.
        macs_ue: Real multiply-adds at the user equipment per matrix (a complex one counts 4).
        macs_bs: Real multiply-adds at the base station per matrix.
        bytes_ue: Memory of the model at the user equipment, bytes; also what must be downloaded to it.
        bytes_bs: Memory of the model at the base station, bytes.
        reals: Real numbers in one report.
        index_bits: Bits of the index in one report.
    """

    parameters_ue: int
    parameters_bs: int
    macs_ue: int
    macs_bs: int
    bytes_ue: int
    bytes_bs: int
    reals: int
    index_bits: int

    def to_dict(self) -> dict[str, int]:
        """JSON-serialisable."""
        return asdict(self)


@runtime_checkable
class Codec(Protocol):
    """What is asked of a codec that is judged: the user equipment encodes, the base station decodes.

    Matrices are complex64, normalised as by `sitetwin.learn.csi.data.prepare`. A codec that can also be fitted, updated
    and kept on disk is a `sitetwin.learn.CsiCodec`.
    """

    @property
    def budget(self) -> Budget:
        """Feedback budget."""
        ...

    def encode(self, data: Tensor, /) -> Code:
        """Codes of matrices (users, taps, beams)."""
        ...

    def decode(self, code: Code) -> Tensor:
        """Matrices (users, taps, beams) from their codes."""
        ...

    def costs(self) -> Costs:
        """Parameters, multiply-adds, memory and feedback."""
        ...


def check_budget(codec: Codec) -> None:
    """Refuse a codec whose report exceeds its own budget.

    Raises:
        SiteTwinError: Reals and index together take more than the budget.
    """
    costs = codec.costs()
    used = costs.reals + math.ceil(costs.index_bits / codec.budget.bits_per_real)
    if used > codec.budget.reals:
        raise SiteTwinError(
            f"{type(codec).__name__} feeds back {costs.reals} reals and {costs.index_bits} index bits, which is {used} "
            f"of {codec.budget.reals} reals at {codec.budget.bits_per_real} bits each; shrink its code"
        )


def reconstruct(
    codec: Codec, data: CsiData, quantiser: UniformQuantiser | None = None, batch: int = 2048
) -> Complex[Tensor, "users taps beams"]:
    """Matrices after encoding, optional quantisation, and decoding, in batches of users; complex64."""
    x = csi_matrices(data)
    parts = []
    for part in x.split(batch):
        code = codec.encode(part)
        parts.append(codec.decode(code if quantiser is None else quantiser(code)))
    return torch.cat(parts) if parts else x.clone()


@dataclass(frozen=True, eq=False)
class UniformQuantiser:
    """Uniform scalar quantiser with its own range and number of bits for each value of a code.

    Attributes:
        bits: int64, bits of each value; a value with 0 bits is replaced by the middle of its range.
        low: float32, lower end of the range.
        high: float32, upper end.
    """

    bits: Int[Tensor, " reals"]
    low: Float[Tensor, " reals"]
    high: Float[Tensor, " reals"]

    @classmethod
    def fit(
        cls, codec: Codec, data: CsiData, allocation: Literal["equal", "variance"] = "equal", batch: int = 2048
    ) -> UniformQuantiser:
        """Ranges that minimise the squared error on the codes of training matrices.

        The bits are exactly those of the codec's budget less those of its index.

        Args:
            codec: The codec.
            data: Training matrices, never test ones.
            allocation: "equal" gives every value the same bits (those that remain go to the values of largest
                variance); "variance" gives each next bit to the value of largest remaining distortion, sigma^2 4^-b.
            batch: Users per batch.

        Raises:
            SiteTwinError: There are no training matrices, or the allocation is unknown.
        """
        x = csi_matrices(data)
        if not len(x):
            raise SiteTwinError("a quantiser is fitted to the codes of at least one training matrix; give some")
        values = torch.cat([codec.encode(part).values for part in x.split(batch)])
        bits = _allocate(values, codec.budget.bits - codec.costs().index_bits, allocation)
        low, high = _best_range(values, bits)
        return cls(bits, low, high)

    def __call__(self, code: Code) -> Code:
        """The code as the base station gets it.

        Raises:
            SiteTwinError: The code has another number of values than those that the quantiser was fitted to.
        """
        if code.values.shape[1] != len(self.bits):
            raise SiteTwinError(
                f"the quantiser was fitted to codes of {len(self.bits)} values, and this one has "
                f"{code.values.shape[1]}; fit a quantiser to this codec"
            )
        return Code(self.centres(self.cells(code.values)), code.index)

    def cells(self, values: Float[Tensor, "users reals"]) -> Float[Tensor, "users reals"]:
        """Number of the cell in which each value lies: a whole number from 0 to 2^bits - 1."""
        return _cells(values, self.bits, self.low, self.high)

    def centres(self, cells: Float[Tensor, "users reals"]) -> Float[Tensor, "users reals"]:
        """Value in the middle of each cell."""
        return self.low + (cells + 0.5) * _step(self.bits, self.low, self.high)


def _step(bits: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return ((high - low) / 2.0**bits).clamp_min(1e-12)


def _cells(values: Tensor, bits: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return torch.minimum(((values - low) / _step(bits, low, high)).floor().clamp_min(0), 2.0**bits - 1)


def _quantise(values: Tensor, bits: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return low + (_cells(values, bits, low, high) + 0.5) * _step(bits, low, high)


def _allocate(values: Tensor, total: int, allocation: str) -> Tensor:
    count = values.shape[1]
    if count == 0:
        return torch.zeros(0, dtype=torch.int64)
    variance = values.var(dim=0, correction=0)
    if allocation == "equal":
        bits = torch.full((count,), total // count, dtype=torch.int64)
        bits[variance.argsort(descending=True, stable=True)[: total % count]] += 1
        return bits
    if allocation != "variance":
        raise SiteTwinError(f"unknown bit allocation '{allocation}'; choose equal or variance")
    bits = torch.zeros(count, dtype=torch.int64)
    for _ in range(total):
        bits[(variance * 4.0**-bits).argmax()] += 1
    return bits


def _best_range(values: Tensor, bits: Tensor) -> tuple[Tensor, Tensor]:
    """Range per value, between a tenth of and all of what the training codes span, by exhaustive comparison."""
    if values.shape[1] == 0:
        return values.new_zeros(0), values.new_zeros(0)
    centre = values.mean(dim=0)
    below, above = centre - values.amin(dim=0), values.amax(dim=0) - centre
    best = torch.full_like(centre, math.inf)
    low, high = centre - below, centre + above
    for share in torch.linspace(0.1, 1.0, 19).tolist():
        a, b = centre - share * below, centre + share * above
        error = (_quantise(values, bits, a, b) - values).square().mean(dim=0)
        better = error < best
        best, low, high = torch.where(better, error, best), torch.where(better, a, low), torch.where(better, b, high)
    return low, high
