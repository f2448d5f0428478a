"""The Hugging Face Hub on 127.0.0.1: what huggingface_hub requests to upload and download files.

Files that end in .onnx are stored by Git LFS, as on the Hub, on another host, to which no token is
sent; all others are part of the commit.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "c0ffee" + "0" * 34
REPOSITORY = "([^/]+/[^/]+)"


@dataclass
class HubServer:
    """`repositories` has the files of each; `failures` the status of all further requests."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)  # their messages
    requests: list[str] = field(default_factory=list)  # method and path
    tokens: dict[str, set[str | None]] = field(default_factory=dict)  # by host
    failure: int = 0
    uploaded: dict[str, bytes] = field(default_factory=dict)  # by SHA-256
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage(self) -> str:
        return f"http://localhost:{self.port}/lfs"

    def create(self, request: Any) -> None:
        name = f"{request['organization']}/{request['name']}"
        exists = name in self.repositories
        self.repositories.setdefault(name, {})
        return 409 if exists else 200, {"url": f"{self.address}/{name}"}

    def metadata(self, request: Any) -> tuple[int, Any]:
        assert request["content"].startswith("---\n")
        return 200, {"warnings": []}

    def upload_modes(self, name: str, request: Any) -> tuple[int, Any]:
        def mode(path: str) -> str:
            return "lfs" if path.endswith(".onnx") else "regular"

        paths = [file["path"] for file in request["files"] if name in self.repositories]
        files = [{"path": p, "uploadMode": mode(p), "shouldIgnore": False} for p in paths]
        return 200, {"files": files}

    def places(self, name: str, request: Any) -> tuple[int, Any]:
        return 200, {
            "objects": [
                file | {"actions": {"upload": {"href": f"{self.storage}/{file['oid']}"}}}
                for file in request["objects"]
            ]
        }

    def commit(self, name: str, lines: list[Any]) -> tuple[int, Any]:
        contents = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.commits.append(value["summary"])
            elif line["key"] == "lfsFile":
                contents[value["path"]] = self.uploaded[value["oid"]]
            else:
                assert (line["key"], value["encoding"]) == ("file", "base64")
                contents[value["path"]] = base64.b64decode(value["content"])
        self.repositories[name] |= contents
        url = f"{self.address}/{name}/commit/{COMMIT}"
        return 200, {"success": True, "commitOid": COMMIT, "commitUrl": url}

    def file(self, name: str, revision: str, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content; a file of LFS is elsewhere."""
        if name not in self.repositories:
            return 401, {"X-Error-Code": "RepoNotFound"}, b""
        if revision not in ("main", "v1", COMMIT):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        if path not in self.repositories[name]:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        content = self.repositories[name][path]
        digest = hashlib.sha256(content).hexdigest()
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{digest}"'}
        if not path.endswith(".onnx"):
            return 200, headers, content
        self.uploaded[digest] = content
        linked = {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{digest}"'}
        return 302, headers | linked | {"Location": f"{self.storage}/{digest}"}, b""

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.requests.append(f"{method} {path}")
        if self.failure:
            return self.failure, {}, b"{}"
        if found := re.fullmatch(r"/lfs/(\w+)", path):
            if method == "PUT":
                assert hashlib.sha256(body).hexdigest() == found[1]
                self.uploaded[found[1]] = body
            return 200, {"ETag": f'"{found[1]}"'}, self.uploaded[found[1]]
        if found := re.fullmatch(rf"/{REPOSITORY}/resolve/([^/]+)/(.+)", path):
            return self.file(*found.groups())
        actions = {
            "/api/repos/create": self.create,
            "/api/validate-yaml": self.metadata,
            f"/api/models/{REPOSITORY}/preupload/main": self.upload_modes,
            f"/{REPOSITORY}.git/info/lfs/objects/batch": self.places,
            f"/api/models/{REPOSITORY}/commit/main": self.commit,
        }
        for pattern, action in actions.items():
            if method == "POST" and (found := re.fullmatch(pattern, path)):
                lines = [json.loads(line) for line in body.splitlines()]
                content = lines if action == self.commit else lines[0]
                status, answer = action(*found.groups(), content)
                return status, {"Content-Type": "application/json"}, json.dumps(answer).encode()
        return 404, {}, b"{}"


@contextmanager
def hub_server() -> Iterator[HubServer]:
    hub = HubServer()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            host, token = self.headers["Host"].partition(":")[0], self.headers["Authorization"]
            hub.tokens.setdefault(host, set()).add(token)
            status, headers, content = hub.answer(self.command, self.path, body)
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_PUT = handle_any

        def log_message(self, *_) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
