"""Reports need the results of studies, not what made them."""

import subprocess
import sys

CODE = """
import sys
import sitetwin.report
import sitetwin.report.beams.page
heavy = ("torch", "mitsuba", "drjit", "sitetwin.rays", "sitetwin.channel", "sitetwin.learn", "sitetwin.calibrate")
print(*[name for name in heavy if name in sys.modules])
"""


def test_importing_the_reports_loads_neither_torch_nor_the_tracer() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == []
