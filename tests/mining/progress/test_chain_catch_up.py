"""Assignments follow changes on a real chain that the router did not make."""

from datetime import timedelta

import pytest

from chain import storage
from chain.deployed import keys as chain_keys
from chain.models import Operation
from chain.protocol.digests import raw_cid
from mining import keys
from mining.judging.validation import validate
from mining.models import Assignment, AssignmentStatus, MinerResult
from mining.node.account.claims import claim_all
from mining.node.account.evm import Rpc
from mining.node.account.wallet import Wallet
from mining.node.disk.stash import Result, Stash
from mining.node.engine.batch_engine import Engine
from mining.progress.chain_catch_up import follow, is_behind, lags
from mining.progress.oracle import Oracle
from sessions.models import TaskStatus
from tests.anvil import DEPLOYER, account
from tests.mining.judging.test_validation import honest
from tests.mining.live_network import Network, Report, content_of, enrol

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("router_redis")]
S = AssignmentStatus


@pytest.fixture(scope="module")
def engine(model_path):
    engine = Engine(model_path)
    yield engine
    engine.close()


@pytest.fixture
def validator(settings, model, chain):
    """The router's validator, with its role on chain."""
    settings.KEYSTORE_DIR.mkdir()
    settings.KEYSTORE_PASSWORD_FILE.write_text("secret")
    keys.validator.cache_clear()
    key = chain_keys.load_or_create(settings.KEYSTORE_DIR / "validator.json", "secret")
    roles = chain.contract("Roles").functions
    chain.transact(DEPLOYER, roles.grantRole(roles.VALIDATOR_ROLE().call(), key.address))
    yield key
    keys.validator.cache_clear()


@pytest.fixture
def network(chain):
    return Network(chain)


class WithheldMiner:
    """A miner whose reports no router accepts. It has its stash, its key, and the chain."""

    def __init__(self, chain, home):
        self.chain, self.home = chain, home
        self.wallet = Wallet.create_or_open(home)
        self.account = self.wallet._account

    def keep(self, assignment, content, data):
        task = assignment.task
        Stash(self.home / "stash").put(
            Result(
                assignment_id=str(assignment.id),
                session_id=task.session_id,
                task_id=task.task_id,
                task_digest=task.task_digest,
                chain_id=self.chain.deployment.chain_id,
                queue_address=self.chain.contract("SessionQueue").address,
                content=content,
                data=data,
            )
        )

    def claim(self):
        """Tell which of precommit and commit the chain has accepted."""
        self.chain.rpc("anvil_setBalance", self.wallet.address, hex(10**18))
        self.chain.rpc("evm_setAutomine", True)
        rpc = Rpc(self.chain.url)
        try:
            said = list(claim_all(self.wallet, rpc, self.home / "stash"))
        finally:
            rpc.close()
            self.chain.rpc("evm_setAutomine", False)
        return [line.split(" ")[2] for line in said if "not taken" not in line]


def part_of(task, miner):
    return task.assignments.get(miner=miner.address.lower())


def owed(chain, miner):
    return chain.contract("SessionPayment").functions.owedTo(miner.address).call()


def on_chain_status(chain, task):
    queue = chain.contract("SessionQueue").functions
    return queue.getTaskStatus(task.session_id, task.task_id).call()


@pytest.mark.parametrize("inline", [True, False])
def test_who_reveals_by_its_own_transaction_is_judged_and_what_can_be_read_is_paid(
    chain, network, validator, engine, tmp_path, inline
):
    withheld, relayed = WithheldMiner(chain, tmp_path / "home"), account("relayed")
    for miner in (withheld.account, relayed):
        enrol(chain, miner)
    session_id = chain.open_session(redundancy=2)
    task = network.start(session_id, [withheld.account, relayed])
    answer = honest(engine, task)

    # The router relays one miner's reports. The other's reports are lost.
    content = content_of(task, relayed.address, answer)
    report = Report(chain, part_of(task, relayed), relayed, content, content)
    report.precommit()
    network.deliver()
    own = content_of(task, withheld.wallet.address, answer)
    data = own if inline else storage.address(raw_cid(own.encode()))
    withheld.keep(part_of(task, withheld.account), own, data)
    assert withheld.claim() == ["precommit", "commit"]
    network.follow()

    part = part_of(task, withheld.account)
    assert (part.status, part.commit_data) == (S.REVEALED, data)
    report.commit()
    network.deliver()
    task.refresh_from_db()
    assert task.status == TaskStatus.COMMITTED
    validate(task.pk)
    network.deliver()
    assert not Operation.objects.exclude(error="").exists()
    assert on_chain_status(chain, task) == 5
    assert owed(chain, relayed) > 0
    # A content address whose content is missing is not an answer, and does not delay others' pay.
    assert (owed(chain, withheld.account) > 0) == inline


def test_a_content_that_the_router_withheld_is_judged_once_it_comes(
    chain, network, validator, engine, tmp_path
):
    miner = WithheldMiner(chain, tmp_path / "home")
    enrol(chain, miner.account)
    task = network.start(chain.open_session(), [miner.account])
    content = content_of(task, miner.wallet.address, honest(engine, task))
    data = storage.address(raw_cid(content.encode()))
    miner.keep(part_of(task, miner.account), content, data)
    assert miner.claim() == ["precommit", "commit"]
    network.follow()
    Report(chain, part_of(task, miner.account), miner.account, content, data).commit()
    validate(task.pk)
    network.deliver()
    assert owed(chain, miner.account) > 0


