"""Where transmitters and users stand, as commands that trace print it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sitetwin.cli.console import print_facts

if TYPE_CHECKING:
    import numpy as np

    from sitetwin.site import Site

_MOST = 8  # transmitters that are listed


def print_places(site: Site, radios: Mapping[str, Any], users: np.ndarray) -> None:
    """Print where radios stand and what users span, in metres, in degrees where known, and above the ground.

    Args:
        site: The site.
        radios: Positions in metres by what stands there: (3,) of one, or (radios, 3) of several, which are numbered.
        users: (users, 3) metres.
    """
    import numpy as np

    from sitetwin.site.places.extent import extent_words, place_words

    facts = []
    for name, given in radios.items():
        places = np.atleast_2d(given)
        for number, place in enumerate(places):
            facts.append((f"{name} {number}" if len(places) > 1 else name, place_words(site, place)))
    if len(facts) > _MOST:
        facts = [*facts[:_MOST], ("and", f"{len(facts) - _MOST} more")]
    print_facts([*facts, ("users span", extent_words(site, users))])
