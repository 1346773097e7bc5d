"""Reports: the bits that users feed back, and the file that holds them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from sitetwin.errors import SiteTwinError
from sitetwin.store.outputs import new_file
from sitetwin.untrusted import parse_json
from sitetwin.untrusted.arrays import read_npz

FORMAT = "sitetwin.csi-reports/1"

_MEND = "encode the channels again"
_LARGEST_ABOUT = 1 << 16
_MOST_BITS = 1 << 24  # of one report


@dataclass(frozen=True, eq=False)
class Reports:
    """What N users feed back, bit by bit, and the codec whose these bits are.

    Attributes:
        payload: All reports one after the other; each begins at a whole byte, its first bit is the highest one.
        bits: Bits of each report.
        codec: Hash of the codec.
        version: Version of the codec.
    """

    payload: UInt8[np.ndarray, " bytes"]
    bits: Int[np.ndarray, " users"]
    codec: str
    version: int

    def __post_init__(self) -> None:
        sizes = self.bits
        if (sizes < 0).any() or (sizes > _MOST_BITS).any() or int(((sizes + 7) // 8).sum()) != len(self.payload):
            raise SiteTwinError("these reports have other lengths than their bytes; take them as they were encoded")

    def __len__(self) -> int:
        return len(self.bits)

    def save(self, path: Path | str) -> None:
        """Write the reports into a NumPy archive that is not there yet.

        Raises:
            SiteTwinError: Something is there, the name does not end in .npz, or the disk cannot be written.
        """
        path = Path(path)
        if path.suffix != ".npz":
            raise SiteTwinError(f"{path} does not end in .npz, as reports do; name the file so")
        about = json.dumps({"format": FORMAT, "codec": self.codec, "version": self.version}, sort_keys=True)
        with new_file(path, _MEND) as (file, _):
            np.savez(file, about=np.frombuffer(about.encode(), np.uint8), payload=self.payload, bits=self.bits)

    @classmethod
    def load(cls, path: Path | str) -> Reports:
        """Read reports that `save` wrote.

        Raises:
            SiteTwinError: The file is missing, damaged, or holds something else.
        """
        what = f"the file of reports '{path}'"
        arrays = read_npz(Path(path), what, _MEND, ("about", "payload", "bits"))
        about, payload, bits = arrays["about"], arrays["payload"], arrays["bits"]
        if (about.dtype, payload.dtype, bits.dtype) != (np.uint8, np.uint8, np.int64) or payload.ndim * bits.ndim != 1:
            raise SiteTwinError(f"{what} holds arrays of other types; {_MEND}")
        facts = parse_json(about.tobytes(), what, _MEND, largest=_LARGEST_ABOUT)
        known = isinstance(facts, dict) and facts.get("format") == FORMAT
        if not known or type(facts.get("version")) is not int or not is_hash(facts.get("codec")):
            raise SiteTwinError(f"{what} does not say whose codec's they are; {_MEND}")
        try:
            return cls(payload, bits, facts["codec"], facts["version"])
        except SiteTwinError as error:
            raise SiteTwinError(f"{what}: {error}") from error


def is_hash(text: object) -> bool:
    """Whether something is a SHA-256 in hexadecimal digits."""
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{64}", text) is not None


def pack(
    numbers: Int[np.ndarray, "users numbers"], bits: Int[np.ndarray, " numbers"]
) -> tuple[UInt8[np.ndarray, " bytes"], Int[np.ndarray, " users"]]:
    """Write whole numbers into reports of equal length.

    Args:
        numbers: Whole numbers from 0 on, each below two to the power of its bits.
        bits: Bits of each number, highest bit first; at most 62.

    Returns:
        The payload and the bits of each report.
    """
    if len(numbers) and ((numbers < 0) | (numbers >> bits != 0)).any():
        raise SiteTwinError("a number does not fit into its bits; give those of this codec")
    shifts, places = _places(bits)
    flat = ((numbers[:, places] >> shifts) & 1).astype(np.uint8)
    return np.packbits(flat, axis=1).ravel(), np.full(len(numbers), len(shifts), np.int64)


def unpack(
    payload: UInt8[np.ndarray, " bytes"], users: int, bits: Int[np.ndarray, " numbers"]
) -> Int[np.ndarray, "users numbers"]:
    """The whole numbers of reports of equal length: the inverse of `pack`."""
    shifts, places = _places(bits)
    size = (len(shifts) + 7) // 8
    flat = np.unpackbits(payload.reshape(users, size), axis=1, count=len(shifts)).astype(np.int64) << shifts
    numbers = np.zeros((users, len(bits)), np.int64)
    for bit in range(len(shifts)):
        numbers[:, places[bit]] |= flat[:, bit]
    return numbers


def _places(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each bit of a report how far it is shifted, and of which number it is."""
    places = np.repeat(np.arange(len(bits)), bits)
    begins = np.repeat(np.cumsum(bits) - bits, bits)
    return bits[places] - 1 - (np.arange(len(places)) - begins), places
