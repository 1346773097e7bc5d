"""What all tests share."""

import os
import signal

from beartype import BeartypeConf
from beartype.claw import beartype_package
from hypothesis import HealthCheck, settings

# Every call into the package has its annotations checked. The command line is left out: typer reads its annotations
# itself, and it imports late what they name. Compiled loops are left out: the compiler checks types itself. Discovery
# is left out: a checked function that Dr.Jit's loops call is never freed, nor are the rays that it knows.
SKIPPED = (
    "sitetwin.cli.app",
    "sitetwin.cli.trace_options",
    "sitetwin.cli.convergence",
    "sitetwin.cli.field_options",
    "sitetwin.cli.map_options",
    "sitetwin.cli.site_import",
    "sitetwin.channel.numerics.kernels",
    "sitetwin.channel.numerics.products",
    "sitetwin.rays.specular.discovery",
)
beartype_package("sitetwin", conf=BeartypeConf(is_pep484_tower=True, claw_skip_package_names=SKIPPED))

# No deadlines: the first example of a test compiles kernels. In CI the examples are the same every time.
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# Figures need no screen.
os.environ.setdefault("MPLBACKEND", "Agg")

# Shells start background jobs with Ctrl-C ignored, which the programs that tests start would inherit.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
