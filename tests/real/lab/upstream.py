"""The upstream registry: Debian's docker-registry under the name `registry.test:5000`, and what was asked of it."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.real.lab.http import ask
from tests.real.lab.image import MANIFEST_TYPE, Document, Image, Layer
from tests.real.lab.network import Namespace
from tests.real.lab.process import Process

NAME = "registry.test:5000"
PORT = 5000
_CONFIG = """\
version: 0.1
log:
  level: warn
storage:
  filesystem:
    rootdirectory: {home}/storage
http:
  addr: 0.0.0.0:5000
"""
# The access log is in Apache's combined format: address, two dashes, time, request line, status, bytes.
_ACCESS = re.compile(
    r'^(?P<client>\S+) \S+ \S+ \[[^]]*\] "(?P<method>\S+) (?P<path>\S+) [^"]*" (?P<status>\d+) (?P<bytes>\d+)'
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request that reached the registry, told when its answer had ended."""

    client: str
    method: str
    path: str
    status: int
    sent_bytes: int


class Upstream:
    """Requests from its own host, which are the harness's, are not counted."""

    def __init__(self, home: Path, namespace: Namespace, hosts: Path) -> None:
        home.mkdir()
        config = home / "config.yml"
        config.write_text(_CONFIG.format(home=home))
        self.namespace = namespace
        self.process = Process(["docker-registry", "serve", config], namespace, hosts, home / "upstream.log")

    def answers(self) -> bool:
        try:
            return ask(self.namespace, PORT, "GET", "/v2/", timeout_s=2).status == 200
        except OSError:
            return False

    def requests(self) -> list[Request]:
        """All that other hosts asked since the lab was made, in the order of their ends."""
        if not self.process.log.exists():
            return []
        found = []
        for line in self.process.log.read_text(errors="replace").splitlines():
            match = _ACCESS.match(line)
            if match and not match["client"].startswith("127."):
                request = Request(
                    match["client"], match["method"], match["path"], int(match["status"]), int(match["bytes"])
                )
                found.append(request)
        return found

    def push(self, image: Image, repository: str, *tags: str) -> None:
        """Raises `RuntimeError` for any answer but the right one."""
        for layer in image.layers:
            self._push_blob(layer, repository)
        self._push_blob(image.config, repository)
        for tag in tags:
            self._put(f"/v2/{repository}/manifests/{tag}", image.manifest, {"Content-Type": MANIFEST_TYPE})

    def _push_blob(self, content: Document | Layer, repository: str) -> None:
        answer = ask(self.namespace, PORT, "POST", f"/v2/{repository}/blobs/uploads/")
        if answer.status != 202:
            raise RuntimeError(f"upload to {repository} refused: {answer.status} {answer.body!r}")
        location = urlsplit(answer.headers["Location"])
        query = f"{location.query}&digest={content.digest}".lstrip("&")
        self._put(f"{location.path}?{query}", content, {"Content-Type": "application/octet-stream"})

    def _put(self, path: str, content: Document | Layer, headers: dict[str, str]) -> None:
        headers = {**headers, "Content-Length": str(content.size)}
        answer = ask(self.namespace, PORT, "PUT", path, headers=headers, body=content.chunks(), timeout_s=120)
        if answer.status != 201:
            raise RuntimeError(f"PUT {path} refused: {answer.status} {answer.body!r}")
