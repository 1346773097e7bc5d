"""Synthesis that says what the delay taps miss, for whoever calls it by itself.

Loaders and data sets say it once for all their users, and call `sitetwin.channel.synthesis`.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec

import numpy as np
import torch
from torch import Tensor

from sitetwin.channel.delay_shares import NOTED_SHARE, DelayShares, path_delays
from sitetwin.channel.synthesis import cir
from sitetwin.channel.synthesis.cfr import frequency_response as _frequency_response
from sitetwin.channel.synthesis.delay_angle import delay_angle as _delay_angle
from sitetwin.channel.synthesis.delay_angle import delay_angle_from_response as _delay_angle_from_response
from sitetwin.channel.tap_energy import DelayTaps
from sitetwin.errors import SiteTwinWarning

_Arguments = ParamSpec("_Arguments")


_Note = Callable[[Tensor, dict[str, Any]], str]


def _noted(make: Callable[_Arguments, Tensor], note: _Note) -> Callable[_Arguments, Tensor]:
    """The same function, with a warning where there is something to say of its result and arguments."""
    signature = inspect.signature(make)

    @functools.wraps(make)
    def noted(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> Tensor:
        result = make(*args, **kwargs)
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        text = note(result, given.arguments)
        if text:
            warnings.warn(text, SiteTwinWarning, stacklevel=2)
        return result

    return noted


def _of_band(given: dict[str, Any]) -> DelayTaps:
    """All delays that the subcarriers of a response tell apart."""
    size = given["grid"].num_subcarriers
    return DelayTaps(given["grid"].bandwidth_hz, size, 0, size)


def _of_angles(given: dict[str, Any]) -> DelayTaps:
    """The taps of a delay-angle channel."""
    grid = given["grid"]
    return DelayTaps(grid.bandwidth_hz, given["num_taps"], given["first_tap"], grid.num_subcarriers)


def _of_samples(given: dict[str, Any]) -> DelayTaps:
    """The taps of an impulse response."""
    return DelayTaps(given["sampling_rate_hz"], given["num_taps"], given["first_tap"], pulse=given["pulse"])


def _of_paths(taps_of: Callable[[dict[str, Any]], DelayTaps]) -> _Note:
    """What to say of channels that were made of paths."""

    def note(_result: Tensor, given: dict[str, Any]) -> str:
        paths, reference, taps = given["paths"], given["delay_reference_s"], taps_of(given)
        begin: float | np.ndarray = 0.0
        if isinstance(reference, Tensor):
            begin = reference.detach().double().expand(paths.num_users).numpy()
        else:
            begin = float(reference)
        counted = "transmission" if isinstance(begin, float) and begin == 0.0 else "given"
        if taps_of is _of_band and counted == "given":
            return ""  # of a response without taps no delay comes too early
        delay = path_delays(paths, given["gains"].moved).detach().numpy()
        own = taps.rate_hz * (delay - (begin if isinstance(begin, float) else begin[paths.user_of_path]))
        if not len(own) or (own.min() > taps.first - 0.5 and own.max() < taps.first + taps.count - 0.5):
            return ""  # of paths within, side lobes alone lie outside
        return DelayShares.of(paths, given["gains"], taps, begin).said_of(taps, counted)

    return note


def _of_response(result: Tensor, given: dict[str, Any]) -> str:
    """What to say of delay-angle channels that were made of responses: the whole energy is known."""
    response, array = given["cfr"].detach(), given["tx"].array
    with torch.no_grad():
        whole = _energies(response) * (array.num_positions / response.shape[-1])
        kept = _energies(result.detach())
    some = whole > 0
    missed = (1 - kept[some] / whole[some]).clamp_min(0)
    count = int((missed > NOTED_SHARE).sum())
    if not count:
        return ""
    return (
        f"{count:,} of {int(some.sum()):,} users have more than 1 % of their power outside of the {result.shape[-1]} "
        f"delay taps (of the median user: {float(missed.median()):.2%}); keep more taps, or begin earlier, with a "
        "negative first_tap"
    )


def _energies(channels: Tensor) -> Tensor:
    """Energy of each user's channel; a norm of real numbers takes a fraction of the time of magnitudes."""
    parts = torch.view_as_real(channels.resolve_conj()).flatten(max(-4, -channels.ndim - 1))
    return torch.linalg.vector_norm(parts, dim=-1).square().flatten()


frequency_response = _noted(_frequency_response, _of_paths(_of_band))
impulse_response = _noted(cir.impulse_response, _of_paths(_of_samples))
delay_angle = _noted(_delay_angle, _of_paths(_of_angles))
delay_angle_from_response = _noted(_delay_angle_from_response, _of_response)
