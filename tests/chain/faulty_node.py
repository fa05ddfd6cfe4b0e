"""An unreliable RPC node: a real node behind a proxy that changes its answers."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

Bend = Callable[[str, list[Any], Any], Any]
"""Returns an answer for a method, its parameters and the true answer.

Answers are `{"result": …}` or `{"error": …}`.
"""


class HttpStatus(Exception):
    """A bend raises this to let the proxy answer with an HTTP status."""


def honest(method: str, params: list[Any], answer: Any) -> Any:
    """Return the true answer."""
    return answer


class FaultyNode:
    """An endpoint whose `bend` a test sets, and the methods of its requests."""

    def __init__(self, url: str, port: int) -> None:
        self.bend: Bend = honest
        self.asked: list[str] = []
        self._truth = httpx.Client(base_url=url)
        self.url = f"http://localhost:{port}/v3/SECRET"

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        method, params = request["method"], request["params"]
        self.asked.append(method)
        truth = self._truth.post("/", json=request).json()
        answer = {name: truth[name] for name in ("result", "error") if name in truth}
        return {"jsonrpc": "2.0", "id": request["id"], **self.bend(method, params, answer)}


@contextmanager
def faulty_node(url: str) -> Iterator[FaultyNode]:
    """Run a proxy in front of the node at `url`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                answers = (
                    [node.answer(request) for request in body]
                    if isinstance(body, list)
                    else node.answer(body)
                )
            except HttpStatus as status:
                self.send_error(int(str(status)))
                return
            content = json.dumps(answers).encode()
            with contextlib.suppress(BrokenPipeError):  # the client has not waited
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    node = FaultyNode(url, server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield node
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
