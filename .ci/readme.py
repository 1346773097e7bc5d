"""Run the first Python block of a page, say how long it took, and fail if it takes more memory than was promised.

The time is only told: it depends on what else the machine does.

python .ci/readme.py README.md SECONDS GIGABYTES
"""

import re
import resource
import sys
import time
from pathlib import Path

page, seconds, gigabytes = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
block = re.search(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
if block is None:
    sys.exit(f"{page} has no block of Python")

begin = time.monotonic()
exec(compile(block.group(1), str(page), "exec"), {"__name__": "__main__"})
taken = time.monotonic() - begin
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2  # kB on Linux
print(f"{taken:.0f} s (promised: {seconds:g}), {peak:.2f} GB (promised: {gigabytes:g})")
if peak > gigabytes:
    sys.exit(f"the page promises {gigabytes:g} GB")
