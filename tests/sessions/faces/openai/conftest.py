"""Fixtures: a client of `/v1`, and a model with a name."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from django.db import transaction
from django.db.models.signals import post_save
from django.http import HttpResponse
from django.test import Client
from pytest_django.fixtures import Settings

from sessions.intake.prompts import prompt_of
from sessions.logprobs import read_logprobs
from sessions.models import Task
from sessions.results import TaskResult
from sessions.stages import task_states
from sessions.streams import task_stream
from tests.sessions.factories import make_key

Api = Callable[..., HttpResponse]
MINER = "0x" + "b2" * 20
PIECES = ("two", " and two", " is four")


@pytest.fixture
def miners(redis_url: str) -> Iterator[None]:
    """Miners that answer every task with PIECES as soon as it is queued."""

    def answer(instance: Task, created: bool, **_: Any) -> None:
        if created:
            transaction.on_commit(lambda: _answer(redis_url, instance))

    post_save.connect(answer, sender=Task, weak=False, dispatch_uid="miners")
    yield
    post_save.disconnect(sender=Task, dispatch_uid="miners")


def logprob_of(token: int, count: int) -> list[Any]:
    """Return a token's log-probabilities as a miner streams them. Each alternative is 1 lower."""
    return [token, "-0.5000", [[token + rank, f"-{rank}.5000"] for rank in range(count)]]


def _answer(redis_url: str, task: Task) -> None:
    key = task_stream.miner_stream_key(MINER, task.pk)
    count = prompt_of(task).options.logprobs
    told = [logprob_of(index, count) for index in range(len(PIECES))] if count else []
    with redis.Redis.from_url(redis_url, protocol=2) as store:
        for index, piece in enumerate(PIECES):
            shown = {"logprobs": json.dumps([told[index]])} if told else {}
            store.xadd(key, {"text": piece} | shown)
        counts = {"finish_reason": "stop", "prompt_tokens": 3, "completion_tokens": 5}
        store.xadd(key, {"done": "1", **counts})
    task_stream.announce_source(task, MINER, key)
    for status in ("assigned", "precommitted", "committed"):
        getattr(task_states, f"mark_{status}")(task, [MINER])
    result = TaskResult(MINER, "".join(PIECES), "stop", 3, 5, read_logprobs(told))
    task_states.mark_validated(task, [result])


@pytest.fixture
def api(client: Client, settings: Settings) -> Api:
    settings.MODELS = {1: "/models/tiny-test.gguf"}
    _, secret = make_key()

    def call(
        method: str, path: str, body: Any = None, key: str | None = secret, **headers: str
    ) -> HttpResponse:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        return client.generic(
            method, f"/v1/{path}", data, content_type="application/json", headers=sent
        )

    return call
