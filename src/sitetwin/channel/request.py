"""Requests for channels: the quantity, the radios and the frequencies."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Integer
from torch import Tensor

from sitetwin.channel.antennas.arrays import AntennaArray
from sitetwin.channel.antennas.codebooks import dft_cosines
from sitetwin.channel.antennas.descriptions import describe_radio
from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.grid import OfdmGrid
from sitetwin.channel.stored import VALUES
from sitetwin.channel.synthesis.cfr import Steering, Wavefront
from sitetwin.channel.synthesis.cir import Pulse
from sitetwin.channel.tap_energy import DelayTaps
from sitetwin.errors import SiteTwinError
from sitetwin.store import Array

Quantity = Literal["cfr", "cir", "delay-angle", "gains"]
DelayReference = Literal["transmission", "first-path"]

VALUE_BYTES = 8  # of one complex64
BATCH_BYTES = 32 * 2**20  # of the channels synthesised at once
BATCH_USERS = 4096
MOST_TAPS_AWAY = 2**20  # of the first tap from the reference
USER_BYTES = 256 * 2**20
"""Most bytes of one user's channel while it is made."""

CONVENTIONS = {
    "carrier_phase": "included: line of sight between isotropic antennas is lambda/(4 pi L) e^{-j 2 pi f_c tau}",
    "normalisation": "none: no array, bandwidth or power normalisation; |value|^2 is received over transmitted power",
    "time_factor": "e^{+j omega t}: a delay tau multiplies by e^{-j 2 pi f tau}",
    "delay_reference": "the instant of transmission: delay 0 is path length 0",
    "orientation": "yaw, pitch, roll of 3GPP TR 38.901, radians; boresight local +x, linear array along local +y",
    "antenna_order": "port by port; within a port row by row from the top, columns along local +y",
}

FIRST_PATH = "first-path: delay 0 is the delay of the user's first path, which the array delay_reference holds"


