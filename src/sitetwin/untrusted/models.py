"""Small files of text (TOML) that a pydantic model describes."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from sitetwin.errors import SiteTwinError, said_of
from sitetwin.untrusted.files import read_bytes
from sitetwin.untrusted.texts import parse_toml

M = TypeVar("M", bound=BaseModel)


def read_model(path: str | Path, model: type[M], where: str, largest: int, keys: str) -> M:
    """Read a file whose keys are the fields of a model.

    Args:
        path: The file.
        model: The model.
        where: Kind and name of the file, for messages.
        largest: Bytes of the largest file.
        keys: What is said of an unknown key: where to look which there are.

    Raises:
        SiteTwinError: The file cannot be read, is no TOML, or has an unknown key or a wrong value.
    """
    content = parse_toml(read_bytes(Path(path), where, largest), where)
    try:
        with said_of(where):
            return model.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            raise SiteTwinError(f"{where}: '{key}' is unknown; {keys}") from error
        raise SiteTwinError(f"{where}: '{key}': {problem['msg'][:200]}; mend it") from error
