"""Intake's transaction assigns a new task if miners are free."""

import json
import threading
from dataclasses import replace

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from chain import storage
from chain.models import Operation
from chain.protocol.envelopes import encryption_key, public_key
from mining.assignment.candidates import lock_slots
from mining.assignment.dispatch import assign, dispatch_all, free_miners
from mining.models import NodeState
from mining.node.protocol.names import mailbox_prefix
from mining.node.worker.sealing import open_prompt
from sessions import ports
from sessions.intake import acceptance
from sessions.intake.options import GenerationOptions
from sessions.models import TaskStatus
from tests.mining.assignment.test_encryption import CLIENT, job_in, key_text
from tests.mining.conftest import hire, make_account, make_miner
from tests.sessions.factories import make_request, make_session
from tests.sessions.ports import FAKES

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def real_dispatcher(deployment, router_redis):
    """Connect intake with the real dispatcher. The other ports are those of sessions' tests."""
    ports.register(lambda: replace(FAKES, free_miners=free_miners, assign=assign))


def take(session, **values):
    return acceptance.accept(make_request(**values), session=session, api_key=None)


def test_a_new_task_is_given_to_a_free_miner_at_once(
    router_redis, django_capture_on_commit_callbacks
):
    miner = make_miner(slots=1)
    with django_capture_on_commit_callbacks(execute=True):
        task = take(make_session())
    task.refresh_from_db()
    lease = task.assignments.get()
    assert (task.status, lease.miner) == (TaskStatus.ASSIGNED, miner)
    assert task.assigned_at == lease.leased_at
    assert router_redis.llen(mailbox_prefix(miner) + "inference") == 1
    kinds = Operation.objects.order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["submit_task", "assign_task"]


def test_a_new_tasks_jobs_go_out_before_anybody_is_told(
    router_redis, django_capture_on_commit_callbacks
):
    make_miner()
    with django_capture_on_commit_callbacks(execute=True):
        task = take(make_session())
    told = router_redis.xrange(f"task:{task.session_id}:{task.task_id}")
    news = [entry.get("status", entry["type"]) for _, entry in told]
    assert news == ["source", "queued", "assigned"], "the source is named behind the jobs"


def test_a_new_task_is_written_once_and_both_its_operations_in_one_statement():
    make_miner()
    with CaptureQueriesContext(connection) as queries:
        take(make_session())
    tables = ("cortensor_sessions_task", "mining_assignment", "chain_operation")
    written = [
        (verb, table)
        for query in queries
        for verb in ("INSERT INTO", "UPDATE")
        for table in tables
        if f"{verb} {table} " in query["sql"].replace('"', "")
    ]
    assert written == [("INSERT INTO", table) for table in tables]


def cut_the_store_off(monkeypatch):
    """Let every read of the content store fail from now on."""

    def get(*_, **__):
        raise storage.StorageUnavailable("nobody reads the store here")

    monkeypatch.setattr(storage, "get", get)


def test_a_new_tasks_prompt_is_not_read_back_from_the_store(
    router_redis, django_capture_on_commit_callbacks, monkeypatch
):
    cut_the_store_off(monkeypatch)
    miner = make_miner()
    options = GenerationOptions(logit_bias={5: -100.0}, seed=7)
    with django_capture_on_commit_callbacks(execute=True):
        take(make_session(), prompt="one two", stop=("\n",), options=options)
    job, _ = job_in(router_redis, miner)
    assert (job.prompt, job.stop) == ("one two", ["\n"])
    assert (job.logit_bias, job.seed) == ({5: -100.0}, options.seed_bytes)


def test_a_new_encrypted_tasks_envelope_is_not_read_back_from_the_store(
    router_redis, django_capture_on_commit_callbacks, monkeypatch, settings
):
    settings.KEYSTORE_DIR.mkdir()
    settings.KEYSTORE_PASSWORD_FILE.write_text("secret")
    cut_the_store_off(monkeypatch)
    account = make_account()
    make_miner(account.address, encryption_key=key_text(account))
    wish = {"encryption": {"public_key": "0x" + public_key(CLIENT).hex()}}
    with django_capture_on_commit_callbacks(execute=True):
        take(make_session(metadata=json.dumps(wish)), prompt="a secret", stop=("\n",))
    job, message = job_in(router_redis, account.address.lower())
    assert "a secret" not in message
    assert open_prompt(job, encryption_key(bytes(account.key))) == ("a secret", ["\n"])


def test_a_new_task_that_finds_no_slot_waits_in_line():
    session, _ = make_session(), make_miner(slots=1)
    assert take(session).status == TaskStatus.ASSIGNED
    late = take(session)
    assert (late.status, late.assigned_at) == (TaskStatus.QUEUED, None), "the only slot is taken"
    assert not late.assignments.exists()


def test_a_new_task_goes_before_nobody_who_waits():
    waiting = take(make_session())
    make_miner()
    assert take(make_session()).status == TaskStatus.QUEUED
    assert dispatch_all() == 2
    assert waiting.assignments.exists()


def test_a_new_task_goes_to_the_miners_that_its_session_may_have():
    session = make_session(mode=1)
    hire(session, own := make_miner(state=NodeState.DEDICATED, slots=1))
    make_miner(reputation=1000)
    assert take(session).assignments.get().miner == own
    assert take(session).status == TaskStatus.QUEUED


@pytest.mark.django_db(transaction=True)
def test_a_new_task_does_not_wait_for_whoever_gives_out_slots():
    session = make_session()
    make_miner()
    held, done = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            lock_slots()
            held.set()
            done.wait(10)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    try:
        waiting = take(session)
    finally:
        done.set()
        holder.join()
    assert waiting.status == TaskStatus.QUEUED
    assert dispatch_all() == 1
    assert take(session).status == TaskStatus.ASSIGNED
