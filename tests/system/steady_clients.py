"""Clients that send requests throughout outages, and record the responses."""

import enum
import itertools
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.system.conftest import Client

TIMEOUT_S = 20
"""The timeout of a task. Its client waits somewhat longer than two timeouts."""
HTTP_TIMEOUT_S = 2 * TIMEOUT_S + 60.0
PAUSE_S = 3.0
MOST_PAUSE_S = 5.0
MAX_TOKENS = 24
TOLD = {
    "part_away",
    "no_miners",
    "relay_unavailable",
    "storage_down",
    "router_restarting",
    "deadline_passed",
    "task_failed",
    "source_diverged",
    "server_away",
}
"""Errors that are correct during an outage."""


class Kind(enum.Enum):
    """The kinds of outcomes of a request."""

    ANSWERED = "answered"
    REFUSED = "refused"
    """503 with `Retry-After`, and no task was accepted."""
    TOLD = "told why not"
    """A named error of an accepted task."""
    UNREACHED = "not connected"
    WRONG = "wrong"


@dataclass(frozen=True)
class Way:
    """A way to send requests: an API, a session, and whether the answer is streamed."""

    path: str
    session_id: int
    streams: bool
    is_compared: bool
    """Whether several miners answer each task of the session."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a request. `part` is the part that was unavailable when it was sent."""

    part: str
    way: Way
    asked_at: float
    kind: Kind
    seconds: float
    detail: str = ""
    task: tuple[int, int] | None = None
    text: str = ""
    is_judged: bool = False


@dataclass
class SteadyClients:
    """Sends requests in one thread for each `Way`."""

    client: Client
    ways: list[Way]
    part: str = "none"
    outcomes: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._numbers = itertools.count(3)
        self._threads = [threading.Thread(target=self._go_on, args=(way,)) for way in self.ways]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send no more requests, and wait for the open ones."""
        self._stop.set()
        for thread in self._threads:
            thread.join(HTTP_TIMEOUT_S + 30)
            assert not thread.is_alive(), "a client hangs"

    def _go_on(self, way: Way) -> None:
        with httpx.Client(
            base_url=self.client.network.router_url,
            headers={"Authorization": f"Bearer {self.client.network.api_key}"},
            timeout=HTTP_TIMEOUT_S,
        ) as http:
            while not self._stop.is_set():
                part, started = self.part, time.monotonic()
                outcome, pause_s = _ask(http, way, _prompt(next(self._numbers)))
                taken_s = time.monotonic() - started
                self.outcomes.append(Outcome(part, way, started, seconds=taken_s, **outcome))
                self._stop.wait(pause_s)


def _prompt(number: int) -> str:
    start = 3 + number % 40
    return f"Count from {start} to {start + 6}."


def _ask(http: httpx.Client, way: Way, prompt: str) -> tuple[dict[str, Any], float]:
    body = {
        "session_id": way.session_id,
        "prompt": prompt,
        "max_tokens": MAX_TOKENS,
        "stream": way.streams,
        "timeout": TIMEOUT_S,
    }
    if way.path.startswith("/v1"):
        body |= {"model": "1", "messages": [{"role": "user", "content": body.pop("prompt")}]}
    try:
        with http.stream("POST", way.path, json=body) as response:
            if response.status_code != 200:
                return _refusal(response)
            if way.streams:
                return _streamed(response), PAUSE_S
            told = json.loads(response.read())
            return {
                "kind": Kind.ANSWERED,
                "task": _task_of(response, told),
                "text": _text_of(told["choices"][0]),
                "is_judged": response.headers["X-Judged"] == "true",
            }, PAUSE_S
    except httpx.ConnectError:
        return {"kind": Kind.UNREACHED}, PAUSE_S
    except httpx.HTTPError as error:
        return {"kind": Kind.WRONG, "detail": f"{type(error).__name__}: {error}"}, PAUSE_S


def _refusal(response: httpx.Response) -> tuple[dict[str, Any], float]:
    told = json.loads(response.read())
    code, task = _code_of(told), _task_of(response, told)
    retry_after = response.headers.get("Retry-After", "")
    is_good = code in TOLD and (response.status_code != 503 or retry_after.isdecimal())
    kind = Kind.WRONG if not is_good else Kind.REFUSED if task is None else Kind.TOLD
    detail = f"{response.status_code} {code}" + ("" if is_good else f": {told}")
    pause_s = min(float(retry_after), MOST_PAUSE_S) if retry_after.isdecimal() else PAUSE_S
    return {"kind": kind, "detail": detail, "task": task}, pause_s


def _streamed(response: httpx.Response) -> dict[str, Any]:
    text, task = "", _task_of(response, {})
    for event in _events(response):
        task = task or _task_of(response, event)
        if "error" in event:
            code = _code_of(event["error"] if "type" in event["error"] else event)
            kind = Kind.TOLD if code in TOLD else Kind.WRONG
            return {"kind": kind, "detail": code, "task": task, "text": text}
        choices = event.get("choices") or [{}]
        text += _text_of(choices[0])
        if choices[0].get("finish_reason"):
            return {"kind": Kind.ANSWERED, "task": task, "text": text}
    return {"kind": Kind.WRONG, "detail": "the stream has no end", "task": task}


def _text_of(choice: dict[str, Any]) -> str:
    """Return the text of a choice, or of a part of one, in either API's form."""
    said = choice.get("text") or choice.get("message", choice.get("delta", {})).get("content")
    return said or ""


def _events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


def _code_of(told: dict[str, Any]) -> str:
    """Return the name of an error, in either API's form."""
    error = told.get("error", told)
    code = error.get("code") or str(error.get("type", "")).rpartition(":")[2]
    said = str(error.get("message") or error.get("detail") or "")
    return "server_away" if "a server that the router needs" in said else str(code)


def _task_of(response: httpx.Response, told: dict[str, Any]) -> tuple[int, int] | None:
    session_id, task_id = (
        told.get("session_id") or response.headers.get("X-Session-ID"),
        told.get("task_id")
        if told.get("task_id") is not None
        else response.headers.get("X-Task-ID"),
    )
    if session_id is None or task_id is None:
        return None
    return int(session_id), int(task_id)