def test_a_verdict_waits_for_what_the_chain_has_and_the_router_has_not(
    chain, network, validator, engine, tmp_path, monkeypatch
):
    withheld, relayed = WithheldMiner(chain, tmp_path / "home"), account("relayed")
    for miner in (withheld.account, relayed):
        enrol(chain, miner)
    task = network.start(chain.open_session(redundancy=2), [withheld.account, relayed])
    answer = honest(engine, task)
    content = content_of(task, relayed.address, answer)
    report = Report(chain, part_of(task, relayed), relayed, content, content)
    report.precommit()
    network.deliver()
    own = content_of(task, withheld.wallet.address, answer)
    withheld.keep(part_of(task, withheld.account), own, own)
    withheld.claim()
    with monkeypatch.context() as patch:
        # Calls of the contract fail, while the mirror still gets the logs.
        patch.setattr("chain.rpc.endpoints.Endpoints.call", _unreachable)
        network.follow()
        report.commit()
        network.deliver()
    assert is_behind(task)
    validate_later = Operation.objects.filter(kind="relay_verdict")
    assert not validate_later.exists()
    Oracle().sweep(network.now())  # the oracle repeats it
    assert not is_behind(task)
    validate(task.pk)
    network.deliver()
    assert owed(chain, relayed) > 0 < owed(chain, withheld.account)


def _unreachable(*_):
    from chain.rpc.client import RpcUnavailable

    raise RpcUnavailable("nobody answers")


def test_a_late_miner_is_replaced_by_a_draw_when_the_router_has_nobody(
    chain, network, validator, engine
):
    late, spare = account("late"), account("spare")
    enrol(chain, late)
    task = network.start(chain.open_session(), [late])
    chain.register_miner(spare)  # the chain knows it, and the router has not heard of it
    network.follow()
    assigned_at = MinerResult.objects.get(task_id=task.task_id).assigned_at
    network.advance_s(43)
    Oracle().sweep(assigned_at + timedelta(seconds=43))
    [operation] = Operation.objects.filter(kind="replace_miner_by_draw")
    assert operation.payload["late"] == late.address
    network.deliver()
    assert part_of(task, late).status == S.REPLACED
    drawn = part_of(task, spare)
    assert (drawn.status, drawn.position) == (S.LEASED, 0)
    assert drawn.announced_at is not None, "the client hears the drawn one from now on"

    content = content_of(task, spare.address, honest(engine, task))
    report = Report(chain, drawn, spare, content, content)
    report.precommit()
    network.deliver()
    report.commit()
    network.deliver()
    validate(task.pk)
    network.deliver()
    assert owed(chain, spare) > 0
    assert owed(chain, late) == 0


def test_whoever_the_chain_puts_on_a_task_gets_the_job_whoever_asked_for_it(chain, network):
    """The router's own choice came too late for the chain, and a stranger had somebody drawn."""
    late, chosen, drawn = account("late"), account("chosen"), account("drawn")
    enrol(chain, late)
    task = network.start(chain.open_session(), [late])
    chain.register_miner(drawn)
    network.follow()
    part = part_of(task, late)
    part.status = S.REPLACED
    part.save()
    Assignment.objects.create(
        task=task,
        miner=chosen.address.lower(),
        position=0,
        ack_deadline_at=network.now(),
        lease_deadline_at=network.now(),
    )
    network.advance_s(43)
    queue = chain.contract("SessionQueue").functions
    chain.rpc("anvil_setBalance", drawn.address, hex(10**18))
    chain.transact(drawn, queue.replaceMinerByDraw(task.session_id, task.task_id, late.address))
    network.follow()
    assert part_of(task, chosen).status == S.REPLACED
    assert part_of(task, drawn).status == S.LEASED
    assert [a.miner for a in task.assignments.in_place()] == [drawn.address.lower()]


def test_a_precommit_that_was_there_before_the_replacement_keeps_the_place(
    chain, network, tmp_path
):
    miner, chosen = WithheldMiner(chain, tmp_path / "home"), account("chosen")
    enrol(chain, miner.account)
    task = network.start(chain.open_session(), [miner.account])
    part = part_of(task, miner.account)
    miner.keep(part, "{}", "{}")
    part.status = S.REPLACED
    part.save()
    Assignment.objects.create(
        task=task,
        miner=chosen.address.lower(),
        position=0,
        ack_deadline_at=network.now(),
        lease_deadline_at=network.now(),
    )
    assert miner.claim() == ["precommit", "commit"]
    network.follow()
    assert part_of(task, miner.account).status == S.REVEALED
    assert part_of(task, chosen).status == S.REPLACED


def test_what_was_done_through_the_router_leaves_nothing_to_follow(chain, network):
    miner = account("relayed")
    enrol(chain, miner)
    task = network.start(chain.open_session(), [miner])
    report = Report(chain, part_of(task, miner), miner, "{}", "{}")
    report.precommit()
    assert follow(task)
    network.deliver()
    report.commit()
    network.deliver()
    assert follow(task)
    assert part_of(task, miner).commit_signature != ""


NOTHING = MinerResult(miner="0x1", assigned_at=None)


@pytest.mark.parametrize("status", [None, *AssignmentStatus])
def test_what_the_chain_does_not_show_is_not_behind(status):
    assert not lags(status, NOTHING)
