"""What the routes share: the database, the finder, the pictures, the queue and the counts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from features.serve.counts import Counts
from features.serve.finder import Finder
from features.serve.pictures import Pictures
from features.serve.queue import Queue
from features.visuals.visuals import VisualExtractor
from sql.database import Database


@dataclass(frozen=True)
class Service:
    """A server's state; nothing in it is of a single request.

    hosts: names that a request may call the server by ('*' for any), so that a site elsewhere
    cannot reach a server on loopback through a name of its own (DNS rebinding). token: what
    requests must bring; empty for none.
    """

    database: Database
    finder: Finder
    pictures: Pictures
    queue: Queue
    hosts: Sequence[str] = ("localhost", "127.0.0.1", "[::1]")
    token: str = ""
    counts: Counts = field(default_factory=Counts)


def make_service(
    database: Database, home: Path, source: Path, extractor: VisualExtractor, queue: int = 32,
    hosts: Sequence[str] = Service.hosts, token: str = "",
) -> Service:  # fmt: skip
    """The state of a server over a home and its source folder."""
    finder, pictures = Finder(extractor, database, home), Pictures(source, home)
    return Service(database, finder, pictures, Queue(queue), hosts, token)


def _of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Of = Annotated[Service, Depends(_of)]