@dataclass(frozen=True, eq=False)
class ChannelRequest:
    """A request for channels: everything that determines their values, except the paths and the site.

    Attributes:
        grid: Carrier and subcarriers; "gains" use the carrier alone.
        quantity: "cfr" (user, receive antenna, transmit antenna, subcarrier), "cir" (..., delay tap; the grid's
            bandwidth is the sampling rate), "delay-angle" (user, receive antenna, angle bin, delay tap) or "gains"
            (path, receive port, transmit port).
        tx: Radio of the transmitter.
        rx: Radio of the users; orientations may differ from user to user.
        num_taps: Number of delay taps of "cir" and "delay-angle".
        first_tap: Index of the first of them; negative to keep side lobes before the reference of the delays.
        delay_reference: Where delays count from: the instant of "transmission", or the delay of each user's
            "first-path", of whatever power. The carrier's phase does not change with it.
        pulse: "sinc" or "raised-cosine", of "cir".
        options: Season, leaves, air and edges; the foliage model has a name. Tensors that it gives act on channels in
            memory, and gradients flow into them; data sets on disk refuse them.
        wavefront: "plane" waves about the phase centre, or "spherical" waves with exact distances between elements.
        steering: "carrier" holds element phases at the carrier; "per-subcarrier" delays each element (beam squint).
        gain_nodes: Whether gains are taken at several frequencies where they vary by more than 0.1 dB over the band.

    Raises:
        SiteTwinError: A value is unknown, out of its range, or has no meaning for the quantity.
    """

    grid: OfdmGrid
    quantity: Quantity = "cfr"
    tx: Radio = field(default_factory=Radio)
    rx: Radio = field(default_factory=Radio)
    num_taps: int = 32
    first_tap: int = 0
    delay_reference: DelayReference = "transmission"
    pulse: Pulse = "sinc"
    options: FieldOptions = field(default_factory=FieldOptions)
    wavefront: Wavefront = "plane"
    steering: Steering = "carrier"
    gain_nodes: bool = False

    def __post_init__(self) -> None:
        for name, value, known in (
            ("quantity", self.quantity, get_args(Quantity)),
            ("wavefront", self.wavefront, get_args(Wavefront)),
            ("steering", self.steering, get_args(Steering)),
            ("pulse", self.pulse, get_args(Pulse)),
            ("delay_reference", self.delay_reference, get_args(DelayReference)),
        ):
            if value not in known:
                raise SiteTwinError(f"{name} '{value}' is unknown; choose one of {', '.join(known)}")
        self.options.check_named()
        self.options.check_at(self.grid.carrier_hz)
        if self.tx.per_user:
            raise SiteTwinError("orientations per user were given to the transmitter; it has one (yaw, pitch, roll)")
        if self.quantity == "delay-angle":
            self._check_delay_angle()
        if self.quantity == "cir" and not self._at_carrier:
            raise SiteTwinError(
                "impulse responses are made for plane waves at the carrier; use quantity='cfr' for the others"
            )
        if self.quantity == "cir" and self.num_taps < 1:
            raise SiteTwinError(f"{self.num_taps} delay taps were asked for; give at least 1")
        if self.first_tap and self.quantity not in ("cir", "delay-angle"):
            raise SiteTwinError(f"first_tap says nothing to {self.quantity}, which has no delay taps; leave it out")
        if abs(self.first_tap) > MOST_TAPS_AWAY:
            raise SiteTwinError(f"first_tap is {self.first_tap}; give a whole number within +-{MOST_TAPS_AWAY}")
        if self.quantity == "gains" and self.delay_reference != "transmission":
            raise SiteTwinError("delay_reference says nothing to gains, whose paths keep their delays; leave it out")
        if self.quantity == "gains" and not self._at_carrier:
            raise SiteTwinError(
                "gains are those of each path at the carrier, between ports; wavefront, steering and gain nodes say "
                "nothing about them: leave them out, or ask for cfr"
            )
        if self.quantity != "gains" and self._work_bytes > USER_BYTES:
            raise SiteTwinError(
                f"the channel of one user takes {self._work_bytes / 1e6:,.0f} MB ({self.tx.array.num_antennas} x "
                f"{self.rx.array.num_antennas} antennas, {self.grid.num_subcarriers} subcarriers), more than "
                f"{USER_BYTES / 1e6:.0f} MB; take fewer antennas or subcarriers"
            )

    def _check_delay_angle(self) -> None:
        if self.tx.array.shape is None or self.tx.array.spacing is None:
            raise SiteTwinError("angles need a uniform array; build it with AntennaArray.ula or AntennaArray.upa")
        if not 1 <= self.num_taps <= self.grid.num_subcarriers:
            raise SiteTwinError(f"{self.num_taps} delay taps were asked for of {self.grid.num_subcarriers} subcarriers")

    @property
    def array_name(self) -> str:
        """Name of the array that holds the values."""
        return VALUES[self.quantity][0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Values of one user, or of one path of "gains"."""
        tx, rx = self.tx.array, self.rx.array
        if self.quantity == "gains":
            return (rx.num_ports, tx.num_ports)
        last = self.grid.num_subcarriers if self.quantity == "cfr" else self.num_taps
        return (rx.num_antennas, tx.num_antennas, last)

    @property
    def dims(self) -> tuple[str, ...]:
        """Labels of the axes of the values."""
        return VALUES[self.quantity][1]

    @property
    def bytes_per_row(self) -> int:
        """Size of one user's values, or one path's of "gains", uncompressed."""
        return VALUE_BYTES * math.prod(self.shape)

    @property
    def batch_users(self) -> int:
        """Number of users synthesised at once; it changes the last bits, so it is part of the configuration."""
        return max(1, min(BATCH_USERS, BATCH_BYTES // self._work_bytes))

    @property
    def _work_bytes(self) -> int:
        """Size of what one user's values are made from: the closed delay-angle form needs no frequency response."""
        if self.quantity in ("cfr", "cir") or self._closed_delay_angle:
            return self.bytes_per_row
        antennas = self.tx.array.num_antennas * self.rx.array.num_antennas
        return VALUE_BYTES * antennas * self.grid.num_subcarriers

    @property
    def _closed_delay_angle(self) -> bool:
        return self.quantity == "delay-angle" and self._at_carrier

    @property
    def _at_carrier(self) -> bool:
        """Whether waves are plane, and phases and gains those at the carrier."""
        return (self.wavefront, self.steering, self.gain_nodes) == ("plane", "carrier", False)

    @property
    def delay_taps(self) -> DelayTaps:
        """The delays that the channels hold; of "cfr" all that 1/spacing tells apart, of "gains" any."""
        width = self.grid.bandwidth_hz
        if self.quantity == "delay-angle":
            return DelayTaps(width, self.num_taps, self.first_tap, self.grid.num_subcarriers)
        if self.quantity == "cir":
            return DelayTaps(width, self.num_taps, self.first_tap, pulse=self.pulse)
        return DelayTaps(width, self.grid.num_subcarriers, 0, self.grid.num_subcarriers)

    def conventions(self) -> dict[str, str]:
        """What the values mean, in words."""
        if self.delay_reference == "transmission":
            return CONVENTIONS
        return {**CONVENTIONS, "delay_reference": FIRST_PATH}

    def check_users(self, num_users: int) -> None:
        """Check that orientations and offsets of the users, if there is one per user, fit a number of users.

        Raises:
            SiteTwinError: The number of orientations or offsets differs from the number of users.
        """
        self.rx.check_users(num_users)
        self.options.check_users(num_users)

    def select_users(self, index: Integer[Tensor, " chosen"]) -> ChannelRequest:
        """The request for some users, given by their indices: with their orientations and offsets."""
        return replace(self, rx=self.rx.select_users(index), options=self.options.select_users(index))

    def configuration(self) -> dict[str, Any]:
        """Return everything that determines the values, JSON-serialisable, without what this quantity does not use."""
        facts: dict[str, Any] = {
            "quantity": self.quantity,
            "carrier_hz": float(self.grid.carrier_hz),
            "tx": describe_radio(self.tx),
            "rx": describe_radio(self.rx),
            **self.options.facts(self.grid.carrier_hz),
        }
        if self.quantity != "gains":
            facts |= {
                "num_subcarriers": self.grid.num_subcarriers,
                "spacing_hz": float(self.grid.spacing_hz),
                "wavefront": self.wavefront,
                "steering": self.steering,
                "gain_nodes": self.gain_nodes,
                "batch_users": self.batch_users,
            }
        if self.quantity in ("cir", "delay-angle"):
            facts["num_taps"] = self.num_taps
        if self.first_tap:
            facts["first_tap"] = self.first_tap
        if self.delay_reference != "transmission":
            facts["delay_reference"] = self.delay_reference
        if self.quantity == "cir":
            facts["pulse"] = self.pulse
        return facts

    def value_attributes(self) -> dict[str, Any]:
        """Attributes of the array of values."""
        facts: dict[str, Any] = {
            "units": "1",
            "carrier_hz": self.grid.carrier_hz,
            "carrier_phase": "included",
            "normalisation": "none",
        }
        if self.quantity == "gains":
            return {**facts, "description": "complex voltage gain of each path between the ports of the two radios"}
        facts |= {"num_subcarriers": self.grid.num_subcarriers, "subcarrier_spacing_hz": self.grid.spacing_hz}
        if self.quantity == "cfr":
            return {
                **facts,
                "first_subcarrier": self.grid.first,
                "description": "channel frequency response; subcarrier index k is at carrier + k spacing",
            }
        facts["tap_spacing_s"] = 1 / self.grid.bandwidth_hz
        if self.quantity == "cir":
            start = f"tap {self.first_tap}" if self.first_tap else "delay 0"
            return {**facts, "description": f"impulse response sampled through a {self.pulse} pulse, from {start} on"}
        return {
            **facts,
            "description": f"delay-angle channel: taps G[n] = (1/K) sum_k H_k e^{{+j 2 pi k n/K}} from "
            f"n = {self.first_tap} on, then an FFT over the transmit antennas (rows and columns, port by port), "
            "fftshifted: broadside in the middle",
        }

    def axes(self) -> dict[str, Array]:
        """Coordinates of the axes, the same for all tiles: frequencies, delays, angles, element positions."""
        found: dict[str, Array] = {}
        for side, radio in (("tx", self.tx), ("rx", self.rx)):
            found[f"{side}_positions"] = Array(
                (f"{side}_position", "xyz"),
                radio.array.positions.detach().double().numpy(),
                {"units": "wavelengths at the carrier", "description": "element positions in the radio's own frame"},
            )
        if self.quantity == "cfr":
            index = self.grid.index.numpy().astype(np.int64)
            found["subcarrier"] = Array(("subcarrier",), index, {"description": "index k, 0 at the carrier"})
            frequencies = self.grid.frequencies_hz.numpy()
            found["frequency"] = Array(("subcarrier",), frequencies, {"units": "Hz"})
        if self.quantity in ("cir", "delay-angle"):
            taps = np.arange(self.first_tap, self.first_tap + self.num_taps) / self.grid.bandwidth_hz
            found["delay"] = Array(("delay",), taps, {"units": "s", "description": "delay of each tap"})
        if self.quantity == "delay-angle":
            found |= angle_axes(self.tx.array)
        return found


def angle_axes(array: AntennaArray) -> dict[str, Array]:
    """Return the directions of the angle bins of a uniform array.

    A path that leaves in the direction of unit vector d, in the array's own frame, falls into the bin whose direction
    cosines are those of d, modulo one over the spacing in wavelengths.

    Args:
        array: A uniform array.

    Returns:
        `angle` (bin), `angle_port`, and `angle_cosine_y`, `angle_cosine_z`: the direction cosines at the bins' centres.
    """
    y, z = dft_cosines(array).repeat(array.num_ports, 1).T.contiguous().numpy()
    port = np.arange(array.num_ports).repeat(array.num_positions)
    text = "direction cosine along the array's local {} at the bin's centre, modulo 1 / spacing in wavelengths"
    return {
        "angle": Array(("angle",), np.arange(array.num_antennas), {"description": "angle bin"}),
        "angle_port": Array(("angle",), port, {"description": "transmit port of the bin"}),
        "angle_cosine_y": Array(("angle",), y, {"units": "1", "description": text.format("+y")}),
        "angle_cosine_z": Array(("angle",), z, {"units": "1", "description": text.format("+z")}),
    }
