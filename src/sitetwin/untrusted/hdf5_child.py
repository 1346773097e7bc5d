"""Read arrays of an HDF5 file by libhdf5, as a program of its own: files of strangers get little time and memory.

`sitetwin.untrusted.limited` lets this program run. It imports nothing of the package, so that it starts quickly.
`hdf5.py` asks the question and checks the answer.
"""

from __future__ import annotations

import json
from typing import Any

_MOST_AXES = 8
_FILTERS = {1: "deflate", 2: "shuffle", 3: "Fletcher's checksum", 32000: "LZF"}
_MATLAB = "MATLAB_class"  # an attribute that MATLAB 7.3 gives each of its arrays


class RefusalError(Exception):
    """What is wrong with a file, and how to mend it."""


def answer(question: dict[str, Any]) -> None:
    """Read what the question names and write the answer.

    Args:
        question: `answer`, the file to write; `file`; `names` of arrays that are read where they are there; `largest`,
            bytes of them all.
    """
    import numpy as np

    arrays: dict[str, Any] = {}
    text: dict[str, Any] = {}
    try:
        _read(question, arrays)
    except RefusalError as refusal:
        text, arrays = {"refused": str(refusal)}, {}
    except Exception as error:  # whatever libhdf5 and its wrapper meet, this process ends here
        said = " ".join(str(error).split())[:100] or type(error).__name__
        text, arrays = {"refused": f"is damaged or no HDF5 file ({said}); copy it again"}, {}
    encoded = json.dumps(text).encode()
    np.savez(question["answer"], text=np.frombuffer(encoded, dtype=np.uint8), **arrays)


def _read(question: dict[str, Any], arrays: dict[str, Any]) -> None:
    import h5py

    left = question["largest"]
    with h5py.File(question["file"], "r") as file:
        for name in question["names"]:
            link = file.get(name, getlink=True)
            if link is None:
                continue
            if not isinstance(link, h5py.HardLink):
                raise RefusalError(f"has a link in place of '{name}'; write the array itself into the file")
            found = file[name]
            if not isinstance(found, h5py.Dataset):
                raise RefusalError(f"has a group in place of '{name}'; write an array of numbers at the top level")
            _check(found, name)
            if found.nbytes > left:
                raise RefusalError(
                    f"would take more memory with '{name}' than a file of its size means; write it without packing, or "
                    "fewer samples"
                )
            left -= found.nbytes
            values = found[()]
            if values.dtype.names == ("real", "imag"):
                values = values["real"] + 1j * values["imag"]
            arrays[name] = values.T if _MATLAB in found.attrs else values


def _check(found: Any, name: str) -> None:
    """Refuse an array that is not stored in this file as plain numbers."""
    if found.is_virtual or found.external:
        raise RefusalError(f"keeps '{name}' in other files; write the array itself into the file")
    kind = found.dtype
    parts = [kind[part] for part in kind.names] if kind.names == ("real", "imag") else [kind]
    plain = all(part.kind in "fiuc" and part.itemsize <= (16 if part.kind == "c" else 8) for part in parts)
    if not plain or any(part.metadata for part in parts) or (len(parts) == 2 and parts[0] != parts[1]):
        raise RefusalError(f"has other than plain numbers in '{name}'; write it as complex or real numbers")
    if found.shape is None or len(found.shape) > _MOST_AXES:
        raise RefusalError(f"has no array of a few axes in '{name}'; write one")
    properties = found.id.get_create_plist()
    for number in range(properties.get_nfilters()):
        code = properties.get_filter(number)[0]
        if code not in _FILTERS:
            raise RefusalError(f"packs '{name}' by filter {code}, which is not read; pack it by gzip, or not at all")
