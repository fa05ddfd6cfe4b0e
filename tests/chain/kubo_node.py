"""A small HTTP server with three endpoints of Kubo's RPC API, according to its reference.

- `POST /api/v0/block/put?cid-codec&mhtype&pin`, multipart; answers `{"Key", "Size"}`, refuses
  blocks above 1 MiB.
- `POST /api/v0/block/get?arg`; answers the bytes.
- `POST /api/v0/pin/add?arg&recursive`; answers `{"Pins"}`.

Errors are HTTP 500 with `{"Message", "Code", "Type"}`; any other method than POST is 405. Unlike
Kubo, it has no network. It computes CIDs itself from codec and SHA-256.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

CODECS = {"raw": 0x55, "dag-pb": 0x70}
MAX_BLOCK_BYTES = 1024 * 1024


class KuboNode(ThreadingHTTPServer):
    """The server, its blocks and its pins.

    If `fault` is set, it is called with the handler and the endpoint's name. It returns whether it
    has answered the request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blocks: dict[str, bytes] = {}
        self.pins: list[str] = []
        self.password: str | None = None
        self.fault: Callable[[_Handler, str], bool] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running_node() -> Iterator[KuboNode]:
    """Run a node while the context is open."""
    node = KuboNode()
    thread = threading.Thread(target=node.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield node
    finally:
        node.shutdown()
        thread.join()
        node.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: KuboNode
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(405, b"405 - Method Not Allowed")

    def do_POST(self) -> None:
        body = self._body()
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        name = parts.path.removeprefix("/api/v0/")
        if self.server.password is not None and not self._is_authorised():
            self.answer(403, b"403 - Forbidden")
        elif self.server.fault is not None and self.server.fault(self, name):
            pass
        elif name == "block/put":
            self._put(query, body)
        elif name == "block/get":
            self._get(query["arg"])
        elif name == "pin/add":
            self._pin(query["arg"])
        else:
            self.answer(404, b"404 page not found")

    def _put(self, query: dict[str, str], body: bytes) -> None:
        block = _only_file(self.headers["Content-Type"], body)
        if len(block) > MAX_BLOCK_BYTES:
            self.fail("produced block is over 1MiB: big blocks can't be exchanged with other peers")
            return
        assert query["mhtype"] == "sha2-256"
        prefix = bytes([1, CODECS[query["cid-codec"]], 0x12, 0x20])
        digest = hashlib.sha256(block).digest()
        key = "b" + base64.b32encode(prefix + digest).decode().lower().rstrip("=")
        self.server.blocks[key] = block
        self.answer(200, json.dumps({"Key": key, "Size": len(block)}).encode())

    def _get(self, cid: str) -> None:
        if cid in self.server.blocks:
            self.answer(200, self.server.blocks[cid])
        else:
            self.fail(f"block was not found locally (offline): ipld: could not find {cid}")

    def _pin(self, cid: str) -> None:
        self.server.pins.append(cid)
        self.answer(200, json.dumps({"Pins": [cid]}).encode())

    def fail(self, message: str, status: int = 500) -> None:
        body = {"Message": message, "Code": 0, "Type": "error"}
        self.answer(status, json.dumps(body).encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _is_authorised(self) -> bool:
        wanted = base64.b64encode(f"router:{self.server.password}".encode()).decode()
        return self.headers.get("Authorization") == f"Basic {wanted}"

    def log_message(self, *args: object) -> None:
        """Log nothing."""


def _only_file(content_type: str, body: bytes) -> bytes:
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    [part] = BytesParser().parsebytes(head + body).get_payload()
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content
