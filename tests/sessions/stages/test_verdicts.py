"""Answers do not wait for ever for a verdict, and outlive their streams."""

import asyncio
import json

import pytest
from django.test import Client

from sessions.errors import DeadlinePassed, SourceDiverged, TaskFailed
from sessions.models import TaskStatus
from sessions.results import TaskResult
from sessions.stages import verdicts
from sessions.stages.verdicts import wait_for_results
from sessions.streams import answer, task_stream
from sessions.streams.answer import AnswerDone
from tests.sessions.factories import make_key, make_session
from tests.sessions.followed_task import (
    ALICE,
    BOB,
    TASK,
    Miner,
    client,
    miner,
    read,
    source,
    text_of,
)
from tests.sessions.ports import one_free_miner, replace_ports

__all__ = ["client", "miner"]
KEPT = TaskResult(BOB, "Paris is it", "stop", 3, 2)


@pytest.fixture
def kept() -> list[TaskResult]:
    """What the database has of the task's results."""
    results: list[TaskResult] = []
    replace_ports(kept_results=lambda *_: results)
    return results


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "VERDICT_WITHIN_S", 0.3)
    monkeypatch.setattr(answer, "END_GRACE_S", 0.3)


async def waited(timeout_s: float = 60) -> tuple[TaskResult, ...]:
    return await wait_for_results(TASK.session_id, TASK.task_id, 10, timeout_s)


async def test_an_answer_goes_out_without_a_verdict_once_all_have_revealed(miner: Miner) -> None:
    task_stream.write(task_stream.stage(TASK, TaskStatus.ASSIGNED))
    source(ALICE)
    await miner(ALICE, "Paris", " is")
    waiting = asyncio.ensure_future(waited())
    await asyncio.sleep(0.6)
    assert not waiting.done(), "others could still copy it"
    task_stream.write(task_stream.stage(TASK, TaskStatus.COMMITTED))
    [result] = await waiting
    assert (result.text, result.is_judged) == ("Paris is", False)


async def test_an_answer_goes_out_when_the_chain_does_not_move_within_the_tasks_time(
    miner: Miner,
) -> None:
    task_stream.write(task_stream.stage(TASK, TaskStatus.ASSIGNED))
    source(ALICE)
    await miner(ALICE, "Paris")
    [result] = await waited(timeout_s=0.2)
    assert (result.text, result.is_judged) == ("Paris", False)


async def test_an_answer_that_is_not_whole_does_not_go_out(miner: Miner) -> None:
    task_stream.write(task_stream.stage(TASK, TaskStatus.ASSIGNED))
    source(ALICE)
    with pytest.raises(DeadlinePassed):
        await waited(timeout_s=0.2)


async def test_what_is_kept_goes_before_what_was_heard(
    miner: Miner, kept: list[TaskResult]
) -> None:
    kept.append(KEPT)
    source(ALICE)
    await miner(ALICE, "Rome")
    task_stream.write(task_stream.stage(TASK, TaskStatus.COMMITTED))
    assert await waited() == (KEPT,)


async def test_a_task_whose_results_were_not_told_did_not_end_without_one(
    miner: Miner, kept: list[TaskResult]
) -> None:
    kept.append(KEPT)
    task_stream.write(task_stream.stage(TASK, TaskStatus.ENDED))
    assert await waited() == (KEPT,)
    kept.clear()
    with pytest.raises(TaskFailed):
        await waited()


async def test_a_stream_that_was_lost_goes_on_where_the_client_is(
    miner: Miner, kept: list[TaskResult]
) -> None:
    kept.append(KEPT)
    source(ALICE)
    await miner(ALICE, "Paris", done=False)
    task_stream.write(task_stream.stage(TASK, TaskStatus.ENDED))
    events = await read()
    assert text_of(events) == "Paris is it"
    assert events[-1] == AnswerDone(BOB, "stop", 3, 2)


async def test_what_is_kept_never_replaces_what_a_client_has_seen(
    miner: Miner, kept: list[TaskResult]
) -> None:
    kept.append(KEPT)
    source(ALICE)
    await miner(ALICE, "Rome", done=False)
    task_stream.write(task_stream.stage(TASK, TaskStatus.ENDED))
    with pytest.raises(SourceDiverged):
        await read()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/api/v1/completions", "/v1/completions"])
@pytest.mark.parametrize("is_judged", [True, False])
def test_every_face_says_whether_an_answer_is_judged(
    client_: Client,
    monkeypatch: pytest.MonkeyPatch,
    kept: list[TaskResult],
    path: str,
    is_judged: bool,
) -> None:
    monkeypatch.setattr(verdicts, "VERDICT_WITHIN_S", 0.1 - 5)  # and the task's timeout
    replace_ports(free_miners=one_free_miner)
    session = make_session(redundancy=3)
    _, secret = make_key(session.owner)
    kept.append(TaskResult(ALICE, "Paris", "stop", 3, 1, is_judged=is_judged))
    body = {"session_id": session.session_id, "prompt": "one two", "timeout": 5}
    if path.startswith("/v1"):
        body = {"session_id": session.session_id, "prompt": "one two", "model": "1", "timeout": 5}
    response = client_.post(
        path, body, content_type="application/json", headers={"Authorization": f"Bearer {secret}"}
    )
    told = json.loads(response.content)
    assert response.status_code == 200, told
    assert told["choices"][0]["text"] == "Paris"
    assert response["X-Judged"] == str(is_judged).lower()


@pytest.fixture
def client_() -> Client:
    return Client()
