"""The fields of tasks, miners and sessions that clients of the deployed network read."""

from typing import cast

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from sessions.models import Session, SessionNode, SessionRouter, Task, TaskStatus
from sessions.ports import MinerRecord, TaskRecords
from sessions.stages import task_states
from tests.sessions.factories import make_key, make_session, make_task
from tests.sessions.ports import MODEL, replace_ports
from tests.sessions.rest import MINER, OTHER_MINER, Api, api

__all__ = ["api"]

pytestmark = pytest.mark.django_db

LATE_MINER = "0x" + "f6" * 20


def records(task: Task) -> TaskRecords:
    def record(address: str, status: str, text: str | None) -> MinerRecord:
        known = {"address": address, "status": status, "text": text}
        return cast(MinerRecord, dict.fromkeys(MinerRecord.__annotations__) | known)

    return TaskRecords(
        [
            record(MINER, "committed", "four"),
            record(OTHER_MINER, "acked", None),
            record(LATE_MINER, "replaced", None),
        ]
    )


@pytest.fixture
def v2(client: Client) -> Api:
    _, secret = make_key()
    return lambda path: client.get(f"/api/v2/{path}", headers={"Authorization": f"Bearer {secret}"})


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_task_has_its_miners_and_results_in_the_published_form(
    api: Api, v2: Api, version: str
) -> None:
    replace_ports(task_records=records)
    task = make_task(make_session())
    path = f"tasks/{task.session_id}/{task.task_id}"
    shown = (api("GET", path) if version == "v1" else v2(path)).json()
    assert shown["assigned_miners"] == [MINER, OTHER_MINER]
    assert shown["results"] == {"miners": [MINER], "data": ["four"]}
    assert shown["finished_at"] is None
    task_states.mark_failed(task, "gone", "no miner is left")
    assert api("GET", path).json()["finished_at"]


@pytest.mark.parametrize(
    ("status", "number"),
    [
        ("queued", 0),
        ("assigned", 1),
        ("acked", 2),
        ("precommitted", 3),
        ("committed", 4),
        ("validated", 4),
        ("ended", 5),
        ("failed", 5),
    ],
)
def test_the_second_version_says_a_stage_by_the_contracts_number(
    api: Api, v2: Api, status: str, number: int
) -> None:
    task = make_task(make_session(), status=status)
    path = f"tasks/{task.session_id}/{task.task_id}"
    shown = v2(path).json()
    assert (shown["status"], shown["status_name"], shown["id"]) == (number, status, task.task_id)
    assert shown["ended"] is (number == 5)
    [listed] = v2(f"tasks/{task.session_id}").json()["tasks"]
    assert (listed["status"], listed["status_name"]) == (number, status)
    # The first one keeps its words.
    assert api("GET", path).json()["status"] == status


def test_every_stage_has_a_number() -> None:
    from sessions.faces.rest.representations import STATUS_NUMBERS

    assert set(STATUS_NUMBERS) == set(TaskStatus)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_miners_are_nodes_with_statistics(api: Api, v2: Api, version: str) -> None:
    shown = (api("GET", "miners") if version == "v1" else v2("miners")).json()
    assert shown["nodes"] == shown["miners"]
    [miner] = shown["nodes"]
    assert (miner["address"], miner["active"]) == (MINER, True)
    assert shown["stats"] == {"total": 1, "active": 1, "slots": 4, "in_flight": 1}
    filtered = api("GET", "miners?online=false").json()
    assert (filtered["nodes"], filtered["count"], filtered["stats"]["total"]) == ([], 0, 1)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_sessions_are_counted_and_have_an_id(api: Api, v2: Api, version: str) -> None:
    numbers = [make_session().session_id for _ in range(3)]

    def get(path: str) -> dict[str, list[dict[str, int]]]:
        answer = api("GET", path) if version == "v1" else v2(path)
        return cast("dict[str, list[dict[str, int]]]", answer.json())

    shown = get("sessions")
    assert (shown["count"], [row["id"] for row in shown["sessions"]]) == (3, numbers[::-1])
    page = get("sessions?limit=1")
    assert (page["count"], len(page["sessions"])) == (3, 1)
    assert get(f"sessions/{numbers[0]}")["id"] == numbers[0]


def test_more_sessions_take_no_more_queries(api: Api, settings: Settings) -> None:
    settings.CONFIRMATIONS = 3  # so that there is something to be asked of each

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert api("GET", "sessions").status_code == 200
        return len(captured)

    make_session()
    queries()
    one = queries()
    for _ in range(8):
        session = make_session()
        SessionNode.objects.create(node_id=f"0x{session.pk}", session_id=session.pk, address=MINER)
        SessionRouter.objects.create(session_id=session.pk, address=MINER, index=1)
    assert queries() == one
    [first, *_] = api("GET", "sessions").json()["sessions"]
    assert [router["index"] for router in first["routers"]] == [0, 1]
    assert len(first["dedicated_nodes"]) == 1
    assert Session.objects.first().model_identifier == MODEL  # type: ignore[union-attr]
