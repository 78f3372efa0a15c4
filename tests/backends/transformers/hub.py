"""A small Hub on loopback: it speaks what huggingface_hub asks when it fetches a model, and fails on request."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

_INFO = re.compile(r"/api/models/(?P<model>[^/]+/[^/]+)/revision/(?P<revision>.+)")
_TREE = re.compile(r"/api/models/(?P<model>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)")
_FILE = re.compile(r"/(?P<model>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")


@dataclass
class Repository:
    """A model on the Hub: a folder, its branches, and who may read it."""

    folder: Path
    branches: dict[str, str] = field(default_factory=lambda: {"main": "a" * 40})
    gated: bool = False

    def files(self) -> dict[str, Path]:
        return {
            path.relative_to(self.folder).as_posix(): path for path in sorted(self.folder.rglob("*")) if path.is_file()
        }

    def commit(self, revision: str) -> str | None:
        return revision if revision in self.branches.values() else self.branches.get(revision)


@dataclass
class Hub:
    """What is on the server, how it fails, and what it was asked for."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    status: int | None = None
    """Answer everything with this."""
    cut: dict[str, int] = field(default_factory=dict)
    """File → number of bytes after which its connection breaks, every time."""
    forbidden: set[str] = field(default_factory=set)
    """Files that the token may not read."""
    asked: list[str] = field(default_factory=list)
    """``METHOD /path`` of every request."""
    tokens: set[str | None] = field(default_factory=set)
    """What was in the ``Authorization`` of the requests; ``None``: one had none."""
    ranges: list[str] = field(default_factory=list)
    """The ``Range`` of every request that had one."""

    def downloads(self) -> list[str]:
        """The files that were sent, in alphabetical order."""
        return sorted(line.rsplit("/", 1)[-1] for line in self.asked if line.startswith("GET") and "/resolve/" in line)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Keep the test's output free of them."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        self.hub.tokens.add(self.headers.get("Authorization"))
        if self.hub.status is not None:
            self._send(self.hub.status)
            return
        match = _FILE.fullmatch(path) or _INFO.fullmatch(path) or _TREE.fullmatch(path)
        repository = self.hub.repositories.get(match["model"]) if match else None
        if match is None or repository is None:
            # What the Hub says to a stranger about a model that is private or not there.
            self._send(401, code="RepoNotFound")
            return
        commit = repository.commit(match["revision"])
        if commit is None:
            self._send(404, code="RevisionNotFound")
        elif match.re is _FILE:
            self._send_file(repository, commit, match["name"])
        elif match.re is _INFO:
            self._send_json(
                {"id": match["model"], "sha": commit, "siblings": [{"rfilename": name} for name in repository.files()]}
            )
        else:
            self._send_json(
                [
                    {"type": "file", "path": name, "size": file.stat().st_size, "oid": _etag(file)}
                    for name, file in repository.files().items()
                ]
            )

    def _send_file(self, repository: Repository, commit: str, name: str) -> None:
        file = repository.files().get(name)
        if repository.gated:
            self._send(403, code="GatedRepo", commit=commit)
        elif name in self.hub.forbidden:
            self._send(403, commit=commit)
        elif file is None:
            self._send(404, code="EntryNotFound", commit=commit)
        else:
            content, total, status = file.read_bytes(), file.stat().st_size, 200
            wanted = self.headers.get("Range")
            if wanted and self.command == "GET":
                self.hub.ranges.append(wanted)
                start = int(wanted.removeprefix("bytes=").split("-")[0])
                content, status = content[start:], 206
            self._send(status, content, commit=commit, etag=_etag(file), cut=self.hub.cut.get(name), total=total)

    def _send_json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), kind="application/json")

    def _send(
        self,
        status: int,
        content: bytes = b"",
        *,
        kind: str = "application/octet-stream",
        code: str | None = None,
        commit: str | None = None,
        etag: str | None = None,
        cut: int | None = None,
        total: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if status == 206 and total is not None:
            self.send_header("Content-Range", f"bytes {total - len(content)}-{total - 1}/{total}")
        for name, value in (("X-Error-Code", code), ("X-Repo-Commit", commit), ("ETag", etag and f'"{etag}"')):
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content if cut is None else content[:cut])
            if cut is not None:
                self.close_connection = True


def _etag(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextmanager
def serve() -> Iterator[Hub]:
    """Run a Hub for the length of the block."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
