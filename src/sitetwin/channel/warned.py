"""Give each warning once, where the same work is done tile after tile."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class Warned:
    """Lets each warning through once: the same sentence with other numbers counts as the same."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    @contextmanager
    def once(self) -> Iterator[None]:
        """Hold back, while the block runs, what was said before; give the rest at its end."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for warning in caught:
            key = re.sub(r"\d+(?:[.,]\d+)*", "#", str(warning.message))
            if key not in self._said:
                self._said.add(key)
                warnings.warn(warning.message, warning.category, stacklevel=4)
