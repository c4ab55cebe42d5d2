"""The JSON API: detect, search, related pins; and what operators ask: health and metrics."""

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from features.detector.detection import FoundObject
from features.search.results import SearchResults
from features.serve.pins import one_pin
from features.serve.related import TREATMENT, RelatedPin, ranked, related
from features.serve.service import Of
from features.serve.uploads import FORM, SEARCH_FIELDS, Upload, decoded, inside, read_upload

METRICS = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Problem:
    """Why there is no answer, in a sentence."""

    detail: str


@dataclass(frozen=True)
class Detected:
    """The objects of an image of width x height pixels (upright), by falling score; their boxes are
    x1, y1, x2, y2 in its pixels.
    """

    width: int
    height: int
    objects: tuple[FoundObject, ...]


@dataclass(frozen=True)
class Related:
    """The candidates of a query pin in an arm's order of a date; `arms`: all that were ranked."""

    pin_id: str
    arm: str
    date: dt.date
    arms: tuple[str, ...]
    related: tuple[RelatedPin, ...]


@dataclass(frozen=True)
class Health:
    """What the server works with. index_generation: None where there is no index."""

    status: str
    feature_version: str
    index_generation: str | None
    objects: int
    images: int


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    said = {
        400: "The form cannot be read.", 401: "The token is missing or wrong.",
        404: "There is no such pin, arm or ranking.", 408: "The upload took too long.",
        413: "The image is too large.", 415: "It is no form.",
        422: "The image cannot be read, or a value is wrong.",
        429: "Too many searches are waiting.", 503: "There is no index yet.",
    }  # fmt: skip
    return {status: {"model": Problem, "description": said[status]} for status in statuses}


def _form(**fields: Any) -> dict[str, Any]:
    """The description of an upload with more fields than the image."""
    schema = FORM["requestBody"]["content"]["multipart/form-data"]["schema"]
    schema = schema | {"properties": schema["properties"] | fields, "additionalProperties": False}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }


UPLOADS = _problems(400, 401, 408, 413, 415, 422, 429)
router = APIRouter()


@router.post("/api/detect", responses=UPLOADS, openapi_extra=_form())
async def detect(request: Request, service: Of) -> Detected:
    """The objects of an image, with their categories and scores."""

    def found(upload: Upload) -> Detected:
        image = decoded(upload.data)
        return Detected(image.width, image.height, service.finder.detect(image))

    async with service.queue.place():
        upload = await read_upload(request, {"image"})
        return await service.queue.work(lambda: found(upload))


@router.post(
    "/api/search", responses=UPLOADS | _problems(503), openapi_extra=_form(**SEARCH_FIELDS)
)
async def search(request: Request, service: Of) -> SearchResults:
    """What is like each object of an image, or each box that is given, and like the image as a
    whole: the likest first, with the matched object's box in the pin's image.
    """

    def found(upload: Upload) -> SearchResults:
        image = decoded(upload.data)
        boxes = inside(upload.boxes, image)
        return service.finder.in_image(image, boxes, upload.categories, upload.top)

    async with service.queue.place():
        upload = await read_upload(request)
        return await service.queue.work(lambda: found(upload))


@router.get("/api/pins/{pin_id:path}/related", responses=_problems(401, 404, 422))
def related_pins(
    service: Of,
    pin_id: Annotated[str, Path(description="The query pin.", max_length=500)],
    arm: Annotated[str, Query(description="Whose order.", max_length=100)] = TREATMENT,
    top: Annotated[int, Query(description="How many.", ge=1, le=100)] = 20,
) -> Related:
    """Related pins of a pin in an arm's order, each with its place in the control's order and with
    what the features say of the pair.
    """
    pin = one_pin(service.database, service.finder.feature_version, pin_id)
    state = ranked(service.database, arm)
    found = related(service.database, state.date, pin.pin_id, arm, top)
    return Related(pin.pin_id, arm, state.date, state.arms, tuple(found))


@router.get("/healthz")
def health(service: Of) -> Health:
    """Whether the server works, and with which index. Needs no token."""
    state = service.finder.state()
    version = service.finder.feature_version
    if state is None:
        return Health("no index: run `related-pins index build`", version, None, 0, 0)
    return Health("ok", version, state.generation, state.objects, state.images)


@router.get("/metrics", response_class=PlainTextResponse, responses=_problems(401))
def metrics(service: Of) -> PlainTextResponse:
    """Counts of requests, how long they took, the queue and the index, as Prometheus reads them."""
    state, version = service.finder.state(), service.finder.feature_version
    generation = state.generation if state else ""
    gauges = {
        "related_pins_queue_held": service.queue.held,
        "related_pins_queue_size": service.queue.size,
        "related_pins_index_objects": state.objects if state else 0,
        "related_pins_index_images": state.images if state else 0,
        f'related_pins_info{{feature_version="{version}",index_generation="{generation}"}}': 1,
    }
    return PlainTextResponse(service.counts.text(gauges), media_type=METRICS)
