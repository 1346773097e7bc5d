"""Make one HTTP request with limits of time and size; it is repeated when a server is busy.

`urllib3` speaks HTTP and knows when and how long to wait. Redirects are followed here, because each new address is
checked first, and so are answers that nobody wants, because urllib3 would read them to their end.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urljoin

import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader, LocationParseError, MaxRetryError
from urllib3.util import Retry, Timeout, Url, make_headers, parse_url

from sitetwin.errors import SiteTwinError

_BUSY = {429, 502, 503, 504}
_LONGEST_PAUSE = 60.0
_MOST_REDIRECTS = 3
_BLOCK = 2**16
_AGENT = "sitetwin (site-specific digital twins; OpenStreetMap import)"


class UnreachableError(Exception):
    """The server did not answer; the message says why, in a few words."""


@dataclass(frozen=True)
class Download:
    """An HTTP request.

    Attributes:
        url: An https address, or an http address of this machine.
        largest: Largest size of an answer, bytes.
        query: Names and values that follow the "?" of the address.
        form: Names and values of a form that is posted, or None for a GET.
        pauses: Seconds to wait before each further attempt when the server is busy.
        seconds: Longest silence of the server, and longest duration of the whole answer, seconds.
        progress: Called with the share of the answer that has come, 0 to 1, where the server names its size.
    """

    url: str
    largest: int
    query: Mapping[str, str] | None = None
    form: Mapping[str, str] | None = None
    pauses: tuple[float, ...] = ()
    seconds: float = 30.0
    progress: Callable[[float], None] | None = None


def download(request: Download) -> bytes:
    """Make a request and return the bytes of the answer.

    Raises:
        UnreachableError: There is no network, no such server, no answer in time, or the server refuses.
        SiteTwinError: The address is neither https nor of this machine, or the answer is too large.
    """
    host = _checked_address(request.url).host
    policy = _Patience.of(request.pauses)
    try:
        while True:
            answer = _answer(request)
            try:
                if 200 <= answer.status < 300:
                    return _body(answer, request)
                refusal = f"{host} says {answer.status} {answer.reason}"
                if not policy.is_retry("GET", answer.status):
                    raise UnreachableError(refusal)
                policy = policy.increment("GET", request.url, answer)
            except MaxRetryError as error:
                raise UnreachableError(refusal) from error
            finally:
                answer.close()
            policy.sleep(answer)
    except (OSError, HTTPError, ValueError) as error:
        raise UnreachableError(f"{host} cannot be reached: {_reason(error)}") from error


class _Patience(Retry):
    """Waits as long as a busy server asks for, up to a minute, or else as long as is said here."""

    pauses: tuple[float, ...] = ()

    @classmethod
    def of(cls, pauses: tuple[float, ...]) -> _Patience:
        policy = cls(total=len(pauses), status_forcelist=_BUSY, allowed_methods=None)
        policy.pauses = pauses
        return policy

    def new(self, **changes: Any) -> _Patience:
        policy = super().new(**changes)
        policy.pauses = self.pauses
        return policy

    def get_backoff_time(self) -> float:
        return min(self.pauses[len(self.history) - 1], _LONGEST_PAUSE)

    def parse_retry_after(self, retry_after: str) -> float:
        try:
            return min(super().parse_retry_after(retry_after), _LONGEST_PAUSE)
        except (InvalidHeader, ValueError, OverflowError):  # no number, no date, or thousands of digits
            return 0.0


def _answer(request: Download) -> urllib3.BaseHTTPResponse:
    """The first answer that is no redirect; its body is still to be read."""
    url = request.url if request.query is None else f"{request.url}?{urlencode(request.query)}"
    body = None if request.form is None else urlencode(request.form).encode()
    for _ in range(_MOST_REDIRECTS + 1):
        answer = _once(url, body, request.seconds)
        target = answer.get_redirect_location()
        if not target:
            return answer
        answer.close()
        if answer.status == 303:  # "see other": the form has been taken
            body = None
        url = _redirected(url, target)
    raise UnreachableError(f"{parse_url(url).host} redirects more than {_MOST_REDIRECTS} times")


def _once(url: str, body: bytes | None, seconds: float) -> urllib3.BaseHTTPResponse:
    """One attempt at one address."""
    headers = {"User-Agent": _AGENT}
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    return _pool(parse_url(url)).urlopen(
        "GET" if body is None else "POST",
        url,
        body=body,
        headers=headers,
        timeout=Timeout(connect=seconds, read=seconds),
        retries=False,
        redirect=False,
        preload_content=False,
        decode_content=False,
    )


def _pool(address: Url) -> urllib3.PoolManager:
    """Connections that check certificates, through the proxy that the environment names."""
    how: dict[str, Any] = {"ssl_context": ssl.create_default_context()}
    host = address.host or ""
    proxy = None if _is_local(host) or urllib.request.proxy_bypass(host) else urllib.request.getproxies().get("https")
    if not proxy:
        return urllib3.PoolManager(**how)
    login = parse_url(proxy).auth
    return urllib3.ProxyManager(proxy, proxy_headers=make_headers(proxy_basic_auth=login) if login else None, **how)


def _body(answer: urllib3.BaseHTTPResponse, request: Download) -> bytes:
    """What a server sends, as long as it is neither too much nor too slow."""
    deadline = time.monotonic() + request.seconds
    announced = answer.headers.get("Content-Length", "")
    expected = int(announced) if announced.isdecimal() else None
    parts, size = [], 0
    while block := answer.read1(_BLOCK):
        parts.append(block)
        size += len(block)
        if size > request.largest:
            raise SiteTwinError(
                f"{parse_url(request.url).host} sends more than {request.largest >> 20} MB; ask for a smaller radius"
            )
        if time.monotonic() > deadline:
            raise TimeoutError("the answer takes too long")
        if request.progress is not None and expected:
            request.progress(min(size / expected, 1.0))
    if expected is not None and size < expected:
        raise ConnectionError("the answer was cut short")
    return b"".join(parts)


def _checked_address(url: str) -> Url:
    """The parts of an address that may be asked."""
    try:
        address = parse_url(url)
    except LocationParseError:
        address = Url()
    if address.host and (address.scheme == "https" or (address.scheme == "http" and _is_local(address.host))):
        return address
    raise SiteTwinError(
        f"'{url[:80]}' is no address to fetch from; give one that starts with https:// (http:// serves for this "
        "machine alone, such as http://localhost)"
    )


def _redirected(url: str, target: str) -> str:
    """The address that a server sends one to, if it is as safe as the one that was asked."""
    there = urljoin(url, target)
    old, new = parse_url(url), parse_url(there)
    stays = (old.scheme, old.host, old.port) == (new.scheme, new.host, new.port)
    if stays or (old.scheme == new.scheme == "https" and new.host and not _is_inside(new.host)):
        return there
    raise UnreachableError(f"{old.host} redirects to '{there[:80]}', which is not followed")


def _is_local(host: str) -> bool:
    """Whether a host is this machine, by its name or number."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_inside(host: str) -> bool:
    """Whether a host lies on this machine or in a private network, by its addresses."""
    found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    return not all(ipaddress.ip_address(str(place[4][0]).partition("%")[0]).is_global for place in found)


def _reason(error: Exception) -> str:
    """The cause that the system names, in a few words."""
    cause = error.__cause__ or error
    return " ".join(str(cause).split())[:100] or type(cause).__name__
