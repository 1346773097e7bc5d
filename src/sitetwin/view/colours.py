"""Colours of numbers, and the legend that says which is which."""

from __future__ import annotations

import html
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator

from sitetwin.drawing.maps import round_range
from sitetwin.drawing.style import PALETTE
from sitetwin.view.quantities import Quantity

NO_VALUE = (150, 150, 150)
"""Colour of users without a value."""

_MAP = "viridis"
_LABELS = ("#D55E00", *(c for c in PALETTE if c != "#D55E00"))  # the first label is a "no"
_STOPS = 12  # of the legend's gradient


@dataclass(frozen=True)
class Scale:
    """Which numbers the ends of the colours stand for.

    Attributes:
        low: Lower end.
        high: Upper end, above the lower.
    """

    low: float
    high: float


def scale_of(quantity: Quantity) -> Scale:
    """Choose the numbers that the ends of the colours stand for.

    The scale covers the middle 98 % of the finite values and its ends are rounded outwards to the quantity's step. A
    quantity without a step has its own smallest and largest value as ends.
    """
    known = quantity.values[np.isfinite(quantity.values)]
    if quantity.names:
        return Scale(0.0, float(max(len(quantity.names) - 1, 1)))
    if not len(known):
        return Scale(0.0, 1.0)
    if quantity.step:
        return Scale(*round_range(quantity.values, quantity.step))
    low, high = float(known.min()), float(known.max())
    return Scale(low, high if high > low else low + 1.0)


def colours_of(quantity: Quantity, scale: Scale) -> UInt8[np.ndarray, "users 3"]:
    """Colour the users; values beyond the scale, infinite ones too, have the colour of its end."""
    known = ~np.isnan(quantity.values)
    colours = np.empty((len(quantity.values), 3), dtype=np.uint8)
    colours[~known] = NO_VALUE
    if quantity.names:
        table = np.array([to_rgb(_LABELS[i % len(_LABELS)]) for i in range(len(quantity.names))])
        chosen = np.clip(quantity.values[known], 0, len(quantity.names) - 1).astype(np.int64)
        colours[known] = np.rint(255 * table[chosen])
    else:
        share = np.clip((quantity.values[known] - scale.low) / (scale.high - scale.low), 0.0, 1.0)
        colours[known] = np.rint(255 * colormaps[_MAP](share)[:, :3])
    return colours


def legend(quantity: Quantity, scale: Scale) -> str:
    """Write a colour bar, or labels with their colours, and how many users have no value, as HTML."""
    missing = int(np.isnan(quantity.values).sum())
    parts = [f'<div style="font-weight:600;margin-bottom:4px">{html.escape(quantity.label)}</div>']
    if quantity.names:
        parts += [
            _swatch(_LABELS[i % len(_LABELS)], f"{name}: {int((quantity.values == i).sum()):,}")
            for i, name in enumerate(quantity.names)
        ]
    else:
        stops = ",".join(_css(colormaps[_MAP](share)) for share in np.linspace(0, 1, _STOPS))
        ticks = "".join(_tick(value, scale) for value in MaxNLocator(5).tick_values(scale.low, scale.high))
        parts.append(
            f'<div style="height:14px;border-radius:3px;background:linear-gradient(to right,{stops})"></div>'
            f'<div style="position:relative;height:1.5em">{ticks}</div>'
        )
    if missing:
        parts.append(_swatch("#{:02x}{:02x}{:02x}".format(*NO_VALUE), f"no value: {missing:,}"))
    return f'<div style="padding:4px 12px;font-size:13px;line-height:1.5">{"".join(parts)}</div>'


def _tick(value: float, scale: Scale) -> str:
    """A number under its place on the colour bar; nothing for one beyond its ends."""
    share = (value - scale.low) / (scale.high - scale.low)
    if not -1e-9 <= share <= 1 + 1e-9:
        return ""
    anchor = -100 * share  # per cent of its own width: the outermost numbers stay within the bar
    text = f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
    return f'<span style="position:absolute;left:{100 * share:.2f}%;transform:translateX({anchor:.2f}%)">{text}</span>'


def _swatch(colour: str, text: str) -> str:
    box = f"display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:6px;background:{colour}"
    return f'<div><span style="{box}"></span>{html.escape(text)}</div>'


def _css(rgba: tuple[float, float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * float(c)):02x}" for c in rgba[:3])
