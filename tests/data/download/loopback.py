"""A web server on 127.0.0.1 with configurable faults."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Seen:
    """One request and what was answered."""

    path: str
    headers: dict[str, str]
    status: int = 0
    sent: int = 0  # bytes of the body


@dataclass
class Loopback:
    """Serves `files` with Range, ETag and If-Range; `faults[path]` answer that path's next ones.

    A fault is called with the handler; the one that returns False leaves the answer to the server.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Callable]] = field(default_factory=lambda: defaultdict(list))
    etags: dict[str, str] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    most_at_once: int = 0

    def __enter__(self) -> Loopback:
        loopback, lock, active = self, threading.Lock(), [0]

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                self.seen = Seen(path, dict(self.headers))
                with lock:
                    active[0] += 1
                    loopback.most_at_once = max(loopback.most_at_once, active[0])
                    loopback.seen.append(self.seen)
                    faults = loopback.faults[path]
                    fault = faults.pop(0) if faults else None
                try:
                    answers = fault is None or fault(self) is False
                finally:  # before the answer: one who has it may ask again before we are done
                    with lock:
                        active[0] -= 1
                if answers:
                    serve(self, loopback.files.get(path), loopback.etags.get(path))

            def log_message(self, *_) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def put(self, path: str, body: bytes, etag: str | None = None) -> str:
        """Serve `body`; gives its address."""
        self.files[path] = body
        if etag:
            self.etags[path] = etag
        return self.address + path

    @property
    def sent(self) -> int:
        return sum(request.sent for request in self.seen)


def serve(handler, body: bytes | None, etag: str | None = None, cut: int | None = None) -> None:
    """Answer as a good server does, but close the connection after `cut` bytes of the body."""
    if body is None:
        return answer(handler, 404)
    start, headers = 0, {"ETag": etag} if etag else {}
    wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if wanted and handler.headers.get("If-Range") in (None, etag):
        start = int(wanted[1])
        if start >= len(body):
            return answer(handler, 416, {"Content-Range": f"bytes */{len(body)}"})
        headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
    return answer(handler, 206 if start else 200, headers, body[start:], cut)


def answer(
    handler, status: int, headers: dict[str, str] | None = None, body=b"", cut: int | None = None
) -> None:
    handler.seen.status, handler.seen.sent = status, len(body[:cut])  # before the client can look
    handler.send_response(status)
    for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body[:cut])
    handler.close_connection = True


def status(code: int, **headers: str) -> Callable:
    """A fault: this status, with these headers (Retry_After becomes Retry-After)."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: answer(handler, code, named)


def drop_after(cut: int, body: bytes, etag: str | None = None) -> Callable:
    """A fault: the connection breaks after `cut` bytes of the response."""
    return lambda handler: serve(handler, body, etag, cut)


def ignore_range(body: bytes) -> Callable:
    """A fault: the complete file, whatever the request."""
    return lambda handler: answer(handler, 200, {}, body)
