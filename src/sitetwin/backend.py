"""Start of the ray-casting backend (Mitsuba and Dr.Jit), and nothing else.

Dr.Jit looks for LLVM when it is first imported, so the library's path must be settled before. Every module that needs
Mitsuba calls `mitsuba()` inside its functions instead of importing it at the top: `import sitetwin` stays light.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.metadata
import os
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from sitetwin.errors import SiteTwinError

MINIMUM_LLVM = 17  # LLVM 14 to 16 abort inside Dr.Jit 1.5 ("Cannot select: fminimum")
_SYSTEM_LLVM_FOLDERS = ("/usr/lib/llvm-*/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64")


@dataclass(frozen=True)
class Llvm:
    """A shared LLVM library: where it is and its version."""

    path: str
    version: tuple[int, int, int]


def llvm_version(path: str) -> tuple[int, int, int] | None:
    """Version of the LLVM library at `path`, or None where it cannot be loaded or does not say.

    The C function ``LLVMGetVersion`` exists since LLVM 16; an older library counts as unusable here.
    """
    try:
        get_version = ctypes.CDLL(path).LLVMGetVersion
    except (OSError, AttributeError):
        return None
    numbers = [ctypes.c_uint() for _ in range(3)]
    get_version(*(ctypes.byref(n) for n in numbers))
    return tuple(n.value for n in numbers)  # type: ignore[return-value]


def _candidate_libraries() -> list[str]:
    """LLVM libraries worth a look, best first: the wheel, then the system's, newest first."""
    found = []
    try:
        files = importlib.metadata.files("karellen-llvm-core") or []
        found += [str(Path(str(f.locate())).resolve()) for f in files if f.name == "libLLVM.so"]
    except importlib.metadata.PackageNotFoundError:
        pass
    system: set[Path] = set()
    for pattern in _SYSTEM_LLVM_FOLDERS:
        for folder in Path("/").glob(pattern.lstrip("/")):
            system |= {f for f in folder.glob("libLLVM*.so*") if re.search(r"LLVM[-.\d]*\.so|\.so\.\d", f.name)}

    def newest_first(path: Path) -> list[int]:
        return [int(n) for n in re.findall(r"\d+", path.name)]

    found += [str(p) for p in sorted(system, key=newest_first, reverse=True)]
    default = ctypes.util.find_library("LLVM")
    return found + ([default] if default else [])


@cache
def find_llvm() -> Llvm | None:
    """The LLVM that Dr.Jit is to use: the user's own choice in DRJIT_LIBLLVM_PATH, else the best one found.

    Returns:
        None where no library of version 17 or later was found.
    """
    chosen = os.environ.get("DRJIT_LIBLLVM_PATH")
    for path in [chosen] if chosen else _candidate_libraries():
        version = llvm_version(path)
        if version is not None and version[0] >= MINIMUM_LLVM:
            return Llvm(path, version)
    return None


@cache
def mitsuba() -> ModuleType:
    """Mitsuba with Sionna RT's variant set: CUDA where a GPU answers, else LLVM.

    Raises:
        SiteTwinError: Neither backend can run here.
    """
    if "drjit" not in sys.modules and "DRJIT_LIBLLVM_PATH" not in os.environ:
        llvm = find_llvm()
        if llvm is not None:
            os.environ["DRJIT_LIBLLVM_PATH"] = llvm.path
    try:
        import mitsuba as mi
    except ImportError as error:
        raise SiteTwinError(
            f"the ray caster cannot be loaded ({error}); install it with `pip install sionna-rt karellen-llvm-core`"
        ) from error
    if mi.variant() is None:
        try:
            mi.set_variant("cuda_ad_mono_polarized", "llvm_ad_mono_polarized")
        except ImportError as error:  # neither a GPU nor an LLVM that Dr.Jit accepts
            raise _no_llvm() from error
    if mi.variant().startswith("llvm") and find_llvm() is None:
        raise _no_llvm()
    return mi


def _no_llvm() -> SiteTwinError:
    chosen = os.environ.get("DRJIT_LIBLLVM_PATH")
    if chosen:
        return SiteTwinError(
            f"DRJIT_LIBLLVM_PATH names {chosen}, which is not an LLVM of version {MINIMUM_LLVM} or later; "
            "unset it and run `pip install karellen-llvm-core`, or let it name another libLLVM.so"
        )
    return SiteTwinError(
        f"no LLVM of version {MINIMUM_LLVM} or later was found for the ray caster; "
        "run `pip install karellen-llvm-core`, or set DRJIT_LIBLLVM_PATH to a libLLVM.so"
    )
