"""A new task is assigned at once if miners are free, and waits for the dispatcher if not."""

from collections.abc import Callable, Sequence

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chain import storage
from chain.models import Operation
from chain.operations import Op
from sessions.intake import acceptance
from sessions.intake.task_numbers import LANE_SIZE
from sessions.models import Session, Task, TaskStatus
from tests.sessions import ports
from tests.sessions.factories import make_request, make_session
from tests.sessions.ports import MINER, no_free_miners, one_free_miner, replace_ports

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("free", "status", "woken"),
    [(no_free_miners, TaskStatus.QUEUED, 1), (one_free_miner, TaskStatus.ASSIGNED, 0)],
)
def test_the_dispatcher_is_woken_for_a_task_that_nobody_took_at_once(
    free: Callable[..., list[str]], status: TaskStatus, woken: int
) -> None:
    replace_ports(free_miners=free)
    with CaptureQueriesContext(connection) as queries:
        task = acceptance.accept(make_request(), session=make_session(), api_key=None)
    assert sum("'task_queued'" in query["sql"] for query in queries) == woken
    task.refresh_from_db()
    assert (task.status, task.assigned_at is None) == (status, status == TaskStatus.QUEUED)


def test_whoever_assigns_a_task_is_handed_its_row_and_the_block_that_it_names() -> None:
    def assign(task: Task, miners: Sequence[str], content: bytes) -> Op:
        written = Task.objects.get(pk=task.pk)
        assert (written.status, miners) == (TaskStatus.ASSIGNED, [MINER])
        assert content == storage.get(written.prompt_cid)
        return ports.assign(task, miners, content)

    replace_ports(free_miners=one_free_miner, assign=assign)
    acceptance.accept(make_request(), session=make_session(), api_key=None)
    kinds = Operation.objects.order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["submit_task", "assign_task"]


def refuse_to_look(task: Task, session: Session) -> list[str]:
    raise AssertionError("the slots are locked from here to the end of the transaction")


def test_several_tasks_and_what_is_done_with_them_keep_nobody_from_the_slots() -> None:
    replace_ports(free_miners=refuse_to_look)
    session, done = make_session(), list[Task]()
    taken = acceptance.accept_all([make_request()] * 3, session=session, api_key=None)
    assert [task.task_id for task in taken] == [LANE_SIZE, LANE_SIZE + 1, LANE_SIZE + 2]
    assert {task.status for task in taken} == {TaskStatus.QUEUED}
    task = acceptance.accept(make_request(), session=session, api_key=None, also=done.append)
    assert (done, task.status) == ([task], TaskStatus.QUEUED)
