"""A web server on this machine that does everything wrong, path by path."""

import gzip
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.features.images.hostile_corpus import encoded, picture

PNG = encoded(picture(), "PNG")
ASKED: Counter[str] = Counter()  # requests by path
Answer = Callable[[BaseHTTPRequestHandler], None]


def send(
    handler: BaseHTTPRequestHandler, status: int = 200, body: bytes = PNG, **headers: str
) -> None:
    """An answer; header names have _ for -. Content-Length is right unless it is given."""
    handler.send_response(status)
    named = {"Content-Length": str(len(body))}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in named.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(65_536))


def slow_body(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b"x")
        time.sleep(0.05)


def slow_headers(handler: BaseHTTPRequestHandler) -> None:
    for letter in b"HTTP/1.1 200 OK\r\n" + b"X-Filler: " + b"y" * 100:
        handler.wfile.write(bytes([letter]))
        time.sleep(0.05)


def endless_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"X-Filler: y\r\n" * 1000)


def garbage(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00\x01garbage\r\n\r\n")


def etag(handler: BaseHTTPRequestHandler) -> None:
    if handler.headers.get("If-None-Match") == '"v1"':
        send(handler, 304, b"", ETag='"v1"')
    else:
        send(handler, ETag='"v1"')


ANSWERS: dict[str, Answer] = {
    "/good": send,
    "/spaces%20and%20%C3%A9?a=b%20c": send,
    "/etag": etag,
    "/redirect": lambda h: send(h, 302, b"", Location="/good"),
    "/circle": lambda h: send(h, 301, b"", Location="/circle"),
    "/to-file": lambda h: send(h, 302, b"", Location="file:///etc/passwd"),
    "/to-inner": lambda h: send(h, 302, b"", Location="http://inner.example/good"),
    "/to-ftp": lambda h: send(h, 302, b"", Location="ftp://localhost/x"),
    "/to-nowhere": lambda h: send(h, 302, b"", Location="http://"),
    "/to-odd-port": lambda h: send(h, 302, b"", Location="http://localhost:99999/"),
    "/no-location": lambda h: send(h, 302, b""),
    "/404": lambda h: send(h, 404, b"gone"),
    "/403": lambda h: send(h, 403, b"no"),
    "/204": lambda h: send(h, 204, b""),
    "/304": lambda h: send(h, 304, b""),
    "/500": lambda h: send(h, 500, b""),
    "/429": lambda h: send(h, 429, b""),
    "/gzip": lambda h: send(h, body=gzip.compress(PNG), Content_Encoding="gzip"),
    "/page": lambda h: send(h, body=b"<html>", Content_Type="text/html; charset=utf-8"),
    "/large": lambda h: send(h, body=bytes(100_001)),
    "/at-the-limit": lambda h: send(h, body=bytes(100_000)),
    "/says-more": lambda h: send(h, Content_Length=str(len(PNG) + 10)),
    "/says-huge": lambda h: send(h, Content_Length=str(10**15)),
    "/says-nonsense": lambda h: send(h, Content_Length="many"),
    "/bad-chunks": lambda h: send(h, body=b"zz\r\n", Transfer_Encoding="chunked"),
    "/cut-chunks": lambda h: send(h, body=b"ff\r\nabc", Transfer_Encoding="chunked"),
    "/endless": endless,
    "/slow-body": slow_body,
    "/slow-headers": slow_headers,
    "/endless-headers": endless_headers,
    "/no-http": garbage,
    "/closes": lambda h: None,
}


class Hostile(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        ASKED[self.path] += 1
        with suppress(OSError):
            ANSWERS.get(self.path, lambda h: send(h, 404, b""))(self)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 64


@contextmanager
def serving() -> Iterator[str]:
    """Where the server is while it runs, for example http://127.0.0.1:8000."""
    server = Server(("127.0.0.1", 0), Hostile)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
