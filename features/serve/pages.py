"""The page: pins to choose from, a photo or a pin and what is like its objects, related pins."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from features.images.images import Image, UnreadableImage
from features.search.results import SearchResults
from features.serve.finder import NoIndex
from features.serve.guards import COOKIE, cookie_of, is_token
from features.serve.looks import (
    Card,
    Looks,
    card_of,
    laid_out,
    picture_href,
    pin_href,
)
from features.serve.pictures import SIZES
from features.serve.pins import Pin, categories, image_of, objects_of, one_pin, pins_by_id, shelf
from features.serve.related import (
    CONTROL,
    TREATMENT,
    NoRanking,
    RelatedPin,
    moved,
    ranked,
    related,
    what_features_say,
)
from features.serve.service import Of, Service
from features.serve.uploads import Upload, decoded, inside, parse_boxes, read_upload
from sql.home import feature_versions

STATIC = Path(__file__).parent / "static"
SHOWN = 12  # related pins per arm
FOUND = 24  # matches per object
NOT_DESCRIBED = (
    "The features know nothing of this pin's image: it is new (run `related-pins daily`), or it "
    "cannot be read (the table `quarantine` says why)."
)
SAME_PICTURE = {"Cache-Control": "private, max-age=600"}
router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
Id = str


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("features.serve"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    templates.globals |= {"pin_href": pin_href, "picture_href": picture_href}
    return templates


def page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A template, filled; `search` is what stands in the search field."""
    values = {"words": ""} | values
    return HTMLResponse(_templates().get_template(name).render(**values), status)


@router.get("/")
def home(
    service: Of,
    q: Annotated[str, Query(max_length=200)] = "",
    category: Annotated[str, Query(max_length=64)] = "",
    number: Annotated[int, Query(alias="page", ge=1, le=10_000)] = 1,
) -> HTMLResponse:
    """Pins to choose from."""
    database, version = service.database, service.finder.feature_version
    found = shelf(database, version, q, category, number)
    return page(
        "home.html", words=q, category=category, number=number, more=found.more,
        cards=[card_of(pin) for pin in found.pins], categories=categories(database, version),
        no_index=_no_index(service),
    )  # fmt: skip


@router.post("/photo")
async def photo(request: Request, service: Of) -> HTMLResponse:
    """What is like the objects of an uploaded photo, or like one crop of it."""

    def found(upload: Upload) -> Looks:
        image = decoded(upload.data)
        boxes = inside(upload.boxes, image)
        return _looks(
            service, service.finder.in_image(image, boxes, None, FOUND), boxes is not None
        )

    async with service.queue.place():
        upload = await read_upload(request, {"image", "box"})
        looks = await service.queue.work(lambda: found(upload))
    return page("found.html", looks=looks, here="")


@router.get("/pins/{pin_id:path}/image")
def picture(request: Request, service: Of, pin_id: Id, size: int = 480) -> Response:
    """The pin's image as JPEG, its longest side at most `size` pixels."""
    if size not in SIZES:
        raise HTTPException(422, f"`size` is one of {', '.join(map(str, SIZES))}.")
    try:
        found = service.pictures.find(image_of(service.database, pin_id))
        headers = SAME_PICTURE | {"ETag": f'"{found.etag}-{size}"'}
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        data = service.pictures.jpeg(found, size)
    except UnreadableImage as error:
        raise HTTPException(404, f"The pin's image cannot be shown. {error}") from error
    return Response(data, media_type="image/jpeg", headers=headers)


@router.get("/pins/{pin_id:path}/crop")
async def crop(service: Of, pin_id: Id, box: str) -> HTMLResponse:
    """What is like a crop of a pin."""
    boxes = parse_boxes([box])

    def found() -> Looks:
        image = _whole_image(service, pin_id)
        results = service.finder.in_image(image, inside(boxes, image), None, FOUND)
        return _looks(service, results, cropped=True)

    async with service.queue.place():
        looks = await service.queue.work(found)
    return page("found.html", looks=looks, here="")


@router.get("/pins/{pin_id:path}/related")
def related_pins(
    service: Of, pin_id: Id, arm: Annotated[str, Query(max_length=100)] = TREATMENT
) -> HTMLResponse:
    """Related pins in the control's order and in an arm's, side by side."""
    database = service.database
    pin = one_pin(database, service.finder.feature_version, pin_id)
    try:
        state = ranked(database, arm)
    except NoRanking as error:
        return page("related.html", 404, pin=pin, arm=arm, problem=str(error))
    orders = [related(database, state.date, pin_id, name, SHOWN) for name in (CONTROL, arm)]
    sides = [
        (name, _related_cards(service, pin_id, order))
        for name, order in zip((CONTROL, arm), orders, strict=True)
    ]
    return page(
        "related.html", pin=pin, arm=arm, state=state, sides=sides, moved=moved(orders[1]),
        shown=SHOWN, problem="" if orders[1] else "The pin is no query pin: it has no candidates.",
    )  # fmt: skip


