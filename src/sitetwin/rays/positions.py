"""Check the positions of transmitters and users, once for all tracers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError

Positions = np.ndarray | Sequence[float] | Sequence[Sequence[float]] | Sequence[np.ndarray]
"""One position or several, metres: an array of shape (3,) or (positions, 3), or lists of numbers that become one."""

_LEAST_DISTANCE = 1e-3  # m; a path of no length has no direction


def position_array(given: Any) -> np.ndarray:
    """A contiguous float64 copy of positions: paths do not change when the caller's array does.

    Raises:
        SiteTwinError: These are no numbers, or rows have different lengths.
    """
    try:
        if np.iscomplexobj(given):
            raise TypeError("complex numbers")
        return np.array(given, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise SiteTwinError("positions are not an array of numbers; give x, y, z in metres for each") from error


def checked_positions(
    transmitter: Any, users: Any, *, none_will_do: bool = False
) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, "users 3"]]:
    """Check positions and return them as contiguous float64.

    Args:
        transmitter: (3,) position of the transmitter, metres.
        users: (U, 3) positions of the users, metres.
        none_will_do: Whether U may be 0, for a tile without users.

    Returns:
        The transmitter (3,) and the users (U, 3), float64, metres.

    Raises:
        SiteTwinError: A shape is wrong, a position is not finite, there is no user, or a user stands within a
            millimetre of the transmitter.
    """
    transmitter, users = position_array(transmitter), position_array(users)
    if transmitter.shape != (3,) or users.ndim != 2 or users.shape[1] != 3:
        raise SiteTwinError(
            f"positions have the shapes {transmitter.shape} (transmitter) and {users.shape} (users); give (3,) and "
            "(U, 3), in metres"
        )
    if not np.isfinite(transmitter).all():
        raise SiteTwinError(f"the transmitter's position {transmitter.tolist()} is not finite; give three numbers")
    if not len(users) and not none_will_do:
        raise SiteTwinError("there is no user to trace to; give an area with free ground, or a smaller spacing")
    bad = np.flatnonzero(~np.isfinite(users).all(axis=1))
    if len(bad):
        raise SiteTwinError(f"{len(bad)} user positions are not finite, the first is number {bad[0]}; drop them")
    near = np.arange(len(users))
    for axis in range(3):  # one after the other: few users are left after the first
        near = near[np.abs(users[near, axis] - transmitter[axis]) < _LEAST_DISTANCE]
    if len(near):
        raise SiteTwinError(f"user {near[0]} stands where the transmitter is; keep {_LEAST_DISTANCE:g} m away from it")
    return transmitter, users


def checked_transmitters(transmitters: Any) -> Float[np.ndarray, "transmitters 3"]:
    """Check positions of one or several transmitters and return them as contiguous float64.

    Args:
        transmitters: (T, 3) positions of the transmitters, metres, or (3,) for a single one.

    Returns:
        (T, 3) float64, metres, T at least 1.

    Raises:
        SiteTwinError: There is no transmitter, or the shape is wrong.
    """
    positions = position_array(transmitters)
    if not positions.size:
        raise SiteTwinError("there is no transmitter to trace from; give at least one position")
    if positions.ndim > 2 or positions.shape[-1:] != (3,):
        raise SiteTwinError(
            f"the positions of the transmitters have the shape {positions.shape}; give (3,) for one or (T, 3) for "
            "several, in metres"
        )
    return positions.reshape(-1, 3)
