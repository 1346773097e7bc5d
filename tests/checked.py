"""Which modules have the types and shapes of their annotations checked at every call, and by what."""

from pathlib import Path

from beartype import BeartypeConf, beartype

CHECKER = "tests.checked.check"
check = beartype(conf=BeartypeConf(is_pep484_tower=True))

# The command line is left out: typer reads its annotations itself, and it imports late what they name. Compiled loops
# are left out: the compiler checks types itself. Discovery is left out: a checked function that Dr.Jit's loops call is
# never freed, nor are the rays that it knows. The pool of workers is left out: a checked class cannot be pickled by value.
SKIPPED = (
    "sitetwin.cli",
    "sitetwin.channel.numerics.kernels",
    "sitetwin.channel.numerics.products",
    "sitetwin.rays.jobs.workers",
    "sitetwin.rays.specular.discovery",
)


def checked_modules() -> list[str]:
    """Names of all modules but the skipped ones. Packages are not named: that would mean all that is in them."""
    source = Path(__file__).parents[1] / "src"
    files = (source / "sitetwin").rglob("*.py")
    names = sorted(".".join(f.relative_to(source).with_suffix("").parts) for f in files if f.stem[:2] != "__")
    return [name for name in names if not any(name == s or name.startswith(f"{s}.") for s in SKIPPED)]
