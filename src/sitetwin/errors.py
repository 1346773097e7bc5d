"""The errors a user of sitetwin is meant to read."""

from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_MESSAGE = 560
"""Characters of an error's message; the middle of a longer one, which quotes a file too long, is left out."""


class SiteTwinError(Exception):
    """Bad input or an impossible request, said in one sentence.

    The message names what is wrong, where, and how to mend it. The command line prints it alone, without a traceback,
    and exits with status 1. It is one line of printable text whatever a file put into it.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(str(message)))


def one_line(text: str) -> str:
    """The text on one line, without control characters, at most `LONGEST_MESSAGE` long."""
    if len(text) > LONGEST_MESSAGE:
        text = f"{text[: LONGEST_MESSAGE - 200]} ... {text[-190:]}"
    if text.isprintable():
        return text
    text = " ".join(text.splitlines())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)[:LONGEST_MESSAGE]


@contextmanager
def said_of(what: str) -> Iterator[None]:
    """Have the refusals of what is done within begin with the name of a file, unless they name it themselves.

    Args:
        what: Kind and name of the file: "recipe 'x.toml'".

    Raises:
        SiteTwinError: What is done within is refused.
    """
    try:
        yield
    except SiteTwinError as error:
        if one_line(what) in str(error):
            raise
        raise SiteTwinError(f"{what}: {error}") from error


class SiteTwinWarning(UserWarning):
    """Something was assumed or clamped on the user's behalf; the message says what."""
