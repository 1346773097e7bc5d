"""What all tests share."""

import os
import signal

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
