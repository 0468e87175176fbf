"""A small Hugging Face Hub on 127.0.0.1: downloads, and uploads of small files.

As on the real Hub, `/{repo}/resolve/{revision}/{file}` answers with the file's metadata
and redirects to another host, the CDN, which serves the content and ranges of it. The
CDN is the same server under the name localhost: clients tell hosts apart by name.
"""

import base64
import dataclasses
import hashlib
import http.server
import json
import os
import re
import threading
import urllib.parse

RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


def hub_environment(home):
    """The environment of a process whose cache of the Hub is in a directory."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    return own | {
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
    }


@dataclasses.dataclass(frozen=True)
class Request:
    """What a client asked; `target` is a whole URL if it took us for a proxy."""

    method: str
    target: str
    range: str | None


class HubServer:
    """The Hub and its CDN, running between `__enter__` and `__exit__`.

    Attributes:
        url: The endpoint.
        requests: Every `Request` so far, in order.
        gated: Names of the repositories that need `TOKEN`.
    """

    TOKEN = "hf_loopback"

    def __init__(self):
        self.requests = []
        self.gated = set()
        self._commits = {}  # (repo, branch or commit) -> commit
        self._files = {}  # (commit, file name) -> sha256
        self._blobs = {}  # sha256 -> bytes
        self._cut_at, self._cuts_left = 0, 0
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._cdn = f"http://localhost:{self._server.server_port}"

    def __enter__(self):
        # Polls often, because stopping takes as long as one poll.
        threading.Thread(target=self._server.serve_forever, args=[0.02]).start()
        return self

    def __exit__(self, *exception):
        self._server.shutdown()
        self._server.server_close()

    def publish(self, repo, content, filename="model.safetensors", branch="main"):
        """Commits a file to a branch of a repository; returns the commit."""
        sha256 = hashlib.sha256(content).hexdigest()
        commit = hashlib.sha1(f"{repo} {filename} {sha256}".encode()).hexdigest()
        self._commits[repo, branch] = self._commits[repo, commit] = commit
        self._files[commit, filename] = sha256
        self._blobs[sha256] = content
        return commit

    def publish_files(self, repo, contents):
        """Commits several files, a dict from names to bytes; returns the commit."""
        commits = [self.publish(repo, c, name) for name, c in contents.items()]
        for name, content in contents.items():  # the last commit has all of them
            self._files[commits[-1], name] = hashlib.sha256(content).hexdigest()
        return commits[-1]

    def content(self, repo, filename, branch="main"):
        """Returns the content of a file on a branch."""
        return self._blobs[self._files[self._commits[repo, branch], filename]]

    def cut(self, at, times):
        """Hangs up at byte `at` of the file during the next `times` downloads."""
        self._cut_at, self._cuts_left = at, times

    def downloads(self):
        """Returns the requests for contents, that is, those to the CDN."""
        return [r for r in self.requests if r.target.startswith("/blob/")]

    def answer(self, request):
        path = urllib.parse.urlsplit(request.path).path
        if path.startswith("/blob/"):
            self._send_content(request, path.removeprefix("/blob/"))
        elif match := RESOLVE.fullmatch(path):
            parts = [urllib.parse.unquote(part) for part in match.groups()]
            self._resolve(request, *parts)
        else:
            request.refuse(404, None, "Sorry, we can't find that page.")

    def take(self, request, body):
        """Answers a POST: creates a repository, or commits files to one."""
        path = urllib.parse.urlsplit(request.path).path
        if request.headers.get("Authorization") != f"Bearer {self.TOKEN}":
            return request.refuse(401, None, "Invalid username or password.")
        if path == "/api/repos/create":
            repo = json.loads(body)
            name = f"{repo['organization']}/{repo['name']}"
            answer = {"url": f"{self.url}/{name}", "name": name}
        elif path == "/api/validate-yaml":
            answer = {"errors": [], "warnings": []}
        elif match := re.fullmatch(r"/api/models/(.+)/preupload/main", path):
            files = json.loads(body)["files"]
            mode = {"uploadMode": "regular", "shouldIgnore": False}
            answer = {"files": [{"path": file["path"], **mode} for file in files]}
        elif match := re.fullmatch(r"/api/models/(.+)/commit/main", path):
            answer = self._commit(match[1], [json.loads(s) for s in body.splitlines()])
        else:
            return request.refuse(404, None, "Sorry, we can't find that page.")
        content = json.dumps(answer).encode()
        headers = {"Content-Type": "application/json"}
        return request.reply(200, headers, content, sent=len(content))

    def _commit(self, repo, lines):
        files = [line["value"] for line in lines if line["key"] == "file"]
        commit = self.publish_files(
            repo, {file["path"]: base64.b64decode(file["content"]) for file in files}
        )
        url = f"{self.url}/{repo}/commit/{commit}"
        return {"success": True, "commitUrl": url, "commitOid": commit}

    def _resolve(self, request, repo, revision, filename):
        if not any(known == repo for known, _ in self._commits):
            return request.refuse(404, "RepoNotFound", "Repository not found")
        token = request.headers.get("Authorization")
        if token not in (None, f"Bearer {self.TOKEN}"):
            message = "Invalid credentials in Authorization header"
            return request.refuse(401, None, message)
        if repo in self.gated and token is None:
            return request.refuse(401, "GatedRepo", f"Access to {repo} is restricted.")
        commit = self._commits.get((repo, revision))
        if commit is None:
            return request.refuse(404, "RevisionNotFound", "Invalid rev id")
        sha256 = self._files.get((commit, filename))
        if sha256 is None:
            known = {"X-Repo-Commit": commit}
            return request.refuse(404, "EntryNotFound", "Entry not found", known)
        headers = {
            "Location": f"{self._cdn}/blob/{sha256}",
            "X-Repo-Commit": commit,
            "X-Linked-Etag": f'"{sha256}"',
            "X-Linked-Size": len(self._blobs[sha256]),
            "ETag": f'"{hashlib.sha1(sha256.encode()).hexdigest()}"',
            "Accept-Ranges": "bytes",
        }
        return request.reply(302, headers)

    def _send_content(self, request, sha256):
        content = self._blobs[sha256]
        headers = {
            "ETag": f'"{sha256}"',
            "Accept-Ranges": "bytes",
            "Content-Disposition": 'inline; filename="model.safetensors";',
        }
        start, status = 0, 200
        if wanted := re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", "")):
            start, status = int(wanted[1]), 206
            size = len(content)
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        end = len(content)
        if self._cuts_left > 0:
            end, self._cuts_left = max(start, self._cut_at), self._cuts_left - 1
        request.reply(status, headers, content[start:], sent=end - start)


def _handler(hub):
    """Returns the class that answers requests for `hub`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            asked = Request(self.command, self.path, self.headers.get("Range"))
            hub.requests.append(asked)
            hub.answer(self)

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hub.take(self, body)

        do_HEAD = do_GET  # noqa: N815, the name is given

        def refuse(self, status, code, message, headers=None):
            headers = {**(headers or {}), "X-Error-Message": message}
            if code is not None:
                headers["X-Error-Code"] = code
            self.reply(status, headers)

        def reply(self, status, headers, content=b"", sent=0):
            """Announces `content`, sends so many bytes of it; if not all, hangs up."""
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, str(value))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:sent])
            self.close_connection = sent < len(content)

        def log_message(self, *args):
            pass

    return Handler
