"""Events per second from a chain's logs to committed rows, compared with two other measures.

`rows_vs_decode` compares with fetching and decoding the logs without storing them, which is the
limit. `rows_vs_orm_save` compares with one `Model.save()` for each row of events and of the mirror.

The events are real: a router submits and assigns tasks in relays of 50, in 20 sessions, on anvil
with large blocks. `EVENTS` (200,000) sets how many there are. The ORM stores the first
`ORM_EVENTS`.
"""

import os
import resource
import time
from collections.abc import Iterator
from typing import Any

from bench.parts.chain import World, world
from bench.report import publish

EVENTS = int(os.environ.get("EVENTS", "200000"))
ORM_EVENTS = int(os.environ.get("ORM_EVENTS", "4000"))
SESSIONS, A_RELAY, RELAYS_A_BLOCK = 20, 50, 1
WARM_SHARE = 0.1
"""The share of the events after which the memory is expected to stay constant."""


def main() -> None:
    with world() as made:
        began = time.monotonic()
        count = make_history(made, EVENTS)
        print(f"{count:,} events made in {time.monotonic() - began:.0f} s", flush=True)
        rows_s, growth_mib, peak_mib = follow(made, count)
        decode_s = decode(made)
        orm_s = save_one_by_one(made)
    rates = {"rows": count / rows_s, "decode": count / decode_s, "orm": ORM_EVENTS / orm_s}
    publish(
        "sync",
        ["", "events/s"],
        [
            ["logs to committed rows", f"{rates['rows']:,.0f}"],
            ["fetched and decoded, nothing stored", f"{rates['decode']:,.0f}"],
            [f"one row a save (first {ORM_EVENTS:,})", f"{rates['orm']:,.0f}"],
            ["peak memory, MiB", f"{peak_mib:,.0f}"],
            [f"growth after the first {WARM_SHARE:.0%}, MiB", f"{growth_mib:,.1f}"],
        ],
        {
            "rows_vs_decode": rates["rows"] / rates["decode"],
            "rows_vs_orm_save": rates["rows"] / rates["orm"],
        },
    )


def make_history(made: World, wanted: int) -> int:
    """Submit and assign tasks until there are at least `wanted` events. Return how many."""
    from chain import operations
    from chain.operations import OperationKind
    from chain.sending.calls import RELAYS, calldata
    from tests import anvil

    made.rpc("evm_setAutomine", True)
    sessions = [made.chain.open_session(deposit_wei=10**23) for _ in range(SESSIONS)]
    miners = [anvil.account(f"miner {number}") for number in range(4)]
    for miner in miners:
        made.chain.register_miner(miner)
    made.rpc("evm_setAutomine", False)
    made.rpc("anvil_autoImpersonateAccount", True)
    router = anvil.ROUTER.address
    nonce = int(made.rpc("eth_getTransactionCount", router, "latest"), 16)

    def relay(kind: OperationKind, ops: list[operations.Op]) -> tuple[str, list[Any]]:
        nonlocal nonce
        call = {
            "from": router,
            "to": made.chain.deployment.addresses[RELAYS[kind].contract],
            "data": "0x" + calldata(kind, [op.payload for op in ops]).hex(),
            "gas": hex(24_000_000),
            "nonce": hex(nonce),
        }
        nonce += 1
        return "eth_sendTransaction", [call]

    events_a_task, number = 5, 0
    while number * events_a_task < wanted:
        calls = []
        for _ in range(RELAYS_A_BLOCK):
            session_id = sessions[number // A_RELAY % SESSIONS]
            tasks = [1_000_000 + number + place for place in range(A_RELAY)]
            calls.append(
                relay(
                    OperationKind.SUBMIT_TASK,
                    [
                        operations.submit_task(
                            session_id=session_id,
                            task_id=task_id,
                            task_data=f"ipfs://bafkrei{task_id:052d}",
                            prompt_type=1,
                            prompt_template="",
                            llm_params=[64, 70, 100, 0, 0, 0],
                            request_params=[3600],
                            client_reference=f"reference {task_id}",
                            max_input_tokens=100,
                        )
                        for task_id in tasks
                    ],
                )
            )
            calls.append(
                relay(
                    OperationKind.ASSIGN_TASK,
                    [
                        operations.assign_task(
                            session_id, task_id, [miners[task_id % 4].address], anvil.MODEL
                        )
                        for task_id in tasks
                    ],
                )
            )
            number += A_RELAY
        made.batch([*calls, ("evm_mine", [])])
    made.rpc("anvil_mine", hex(10))
    return sum(len(batch.events) for batch in _batches(made))


def _batches(made: World) -> Iterator[Any]:
    """Fetch and decode the whole chain, and yield its batches."""
    from chain.following.fetch import Fetcher
    from chain.rpc.client import Rpc, RpcError

    node = Rpc(made.chain.url)
    fetcher, head = Fetcher(node, made.chain.deployment), node.latest()
    first, parent = made.chain.deployment.start_block, None
    while first <= head.number:
        try:
            batch = fetcher.fetch(first, head, parent)
        except RpcError:  # the machine is busy; the fetcher asks for a smaller range next
            continue
        yield batch
        first, parent = batch.last_block + 1, batch.headers[-1].hash


def decode(made: World) -> float:
    """Return the seconds that it takes to fetch and decode everything."""
    began = time.monotonic()
    for _ in _batches(made):
        pass
    return time.monotonic() - began


def follow(made: World, count: int) -> tuple[float, float, float]:
    """Fetch, decode and store everything.

    Return the seconds that it takes, the growth of the memory after the first `WARM_SHARE` of the
    events, and its peak, both in MiB.
    """
    from chain.following.sync import Follower
    from chain.rpc.client import Rpc

    follower = Follower(Rpc(made.chain.url), made.chain.deployment)
    began, warm_mib = time.monotonic(), 0.0
    while _step(follower):
        if not warm_mib and follower.position.events > WARM_SHARE * count:
            warm_mib = _peak_mib()
    seconds = time.monotonic() - began
    assert follower.position.events == count
    return seconds, _peak_mib() - warm_mib, _peak_mib()


def _step(follower: Any) -> bool:
    from chain.rpc.client import RpcError

    try:
        return bool(follower.step())
    except RpcError:
        return True


def save_one_by_one(made: World) -> float:
    """Store the first events as a naive follower would, and return the seconds that it takes.

    Each row is saved by itself. Each batch is one transaction.
    """
    from django.db import transaction

    from chain.mirror import blocks, projections
    from chain.models import Block, Event

    blocks.forget()
    left, began = ORM_EVENTS, time.monotonic()
    for batch in _batches(made):
        with transaction.atomic():
            for header in batch.headers:
                names = ("number", "hash", "parent_hash", "timestamp")
                Block(**{name: getattr(header, name) for name in names}).save()
            for event in batch.events[:left]:
                Event(
                    block_id=event.block_number,
                    **{
                        name: getattr(event, name)
                        for name in (
                            "block_hash",
                            "log_index",
                            "tx_hash",
                            "contract",
                            "name",
                            "args",
                            "timestamp",
                        )
                    },
                ).save()
                for change in projections.changes_of(event):
                    row = change.model._default_manager.filter(**change.key).first()
                    row = row or change.model(**change.key)
                    for name, value in change.set.items():
                        setattr(row, name, value)
                    for name, amount in change.add.items():
                        setattr(row, name, getattr(row, name) + amount)
                    row.save()
        left -= len(batch.events)
        if left <= 0:
            break
    return time.monotonic() - began


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
