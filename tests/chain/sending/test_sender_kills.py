"""A sender that SIGKILL ends at any step loses no operation and repeats none.

A step is a statement to the database or a request to the RPC node. Each sender is a process of its
own and is killed one step later than the one before it, while new operations arrive. The next
sender continues from what it left behind. `SENDER_KILLS` sets how many times each step is tested
(make soak-sync: 20).
"""

import os
import signal
from collections.abc import Callable

import pytest

from chain.models import Operation, OperationStatus, Transaction, TransactionStatus
from chain.sending.sender import STUCK_BLOCKS
from tests.anvil import Chain, account
from tests.chain.killed import Fuse, in_a_process, sigkill
from tests.chain.life import Life
from tests.chain.senders import make_sender

pytestmark = pytest.mark.django_db(transaction=True)

KILLS = int(os.environ.get("SENDER_KILLS", "2"))
OPERATIONS_A_KILL = 3


class Load:
    """Submits tasks continuously, and checks their operations."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.tasks: list[Life] = []
        self._session_id = chain.open_session(deposit_wei=10**21)
        self._first_block = chain.w3.eth.block_number

    def come_in(self) -> None:
        for _ in range(OPERATIONS_A_KILL):
            task = Life(self.chain, self._session_id, len(self.tasks))
            task.submit()
            self.tasks.append(task)

    def deliver_the_rest(self) -> None:
        """A sender that is not killed."""
        survivor = make_sender(self.chain)
        for _ in range(10):
            survivor.tick()
            self.chain.mine()
        survivor.tick()

    def assert_done_once(self) -> None:
        """Assert that each operation is confirmed, was sent once, and took effect once."""
        rows = Operation.objects.values_list("status", "error")
        assert set(rows) == {(OperationStatus.CONFIRMED.value, "")}
        assert len(rows) == len(self.tasks)
        filters = {"from_block": self._first_block, "to_block": "latest"}
        events = self.chain.contract("Session").events
        submitted = [log["args"]["taskId"] for log in events.TaskSubmitted().get_logs(**filters)]
        assert sorted(submitted) == [task.task_id for task in self.tasks]
        assert not events.RelaySkipped().get_logs(**filters)
        mined = Transaction.objects.exclude(status=TransactionStatus.DROPPED)
        nonces = list(mined.order_by("nonce").values_list("nonce", flat=True))
        assert nonces == list(range(len(nonces)))  # no gap, none used twice


def kill_at_each_step(prepare: Callable[[], None], work: Callable[[], None]) -> int:
    """Kill `work` at its first step, then at its second, and so on, until it ends by itself.

    Return how many processes were killed.
    """
    step = 0
    while True:
        step += 1
        prepare()

        def killed(step: int = step) -> None:
            with Fuse(step, sigkill):
                work()

        code = in_a_process(killed)
        if code == 0:
            return step - 1
        assert code == -signal.SIGKILL


@pytest.mark.parametrize("repetition", range(KILLS))
def test_a_delivery_survives_a_kill_at_each_step(chain: Chain, repetition: int) -> None:
    load = Load(chain)

    def work() -> None:
        at_work = make_sender(chain)
        at_work.tick()
        chain.mine()
        at_work.tick()

    killed = kill_at_each_step(load.come_in, work)
    assert killed > 20
    load.deliver_the_rest()
    load.assert_done_once()


@pytest.mark.parametrize("repetition", range(KILLS))
def test_a_replacement_survives_a_kill_at_each_step(chain: Chain, repetition: int) -> None:
    load = Load(chain)

    def prepare() -> None:
        """Leave a transaction stuck, as if its fees were too low."""
        load.come_in()
        make_sender(chain).tick()
        chain.rpc("anvil_dropAllTransactions")  # as if it were too cheap to be kept
        chain.mine(STUCK_BLOCKS)

    def work() -> None:
        make_sender(chain).tick()

    killed = kill_at_each_step(prepare, work)
    assert killed > 10
    assert Transaction.objects.exclude(earlier_hashes=[]).exists()
    load.deliver_the_rest()
    load.assert_done_once()


def test_a_fuse_kills_for_real() -> None:
    assert in_a_process(sigkill) == -signal.SIGKILL
    assert in_a_process(lambda: account("somebody")) == 0
    assert in_a_process(lambda: 1 / 0) == 1
