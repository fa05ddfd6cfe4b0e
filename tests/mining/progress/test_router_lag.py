"""No miner is penalised before the router has read all of its reports."""

import time
from datetime import UTC, datetime, timedelta

import pytest
import redis
from django.utils import timezone
from pytest_django.fixtures import Settings

from chain.models import Operation
from chain.postgres.liveness import CHAIN, REPORTS
from mining.assignment.dispatch import dispatch_all
from mining.deadlines import Action, Step
from mining.models import AssignmentStatus
from mining.progress import router_lag
from mining.progress.oracle import Oracle
from mining.progress.router_lag import HELD_AT_MOST, NOTHING, heard_until, is_held
from sessions.models import OnChainStatus, Task
from tests.cortensor_site.test_metrics import nobodys_redis
from tests.mining.conftest import later, make_miner, make_session, make_task, mirror

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
TAKES = [Step.REPLACE, Step.DRAW, Step.END_PRECOMMIT, Step.END_COMMIT, Step.END_TASK]


@pytest.mark.parametrize("step", [*TAKES, Step.SWITCH_SOURCE])
def test_what_takes_from_a_miner_waits_until_all_was_heard(step: Step) -> None:
    action, second = Action(NOON, step), timedelta(seconds=1)
    assert is_held(action, NOON - second, NOON)
    assert not is_held(action, NOON, NOON)
    assert is_held(action, NOTHING, NOON + HELD_AT_MOST - second)
    assert not is_held(action, NOTHING, NOON + HELD_AT_MOST), "a task must end"


@pytest.mark.parametrize("step", [Step.ASK_REVEAL, Step.VALIDATE, Step.FOLLOW, Step.GIVE_UP])
def test_what_gives_does_not_wait(step: Step) -> None:
    assert not is_held(Action(NOON, step), NOTHING, NOON)


@pytest.fixture
def told(router_redis: "redis.Redis", monkeypatch: pytest.MonkeyPatch) -> "redis.Redis":
    monkeypatch.setattr(router_lag, "REPORT_AGAIN_S", 0.0)
    return router_redis


def test_all_was_heard_up_to_where_the_slower_of_both_is(told: "redis.Redis") -> None:
    assert heard_until() == NOTHING
    now = time.time()
    told.set(f"health:{CHAIN}", repr(now))
    assert heard_until() == NOTHING
    told.set(f"health:{REPORTS}", repr(now - 7))
    assert heard_until() == datetime.fromtimestamp(now - 7, UTC)


def test_redis_that_has_begun_anew_has_forgotten_what_was_reported(
    told: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (CHAIN, REPORTS):
        told.set(f"health:{name}", repr(time.time()))
    assert heard_until() != NOTHING
    monkeypatch.setattr(router_lag, "REPORT_AGAIN_S", 1e9)
    assert heard_until() == NOTHING


def test_without_redis_nothing_was_heard(settings: Settings) -> None:
    settings.REDIS_URL = nobodys_redis()
    assert heard_until() == NOTHING


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("router_redis")
@pytest.mark.parametrize(
    ("has_answered", "forced"), [(True, set[str]()), (False, {"end_precommit"})]
)
def test_a_stage_ends_only_once_all_was_heard_and_the_miner_had_said_nothing(
    has_answered: bool, forced: set[str]
) -> None:
    make_miner()
    task = make_task(make_session(redundancy=1))
    dispatch_all()
    mirror(task, OnChainStatus.ASSIGNED, assigned_at=timezone.now())
    heard = NOTHING
    oracle = Oracle(lambda: heard)
    oracle.sweep(later(70))
    assert not kinds(task), "reports lie unread"
    heard = later(100)
    if has_answered:
        task.assignments.update(status=AssignmentStatus.PRECOMMITTED, precommit_at=timezone.now())
        times = {"assigned_at": timezone.now(), "precommit_ended_at": later(75)}
        mirror(task, OnChainStatus.PRECOMMITTED, **times)
    oracle.sweep(later(80))
    assert kinds(task) == forced


def kinds(task: Task) -> set[str]:
    """What the oracle has written down for the sender that takes something from somebody."""
    forced = ("replace_miner", "replace_miner_by_draw", "end_precommit", "end_commit", "end_task")
    return set(Operation.objects.filter(kind__in=forced).values_list("kind", flat=True))
