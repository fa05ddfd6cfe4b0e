"""Queued tasks are dispatched to miners."""

import base64
import json
import threading

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chain import storage
from chain.models import Fault, Operation
from chain.protocol.digests import canonical_json
from mining.assignment import dispatch, leases
from mining.assignment.dispatch import dispatch_all, dispatch_some
from mining.models import Assignment, AssignmentStatus, NodeState
from mining.node.engine.grammar import LIBRARY
from mining.node.protocol.names import mailbox_prefix
from sessions.intake.options import BoundGrammar
from sessions.models import Task, TaskStatus
from tests.mining.conftest import MODEL, hire, make_miner, make_session, make_task

pytestmark = pytest.mark.django_db


def test_a_task_goes_to_as_many_miners_as_its_redundancy(
    router_redis, django_capture_on_commit_callbacks
):
    miners = {make_miner() for _ in range(4)}
    task = make_task()
    with django_capture_on_commit_callbacks(execute=True):
        assert dispatch_all() == 1
    task.refresh_from_db()
    assignments = list(task.assignments.order_by("position"))
    assert task.status == TaskStatus.ASSIGNED
    assert [a.position for a in assignments] == [0, 1, 2]
    assert {a.miner for a in assignments} < miners
    for assignment in assignments:
        assert router_redis.llen(mailbox_prefix(assignment.miner) + "inference") == 1
        assert assignment.ack_deadline_at < assignment.lease_deadline_at
    (operation,) = Operation.objects.filter(kind="assign_task")
    assert str(task.task_id) in operation.key
    (source,) = [
        entry
        for _, entry in router_redis.xrange(f"task:{task.session_id}:{task.task_id}")
        if entry["type"] == "source"
    ]
    assert source["key"] == assignments[0].stream_key


@pytest.mark.parametrize(
    "unfit",
    [
        {"seen_ago_s": 11},
        {"model_identifiers": [2]},
        {"slots": 0},
        {"draining": True},
        {"canonical": False},
        {"state": NodeState.ACTIVE},
        {"state": NodeState.REGISTERED},
        {"state": NodeState.DEDICATED},
    ],
    ids=str,
)
def test_a_task_waits_for_miners_that_are_fit_for_it(unfit):
    make_miner()
    make_miner()
    make_miner(**unfit)
    task = make_task(temperature_x100=70)
    assert dispatch_all() == 0
    task.refresh_from_db()
    assert task.status == TaskStatus.QUEUED
    make_miner()
    assert dispatch_all() == 1


def test_a_task_with_a_grammar_goes_to_a_node_that_has_its_version():
    bound = BoundGrammar('start: "a"', version="1.9.1")
    task = make_task(make_session(redundancy=1), grammar_reader=bound.reader)
    others = ("", "cortensor-node/2.0.0 llguidance/1.9.10", "llguidance/1.9 1.9.1")
    for software in others:
        make_miner(software=software)
    assert dispatch_all() == 0
    able = make_miner(software=f"cortensor-node/2.0.0 {LIBRARY}/1.9.1")
    assert dispatch_all() == 1
    assert task.assignments.get().miner == able


def test_where_nothing_is_drawn_any_server_may_answer():
    make_miner(canonical=False)
    task = make_task(make_session(redundancy=1), temperature_x100=0)
    assert dispatch_all() == 1
    assert task.assignments.count() == 1


def test_a_dedicated_session_is_served_by_its_own_nodes_and_by_nobody_else():
    session, other = make_session(mode=1, redundancy=2), make_session(mode=1, redundancy=1)
    kept, shared = make_miner(state=NodeState.DEDICATED), make_miner()
    make_miner(reputation=1000)
    hire(other, make_miner(reputation=1000))
    hire(session, kept)
    task = make_task(session)
    assert dispatch_all() == 0
    hire(session, shared)
    assert dispatch_all() == 1
    assert set(task.assignments.values_list("miner", flat=True)) == {kept, shared}


def test_a_hybrid_session_is_served_by_its_own_nodes_first():
    session = make_session(mode=2, redundancy=2)
    own, shared = make_miner(state=NodeState.DEDICATED), make_miner(reputation=1000)
    make_miner(state=NodeState.DEDICATED, reputation=1000)
    hire(session, own)
    task = make_task(session)
    assert dispatch_all() == 1
    places = task.assignments.order_by("position").values_list("miner", flat=True)
    assert list(places) == [own, shared]


def test_a_released_node_is_its_sessions_own_no_longer():
    session = make_session(mode=1, redundancy=1)
    hire(session, make_miner()).delete()
    hire(session, make_miner(), released=True)
    make_task(session)
    assert dispatch_all() == 0


def test_a_hired_node_that_is_shared_serves_everybody():
    hire(make_session(mode=1), make_miner())
    make_task(make_session(redundancy=1))
    assert dispatch_all() == 1


def test_a_miner_gets_no_more_tasks_than_it_has_slots():
    make_miner(slots=2)
    tasks = [make_task(make_session(redundancy=1)) for _ in range(3)]
    assert dispatch_all() == 2
    busy = dispatch_some(MODEL, (), timezone.now())
    assert busy.is_last
    assert not busy.given
    tasks[0].assignments.update(status=AssignmentStatus.PRECOMMITTED)
    assert dispatch_all() == 1


def test_a_sessions_tasks_are_served_in_their_order():
    make_miner(slots=1)
    session = make_session(redundancy=1)
    tasks = [make_task(session) for _ in range(3)]
    for task in tasks:
        assert dispatch_all() == 1
        assert Assignment.objects.working().get().task == task
        Assignment.objects.update(status=AssignmentStatus.JUDGED)


