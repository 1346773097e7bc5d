"""Reports whose length is each user's own: whole numbers in fields of bits, and numbers of combinations."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Int, UInt8

from sitetwin.errors import SiteTwinError


def bits_for(values: int) -> int:
    """Bits that tell so many values apart."""
    return max(values - 1, 0).bit_length()


def pack_fields(
    numbers: Int[np.ndarray, "users fields"], widths: Int[np.ndarray, "users fields"]
) -> tuple[UInt8[np.ndarray, " bytes"], Int[np.ndarray, " users"]]:
    """Write whole numbers into fields of bits, highest bit first, each report from a whole byte on.

    Args:
        numbers: Whole numbers from 0 on, each below two to the power of its width.
        widths: Bits of each field; a field of no bits is absent.

    Returns:
        The payload and the bits of each report.

    Raises:
        SiteTwinError: A number does not fit.
    """
    if ((numbers < 0) | (numbers >> widths != 0)).any():
        raise SiteTwinError("a number does not fit into its bits; give those of this codec")
    bits = widths.sum(axis=1)
    widths = np.column_stack([widths, -bits % 8])
    numbers = np.column_stack([numbers, np.zeros(len(numbers), np.int64)]).ravel()
    flat = widths.ravel()
    places = np.repeat(np.arange(len(flat)), flat)
    begins = np.repeat(np.cumsum(flat) - flat, flat)
    shifts = flat[places] - 1 - (np.arange(len(places)) - begins)
    return np.packbits(((numbers[places] >> shifts) & 1).astype(np.uint8)), bits.astype(np.int64)


def unpack_bits(
    payload: UInt8[np.ndarray, " bytes"], bits: Int[np.ndarray, " users"]
) -> UInt8[np.ndarray, "users bits"]:
    """The bits of each report, zeros behind its end."""
    starts = np.concatenate([[0], np.cumsum((bits + 7) // 8)]) * 8
    everything = np.unpackbits(payload)
    longest = int(bits.max(initial=0))
    columns = np.arange(longest)
    inside = columns < bits[:, None]
    places = np.where(inside, starts[:-1, None] + columns, 0)
    found = everything[places] if len(everything) else np.zeros(places.shape, np.uint8)
    return np.where(inside, found, 0).astype(np.uint8)


def read_field(bits: UInt8[np.ndarray, "users bits"], begin: int, width: int) -> Int[np.ndarray, " users"]:
    """The whole number in some of the bits, highest bit first."""
    return bits[:, begin : begin + width].astype(np.int64) @ (1 << np.arange(width, dtype=np.int64))[::-1]


def combination_numbers(chosen: Int[np.ndarray, "users chosen"]) -> Int[np.ndarray, " users"]:
    """The number of each combination among all of its size: the sum of C(c_i, i + 1) over its ascending elements."""
    numbers = np.zeros(len(chosen), np.int64)
    for i, elements in enumerate(np.sort(chosen, axis=1).T):
        table = np.array([math.comb(c, i + 1) for c in range(int(elements.max(initial=0)) + 1)], np.int64)
        numbers += table[elements]
    return numbers


def combinations_of(numbers: Int[np.ndarray, " users"], of: int, size: int) -> Int[np.ndarray, "users chosen"]:
    """The combinations of `size` out of `of` with these numbers, ascending: the inverse of `combination_numbers`.

    Raises:
        SiteTwinError: There is no combination of a number.
    """
    if (numbers >= math.comb(of, size)).any():
        raise SiteTwinError(
            f"there is no such choice of {size} out of {of}; decode reports with the codec that made them"
        )
    left = numbers.copy()
    chosen = np.zeros((len(numbers), size), np.int64)
    for i in range(size - 1, -1, -1):
        table = np.array([math.comb(c, i + 1) for c in range(of)], np.int64)
        chosen[:, i] = np.searchsorted(table, left, side="right") - 1
        left -= table[chosen[:, i]]
    return chosen
