"""Daily budgets: exact for the worst case, corrected at settlement, separate for each key."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from sessions.access.budgets import usage_today
from sessions.access.errors import BudgetSpent, LimitReached, ScopeMissing
from sessions.intake import acceptance
from sessions.intake.reservations import promised_to
from sessions.models import ApiKey, OnChainTask, Session, Task
from sessions.results import TaskResult
from sessions.stages import task_states
from tests.sessions.api_client import Api
from tests.sessions.factories import (
    INPUT_PRICE_WEI,
    OUTPUT_PRICE_WEI,
    make_key,
    make_request,
    make_session,
)

pytestmark = pytest.mark.django_db(transaction=True)

COST_WEI = 3 * INPUT_PRICE_WEI + 8 * OUTPUT_PRICE_WEI
TOKENS = 3 + 8
MINER = "0x" + "b2" * 20


def ask(session: Session, key: ApiKey) -> Task:
    return acceptance.accept(make_request(), session=session, api_key=key)


def at_once(count: int, work: Callable[[], object]) -> list[str]:
    """The names of what `work` raised, or 'taken', of so many threads that start together."""
    outcomes: list[str] = []
    barrier = threading.Barrier(count)

    def run() -> None:
        try:
            barrier.wait()
            work()
            outcomes.append("taken")
        except (BudgetSpent, LimitReached) as error:
            outcomes.append(type(error).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(outcomes)


@pytest.mark.parametrize("terms", [{"daily_wei": 2 * COST_WEI}, {"daily_tokens": 2 * TOKENS}])
def test_a_budget_covers_just_what_it_says(terms: dict[str, int]) -> None:
    session = make_session()
    key, _ = make_key(**terms)
    ask(session, key)
    ask(session, key)
    with pytest.raises(BudgetSpent) as refusal:
        ask(session, key)
    assert refusal.value.status == 429
    assert 0 < (refusal.value.retry_after_s or 0) <= 24 * 3600 + 1
    other, _ = make_key()
    ask(session, other)
    assert promised_to(session.session_id).wei == 3 * COST_WEI


def test_a_budget_of_nothing_buys_nothing() -> None:
    with pytest.raises(BudgetSpent):
        ask(make_session(), make_key(daily_wei=0)[0])
    assert not Task.objects.exists()


def test_concurrent_tasks_in_different_sessions_never_overspend_a_key() -> None:
    sessions = [make_session() for _ in range(6)]
    key, _ = make_key(daily_wei=4 * COST_WEI + 1)
    turn = iter(sessions)
    lock = threading.Lock()

    def work() -> None:
        with lock:
            session = next(turn)
        ask(session, key)

    assert at_once(6, work) == ["BudgetSpent"] * 2 + ["taken"] * 4
    assert usage_today(key).wei == 4 * COST_WEI


def test_the_settlement_corrects_what_a_task_weighs() -> None:
    session = make_session()
    key, _ = make_key(daily_wei=COST_WEI + 5, daily_tokens=100)
    task = ask(session, key)
    assert (usage_today(key).wei, usage_today(key).tokens) == (COST_WEI, TOKENS)
    with pytest.raises(BudgetSpent):
        ask(session, key)
    for stage in ("assigned", "precommitted", "committed"):
        getattr(task_states, f"mark_{stage}")(task, [MINER])
    task_states.mark_validated(task, [TaskResult(MINER, "4", "stop", 3, 2)])
    OnChainTask.objects.create(
        session_id=task.session_id, task_id=task.task_id, paid_wei=5, ended_at=timezone.now()
    )
    assert (usage_today(key).wei, usage_today(key).tokens) == (5, 3 + 2)
    ask(session, key)
    assert usage_today(key).wei == 5 + COST_WEI


def test_a_task_that_failed_keeps_its_weight_until_the_chain_has_refunded_it() -> None:
    key, _ = make_key(daily_wei=COST_WEI)
    task = ask(make_session(), key)
    task_states.mark_failed(task, "gone", "no miner is left")
    assert (usage_today(key).wei, usage_today(key).tokens) == (COST_WEI, 0)
    OnChainTask.objects.create(
        session_id=task.session_id, task_id=task.task_id, paid_wei=0, ended_at=timezone.now()
    )
    assert usage_today(key).wei == 0


def test_yesterdays_tasks_weigh_nothing_today() -> None:
    session = make_session()
    key, _ = make_key(daily_wei=COST_WEI)
    task = ask(session, key)
    midnight = usage_today(key).since
    Task.objects.filter(pk=task.pk).update(created_at=midnight - timedelta(seconds=1))
    assert usage_today(key).wei == 0
    ask(session, key)


def test_a_repeated_request_weighs_once() -> None:
    session = make_session()
    key, _ = make_key(daily_wei=COST_WEI)
    request = make_request(idempotency_key="once")
    tasks = {acceptance.accept(request, session=session, api_key=key).pk for _ in range(3)}
    assert len(tasks) == 1


def test_the_owner_sees_what_a_key_has_used(api: Api, manager: str) -> None:
    key, _ = make_key(daily_wei=10**30)
    ask(make_session(), key)
    used = api("GET", f"keys/{key.pk}", key=manager).json()["used_today"]
    assert (used["wei"], used["tokens"]) == (str(COST_WEI), TOKENS)


def test_only_so_many_tasks_are_open_at_once_of_a_key_and_of_an_account(
    limits: Callable[..., None],
) -> None:
    limits(account_open_tasks=3, key_open_tasks=2)
    session = make_session()
    key, _ = make_key()
    first = ask(session, key)
    ask(session, key)
    with pytest.raises(LimitReached, match="this key"):
        ask(session, key)
    other, _ = make_key()
    ask(make_session(), other)
    with pytest.raises(LimitReached, match="this account"):
        ask(session, other)
    task_states.mark_failed(first, "gone", "")
    ask(session, key)


def test_concurrent_tasks_of_an_account_stay_within_its_limit(limits: Callable[..., None]) -> None:
    limits(account_open_tasks=3)
    sessions = iter([make_session() for _ in range(5)])
    lock = threading.Lock()

    def work() -> None:
        with lock:
            session = next(sessions)
        ask(session, make_key()[0])

    assert at_once(5, work) == ["LimitReached"] * 2 + ["taken"] * 3


def test_intake_itself_refuses_a_key_that_does_not_submit() -> None:
    with pytest.raises(ScopeMissing):
        ask(make_session(), make_key(scopes=["read"])[0])
