"""The JSON API: what it finds, what it refuses, and with which sentence."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from features.search.build import build_index, update_index
from features.serve.app import create_app
from features.serve.queue import Queue
from features.serve.uploads import MAX_BYTES
from sql.erasure import erase_rows
from tests.features.serve.served import DATE, MEMBERS, SIZE, Served, make_served


def sent(served: Served, pin: str = "f1-0") -> dict[str, bytes]:
    return {"image": served.pins[pin].read_bytes()}


def test_objects_of_an_image(client: TestClient, served: Served) -> None:
    found = client.post("/api/detect", files=sent(served)).json()
    assert (found["width"], found["height"]) == SIZE
    assert [one["box"] for one in found["objects"]] == [[0, 0, 240, 110], [0, 220, 240, 330]]
    assert [one["category"] for one in found["objects"]] == ["bag", "shoe"]


def test_like_each_object_are_those_of_the_same_family(client: TestClient, served: Served) -> None:
    found = client.post("/api/search", files=sent(served), data={"top": 4}).json()
    assert (found["width"], found["height"]) == SIZE
    assert {one["category"] for one in found["objects"]} == {"bag", "shoe"}
    assert len(found["whole"]) == 4
    for matches in (one["matches"] for one in found["objects"]):
        assert len(matches) == 4
        assert {match["pin_id"][:2] for match in matches} == {"f1"}
        assert "f1-0" not in {match["pin_id"] for match in matches}


def test_a_crop_is_searched_as_it_is_drawn(client: TestClient, served: Served) -> None:
    form = {"box": ["0,0,240,110", "100,200,200,300.5"], "top": 3}
    found = client.post("/api/search", files=sent(served), data=form).json()
    assert [one["box"] for one in found["objects"]] == [[0, 0, 240, 110], [100, 200, 200, 300.5]]
    assert found["objects"][0]["offered"]
    assert found["objects"][0]["matches"][0]["box"] == [0, 0, 240, 110]


def test_only_the_categories_that_are_asked_for(client: TestClient, served: Served) -> None:
    form = {"category": "shoe"}
    found = client.post("/api/search", files=sent(served), data=form).json()
    assert [one["category"] for one in found["objects"]] == ["shoe"]
    assert {match["category"] for match in found["objects"][0]["matches"]} == {"shoe"}


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"box": "0,0,10"}, "A box is x1,y1,x2,y2"),
        ({"box": "10,10,5,20"}, "A box is x1,y1,x2,y2"),
        ({"box": "nan,0,10,10"}, "A box is x1,y1,x2,y2"),
        ({"box": "0,0,1e300,10"}, "A box is x1,y1,x2,y2"),
        ({"box": "500,500,600,600"}, "A box covers less than 4 pixels"),
        ({"box": ["0,0,9,9"] * 17}, "at most 16 boxes"),
        ({"top": "0"}, "`top` is a number from 1 to 100"),
        ({"top": "many"}, "`top` is a number from 1 to 100"),
        ({"category": "<b>"}, "A category is a word"),
        ({"colour": "red"}, "There is no field 'colour'"),
    ],
)
def test_a_wrong_field_is_refused(
    client: TestClient, served: Served, form: dict[str, str], sentence: str
) -> None:
    answer = client.post("/api/search", files=sent(served), data=form)
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]


def test_what_is_no_image_is_refused(client: TestClient) -> None:
    for body, status, sentence in (
        ({"files": {"image": b"not a picture"}}, 422, "none of JPEG"),
        ({"files": {"image": b""}}, 422, "empty"),
        ({"files": {"photo": b"x"}}, 422, "Send one file as `image`."),
        ({"data": {"image": "text"}}, 415, "Send a form (multipart/form-data)"),
        ({"json": {"image": "x"}}, 415, "Send a form (multipart/form-data)"),
        ({"files": [("image", b"x"), ("image", b"y")]}, 400, "Too many files"),
        ({"files": {"image": bytes(MAX_BYTES + 2**17)}}, 413, "20 MiB"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "cannot be"),
    ):
        answer = client.post("/api/search", **body)
        assert (answer.status_code, sentence in answer.json()["detail"]) == (status, True), (
            answer.text
        )


def test_an_upload_without_a_length_ends_when_it_is_too_large(client: TestClient) -> None:
    def parts() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for _ in range(30):
            yield bytes(2**20)

    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert client.post("/api/search", content=parts(), headers=headers).status_code == 413


def test_related_pins_in_the_order_of_an_arm(client: TestClient) -> None:
    found = client.get("/api/pins/f2-0/related", params={"top": 4}).json()
    assert (found["arm"], found["date"]) == ("targeted", str(DATE))
    assert found["arms"] == ["presence", "targeted", "whole_image"]
    assert [one["pin_id"] for one in found["related"]] == ["f2-1", "f2-10", "f2-11", "f2-12"]
    assert [one["rank"] for one in found["related"]] == [1, 2, 3, 4]
    assert found["related"][0]["control_rank"] == 2 * MEMBERS + 1
    assert found["related"][0]["features"]["best_object_cosine"] > 0.8
    other = client.get("/api/pins/f2-0/related", params={"arm": "presence", "top": 1}).json()
    assert other["related"][0]["pin_id"] == "f0-0"


@pytest.mark.parametrize(
    ("url", "status", "sentence"),
    [
        ("/api/pins/nobody/related", 404, "There is no pin 'nobody'"),
        ("/api/pins/f2-0/related?arm=best", 404, "There is no arm 'best'"),
        ("/api/pins/f2-0/related?top=0", 422, "top: "),
        ("/api/pins/%00/related", 404, "There is no pin"),
        ("/api/pins/..%2F..%2Fetc%2Fpasswd/related", 404, "There is no pin"),
        ("/api/pins/' OR 1=1 --/related", 404, "There is no pin"),
        ("/api/pins/%ff%fe/related", 404, "There is no pin"),
        ("/api/nothing", 404, "Not Found"),
    ],
)
def test_what_is_not_there_is_said(
    client: TestClient, url: str, status: int, sentence: str
) -> None:
    answer = client.get(url)
    assert (answer.status_code, sentence in answer.json()["detail"]) == (status, True), answer.text


def test_health_names_the_index_that_is_searched(client: TestClient, served: Served) -> None:
    found = client.get("/healthz").json()
    assert (found["status"], found["images"]) == ("ok", len(served.pins))
    assert found["index_generation"] == served.service().finder.state().generation


def test_metrics_count_requests_by_route_and_status(client: TestClient) -> None:
    client.get("/api/pins/who/related")
    text = client.get("/metrics").text
    line = (
        'related_pins_requests_total{method="GET",route="/api/pins/{pin_id}/related",status="404"}'
    )
    assert line in text
    assert 'related_pins_request_seconds_bucket{route="/healthz",le="+Inf"}' in text
    assert "related_pins_queue_size 32" in text


def test_a_new_generation_is_searched_and_an_erased_pin_never_shown(tmp_path: Path) -> None:
    served = make_served(tmp_path)
    service = served.service()
    with TestClient(create_app(service)) as client:

        def pins() -> set[str]:
            found = client.post("/api/search", files=sent(served)).json()
            return {match["pin_id"] for match in found["objects"][0]["matches"]}

        before = client.get("/healthz").json()["index_generation"]
        assert "f1-1" in pins()
        erase_rows(served.database, "pin", "f1-1")
        assert "f1-1" not in pins()
        assert client.get("/pins/f1-1/image").status_code == 404
        assert client.get("/pins/f1-1").status_code == 404
        update_index(served.database, served.home, service.finder.feature_version)
        after = client.get("/healthz").json()
        assert after["index_generation"] != before
        assert after["images"] == len(served.pins) - 1
        assert "f1-1" not in pins()


def test_without_an_index_the_next_command_is_named(tmp_path: Path) -> None:
    served = make_served(tmp_path)
    service = served.service()
    for path in (served.home / "index").rglob("*.json"):
        path.unlink()
    with TestClient(create_app(service)) as client:
        answer = client.post("/api/search", files=sent(served))
        assert (answer.status_code, "related-pins index build" in answer.text) == (503, True)
        assert "related-pins index build" in client.get("/healthz").json()["status"]
        assert "related-pins index build" in client.get("/pins/f1-0").text
        assert client.post("/api/detect", files=sent(served)).status_code == 200
        assert client.get("/api/pins/f1-0/related").status_code == 200
        build_index(served.database, served.home, service.finder.feature_version)
        assert client.post("/api/search", files=sent(served)).status_code == 200


def test_a_full_queue_answers_429(served: Served) -> None:
    with TestClient(create_app(served.service(queue=Queue(0)))) as client:
        answer = client.post("/api/search", files=sent(served))
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
        assert client.get("/api/pins/f1-0/related").status_code == 200
