"""`make audit` asks about every pinned package, and fails for a published advisory."""

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PINNED = {
    re.sub(r"[-_.]+", "-", name).lower(): version
    for name, version in re.findall(
        r"^([\w.-]+)==([\w.+-]+)", (ROOT / "constraints.txt").read_text(), re.M
    )
}
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


class Advisories(ThreadingHTTPServer):
    """Answers as OSV's /v1/query does: what is published of the packages in `against`."""

    def __init__(self, against: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.against = against
        self.asked: dict[str, str] = {}


class Answer(BaseHTTPRequestHandler):
    server: Advisories

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = asked["package"]["name"]
        self.server.asked[name] = asked["version"]
        fixed = self.server.against.get(name)
        body = json.dumps({"vulns": [advisory(name, fixed)]} if fixed else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def advisory(name: str, fixed: str) -> dict[str, object]:
    """An OSV record of a vulnerability in all versions before `fixed`."""
    span = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}
    package = {"ecosystem": "PyPI", "name": name}
    return {"id": "PYSEC-0000-1", "affected": [{"package": package, "ranges": [span]}]}


@contextmanager
def advisories(**against: str) -> Iterator[Advisories]:
    with Advisories(against) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def audit(url: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--old-file", ".venv/dev", "audit"]
    places = [f"BIN={Path(sys.executable).parent}", f"ADVISORIES={url}"]
    return subprocess.run([*command, *places], cwd=ROOT, capture_output=True, text=True)


def test_every_pinned_package_is_asked_about_and_clean_passes() -> None:
    with advisories() as service:
        done = audit(f"http://127.0.0.1:{service.server_port}")
    assert done.returncode == 0, done.stderr
    assert "No known vulnerabilities found" in done.stderr
    assert service.asked == PINNED


def test_an_advisory_fails_and_is_named_with_the_version_that_mends_it() -> None:
    with advisories(numpy="999.1") as service:
        done = audit(f"http://127.0.0.1:{service.server_port}")
    assert done.returncode != 0
    assert re.search(rf"numpy\s+{re.escape(PINNED['numpy'])}\s+PYSEC-0000-1\s+999\.1", done.stdout)


def test_a_service_that_cannot_be_reached_fails() -> None:
    with advisories() as service:
        port = service.server_port
    done = audit(f"http://127.0.0.1:{port}")
    assert done.returncode != 0
    assert "not audited" in done.stderr
