"""The program that limits itself before it lets another file of Python read something that nobody vouches for.

It takes a question in JSON on its standard input. It imports nothing of the package, so that it starts quickly.
`limited.py` asks the question.
"""

from __future__ import annotations

import contextlib
import json
import runpy
import sys


def main() -> None:
    """Answer the question on standard input, within limits."""
    question = json.load(sys.stdin)
    sys.path[:] = question["path"]
    _limit(question["seconds"], question["memory"])
    runpy.run_path(question["program"])["answer"](question)


def _limit(seconds: int, memory: int) -> None:
    """Let the system end this process where it takes more time or memory, or writes more than that."""
    import resource

    for what, most in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, memory)):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS knows no limit of the address space
            resource.setrlimit(what, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
