"""Everything that a web server can do wrong, and the addresses that are never asked."""

import socket
import time
from collections.abc import Iterator

import pytest

from features.images.images import UnreadableImage
from features.images.web import Fetched, FetchLimits, Unreachable, fetch, is_public
from tests.features.images.hostile_site import PNG, serving

LIMITS = FetchLimits(max_bytes=100_000, seconds=1.0, redirects=3, allow_private=True)


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.mark.parametrize("path", ["/good", "/redirect", "/spaces and é?a=b c"])
def test_an_image_is_fetched(site: str, path: str) -> None:
    assert fetch(site + path, LIMITS) == Fetched(PNG)


def test_the_limit_of_bytes_is_inclusive(site: str) -> None:
    found = fetch(f"{site}/at-the-limit", LIMITS)
    assert found is not None
    assert len(found.data) == LIMITS.max_bytes


def test_what_has_not_changed_is_not_sent(site: str) -> None:
    assert fetch(f"{site}/etag", LIMITS) == Fetched(PNG, etag='"v1"')
    assert fetch(f"{site}/etag", LIMITS, etag='"v1"') is None
    assert fetch(f"{site}/etag", LIMITS, etag='"v0"') == Fetched(PNG, etag='"v1"')


@pytest.mark.parametrize(
    ("path", "reason", "temporary"),
    [
        ("/404", "answered 404", False), ("/403", "answered 403", False),
        ("/204", "answered 204", False), ("/304", "answered 304", False),
        ("/no-location", "answered 302", False), ("/500", "answered 500", True),
        ("/429", "answered 429", True), ("/circle", "more than 3 times", False),
        ("/to-file", "none of http or https", False), ("/to-ftp", "none of http or https", False),
        ("/to-nowhere", "more than 3 times", False), ("/to-odd-port", "cannot be read", False),
        ("/gzip", "compressed", False), ("/page", "text instead of an image", False),
        ("/large", "more than 100000 bytes", False), ("/endless", "more than 100000 bytes", False),
        ("/says-more", "broke off 10 bytes", True), ("/says-huge", "broke off", True),
        ("/bad-chunks", "cannot be fetched", True), ("/cut-chunks", "cannot be fetched", True),
        ("/slow-body", "more than 1 seconds", True), ("/slow-headers", "more than 1 seconds", True),
        ("/endless-headers", "cannot be fetched", True), ("/no-http", "cannot be fetched", True),
        ("/closes", "cannot be fetched", True),
    ],
)  # fmt: skip
def test_each_reason(site: str, path: str, reason: str, temporary: bool) -> None:
    begun = time.monotonic()
    with pytest.raises(UnreadableImage, match=reason) as caught:
        fetch(site + path, LIMITS)
    assert isinstance(caught.value, Unreachable) == temporary
    assert str(caught.value).endswith(".")
    assert time.monotonic() - begun < 20 * LIMITS.seconds


@pytest.mark.parametrize(
    "uri",
    ["file:///etc/passwd", "ftp://h/x", "http://", "http:///x", "http://[::1", "http://h:0x1/",
     "javascript:alert(1)", "", "http://h:70000/", "//h/x", "gopher://h/_x", "data:image/png,x"],
)  # fmt: skip
def test_what_is_no_web_address_is_refused(uri: str) -> None:
    with pytest.raises(UnreadableImage, match="The URI"):
        fetch(uri, LIMITS)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.0.0.1", "0", "0.0.0.0", "[::1]", "[::]",
     "[::ffff:127.0.0.1]", "[::ffff:8.8.8.8]", "[::127.0.0.1]", "10.0.0.1", "172.16.0.1",
     "192.168.1.1", "169.254.169.254", "100.64.0.1", "[fe80::1]", "[fc00::1]", "224.0.0.1",
     "[ff02::1]", "240.0.0.1", "255.255.255.255", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
     "[2001:0:1::1]", "192.0.2.1", "198.18.0.1", "user@127.0.0.1", "8.8.8.8@127.0.0.1"],
)  # fmt: skip
def test_hosts_that_are_not_public_are_not_asked(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object) -> socket.socket:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(UnreadableImage, match="no public address") as caught:
        fetch(f"http://{host}/latest/meta-data", FetchLimits())
    assert not isinstance(caught.value, Unreachable)


def test_an_unknown_host_may_be_known_later() -> None:
    for host in ("no-such-host.invalid", "x" * 64 + ".example", "a..b"):
        with pytest.raises(Unreachable, match="not known"):
            fetch(f"http://{host}/", LIMITS)


class Names:
    """A name server that answers each time with the next of some addresses, and a network in which
    every public address is the server of the test."""

    def __init__(self, site: str, monkeypatch: pytest.MonkeyPatch, **hosts: list[str]) -> None:
        self.hosts, self.connected = hosts, list[str]()
        self.connect, self.port = socket.create_connection, int(site.rpartition(":")[2])
        monkeypatch.setattr(socket, "getaddrinfo", self.lookup)
        monkeypatch.setattr(socket, "create_connection", self.reach)

    def lookup(self, host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        answers = self.hosts[host.split(".")[0]]
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in address.split()]

    def reach(self, address: tuple[str, int], timeout: float) -> socket.socket:
        self.connected.append(address[0])
        if address[0].startswith("9."):
            raise TimeoutError("timed out")
        wire = socket.socket()
        wire.settimeout(timeout)
        wire.connect(("127.0.0.1", self.port))
        return wire


def test_the_address_that_was_judged_is_connected_to(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(site, monkeypatch, rebinding=["8.8.8.8", "127.0.0.1"])
    assert fetch("http://rebinding.example/good", FetchLimits()) == Fetched(PNG)
    assert names.connected == ["8.8.8.8"]
    with pytest.raises(UnreadableImage, match=r"127\.0\.0\.1"):
        fetch("http://rebinding.example/good", FetchLimits())
    assert names.connected == ["8.8.8.8"]


@pytest.mark.parametrize("inner", ["127.0.0.1", "169.254.169.254", "10.1.2.3"])
def test_a_redirect_into_a_private_network_is_not_followed(
    site: str, monkeypatch: pytest.MonkeyPatch, inner: str
) -> None:
    names = Names(site, monkeypatch, outer=["8.8.8.8"], inner=[inner])
    with pytest.raises(UnreadableImage, match=f"{inner}, which is no public address"):
        fetch("http://outer.example/to-inner", FetchLimits())
    assert names.connected == ["8.8.8.8"]


def test_a_host_with_one_private_address_is_refused(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(site, monkeypatch, mixed=["8.8.8.8 127.0.0.1"])
    with pytest.raises(UnreadableImage, match="no public address"):
        fetch("http://mixed.example/good", FetchLimits())
    assert names.connected == []


def test_the_next_address_is_tried(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(site, monkeypatch, two=["9.9.9.9 8.8.8.8"], dead=["9.9.9.9"])
    assert fetch("http://two.example/good", FetchLimits()) == Fetched(PNG)
    assert names.connected == ["9.9.9.9", "8.8.8.8"]
    with pytest.raises(Unreachable, match="timed out"):
        fetch("http://dead.example/good", FetchLimits())


def test_public_addresses_are_public() -> None:
    for address in ("1.1.1.1", "151.101.0.84", "2606:4700:4700::1111", "64:ff9b::808:808"):
        assert is_public(address)
