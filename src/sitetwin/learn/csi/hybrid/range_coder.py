"""Arithmetic coding of one symbol after another into a report of fixed length.

An interval within 0..1 is narrowed by each symbol's share. The report is the first binary fraction of its length that
lies in the last interval: there is one wherever the shares' product is at least two to the minus that length, so that
no bit is lost at the end and no length is sent. Whoever reads takes what lies behind the report for zeros.

Integers alone decide, so that both ends agree on every machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sitetwin.compiled import compiled

SCALE = 20
"""Bits of the sum of the frequencies of any alphabet."""

TOTAL = 1 << SCALE
LOW, RANGE, PLACE, CODE, LENGTH = 0, 1, 2, 3, 4
"""Places in the state of a coder: interval, bytes so far, window of the reader, bits of the report."""

_WIDE = 48
_TOP = _WIDE - 8


@compiled(divisions_checked=False)
def begin(state: np.ndarray, length: Any) -> None:
    """Begin to write a report of `length` bits."""
    state[LOW], state[RANGE], state[PLACE], state[CODE], state[LENGTH] = 0, 1 << _WIDE, 0, 0, length


@compiled(divisions_checked=False)
def begin_reading(state: np.ndarray, length: Any, report: np.ndarray) -> None:
    """Begin to read a report of `length` bits."""
    begin(state, length)
    for _ in range(_WIDE // 8):
        state[CODE] = (state[CODE] << 8) | _next(state, report)


@compiled(divisions_checked=False)
def _next(state: np.ndarray, report: np.ndarray) -> Any:
    """The next byte of a report; zeros behind its last bit."""
    place = state[PLACE]
    state[PLACE] += 1
    left = state[LENGTH] - 8 * place
    if left <= 0:
        return 0
    byte = int(report[place])
    return byte if left >= 8 else byte & (0xFF << (8 - left)) & 0xFF


@compiled(divisions_checked=False)
def write(state: np.ndarray, report: np.ndarray, begins: Any, share: Any) -> None:
    """Write one symbol, whose frequencies are `share` of `TOTAL` from `begins` on."""
    unit = state[RANGE] >> SCALE
    state[LOW] += unit * begins
    state[RANGE] = unit * share
    _carry(state, report)
    while state[RANGE] < (1 << _TOP):
        if state[PLACE] < len(report):
            report[state[PLACE]] = state[LOW] >> _TOP
        state[PLACE] += 1
        state[LOW] = (state[LOW] << 8) & ((1 << _WIDE) - 1)
        state[RANGE] <<= 8


@compiled(divisions_checked=False)
def _carry(state: np.ndarray, report: np.ndarray) -> None:
    """Move what exceeds the window into the bytes before it."""
    if state[LOW] >> _WIDE:
        state[LOW] &= (1 << _WIDE) - 1
        at = state[PLACE] - 1
        while at >= 0:
            if at < len(report):
                report[at] += 1
                if report[at] != 0:
                    break
            at -= 1


@compiled(divisions_checked=False)
def finish(state: np.ndarray, report: np.ndarray) -> Any:
    """End a report; whether all symbols are in it."""
    place, length = state[PLACE], state[LENGTH]
    shift = 8 * place + _WIDE - length
    if shift > _WIDE:
        return False
    if shift > 0:
        unit = 1 << shift
        value = (state[LOW] + unit - 1) >> shift << shift
        if value >= state[LOW] + state[RANGE]:
            return False
        state[LOW] = value
        _carry(state, report)
    for k in range(_WIDE // 8):
        if place + k < len(report):
            report[place + k] = (state[LOW] >> (_TOP - 8 * k)) & 0xFF
    for k in range(place + _WIDE // 8, len(report)):
        report[k] = 0
    return True


@compiled(divisions_checked=False)
def target(state: np.ndarray) -> Any:
    """Where among the frequencies the next symbol of a report lies."""
    return min(state[CODE] // (state[RANGE] >> SCALE), TOTAL - 1)


@compiled(divisions_checked=False)
def took(state: np.ndarray, report: np.ndarray, begins: Any, share: Any) -> None:
    """Pass over a symbol that was read."""
    unit = state[RANGE] >> SCALE
    state[RANGE] = unit * share
    state[CODE] = min(state[CODE] - unit * begins, state[RANGE] - 1)  # a damaged report may lie behind all symbols
    while state[RANGE] < (1 << _TOP):
        state[CODE] = (state[CODE] << 8) | _next(state, report)
        state[RANGE] <<= 8


@compiled(divisions_checked=False)
def code(state: np.ndarray, report: np.ndarray, reading: Any, edges: np.ndarray, symbol: Any) -> Any:
    """Write a symbol of an alphabet with the cumulative frequencies `edges`, or read one; returned is the symbol."""
    if reading:
        place = target(state)
        low, high = 0, len(edges) - 1
        while high - low > 1:
            middle = (low + high) // 2
            if edges[middle] <= place:
                low = middle
            else:
                high = middle
        took(state, report, edges[low], edges[low + 1] - edges[low])
        return low
    write(state, report, edges[symbol], edges[symbol + 1] - edges[symbol])
    return symbol


@compiled(divisions_checked=False)
def code_flat(state: np.ndarray, report: np.ndarray, reading: Any, count: Any, symbol: Any) -> Any:
    """As `code`, of `count` symbols that are equally frequent."""
    if reading:
        symbol = min((target(state) * count + count - 1) // TOTAL, count - 1)
        while symbol * TOTAL // count > target(state):
            symbol -= 1
        while (symbol + 1) * TOTAL // count <= target(state):
            symbol += 1
        begins = symbol * TOTAL // count
        took(state, report, begins, (symbol + 1) * TOTAL // count - begins)
        return symbol
    begins = symbol * TOTAL // count
    write(state, report, begins, (symbol + 1) * TOTAL // count - begins)
    return symbol
