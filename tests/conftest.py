"""What all tests share."""

import os

from hypothesis import HealthCheck, settings

# No deadlines: the first example of a test compiles kernels. In CI the examples are the same every time.
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# Figures need no screen.
os.environ.setdefault("MPLBACKEND", "Agg")
