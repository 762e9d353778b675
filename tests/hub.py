"""A stand-in for the Hugging Face Hub: the routes of its HTTP interface that qwell's way through needs."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = 10_000  # bytes from which a file goes by its sha256 (LFS)
TOKEN = "hf_good"


class Hub:
    """What it keeps: repositories with their files, large objects, the messages of commits, bytes sent."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}  # "datasets/user/name" → path → content
        self.objects: dict[str, bytes] = {}
        self.commits: list[str] = []
        self.uploaded = 0
        self.refuses_commits = False

    @property
    def head(self) -> str:
        return f"{len(self.commits):040x}"


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        """Quiet."""

    def answer(self, content: object = None, code: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, what: str) -> None:
        self.answer({"error": what}, 404, X_Error_Code=what)

    def body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path, query = unquote(url.path), parse_qs(url.query)
        if found := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            repository = f"{found[1]}/{found[2]}"
            if repository not in self.hub.repositories:
                self.missing("RepoNotFound")
            elif found[3] not in (None, "main"):
                self.missing("RevisionNotFound")
            else:
                self.answer({"id": found[2], "sha": self.hub.head, "siblings": [], "tags": [], "downloads": 0,
                             "likes": 0, "private": False})  # fmt: skip
        elif found := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)/tree/main(?:/(.*))?", path):
            self.tree(f"{found[1]}/{found[2]}", found[3] or "", "true" in str(query.get("recursive")).lower())
        elif found := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/main/(.+)", path):
            self.file(self.hub.repositories.get((found[1] or "models/") + found[2], {}).get(found[3]))
        else:
            self.missing("RepoNotFound")

    def tree(self, repository: str, folder: str, deep: bool) -> None:
        files = self.hub.repositories.get(repository)
        if files is None:
            return self.missing("RepoNotFound")
        prefix = f"{folder}/" if folder else ""
        entries: dict[str, dict[str, Any]] = {}
        for path, content in files.items():
            if path.startswith(prefix):
                parts = path.removeprefix(prefix).split("/")
                for i in range(1, len(parts) if deep else min(2, len(parts))):
                    name = prefix + "/".join(parts[:i])
                    entries[name] = {"type": "directory", "path": name, "oid": "0" * 40, "size": 0}
                if deep or len(parts) == 1:
                    entries[path] = {"type": "file", "path": path, "oid": "0" * 40, "size": len(content)}
        if not entries and folder:
            return self.missing("EntryNotFound")
        return self.answer(list(entries.values()))

    def file(self, content: bytes | None) -> None:
        if content is None:
            return self.missing("EntryNotFound")
        about = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X_Repo_Commit": "0" * 40}
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(found[1]), min(int(found[2] or len(content)), len(content) - 1)
            span = f"bytes {first}-{last}/{len(content)}"
            return self.answer(content[first : last + 1], 206, Content_Range=span, **about)
        return self.answer(content, **about)

    def do_PUT(self) -> None:
        content = self.body()
        self.hub.objects[self.path.rpartition("/")[2]] = content
        self.hub.uploaded += len(content)
        self.answer(b"")

    def do_POST(self) -> None:
        path, body = unquote(urlsplit(self.path).path), self.body()
        if path.endswith("/paths-info/main"):
            return self.answer([])
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer({"error": "Invalid credentials in Authorization header"}, 401)
        if path == "/api/repos/create":
            made = json.loads(body)
            name = "/".join(part for part in (made.get("organization") or "user", made["name"]) if part)
            self.hub.repositories.setdefault(f"{made.get('type', 'model')}s/{name}", {".gitattributes": b"x"})
            return self.answer({"url": f"http://{self.headers['Host']}/{name}"})
        if found := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)/preupload/main", path):
            modes = [
                {"path": one["path"], "uploadMode": "lfs" if one["size"] >= LARGE else "regular",
                 "shouldIgnore": False, "oid": None}
                for one in json.loads(body)["files"]
            ]  # fmt: skip
            return self.answer({"files": modes})
        if path.endswith(".git/info/lfs/objects/batch"):
            return self.answer(
                {"transfer": "basic", "objects": [*map(self.wanted, json.loads(body)["objects"])]}
            )
        if found := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)/commit/main", path):
            head = json.loads(body.splitlines()[0])["value"]
            if head.get("parentCommit") not in (None, self.hub.head):
                return self.answer(
                    {"error": "A commit has happened since. Please refresh and try again."}, 412
                )
            if self.hub.refuses_commits:
                return self.answer({"error": "out of order"}, 500)
            self.commit(f"{found[1]}/{found[2]}", [json.loads(line) for line in body.splitlines()])
            url = f"http://{self.headers['Host']}/{found[2]}/commit/{'0' * 40}"
            return self.answer({"success": True, "commitOid": "0" * 40, "commitUrl": url, "hookOutput": ""})
        return self.missing("RepoNotFound")

    def wanted(self, one: dict[str, Any]) -> dict[str, Any]:
        """What to do with a large object: nothing if it is here."""
        if one["oid"] in self.hub.objects:
            return one
        return {**one, "actions": {"upload": {"href": f"http://{self.headers['Host']}/upload/{one['oid']}"}}}

    def commit(self, repository: str, lines: list[dict[str, Any]]) -> None:
        files = dict(self.hub.repositories[repository])
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.hub.commits.append(value["summary"])
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        self.hub.repositories[repository] = files


@contextmanager
def hub_server() -> Iterator[tuple[str, Hub]]:
    """The stand-in at work; yields its address, and what it keeps."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("HubHandler", (Handler,), {"hub": hub}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", hub
    finally:
        server.shutdown()
        server.server_close()
