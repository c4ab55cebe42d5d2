"""Images from the web, over HTTP and HTTPS: within limits, and never from a private network.

The name of the host is looked up once, its addresses are judged, and the connection is made to an
address that was judged: a second, different answer of the name server changes nothing. A redirect
is judged as the first request was. Proxies are not used, since a proxy looks names up itself.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from features.images.images import UnreadableImage

NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in its last 32 bits
CONNECT_SECONDS = 10.0
REDIRECTS = (301, 302, 303, 307, 308)
TEMPORARY = (408, 425, 429)  # and 500 to 599
_SAFE = "/%:@!$&'()*+,;=~?[]"


class Unreachable(UnreadableImage):
    """An image that cannot be had now, but perhaps later."""


@dataclass(frozen=True)
class FetchLimits:
    """What a remote image may cost: bytes of its content, seconds from the first lookup to the
    last byte, redirects. allow_private: whether hosts of a private network may be asked.
    """

    max_bytes: int = 30 * 2**20
    seconds: float = 30.0
    redirects: int = 5
    allow_private: bool = False


@dataclass(frozen=True)
class Fetched:
    """Content and what names its version (RFC 9110, section 8.8); empty where there is none."""

    data: bytes
    etag: str = ""
    last_modified: str = ""


def fetch(uri: str, limits: FetchLimits, etag: str = "", last_modified: str = "") -> Fetched | None:
    """The content at an http or https URI; None where it still is the version that is named.

    Raises Unreachable where the host does not answer in time or asks to come back later, and
    UnreadableImage with the reason for everything else.
    """
    deadline = time.monotonic() + limits.seconds
    versions = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    headers = {name: value for name, value in versions.items() if value}
    for _ in range(limits.redirects + 1):
        answer = _ask(uri, headers, limits, deadline)
        if not isinstance(answer, str):
            return answer
        uri = urljoin(uri, answer)
    raise UnreadableImage(f"The server redirected more than {limits.redirects} times.")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet: not private, loopback, link-local,
    multicast or reserved, and no IPv6 address that stands for an IPv4 address that is.

    >>> [is_public(a) for a in ("8.8.8.8", "10.0.0.1", "169.254.169.254", "::1", "224.0.0.1")]
    [True, False, False, False, False]
    >>> [is_public(a) for a in ("2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::a9fe:a9fe")]
    [True, False, False]
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped or ip.sixtofour or ip.teredo:
            return False
        if ip in NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


def addresses(host: str, port: int, limits: FetchLimits) -> list[str]:
    """The IP addresses of a host. Raises Unreachable for an unknown host, UnreadableImage for one
    with any address that is not public, unless those are allowed.
    """
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"The host {host} is not known.") from error
    found = list(dict.fromkeys(str(row[4][0]) for row in rows))
    private = [address for address in found if not is_public(address)]
    if private and not limits.allow_private:
        raise UnreadableImage(f"The host {host} is at {private[0]}, which is no public address.")
    return found


def _ask(
    uri: str, headers: Mapping[str, str], limits: FetchLimits, deadline: float
) -> Fetched | str | None:
    """The content, where to ask instead, or None for what has not changed."""
    parts = _split(uri)
    found = addresses(str(parts.hostname), _port(parts), limits)
    try:
        with (
            closing(_connect(parts, found, deadline)) as connection,
            _cut_off(connection, deadline),
        ):
            target = quote(parts.path or "/", safe=_SAFE)
            target += f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
            plain = {"Accept": "image/*", "Accept-Encoding": "identity", "Connection": "close"}
            connection.request("GET", target, headers={**plain, **headers})
            answer = _answer(connection.getresponse(), limits, bool(headers))
            failure: Exception | None = None
    except UnreadableImage as error:
        if time.monotonic() < deadline:
            raise
        failure = error
    except (OSError, http.client.HTTPException, ValueError) as error:
        failure = error
    if time.monotonic() >= deadline:
        raise Unreachable(f"It took more than {limits.seconds:g} seconds.") from failure
    if failure is not None:
        raise Unreachable(f"It cannot be fetched ({_one_line(failure)}).") from failure
    return answer


def _split(uri: str) -> SplitResult:
    try:
        parts = urlsplit(uri)
        if parts.scheme in ("http", "https") and parts.hostname and _port(parts):
            return parts
    except ValueError as error:
        raise UnreadableImage(f"The URI cannot be read ({_one_line(error)}).") from error
    raise UnreadableImage("The URI is none of http or https with a host.")


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _connect(parts: SplitResult, found: list[str], deadline: float) -> http.client.HTTPConnection:
    """A connection to the first of the addresses that answers."""
    host, port = str(parts.hostname), _port(parts)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(f"[{host}]" if ":" in host else host.encode("idna").decode(), port)
    for number, address in enumerate(found):
        left = max(min(CONNECT_SECONDS, deadline - time.monotonic()), 0.01)
        try:
            plain = socket.create_connection((address, port), left)
            break
        except OSError:
            if number == len(found) - 1:
                raise
    connection.sock = plain
    if secure:
        try:
            context = ssl.create_default_context()
            connection.sock = context.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
    return connection


@contextmanager
def _cut_off(connection: http.client.HTTPConnection, deadline: float) -> Iterator[None]:
    """Ends the connection at the deadline, however slowly the server trickles."""
    wire = connection.sock

    def cut() -> None:
        with suppress(OSError):
            wire.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(deadline - time.monotonic(), 0), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _answer(
    response: http.client.HTTPResponse, limits: FetchLimits, conditional: bool
) -> Fetched | str | None:
    status, location = response.status, response.getheader("Location")
    if status in REDIRECTS and location:
        return location
    if status == 304 and conditional:
        return None
    if status in TEMPORARY or status >= 500:
        raise Unreachable(f"The server answered {status}.")
    if status != 200:
        raise UnreadableImage(f"The server answered {status}.")
    encoding = response.getheader("Content-Encoding", "identity")
    if encoding != "identity":
        raise UnreadableImage("The server sent compressed content, which was not asked for.")
    if response.getheader("Content-Type", "").lower().startswith("text/"):
        raise UnreadableImage("The server sent text instead of an image.")
    data = response.read(limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        raise UnreadableImage(f"The content has more than {limits.max_bytes} bytes.")
    if response.length:
        raise Unreachable(f"The server broke off {response.length} bytes before the end.")
    etag, modified = response.getheader("ETag", ""), response.getheader("Last-Modified", "")
    return Fetched(data, str(etag), str(modified))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
