"""All targets: one for each reader of files."""

from __future__ import annotations

from tests.fuzz.judge import Target
from tests.fuzz.targets import maps, models, numbers, radios, studies

TARGETS: dict[str, Target] = {
    target.name: target for room in (maps, models, radios, numbers, studies) for target in room.TARGETS
}
"""By name."""
