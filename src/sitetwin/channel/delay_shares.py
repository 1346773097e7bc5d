"""Shares of the users' power that delay taps miss, or show at a wrong delay, from the delays and gains of the paths.

The shares of a user's paths are added with their powers, as in the mean over small-scale fading.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.data import get_worker_info

from sitetwin.channel.fields.gains import PathGains
from sitetwin.channel.fields.moved import MovedPaths
from sitetwin.channel.request import ChannelRequest
from sitetwin.channel.tap_energy import DelayTaps
from sitetwin.errors import SiteTwinWarning
from sitetwin.rays.paths import SPEED_OF_LIGHT, Paths

NOTED_SHARE = 0.01
"""Share of a user's power, missed or shown at a wrong delay, above which users are counted and told of."""


_AFTER = {
    "transmission": " of path",
    "first-path": " after the user's first path",
    "given": " after the reference of the delays",
}


@dataclass(frozen=True, eq=False)
class DelayShares:
    """What the delay taps of channels miss, user by user.

    Attributes:
        outside: (U,) share of the user's power that is not in the taps; NaN without power.
        folded: (U,) share of the power of paths that stand in the taps whole periods of 1/spacing away from their own
            delay; NaN without power.
        first_s: (U,) delay of the first path from the reference, seconds; NaN without a path.
        end_s: (U,) delay from the reference of the last path with at least 1 % of the user's power, seconds; NaN
            without power.
    """

    outside: Float[np.ndarray, " users"]
    folded: Float[np.ndarray, " users"]
    first_s: Float[np.ndarray, " users"]
    end_s: Float[np.ndarray, " users"]

    @classmethod
    def of(
        cls,
        paths: Paths,
        gains: PathGains,
        taps: DelayTaps,
        reference_s: Float[np.ndarray, " users"] | float = 0.0,
    ) -> DelayShares:
        """Compute the shares of all users.

        Args:
            paths: P paths of U users.
            gains: Their gains from `path_gains`; powers are taken as the mean over the ports, and over the band.
            taps: The taps that are kept.
            reference_s: Delay of tap 0 in seconds, one for all users or (U,).
        """
        each = _ByUser(paths)
        of_ports = gains.values.detach().abs().square().double().mean(dim=(-2, -1))
        power = (of_ports if of_ports.ndim == 1 else of_ports.mean(dim=0)).numpy()  # over the band, where gains vary
        delays = path_delays(paths, gains.moved).detach().numpy()
        delay = delays - (reference_s if isinstance(reference_s, float) else np.repeat(reference_s, paths.counts))
        whole = each.of(np.add, power)
        some = np.where(whole > 0, whole, np.nan)
        missed = each.of(np.add, power * (1 - taps.shares(delay)))
        folded = each.of(np.add, power * taps.folds(delay))
        notable = (power > 0) & (power >= NOTED_SHARE * np.repeat(whole, paths.counts))
        end = each.of(np.maximum, np.where(notable, delay, -np.inf))
        return cls(
            np.clip(missed / some, 0.0, 1.0),
            folded / some,
            each.of(np.minimum, delays) - reference_s,
            np.where(np.isfinite(end), end, np.nan),
        )

    @classmethod
    def none(cls) -> DelayShares:
        """Shares of no user."""
        return cls(*np.zeros((4, 0)))

    @classmethod
    def joined(cls, parts: Sequence[DelayShares]) -> DelayShares:
        """Shares of users one part after the other."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def facts(self) -> dict[str, float | int]:
        """Attributes of a data set: medians over the users with power, and numbers of users above 1 %."""
        return share_facts(self.outside, self.folded)

    @property
    def noted(self) -> Bool[np.ndarray, " users"]:
        """(U,) whether more than 1 % of the user's power is missed or shown at a wrong delay."""
        return (self.outside > NOTED_SHARE) | (self.folded > NOTED_SHARE)

    def sentence(self, request: ChannelRequest) -> str:
        """What a reader of the channels should know of the taps; empty if no user loses more than 1 %."""
        return self.said_of(request.delay_taps, request.delay_reference)

    def said_of(self, taps: DelayTaps, counted: str) -> str:
        """What a reader of channels with these taps should know; empty if no user loses more than 1 %.

        Args:
            taps: The taps of which these are the shares.
            counted: Where delays count from: "transmission", "first-path", or "given" for references of the caller.
        """
        said = [text for text in (self._outside_text(taps, counted), self._folded_text(taps, counted)) if text]
        return "; ".join(said)

    def _outside_text(self, taps: DelayTaps, counted: str) -> str:
        facts = self.facts()
        count = facts["users_over_1_percent_outside_taps"]
        if not count:
            return ""
        low, high = (taps.first * _metres(taps), (taps.first + taps.count - 1) * _metres(taps))
        users = int(np.isfinite(self.outside).sum())
        text = (
            f"{count:,} of {users:,} users have more than 1 % of their power outside of the {taps.count} delay taps "
            f"(of the median user: {facts['median_power_outside_taps']:.2%}); taps stand {_metres(taps):.3g} m apart, "
            f"from {low:.4g} to {high:.4g} m{_AFTER[counted]}"
        )
        late, wide = np.nanmax(self.end_s) * taps.rate_hz, np.nanmax(self.end_s - self.first_s) * taps.rate_hz
        needed, relative = math.ceil(late) + 1 - taps.first, math.ceil(wide) + 1 - min(taps.first, 0)
        if needed > taps.count:
            text += f", and paths end at {late * _metres(taps):.4g} m"
            most = taps.period or math.inf
            mends = [f"{needed:,} taps reach so far"] if needed <= most else []
            if counted == "transmission" and relative <= most:
                mends.append(f"{relative:,} do with delay_reference='first-path' (--delay-reference first-path)")
            return text + ("; " if mends else "") + ", or ".join(mends)
        return (
            text
            + ". All paths end within: side lobes of the band lie outside; begin earlier, with a negative "
            + ("first_tap (--first-tap), or keep more taps")
        )

    def _folded_text(self, taps: DelayTaps, counted: str) -> str:
        count = self.facts()["users_over_1_percent_folded"]
        if not count:
            return ""
        period = (taps.period or 0) * _metres(taps)
        return (
            f"{count:,} of {int(np.isfinite(self.folded).sum()):,} users have more than 1 % of their power in paths "
            f"beyond 1/spacing ({period:.4g} m{_AFTER[counted]}), where delays repeat: these paths seem to arrive "
            f"{period:.4g} m too early; take a narrower spacing, or delay_reference='first-path' "
            "(--delay-reference first-path) if their delays differ by less"
        )


