"""An encrypted task through miners and validator: what passes Redis, and what is stored."""

import base64
import json
import secrets

import pytest
from django.core import serializers
from django.utils import timezone

from chain import storage
from chain.deployed import keys as chain_keys
from chain.protocol.digests import canonical_json, raw_cid
from chain.protocol.envelopes import (
    Context,
    Role,
    encryption_key,
    public_key,
    recipients,
    seal,
    unseal,
)
from mining import keys
from mining.assignment.dispatch import dispatch_all
from mining.assignment.leases import lease
from mining.directory import task_records
from mining.errors import ReportRefused
from mining.judging.validation import validate
from mining.models import Assignment, AssignmentStatus, Validation, ValidationMethod
from mining.node.engine.batch_engine import Engine
from mining.node.protocol.job import Job
from mining.node.protocol.names import mailbox_prefix
from mining.node.protocol.reports import FailedReport
from mining.node.worker.sealing import open_prompt
from sessions.intake import encryption
from sessions.models import Task, TaskStatus
from sessions.stages.task_states import mark_assigned, mark_committed, mark_precommitted
from tests.mining.conftest import CHAIN_ID, make_account, make_miner, make_task
from tests.mining.judging.test_validation import accuracies, honest
from tests.mining.reports.test_effects import Signer, end_precommits

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("router_redis")]

PROMPT = "What is 12 + 13?"
CLIENT = encryption_key(b"\x07" * 32)


@pytest.fixture(autouse=True)
def keystores(settings):
    settings.KEYSTORE_DIR.mkdir()
    settings.KEYSTORE_PASSWORD_FILE.write_text("secret")
    chain_keys.load_or_create(settings.KEYSTORE_DIR / "validator.json", "secret")
    keys.validator.cache_clear()
    yield
    keys.validator.cache_clear()


def key_text(account) -> str:
    return "0x" + public_key(encryption_key(bytes(account.key))).hex()


def context(task, role):
    return Context(CHAIN_ID, task.session_id, task.task_id, role)


def encrypted_task(**values):
    """Create a task whose prompt is an envelope for CLIENT and the router."""
    task = make_task(inline=False, encrypted=True, task_data="", **values)
    content = canonical_json({"prompt": PROMPT, "stop": ["\n\n"]})
    task.prompt_cid = storage.put(
        encryption.seal_prompt(content, task.session_id, task.task_id, public_key(CLIENT))
    )
    task.task_data = storage.address(task.prompt_cid)
    task.save()
    return task


def job_in(router_redis, miner):
    """Return the job in a miner's mailbox, and the whole message that contains it."""
    message = router_redis.lindex(mailbox_prefix(miner) + "inference", 0)
    body = base64.b64decode(json.loads(message)["body"]).decode()
    [_, kwargs, _] = json.loads(body)
    return Job.from_json(kwargs["job"]), body


# ── to the miners ────────────────────────────────────────────────────────────


def test_a_miner_gets_the_prompt_sealed_for_it_alone(router_redis):
    accounts = [make_account() for _ in range(3)]
    for account in accounts:
        make_miner(account.address, encryption_key=key_text(account))
    task = encrypted_task(redundancy=3)
    assert dispatch_all() == 1
    for account in accounts:
        job, message = job_in(router_redis, account.address.lower())
        assert PROMPT not in message
        assert (job.prompt, job.stop) == ("", [])
        assert recipients(job.sealed_prompt.encode()) == [
            public_key(encryption_key(bytes(account.key)))
        ]
        prompt, stop = open_prompt(job, encryption_key(bytes(account.key)))
        assert (prompt, stop) == (PROMPT, ["\n\n"])
        assert job.seal_for == [
            "0x" + key.hex() for key in (public_key(CLIENT), encryption.public_key())
        ]
    assert Task.objects.get(pk=task.pk).status == TaskStatus.ASSIGNED


def test_an_encrypted_task_waits_for_miners_whose_readersare_known(router_redis):
    make_miner()
    encrypted_task(redundancy=1)
    assert dispatch_all() == 0
    account = make_account()
    make_miner(account.address, encryption_key=key_text(account))
    assert dispatch_all() == 1
    assert Assignment.objects.get().miner == account.address.lower()


# ── from the miners ──────────────────────────────────────────────────────────


@pytest.fixture
def signer():
    account = make_account()
    make_miner(account.address, encryption_key=key_text(account))
    task = encrypted_task(redundancy=1)
    mark_assigned(task, [account.address])
    lease(task, {0: account.address}, timezone.now(), live=0)
    return Signer(task, task.assignments.get(), account)


def give(signer, content):
    """Let a miner precommit and reveal a content."""
    signer.content = content.decode()
    signer.data = storage.address(raw_cid(content))
    signer.send(signer.precommit())
    end_precommits(signer.task)
    signer.send(signer.commit())


def test_a_sealed_result_is_taken(signer):
    readers = [public_key(CLIENT), encryption.public_key()]
    envelope = seal(b"{}", context(signer.task, Role.RESULT), readers)
    give(signer, envelope)
    assert signer.assignment.status == AssignmentStatus.REVEALED
    assert storage.get(signer.assignment.content_cid) == envelope


