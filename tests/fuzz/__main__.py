"""Try many damaged files on every reader: `make fuzz`, or `python -m tests.fuzz --help`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.campaign import Campaign
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Run a campaign, print its table, and return 1 if there are findings."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="inputs, over all targets")
    parser.add_argument("--seed", type=int, default=0, help="decides the inputs, with their numbers")
    parser.add_argument(
        "--start", type=int, default=0, help="number of the first input of each target: goes on behind others"
    )
    parser.add_argument("--only", action="append", choices=sorted(TARGETS), help="a target; several may be given")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--keep", type=Path, help="folder for the inputs of findings")
    given = parser.parse_args()
    kept = given.keep or Path(tempfile.gettempdir()) / "sitetwin-findings"
    campaign = Campaign([TARGETS[name] for name in given.only or TARGETS], given.count, given.seed, given.start, kept)
    began = time.monotonic()
    campaign.run(given.processes)
    print(campaign.table())
    print(
        f"{time.monotonic() - began:.0f} s, {given.processes} processes, seed {given.seed}, from number {given.start}"
    )
    for (name, signature), count in campaign.signatures.most_common():
        print(f"{count:6} {name}: {signature}")
    return 1 if campaign.signatures else 0


if __name__ == "__main__":
    sys.exit(main())
