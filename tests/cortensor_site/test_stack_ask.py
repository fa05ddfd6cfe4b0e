"""Asking the network on this machine from a terminal."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cortensor_site.stack import ask

MODELS = {"data": [{"id": "chat"}, {"id": "small"}]}


class Router(BaseHTTPRequestHandler):
    """Says the question backwards, word by word; refuses one that it does not like."""

    asked: list[dict[str, Any]] = []

    def do_GET(self) -> None:
        self._say(200, json.dumps(MODELS))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body | {"key": self.headers["Authorization"]})
        words = body["messages"][0]["content"].split()[::-1]
        if words == ["no"]:
            self._say(402, "the balance is too low")
            return
        lines = [{"choices": [{"delta": {"content": f"{word} "}}]} for word in words]
        events = [f"data: {json.dumps(line)}\n\n" for line in [{"choices": []}, *lines]]
        self._say(200, "".join([*events, "data: [DONE]\n\n"]))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[dict[str, Any]]]:
    """What a router was asked, whose port and key this terminal has."""
    monkeypatch.setattr(Router, "asked", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Router)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "api_key").write_text("secret")
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    monkeypatch.setenv("ROUTER_PORT", str(server.server_port))
    yield Router.asked
    server.shutdown()


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["ask", *words])
    return ask.main()


def test_five_questions_are_asked_of_the_first_model_and_nothing_else_is_said(
    asked: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch) == 0
    assert [body["messages"][0]["content"] for body in asked] == list(ask.QUESTIONS)
    assert {body["key"] for body in asked} == {"Bearer secret"}
    assert all(set(body) == {"model", "messages", "stream", "key"} for body in asked)
    assert {body["model"] for body in asked} == {"chat"}
    assert "sleep? we do Why" in capsys.readouterr().out


def test_a_refusal_is_told(
    asked: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "--model", "small", "no") == 1
    assert "the balance is too low" in capsys.readouterr().err


def test_without_a_network_it_says_how_to_make_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VAR_DIR", str(tmp_path / "none"))
    assert run(monkeypatch) == 1
    assert "make run" in capsys.readouterr().err
