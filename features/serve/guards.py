"""What every answer carries and every request must: security headers, and the token if one is set.

The Content-Security-Policy lets the page load its own files and nothing else, and run or style
nothing that stands in the page itself (https://www.w3.org/TR/CSP3/).
"""

import hashlib
import hmac
import re
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob:",
        "connect-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
    )
)  # fmt: skip
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
COOKIE = "related_pins"
OPEN = re.compile(r"/healthz|/sign-in|/static/[\w.]+")
LEAST_TOKEN = 16


class SecureHeaders:
    """ASGI middleware that adds the headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, secured)


class TokenNeeded:
    """ASGI middleware that lets pass who brings the token: programs as a bearer token
    (RFC 6750), browsers in the cookie of the sign-in page.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        if len(token) < LEAST_TOKEN:
            raise ValueError(
                f"The token has fewer than {LEAST_TOKEN} characters; take a longer one."
            )
        self.app = app
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._may_pass(Request(scope)):
            await self.app(scope, receive, send)
            return
        await _refusal(Request(scope))(scope, receive, send)

    def _may_pass(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return (
            bool(OPEN.fullmatch(request.url.path))
            or (scheme.lower() == "bearer" and is_token(given.strip(), self.token))
            or same(request.cookies.get(COOKIE, ""), cookie_of(self.token))
        )


def _refusal(request: Request) -> Response:
    if "text/html" in request.headers.get("accept", "") and request.method == "GET":
        return RedirectResponse(f"/sign-in?to={quote(request.url.path, safe='')}", 303)
    headers = {"WWW-Authenticate": "Bearer"}
    return JSONResponse({"detail": "Send the token: Authorization: Bearer TOKEN."}, 401, headers)


def is_token(given: str, token: str) -> bool:
    """Whether both are the same, in a time that does not depend on where they differ."""
    return same(cookie_of(given), cookie_of(token))


def cookie_of(token: str) -> str:
    """What the browser keeps in place of the token, hexadecimal."""
    return hmac.new(
        token.encode(errors="replace"), b"related-pins cookie", hashlib.sha256
    ).hexdigest()


def same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())
