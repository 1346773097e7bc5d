"""Make one HTTP request with limits of time and size; it is repeated when a server is busy."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from sitetwin.errors import SiteTwinError

_BUSY = {429, 502, 503, 504}
_LONGEST_PAUSE = 60.0
_BLOCK = 2**16
_AGENT = "sitetwin (site-specific digital twins; OpenStreetMap import)"


class UnreachableError(Exception):
    """The server did not answer; the message says why, in a few words."""


@dataclass(frozen=True)
class Download:
    """An HTTP request.

    Attributes:
        url: An http or https address.
        largest: Largest size of an answer, bytes.
        query: Names and values that follow the "?" of the address.
        form: Names and values of a form that is posted, or None for a GET.
        pauses: Seconds to wait before each further attempt when the server is busy.
        seconds: Longest silence of the server, and longest duration of the whole answer, seconds.
    """

    url: str
    largest: int
    query: Mapping[str, str] | None = None
    form: Mapping[str, str] | None = None
    pauses: tuple[float, ...] = ()
    seconds: float = 30.0


def download(request: Download) -> bytes:
    """Make a request and return the bytes of the answer.

    Raises:
        UnreachableError: There is no network, no such server, no answer in time, or the server refuses.
        SiteTwinError: The address is not a web address, or the answer is too large.
    """
    if urllib.parse.urlsplit(request.url).scheme not in ("http", "https"):
        raise SiteTwinError(f"'{request.url[:80]}' is no address to fetch from; give one that starts with https://")
    for pause in (*request.pauses, None):
        try:
            return _once(request)
        except urllib.error.HTTPError as error:
            with error:
                busy, asked = error.code in _BUSY, error.headers.get("Retry-After", "")
            if pause is None or not busy:
                raise UnreachableError(f"{_host(request.url)} says {error.code} {error.reason}") from error
            time.sleep(min(float(asked) if asked.isdecimal() else pause, _LONGEST_PAUSE))
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise UnreachableError(f"{_host(request.url)} cannot be reached: {str(reason)[:100]}") from error
    raise AssertionError("the last attempt returns or raises")


def _once(request: Download) -> bytes:
    """One attempt."""
    url = request.url if request.query is None else f"{request.url}?{urllib.parse.urlencode(request.query)}"
    body = None if request.form is None else urllib.parse.urlencode(request.form).encode()
    deadline = time.monotonic() + request.seconds
    parts, size = [], 0
    message = urllib.request.Request(url, data=body, headers={"User-Agent": _AGENT})
    with urllib.request.urlopen(message, timeout=request.seconds) as answer:
        announced = answer.headers.get("Content-Length", "")
        while block := answer.read(_BLOCK):
            parts.append(block)
            size += len(block)
            if size > request.largest:
                raise SiteTwinError(
                    f"{_host(request.url)} sends more than {request.largest >> 20} MB; ask for a smaller radius"
                )
            if time.monotonic() > deadline:
                raise TimeoutError("the answer takes too long")
    if announced.isdecimal() and size < int(announced):
        raise ConnectionError("the answer was cut short")
    return b"".join(parts)


def _host(url: str) -> str:
    return urllib.parse.urlsplit(url).hostname or url[:80]
