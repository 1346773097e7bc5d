"""Sparse coding in delay and angle: orthogonal matching pursuit, its support counted in bits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Complex, Float, Int, UInt8
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.cell.coder import refuse_bits
from sitetwin.learn.cell.generic.base import CHOSEN_ON, SitelessCoder
from sitetwin.learn.cell.generic.bit_fields import bits_for
from sitetwin.learn.cell.reports import pack, unpack
from sitetwin.learn.csi.metrics import nmse
from sitetwin.learn.energy import power
from sitetwin.learn.model_files import ModelFile

_OVERSAMPLING = (1, 2, 4)
_AMPLITUDE_BITS = (2, 3, 4)
_PHASE_BITS = (3, 4, 5)
_BATCH = 512
_RIDGE = 1e-6  # neighbours of a fine grid are nearly the same atom
_WEAKEST_SHARE = 0.01  # of the training amplitudes that lie below the quantiser's range
_MOST_ATOMS = 1 << 10
_FINEST = 4096  # atoms along one axis


@dataclass(frozen=True)
class OmpSizes:
    """Sizes of a report.

    Attributes:
        taps: Delay taps.
        beams: Angle bins.
        oversampling: Atoms per tap and per bin.
        atoms: Atoms of a report.
        amplitude_bits: Bits of an amplitude, uniform in dB.
        phase_bits: Bits of a phase.
        low_db: Lower end of the amplitudes' range, dB.
        high_db: Upper end.
    """

    taps: int
    beams: int
    oversampling: int
    atoms: int
    amplitude_bits: int
    phase_bits: int
    low_db: float = 0.0
    high_db: float = 0.0

    @property
    def index_bits(self) -> int:
        """Bits that name an atom."""
        return bits_for(self.taps * self.beams * self.oversampling**2)

    @property
    def fields(self) -> np.ndarray:
        """Bits of the fields of a report: for each atom its number, its amplitude, its phase."""
        return np.tile([self.index_bits, self.amplitude_bits, self.phase_bits], self.atoms).astype(np.int64)


class OmpCoder(SitelessCoder):
    """The strongest atoms of an oversampled DFT over delay and angle, by orthogonal matching pursuit.

    A report names the atoms, each in the bits of its number, and holds amplitude and phase of each, fitted to all by
    least squares. An atom is the response of a path at one delay and one angle of a linear array, over a band far wider
    than a subcarrier; without oversampling it is one element of the matrix, for every array. Oversampling and the
    split of the bits are those of least error on training matrices.

    Args:
        sizes: Sizes of the report.
        bits: Most bits of a report.
    """

    kind: ClassVar[str] = "omp"
    in_words: ClassVar[str] = "matching pursuit"

    sizes: OmpSizes

    def __init__(self, sizes: OmpSizes, bits: int) -> None:
        self.sizes, self.bits = sizes, bits
        self.shape = (sizes.taps, sizes.beams)
        self._delays, self._angles = _atoms(sizes.taps, sizes.beams, sizes.oversampling)

    def encode(
        self, x: Complex[Tensor, "users taps beams"]
    ) -> tuple[UInt8[np.ndarray, " bytes"], Int[np.ndarray, " users"]]:
        """See `CellCoder.encode`."""
        s = self.sizes
        parts = [_pursuit(part, self._delays, self._angles, (s.atoms,))[s.atoms] for part in x.split(_BATCH)]
        empty = torch.zeros(0, s.atoms)
        support = torch.cat([p[0] for p in parts]) if parts else empty.long()
        gains = torch.cat([p[1] for p in parts]) if parts else empty.to(torch.complex64)
        amplitude, phase = _cells(gains, s)
        numbers = torch.stack([support, amplitude, phase], dim=2).flatten(1)
        return pack(numbers.numpy(), s.fields)

    def decode(
        self, payload: UInt8[np.ndarray, " bytes"], bits: Int[np.ndarray, " users"]
    ) -> Complex[Tensor, "users taps beams"]:
        """See `CellCoder.decode`."""
        s = self.sizes
        refuse_bits(bits, int(s.fields.sum()), self.in_words)
        numbers = torch.from_numpy(unpack(payload, len(bits), s.fields)).reshape(len(bits), s.atoms, 3)
        support = numbers[:, :, 0]
        if bool((support >= self._delays.shape[1] * self._angles.shape[1]).any()):
            raise SiteTwinError("a report names an atom that there is not; decode it with the codec that made it")
        gains = _centres(numbers[:, :, 1], numbers[:, :, 2], s)
        return _sum(support, gains, self._delays, self._angles)

    def facts(self) -> dict[str, Any]:
        """See `CellCoder.facts`; multiply-adds of the correlations and of the residuals."""
        s = self.sizes
        fine = s.oversampling * s.taps, s.oversampling * s.beams
        correlate = 2 * fine[0] * s.taps * s.beams + 4 * fine[0] * s.beams * fine[1] if s.oversampling > 1 else 0
        held = 4 * (s.taps * fine[0] + 2 * s.beams * fine[1]) if s.oversampling > 1 else 0
        rebuild = 8 * s.atoms * s.taps * s.beams
        return {
            "codec": self.kind,
            "bits": int(s.fields.sum()),
            "atoms": s.atoms,
            "oversampling": s.oversampling,
            "amplitude_bits": s.amplitude_bits,
            "phase_bits": s.phase_bits,
            "multiply_adds_ue": s.atoms * (correlate + rebuild // 2),
            "multiply_adds_bs": rebuild,
            "bytes_ue": held,
            "bytes_bs": held,
        }

    @classmethod
    def restored(cls, file: ModelFile, shape: tuple[int, int]) -> OmpCoder:
        """See `CellCoder.restored`."""
        s, bits = file.parameter("sizes", OmpSizes), file.parameter("bits", int)
        known = shape == (s.taps, s.beams) and s.oversampling in _OVERSAMPLING and 1 <= s.atoms <= _MOST_ATOMS
        known = known and s.oversampling * max(shape) <= _FINEST
        if not known or s.amplitude_bits not in _AMPLITUDE_BITS or s.phase_bits not in _PHASE_BITS:
            raise file.refusal("its sizes are none of its matrices")
        if int(s.fields.sum()) > bits or not s.low_db <= s.high_db:
            raise file.refusal("its report does not fit into its bits")
        return cls(s, bits)


def fit_omp(x: Complex[Tensor, "users taps beams"], bits: int, rng: torch.Generator) -> OmpCoder:
    """A coder whose oversampling and split of the bits are those of least error on training matrices.

    Args:
        x: Normalised training matrices.
        bits: Most bits of a report.
        rng: Draws those matrices on which sizes are compared.

    Raises:
        SiteTwinError: Not one atom fits into the bits, or more do than are sought.
    """
    some = x[torch.randperm(len(x), generator=rng)[:CHOSEN_ON]]
    best: tuple[float, OmpSizes] | None = None
    for oversampling in (one for one in _OVERSAMPLING if one == 1 or one * max(x.shape[1:]) <= _FINEST):
        tried = [
            replace(sizes, atoms=atoms)
            for amplitude in _AMPLITUDE_BITS
            for phase in _PHASE_BITS
            for sizes in [OmpSizes(x.shape[1], x.shape[2], oversampling, 1, amplitude, phase)]
            if 1 <= (atoms := min(bits // int(sizes.fields.sum()), x.shape[1] * x.shape[2])) <= _MOST_ATOMS
        ]
        delays, angles = _atoms(x.shape[1], x.shape[2], oversampling)
        found = _pursuit(some, delays, angles, tuple({sizes.atoms for sizes in tried}))
        for sizes in tried:
            support, gains = found[sizes.atoms]
            ranged = _ranged(sizes, gains)
            back = _sum(support, _centres(*_cells(gains, ranged), ranged), delays, angles)
            error = float(nmse(some, back).mean())
            if best is None or error < best[0]:
                best = error, ranged
    if best is None and bits > int(OmpSizes(x.shape[1], x.shape[2], 1, 1, 2, 3).fields.sum()):
        raise SiteTwinError(
            f"a report of {bits} bits has room for more than the {_MOST_ATOMS} atoms that matching pursuit seeks; give "
            "fewer bits"
        )
    if best is None:
        raise SiteTwinError(f"a report of {bits} bits has no room for one atom of matching pursuit; give more bits")
    return OmpCoder(best[1], bits)


def strongest_atoms(
    x: Complex[Tensor, "users taps beams"], atoms: int, oversampling: int = 4
) -> Complex[Tensor, "users taps beams"]:
    """Matrices of so many atoms each, whose delays, angles and gains are not quantised beyond the grid: no report.

    Args:
        x: Normalised matrices.
        atoms: Atoms of each: four real numbers an atom.
        oversampling: Atoms per tap and per bin.
    """
    delays, angles = _atoms(x.shape[1], x.shape[2], oversampling)
    parts = [_sum(*_pursuit(part, delays, angles, (atoms,))[atoms], delays, angles) for part in x.split(_BATCH)]
    return torch.cat(parts) if parts else x.clone()


def _atoms(
    taps: int, beams: int, oversampling: int
) -> tuple[Float[Tensor, "taps fine_taps"], Complex[Tensor, "beams fine_beams"]]:
    """Unit responses over the taps of paths at fractional delays, and over the angle bins of paths at any angle."""
    n = torch.arange(taps)[:, None]
    delays = torch.sinc(n - torch.arange(taps * oversampling) / oversampling)
    antennas = torch.arange(beams, dtype=torch.float64)[:, None]
    phase = 2 * torch.pi * antennas * torch.arange(beams * oversampling) / (beams * oversampling)
    waves = torch.polar(torch.ones_like(phase), phase) / beams**0.5
    angles = torch.fft.fftshift(torch.fft.fft(waves, dim=0, norm="ortho"), dim=0).to(torch.complex64)
    return delays / delays.norm(dim=0), angles


def _pursuit(x: Tensor, delays: Tensor, angles: Tensor, wanted: tuple[int, ...]) -> dict[int, tuple[Tensor, Tensor]]:
    """Support and least-squares gains after the wanted numbers of steps, for (users, taps, beams)."""
    columns = angles.shape[1]
    complex_delays = delays.to(torch.complex64)
    support = torch.zeros(len(x), 0, dtype=torch.int64)
    residual, found = x, {}
    for step in range(1, max(wanted, default=0) + 1):
        strength = power(complex_delays.T @ residual @ angles.conj()).flatten(1)
        strength.scatter_(1, support, -1.0)
        support = torch.cat([support, strength.argmax(1, keepdim=True)], dim=1)
        rows, cols = support // columns, support % columns
        t, a = delays.T[rows], angles.T[cols]  # (users, step, taps), (users, step, beams)
        gram = (t @ t.mT) * (a.conj() @ a.mT)
        gram[:, range(step), range(step)] += _RIDGE
        right = torch.einsum("unt,utb,unb->un", t.to(torch.complex64), x, a.conj())
        gains = torch.linalg.solve(gram, right[..., None])[..., 0]
        residual = x - _sum(support, gains, delays, angles)
        if step in wanted:
            found[step] = support, gains
    return found


def _sum(support: Tensor, gains: Tensor, delays: Tensor, angles: Tensor) -> Tensor:
    """(users, taps, beams): the atoms of each user times their gains."""
    columns = angles.shape[1]
    t = delays.T[support // columns].to(torch.complex64) * gains[..., None]
    return t.mT @ angles.T[support % columns]


def _ranged(sizes: OmpSizes, gains: Tensor) -> OmpSizes:
    """The sizes with the range of training amplitudes."""
    level = _level(gains).flatten()
    low = float(level.sort().values[int(_WEAKEST_SHARE * len(level))])
    return replace(sizes, low_db=low, high_db=float(level.max()))


def _level(gains: Tensor) -> Tensor:
    return 20 * torch.log10(gains.abs().clamp_min(1e-6))


def _cells(gains: Tensor, s: OmpSizes) -> tuple[Tensor, Tensor]:
    """Numbers of amplitude and phase."""
    steps = 1 << s.amplitude_bits
    step = max(s.high_db - s.low_db, 1e-6) / steps
    amplitude = ((_level(gains) - s.low_db) / step).floor().clamp(0, steps - 1).long()
    turns = 1 << s.phase_bits
    return amplitude, (torch.angle(gains) * turns / (2 * torch.pi)).round().long() % turns


def _centres(amplitude: Tensor, phase: Tensor, s: OmpSizes) -> Tensor:
    """Gains in the middle of their cells."""
    step = max(s.high_db - s.low_db, 1e-6) / (1 << s.amplitude_bits)
    level = 10 ** ((s.low_db + (amplitude + 0.5) * step) / 20)
    return torch.polar(level, phase * (2 * torch.pi / (1 << s.phase_bits)))
