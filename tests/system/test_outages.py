"""Outages of each part under load: no answer is lost, no money is stuck, no client is misled.

OUTAGES names the parts, or `all` (make soak-outages). OUTAGE_S is the length of each outage: the
part hangs for one half of it, and is dead for the other. PostgreSQL and the chain come back with
their stored data, Redis without any.
"""

import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.money import assert_every_unit_is_accounted_for
from tests.system.conftest import Client
from tests.system.outages import PARTS, Outages
from tests.system.steady_clients import Kind, Outcome, SteadyClients, Way

CHOSEN = os.environ.get("OUTAGES", "send,collect")
OUTAGE_S = float(os.environ.get("OUTAGE_S", "6"))
RECOVERED_S = 240.0
ENDED_S = 600.0
"""The oracle may wait for five minutes until it ends what nobody has answered."""
LOAD_S = 3.0
"""So long the clients ask before a part goes away, and after it is back."""


@pytest.fixture
def outages(client: Client) -> Iterator[Outages]:
    outages = Outages(client.network)
    yield outages
    outages.close()


@pytest.fixture
def clients(client: Client) -> Iterator[SteadyClients]:
    alone, compared = client.session(1), client.session(3)
    ours, openai = "/api/v1/completions", "/v1/chat/completions"
    ways = [
        Way(ours, alone, streams=False, is_compared=False),
        Way(openai, alone, streams=True, is_compared=False),
        Way(openai, compared, streams=False, is_compared=True),
        Way(ours, compared, streams=True, is_compared=True),
    ]
    clients = SteadyClients(client, ways)
    clients.start()
    yield clients
    clients.stop()


@pytest.mark.usefixtures("without_cheat")
def test_whatever_goes_away_no_answer_is_lost_and_everybody_is_told_the_truth(
    client: Client, clients: SteadyClients, outages: Outages
) -> None:
    parts = PARTS if CHOSEN == "all" else CHOSEN.split(",")
    recovered: dict[str, float] = {}
    for part in parts:
        time.sleep(LOAD_S)
        clients.part = part
        outages.of(part, OUTAGE_S)
        back = time.monotonic()
        _wait_until_ready(client)
        _wait_for_an_answer(clients)
        recovered[part] = time.monotonic() - back
        print(f"{part}: away for {OUTAGE_S:.0f} s, whole again after {recovered[part]:.1f} s")
        clients.part = "none"
    time.sleep(LOAD_S)
    clients.stop()

    tasks = _ended(client, clients)
    _print(clients.outcomes, tasks, recovered)
    wrong = [outcome for outcome in clients.outcomes if outcome.kind == Kind.WRONG]
    assert not wrong, wrong
    answered = {o.task for o in clients.outcomes if o.kind == Kind.ANSWERED}
    for number, task in tasks.items():
        given = any(part["precommit_at"] for part in task["miners"])
        paid = any(int(part["paid_wei"]) for part in task["miners"])
        assert not given or paid or number in answered, f"an answer is lost: {task}"
    for outcome in clients.outcomes:
        if outcome.detail.endswith("task_failed"):
            assert outcome.task is not None
            assert tasks[outcome.task]["outcome"]["code"] != "settled", outcome
    reserved = client.contracts.payment.functions.totalReserved().call()
    assert reserved == 0, f"{reserved} wei are stuck"
    assert_every_unit_is_accounted_for(client.contracts.payment, client.contracts.token)


def _wait_until_ready(client: Client) -> None:
    until = time.monotonic() + RECOVERED_S
    while True:
        told: dict[str, Any] = {}
        with suppress(httpx.HTTPError, ValueError):
            told = httpx.get(f"{client.network.router_url}/readyz", timeout=10).json()
        if told.get("status") == "ok":
            return
        assert time.monotonic() < until, told
        time.sleep(0.5)


def _wait_for_an_answer(clients: SteadyClients) -> None:
    """To a question that was asked from now on, by three miners and not streamed."""
    asked_at, until = time.monotonic(), time.monotonic() + RECOVERED_S
    [way] = [way for way in clients.ways if way.is_compared and not way.streams]
    seen = len(clients.outcomes)
    while not any(
        outcome.way == way and outcome.kind == Kind.ANSWERED and outcome.asked_at > asked_at
        for outcome in clients.outcomes[seen:]
    ):
        assert time.monotonic() < until, clients.outcomes[seen:]
        time.sleep(0.2)


def _ended(client: Client, clients: SteadyClients) -> dict[tuple[int, int], dict[str, Any]]:
    """All tasks of the clients' sessions, once the chain has ended each."""
    sessions = {way.session_id for way in clients.ways}
    until = time.monotonic() + ENDED_S
    while True:
        rows = [row for session_id in sessions for row in _tasks(client, session_id)]
        left = [row for row in rows if row["status"] not in ("ended", "failed")]
        if not left and client.contracts.payment.functions.totalReserved().call() == 0:
            break
        assert time.monotonic() < until, f"{len(left)} tasks hang: {left[:3]}"
        time.sleep(1)
    return {
        (row["session_id"], row["task_id"]): client.router.task(row["session_id"], row["task_id"])
        for row in rows
    }


def _tasks(client: Client, session_id: int) -> list[dict[str, Any]]:
    url = f"{client.network.router_url}/api/v1/tasks/{session_id}"
    headers = {"Authorization": f"Bearer {client.network.api_key}"}
    rows: list[dict[str, Any]] = []
    before: dict[str, int] = {}
    while True:
        answer = httpx.get(url, params={"limit": 100} | before, headers=headers, timeout=30)
        answer.raise_for_status()
        page = answer.json()
        rows += page["tasks"]
        if page["next"] is None:
            return rows
        before = {"before": page["next"]}


def _print(
    outcomes: list[Outcome],
    tasks: dict[tuple[int, int], dict[str, Any]],
    recovered: dict[str, float],
) -> None:
    heads = ("away", "asked", "answered", "unjudged", "refused", "told why", "refunded")
    print(
        "\n"
        + " | ".join(f"{head:>9}" for head in (*heads, "median s", "longest s", "whole after s"))
    )
    for part in ("none", *recovered):
        of_part = [outcome for outcome in outcomes if outcome.part == part]
        kinds = Counter(outcome.kind for outcome in of_part)
        told = {o.task for o in of_part if o.task is not None}
        refunded = [n for n in told if n in tasks and tasks[n]["outcome"]["code"] != "settled"]
        answered = [o for o in of_part if o.kind == Kind.ANSWERED]
        row = (
            part,
            len(of_part),
            len(answered),
            sum(o.way.is_compared and not o.way.streams and not o.is_judged for o in answered),
            kinds[Kind.REFUSED] + kinds[Kind.UNREACHED],
            kinds[Kind.TOLD],
            len(refunded),
            f"{statistics.median([o.seconds for o in answered] or [0]):.1f}",
            f"{max((o.seconds for o in of_part), default=0):.1f}",
            f"{recovered.get(part, 0):.1f}",
        )
        print(" | ".join(f"{value:>9}" for value in row))
    details = Counter(o.detail for o in outcomes if o.detail and o.kind != Kind.WRONG)
    print("told:", ", ".join(f"{detail} × {count}" for detail, count in details.most_common()))
