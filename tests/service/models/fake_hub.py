"""A hub with one model, speaking the few words of the real one that its client needs for a download."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

REPOSITORY = "someone/Tiny_Faces"
REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeHub:
    """What it has and how it answers; tests change both."""

    files: dict[str, bytes] = field(default_factory=dict)
    licence: str | None = "apache-2.0"
    gated: bool = False
    status: int = 200
    """Of every answer, unless 200."""
    stated: dict[str, str] = field(default_factory=dict)
    """SHA-256 that it states for a file in place of the right one."""
    asked: list[str] = field(default_factory=list)
    """Paths of the files that were downloaded."""
    url: str = ""

    def tree(self) -> list[dict[str, Any]]:
        return [{"path": path} | self.entry(path, data) for path, data in self.files.items()]

    def entry(self, path: str, data: bytes) -> dict[str, Any]:
        sha256 = self.stated.get(path, hashlib.sha256(data).hexdigest())
        lfs = {"sha256": sha256, "oid": sha256, "size": len(data), "pointerSize": 100}
        large = {"lfs": lfs} if path.endswith(".safetensors") else {}
        return {"type": "file", "oid": "0" * 40, "size": len(data)} | large

    def info(self) -> dict[str, Any]:
        siblings = [{"rfilename": path} | self.entry(path, data) for path, data in self.files.items()]
        card = {"license": self.licence} if self.licence else {}
        return {"id": REPOSITORY, "sha": REVISION, "siblings": siblings, "cardData": card, "tags": []}


class Server(ThreadingHTTPServer):
    hub: FakeHub


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        path, hub = unquote(urlsplit(self.path).path), self.server.hub
        if hub.status != 200:
            self.answer(hub.status)
        elif not path.startswith((f"/api/models/{REPOSITORY}/", f"/{REPOSITORY}/")):
            self.answer(404, error="RepoNotFound")
        elif f"/{REVISION}" not in path:
            self.answer(404, error="RevisionNotFound")
        elif path == f"/api/models/{REPOSITORY}/revision/{REVISION}":
            self.answer(200, json.dumps(hub.info()).encode())
        elif path == f"/api/models/{REPOSITORY}/tree/{REVISION}":
            self.answer(200, json.dumps(hub.tree()).encode())
        elif hub.gated:
            self.answer(403, error="GatedRepo")
        else:
            file = path.removeprefix(f"/{REPOSITORY}/resolve/{REVISION}/")
            hub.asked.append(file)
            self.answer(200, hub.files[file], etag=hashlib.sha256(hub.files[file]).hexdigest())

    do_HEAD = do_GET

    def answer(self, status: int, body: bytes = b"", error: str = "", etag: str = "") -> None:
        self.send_response(status)
        headers = {"Content-Length": str(len(body)), "X-Repo-Commit": REVISION, "ETag": f'"{etag}"'}
        for name, value in (headers | ({"X-Error-Code": error} if error else {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextmanager
def running_hub() -> Iterator[FakeHub]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.hub = FakeHub(url=f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.hub
        server.shutdown()
