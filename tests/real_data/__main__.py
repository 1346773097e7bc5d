"""`python -m tests.real_data`: all checks on real data, from the folder that SITETWIN_DATA names."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# The machine has a core or two for this; libraries that start a thread for each core only get in each other's way.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

VARIABLE = "SITETWIN_DATA"


def main() -> int:
    """Run every case; the exit status is 2 without data, 1 if a bound is broken."""
    folder = os.environ.get(VARIABLE, "")
    if not folder or not Path(folder).is_dir():
        said = f"names no folder: {folder!r}" if folder else "is not set"
        print(
            f"No check ran: the environment variable {VARIABLE} {said}. Set it to the folder with the real data "
            "(docs/project/real-data.md says which).",
            file=sys.stderr,
        )
        return 2
    from tests.real_data.register import CASES
    from tests.real_data.table import run

    return run(CASES, Path(folder), sys.stdout)


if __name__ == "__main__":
    sys.exit(main())
