"""A map from the network, once: against a server of our own."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps import Radius, fetch_map, read_map
from sitetwin.site.maps.fetch import MAP, QUERY, SOURCE, overpass_query
from tests.site.maps.osm_files import overpass, town

HERE = "52.5004,13.4004"


class Server:
    """Overpass and Nominatim on this machine: answers in turn, requests kept."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.asked: list[tuple[str, dict[str, list[str]], str]] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                served.asked.append((self.path, parse_qs(body), self.headers["User-Agent"]))
                self.answer()

            def do_GET(self) -> None:
                served.asked.append((self.path, {}, self.headers["User-Agent"]))
                self.answer()

            def answer(self) -> None:
                code, body = served.answers.pop(0)
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


PAYLOAD = json.dumps(overpass(town()), indent=1).encode()


def test_it_is_frozen_and_never_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.answers = [(200, PAYLOAD)]
    first = fetch_map(HERE, 300.0, tmp_path / "site", endpoint=server.url)
    assert first.path.read_bytes() == PAYLOAD
    _, form, agent = server.asked[0]
    assert (
        form["data"] == [overpass_query(Radius(52.5004, 13.4004, 300.0))] == [(tmp_path / "site" / QUERY).read_text()]
    )
    assert agent.startswith("sitetwin")
    again = fetch_map(HERE, 300.0, tmp_path / "site", endpoint="http://127.0.0.1:9/")  # nobody listens there
    assert again == first
    assert len(server.asked) == 1
    source = json.loads((tmp_path / "site" / SOURCE).read_text())
    assert source["sha256"] == first.sha256
    assert "ODbL" in source["attribution"]
    found, _ = read_map(first.path, clip=first.clip)
    assert "way/1" in {f.key for f in found.features}


def test_places_have_names(server: Server, tmp_path: Path) -> None:
    server.answers = [(200, b'[{"lat": "52.5004", "lon": "13.4004"}]'), (200, PAYLOAD)]
    found = fetch_map("Alexander Platz", 300.0, tmp_path, endpoint=server.url, geocoder=server.url + "/search")
    assert found.clip == Radius(52.5004, 13.4004, 300.0)
    assert server.asked[0][0] == "/search?q=Alexander+Platz&format=jsonv2&limit=1"
    assert fetch_map("Alexander Platz", 300.0, tmp_path, geocoder="http://127.0.0.1:9/") == found


@pytest.mark.parametrize("answer", [b"[]", b"{}", b"<html>", b'[{"lat": "north"}]', b'[{"lat": 1, "lon": NaN}]'])
def test_places_that_are_not_found(server: Server, tmp_path: Path, answer: bytes) -> None:
    server.answers = [(200, answer)]
    with pytest.raises(SiteTwinError, match="is not found"):
        fetch_map("Nowhere", 300.0, tmp_path / "site", geocoder=server.url)
    assert not (tmp_path / "site" / SOURCE).exists()


@pytest.mark.parametrize("code", [429, 504])
def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path, code: int) -> None:
    server.answers = [(code, b"busy"), (code, b"busy"), (200, PAYLOAD)]
    assert fetch_map(HERE, 300.0, tmp_path, endpoint=server.url, pauses=(0.0, 0.01)).path.exists()
    assert len(server.asked) == 3


@pytest.mark.parametrize(("code", "asked"), [(429, 2), (400, 1), (403, 1)])
def test_a_server_that_refuses(server: Server, tmp_path: Path, code: int, asked: int) -> None:
    server.answers = [(code, b"no")] * 2
    with pytest.raises(SiteTwinError, match=f"says {code}"):
        fetch_map(HERE, 300.0, tmp_path, endpoint=server.url, pauses=(0.0,))
    assert len(server.asked) == asked


