"""A small service that answers as the real one does, on a real socket, and breaks where a test asks for it.

What is tested with it is the client's side of the wire. Its "restoration" puts a word before the bytes of the image.
"""

import base64
import hashlib
import json
import threading
from collections import Counter
from contextlib import suppress
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from api_schemas.problems import problem
from tests.client.fake_state import NOW, STEPS, FakeJob, FakeState, Refused

TASKS = {
    "/v1/inpaint": "inpaint",
    "/v1/super-resolution": "super_resolution",
    "/v1/denoise": "denoise",
    "/v1/deblur": "deblur",
    "/v1/restore": "restore",
}
PICTURES = ("image", "mask", "measurement")


class FakeService(FakeState):
    """Serves while its `with` block lasts."""

    def __init__(self) -> None:
        super().__init__()
        handler = type("Bound", (Handler,), {"service": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()


class Handler(BaseHTTPRequestHandler):
    service: FakeService
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with suppress(ConnectionError):  # clients that are killed, or have read enough, just go
            super().handle()

    def log_message(self, *_: object) -> None:
        """A test's output is no place for an access log."""

    def do_GET(self) -> None:
        self.handle_one("GET")

    def do_POST(self) -> None:
        self.handle_one("POST")

    def do_DELETE(self) -> None:
        self.handle_one("DELETE")

    def handle_one(self, method: str) -> None:
        service = self.service
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        url = urlsplit(self.path)
        service.requests.append((method, self.path, {name.lower(): value for name, value in self.headers.items()}))
        fault = service.faults.popleft() if method == "POST" and service.faults else ""
        if self.break_early(fault):
            return
        try:
            if service.api_key and self.headers.get("authorization") != f"Bearer {service.api_key}":
                raise Refused("missing_credentials", "send `Authorization: Bearer SECRET`")
            route = getattr(self, f"{method.lower()}_{url.path.split('/')[-1].replace('-', '_')}", None)
            parts = url.path.strip("/").split("/")
            if parts[:2] == ["v1", "jobs"] and len(parts) > 2:
                self.one_job(method, parts[2], parts[3:], parse_qs(url.query))
            elif fault == "drop_after":
                self.wfile = Nowhere()
                self.create(url.path, body)
                self.drop()
            elif method == "POST" and url.path in TASKS:
                self.create(url.path, body)
            elif route is not None:
                route(body, parse_qs(url.query))
            else:
                raise Refused("not_found", url.path)
        except Refused as refused:
            self.answer(
                refused.problem.status, refused.problem.model_dump(mode="json"), kind="application/problem+json"
            )

    def break_early(self, fault: str) -> bool:
        if fault == "drop":
            self.drop()
        elif fault == "busy":
            self.answer(503, problem("not_ready", "starting").model_dump(mode="json"), {"Retry-After": "0"})
        elif fault == "full":
            self.answer(503, problem("queue_full", "10000 jobs wait").model_dump(mode="json"))
        elif fault == "limited":
            self.answer(429, problem("queue_full", "slower").model_dump(mode="json"), {"Retry-After": "0"})
        elif fault == "in_progress":
            found = problem("idempotency_in_progress", "still being handled").model_dump(mode="json")
            self.answer(409, found, {"Retry-After": "0"})
        elif fault == "html":
            self.send(502, b"<html>bad gateway</html>", "text/html", {})
        else:
            return False
        return True

    def create(self, path: str, body: bytes) -> None:
        if self.headers["content-type"].startswith("application/json"):
            options = json.loads(body)
            files = {name: self.content(options.pop(name)) for name in PICTURES if name in options}
        else:
            options, files = parse_form(self.headers["content-type"], body)
        if TASKS[path] == "inpaint" and "mask" not in files and options.get("mask_mode") != "alpha_unknown":
            raise Refused("validation_failed", "/mask: Field required")
        options = {name: value for name, value in options.items() if name not in files}
        image = files["measurement" if TASKS[path] == "restore" else "image"]
        job = self.service.create(TASKS[path], options, image, self.headers.get("idempotency-key"))
        self.answer(202, self.service.state(job), {"Location": f"/v1/jobs/{job.id}"})

    def content(self, reference: dict[str, str]) -> bytes:
        """The bytes behind an image reference."""
        if "data_url" in reference:
            return base64.b64decode(reference["data_url"].partition(",")[2])
        return self.service.files[reference["file_id"]]

    def one_job(self, method: str, job_id: str, rest: list[str], query: dict[str, list[str]]) -> None:
        service = self.service
        if job_id in service.removed:
            raise Refused("job_expired", f"{job_id} was removed")
        if job_id not in service.jobs:
            raise Refused("job_not_found", f"there is no job {job_id}")
        job = service.jobs[job_id]
        if method == "DELETE":
            service.removed.add(job_id)
            self.send(204, b"", "", {})
        elif rest == ["events"]:
            self.stream(job)
        elif rest[:1] == ["artifacts"]:
            content = service.result(job)
            self.send(200, content[::-1] if service.corrupt else content, "image/png", {})
        elif rest == ["cancel"]:
            job.canceled = True
            self.answer(202, service.state(job))
        elif rest == ["retry"]:
            again = service.create(
                job.task, job.options, job.image, self.headers.get("idempotency-key"), retry_of=job.id
            )
            self.answer(202, service.state(again))
        else:
            if not service.has_ended(job):
                service.gate.wait(float(query.get("wait", ["0"])[0]))
            self.answer(200, service.state(job))

    def stream(self, job: FakeJob) -> None:
        """Server-sent events after `Last-Event-ID`, then the end once the gate is open."""
        service = self.service
        if not service.streams_work:
            self.send(200, b"<html>no streams here</html>", "text/html", {})
            return
        progress = [{"step": n, "total_steps": STEPS, "fraction": n / STEPS} for n in range(1, STEPS + 1)]
        log = [("job.queued", {"position": 1}), ("job.started", {"total_steps": STEPS})]
        log += [("job.progress", each) for each in progress]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        start = int(self.headers.get("last-event-id", 0))
        self.chunk(b": heartbeat\n\n")
        for number, (kind, data) in enumerate(log[start:], start + 1):
            self.chunk(f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode())
            if service.stream_cuts and number == start + 2:
                service.stream_cuts -= 1
                self.chunk(f"id: {number + 1}\nevent: job.pro".encode())
                return self.drop()
        while not service.has_ended(job):
            service.gate.wait(0.02)
        state = service.state(job)
        self.chunk(f"id: {len(log) + 1}\nevent: job.{state['status']}\ndata: {json.dumps(state)}\n\n".encode())
        self.chunk(b"")

    def post_files(self, body: bytes, _: dict[str, list[str]]) -> None:
        _, files = parse_form(self.headers["content-type"], body)
        digest = hashlib.sha256(files["file"]).hexdigest()
        self.service.files[digest] = files["file"]
        self.answer(201, {"id": digest, "sha256": digest, "width": 8, "height": 8, "mode": "RGB", "format": "PNG",
                          "bit_depth": 8, "has_alpha": False, "has_icc": False, "bytes": len(files["file"]),
                          "created_at": NOW, "expires_at": NOW})  # fmt: skip

    def post_apply(self, body: bytes, _: dict[str, list[str]]) -> None:
        sent = json.loads(body)
        image = self.content(sent.pop("image"))
        self.service.applied.append(sent)
        self.send(200, b"applied to " + image, "application/x-npy", {})

    def post_batches(self, body: bytes, _: dict[str, list[str]]) -> None:
        sent, items = json.loads(body), []
        for index, item in enumerate(sent["items"]):
            outcome = {"index": index, "client_ref": item.get("client_ref")}
            try:
                image = self.service.files[item["image"]["file_id"]]
                outcome["job_id"] = self.service.create(sent["task"], sent["defaults"], image, None).id
            except Refused as refused:
                outcome["problem"] = refused.problem.model_dump(mode="json")
            items.append(outcome)
        counts = dict(Counter("refused" if "problem" in item else "succeeded" for item in items))
        self.answer(202, {"id": "batch-1", "task": sent["task"], "created_at": NOW, "counts": counts, "items": items})

    def get_batch_1(self, *_: object) -> None:
        self.answer(
            200, {"id": "batch-1", "task": "denoise", "created_at": NOW, "counts": {"succeeded": 2}, "items": []}
        )

    def post_cancel(self, *_: object) -> None:
        for job in self.service.jobs.values():
            job.canceled = True
        self.get_batch_1()

    def get_jobs(self, _: bytes, query: dict[str, list[str]]) -> None:
        start, limit = int(query.get("cursor", ["0"])[0]), int(query.get("limit", ["2"])[0])
        states = [self.service.state(job) for job in reversed(self.service.jobs.values())]
        if "status" in query:
            states = [state for state in states if state["status"] == query["status"][0]]
        more = start + limit < len(states)
        self.answer(200, {"data": states[start : start + limit], "has_more": more,
                          "next_cursor": str(start + limit) if more else None})  # fmt: skip

    def get_priors(self, *_: object) -> None:
        self.answer(200, {"data": self.service.priors})

    def get_solvers(self, *_: object) -> None:
        entry = {"name": "red_diff", "title": "RED-Diff", "reference": "Mardani et al. 2023", "tasks": ["denoise"]}
        self.answer(200, {"data": [entry | {"params_schema": {}, "presets": {}}]})

    def get_operators(self, *_: object) -> None:
        self.answer(200, {"data": [{"name": "mask", "description": "Keeps known pixels.", "params_schema": {}}]})

    def get_queue(self, *_: object) -> None:
        self.answer(200, {"queued": {"low": 0, "normal": 2, "high": 0}, "running": 1, "workers": 1})

    def get_info(self, *_: object) -> None:
        limits = {"max_file_bytes": 10**8, "max_pixels": 10**7, "min_side": 16, "max_batch_items": 1000}
        limits |= {"max_queued": 10**4, "max_wait_s": 60, "retention_s": 604800}
        self.answer(200, {"version": "0", "tasks": ["denoise"], "default_prior": "natural-v1", "workers": 1,
                          "limits": limits, "features": {}})  # fmt: skip

    def get_healthz(self, *_: object) -> None:
        self.answer(200, {"status": "ok"})

    def chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def answer(
        self, status: int, body: Any, headers: dict[str, str] | None = None, kind: str = "application/json"
    ) -> None:
        self.send(status, json.dumps(body).encode(), kind, headers or {})

    def send(self, status: int, content: bytes, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def drop(self) -> None:
        """Close the connection without an answer."""
        self.close_connection = True
        self.connection.shutdown(2)


class Nowhere:
    """An answer that never leaves."""

    closed = False

    def write(self, data: bytes) -> int:
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...


def parse_form(content_type: str, body: bytes) -> tuple[dict[str, str], dict[str, bytes]]:
    """Text fields and files of a multipart body."""
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for part in message.iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        content = part.get_payload(decode=True)
        if part.get_filename() is None:
            fields[name] = content.decode()
        else:
            files[name] = content
    return fields, files
