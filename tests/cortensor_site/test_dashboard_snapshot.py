"""The dashboard's snapshot: its contents, what it does not reveal, and its cost."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from chain.mirror import projections
from chain.models import Block
from cortensor_site.dashboard import snapshot
from mining.models import Assignment, AssignmentStatus, MinerPresence, MinerResult, Node, NodeState
from sessions.models import OnChainStatus, OnChainTask, Session, Task, TaskOrigin, TaskStatus
from tests.mining.network.test_projections import a_round

COR = 10**18
MINERS = [f"0x{n:040x}" for n in (0xA1, 0xB2, 0xC3)]
SECRET_PROMPT = "the prompt that nobody else may see"
SECRET_RESULT = "the answer that nobody else may see"
QUERIES = 15

pytestmark = pytest.mark.django_db


@pytest.fixture
def read(client: Client) -> Callable[..., dict[str, Any]]:
    def get(**query: int) -> dict[str, Any]:
        answer = client.get("/dashboard/snapshot.json", query)
        assert answer.status_code == 200
        return dict(answer.json())

    return get


def make_session(session_id: int = 1, **changes: Any) -> Session:
    return Session.objects.create(
        session_id=session_id, sid=f"0x{session_id:064x}", owner=MINERS[0], **changes
    )


def make_task(task_id: int, session_id: int = 1, **changes: Any) -> Task:
    values = {
        "session_id": session_id,
        "task_id": task_id,
        "task_digest": f"0x{task_id:064x}",
        "origin": TaskOrigin.REST,
        "task_data": SECRET_PROMPT,
        "inline": True,
        "max_tokens": 64,
        "max_input_tokens": 12,
        "model_identifier": 1,
    }
    return Task.objects.create(**(values | changes))


def make_settled_task(task_id: int, session_id: int = 1) -> Task:
    now = timezone.now()
    task = make_task(
        task_id,
        session_id,
        status=TaskStatus.ENDED,
        outcome_code="settled",
        ended_at=now,
        outcome_message=SECRET_RESULT,
    )
    OnChainTask.objects.create(
        session_id=session_id,
        task_id=task_id,
        status=OnChainStatus.ENDED,
        reserved_wei=3 * COR,
        paid_wei=COR + 1,
        refunded_wei=2 * COR - 1,
        end_tx="0x" + "5e" * 32,
        ended_at=now,
    )
    for position, miner in enumerate(MINERS):
        Assignment.objects.create(
            task=task,
            miner=miner,
            position=position,
            status=AssignmentStatus.JUDGED,
            ack_deadline_at=now,
            lease_deadline_at=now,
            commit_data=SECRET_RESULT,
            accuracy_bps=10_000,
            output_tokens=7,
            failure_message=SECRET_PROMPT,
        )
        MinerResult.objects.create(
            session_id=session_id, task_id=task_id, miner=miner, paid_wei=position * 10**30
        )
    return task


def test_an_empty_network_has_an_empty_snapshot(read: Callable[..., dict[str, Any]]) -> None:
    zero = dict.fromkeys(["deposited", "balances", "reserved", "owed", "withdrawn"], "0")
    assert read() == {
        "latest_block": None,
        "totals": zero,
        "miners": [],
        "sessions": [],
        "tasks": [],
        "network_tasks": [],
        "network_paid_wei": "0",
    }


def test_the_totals_add_up_to_the_wei(read: Callable[..., dict[str, Any]]) -> None:
    make_session(deposited_wei=10**40 + 7, withdrawn_wei=3, reserved_wei=2 * COR, paid_wei=COR + 5)
    make_session(2, deposited_wei=COR)
    Node.objects.create(address=MINERS[0], earned_wei=COR, withdrawn_wei=COR // 3)
    Node.objects.create(address=MINERS[1], earned_wei=5)
    totals = {name: int(wei) for name, wei in read()["totals"].items()}
    assert totals["deposited"] == 10**40 + 7 + COR
    assert totals["reserved"] == 2 * COR
    assert totals["owed"] == COR - COR // 3 + 5
    assert totals["withdrawn"] == 3 + COR // 3
    assert totals["deposited"] == sum(wei for name, wei in totals.items() if name != "deposited")


def test_a_settled_task_shows_its_stages_its_miners_and_its_money(
    read: Callable[..., dict[str, Any]],
) -> None:
    task = make_settled_task(1_000_000)
    [shown] = read()["tasks"]
    assert (shown["session_id"], shown["task_id"]) == (1, 1_000_000)
    assert (shown["status"], shown["outcome_code"]) == ("ended", "settled")
    assert list(shown["stages"]) == [
        "queued",
        "assigned",
        "acked",
        "precommitted",
        "committed",
        "validated",
        "ended",
    ]
    assert shown["stages"]["queued"].startswith(task.created_at.date().isoformat())
    assert shown["stages"]["assigned"] is None
    assert [part["miner"] for part in shown["miners"]] == MINERS
    assert [part["paid_wei"] for part in shown["miners"]] == ["0", str(10**30), str(2 * 10**30)]
    assert {part["status"] for part in shown["miners"]} == {"judged"}
    assert shown["settlement"]["paid_wei"] == str(COR + 1)
    assert shown["settlement"]["tx"] == "0x" + "5e" * 32


def test_prompts_results_and_what_miners_say_stay_private(client: Client) -> None:
    make_settled_task(1_000_000)
    text = client.get("/dashboard/snapshot.json").content.decode()
    assert "1000000" in text
    assert SECRET_PROMPT not in text
    assert SECRET_RESULT not in text


def test_a_task_that_the_chain_does_not_show_yet_has_no_settlement(
    read: Callable[..., dict[str, Any]],
) -> None:
    make_task(1_000_000)
    [shown] = read()["tasks"]
    assert shown["settlement"] is None
    assert shown["miners"] == []


def test_miners_join_the_chain_s_word_and_their_own(read: Callable[..., dict[str, Any]]) -> None:
    now = timezone.now()
    Node.objects.create(address=MINERS[0], state=NodeState.EPHEMERAL, reputation=5, earned_wei=7)
    Node.objects.create(address=MINERS[1], state=NodeState.REGISTERED, reputation=9)
    MinerPresence.objects.create(
        address=MINERS[0], last_seen_at=now, slots=4, in_flight=1, tokens_per_s=41.5
    )
    MinerPresence.objects.create(address=MINERS[2], last_seen_at=now - timedelta(minutes=5))
    first, second, third = read()["miners"]
    assert (first["address"], first["online"], first["state"]) == (MINERS[0], True, "ephemeral")
    assert (first["owed_wei"], first["tokens_per_s"], first["slots"]) == ("7", 41.5, 4)
    assert (second["address"], second["online"], second["reputation"]) == (MINERS[1], False, 9)
    assert (third["address"], third["online"], third["state"]) == (MINERS[2], False, "unknown")


def test_the_newest_tasks_come_first_and_a_followed_one_stays(
    read: Callable[..., dict[str, Any]],
) -> None:
    for number in range(25):
        make_task(number)
    shown = read(session_id=1, task_id=2)["tasks"]
    assert [task["task_id"] for task in shown] == [*range(24, 4, -1), 2]
    assert [task["recent"] for task in shown] == [True] * 20 + [False]
    assert len(read(session_id=1, task_id=24)["tasks"]) == 20
    assert len(read(session_id=1, task_id=99)["tasks"]) == 20


@pytest.mark.parametrize("query", ["session_id=1", "task_id=1", "session_id=x&task_id=1"])
def test_half_a_task_is_refused(client: Client, query: str) -> None:
    answer = client.get(f"/dashboard/snapshot.json?{query}")
    assert answer.status_code == 400
    assert "session_id" in json.loads(answer.content)["detail"]


@pytest.mark.parametrize("rows", [1, 30])
def test_the_number_of_queries_does_not_grow_with_the_network(
    rows: int,
    read: Callable[..., dict[str, Any]],
    django_assert_max_num_queries: Callable[[int], Any],
) -> None:
    for number in range(rows):
        make_session(number + 1)
        make_settled_task(number, session_id=number % 3 + 1)
        Node.objects.create(address=f"0x{number:040x}")
        MinerPresence.objects.create(address=f"0x{number:040x}")
    with django_assert_max_num_queries(QUERIES):
        read(session_id=1, task_id=0)


@pytest.mark.django_db(transaction=True)
def test_the_snapshot_is_of_one_moment(
    read: Callable[..., dict[str, Any]], django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    with django_assert_max_num_queries(QUERIES) as captured:
        read()
    first = next(query["sql"] for query in captured.captured_queries if "SET" in query["sql"])
    assert first == "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"


def test_the_latest_block_is_shown(read: Callable[..., dict[str, Any]]) -> None:
    for number in (7, 8):
        Block.objects.create(
            number=number,
            hash=f"0x{number:064x}",
            parent_hash=f"0x{number - 1:064x}",
            timestamp=timezone.now(),
        )
    assert read()["latest_block"]["number"] == 8


def test_what_idle_miners_do_is_shown_without_their_words(
    read: Callable[..., dict[str, Any]],
) -> None:
    projections.apply(a_round())
    shown = read()
    [task] = shown["network_tasks"]
    assert (task["number"], task["state"]) == (1, "ended")
    assert (task["completers"], task["accepted"]) == (2, 1)
    assert shown["network_paid_wei"] == str(10**19)


def test_of_very_many_miners_those_heard_of_last_are_shown_whole(
    read: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "MAX_MINERS", 3)
    now = timezone.now()
    for number in range(1, 7):
        # In one table the late addresses come first, in the other the early ones.
        address = f"0x{number:040x}"
        Node.objects.create(
            address=address, state=NodeState.EPHEMERAL, reputation=number, registered_at=now
        )
        if number >= 5:
            MinerPresence.objects.create(address=address, last_seen_at=now, slots=number)
    shown = {row["address"]: row for row in read()["miners"]}
    assert len(shown) == 3
    for number in (5, 6):
        row = shown[f"0x{number:040x}"]
        assert (row["reputation"], row["slots"], row["state"]) == (number, number, "ephemeral")
