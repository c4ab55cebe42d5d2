"""The server with 16 clients at once, against the endpoint that one would otherwise write: the same
search in FastAPI's own thread pool, with no queue in front of torch.

    python benchmarks/bench_serve.py --home HOME --source FOLDER [--photos 8] [--rounds 3]

Both answer over a socket on this machine, in turns, after a round of warming up. Processor time
includes the clients'.
"""

import argparse
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import uvicorn
from fastapi import FastAPI, UploadFile
from machine import machine

from features.images.images import load_image
from features.options import visual_extractor
from features.search.results import SearchResults
from features.serve.app import create_app
from features.serve.service import Service, make_service
from sql.home import existing

CLIENTS = 16


def plain_app(service: Service) -> FastAPI:
    app = FastAPI()

    @app.post("/api/search")
    def search(image: UploadFile) -> SearchResults:
        return service.finder.in_image(load_image(image.file.read()), None, None, 20)

    return app


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/api/search"
    finally:
        server.should_exit = True
        thread.join()


@dataclass(frozen=True)
class Round:
    """All photos asked for once. seconds: for all; busy: of processors; each: per request."""

    seconds: float
    busy: float
    each: tuple[float, ...]
    statuses: frozenset[int]


def asked(url: str, photos: Sequence[bytes], clients: int) -> Round:
    with httpx.Client(timeout=300, limits=httpx.Limits(max_connections=CLIENTS)) as client:

        def ask(photo: bytes) -> tuple[float, int]:
            begun = time.perf_counter()
            answer = client.post(url, files={"image": photo})
            return time.perf_counter() - begun, answer.status_code

        begun, busy = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(clients) as pool:
            found = list(pool.map(ask, photos))
    each, statuses = zip(*found, strict=True)
    seconds, busy = time.perf_counter() - begun, time.process_time() - busy
    return Round(seconds, busy, each, frozenset(statuses))


def line(name: str, clients: int, rounds: list[Round]) -> str:
    each = [second for one in rounds for second in one.each]
    rate = len(each) / sum(one.seconds for one in rounds)
    busy = sum(one.busy for one in rounds) / len(each) * 1e3
    statuses = sorted(frozenset().union(*(one.statuses for one in rounds)))
    middle, high = np.quantile(each, [0.5, 0.99]) * 1e3
    return (
        f"{name:12} {clients:2} clients: {rate:6.2f} photos/s, {busy:4.0f} ms of processors per "
        f"photo, median {middle:6.0f} ms, p99 {high:6.0f} ms, statuses {statuses}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=CLIENTS)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(machine("torch", "fastapi", "uvicorn"), f"load {os.getloadavg()[0]:.1f}")
    extractor = visual_extractor("bundled", "lite0", "roi_align", "bundled")
    service = make_service(existing(given.home, None), given.home, given.source, extractor)
    service.finder.check()
    print(service.finder.state())
    files = sorted((given.source / "photos").iterdir())[: given.photos]
    photos = [file.read_bytes() for file in files]
    with served(create_app(service)) as ours, served(plain_app(service)) as plain:
        results: dict[tuple[str, int], list[Round]] = {}
        both = [("with queue", ours), ("thread pool", plain)]
        for _, url in both:
            asked(url, photos, 1)
        for number in range(given.rounds):
            for clients in (1, CLIENTS):
                for name, url in both[:: 1 if number % 2 else -1]:
                    results.setdefault((name, clients), []).append(asked(url, photos, clients))
    for (name, clients), rounds in results.items():
        print(line(name, clients, rounds))
    whole = {name: sum(one.seconds for one in results[name, CLIENTS]) for name, _ in both}
    ratio = whole["thread pool"] / whole["with queue"]
    print(f"16 clients at once: {ratio:.2f} times as many photos per second with the queue")


if __name__ == "__main__":
    main()