@pytest.mark.parametrize("kind", ["clear", "for another", "of another task", "a prompt"])
def test_a_result_that_is_not_sealed_for_the_router_is_not_kept(signer, kind, settings):
    task, readers = signer.task, [public_key(CLIENT), encryption.public_key()]
    other = context(make_task(), Role.RESULT)
    content = {
        "clear": canonical_json({"result": "a secret", "salt": secrets.token_hex(32)}),
        "for another": seal(b"a secret", context(task, Role.RESULT), readers[:1]),
        "of another task": seal(b"a secret", other, readers),
        "a prompt": seal(b"a secret", context(task, Role.PROMPT), readers),
    }[kind]
    with pytest.raises(ReportRefused, match="encrypted"):
        give(signer, content)
    assert Assignment.objects.get().status == AssignmentStatus.PRECOMMITTED
    assert raw_cid(content) not in [path.name for path in settings.STORAGE_DIR.rglob("*")]


def test_what_a_miner_says_of_its_failure_is_not_kept(signer):
    signer.send(FailedReport(assignment_id=str(signer.assignment.id), code="busy", message=PROMPT))
    assert (signer.assignment.failure_code, signer.assignment.failure_message) == ("busy", "")


# ── judged ───────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def engine(model_path):
    engine = Engine(model_path)
    yield engine
    engine.close()


def revealed(task, answers, sealed_for):
    """Make a task whose miners have revealed these answers, each sealed for these keys."""
    accounts = [make_account() for _ in answers]
    for account in accounts:
        make_miner(account.address, encryption_key=key_text(account))
    miners = [account.address for account in accounts]
    mark_assigned(task, miners)
    lease(task, dict(enumerate(miners)), timezone.now(), live=0)
    mark_precommitted(task, miners)
    mark_committed(task, miners)
    parts = task.assignments.order_by("position")
    for part, (text, token_ids, finish_reason), for_whom in zip(
        parts, answers, sealed_for, strict=True
    ):
        content = canonical_json(
            {
                "result": text,
                "session_id": task.session_id,
                "task_id": task.task_id,
                "task_digest": task.task_digest,
                "miner": part.miner,
                "finish_reason": finish_reason,
                "token_ids": list(token_ids),
            }
        )
        envelope = seal(content, context(task, Role.RESULT), for_whom)
        part.status, part.content_cid = AssignmentStatus.REVEALED, storage.put(envelope)
        part.save()


def test_sealed_answers_are_judged_like_clear_ones_and_the_reference_is_not_kept(model, engine):
    task = encrypted_task(redundancy=2)
    good, bad = honest(engine, task, PROMPT), honest(engine, task, "another prompt altogether")
    everybody = [public_key(CLIENT), encryption.public_key()]
    revealed(task, [bad, good], [everybody, everybody])
    validate(task.pk)
    assert accuracies(task) == [0, 10_000]
    assert task.validation.method == ValidationMethod.RERUN
    kept = serializers.serialize(
        "json", [*Validation.objects.all(), *Task.objects.all(), *Assignment.objects.all()]
    )
    assert good[0] not in kept
    assert PROMPT not in kept
    assert task.validation.reference == ""
    # Accounts that may see the task still read its results, which the router decrypts in memory.
    assert [record["text"] for record in task_records(task).miners] == [bad[0], good[0]]


def test_an_answer_that_its_client_cannot_open_is_worth_nothing(model, engine):
    task = encrypted_task(redundancy=3)
    good = honest(engine, task, PROMPT)
    everybody = [public_key(CLIENT), encryption.public_key()]
    revealed(task, [good] * 3, [everybody, everybody[1:], everybody])
    validate(task.pk)
    assert accuracies(task) == [10_000, 0, 10_000]
    [remark] = task.validation.remarks.values()
    assert "not sealed for every recipient" in remark


def test_an_answer_with_a_reader_that_is_none_does_not_keep_the_others_from_being_judged(
    model, engine
):
    task = encrypted_task(redundancy=3)
    good = honest(engine, task, PROMPT)
    everybody = [public_key(CLIENT), encryption.public_key()]
    revealed(task, [good] * 3, [everybody] * 3)
    part = task.assignments.get(position=1)
    members = json.loads(storage.get(part.content_cid))
    members["recipients"].append(members["recipients"][0] | {"public_key": "0x" + "00" * 32})
    part.content_cid = storage.put(canonical_json(members))
    part.save()
    validate(task.pk)
    assert accuracies(task) == [10_000, 0, 10_000]


def test_the_client_reads_its_result_without_the_router(model, engine):
    task = encrypted_task(redundancy=1)
    good = honest(engine, task, PROMPT)
    revealed(task, [good], [[public_key(CLIENT), encryption.public_key()]])
    envelope = storage.get(task.assignments.get().content_cid)
    content = json.loads(unseal(envelope, context(task, Role.RESULT), CLIENT))
    assert content["result"] == good[0]
