"""The application on a socket, by uvicorn (https://www.uvicorn.org)."""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from features.serve.app import create_app
from features.serve.service import Service


class _Server(uvicorn.Server):
    """Ends quietly at Ctrl-C and SIGTERM; uvicorn's own raises the signal again afterwards."""

    def __init__(self, config: uvicorn.Config, begun: Callable[[], None]) -> None:
        super().__init__(config)
        self.begun = begun

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.begun()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        kept = {
            one: signal.signal(one, self.handle_exit) for one in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for one, handler in kept.items():
                signal.signal(one, handler)


def listen(service: Service, host: str, port: int, begun: Callable[[str], None]) -> None:
    """Serves until Ctrl-C or SIGTERM; `begun` is called with the address once it listens.

    Raises ValueError where the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise ValueError(
                f"Cannot listen on {host}, port {port} ({error.strerror}); give another --port."
            ) from error
        name = f"[{host}]" if ":" in host else host
        at = f"http://{name}:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            create_app(service), log_level="warning", access_log=False, server_header=False,
            timeout_keep_alive=15, timeout_graceful_shutdown=10, proxy_headers=False,
        )  # fmt: skip
        _Server(config, lambda: begun(at)).run(sockets=[listener])
