"""What all tests share."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.checked import check_package

check_package()

# No deadlines: the first example of a test compiles kernels. In CI the examples are the same every time.
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# Figures need no screen.
os.environ.setdefault("MPLBACKEND", "Agg")

# Shells start background jobs with Ctrl-C ignored, which the programs that tests start would inherit.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def sound_maps() -> Iterator[None]:
    """Every site that a test makes of a map passes `check_site` without an error."""
    from sitetwin.site.check.check import check_site
    from sitetwin.site.maps import assemble

    plain = assemble.build_site

    def build_sound_site(*facts: Any, **more: Any) -> Any:
        site = plain(*facts, **more)
        errors = [finding for finding in check_site(site).findings if finding.severity == "error"]
        assert not errors, f"the importer's own site fails its check: {errors}"
        return site

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assemble, "build_site", build_sound_site)
        yield


# Files whose tests take longest. They are begun first, so that no process is left alone with one of them at the end.
LONG = ("studies/test_csi.py", "rays/test_workers.py", "studies/test_beams.py", "studies/test_csi_parallel.py",
        "learn/test_neural.py", "learn/test_beams.py", "rays/test_reference.py", "cli/test_coverage.py")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of long files first; all others keep their order."""
    order = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get("/".join(item.path.parts[-2:]), len(order)))
