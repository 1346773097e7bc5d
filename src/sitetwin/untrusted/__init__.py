"""Bytes, texts and arrays from files that nobody vouches for.

Every reader of such files comes through here, so that the limits hold for all of them: a regular file of a bounded
size, a bounded growth when it is unpacked, no deep nesting, no number or text that later code cannot hold. A test walks
the sources and finds a module that opens or parses a file by itself.

Arrays (``sitetwin.untrusted.arrays``) need NumPy, which what is imported here does not.
"""

from sitetwin.untrusted.files import is_missing, naming, opened, read_bytes, read_head, regular_size
from sitetwin.untrusted.images import LARGEST_IMAGE, MOST_PIXELS, image_size
from sitetwin.untrusted.packed import (
    FREE_GROWTH,
    LARGEST_ARCHIVE,
    MOST_GROWTH,
    GrowthError,
    bunzip,
    gunzip,
    inflate,
    largest_unpacked,
    read_zip,
)
from sitetwin.untrusted.tars import read_tar
from sitetwin.untrusted.texts import (
    LARGEST_JSON,
    LARGEST_TOML,
    LARGEST_WHOLE,
    count_lines,
    parse_json,
    parse_table,
    parse_toml,
    read_json,
    read_table,
    read_text,
)

__all__ = [
    "FREE_GROWTH",
    "LARGEST_ARCHIVE",
    "LARGEST_IMAGE",
    "LARGEST_JSON",
    "LARGEST_TOML",
    "LARGEST_WHOLE",
    "MOST_GROWTH",
    "MOST_PIXELS",
    "GrowthError",
    "bunzip",
    "count_lines",
    "gunzip",
    "image_size",
    "inflate",
    "is_missing",
    "largest_unpacked",
    "naming",
    "opened",
    "parse_json",
    "parse_table",
    "parse_toml",
    "read_bytes",
    "read_head",
    "read_json",
    "read_table",
    "read_tar",
    "read_text",
    "read_zip",
    "regular_size",
]
