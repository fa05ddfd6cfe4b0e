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
from mining.progress.oracle import Oracle
from mining.progress.router_lag import (
    HELD_AT_MOST,
    NOTHING,
    REPORT_AGAIN_S,
    Heard,
    is_held,
    read_heard,
)
from sessions.models import OnChainStatus, Task
from tests.cortensor_site.test_metrics import nobodys_redis
from tests.mining.conftest import later, make_miner, make_session, make_task, mirror

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
BEGUN, LONG_AGO = NOON - timedelta(seconds=60), NOON - timedelta(days=1)
TAKES = [Step.REPLACE, Step.DRAW, Step.END_PRECOMMIT, Step.END_COMMIT, Step.END_TASK]


@pytest.mark.parametrize("step", [*TAKES, Step.SWITCH_SOURCE])
def test_what_takes_from_a_miner_waits_until_all_was_heard(step: Step) -> None:
    action, second = Action(NOON, step), timedelta(seconds=1)
    assert is_held(action, BEGUN, Heard(NOON - second, LONG_AGO), NOON)
    assert not is_held(action, BEGUN, Heard(NOON, LONG_AGO), NOON)
    assert is_held(action, BEGUN, NOTHING, NOON + HELD_AT_MOST - second)
    assert not is_held(action, BEGUN, NOTHING, NOON + HELD_AT_MOST), "a task must end"


@pytest.mark.parametrize("step", [Step.ASK_REVEAL, Step.VALIDATE, Step.FOLLOW, Step.GIVE_UP])
def test_what_gives_does_not_wait(step: Step) -> None:
    assert not is_held(Action(NOON, step), BEGUN, NOTHING, NOON)


def test_miners_have_time_to_repeat_what_redis_lost_of_tasks_from_before_its_start() -> None:
    action, again = Action(NOON, Step.REPLACE), timedelta(seconds=REPORT_AGAIN_S)
    anew = Heard(NOON, BEGUN + timedelta(seconds=10))
    assert is_held(action, BEGUN, anew, NOON)
    assert not is_held(action, BEGUN, anew, anew.redis_since + again)
    later_task = anew.redis_since + timedelta(seconds=1)
    assert not is_held(action, later_task, anew, NOON), "nothing of it was lost"


def test_all_was_heard_up_to_where_the_slower_of_both_is(router_redis: "redis.Redis") -> None:
    assert read_heard().until == NOTHING.until
    now = time.time()
    router_redis.set(f"health:{CHAIN}", repr(now))
    assert read_heard().until == NOTHING.until
    router_redis.set(f"health:{REPORTS}", repr(now - 7))
    assert read_heard().until == datetime.fromtimestamp(now - 7, UTC)
    assert NOTHING.redis_since < read_heard().redis_since < timezone.now()


def test_without_redis_nothing_was_heard(settings: Settings) -> None:
    settings.REDIS_URL = nobodys_redis()
    assert read_heard() == NOTHING


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
    heard = Heard(later(100), LONG_AGO)
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
