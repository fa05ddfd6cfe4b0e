"""The loops of long-running processes, as their commands run them."""

import threading
import time

import pytest
import redis
from django.db import OperationalError, connection, transaction

from chain.postgres.wakeup import notify
from mining.assignment import dispatch
from mining.enrolment.redis_users import enrol
from mining.loop import keep_doing
from mining.models import MinerPresence
from mining.node.protocol.reports import write_report
from mining.progress import oracle
from mining.reports import collector
from sessions.models import Task, TaskStatus
from sessions.stages.task_states import mark_ended
from tests.mining.conftest import heartbeat, make_account, make_miner, make_session, make_task

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("router_redis")]


@pytest.fixture
def running():
    """Start loops in threads; they are stopped in the end, and stop at once."""
    stop, threads, beats = threading.Event(), [], []

    def start(loop):
        def work():
            loop(stop, lambda: beats.append(1))
            connection.close()

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        wait_until(lambda: beats)

    yield start
    stop.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def wait_until(true, timeout_s=5.0):
    until = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


def test_a_queued_task_wakes_the_dispatcher(running, monkeypatch):
    monkeypatch.setattr(dispatch, "LOOK_EVERY_S", 6.0)
    make_miner()
    running(dispatch.run)
    time.sleep(0.3)  # it waits by now
    with transaction.atomic():
        task = make_task(make_session(redundancy=1))
        notify("task_queued")
    wait_until(lambda: Task.objects.get(pk=task.pk).status == TaskStatus.ASSIGNED)


def test_the_oracle_wakes_for_a_deadline(running):
    task = make_task(timeout_s=1)
    running(oracle.run)
    wait_until(lambda: Task.objects.get(pk=task.pk).status == TaskStatus.FAILED)


def test_the_collector_reads_a_report_as_it_comes(running):
    account = make_account()
    address = account.address
    with redis.Redis.from_url(enrol(address)) as client:
        running(collector.run)
        client.xadd(collector.reports_key(address), write_report(heartbeat(account)))
        wait_until(lambda: MinerPresence.objects.filter(pk=address.lower(), slots=4).exists())


def test_a_loop_outlives_a_server_that_is_away_and_nothing_else(monkeypatch):
    monkeypatch.setattr("mining.loop.PAUSE_S", 0.01)
    stop, calls = threading.Event(), []

    def step():
        calls.append(1)
        if len(calls) == 1:
            raise OperationalError("the server closed the connection")
        if len(calls) == 2:
            raise redis.ConnectionError("refused")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        keep_doing(step, stop, lambda: None)
    assert len(calls) == 3


def test_what_is_slow_or_fails_beside_a_loop_keeps_nothing_waiting(monkeypatch, running):
    release, calls = threading.Event(), []

    def hang(now):
        calls.append("webhooks")
        release.wait(20)

    def fail(now):
        calls.append("payments")
        raise ZeroDivisionError

    monkeypatch.setattr(oracle, "BESIDE_EVERY_S", 0.01)
    monkeypatch.setattr(oracle, "_BESIDE", {"webhooks": hang, "payments": fail})
    task = make_task(timeout_s=1)
    running(oracle.run)
    wait_until(lambda: Task.objects.get(pk=task.pk).status == TaskStatus.FAILED)
    wait_until(lambda: calls.count("payments") > 1)
    assert calls.count("webhooks") == 1
    release.set()


def test_a_change_wakes_the_oracle(running):
    running(oracle.run)
    make_miner()
    task = make_task(make_session(redundancy=1))
    assert dispatch.dispatch_all() == 1
    wait_until(lambda: Task.objects.get(pk=task.pk).status == TaskStatus.ASSIGNED)
    mark_ended(task, "refunded")
    wait_until(lambda: task.assignments.get().failure_code == "task_over", oracle.LOOK_EVERY_S / 2)
