"""Channels of 3GPP TR 38.901 that know no site: UMi and CDL, drawn by Sionna's physical layer (``sionna-no-rt``)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Complex
from torch import Tensor

from sitetwin.backend import mitsuba
from sitetwin.channel.antennas.arrays import POLARISATIONS, AntennaArray
from sitetwin.channel.antennas.patterns import Isotropic, Tr38901
from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.grid import OfdmGrid
from sitetwin.errors import SiteTwinError

StatisticalModel = Literal["umi", "cdl-a", "cdl-b", "cdl-c", "cdl-d", "cdl-e"]
"""Street canyon of TR 38.901, or one of its clustered delay lines."""

MODELS: tuple[str, ...] = get_args(StatisticalModel)

SPEED_OF_LIGHT = 299_792_458.0
NEAREST_M, FARTHEST_M = 10.0, 200.0 / math.sqrt(3)
"""Horizontal distances of the users of a CDL, metres: those of UMi's sector with 200 m between sites."""

_BATCH = 256  # users at once: rays take most of the memory
_LINE_OF_SIGHT = ("cdl-d", "cdl-e")


def statistical_responses(
    model: str,
    grid: OfdmGrid,
    radio: Radio,
    users: int,
    seed: int,
    *,
    user_radio: Radio | None = None,
    from_first_path: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Complex[Tensor, "users rx_antennas tx_antennas subcarriers"]:
    """Draw frequency responses from a station to users that are nowhere.

    Users of "umi" stand outdoors, evenly in a sector of 120 degrees before the array, at the distances, heights and
    chances of line of sight of the scenario; path loss and shadow fading are left out. A CDL has fixed angles: here the
    array's heading is drawn from -60 to 60 degrees for each user, the delay spread from that of UMi (Table 7.5-6, line
    of sight for D and E), and the distance evenly over the sector. TR 38.901 counts delays from the first path; the
    flight time over that distance is added, so that they count from the transmission.

    Args:
        model: "umi", or "cdl-a" to "cdl-e".
        grid: The band.
        radio: The station's radio: a uniform array of isotropic or TR 38.901 elements. Its heading says nothing here,
            its tilt does.
        users: Number of users.
        seed: Seed of all draws. Sionna's own generator of this process is seeded with it.
        user_radio: The users' radio; one vertical isotropic antenna by default.
        from_first_path: Let delays count from each user's first path.
        progress: Called with the finished share.

    Returns:
        complex64, antennas in the order of the radios.

    Raises:
        SiteTwinError: The model is unknown, no users or a negative seed are given, ``sionna-no-rt`` is missing, the
            array has no counterpart there, or the carrier is outside of the model's range.
    """
    if model not in MODELS:
        raise SiteTwinError(f"there is no statistical model '{model}'; choose one of {', '.join(MODELS)}")
    if users < 1:
        raise SiteTwinError(f"{users} users were asked for; draw at least one")
    if seed < 0:
        raise SiteTwinError(f"the seed {seed} is negative; give a whole number from 0 on")
    rng = np.random.default_rng([seed, MODELS.index(model)])
    tx, rx = radio.array, (user_radio or Radio()).array
    mitsuba()  # Sionna imports it, too, and it looks for LLVM once
    try:
        from sionna.phy import config
        from sionna.phy.channel.tr38901 import PanelArray
    except ImportError as error:
        raise SiteTwinError(
            "statistical channels of TR 38.901 are drawn by Sionna's physical layer, which is missing; install it with "
            "pip install 'sitetwin[statistical]'"
        ) from error
    config.seed = int(rng.integers(1 << 31))
    panels = [_panel(PanelArray, array, grid.carrier_hz) for array in (tx, rx)]
    orders = [_order(panel, array, grid.carrier_hz) for panel, array in zip(panels, (tx, rx), strict=True)]
    frequencies = (grid.index * grid.spacing_hz).to(torch.float64)
    pitch, roll = (float(angle) for angle in torch.as_tensor(radio.orientation).reshape(-1)[1:3])
    draw = _umi if model == "umi" else _cdl
    parts = []
    try:
        for begin in range(0, users, _BATCH):
            count = min(_BATCH, users - begin)
            gains, delays, distance = draw(model, grid.carrier_hz, panels, count, (pitch, roll), rng)
            if not from_first_path:
                delays = delays + (distance / SPEED_OF_LIGHT)[:, None]
            else:
                delays = delays - delays.amin(dim=1, keepdim=True)
            angle = -2 * math.pi * delays[:, :, None] * frequencies
            waves = torch.polar(torch.ones_like(angle), angle).to(torch.complex64)
            gains = gains[:, orders[1]][:, :, orders[0]].to(torch.complex64)
            parts.append((gains.flatten(1, 2) @ waves).unflatten(1, (len(orders[1]), len(orders[0]))))
            if progress is not None:
                progress((begin + count) / users)
    except (ValueError, AssertionError) as error:
        raise SiteTwinError(f"TR 38.901 has no '{model}' for this link: {error}; choose another carrier") from error
    return torch.cat(parts)


def _panel(kind: Any, array: AntennaArray, carrier_hz: float) -> Any:
    """Sionna's panel of one of our arrays."""
    polarisation = next((name for name, slants in POLARISATIONS.items() if slants == array.slants), None)
    pattern = {Isotropic: "omni", Tr38901: "38.901"}.get(type(array.pattern))
    if array.shape is None or array.spacing is None or polarisation is None or pattern is None:
        raise SiteTwinError(
            "statistical channels need a uniform array of isotropic or TR 38.901 elements, polarised V, H, VH or "
            "cross; give ula:N or upa:RxC"
        )
    return kind(
        num_rows_per_panel=array.shape[0],
        num_cols_per_panel=array.shape[1],
        polarization="single" if array.num_ports == 1 else "dual",
        polarization_type=polarisation,
        antenna_pattern=pattern,
        carrier_frequency=carrier_hz,
        element_vertical_spacing=array.spacing[0],
        element_horizontal_spacing=array.spacing[1],
        device="cpu",
    )


def _order(panel: Any, array: AntennaArray, carrier_hz: float) -> Tensor:
    """Sionna's number of each antenna of ours: antennas are matched by port and position."""
    wavelength = SPEED_OF_LIGHT / carrier_hz
    ports = [panel.ant_ind_pol1] if array.num_ports == 1 else [panel.ant_ind_pol1, panel.ant_ind_pol2]
    found = []
    for port in ports:
        theirs = panel.ant_pos[port].double().cpu() / wavelength
        distance = torch.cdist(array.positions.detach().double(), theirs)
        found.append(port.cpu()[distance.argmin(dim=1)])
    return torch.cat(found)


def _umi(
    model: str, carrier_hz: float, panels: list[Any], users: int, turn: tuple[float, float], rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Gains (users, rx, tx, paths), delays in seconds (users, paths), distances in metres (users,)."""
    from sionna.phy.channel import gen_single_sector_topology
    from sionna.phy.channel.tr38901 import UMi

    street = UMi(carrier_hz, "low", panels[1], panels[0], "downlink", False, False, device="cpu")
    ut, bs, ut_turn, bs_turn, velocity, indoors = gen_single_sector_topology(
        users, 1, "umi", indoor_probability=0.0, min_ut_velocity=0.0, max_ut_velocity=0.0, device="cpu"
    )
    bs_turn = torch.stack([bs_turn[..., 0], *(torch.full_like(bs_turn[..., 0], angle) for angle in turn)], dim=-1)
    street.set_topology(ut, bs, ut_turn, bs_turn, velocity, indoors)
    h, delays = street(1, 1.0)
    return h[:, 0, :, 0, :, :, 0], delays[:, 0, 0].double(), (ut[:, 0] - bs[:, 0]).double().norm(dim=1)


def _cdl(
    model: str, carrier_hz: float, panels: list[Any], users: int, turn: tuple[float, float], rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """As `_umi`."""
    from sionna.phy.channel.tr38901 import CDL

    heading = torch.from_numpy(rng.uniform(-math.pi / 3, math.pi / 3, users)).float()
    turned = torch.stack([heading, *(torch.full_like(heading, angle) for angle in turn)], dim=1)
    line = CDL(
        model[-1].upper(), 1e-7, carrier_hz, panels[1], panels[0], "downlink", bs_orientation=turned, device="cpu"
    )
    h, delays = line(users, 1, 1.0)
    spread = torch.from_numpy(10 ** rng.normal(*_delay_spread(model, carrier_hz), users))
    distance = torch.from_numpy(np.sqrt(rng.uniform(NEAREST_M**2, FARTHEST_M**2, users)))
    return h[:, 0, :, 0, :, :, 0], delays[:, 0, 0].double() * (spread / 1e-7)[:, None], distance


def _delay_spread(model: str, carrier_hz: float) -> tuple[float, float]:
    """Mean and standard deviation of log10 of UMi's delay spread in seconds (Table 7.5-6; 2 GHz also for less)."""
    logarithm = math.log10(1 + max(carrier_hz / 1e9, 2.0))
    if model in _LINE_OF_SIGHT:
        return -0.24 * logarithm - 7.14, 0.38
    return -0.24 * logarithm - 6.83, 0.16 * logarithm + 0.28
