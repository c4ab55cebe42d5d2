"""The command that serves the page and the JSON API.

Heavy imports happen inside the command, so that `related-pins --help` loads no torch.
"""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from features.options import (
    DetectorName,
    EmbedderName,
    LastSource,
    Pooling,
    ProjectionName,
    last_source,
    visual_extractor,
)
from sql.home import HOME, Db, Home, existing

if TYPE_CHECKING:
    from features.serve.service import Service

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_HOST_HELP = "Address to listen on; 0.0.0.0 for all of this machine's. Give a token then."
_QUEUE_HELP = "Searches that may wait or run at once; more are answered 429."
_TOKEN_HELP = "Name of an environment variable that holds the token requests must bring."


def serve(
    host: Annotated[str, typer.Option(help=_HOST_HELP)] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    source: LastSource = None, home: Home = HOME, db: Db = None,
    queue: Annotated[int, typer.Option(min=1, help=_QUEUE_HELP)] = 32,
    token_env: Annotated[str | None, typer.Option(help=_TOKEN_HELP)] = None,
    detector: DetectorName = "bundled", embedder: EmbedderName = "lite0",
    pooling: Pooling = "roi_align", projection: ProjectionName = "bundled",
) -> None:  # fmt: skip
    """Serve the page to look at pins with, and the JSON API, until Ctrl-C.

    Example: related-pins serve --port 8000
    """
    from features.serve.server import listen
    from features.serve.service import make_service

    token = _token(token_env)
    if host not in LOOPBACK and not token:
        print(
            f"Whoever reaches {host} can look at the pins; set --token-env to ask for a token.",
            file=sys.stderr,
        )
    database = existing(home, db)
    database.upgrade()
    folder = last_source(database, source)
    print("Loading the detector ...", file=sys.stderr)
    extractor = visual_extractor(detector, embedder, pooling, projection)
    hosts = ("localhost", "127.0.0.1", "[::1]") if host in LOOPBACK else ("*",)
    service = make_service(database, home, folder, extractor, queue, hosts, token)
    listen(service, host, port, lambda at: _begun(service, at))
    refused = service.counts.requests(at_least=400)
    print(f"Served {service.counts.requests():,} requests, {refused:,} of them refused.")


def _begun(service: "Service", at: str) -> None:
    state = service.finder.state()
    if state is None:
        print("There is no index to search in. Next: related-pins index build", file=sys.stderr)
    else:
        print(f"Searching {state.objects:,} objects and {state.images:,} images.")
    print(f"Open {at} (Ctrl-C ends it); the API is described in {at}/openapi.json", flush=True)


def _token(name: str | None) -> str:
    if name is None:
        return ""
    if token := os.environ.get(name, ""):
        return token
    raise typer.BadParameter(f"the environment has no variable {name}", param_hint="--token-env")
