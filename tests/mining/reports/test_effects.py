"""Effects of miners' reports, with real signatures."""

import secrets
import time
import uuid

import pytest
import redis
from django.db import connection
from django.utils import timezone

from chain import storage
from chain.models import Operation
from chain.protocol.digests import canonical_json, commit_hash, raw_cid
from chain.protocol.messages import Ack, Commit, Precommit, SigningDomain, sign
from mining.assignment.leases import lease
from mining.enrolment.redis_users import enrol
from mining.errors import ReportRefused
from mining.models import Assignment, AssignmentStatus, MinerPresence, Validation
from mining.node.protocol.reports import (
    AckReport,
    CommitReport,
    FailedReport,
    HeartbeatReport,
    PrecommitReport,
    write_report,
)
from mining.reports import first_tokens
from mining.reports.collector import Collector, reports_key
from mining.reports.effects import accept, prepare
from sessions.faces.rest.representations import stages
from sessions.models import OnChainStatus, Task, TaskStatus
from sessions.stages.task_states import mark_assigned
from tests.mining.conftest import (
    CHAIN_ID,
    QUEUE,
    heartbeat,
    make_account,
    make_miner,
    make_task,
    mirror,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("router_redis")]
DOMAIN = SigningDomain(CHAIN_ID, QUEUE)


class Signer:
    """A miner with a key, and its reports about one assignment."""

    def __init__(self, task, assignment, account):
        self.task, self.assignment, self.account = task, assignment, account
        self.digest = bytes.fromhex(task.task_digest[2:])
        self.content = canonical_json({"result": "25", "salt": secrets.token_hex(32)}).decode()
        self.data = storage.address(raw_cid(self.content.encode()))

    def ack(self, **values):
        message = Ack(self.task.session_id, self.task.task_id, self.digest, self.account.address)
        return self._report(AckReport, message, **values)

    def precommit(self, data=None, **values):
        digest = commit_hash(
            self.task.session_id, self.task.task_id, self.account.address, data or self.data
        )
        message = Precommit(
            *(self.task.session_id, self.task.task_id, self.digest, self.account.address), digest
        )
        return self._report(PrecommitReport, message, **{"hash": digest} | values)

    def commit(self, data=None, content=None, **values):
        data = data or self.data
        message = Commit(
            *(self.task.session_id, self.task.task_id, self.digest, self.account.address), data
        )
        return self._report(
            CommitReport, message, data=data, content=content or self.content, **values
        )

    def failed(self, code="engine_failed"):
        return FailedReport(assignment_id=str(self.assignment.id), code=code, message="why")

    def send(self, report):
        accept(self.account.address, prepare(self.account.address, report), timezone.now())
        self.assignment.refresh_from_db()
        self.task.refresh_from_db()

    def _report(self, kind, message, signer=None, **values):
        signature = sign(message, DOMAIN, (signer or self.account).key)
        return kind(**{"assignment_id": str(self.assignment.id), "signature": signature} | values)


def signers(count):
    accounts = [make_account() for _ in range(count)]
    for account in accounts:
        make_miner(account.address)
    task = make_task(redundancy=count)
    now = timezone.now()
    mark_assigned(task, [account.address for account in accounts], at=now)
    lease(task, {n: account.address for n, account in enumerate(accounts)}, now, live=0)
    assignments = task.assignments.order_by("position")
    return [Signer(task, a, account) for a, account in zip(assignments, accounts, strict=True)]


@pytest.fixture
def signer():
    return signers(1)[0]


def operations(kind):
    return Operation.objects.filter(kind=kind)


def end_precommits(task):
    mirror(
        task,
        OnChainStatus.PRECOMMITTED,
        assigned_at=timezone.now(),
        precommit_ended_at=timezone.now(),
    )


def test_a_heartbeat_is_remembered_within_bounds():
    account = make_account()
    beat = heartbeat(
        account,
        slots=10**9,
        in_flight=2,
        models=[1, 3, -1, 2**256],
        loaded={1: float("nan"), 3: 20.5, 9: 1e9},
        software="x" * 999,
        encryption_key="0x" + "00" * 32,
        canonical=False,
    )
    accept(account.address, beat, timezone.now())
    presence = MinerPresence.objects.get(pk=account.address.lower())
    assert presence.slots == 256
    assert presence.model_identifiers == [1, 3]
    assert presence.loaded == {"1": 0.0, "3": 20.5}
    assert presence.tokens_per_s == 20.5
    assert len(presence.software) == 100
    assert presence.encryption_key == ""  # nothing can be encrypted to it
    assert not presence.canonical


def test_a_heartbeat_that_another_key_signed_or_that_is_not_signed_is_refused():
    account = make_account()
    forged = heartbeat(account, signer=make_account())
    unsigned = HeartbeatReport(status=forged.status, signature=b"")
    changed = heartbeat(account)
    changed = HeartbeatReport(
        status=changed.status.replace('"slots": 4', '"slots": 9'), signature=changed.signature
    )
    for report in (forged, unsigned, changed):
        with pytest.raises(ReportRefused, match="signature"):
            accept(account.address, report, timezone.now())
    assert not MinerPresence.objects.exists()


