"""Labelled arrays and attributes that say, user by user, where delay 0 lies and what the delay taps miss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from sitetwin.channel.delay_shares import DelayShares, first_delays, share_facts
from sitetwin.channel.request import ChannelRequest
from sitetwin.rays.paths import Paths
from sitetwin.store import Array, TileStore

TAPS = "taps"
"""Group of a data set whose attributes say what the delay taps miss, over all users."""

REFERENCE = "delay_reference"
SHARES = {
    "power_outside_taps": "share of the user's power that is not in the delay taps; NaN without power",
    "power_folded": "share of the power of paths that stand in the taps whole periods of 1/spacing off their own "
    "delay; NaN without power",
}
FOLDED_USERS = "users_over_1_percent_folded"
ABOUT_SHARES = ("median_power_outside_taps", "users_over_1_percent_outside_taps", FOLDED_USERS)
"""Attributes over all users."""

WITH_TAPS = ("cir", "delay-angle")
"""Quantities along whose last axis the delay taps stand."""


def user_delays(paths: Paths, shares: DelayShares, request: ChannelRequest) -> dict[str, Array]:
    """Return what a data set says of each user's delays.

    Args:
        paths: Paths of the users.
        shares: What the taps of the request miss.
        request: The request.
    """
    found: dict[str, Array] = {}
    if request.quantity in WITH_TAPS:
        for (name, text), data in zip(SHARES.items(), (shares.outside, shares.folded), strict=True):
            found[name] = Array(("user",), data, {"units": "1", "description": text})
    if request.delay_reference == "first-path":
        found[REFERENCE] = first_delay_array(first_delays(paths))
    return found


def first_delay_array(delay_s: Float[np.ndarray, " users"]) -> Array:
    """The delay of each user's first path, with its label."""
    text = "delay of the user's first path, at which delay 0 lies; NaN without a path"
    return Array(("user",), delay_s, {"units": "s", "description": text})


def shares_facts(shares: DelayShares, request: ChannelRequest) -> dict[str, Any]:
    """Attributes over all users: of frequency responses only if paths lie beyond 1/spacing."""
    facts = shares.facts()
    if request.quantity in WITH_TAPS:
        return facts
    return {FOLDED_USERS: facts[FOLDED_USERS]} if facts[FOLDED_USERS] else {}


def write_taps_group(store: TileStore, request: ChannelRequest) -> None:
    """Write the group `TAPS` of a store whose tiles are all there; of frequency responses only if it says something."""
    if store.has_group(TAPS) or request.quantity == "gains" or not store.tiles:
        return
    parts, folded = [], 0
    for index in range(len(store.tiles)):
        group = store.read_tile(index, names=tuple(SHARES))
        folded += int(group.attributes.get(FOLDED_USERS, 0))
        parts.append([group[name] for name in SHARES if name in group.arrays])
    if request.quantity in WITH_TAPS:
        store.write_group(TAPS, {}, share_facts(*(np.concatenate(part) for part in zip(*parts, strict=True))))
    elif folded:
        store.write_group(TAPS, {}, {FOLDED_USERS: folded})


def stored_facts(store: TileStore) -> Mapping[str, Any]:
    """What the group `TAPS` says; nothing if there is none."""
    return store.read_group(TAPS).attributes if store.has_group(TAPS) else {}
