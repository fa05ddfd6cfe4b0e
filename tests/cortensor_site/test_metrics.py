"""Probes, metrics and logs: what operators see, and what must not be shown."""

import json
import logging
import socket
from typing import Any

import pytest
import redis
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import DjangoAssertNumQueries, Settings

from cortensor_site.log_format import JsonFormatter, LineFormatter
from cortensor_site.metrics.network import NetworkCollector
from sessions import log_context
from sessions.models import WEI_PER_COR
from sessions.streams import answer_stream, task_stream
from sessions.streams.answer import AnswerPosition
from tests.sessions.factories import make_session, make_task

pytestmark = pytest.mark.django_db(transaction=True)

ALICE = "0x" + "aa" * 20


def series(client: Client) -> dict[str, float]:
    text = client.get("/metrics").content.decode()
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_process_that_lives_is_healthy_whatever_else_is_down(
    client: Client, settings: Settings
) -> None:
    settings.REDIS_URL = nobodys_redis()
    assert client.get("/healthz").json() == {"status": "ok", "checks": {"process": True}}


def test_a_router_without_redis_is_not_ready(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = nobodys_redis()
    response = client.get("/readyz")
    assert response.status_code == 503
    checks = response.json()["checks"]
    assert checks["redis"] is False
    assert checks["database"] is True


def nobodys_redis() -> str:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        return f"redis://127.0.0.1:{nobody.getsockname()[1]}/0"


def test_the_queue_and_the_money_are_read_when_they_are_asked_for(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    session = make_session(deposited_wei=3 * WEI_PER_COR, reserved_wei=WEI_PER_COR)
    for _ in range(3):
        make_task(session)
    collector = NetworkCollector()
    with django_assert_num_queries(9):
        found = {
            sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
            for metric in collector.collect()
            for sample in metric.samples
        }
    assert found["cortensor:num_requests_waiting"] == 3
    assert found["cortensor:tasks queued"] == 3
    assert found["cortensor:escrow_cor deposited"] == 3
    assert found["cortensor:escrow_cor balance"] == 2
    with django_assert_num_queries(0):
        collector.collect()


async def test_an_answer_is_measured_once_however_many_follow_it(
    redis_url: str, async_client: Any
) -> None:
    task = make_unsaved_task()
    before = await measured(async_client)
    task_stream.announce_source(task, ALICE, task_stream.miner_stream_key(ALICE, "1"))
    with redis.Redis.from_url(redis_url, protocol=2) as store:
        store.xadd(task_stream.miner_stream_key(ALICE, "1"), {"text": "two"})
        counts = {"finish_reason": "stop", "prompt_tokens": 3, "completion_tokens": 2}
        store.xadd(task_stream.miner_stream_key(ALICE, "1"), {"done": "1", **counts})
    for after in (None, AnswerPosition(), AnswerPosition()):
        async for _ in answer_stream.follow_answer(task.session_id, task.task_id, 5, after):
            pass
    now = await measured(async_client)

    def grown(name: str) -> float:
        return now[name] - before.get(name, 0)

    assert grown("gen_ai_server_time_to_first_token_seconds_count") == 1
    assert grown("gen_ai_server_request_duration_seconds_count") == 1
    assert grown("cortensor:prompt_tokens_total") == 3
    assert grown("cortensor:generation_tokens_total") == 2
    assert grown("cortensor:request_success_total stop") == 1


def make_unsaved_task() -> Any:
    from sessions.models import Task

    return Task(session_id=7, task_id=1_000_000, timeout_s=5)


async def measured(client: Any) -> dict[str, float]:
    text = (await client.get("/metrics")).content.decode()
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_are_measured_by_route_and_nothing_that_strangers_make_up(
    client: Client,
) -> None:
    client.get("/api/v1/tasks/1/2")
    client.generic("INVENTED", "/made/up")
    names = [name for name in series(client) if name.startswith("http_server_request_duration")]
    assert any(
        "GET 401 /api/v1/tasks/<number:session_id>/<number:task_id>" in name for name in names
    )
    assert any("_OTHER 404 other" in name for name in names)
    assert not any("INVENTED" in name or "made" in name for name in names)


def test_metrics_are_for_those_who_may(client: Client, settings: Settings) -> None:
    assert client.get("/metrics", REMOTE_ADDR="203.0.113.7").status_code == 403
    assert client.get("/metrics", HTTP_X_FORWARDED_FOR="127.0.0.1").status_code == 403
    settings.METRICS_TOKEN = "let-me-see"
    assert client.get("/metrics").status_code == 403
    allowed = client.get(
        "/metrics", REMOTE_ADDR="203.0.113.7", HTTP_AUTHORIZATION="Bearer let-me-see"
    )
    assert allowed.status_code == 200


def record(message: str, **values: Any) -> logging.LogRecord:
    made = logging.LogRecord("a.logger", logging.INFO, "file.py", 1, message, None, None)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def test_a_line_for_machines_has_the_ids() -> None:
    log_context.bind(request_id="order-7", session_id=3)
    made = record("taken", task_id=9)
    assert log_context.ContextFilter().filter(made)
    line = json.loads(JsonFormatter().format(made))
    assert (line["request_id"], line["session_id"], line["task_id"]) == ("order-7", 3, 9)
    assert (line["message"], line["level"], line["logger"]) == ("taken", "info", "a.logger")


@pytest.mark.parametrize(
    ("message", "secret"),
    [
        ("key cor_0123456789abcdefABCDEF was refused", "0123456789abcdef"),
        ("header Authorization: Bearer abcdefgh12345678", "abcdefgh12345678"),
        ("redis://user:hunter2@host:6379/0 is away", "hunter2"),
        ("postgresql://:hunter2@host/db is away", "hunter2"),
        ("private_key=0x" + "ab" * 32, "ab" * 32),
    ],
)
def test_no_formatter_lets_a_secret_out(message: str, secret: str) -> None:
    for formatter in (LineFormatter(), JsonFormatter()):
        assert secret not in formatter.format(record(message))


def test_a_transactions_hash_is_no_secret() -> None:
    assert "0x" + "ab" * 32 in LineFormatter().format(record("sent 0x" + "ab" * 32))
