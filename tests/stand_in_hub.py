"""A stand-in for the Hugging Face hub: it speaks the part of its HTTP that downloads use.

It is held to the real client's expectations by a test that downloads with that client.
Like the real one it answers a request for a large file with a redirect to another host,
which serves ranges and must never see a token.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

REVISION = "0123456789abcdef0123456789abcdef01234567"
LARGE_SUFFIX = ".safetensors"


@dataclass
class StandInHub:
    """What it serves, how it misbehaves, and what it was asked."""

    repositories: dict[str, Path] = field(default_factory=dict)
    revision: str = REVISION
    token: str = ""
    """Where it is set, files are given to whoever shows it."""
    refusal: tuple[int, str] | None = None
    """A status and an ``X-Error-Code`` that every file's request is answered with."""
    info_refusal: tuple[int, str] | None = None
    """The same for what tells of the repository."""
    info_body: bytes | None = None
    cut_after: int | None = None
    """A large file's answer ends after so many bytes."""
    cuts_left: int = 0
    ignores_ranges: bool = False
    spoiled: set[str] = field(default_factory=set)
    """Files whose first byte arrives flipped."""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    endpoint: str = ""
    storage: str = ""

    def bytes_served(self, path: str) -> list[str]:
        """Return the ranges that were asked of a large file."""
        return [
            headers.get("range", "")
            for method, asked, headers in self.requests
            if method == "GET" and asked.startswith("/storage/") and asked.endswith(path)
        ]


@contextmanager
def serve_hub() -> Iterator[StandInHub]:
    """Run a stand-in on two ports of this machine: the hub's, and that of its storage."""
    hub = StandInHub()

    class Handler(_Handler):
        stand_in = hub

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in servers]
    hub.endpoint, hub.storage = (f"http://127.0.0.1:{each.server_port}" for each in servers)
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    stand_in: StandInHub
    protocol_version = "HTTP/1.1"
    # Headers and body go one after the other: the second waits for no one's word of the first.
    disable_nagle_algorithm = True

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        hub, path = self.stand_in, unquote(urlsplit(self.path).path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        hub.requests.append((self.command, path, headers))
        if path.startswith("/api/models/") and "/tree/" in path:
            self._list(path.removeprefix("/api/models/").partition("/tree/")[0])
        elif path.startswith("/api/models/"):
            self._tell(path.removeprefix("/api/models/").partition("/revision/")[0])
        elif path.startswith("/storage/"):
            name, _, file = path.removeprefix("/storage/").partition("//")
            self._store(hub.repositories[name] / file)
        elif "/resolve/" in path:
            name, _, rest = path.strip("/").partition("/resolve/")
            self._resolve(name, rest.partition("/")[2])
        else:
            self._refuse(404, "")

    def _tell(self, name: str) -> None:
        hub = self.stand_in
        if hub.info_refusal is not None:
            self._refuse(*hub.info_refusal)
        elif hub.info_body is not None:
            self._send(200, hub.info_body, {"Content-Type": "text/html"})
        elif name not in hub.repositories:
            self._refuse(404 if self._has_token() else 401, "RepoNotFound")
        else:
            folder = hub.repositories[name]
            siblings = [_sibling(folder, path) for path in sorted(folder.rglob("*"))]
            told = {
                "id": name,
                "sha": hub.revision,
                "private": False,
                "gated": "auto" if hub.token else False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [each for each in siblings if each],
            }
            self._send(200, json.dumps(told).encode(), {"Content-Type": "application/json"})

    def _list(self, name: str) -> None:
        """Answer as the tree's listing does, which names the same things otherwise."""
        folder = self.stand_in.repositories[name]
        entries = []
        for path in sorted(folder.rglob("*")):
            if (told := _sibling(folder, path)) is not None:
                entry = {
                    "type": "file",
                    "path": told["rfilename"],
                    "oid": told["blobId"],
                    "size": told["size"],
                }
                if lfs := told.get("lfs"):
                    entry["lfs"] = {
                        "oid": lfs["sha256"],
                        "size": lfs["size"],
                        "pointerSize": lfs["pointerSize"],
                    }
                entries.append(entry)
        self._send(200, json.dumps(entries).encode(), {"Content-Type": "application/json"})

    def _resolve(self, name: str, file: str) -> None:
        hub = self.stand_in
        path = hub.repositories[name] / file
        if hub.refusal is not None:
            self._refuse(*hub.refusal)
        elif hub.token and not self._has_token():
            self._refuse(403 if self.headers.get("Authorization") else 401, "GatedRepo")
        elif not path.is_file():
            self._refuse(404, "EntryNotFound")
        elif path.name.endswith(LARGE_SUFFIX):
            headers = {
                "X-Repo-Commit": hub.revision,
                "X-Linked-Size": str(path.stat().st_size),
                "X-Linked-ETag": f'"{_sha256(path)}"',
                "Location": f"{hub.storage}/storage/{name}//{file}",
            }
            self._send(302, b"", headers)
        else:
            headers = {"X-Repo-Commit": hub.revision, "ETag": f'"{_git_blob(path)}"'}
            self._send(200, self._content(path), headers)

    def _store(self, path: Path) -> None:
        hub, content = self.stand_in, self._content(path)
        begin = 0
        asked = self.headers.get("Range")
        if asked and not hub.ignores_ranges:
            begin = int(asked.removeprefix("bytes=").rstrip("-"))
        headers = {"Accept-Ranges": "bytes", "ETag": f'"{_sha256(path)}"'}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        is_cut = hub.cut_after is not None and hub.cuts_left > 0
        if is_cut:
            hub.cuts_left -= 1
        self._send(
            206 if begin else 200,
            content[begin:],
            headers,
            cut_after=hub.cut_after if is_cut else None,
        )

    def _content(self, path: Path) -> bytes:
        content = path.read_bytes()
        if path.name in self.stand_in.spoiled:
            return bytes([content[0] ^ 1]) + content[1:]
        return content

    def _has_token(self) -> bool:
        token = self.stand_in.token
        return bool(token) and self.headers.get("Authorization") == f"Bearer {token}"

    def _refuse(self, status: int, code: str) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": code} if code else {}
        self._send(status, b"{}", headers)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], cut_after: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[:cut_after])
        if cut_after is not None:
            self.close_connection = True


def _sibling(folder: Path, path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    size = path.stat().st_size
    told: dict[str, Any] = {
        "rfilename": path.relative_to(folder).as_posix(),
        "size": size,
        "blobId": _git_blob(path),
    }
    if path.name.endswith(LARGE_SUFFIX):
        told["lfs"] = {"sha256": _sha256(path), "size": size, "pointerSize": 134}
    return told


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _git_blob(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
