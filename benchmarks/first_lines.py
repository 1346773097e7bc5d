"""The ten lines of the README in a fresh process: seconds and peak memory.

python benchmarks/first_lines.py
"""

from __future__ import annotations

import json
import resource
import time
from itertools import pairwise


def main() -> None:
    """Run the lines and print what they took as one JSON object."""
    marks = [time.perf_counter()]
    import sitetwin as st

    marks.append(time.perf_counter())
    site = st.open_site("munich")
    users = st.grid(site, area=(-100, -100, 100, 100), spacing=1.0)
    paths = st.trace(site, tx=(8.5, 21, 27), users=users, max_depth=3, diffraction=True)
    marks.append(time.perf_counter())
    radio = st.Radio("upa:8x8", pattern="tr38901")
    h = st.channels(paths, site, carrier_hz=28e9, radio=radio, bandwidth_hz=100e6, subcarriers=256)
    str(site), str(paths), str(h)
    h.sel(frequency=28e9).isel(user=slice(0, 2000)).compute()
    marks.append(time.perf_counter())
    stages = [after - before for before, after in pairwise(marks)]
    result = dict(zip(("seconds_import", "seconds_trace", "seconds_channels"), stages, strict=True))
    result |= {
        "seconds": marks[-1] - marks[0],
        "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "users": paths.num_users,
        "paths": len(paths),
        "bytes_of_channels": h.nbytes,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
