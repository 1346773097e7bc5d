"""Some damaged and forged stores of the thousand that ``python -m tests.damage`` makes."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked, and limited in memory")


def run(*options: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "tests.damage", *options], capture_output=True, text=True)


def test_no_damage_is_read_and_no_forgery_ends_the_process():
    done = run("--cases", "10", "--seed", "1")
    assert not done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_thousand_cases():
    done = run("--cases", "1000")
    assert not done.returncode, done.stdout + done.stderr