def share_facts(
    outside: Float[np.ndarray, " users"], folded: Float[np.ndarray, " users"] | None = None
) -> dict[str, float | int]:
    """Attributes of a data set of channels from the shares of its users.

    Args:
        outside: (U,) shares outside of the taps; NaN without power.
        folded: (U,) shares of paths at a wrong delay; NaN without power.
    """
    known = outside[np.isfinite(outside)]
    return {
        "median_power_outside_taps": float(np.median(known)) if len(known) else 0.0,
        "users_over_1_percent_outside_taps": int((known > NOTED_SHARE).sum()),
        "users_over_1_percent_folded": 0 if folded is None else int((folded > NOTED_SHARE).sum()),
    }


def first_delays(paths: Paths) -> Float[np.ndarray, " users"]:
    """(U,) float64, delay of the first path of each user in seconds, whatever its power; NaN without a path."""
    return _ByUser(paths).of(np.minimum, paths.delay)


def path_delays(paths: Paths, moved: MovedPaths | None) -> Float[Tensor, " paths"]:
    """(P,) float64, delay of each path in seconds, as traced or as offsets have moved its ends."""
    if moved is None:
        return torch.from_numpy(np.ascontiguousarray(paths.delay))
    return moved.length / SPEED_OF_LIGHT


def first_moved_delays(paths: Paths, moved: MovedPaths | None) -> Float[Tensor, " users"]:
    """(U,) float64, delay of the first path of each user in seconds, as `first_delays`; gradients flow to offsets."""
    delays = path_delays(paths, moved)
    some = np.flatnonzero(paths.counts)
    order = np.lexsort((delays.detach().numpy(), paths.user_of_path))
    first = torch.from_numpy(order[paths.offsets[some]])
    return delays.new_full((paths.num_users,), math.nan).index_put((torch.from_numpy(some),), delays[first])


class _ByUser:
    """Sums and extremes over the paths of each user, which lie together."""

    def __init__(self, paths: Paths) -> None:
        self._users, self._some = paths.num_users, np.flatnonzero(paths.counts)
        self._starts = paths.offsets[self._some]

    def of(self, ufunc: np.ufunc, values: np.ndarray) -> np.ndarray:
        """(U,) values of the paths (P,) joined by a function of NumPy; NaN without a path."""
        result = np.full(self._users, np.nan)
        if len(self._some):
            result[self._some] = ufunc.reduceat(values, self._starts)
        return result


class DelayNote:
    """Warns of what delay taps miss, once: from one process of those that share the work."""

    def __init__(self) -> None:
        self._said = torch.zeros(1, dtype=torch.int64).share_memory_()

    def tell(self, shares: DelayShares, request: ChannelRequest) -> None:
        """Warn if any user loses more than 1 %, and nothing was said before."""
        info = get_worker_info()
        if int(self._said) or (info is not None and info.id) or not shares.noted.any():
            return
        self._said[0] = 1
        warnings.warn(shares.sentence(request), SiteTwinWarning, stacklevel=3)


def _metres(taps: DelayTaps) -> float:
    """Metres of path from one tap to the next."""
    return SPEED_OF_LIGHT / taps.rate_hz
