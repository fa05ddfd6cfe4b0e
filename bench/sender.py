"""2,000 operations of 20 miners through the sender, compared with one transaction for each.

`tx_per_op` is the number of transactions per operation. `gas_vs_single` is the gas of an operation,
divided by its gas in a transaction of its own. `rate_vs_single` is the same for operations per
second. There are five kinds of operations, as in a network: tasks are submitted and assigned, and
their miners ack, precommit and commit. New operations arrive while the sender is working.
`OPERATIONS` (2,000) and `SINGLES` (200) set how many operations each side has.
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench.parts.chain import World, world
from bench.report import publish

OPERATIONS = int(os.environ.get("OPERATIONS", "2000"))
SINGLES = int(os.environ.get("SINGLES", "200"))
MINERS, KINDS, A_WAVE = 20, 5, 100
"""Tasks arrive in waves of `A_WAVE`. A block is mined after each tick of the sender."""


def main() -> None:
    with world() as made:
        from tests import anvil

        made.rpc("evm_setAutomine", True)
        session_id = made.chain.open_session(deposit_wei=10**23)
        miners = [anvil.account(f"miner {number}") for number in range(MINERS)]
        for miner in miners:
            made.chain.register_miner(miner)
        for account in (anvil.ROUTER, anvil.ORACLE):
            made.rpc("anvil_setBalance", account.address, hex(10**24))
        made.rpc("evm_setAutomine", False)
        batched = measure(made, session_id, miners, first=0, operations=OPERATIONS)
        with alone():
            single = measure(made, session_id, miners, first=OPERATIONS, operations=SINGLES)
    rows = [
        [name, f"{of.count:,}", f"{of.transactions:,}", f"{of.gas_an_op:,.0f}", f"{of.rate:,.0f}"]
        for name, of in (("batched by the sender", batched), ("one transaction each", single))
    ]
    publish(
        "sender",
        ["", "operations", "transactions", "gas/operation", "operations/s"],
        rows,
        {
            "tx_per_op": batched.transactions / batched.count,
            "gas_vs_single": batched.gas_an_op / single.gas_an_op,
            "rate_vs_single": batched.rate / single.rate,
        },
    )


class Measured:
    """The cost of a number of operations."""

    def __init__(self, count: int, transactions: int, gas: int, seconds: float) -> None:
        self.count, self.transactions = count, transactions
        self.gas_an_op, self.rate = gas / count, count / seconds


class alone:
    """A context in which every operation gets a transaction of its own."""

    def __enter__(self) -> None:
        from chain.sending import batches

        self._kept = batches.MAX_OPERATIONS
        batches.MAX_OPERATIONS = 1

    def __exit__(self, *_: Any) -> None:
        from chain.sending import batches

        batches.MAX_OPERATIONS = self._kept


def measure(
    made: World, session_id: int, miners: Sequence[Any], *, first: int, operations: int
) -> Measured:
    """Enqueue and send operations until all of them are confirmed, and return their cost.

    Args:
        made: the chain and the database.
        session_id: the session of the tasks.
        miners: the accounts of the miners.
        first: the number of the first task.
        operations: how many operations to send.
    """
    from django.db.models import Sum

    from chain.models import Operation, OperationStatus, Transaction
    from chain.rpc.client import Rpc
    from chain.sending.sender import Sender
    from tests import anvil

    accounts = {"router": anvil.ROUTER, "oracle": anvil.ORACLE}
    sender = Sender(Rpc(made.chain.url), made.chain.deployment, accounts)
    before = set(Transaction.objects.values_list("pk", flat=True))
    done = Operation.objects.filter(status=OperationStatus.CONFIRMED).count()
    waves = _signed_waves(made, session_id, miners, first, operations // KINDS)
    began = time.monotonic()
    while Operation.objects.filter(status=OperationStatus.CONFIRMED).count() < done + operations:
        if waves:
            for enqueue in waves.pop(0):
                enqueue()
        sender.tick()
        made.rpc("evm_mine")
    seconds = time.monotonic() - began
    mine = Transaction.objects.exclude(pk__in=before)
    assert not Operation.objects.exclude(error="").exists()
    return Measured(operations, mine.count(), mine.aggregate(gas=Sum("gas_used"))["gas"], seconds)


def _signed_waves(
    made: World, session_id: int, miners: Sequence[Any], first: int, tasks: int
) -> list[list[Callable[[], None]]]:
    """Return functions that enqueue the operations, by waves.

    The miners' signatures are made here, so that the measured time does not include them.
    """
    from chain.sending import outbox
    from tests.chain.life import Life

    waves: list[list[Callable[[], None]]] = []
    for start in range(0, tasks, A_WAVE):
        kinds: list[list[Any]] = [[], [], [], [], []]
        for number in range(first + start, first + min(start + A_WAVE, tasks)):
            miner = miners[number % MINERS]
            ops: list[Any] = []
            life = Life(made.chain, session_id, number, ops.append)
            life.submit()
            life.assign([miner])
            life.ack(miner)
            life.precommit(miner)
            life.commit(miner)
            for kind, op in zip(kinds, ops, strict=True):
                kind.append(op)
        waves += [[lambda op=op: outbox.enqueue(op) for op in kind] for kind in kinds]  # type: ignore[misc]
    return waves


if __name__ == "__main__":
    main()