def test_a_heartbeat_counts_once_and_none_before_it_any_more():
    account = make_account()
    now_ms = int(timezone.now().timestamp() * 1000)
    newer = heartbeat(account, sent_at_ms=now_ms, slots=2)
    older = heartbeat(account, sent_at_ms=now_ms - 1, slots=3)
    accept(account.address, newer, timezone.now())
    for report in (newer, older):
        with pytest.raises(ReportRefused, match="counts once"):
            accept(account.address, report, timezone.now())
    assert MinerPresence.objects.get().slots == 2


def test_a_heartbeat_from_the_future_is_refused():
    account = make_account()
    ahead = heartbeat(account, sent_at_ms=int((timezone.now().timestamp() + 60) * 1000))
    with pytest.raises(ReportRefused, match="ahead of this router's clock"):
        accept(account.address, ahead, timezone.now())


def test_a_miners_part_goes_from_ack_to_reveal_and_each_step_goes_on_chain_once(signer):
    for _ in range(2):
        signer.send(signer.ack())
    assert (signer.assignment.status, signer.task.status) == ("acked", TaskStatus.ACKED)
    for _ in range(2):
        signer.send(signer.precommit())
    assert signer.assignment.status == AssignmentStatus.PRECOMMITTED
    end_precommits(signer.task)
    for _ in range(2):
        signer.send(signer.commit())
    assert signer.assignment.status == AssignmentStatus.REVEALED
    assert storage.get(signer.assignment.content_cid) == signer.content.encode()
    for kind in ("relay_precommit", "relay_commit"):
        assert operations(kind).count() == 1


def test_a_store_that_takes_its_time_holds_no_rows_locked(signer, settings, monkeypatch):
    put, in_transaction = storage.put, []

    def observed(content):
        in_transaction.append(connection.in_atomic_block)
        return put(content)

    signer.send(signer.precommit())
    end_precommits(signer.task)
    monkeypatch.setattr(storage, "put", observed)
    address = signer.account.address.lower()
    with (
        redis.Redis.from_url(enrol(address)) as miner,
        redis.Redis.from_url(settings.REDIS_URL, protocol=2) as router,
    ):
        for report in (signer.ack(), signer.commit()):
            miner.xadd(reports_key(address), write_report(report))
        assert Collector(router).collect(100) == 2
    signer.assignment.refresh_from_db()
    assert signer.assignment.status == AssignmentStatus.REVEALED
    assert in_transaction == [False]


def test_nothing_is_stored_but_what_was_precommitted(signer, monkeypatch):
    signer.send(signer.precommit())
    end_precommits(signer.task)
    stored = []
    monkeypatch.setattr(storage, "put", stored.append)
    other = '{"result":"26"}'
    address = storage.address(raw_cid(other.encode()))
    with pytest.raises(ReportRefused):
        signer.send(signer.commit(data=address, content=other))
    assert stored == []


@pytest.mark.parametrize(("timeout_s", "relayed"), [(60, 0), (300, 1)])
def test_an_ack_goes_on_chain_where_the_precommit_may_take_long(signer, timeout_s, relayed):
    Task.objects.update(timeout_s=timeout_s)
    for _ in range(2):
        signer.send(signer.ack())
    assert signer.assignment.status == AssignmentStatus.ACKED
    assert operations("relay_ack").count() == relayed


def test_the_first_tokens_time_is_in_the_record_once_the_live_miner_is_done(signer, router_redis):
    entry_id = router_redis.xadd(signer.assignment.stream_key, {"text": "2"})
    router_redis.xadd(signer.assignment.stream_key, {"text": "5"})
    signer.send(signer.precommit())
    at = signer.task.first_token_at
    assert at is not None
    assert round(at.timestamp() * 1000) == int(entry_id.partition("-")[0])
    assert {"status": "first_token", "at": at} in stages(signer.task)


def test_a_node_that_numbers_its_pieces_tells_its_first_tokens_time(signer, router_redis):
    now_ms = int(time.time() * 1000)
    first = {"text": "2", "at": str(now_ms)}
    router_redis.xadd(signer.assignment.stream_key, first, id="1-0")
    signer.send(signer.precommit())
    assert round(signer.task.first_token_at.timestamp() * 1000) == now_ms


@pytest.mark.parametrize("at", ["1", "9" * 14, "9" * 5000, "-5", "soon", "1.5", ""])
def test_a_time_that_cannot_be_is_not_believed(signer, router_redis, at):
    router_redis.xadd(signer.assignment.stream_key, {"text": "2", "at": at})
    signer.send(signer.precommit())
    assert signer.assignment.status == AssignmentStatus.PRECOMMITTED
    assert signer.task.first_token_at is None


def test_of_an_entry_that_is_too_large_only_the_id_is_read(signer, router_redis):
    entry = {"text": "2" * (first_tokens.MAX_ENTRY_BYTES + 1), "at": "1"}
    router_redis.xadd(signer.assignment.stream_key, entry)
    signer.send(signer.precommit())
    assert signer.task.first_token_at is not None


