"""Requests against servers that are busy, slow, wrong or hostile: a server of our own that sends any bytes."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps import download as module
from sitetwin.site.maps.download import Download, UnreachableError, download


class RawServer:
    """Sends prepared bytes, one answer to each connection; a number among them is a pause in seconds."""

    def __init__(self) -> None:
        self.answers: list[tuple[bytes | float, ...]] = []
        self.asked: list[bytes] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/map"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                asked = connection.recv(2**16)
                while asked.startswith(b"POST") and asked.endswith(b"\r\n\r\n"):  # the form comes by itself
                    asked += connection.recv(2**16)
                self.asked.append(asked)
                for part in self.answers.pop(0):
                    if isinstance(part, bytes):
                        connection.sendall(part)
                    else:
                        time.sleep(part)


@pytest.fixture
def server() -> Iterator[RawServer]:
    made = RawServer()
    yield made
    made.socket.close()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses between attempts, which are not waited for."""
    pauses: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", pauses.append)
    return pauses


def said(status: str, body: bytes = b"", **headers: str) -> tuple[bytes]:
    lines = {"Content-Length": str(len(body)), **{k.replace("_", "-"): v for k, v in headers.items()}}
    return (
        f"HTTP/1.1 {status}\r\n{''.join(f'{k}: {v}' + chr(13) + chr(10) for k, v in lines.items())}\r\n".encode()
        + body,
    )


def test_the_answer_comes_as_it_was_sent_and_its_share_is_told(server: RawServer) -> None:
    body, shares = bytes(range(256)) * 1000, []
    server.answers = [said("200 OK", body, Content_Encoding="gzip"), (b"HTTP/1.0 200 OK\r\n\r\n", b"to the end")]
    assert download(Download(server.url, 2**20, progress=shares.append)) == body  # byte for byte: nothing is unpacked
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert download(Download(server.url, 2**20, form={"a": "b c"})) == b"to the end"
    assert server.asked[1].startswith(b"POST /map HTTP/1.1\r\n")
    assert server.asked[1].endswith(b"\r\n\r\na=b+c")


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({}, [7.0, 11.0]),
        ({"Retry_After": "3"}, [3.0, 3.0]),
        ({"Retry_After": "86400"}, [60.0, 60.0]),
        ({"Retry_After": formatdate(time.time() + 9e4, usegmt=True)}, [60.0, 60.0]),
        ({"Retry_After": formatdate(0, usegmt=True)}, [7.0, 11.0]),
        ({"Retry_After": "soon"}, [7.0, 11.0]),
        ({"Retry_After": "9" * 5000}, [7.0, 11.0]),
        ({"Retry_After": "-1"}, [7.0, 11.0]),
    ],
)
def test_a_busy_server_is_waited_for_as_it_asks(server, slept, headers, waits) -> None:
    server.answers = [said("503 Busy", **headers), said("429 Busy", **headers), said("200 OK", b"map")]
    assert download(Download(server.url, 100, pauses=(7.0, 11.0))) == b"map"
    assert slept == waits


def test_the_last_refusal_is_told(server: RawServer, slept: list[float]) -> None:
    server.answers = [said("504 Too slow")] * 2 + [said("404 Gone", Retry_After="1")]
    for _ in range(2):
        with pytest.raises(UnreachableError, match=r"127\.0\.0\.1 says"):
            download(Download(server.url, 100, pauses=(1.0,)))
    assert slept == [1.0]
    assert len(server.asked) == 3


def test_what_a_busy_server_goes_on_saying_is_not_read(server: RawServer, slept: list[float]) -> None:
    endless = (b"HTTP/1.1 503 Busy\r\nContent-Length: 99999999999\r\n\r\n", *[b" " * 2**16, 0.01] * 1000)
    server.answers = [endless, said("200 OK", b"map")]
    begun = time.monotonic()
    assert download(Download(server.url, 100, pauses=(1.0,))) == b"map"
    assert time.monotonic() - begun < 5


