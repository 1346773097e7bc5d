"""The enhanced Type II codebook of 3GPP Release 16 as a coder of whole channels."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Complex, Int, UInt8
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.cell.coder import Fit
from sitetwin.learn.cell.generic.base import CHOSEN_ON, SitelessCoder, mean_error
from sitetwin.learn.cell.generic.bit_fields import (
    bits_for,
    combination_numbers,
    combinations_of,
    pack_fields,
    read_field,
    unpack_bits,
)
from sitetwin.learn.cell.generic.etype2_tables import (
    DIFFERENTIAL,
    DIFFERENTIAL_BITS,
    OVERSAMPLING,
    PHASE_BITS,
    REFERENCE,
    Sizes,
    fitting_sizes,
)
from sitetwin.learn.csi.neural import unit_norm
from sitetwin.learn.energy import power
from sitetwin.learn.model_files import ModelFile

_PHASES = 1 << PHASE_BITS


class EnhancedType2Coder(SitelessCoder):
    """Enhanced Type II, rank 1: beams of an oversampled DFT, delays of a DFT over frequency, quantised coefficients.

    A report holds the rotation of the group of orthogonal beams, the L beams, the M delays, a bitmap of the
    coefficients that are not zero, which of them is strongest, and the others' amplitudes and phases relative to it:
    3 bits and 4 bits (16-PSK), and 4 bits for the weaker polarisation's reference.

    Deviations from 3GPP TS 38.214, section 5.2.2.2.5 (Release 16):

    - The frequency units N3 are as many as the delay taps, evenly over the band, whatever the number of its resource
      blocks: their DFT vectors are then the kept taps. Small bands have fewer subbands in the standard.
    - The standard lets the strongest coefficient's delay and phase go, as a precoder does not need them. Here both are
      sent (log2 N3 and 4 bits), so that the channel itself can be judged by its NMSE.
    - Arrays of one polarisation have P = 1; the standard knows two alone. Numbers of positions outside of its table
      (as 32 in a row) are allowed.
    - All 8 combinations of parameters are tried for any array, and as few coefficients are sent as the bits allow; the
      standard's report has the length that its coefficients need.
    - The strongest coefficient is counted among all that are not zero; the standard counts those of its delay, in as
      many bits.
    - Coefficients so weak that zero is nearer than the smallest amplitude count as zero.

    Args:
        sizes: Sizes of the report.
        bits: Most bits of a report.
    """

    kind: ClassVar[str] = "etype2"
    in_words: ClassVar[str] = "the enhanced Type II codebook"

    sizes: Sizes

    def __init__(self, sizes: Sizes, bits: int) -> None:
        self.sizes, self.bits = sizes, bits
        self.shape = (sizes.units, sizes.ports * sizes.rows * sizes.columns)

    def encode(
        self, x: Complex[Tensor, "users taps beams"]
    ) -> tuple[UInt8[np.ndarray, " bytes"], Int[np.ndarray, " users"]]:
        """See `CellCoder.encode`; the lengths of reports differ."""
        s, users = self.sizes, np.arange(len(x))
        rotations, beams, y = self._chosen_beams(x)
        flat = power(y).flatten(1)
        strongest = flat.argmax(1).numpy()  # of (port, beam, delay)
        delay = strongest % s.units
        z = _rolled(y, -delay)
        window, delays = self._chosen_delays(power(z).sum((1, 2)).numpy())
        c = np.take_along_axis(z.numpy(), _columns(delays), axis=3).reshape(len(x), s.places)
        first = (strongest // s.units) * s.delays + (delays == 0).argmax(1)
        numbers = self._coefficients(c, first)
        offsets = (delays - window[:, None]) % s.units
        rest = offsets - (offsets > (-window % s.units)[:, None])
        fixed = np.column_stack(
            [
                rotations,
                combination_numbers(beams),
                delay,
                -window,
                combination_numbers(rest[delays != 0].reshape(len(x), s.delays - 1)),
                numbers["bitmap"].sum(1) - 1,
                numbers["phase"],
                numbers["reference"],
            ]
        )
        kept = numbers["bitmap"].astype(bool)
        kept[users, first] = False
        place = np.cumsum(numbers["bitmap"], axis=1)[users, first] - 1
        count = numbers["bitmap"].sum(1)
        widths = np.column_stack(
            [
                np.broadcast_to(list(s.fields.values()), (len(x), len(s.fields))),
                np.ones((len(x), s.places), np.int64),
                _bits_for(count),
                kept * DIFFERENTIAL_BITS,
                kept * PHASE_BITS,
            ]
        )
        amplitudes, phases = np.where(kept, numbers["amplitudes"], 0), np.where(kept, numbers["phases"], 0)
        return pack_fields(np.column_stack([fixed, numbers["bitmap"], place, amplitudes, phases]), widths)

    def decode(
        self, payload: UInt8[np.ndarray, " bytes"], bits: Int[np.ndarray, " users"]
    ) -> Complex[Tensor, "users taps beams"]:
        """See `CellCoder.decode`."""
        s, users = self.sizes, len(bits)
        whole = sum(s.fields.values()) + s.places
        if (bits < whole).any():
            raise self._refusal(int((bits < whole).argmax()))
        told = unpack_bits(payload, bits)
        fields, begin = {}, 0
        for name, width in s.fields.items():
            fields[name] = read_field(told, begin, width)
            begin += width
        bitmap = told[:, begin : begin + s.places].astype(bool)
        count = bitmap.sum(1)
        wrong = (count != fields["count"] + 1) | (count > s.most) | (bits != _lengths(s, count))
        if wrong.any():
            raise self._refusal(int(wrong.argmax()))
        amplitudes, phases = np.zeros((users, s.places), np.int64), np.zeros((users, s.places), np.int64)
        first = np.zeros(users, np.int64)
        for number in np.unique(count).tolist():
            rows = np.flatnonzero(count == number)
            place = read_field(told[rows], whole, bits_for(number))
            if (place >= number).any():
                raise self._refusal(int(rows[(place >= number).argmax()]))
            where = np.nonzero(bitmap[rows])[1].reshape(len(rows), number)
            first[rows] = where[np.arange(len(rows)), place]
            others = where[np.arange(number) != place[:, None]].reshape(len(rows), number - 1)
            begin = whole + bits_for(number)
            for found, width in ((amplitudes, DIFFERENTIAL_BITS), (phases, PHASE_BITS)):
                for i in range(number - 1):
                    found[rows, others[:, i]] = read_field(told[rows], begin, width)
                    begin += width
        return self._rebuilt(fields, bitmap, first, amplitudes, phases)

    def _refusal(self, user: int) -> SiteTwinError:
        return SiteTwinError(
            f"the report of user {user} is none of {self.in_words} with these sizes; decode it with the "
            "codec that made it"
        )

    def _rebuilt(
        self,
        fields: dict[str, np.ndarray],
        bitmap: np.ndarray,
        first: np.ndarray,
        amplitudes: np.ndarray,
        phases: np.ndarray,
    ) -> Tensor:
        """Matrices of what reports say."""
        s, users = self.sizes, np.arange(len(first))
        amplitude = DIFFERENTIAL[amplitudes].reshape(len(first), s.ports, -1)
        if s.ports == 2:
            weaker = 1 - first // (s.beams * s.delays)
            if (fields["reference"] == 0).any():
                raise self._refusal(int((fields["reference"] == 0).argmax()))
            amplitude[users, weaker] *= REFERENCE[fields["reference"] - 1][:, None]
        c = amplitude.reshape(len(first), -1) * np.exp(2j * np.pi * phases / _PHASES) * bitmap
        c[users, first] = 1
        c *= np.exp(2j * np.pi * fields["phase"] / _PHASES)[:, None]
        window = -fields["window"]
        own = -window % s.units  # place of the strongest delay in the window
        if (own >= s.reach).any():
            raise self._refusal(int((own >= s.reach).argmax()))
        rest = combinations_of(fields["delays"], s.reach - 1, s.delays - 1)
        offsets = np.sort(np.column_stack([own, rest + (rest >= own[:, None])]), axis=1)
        delays = (offsets + window[:, None]) % s.units
        z = np.zeros((len(first), s.ports, s.beams, s.units), np.complex64)
        np.put_along_axis(z, _columns(delays), c.reshape(len(first), s.ports, s.beams, s.delays), axis=3)
        y = _rolled(torch.from_numpy(z), fields["delay"])
        beams = combinations_of(fields["beams"], s.rows * s.columns, s.beams)
        whole = torch.zeros(len(first), s.ports, s.rows * s.columns, s.units, dtype=torch.complex64)
        index = torch.from_numpy(beams)[:, None, :, None].expand(-1, s.ports, -1, s.units)
        whole.scatter_(2, index, y)
        turned = torch.from_numpy(np.column_stack([fields["column rotation"], fields["row rotation"]]))
        antennas = torch.fft.ifft2(self._panels(whole.permute(0, 3, 1, 2)), norm="ortho")
        antennas = antennas * self._ramp(turned)[:, None, None]
        x = torch.fft.fftshift(torch.fft.fft2(antennas, norm="ortho"), dim=(-2, -1)).reshape(len(first), *self.shape)
        return unit_norm(x)

    def _panels(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), self.sizes.units, self.sizes.ports, self.sizes.rows, self.sizes.columns)

    def _ramp(self, rotations: Tensor) -> Tensor:
        """(users, rows, columns) phases that turn the beams between those of the DFT."""
        s = self.sizes
        row = rotations[:, 1, None] * torch.arange(s.rows) / (OVERSAMPLING * s.rows)
        column = rotations[:, 0, None] * torch.arange(s.columns) / (OVERSAMPLING * s.columns)
        angle = 2 * math.pi * (row[:, :, None] + column[:, None, :])
        return torch.polar(torch.ones_like(angle), angle)

    def _chosen_beams(self, x: Tensor) -> tuple[np.ndarray, np.ndarray, Tensor]:
        """Rotations (column, row), the strongest beams ascending, and (users, ports, beams, delays) in them."""
        s = self.sizes
        antennas = torch.fft.ifft2(torch.fft.ifftshift(self._panels(x), dim=(-2, -1)), norm="ortho")
        best = torch.full((len(x),), -1.0)
        rotations = torch.zeros(len(x), 2, dtype=torch.int64)
        beams = torch.zeros(len(x), s.beams, dtype=torch.int64)
        y = torch.zeros(len(x), s.ports, s.beams, s.units, dtype=torch.complex64)
        for column in range(OVERSAMPLING if s.columns > 1 else 1):
            for row in range(OVERSAMPLING if s.rows > 1 else 1):
                turned = torch.tensor([[column, row]])
                spectrum = torch.fft.fft2(antennas * self._ramp(turned)[:, None, None].conj(), norm="ortho").flatten(3)
                strength, chosen = power(spectrum).sum((1, 2)).topk(s.beams, dim=1)
                better = strength.sum(1) > best
                best = torch.where(better, strength.sum(1), best)
                rotations[better] = turned
                beams[better] = chosen[better].sort(dim=1).values
                index = beams[better][:, None, None, :].expand(-1, s.units, s.ports, -1)
                y[better] = spectrum[better].gather(3, index).permute(0, 2, 3, 1)
        return rotations.numpy(), beams.numpy(), y

    def _chosen_delays(self, strength: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the best window begins (0 or before), and the delays in it from there on; 0 is among them."""
        s, users = self.sizes, np.arange(len(strength))
        best, window = np.full(len(strength), -1.0), np.zeros(len(strength), np.int64)
        delays = np.zeros((len(strength), s.delays), np.int64)
        sure = strength.copy()
        sure[:, 0] = np.inf
        for begin in range(0, -s.reach, -1) if s.windowed else (0,):
            inside = (np.arange(s.reach) + begin) % s.units
            order = np.sort(np.argsort(-sure[:, inside], axis=1, kind="stable")[:, : s.delays], axis=1)
            found = inside[order]
            total = strength[users[:, None], found].sum(1)
            better = total > best
            best, window = np.where(better, total, best), np.where(better, begin, window)
            delays[better] = found[better]
        return window, delays

    def _coefficients(self, c: np.ndarray, first: np.ndarray) -> dict[str, np.ndarray]:
        """Bitmap, phase of the strongest, reference of the weaker polarisation, numbers of amplitudes and phases."""
        s, users = self.sizes, np.arange(len(c))
        strongest = c[users, first]
        phase = _phase_numbers(np.angle(strongest))
        told = np.abs(strongest) * np.exp(2j * np.pi * phase / _PHASES)  # what the base station turns the others by
        ratio = c / told[:, None]
        strength = np.abs(ratio).reshape(len(c), s.ports, -1)
        scale, reference = np.ones((len(c), s.ports)), np.zeros(len(c), np.int64)
        if s.ports == 2:
            weaker = 1 - first // (s.beams * s.delays)
            largest = strength.max(2)[users, weaker]
            number = np.abs(REFERENCE - largest[:, None]).argmin(1)
            reference = number + 1
            scale[users, weaker] = REFERENCE[number]
        relative = (strength / scale[:, :, None]).reshape(len(c), -1)
        amplitudes = np.abs(DIFFERENTIAL - relative[:, :, None]).argmin(2)
        order = np.argsort(-np.abs(c), axis=1, kind="stable")
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(s.places)[None], axis=1)
        bitmap = (rank < s.most) & (relative >= DIFFERENTIAL[0] / 2)
        bitmap[users, first] = True
        return {
            "bitmap": bitmap.astype(np.int64),
            "phase": phase,
            "reference": reference,
            "amplitudes": amplitudes,
            "phases": _phase_numbers(np.angle(ratio)),
        }

    def facts(self) -> dict[str, Any]:
        """See `CellCoder.facts`; multiply-adds are those of the DFTs, by fast transforms."""
        s = self.sizes
        positions = s.rows * s.columns
        transforms = OVERSAMPLING ** ((s.columns > 1) + (s.rows > 1))
        butterfly = 2 * s.units * s.ports * positions * max(1, math.ceil(math.log2(positions)))
        return {
            "codec": self.kind,
            "bits": self.bits,
            "combination": s.combination,
            "precoders_per_subband": s.per_subband,
            "beams": s.beams,
            "delays": s.delays,
            "most_coefficients": s.most,
            "multiply_adds_ue": (transforms + 1) * butterfly + 4 * transforms * s.units * s.ports * positions,
            "multiply_adds_bs": 2 * butterfly + 4 * s.units * s.ports * positions,
            "bytes_ue": 0,
            "bytes_bs": 0,
        }

    @classmethod
    def restored(cls, file: ModelFile, shape: tuple[int, int]) -> EnhancedType2Coder:
        """See `CellCoder.restored`."""
        sizes, bits = file.parameter("sizes", Sizes), file.parameter("bits", int)
        known = shape == (sizes.units, sizes.ports * sizes.rows * sizes.columns)
        if not known or min(asdict(sizes).values()) < 1 or sizes.ports > 2 or bits < 1:
            raise file.refusal("its sizes are none of its matrices")
        if sizes not in fitting_sizes(sizes.ports, sizes.rows, sizes.columns, sizes.units, bits):
            raise file.refusal("its report does not fit into its bits")
        return cls(sizes, bits)


