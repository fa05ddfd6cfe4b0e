"""Each submission on chain waits for its own content only."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from chain import storage
from chain.isolation import Isolation
from chain.protocol.digests import raw_cid
from sessions.from_chain import content_threads, direct_tasks, reconciliation, submissions
from sessions.from_chain.content_threads import (
    AGAIN_THREADS,
    FIRST_THREADS,
    SubmissionThreads,
    choose,
)
from sessions.from_chain.submissions import SESSION_SHARE, attempt, due, pause_after
from sessions.models import (
    DirectSubmission,
    OnChainTask,
    Session,
    SessionRouter,
    Task,
    TaskStatus,
)
from tests.sessions.factories import make_request, make_session
from tests.sessions.from_chain.test_direct_tasks import on_chain
from tests.sessions.mirror_rows import event
from tests.sessions.news import news

pytestmark = pytest.mark.django_db(transaction=True)

CONTENT = make_request("hello you").content
ADDRESS = storage.address(raw_cid(CONTENT))


@pytest.fixture
def threads() -> Iterator[SubmissionThreads]:
    made = SubmissionThreads()
    yield made
    made.close()


def submitted(session: Session, task_id: int = 0, **values: Any) -> DirectSubmission:
    """A submission whose event has been read."""
    row = on_chain(session, task_id=task_id, **values)
    numbers = {"sessionId": row.session_id, "taskId": row.task_id}
    reconciliation.react([event("Session", "TaskSubmitted", numbers)], Isolation("test"))
    return DirectSubmission.objects.get(session_id=row.session_id, task_id=row.task_id)


def test_an_event_is_written_down_once_and_leads_to_a_task() -> None:
    session = make_session()
    submission = submitted(session)
    submissions.note([(session.session_id, 0)])
    attempt(submission)
    assert Task.objects.get().status == TaskStatus.QUEUED
    submissions.note([(session.session_id, 0)])  # as when the event is read again
    assert not DirectSubmission.objects.exists()


def test_a_routers_own_numbers_are_no_submissions_of_clients() -> None:
    numbers = {"sessionId": make_session().session_id, "taskId": 1_000_000}
    reconciliation.react([event("Session", "TaskSubmitted", numbers)], Isolation("test"))
    assert not DirectSubmission.objects.exists()


def test_no_transaction_is_open_while_a_content_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    right = storage.get

    def watch(*args: Any, **named: Any) -> bytes:
        seen.append((connection.in_atomic_block, connection.connection))
        return right(*args, **named)

    storage.put(CONTENT)
    submission = submitted(make_session(), task_data=ADDRESS)
    monkeypatch.setattr(storage, "get", watch)
    attempt(submission)
    assert seen == [(False, None)]  # nor is a connection held
    assert Task.objects.get().status == TaskStatus.QUEUED


def test_a_slow_content_delays_no_other_task(
    threads: SubmissionThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    come, right = threading.Event(), storage.get

    def slow(cid: str, *args: Any, **named: Any) -> bytes:
        if storage.address(cid) == ADDRESS:
            assert come.wait(20)
        return right(cid, *args, **named)

    monkeypatch.setattr(storage, "get", slow)
    storage.put(CONTENT)
    session = make_session()
    for number in range(3):
        submitted(session, number, task_data=ADDRESS)
    other = storage.put(make_request("another prompt").content)
    submitted(make_session(), 0, task_data=storage.address(other))
    threads.start_due(timezone.now())
    wait_until(lambda: Task.objects.count() == 1)
    assert Task.objects.get().prompt_cid == other
    come.set()
    wait_until(lambda: Task.objects.count() == 4)


def test_a_missing_content_is_looked_for_again_and_served_once_it_is_there() -> None:
    submission = submitted(make_session(), task_data=ADDRESS, request_params=["60"])
    attempt(submission)
    assert not Task.objects.exists()
    submission.refresh_from_db()
    assert "no such block" in submission.problem
    assert due(timezone.now()) == []
    storage.put(CONTENT)
    news(after_s=pause_after(1).total_seconds())
    assert Task.objects.get().status == TaskStatus.QUEUED
    assert not DirectSubmission.objects.exists()


def test_a_content_that_never_comes_fails_its_task_when_its_time_in_the_queue_is_over() -> None:
    submission = submitted(make_session(), task_data=ADDRESS, request_params=["60"])
    attempt(submission)
    OnChainTask.objects.update(created_at=timezone.now() - timedelta(seconds=61))
    submission.refresh_from_db()
    attempt(submission)
    task = Task.objects.get()
    assert (task.status, task.outcome_code) == (TaskStatus.FAILED, "prompt_unreadable")
    assert "no such block" in task.outcome_message


def test_the_last_attempt_is_made_when_the_time_in_the_queue_ends() -> None:
    created_at = timezone.now() - timedelta(seconds=4.8)
    row = submitted(make_session(), task_data=ADDRESS, request_params=["5"], created_at=created_at)
    attempt(row)
    row.refresh_from_db()
    assert row.due_at == created_at + timedelta(seconds=5)


def test_a_process_that_dies_in_an_attempt_leaves_it_to_be_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    submission = submitted(make_session())
    with monkeypatch.context() as dying:
        dying.setattr(direct_tasks, "prompt_of", die)
        with pytest.raises(SystemExit):
            attempt(submission)
    assert due(timezone.now()) == []  # others come first now
    news(after_s=submissions.CONTENT_WITHIN_S + 15)
    assert Task.objects.get().status == TaskStatus.QUEUED


def die(*_: Any, **__: Any) -> None:
    raise SystemExit


def test_two_processes_do_not_make_the_same_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    submission = submitted(make_session())
    twin = DirectSubmission.objects.get()
    looked: list[object] = []
    right = submissions.problem_of
    monkeypatch.setattr(
        submissions, "problem_of", lambda *a, **n: (looked.append(1), right(*a, **n))[1]
    )
    attempt(submission)
    attempt(twin)
    assert len(looked) == 1


def test_an_error_that_nobody_expected_fails_only_its_own_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = submitted(make_session(), created_at=timezone.now() - timedelta(minutes=2))

    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(submissions, "problem_of", fail)
    attempt(row)
    assert Task.objects.get().outcome_code == "prompt_unreadable"


def test_a_submission_that_a_fork_has_undone_is_forgotten() -> None:
    submission = submitted(make_session())
    OnChainTask.objects.all().delete()
    attempt(submission)
    assert not DirectSubmission.objects.exists()
    assert not Task.objects.exists()


def test_a_fork_while_the_content_is_read_does_not_mix_two_tasks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    submission = submitted(make_session())
    right = submissions.problem_of

    def fork(*args: Any, **named: Any) -> Any:
        OnChainTask.objects.update(digest="0x" + "56" * 32, task_data="after the fork")
        return right(*args, **named)

    with monkeypatch.context() as forking:
        forking.setattr(submissions, "problem_of", fork)
        attempt(submission)
    assert not Task.objects.exists()
    news()
    assert Task.objects.get().task_data == "after the fork"


def test_a_task_from_before_its_session_listed_this_router_is_found_by_the_sweep() -> None:
    session = make_session()
    SessionRouter.objects.update(removed=True)
    attempt(submitted(session))
    assert not Task.objects.exists()
    SessionRouter.objects.update(removed=False)
    news()
    assert Task.objects.get().status == TaskStatus.QUEUED


def test_one_session_takes_only_its_share_of_the_first_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(submissions, "WAITING_AT_ONCE", SESSION_SHARE + 1)
    greedy, other = make_session(), make_session()
    submissions.note([(greedy.session_id, number) for number in range(20)])
    submissions.note([(other.session_id, 0)])
    found = [row.session_id for row in due(timezone.now())]
    assert found == [greedy.session_id] * SESSION_SHARE + [other.session_id]


def row(pk: int, session_id: int, attempts: int = 0) -> DirectSubmission:
    return DirectSubmission(pk=pk, session_id=session_id, task_id=pk, attempts=attempts)


def test_new_submissions_never_wait_for_those_that_are_tried_again() -> None:
    again = [row(number, number, attempts=1) for number in range(100)]
    new = [row(100 + number, 100 + number) for number in range(100)]
    chosen = choose([*again, *new], {})
    assert chosen == again[:AGAIN_THREADS] + new[:FIRST_THREADS]


def test_what_threads_work_on_counts() -> None:
    busy = {number: content_threads.Lane(7, True) for number in range(SESSION_SHARE)}
    assert choose([row(0, 7), row(50, 7), row(51, 8)], busy) == [row(51, 8)]


def wait_until(true: Any, timeout_s: float = 10.0) -> None:
    pause = threading.Event()
    until = timezone.now() + timedelta(seconds=timeout_s)
    while not true():
        assert timezone.now() < until, "it did not happen in time"
        pause.wait(0.01)