def test_without_a_network_it_says_what_to_download_by_hand(tmp_path: Path) -> None:
    with pytest.raises(SiteTwinError, match=r"curl .*fetch again") as caught:
        fetch_map(HERE, 300.0, tmp_path / "site", endpoint="http://127.0.0.1:9/", pauses=())
    assert str(tmp_path / "site" / QUERY) in str(caught.value)
    (tmp_path / "site" / MAP).write_bytes(PAYLOAD)  # as told
    found = fetch_map(HERE, 300.0, tmp_path / "site", endpoint="http://127.0.0.1:9/")
    assert found.path.read_bytes() == PAYLOAD
    assert json.loads((tmp_path / "site" / SOURCE).read_text())["sha256"] == found.sha256
    with pytest.raises(SiteTwinError, match="give latitude,longitude"):
        fetch_map("Berlin", 300.0, tmp_path / "other", geocoder="http://127.0.0.1:9/", pauses=())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"<html>Error</html>", "no Overpass answer"),
        (b'{"elements": 3}', "no Overpass answer"),
        (b"[" * 100_000, "no Overpass answer"),
        (b'{"elements": [], "remark": "runtime error: out of memory"}', "incomplete"),
    ],
)
def test_answers_that_are_no_map_are_not_frozen(server: Server, tmp_path: Path, answer: bytes, reason: str) -> None:
    server.answers = [(200, answer)]
    with pytest.raises(SiteTwinError, match=reason):
        fetch_map(HERE, 300.0, tmp_path, endpoint=server.url)
    assert not (tmp_path / MAP).exists()


def test_too_large_an_answer(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sitetwin.site.maps.fetch.LARGEST_ANSWER", 2**20)
    server.answers = [(200, b" " * 2**21)]
    with pytest.raises(SiteTwinError, match="more than 1 MB"):
        fetch_map(HERE, 300.0, tmp_path, endpoint=server.url)


def test_a_folder_holds_one_map_as_it_was(server: Server, tmp_path: Path) -> None:
    server.answers = [(200, PAYLOAD)]
    fetch_map(HERE, 300.0, tmp_path, endpoint=server.url)
    for place, radius in ((HERE, 301.0), ("Berlin", 300.0)):
        with pytest.raises(SiteTwinError, match="choose another folder"):
            fetch_map(place, radius, tmp_path)
    (tmp_path / MAP).write_bytes(PAYLOAD + b" ")
    with pytest.raises(SiteTwinError, match="was changed"):
        fetch_map(HERE, 300.0, tmp_path)
    (tmp_path / MAP).unlink()
    with pytest.raises(SiteTwinError, match="is missing"):
        fetch_map(HERE, 300.0, tmp_path)
    (tmp_path / SOURCE).write_text("[")
    with pytest.raises(SiteTwinError, match="damaged"):
        fetch_map(HERE, 300.0, tmp_path)


@pytest.mark.parametrize(
    ("place", "radius", "reason"),
    [
        (HERE, 0.0, "radius"),
        (HERE, 1e6, "radius"),
        (HERE, float("nan"), "radius"),
        ("", 10.0, "place"),
        ("x" * 999, 10.0, "place"),
        ("113.4,52.5", 10.0, "latitude first"),
    ],
)
def test_requests_that_cannot_be(tmp_path: Path, place: str, radius: float, reason: str) -> None:
    with pytest.raises(SiteTwinError, match=reason):
        fetch_map(place, radius, tmp_path / "site")


@pytest.mark.parametrize("longitude", [180.0, -180.0, 179.9999, -179.9999, 180.0001])
def test_both_sides_of_the_antimeridian_are_asked_for(longitude: float) -> None:
    query = overpass_query(Radius(-16.8, longitude, 200.0))
    boxes = {tuple(map(float, box.split(","))) for box in re.findall(r"\((-[0-9.,-]+)\)", query)}
    sides = sorted((west, east) for _, west, _, east in boxes)
    assert (len(sides), sides[0][0], sides[1][1]) == (2, -180.0, 180.0)
    assert sum(east - west for west, east in sides) == pytest.approx(400 / 106_600, rel=0.02)


def test_addresses_that_are_none_of_the_web(tmp_path: Path) -> None:
    with pytest.raises(SiteTwinError, match="https"):
        fetch_map(HERE, 10.0, tmp_path, endpoint="file:///etc/passwd")


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SiteTwinError, match="choose another folder"):
        fetch_map(HERE, 10.0, tmp_path / "file" / "site")
