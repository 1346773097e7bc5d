"""Types and shapes of annotations, checked at every call of the package that a test makes.

beartype checks each annotation by itself. jaxtyping lets a name such as "users" mean one length within a call; that
context costs time, so it is opened for those functions alone whose annotations name lengths.
"""

import re
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from inspect import isclass, isfunction
from types import ModuleType
from typing import Any

from beartype import BeartypeConf
from beartype.claw import beartype_package
from jaxtyping import jaxtyped

# The command line is left out: typer reads its annotations itself, and it imports late what they name. Compiled loops
# are left out: the compiler checks types itself. Discovery is left out: a checked function that Dr.Jit's loops call is
# never freed, nor are the rays that it knows. Data sets of torch are left out: their base class has annotations of an
# outdated kind, which the checker warns of.
SKIPPED = (
    "sitetwin.face.datasets",
    "sitetwin.cli",
    "sitetwin.channel.numerics.dirichlet",
    "sitetwin.channel.numerics.kernels",
    "sitetwin.channel.numerics.products",
    "sitetwin.learn.csi.hybrid.paths",
    "sitetwin.learn.csi.hybrid.range_coder",
    "sitetwin.learn.csi.hybrid.references",
    "sitetwin.learn.csi.hybrid.report",
    "sitetwin.learn.csi.hybrid.rounding",
    "sitetwin.learn.csi.hybrid.search",
    "sitetwin.learn.csi.hybrid.tasks",
    "sitetwin.learn.csi.hybrid.waves",
    "sitetwin.link.kernels",
    "sitetwin.rays.specular.discovery",
)
_SHAPED = re.compile(r"\b(Float|Complex|Inexact|Int|UInt|Integer|Bool|Num|Shaped)\d*\[")


def check_package() -> None:
    """Have every module of the package that is imported from now on checked."""
    beartype_package("sitetwin", conf=BeartypeConf(is_pep484_tower=True, claw_skip_package_names=SKIPPED))
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the package's modules as Python does, and has their lengths shared once they are loaded."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if not name.startswith("sitetwin.") or any(name == s or name.startswith(f"{s}.") for s in SKIPPED):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None and spec.submodule_search_locations is None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._inner.exec_module(module)
        _share_lengths(module, module.__name__)


def _share_lengths(holder: Any, home: str) -> None:
    """Give the functions of a module or class that name lengths a context in which a name is one length."""
    for name, value in list(vars(holder).items()):
        if isclass(value) and value.__module__ == home and isinstance(holder, ModuleType):
            _share_lengths(value, home)
        if isinstance(value, property) and isfunction(value.fget) and _names_lengths(value.fget):
            setattr(holder, name, value.getter(jaxtyped(typechecker=None)(value.fget)))
            continue
        inner = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
        # The __init__ of a dataclass has the annotations of its fields, which jaxtyping's context serves as well.
        if isfunction(inner) and inner.__module__ == home and _names_lengths(inner):
            shared = jaxtyped(typechecker=None)(inner)
            setattr(holder, name, type(value)(shared) if inner is not value else shared)


def _names_lengths(function: Any) -> bool:
    return any(_SHAPED.search(str(hint)) for hint in function.__annotations__.values())
