"""A task submitted on chain is queued, and leaves the queue when the chain ends it."""

from typing import Any

import pytest
from django.utils import timezone

from chain import storage
from sessions.intake import acceptance
from sessions.intake.options import BoundGrammar, GenerationOptions
from sessions.intake.reservations import promised_to
from sessions.models import (
    OnChainStatus,
    OnChainTask,
    Session,
    SessionRouter,
    Task,
    TaskOrigin,
    TaskStatus,
)
from tests.sessions.factories import make_request, make_session
from tests.sessions.news import news
from tests.sessions.ports import CONTEXT_LENGTH

pytestmark = pytest.mark.django_db(transaction=True)


def on_chain(session: Session, **values: Any) -> OnChainTask:
    defaults: dict[str, Any] = {
        "session_id": session.session_id,
        "task_id": 0,
        "digest": "0x" + "34" * 32,
        "task_data": "what is two and two",
        "llm_params": ["8", "70"],
        "request_params": ["2"],
        "max_input_tokens": 100,
        "reserved_wei": 500,
        "created_at": timezone.now(),
    }
    return OnChainTask.objects.create(**(defaults | values))


def test_a_direct_task_is_queued_once_with_what_it_says() -> None:
    session = make_session(redundancy=2)
    row = on_chain(session)
    news()
    news()
    task = Task.objects.get()
    assert (task.origin, task.status, task.redundancy) == (TaskOrigin.CHAIN, TaskStatus.QUEUED, 2)
    assert (task.task_data, task.inline, task.prompt_cid) == (row.task_data, True, "")
    assert (task.max_tokens, task.temperature_x100, task.timeout_s) == (8, 70, 5)
    assert (task.task_digest, task.reserve_wei) == (row.digest, 500)
    assert promised_to(session.session_id).wei == 0


def test_content_that_the_storage_has_is_served_with_its_stops() -> None:
    cid = storage.put(make_request("hello you", stop=("\n",)).content)
    on_chain(make_session(), task_data=storage.address(cid))
    news()
    task = Task.objects.get()
    assert (task.status, task.inline, task.prompt_cid) == (TaskStatus.QUEUED, False, cid)
    assert task.stop == ["\n"]
    assert task.grammar_reader == ""


def test_what_reads_a_tasks_grammar_is_known_before_miners_are_chosen() -> None:
    grammar = BoundGrammar('start: "a"', library="another\x00", version="1")
    request = make_request("hello you", options=GenerationOptions(grammar))
    cid = storage.put(request.content)
    on_chain(make_session(), task_data=storage.address(cid))
    news()
    assert Task.objects.get().grammar_reader == "another\ufffd/1"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"llm_params": []}, "invalid_params"),
        ({"task_data": "ipfs://bafkreinowhere"}, "prompt_unreadable"),
        ({"task_data": " ".join(["w"] * CONTEXT_LENGTH)}, "prompt_too_long"),
        ({"max_input_tokens": 2}, "prompt_too_long"),
        ({"task_data": "unreadable"}, "prompt_unfit"),
    ],
)
def test_a_direct_task_that_cannot_be_served_fails_at_once(
    values: dict[str, Any], code: str
) -> None:
    on_chain(make_session(), **values)
    news()
    task = Task.objects.get()
    assert (task.status, task.outcome_code) == (TaskStatus.FAILED, code)


def test_numbers_beyond_every_bound_are_cut_to_what_they_mean() -> None:
    words = [str(2**256 - 1)] * 8
    on_chain(make_session(), llm_params=words, request_params=words)
    news()
    task = Task.objects.get()
    assert (task.max_tokens, task.timeout_s) == (2**31 - 1, 3600)


def test_a_session_that_does_not_list_this_router_is_left_to_others() -> None:
    session = make_session()
    SessionRouter.objects.update(removed=True)
    on_chain(session)
    news()
    assert Task.objects.count() == 0


def test_one_bad_task_does_not_keep_the_others_waiting() -> None:
    session = make_session()
    on_chain(session, task_id=0, llm_params=["no number"])
    on_chain(session, task_id=1)
    news()
    assert Task.objects.get().task_id == 1


@pytest.mark.parametrize(("paid_wei", "code"), [(7, "settled"), (0, "refunded")])
def test_what_the_chain_has_ended_ends_here(paid_wei: int, code: str) -> None:
    task = acceptance.accept(make_request(), session=make_session(), api_key=None)
    ended_at = timezone.now()
    OnChainTask.objects.create(
        session_id=task.session_id,
        task_id=task.task_id,
        status=OnChainStatus.ENDED,
        ended_at=ended_at,
        paid_wei=paid_wei,
    )
    news()
    task.refresh_from_db()
    assert (task.status, task.outcome_code) == (TaskStatus.ENDED, code)
    assert task.ended_at == ended_at
