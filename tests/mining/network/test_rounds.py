"""The `network_tasks` process: one instance leads, it sleeps without work, and it ends cleanly."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from chain.models import Fault, Operation
from chain.operations import OperationKind
from chain.postgres.leadership import Leadership
from mining.network import rounds
from tests.mining.conftest import make_miner
from tests.mining.network.conftest import short_chain
from tests.mining.network.test_asking import there

__all__ = ["short_chain"]

pytestmark = pytest.mark.django_db(transaction=True)


class Process:
    """Runs the process's loop in a thread."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.beats = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        self.stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            rounds.run(self.stop, self._beat)
        finally:
            connections.close_all()

    def _beat(self) -> None:
        self.beats += 1


def until(condition: Callable[[], Any], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def requests() -> int:
    return Operation.objects.filter(kind=OperationKind.REQUEST_NETWORK_TASK).count()


def three_idle_nodes() -> None:
    for _ in range(3):
        there(make_miner())


def test_it_asks_for_a_task_while_all_are_idle_and_only_once(
    short_chain: Any, settings: Any
) -> None:
    settings.NETWORK_TASK_EVERY_S = 30
    three_idle_nodes()
    process = Process()
    until(requests)
    time.sleep(1)
    process.end()
    assert requests() == 1
    assert process.beats > 0


def test_a_second_process_waits_for_the_lead(
    short_chain: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.NETWORK_TASK_EVERY_S = 30
    monkeypatch.setattr(rounds, "LOOK_EVERY_S", 0.2)
    three_idle_nodes()
    other = Leadership(rounds.LOCK)
    assert other.held()
    process = Process()
    until(lambda: process.beats > 3)
    assert requests() == 0
    other.release()
    until(requests)
    process.end()


def test_there_are_none_where_the_interval_is_zero(
    short_chain: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.NETWORK_TASK_EVERY_S = 0
    monkeypatch.setattr(rounds, "LOOK_EVERY_S", 0.05)
    three_idle_nodes()
    process = Process()
    until(lambda: process.beats > 3)
    process.end()
    assert requests() == 0


def test_a_chain_that_is_away_is_waited_for(
    short_chain: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.NETWORK_TASK_EVERY_S = 30
    settings.RPC_URLS = ["http://127.0.0.1:9"]
    monkeypatch.setattr(rounds, "LOOK_EVERY_S", 0.1)
    process = Process()
    until(lambda: process.beats > 3)
    process.end()


def test_one_kind_of_work_that_fails_stops_no_other(
    short_chain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    for name in ("ask_for_pings", "pay_out", "prune_gone"):
        monkeypatch.setattr(rounds, name, fail)
    three_idle_nodes()
    process = Process()
    try:
        until(lambda: requests() == 1)
    finally:
        process.end()
    failed = set(Fault.objects.values_list("item", flat=True))
    assert failed == {"pings", "payouts", "pruning"}
