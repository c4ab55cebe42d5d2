"""A thousand hostile uploads, hostile forms, and whatever schemathesis makes of the description."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from features.serve.app import create_app
from features.serve.queue import AT_WORK
from tests.features.images.hostile_corpus import corpus
from tests.features.serve.served import Served

pytestmark = pytest.mark.filterwarnings("ignore:::PIL", "ignore::RuntimeWarning")

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance,
          response_schema_conformance]  # fmt: skip
HEAD = 'Content-Disposition: form-data; name="image"; filename='
BOX = 'Content-Disposition: form-data; name="box"'
WORDS = ("", "\0", "é" * 10_000, "1" * 5000, "1e400,1,1,1", "-1,-1,-1,-1", "٣", "\ud800",
         "0,0,1e999999999,1", "../../x", "' OR 1=1", "infinity,0,1,1")  # fmt: skip


def test_a_thousand_hostile_uploads(client: TestClient) -> None:
    seen: Counter[int] = Counter()
    for name, data in corpus().items():
        paths = ("/api/detect",) if name.startswith("good/") else ("/api/detect", "/api/search")
        for path in paths:
            answer = client.post(path, files={"image": (name, data, "image/jpeg")})
            assert answer.status_code in (200, 413, 422), (name, answer.text)
            if answer.status_code != 200:
                sentence = answer.json()["detail"]
                assert sentence[0].isupper(), name
                assert sentence.endswith("."), name
            if name.startswith("bad/"):
                assert answer.status_code != 200, name
            seen[answer.status_code] += 1
    assert seen.total() >= 1000
    assert seen[200] > 200
    assert seen[422] > 200


FORMS = {
    "path in the name": f'--x\r\n{HEAD}"../../etc/passwd"\r\n\r\ndata\r\n--x--\r\n',
    "zero byte in the name": f'--x\r\n{HEAD}"a\0.png"\r\n\r\ndata\r\n--x--\r\n',
    "no name": "--x\r\nContent-Disposition: form-data\r\n\r\ndata\r\n--x--\r\n",
    "no disposition": "--x\r\n\r\ndata\r\n--x--\r\n",
    "no end": f'--x\r\n{HEAD}"a"\r\n\r\ndata',
    "never begins": "data" * 1000,
    "empty": "",
    "ends at once": "--x--\r\n",
    "long header": f'--x\r\n{HEAD}"{"a" * 100_000}"\r\n\r\ndata\r\n--x--\r\n',
    "many headers": "--x\r\n" + "A: b\r\n" * 10_000 + f'{HEAD}"a"\r\n\r\ndata\r\n--x--\r\n',
    "many fields": f"--x\r\n{BOX}\r\n\r\n1\r\n" * 5000 + "--x--\r\n",
    "many empty parts": "--x\r\n\r\n\r\n" * 20_000 + "--x--\r\n",
    "text as image": f"--x\r\n{BOX.replace('box', 'image')}\r\n\r\ndata\r\n--x--\r\n",
}  # fmt: skip
TYPES = (
    "multipart/form-data; boundary=x",
    "multipart/form-data; boundary=x; charset=utf-16",
    "multipart/form-data; boundary=x; charset=idna",
    "multipart/form-data; boundary=x; charset=unicode_escape",
    "multipart/form-data; boundary=x; charset=no such thing",
    "multipart/form-data; boundary=" + "y" * 5000,
    "multipart/form-data; boundary=",
    "multipart/form-data",
    "application/x-www-form-urlencoded",
    "text/plain",
    "",
)


@pytest.mark.parametrize("kind", TYPES)
def test_hostile_forms(client: TestClient, kind: str) -> None:
    for name, form in FORMS.items():
        headers = {"content-type": kind}
        answer = client.post("/api/search", content=form.encode(), headers=headers)
        assert answer.status_code in (400, 415, 422), (name, answer.text)
        assert answer.json()["detail"].endswith("."), (name, answer.text)


def test_hostile_words(client: TestClient, served: Served) -> None:
    image = served.pins["f1-0"].read_bytes()
    for name in ("box", "category", "top"):
        for word in WORDS:
            form = {name: word.encode("utf-8", "surrogatepass")}
            answer = client.post("/api/search", files={"image": image}, data=form)
            assert answer.status_code == 422, (name, word)


def test_nothing_of_an_upload_is_left(
    client: TestClient, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even for a moment: no file is made, also where it has many bytes."""

    def no_file(*_: object, **__: object) -> None:
        raise AssertionError("a file on disk")

    monkeypatch.setattr("tempfile._TemporaryFileWrapper", no_file)
    monkeypatch.setattr("tempfile.TemporaryFile", no_file)
    large = served.pins["f1-0"].read_bytes() + bytes(5 * 2**20)
    assert client.post("/api/search", files={"image": large}).status_code == 200


def test_sixteen_clients_at_once_are_all_answered_two_by_two(served: Served) -> None:
    image = served.pins["f1-0"].read_bytes()
    service, at_work, most = served.service(), threading.Semaphore(AT_WORK), []
    detect = service.finder.extractor.detector.detect

    def counted(*arguments: object, **more: object) -> object:
        most.append(at_work.acquire(blocking=False))
        try:
            return detect(*arguments, **more)
        finally:
            at_work.release()

    service.finder.extractor.detector.detect = counted
    with TestClient(create_app(service)) as client, ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(client.post, "/api/search", files={"image": image}) for _ in range(64)]
        answers = [one.result() for one in asked]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert len(most) == 64
    assert all(most)
    assert service.queue.held == 0


OPERATIONS = ("POST /api/detect", "POST /api/search", "GET /api/pins/{pin_id}/related",
              "GET /healthz", "GET /metrics")  # fmt: skip


@pytest.mark.parametrize("label", OPERATIONS)
def test_the_description_holds(served: Served, label: str) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(served.service()))
    operations = {one.ok().label: one.ok() for one in schema.get_all_operations()}
    assert set(operations) == set(OPERATIONS)

    @given(case=operations[label].as_strategy())
    @settings(max_examples=25, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    def holds(case: schemathesis.Case) -> None:
        case.call_and_validate(headers={"host": "127.0.0.1"}, checks=CHECKS)

    holds()