HOSTILE = [
    ((b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",), "cut short|IncompleteRead"),
    ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",), "cannot be reached"),
    ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n",), "cannot be reached"),
    ((b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nshort",), "cannot be reached"),
    ((b"",), "cannot be reached"),
    ((b"SSH-2.0-OpenSSH\r\n",), "cannot be reached"),
    ((b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 70_000 + b"\r\n\r\n",), "cannot be reached"),
    ((b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",), "cannot be reached"),
    ((b"HTTP/1.1 999999999 OK\r\n\r\n",), "cannot be reached"),
    ((b"HTTP/1.1 200 OK\r\n\r\n", *[b"x", 0.1] * 50), "too long"),
    ((0.8,), "timed out"),
]


@pytest.mark.parametrize(("answer", "says"), HOSTILE)
def test_hostile_answers_are_told_in_one_sentence(server: RawServer, answer, says: str) -> None:
    server.answers = [answer]
    with pytest.raises(UnreachableError, match=says) as refusal:
        download(Download(server.url, 2**20, seconds=0.5))
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("head", [b"", b"Content-Length: 99999999\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_no_answer_is_larger_than_was_allowed(server: RawServer, head: bytes) -> None:
    chunk = b"10000\r\n" + b" " * 2**16 + b"\r\n" if b"chunked" in head else b" " * 2**16
    server.answers = [(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n", *[chunk] * 64)]
    with pytest.raises(SiteTwinError, match="more than 1 MB"):
        download(Download(server.url, 2**20))


def test_redirects_on_one_server_are_followed_thrice(server: RawServer) -> None:
    moved = [said(f"{code} Moved", Location=f"/{code}") for code in (301, 307, 303, 302)]
    server.answers = [*moved[:3], said("200 OK", b"map"), *moved]
    assert download(Download(server.url, 100, form={"a": "b"})) == b"map"
    assert [line.split()[:2] for line in server.asked] == [
        [b"POST", b"/map"], [b"POST", b"/301"], [b"POST", b"/307"], [b"GET", b"/303"],
    ]  # fmt: skip
    with pytest.raises(UnreachableError, match="more than 3 times"):
        download(Download(server.url, 100))


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "https://127.0.0.1/",
        "http://127.0.0.1:9/",
        "//localhost/x",
        "gopher:x",
    ],
)
def test_redirects_elsewhere_are_not_followed(server: RawServer, target: str) -> None:
    server.answers = [said("302 Moved", Location=target)]
    with pytest.raises(UnreachableError, match="which is not followed"):
        download(Download(server.url, 100))
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("target", "follows"),
    [
        ("/other", True),
        ("https:///x", True),
        ("https://93.184.216.34/x", True),
        ("https://[2606:2800:220:1:248:1893:25c8:1946]/x", True),
        ("http://93.184.216.34/x", False),  # without a certificate
        ("https://127.0.0.1/x", False),
        ("https://127.1/x", False),
        ("https://2130706433/x", False),
        ("https://0.0.0.0/x", False),
        ("https://[::1]:8443/x", False),
        ("https://[::ffff:127.0.0.1]/x", False),
        ("https://10.1.2.3/x", False),
        ("https://192.168.0.1/x", False),
        ("https://169.254.169.254/latest/meta-data", False),
        ("https://[fe80::1]/x", False),
        ("https://localhost/x", False),
    ],
)
def test_redirects_never_lead_inside(target: str, follows: bool) -> None:
    asked = "https://overpass.example/api"
    if follows:
        assert module._redirected(asked, target).startswith("https://")
    else:
        with pytest.raises((UnreachableError, OSError, ValueError)):
            module._redirected(asked, target)


@pytest.mark.parametrize(
    "url",
    ["http://overpass-api.de/api", "http://10.0.0.1/", "http://0.0.0.0/", "http://localhost.evil.org/", "ftp://localhost/",
     "file:///etc/passwd", "https://", "http://[", "", "https//x", "http://127.0.0.1@evil.org/"],
)  # fmt: skip
def test_addresses_that_are_not_asked(url: str) -> None:
    with pytest.raises(SiteTwinError, match="starts with https://"):
        download(Download(url, 100))


def test_a_server_without_a_certificate_is_not_believed(server: RawServer) -> None:
    server.answers = [said("200 OK", b"map")]
    with pytest.raises(UnreachableError, match="cannot be reached"):
        download(Download(server.url.replace("http:", "https:"), 100))
