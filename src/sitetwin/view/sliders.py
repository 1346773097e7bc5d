"""Sliders whose steps have names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

_ROOM = 26  # letters that fit under a slider in the page's panel


class NamedSlider:
    """A slider with one step for each of some names, counted from 1 in the page.

    Names are written under their steps where there is room for all of them.

    Args:
        gui: The server's panel.
        label: Text beside the slider.
        names: Names of the steps, at least one; the first is chosen.
        visible: Whether the slider is shown.
        on_update: Called after another step was chosen.
    """

    def __init__(
        self, gui: Any, label: str, names: Sequence[str], *, visible: bool, on_update: Callable[[], None]
    ) -> None:
        self._names = tuple(names)
        numbers = range(1, len(self._names) + 1)
        marks = tuple(zip(numbers, self._names, strict=True)) if sum(map(len, self._names)) <= _ROOM else tuple(numbers)
        self._handle = gui.add_slider(label, 1, len(self._names), 1, 1, marks=marks, visible=visible)
        self._handle.on_update(lambda _: on_update())

    @property
    def index(self) -> int:
        """The chosen step, from 0."""
        return int(self._handle.value) - 1

    @index.setter
    def index(self, index: int) -> None:
        self._handle.value = index + 1

    @property
    def name(self) -> str:
        """The name of the chosen step."""
        return self._names[self.index]

    @property
    def visible(self) -> bool:
        """Whether the slider is shown."""
        return bool(self._handle.visible)

    @visible.setter
    def visible(self, visible: bool) -> None:
        self._handle.visible = visible