def test_a_task_that_no_free_slot_would_help_keeps_only_its_own_session_waiting():
    make_miner()
    hopeless = make_session(redundancy=16)
    waiting = [make_task(hopeless), make_task(hopeless)]
    other = make_task(make_session(redundancy=1))
    assert dispatch_all() == 1
    assert other.assignments.count() == 1
    assert all(task.assignments.count() == 0 for task in waiting)


def test_the_cost_of_a_dispatch_depends_neither_on_the_queue_nor_on_the_miners():
    for _ in range(3):
        make_miner(slots=1)
    session = make_session()
    make_task(session)
    make_task(session)
    with CaptureQueriesContext(
        connection,
    ) as few:
        assert len(dispatch_some(MODEL, (), timezone.now()).given) == 1
    Assignment.objects.update(status=AssignmentStatus.JUDGED)
    for _ in range(20):
        make_miner(slots=0)
        make_task(session)
    with CaptureQueriesContext(connection) as many:
        assert len(dispatch_some(MODEL, (), timezone.now()).given) == 1
    assert len(many) == len(few)


def test_what_is_given_out_together_shares_the_looking():
    make_miner(slots=10)
    session = make_session(redundancy=1)
    make_task(session)
    with CaptureQueriesContext(connection) as one:
        dispatch_some(MODEL, (), timezone.now())
    tasks = [make_task(session) for _ in range(5)]
    with CaptureQueriesContext(connection) as five:
        assert dispatch_some(MODEL, (), timezone.now()).given == tasks
    each = 3  # the lease, the task's stage, the operation on chain
    assert len(five) == len(one) + 4 * each


def test_a_long_queue_is_given_out_to_its_end():
    make_miner(slots=40)
    session = make_session(redundancy=1)
    for _ in range(40):
        make_task(session)
    assert dispatch_all() == 40


@pytest.mark.parametrize(("asked", "sent"), [({"seed": -2}, "0xfffffffffffffffe"), ({}, "0x")])
def test_a_job_has_the_seed_that_its_client_chose(
    router_redis, django_capture_on_commit_callbacks, asked, sent
):
    miner = make_miner()
    cid = storage.put(canonical_json({"prompt": "hello", "stop": []} | asked))
    make_task(inline=False, prompt_cid=cid, task_data=storage.address(cid), redundancy=1)
    with django_capture_on_commit_callbacks(execute=True):
        assert dispatch_all() == 1
    message = json.loads(router_redis.lindex(mailbox_prefix(miner) + "inference", 0))
    _, given, _ = json.loads(base64.b64decode(message["body"]))
    assert given["job"]["seed"] == sent


@pytest.mark.django_db(transaction=True)
def test_many_dispatchers_at_once_give_no_task_and_no_slot_twice(router_redis):
    for _ in range(4):
        make_miner(slots=3)
    session = make_session(redundancy=1)
    for _ in range(20):
        make_task(session)
    start = threading.Barrier(4)

    def work():
        start.wait()
        dispatch_all()
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Assignment.objects.count() == 12
    assert Assignment.objects.values("task").distinct().count() == 12
    started = Task.objects.exclude(status=TaskStatus.QUEUED).order_by("id")
    assert list(started) == list(Task.objects.order_by("id")[:12])
    for miner in Assignment.objects.values_list("miner", flat=True).distinct():
        assert Assignment.objects.filter(miner=miner).count() == 3


def test_one_poisoned_task_does_not_stop_the_queue(monkeypatch):
    make_miner(slots=8)
    poisoned, behind, other = (make_task(make_session(redundancy=1)) for _ in range(3))
    assign = dispatch._assign

    def poison(task, chosen, now):
        assign(task, chosen, now)
        if task.pk == poisoned.pk:
            raise ZeroDivisionError

    monkeypatch.setattr(dispatch, "_assign", poison)
    assert dispatch_all() == 2
    for task in (poisoned, behind, other):
        task.refresh_from_db()
    assert (poisoned.status, behind.status, other.status) == ("queued", "assigned", "assigned")
    assert not poisoned.assignments.exists(), "nothing of it stays"
    assert Fault.objects.get().process == "dispatch"
    monkeypatch.undo()
    dispatch._isolation._failed.clear()
    assert dispatch_all() == 1


def test_a_model_whose_queue_cannot_be_read_does_not_stop_another(monkeypatch, settings):
    settings.MODELS = {7: "x", MODEL: "y"}
    make_miner()
    make_task(make_session(redundancy=1, model_identifier=7), model_identifier=7)
    make_task(make_session(redundancy=1))
    some = dispatch.dispatch_some

    def fail(model, *rest):
        if model == 7:
            raise ZeroDivisionError
        return some(model, *rest)

    monkeypatch.setattr(dispatch, "dispatch_some", fail)
    assert dispatch_all() == 1
    dispatch._isolation._failed.clear()


def test_one_miner_whose_job_cannot_be_made_costs_the_others_nothing(
    router_redis, django_capture_on_commit_callbacks, monkeypatch
):
    make_miner()
    make_miner()
    task = make_task(make_session(redundancy=2))
    job, unlucky = leases._job, []

    def fail(task, assignment, *rest):
        if not unlucky:
            unlucky.append(assignment.miner)
            raise ZeroDivisionError
        return job(task, assignment, *rest)

    monkeypatch.setattr(leases, "_job", fail)
    with django_capture_on_commit_callbacks(execute=True):
        assert dispatch_all() == 1
    sent = {
        part.miner: router_redis.llen(mailbox_prefix(part.miner) + "inference")
        for part in task.assignments.all()
    }
    assert sent.pop(unlucky[0]) == 0
    assert list(sent.values()) == [1]
