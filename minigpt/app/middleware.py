"""What stands between the network and Gradio, which can do more than this page needs: take files in, hand files out.

Only the addresses that the page uses lead anywhere, a request has a largest size, and the browser is told to ask no
other host for anything.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]


Receive = Callable[[], Awaitable[Message]]


Send = Callable[[Message], Awaitable[None]]


App = Callable[[Message, Receive, Send], Awaitable[None]]


MAX_BODY_BYTES = 64 * 1024  # bytes: a prompt of the greatest length, each character written as an escape, and room


PAGES = {"/", "/config", "/theme.css", "/favicon.ico", "/robots.txt", "/manifest.json"}


API = ("info", "queue/join", "queue/data", "cancel", "reset", "startup-events", "theme.css")


PAGES |= {f"/gradio_api/{name}" for name in API}


# What is asked at `run` does not wait in the queue: the examples alone, since Gradio refuses the rest.
FOLDERS = ("/assets/", "/static/", "/svelte/", *(f"/gradio_api/{name}/" for name in ("call", "run", "heartbeat")))


POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Gradio fills its HTML templates with `Function`
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    ]
)


HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]


class RequestFilter:
    """An ASGI application around another one."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on if it is one of those that the page makes, and refuse it otherwise."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        if not _is_open(scope["path"]):
            return await refuse(send, 404)
        if scope["method"] not in ("GET", "HEAD"):
            body = await read_body(scope, receive)
            if body is None:
                return await refuse(send, 413)
            receive = replay(body, receive)
        await self.app(scope, receive, guarded(send))


def _is_open(path: str) -> bool:
    """Return whether an address is one that the page uses."""
    return ".." not in path and ((path.rstrip("/") or "/") in PAGES or path.startswith(FOLDERS))


async def read_body(scope: Message, receive: Receive) -> bytes | None:
    """Return what a request carries, or None as soon as it is too much."""
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    if not announced.isdigit() or int(announced) > MAX_BODY_BYTES:
        return None
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            return None
    return body


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that was read already, and then goes on as before."""
    read = False

    async def again() -> Message:
        nonlocal read
        if read:
            return await receive()
        read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def guarded(send: Send) -> Send:
    """Return a `send` that adds the headers to the beginning of an answer."""

    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *HEADERS]
        await send(message)

    return with_headers


async def refuse(send: Send, status: int) -> None:
    """Answer with nothing but a status."""
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0"), *HEADERS]})
    await send({"type": "http.response.body", "body": b""})
