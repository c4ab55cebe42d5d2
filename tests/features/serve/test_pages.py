"""The pages as they are served: what they show and what guards them."""

import io
import re
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from PIL import Image as pil

from features.serve.app import create_app
from sql.tables import pin_visuals
from tests.features.serve.served import FAMILIES, MEMBERS, Served, make_served

TOKEN = "a token of many letters"


def test_pins_are_found_by_words_and_category(client: TestClient) -> None:
    every = client.get("/").text
    assert every.count("<li>") == FAMILIES * MEMBERS
    assert "Family 1 &lt;f1-0&gt;" in every
    assert "<f1-0>" not in every
    assert client.get("/", params={"q": "family f2-"}).text.count("<li>") == MEMBERS
    assert "No pin has these words" in client.get("/", params={"q": "100%_"}).text
    assert client.get("/", params={"category": "hat"}).text.count("<li>") == 0
    assert client.get("/", params={"page": 2}).text.count("<li>") == 0
    for words in ("\0", "'; DROP TABLE pins --", '"><script>', "\udc80".encode("utf-8", "replace")):
        assert client.get("/", params={"q": words}).status_code == 200


def test_a_pin_shows_its_objects_and_what_is_like_them(client: TestClient) -> None:
    shown = client.get("/pins/f1-0?object=1").text
    assert re.findall(r'<a class="chip" href="/pins/f1-0\?object=(\w+)"', shown)[-1] == "whole"
    assert set(re.findall(r'data-key="(\w+)" aria-label="(\w+): find', shown)) == {
        ("0", "Bag"), ("1", "Shoe"),
    }  # fmt: skip
    visible = re.sub(r"<template.*?</template>", "", shown, flags=re.S)
    assert 'data-of="1"' in visible
    assert visible.count('class="outline"') == 2 + visible.count('<a class="card"')


def test_a_pin_that_the_features_do_not_know(tmp_path: Path) -> None:
    served = make_served(tmp_path)
    with served.database.engine.begin() as connection:
        connection.execute(sa.delete(pin_visuals).where(pin_visuals.c.pin_id == "f1-0"))
    with TestClient(create_app(served.service())) as client:
        shown = client.get("/pins/f1-0")
        assert (shown.status_code, "The features know nothing" in shown.text) == (200, True)
        assert "data-stage" not in shown.text
        assert client.get("/").status_code == 200


def test_related_pins_side_by_side(client: TestClient) -> None:
    shown = client.get("/pins/f2-0/related").text
    control, treatment = shown.split('id="side-1"')[1].split('id="side-2"')
    assert re.findall(r'aria-label="(\d+)\. Family \d &lt;(f\d-\d)', control)[0] == ("1", "f0-0")
    assert re.findall(r'aria-label="(\d+)\. Family \d &lt;(f\d-\d)', treatment)[0] == ("1", "f2-1")
    assert "12 of 12 pins are new to the control's first 12" in shown
    assert treatment.count(">new<") == 12
    assert "presence" in client.get("/pins/f2-0/related?arm=presence").text
    assert "it has no candidates" in client.get("/pins/f2-1/related").text


def test_what_the_features_say_of_a_pair(client: TestClient) -> None:
    shown = client.get("/pins/f2-0/with/f2-1").text
    assert "cosine of the two whole images, -1 to 1" in shown
    assert "bag cosine" in shown
    assert "hat cosine" not in shown
    missing = client.get("/pins/f2-1/with/f2-2", headers={"accept": "text/html"})
    assert (missing.status_code, "has no features" in missing.text) == (404, True)


def test_pictures_are_small_and_asked_for_once(client: TestClient) -> None:
    answer = client.get("/pins/f1-0/image?size=240")
    assert answer.headers["content-type"] == "image/jpeg"
    assert max(pil.open(io.BytesIO(answer.content)).size) == 240
    again = client.get(
        "/pins/f1-0/image?size=240", headers={"if-none-match": answer.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/pins/f1-0/image?size=9999").status_code == 422
    assert client.get("/pins/nobody/image").status_code == 404


def test_a_picture_outside_of_the_source_folder_is_not_served(served: Served) -> None:
    pictures = served.service().pictures
    (served.source.parent / "secret.png").write_bytes(served.pins["f1-0"].read_bytes())
    for image in ("../secret.png", "/etc/passwd", "photos/../../secret.png", "http://a/b.png"):
        with pytest.raises(ValueError, match=r"outside|not been fetched"):
            pictures.find(image)


def test_a_crop_of_a_pin(client: TestClient) -> None:
    shown = client.get("/pins/f1-0/crop?box=0,0,240,110")
    assert shown.text.count('<a class="card"') > 3
    assert client.get("/pins/f1-0/crop?box=0,0,1").json()["detail"].startswith("A box is")
    assert client.get("/pins/nobody/crop?box=0,0,9,9").status_code == 404


def test_a_photo_is_searched(client: TestClient, served: Served) -> None:
    answer = client.post("/photo", files={"image": served.pins["f2-0"].read_bytes()})
    assert "Whole image" in answer.text
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/pins/f1-0", "/pins/none", "/api/none", "/static/page.js"])
def test_every_answer_carries_the_headers_and_no_inline_code(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert "default-src 'none'; script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    if "html" in answer.headers["content-type"]:
        assert not re.search(
            r"<style|\sstyle=|\son\w+=|<script>|javascript:|https?://", answer.text
        )


def test_a_name_that_is_not_the_servers_is_refused(client: TestClient) -> None:
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400


def test_with_a_token_nothing_is_shown_without_it(served: Served) -> None:
    with TestClient(create_app(served.service(token=TOKEN)), follow_redirects=False) as client:
        for path in ("/", "/pins/f1-0", "/api/pins/f1-0/related", "/metrics", "/openapi.json",
                     "/pins/f1-0/image", "//healthz", "/healthzz", "/static/../"):  # fmt: skip
            assert client.get(path).status_code == 401, path
        assert client.post("/api/detect", files={"image": b"x"}).status_code == 401
        assert client.get("/healthz").status_code == 200
        for wrong in ("Bearer wrong", f"Basic {TOKEN}", "Bearer", "Bearer é".encode()):
            assert client.get("/metrics", headers={"authorization": wrong}).status_code == 401
        right = {"authorization": f"Bearer {TOKEN}"}
        assert client.get("/metrics", headers=right).status_code == 200
        page = client.get("/pins/f1-0", headers={"accept": "text/html"})
        assert page.headers["location"] == f"/sign-in?to={quote('/pins/f1-0', safe='')}"
        assert client.post("/sign-in", data={"token": "wrong"}).status_code == 401
        away = client.post("/sign-in", data={"token": TOKEN, "to": "//evil.example"})
        assert away.headers["location"] == "/"
        assert "HttpOnly" in away.headers["set-cookie"]
        assert TOKEN not in away.headers["set-cookie"]
        assert client.get("/pins/f1-0").status_code == 200


def test_a_short_token_is_refused(served: Served) -> None:
    with (
        pytest.raises(ValueError, match="fewer than 16"),
        TestClient(create_app(served.service(token="short"))) as client,
    ):
        client.get("/")
