"""The link that a codec is for: its array, band, delays and site. What is not of this link is refused."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr
from jaxtyping import Complex, Float
from torch import Tensor

from sitetwin.channel.antennas.descriptions import describe_radio
from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.grid import OfdmGrid, delay_taps
from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.data import PhaseReference
from sitetwin.untrusted import parse_json

DelayReference = Literal["transmission", "first-path"]

_OF_ARRAY = (
    "antennas",
    "rows_columns",
    "row_column_spacing_wavelengths",
    "port_slants_deg",
    "positions_sha256",
)
_LARGEST_SIDE = 4096  # antennas or taps
_RELATIVE = "first-path"


@dataclass(frozen=True)
class CellLink:
    """What the matrices of a codec are matrices of.

    Attributes:
        array: Description of the base station's array: antennas, rows and columns, spacing, ports, hash of the element
            positions. Its pattern and its turn are those of the world, not of the link.
        carrier_hz: Carrier, Hz.
        subcarriers: Number K of subcarriers.
        spacing_hz: Subcarrier spacing, Hz.
        taps: Delay taps that are kept.
        first_tap: Index of the first of them.
        delay_reference: Where delay 0 lies: at the "transmission", or at the "first-path" of each user.
        phase_reference: Element of a matrix that becomes real and positive, see `sitetwin.learn.prepare`.
        site: Name of the site that the channels are of; empty if unknown.
        site_hash: Hash of that site; empty if unknown.
    """

    array: dict[str, Any] = field(hash=False)
    carrier_hz: float
    subcarriers: int
    spacing_hz: float
    taps: int = 32
    first_tap: int = 0
    delay_reference: DelayReference = "transmission"
    phase_reference: PhaseReference = "corner"
    site: str = ""
    site_hash: str = ""

    def __post_init__(self) -> None:
        _ = self.grid  # refuses a band that is none
        shape, slants = self.array.get("rows_columns"), self.array.get("port_slants_deg")
        sizes = [*shape, len(slants)] if isinstance(shape, list) and isinstance(slants, list) else []
        if (
            set(self.array) != set(_OF_ARRAY)
            or len(sizes) != 3
            or not all(type(n) is int and 0 < n <= _LARGEST_SIDE for n in sizes)
        ):
            raise SiteTwinError("a codec needs a uniform array with rows and columns; give ula:N or upa:RxC")
        if math.prod(sizes) != self.array["antennas"] or math.prod(sizes) > _LARGEST_SIDE:
            raise SiteTwinError("the array of a codec has not as many antennas as rows, columns and ports")
        if not (1 <= self.taps <= min(self.subcarriers, _LARGEST_SIDE) and abs(self.first_tap) <= self.subcarriers):
            raise SiteTwinError(
                f"{self.taps} delay taps from {self.first_tap} on were asked for of {self.subcarriers} subcarriers"
            )

    @classmethod
    def of_radio(cls, radio: Radio, grid: OfdmGrid, taps: int = 32, **more: Any) -> CellLink:
        """The link of a radio and a band, for channels that carry no labels.

        Args:
            radio: The base station's radio.
            grid: The band.
            taps: Delay taps that are kept.
            **more: Further attributes.
        """
        array = {name: describe_radio(radio)[name] for name in _OF_ARRAY}
        return cls(array, float(grid.carrier_hz), grid.num_subcarriers, float(grid.spacing_hz), taps, **more)

    @classmethod
    def of_labels(cls, h: xr.DataArray, taps: int | None = None, first_tap: int | None = None) -> CellLink:
        """The link that labelled channels state, as `sitetwin.channels` makes them.

        Args:
            h: Channels of the quantity "cfr" or "delay-angle".
            taps: Delay taps that are kept of frequency responses, 32 by default; those of delay-angle channels are
                what they are.
            first_tap: Index of the first of them, 0 by default.

        Raises:
            SiteTwinError: A label is missing, or is none.
        """
        facts = h.attrs
        if "tx" not in facts or "carrier_hz" not in facts or "num_subcarriers" not in facts:
            raise SiteTwinError(
                "these channels do not say of which array and band they are; give those of sitetwin.channels, or the "
                "link beside them (link=CellLink.of_radio(radio, grid))"
            )
        try:
            return cls._stated(h, taps, first_tap)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise SiteTwinError(
                "the labels of these channels are none of sitetwin's; make the channels again"
            ) from error

    @classmethod
    def _stated(cls, h: xr.DataArray, taps: int | None, first_tap: int | None) -> CellLink:
        """What the labels of channels state; whatever they hold in another form raises an error of Python's."""
        facts = h.attrs
        said = facts["tx"]
        tx = parse_json(said.encode(), "the labels of these channels") if isinstance(said, str) else said
        if facts.get("quantity") == "delay-angle":
            if taps not in (None, h.sizes["delay"]) or first_tap not in (None, facts.get("first_tap", 0)):
                raise SiteTwinError("these channels have their delay taps already; leave taps and first_tap out")
            taps, first_tap = h.sizes["delay"], int(facts.get("first_tap", 0))
        return cls(
            array={name: tx[name] for name in _OF_ARRAY},
            carrier_hz=float(facts["carrier_hz"]),
            subcarriers=int(facts["num_subcarriers"]),
            spacing_hz=float(facts["subcarrier_spacing_hz"]),
            taps=32 if taps is None else taps,
            first_tap=first_tap or 0,
            delay_reference=delay_reference_of(h),
            site=str(facts.get("site", "")),
            site_hash=str(facts.get("site_hash", "")),
        )

    @property
    def grid(self) -> OfdmGrid:
        """The subcarriers."""
        return OfdmGrid(self.carrier_hz, self.subcarriers, self.spacing_hz)

    @property
    def antennas(self) -> int:
        """Antennas of the base station, all ports counted."""
        return int(self.array["antennas"])

    @property
    def array_name(self) -> str:
        """The array in words, as ``ula:32`` or ``upa:4x8 with 2 ports``."""
        rows, columns = self.array["rows_columns"]
        ports = len(self.array["port_slants_deg"])
        name = f"ula:{columns}" if rows == 1 else f"upa:{rows}x{columns}"
        return name if ports == 1 else f"{name} with {ports} ports"

    @property
    def delays_s(self) -> Float[np.ndarray, " taps"]:
        """Delay of each tap, seconds."""
        return np.arange(self.first_tap, self.first_tap + self.taps) / self.grid.bandwidth_hz

    def matches(self, other: CellLink) -> None:
        """Refuse another link, whose site may differ.

        Raises:
            SiteTwinError: Array, band, delay taps or references differ; the sentence says which.
        """
        if other.array != self.array:
            raise SiteTwinError(
                f"the codec is for the array {self.array_name}, and these channels are of {other.array_name}"
                f"{'' if other.array_name != self.array_name else ' with other element positions'}; give channels of "
                "the codec's array, or fit a codec to these"
            )
        mine, theirs = replace(self, site="", site_hash=""), replace(other, site="", site_hash="")
        for name, value in asdict(mine).items():
            found = getattr(theirs, name)
            if name == "array":
                continue
            same = math.isclose(value, found, rel_tol=1e-9) if isinstance(value, float) else value == found
            if not same:
                raise SiteTwinError(
                    f"the codec is for {name} = {value}, and these channels have {found}; give channels of the codec's "
                    "link, or fit a codec to these"
                )

    def beams(self, x: Complex[Tensor, "users delays antennas"]) -> Complex[Tensor, "users delays beams"]:
        """From antennas to angle bins: an FFT over rows and columns, shifted, port by port."""
        spectrum = torch.fft.fftshift(torch.fft.fft2(self._panels(x)), dim=(-2, -1))
        return spectrum.reshape(x.shape)

    def antennas_of(self, x: Complex[Tensor, "users delays beams"]) -> Complex[Tensor, "users delays antennas"]:
        """From angle bins back to antennas."""
        return torch.fft.ifft2(torch.fft.ifftshift(self._panels(x), dim=(-2, -1))).reshape(x.shape)

    def taps_of(self, x: Complex[Tensor, "users subcarriers last"]) -> Complex[Tensor, "users taps last"]:
        """From subcarriers to the kept delay taps."""
        return delay_taps(x.transpose(1, 2), self.taps, self.first_tap).transpose(1, 2)

    def subcarriers_of(self, x: Complex[Tensor, "users taps last"]) -> Complex[Tensor, "users subcarriers last"]:
        """From the kept delay taps back to the subcarriers; taps that were not kept count as zero."""
        whole = x.new_zeros(len(x), self.subcarriers, x.shape[2])
        whole[:, : self.taps] = x
        response = torch.fft.fft(torch.roll(whole, self.first_tap, dims=1), dim=1)
        return torch.fft.fftshift(response, dim=1)

    def _panels(self, x: Tensor) -> Tensor:
        rows, columns = self.array["rows_columns"]
        return x.reshape(*x.shape[:-1], len(self.array["port_slants_deg"]), rows, columns)


def delay_reference_of(h: xr.DataArray) -> DelayReference:
    """Where labelled channels count their delays from; the transmission where they do not say."""
    said = str(h.attrs.get("delay_reference", ""))
    return "first-path" if said.startswith(_RELATIVE) else "transmission"
