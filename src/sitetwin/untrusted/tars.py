"""Members of a gzipped TAR archive, as package registries send them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted.files import short
from sitetwin.untrusted.packed import LARGEST_ARCHIVE, gunzip

MOST_MEMBERS = 2**16
"""Members of one TAR archive."""


def read_tar(data: bytes, what: str, mend: str, sizes: Mapping[str, int]) -> dict[str, bytes]:
    """Read members whose sizes are known; nothing is written to the disk, and no link is followed.

    Args:
        data: The archive, packed by gzip.
        what: Kind and name of the file, for messages.
        mend: What the user can do.
        sizes: Bytes of each member that is wanted, by its whole name.

    Raises:
        SiteTwinError: It is damaged or grows beyond reason, or a member is missing, stands there twice, is no regular
            file, or has another size.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(gunzip(data, LARGEST_ARCHIVE)), mode="r:") as archive:
            for number, member in enumerate(archive):
                if number >= MOST_MEMBERS:
                    raise ValueError(f"it has more than {MOST_MEMBERS} members")
                if member.name not in sizes:
                    continue
                if member.name in found:
                    raise ValueError(f"two members have the name '{member.name}'")
                if not member.isreg() or member.issparse() or member.size != sizes[member.name]:
                    raise ValueError(f"'{member.name}' is no regular file of {sizes[member.name]} bytes")
                stream = archive.extractfile(member)
                found[member.name] = stream.read() if stream is not None else b""
                if len(found[member.name]) != member.size:
                    raise ValueError(f"'{member.name}' is cut short")
    except Exception as error:  # tarfile raises what its parsers meet: TarError, ValueError, OverflowError, ...
        raise SiteTwinError(f"{what} is damaged or no archive of its kind ({short(error)}); {mend}") from error
    missing = sorted(set(sizes) - set(found))
    if missing:
        raise SiteTwinError(f"{what} has no '{missing[0]}'; {mend}")
    return found