@pytest.mark.parametrize("entry_id", ["1-1", "99999999999999999-0"])
def test_an_entry_from_before_its_lease_or_after_its_end_tells_no_time(
    signer, router_redis, entry_id
):
    router_redis.xadd(signer.assignment.stream_key, {"text": "2"}, id=entry_id)
    signer.send(signer.precommit())
    assert signer.assignment.status == AssignmentStatus.PRECOMMITTED
    assert signer.task.first_token_at is None


def test_a_stream_that_is_none_tells_no_time(signer, router_redis):
    router_redis.set(signer.assignment.stream_key, "no stream")
    signer.send(signer.precommit())
    assert signer.assignment.status == AssignmentStatus.PRECOMMITTED
    assert signer.task.first_token_at is None


def test_only_the_stream_that_the_client_follows_tells_the_first_token(router_redis):
    _, other = signers(2)
    Assignment.objects.filter(pk=other.assignment.pk).update(announced_at=None)
    router_redis.xadd(other.assignment.stream_key, {"text": "2"})
    other.send(other.precommit())
    assert other.task.first_token_at is None


def test_a_precommit_implies_the_ack(signer):
    signer.send(signer.precommit())
    signer.send(signer.ack())
    assert signer.assignment.status == AssignmentStatus.PRECOMMITTED
    assert signer.task.status == TaskStatus.ACKED
    assert not operations("relay_ack").exists()


def test_validation_is_asked_for_when_the_last_one_has_revealed():
    first, second = signers(2)
    first.send(first.precommit())
    second.send(second.precommit())
    end_precommits(first.task)
    first.send(first.commit())
    assert not Validation.objects.exists()
    second.send(second.commit())
    assert second.task.status == TaskStatus.COMMITTED
    assert Validation.objects.get().task == second.task


def test_the_content_itself_can_be_the_data(signer):
    signer.data = signer.content
    signer.send(signer.precommit())
    end_precommits(signer.task)
    signer.send(signer.commit())
    assert signer.assignment.commit_data == signer.content


@pytest.mark.parametrize("step", ["ack", "precommit", "commit"])
def test_a_signature_of_another_key_is_refused(signer, step):
    stranger = make_account()
    if step == "commit":
        signer.send(signer.precommit())
        end_precommits(signer.task)
    before = Operation.objects.count()
    with pytest.raises(ReportRefused, match="signature"):
        signer.send(getattr(signer, step)(signer=stranger))
    with pytest.raises(ReportRefused, match="signature"):
        signer.send(getattr(signer, step)(signature=b"\x01" * 65))
    assert Operation.objects.count() == before


def test_another_miners_assignment_is_refused():
    first, second = signers(2)
    with pytest.raises(ReportRefused, match="not one of this miner's"):
        accept(second.account.address, first.ack(), timezone.now())
    with pytest.raises(ReportRefused, match="not one of this miner's"):
        first.send(first.ack(assignment_id=str(uuid.uuid4())))


def test_a_second_precommit_of_another_hash_is_refused(signer):
    signer.send(signer.precommit())
    with pytest.raises(ReportRefused, match="another one is precommitted"):
        signer.send(signer.precommit(data="ipfs://other"))


def test_a_reveal_before_the_phase_is_over_is_refused(signer):
    signer.send(signer.precommit())
    with pytest.raises(ReportRefused, match="not over"):
        signer.send(signer.commit())
    assert signer.assignment.status == AssignmentStatus.PRECOMMITTED


def test_a_reveal_of_something_else_is_refused(signer):
    signer.send(signer.precommit())
    end_precommits(signer.task)
    with pytest.raises(ReportRefused, match="its hash is not the one"):
        signer.send(signer.commit(data="ipfs://other"))
    with pytest.raises(ReportRefused, match="neither it nor its address"):
        signer.send(signer.commit(content='{"result":"26"}'))
    assert not operations("relay_commit").exists()


def test_who_was_replaced_is_not_heard_any_more(signer):
    Assignment.objects.update(status=AssignmentStatus.REPLACED)
    with pytest.raises(ReportRefused, match="replaced"):
        signer.send(signer.precommit())
    assert not Operation.objects.exists()


def test_a_miner_that_gives_up_keeps_its_place_for_now(signer):
    signer.send(signer.ack())
    signer.send(signer.failed())
    assert signer.assignment.status == AssignmentStatus.FAILED
    assert signer.assignment.failure_code == "engine_failed"
    assert signer.task.status == TaskStatus.ACKED


def test_a_task_that_no_miner_can_run_fails_once_all_have_said_so():
    first, second = signers(2)
    first.send(first.failed("context_exceeded"))
    assert first.task.status == TaskStatus.ASSIGNED
    second.send(second.failed("context_exceeded"))
    assert second.task.status == TaskStatus.FAILED
    assert second.task.outcome_code == "context_exceeded"