@router.get("/pins/{pin_id:path}/with/{candidate:path}")
def pair(service: Of, pin_id: Id, candidate: Id) -> HTMLResponse:
    """What every feature says of a pair."""
    database = service.database
    version = feature_versions(database)["detected"]
    both = [one_pin(database, version, id) for id in (pin_id, candidate)]
    objects = objects_of(database, version, [pin_id, candidate])
    try:
        said = what_features_say(database, pin_id, candidate)
    except ValueError as error:
        raise HTTPException(404, str(error)) from error
    return page("pair.html", pins=both, objects=objects, said=said)


@router.get("/pins/{pin_id:path}")
def one(
    service: Of, pin_id: Id, key: Annotated[str, Query(alias="object", max_length=20)] = ""
) -> HTMLResponse:
    """A pin, its objects, and what is like them."""
    pin = one_pin(service.database, service.finder.feature_version, pin_id)
    missing = _no_index(service) or ("" if pin.width else NOT_DESCRIBED)
    looks = None if missing else _looks_of_pin(service, pin, key)
    return page("pin.html", pin=pin, looks=looks, missing=missing, here=pin_href(pin_id))


@router.get("/sign-in")
def sign_in_page(to: str = "/") -> HTMLResponse:
    return page("sign_in.html", to=to, wrong=False)


@router.post("/sign-in")
async def sign_in(
    service: Of, token: Annotated[str, Form(max_length=500)] = "", to: Annotated[str, Form()] = "/"
) -> Response:
    """Gives a browser the cookie that stands for the token."""
    if not (service.token and is_token(token, service.token)):
        return page("sign_in.html", 401, to=to, wrong=True)
    inner = to.startswith("/") and not to.startswith(("//", "/\\"))
    answer = RedirectResponse(to if inner else "/", 303)
    answer.set_cookie(COOKIE, cookie_of(service.token), httponly=True, samesite="strict")
    return answer


def _no_index(service: Service) -> str:
    """Why nothing can be searched; empty where it can."""
    try:
        service.finder.check()
    except NoIndex as error:
        return str(error)
    return ""


def _whole_image(service: Service, pin_id: str) -> Image:
    try:
        return service.pictures.load(image_of(service.database, pin_id))
    except UnreadableImage as error:
        raise HTTPException(404, f"The pin's image cannot be searched. {error}") from error


def _looks(service: Service, found: SearchResults, cropped: bool) -> Looks:
    matches = [*found.whole, *(match for one in found.objects for match in one.matches)]
    pins = pins_by_id(service.database, service.finder.feature_version, {m.pin_id for m in matches})
    keys = ["crop"] if cropped else [str(number) for number in range(len(found.objects))]
    objects = dict(zip(keys, found.objects, strict=True))
    size = found.width, found.height
    return laid_out(size, objects, () if cropped else found.whole, pins)


def _looks_of_pin(service: Service, pin: Pin, selected: str) -> Looks:
    finder, version = service.finder, service.finder.feature_version
    size = pin.width or 3, pin.height or 4
    objects = objects_of(service.database, version, [pin.pin_id]).get(pin.pin_id, [])
    order = sorted(objects, key=lambda one: -one.score * one.area_share**0.5)  # see dominance
    found = finder.of_pin(pin.pin_id, [one.object_no for one in order], FOUND)
    whole = finder.of_whole(pin.pin_id, FOUND)
    matches = [*whole, *(match for one in found.values() for match in one.matches)]
    pins = pins_by_id(service.database, version, {match.pin_id for match in matches})
    return laid_out(size, {str(n): one for n, one in found.items()}, whole, pins, selected)


@dataclass(frozen=True)
class RelatedCard:
    """A card with its place. moved: places up (positive) or down against the control; None where
    the control does not show it among as many.
    """

    card: Card
    rank: int
    moved: int | None
    why: str


def _related_cards(service: Service, pin_id: str, order: list[RelatedPin]) -> list[RelatedCard]:
    database, version = service.database, feature_versions(service.database)["detected"]
    ids = [one.pin_id for one in order]
    pins, objects = pins_by_id(database, version, ids), objects_of(database, version, ids)
    cards = []
    for one in order:
        marked = [o.box for o in objects.get(one.pin_id, []) if o.is_dominant]
        card = card_of(pins[one.pin_id], marked[0] if marked else None, _in_words(one))
        shown = one.control_rank is not None and one.control_rank <= SHOWN
        places = one.control_rank - one.rank if shown and one.control_rank else None
        cards.append(
            RelatedCard(
                card, one.rank, places, pin_href(pin_id, f"/with/{pin_href(one.pin_id)[6:]}")
            )
        )
    return cards


def _in_words(one: RelatedPin) -> str:
    names = {"whole_cosine": "image", "best_object_cosine": "object"}
    said = [f"{word} {value:.2f}" for name, word in names.items()
            if (value := one.features[name]) is not None]  # fmt: skip
    return " · ".join(said)
