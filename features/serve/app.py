"""The server: the page and the JSON API, behind the guards."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from features.serve import api, pages
from features.serve.counts import Counted
from features.serve.finder import NoIndex
from features.serve.guards import SecureHeaders, TokenNeeded
from features.serve.pins import NoPin
from features.serve.related import NoRanking
from features.serve.service import Service

THREADS = 8  # for what waits for the database or a file
SORRY = "The server made an error; its log says which."


def create_app(service: Service) -> FastAPI:
    """The server's ASGI application."""
    app = FastAPI(
        title="related-pins", version="1", docs_url=None, redoc_url=None, lifespan=_lifespan,
        summary="Finds objects in images, and pins with objects like them.",
    )  # fmt: skip
    app.state.service = service
    app.include_router(api.router)
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=pages.STATIC), "static")
    _answer_errors(app)
    if service.token:
        app.add_middleware(TokenNeeded, token=service.token)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(service.hosts))
    app.add_middleware(SecureHeaders)
    app.add_middleware(Counted, counts=service.counts)
    return app


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return _answer(request, error.status_code, error.detail, error.headers)

    @app.exception_handler(RequestValidationError)
    async def wrong(request: Request, error: RequestValidationError) -> Response:
        return _answer(request, 422, _sentence(error.errors()))

    @app.exception_handler(NoPin)
    @app.exception_handler(NoRanking)
    async def not_there(request: Request, error: LookupError) -> Response:
        return _answer(request, 404, str(error))

    @app.exception_handler(NoIndex)
    async def no_index(request: Request, error: NoIndex) -> Response:
        return _answer(request, 503, str(error))

    @app.exception_handler(Exception)
    async def failed(request: Request, _: Exception) -> Response:
        return _answer(request, 500, SORRY)


def _answer(
    request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """A page for a person who went there, JSON for everybody else."""
    for_person = "text/html" in request.headers.get("accept", "")
    if for_person and not request.url.path.startswith("/api/"):
        return pages.page("message.html", status, detail=detail)
    return JSONResponse({"detail": detail}, status, headers)


def _sentence(errors: Any) -> str:
    """What is wrong with the values of a request.

    >>> _sentence([{"loc": ("query", "top"), "msg": "Input should be at most 100"}])
    'top: Input should be at most 100.'
    """
    return " ".join(f"{error['loc'][-1]}: {error['msg']}." for error in errors)