def etype2(rows: int = 1, columns: int | None = None, ports: int = 1) -> Fit:
    """How an enhanced Type II coder is made: of training matrices only the combination of parameters is taken.

    Args:
        rows: Rows of the array.
        columns: Columns of the array; by default all beams.
        ports: Polarisations, 1 or 2.

    Raises:
        SiteTwinError: As it is used: the array is none of the matrices, or no combination fits into the bits.
    """

    def fit(x: Tensor, bits: int, rng: torch.Generator) -> EnhancedType2Coder:
        wide = x.shape[2] // (rows * ports) if columns is None else columns
        if ports not in (1, 2) or rows < 1 or ports * rows * wide != x.shape[2]:
            raise SiteTwinError(
                f"an array of {rows} x {wide} positions with {ports} ports is not that of {x.shape[2]} beams; give its "
                "rows, columns and one or two ports"
            )
        sizes = fitting_sizes(ports, rows, wide, x.shape[1], bits)
        if not sizes:
            raise SiteTwinError(
                f"no report of the enhanced Type II codebook of this array fits into {bits} bits; give more bits"
            )
        some = x[torch.randperm(len(x), generator=rng)[:CHOSEN_ON]]
        coders = [EnhancedType2Coder(one, bits) for one in sizes]
        return min(coders, key=lambda coder: mean_error(coder, some))

    return fit


def _columns(delays: np.ndarray) -> np.ndarray:
    return delays[:, None, None, :]


def _rolled(y: Tensor, by: np.ndarray) -> Tensor:
    """(users, ports, beams, delays) moved along the delays, each user's by its own number."""
    units = y.shape[3]
    index = (torch.arange(units) - torch.from_numpy(np.asarray(by))[:, None]) % units
    return y.gather(3, index[:, None, None, :].expand(y.shape))


def _phase_numbers(angle: np.ndarray) -> np.ndarray:
    return np.rint(angle * _PHASES / (2 * np.pi)).astype(np.int64) % _PHASES


def _bits_for(counts: np.ndarray) -> np.ndarray:
    return np.array([bits_for(int(count)) for count in counts], np.int64)


def _lengths(sizes: Sizes, counts: np.ndarray) -> np.ndarray:
    return np.array([sizes.bits(int(count)) for count in counts], np.int64)
