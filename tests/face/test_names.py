"""The names of the face: all there, none costs anything before it is used."""

import subprocess
import sys

import pytest

import sitetwin as st


def test_importing_brings_nothing_heavy():
    program = (
        "import sys, sitetwin; heavy = {'torch', 'mitsuba', 'drjit', 'numpy', 'xarray', 'matplotlib', 'scipy', 'zarr'};"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


@pytest.mark.parametrize("name", st.__all__)
def test_every_name_is_there_and_says_what_it_is(name):
    value = getattr(st, name)
    assert value.__doc__ or name == "__version__"
    assert name in dir(st)


def test_an_unknown_name_is_the_usual_error():
    with pytest.raises(AttributeError, match="no attribute 'tracee'"):
        st.tracee  # noqa: B018
