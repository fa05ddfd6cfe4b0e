"""The chain's events as rows of nodes and results."""

from datetime import UTC, datetime

import pytest

from chain.mirror import projections
from chain.mirror.records import EventRecord
from mining.models import MinerResult, Node, NodeState

pytestmark = pytest.mark.django_db
MINER, OTHER, OPERATOR = ("0x" + digits * 20 for digits in ("aB", "cD", "eF"))
AT = datetime(2026, 1, 1, tzinfo=UTC)


def event(contract, name, index=0, **args):
    return EventRecord(
        contract=contract,
        name=name,
        args=args,
        block_number=1,
        block_hash="0x" + "11" * 32,
        log_index=index,
        tx_hash=f"0x{index:064x}",
        timestamp=AT,
    )


def change(node, reputation):
    return int(node, 16) << 96 | reputation % 2**96


def mark(miner, accuracy_bps, output_tokens, reputation):
    told = accuracy_bps << 80 | 10_000 << 64 | output_tokens << 32 | reputation % 2**32
    return int(miner, 16) << 96 | told


def payment(node, amount_wei):
    return int(node, 16) << 96 | amount_wei


def test_a_nodes_standing_follows_the_chain():
    projections.apply(
        [
            event("NodePool", "NodeRegistered", node=MINER, operator=OPERATOR),
            event("NodePool", "NodeStateChanged", node=MINER, state=3),
            event("NodePool", "NodeReputationsChanged", changes=[change(MINER, 1)]),
            event("NodePool", "NodeReputationsChanged", changes=[change(MINER, -2)]),
        ]
    )
    node = Node.objects.get(pk=MINER.lower())
    assert node.operator == OPERATOR.lower()
    assert (node.state, node.reputation) == (NodeState.EPHEMERAL, -2)
    assert node.registered_at == AT


def test_a_miners_part_collects_its_times_verdict_and_pay():
    task = {"sessionId": 1, "taskId": 1_000_000}
    queue = "SessionQueue"
    projections.apply(
        [
            event(queue, "TaskAssigned", 1, **task, miners=[OTHER]),
            event(queue, "TaskMinerReplaced", 2, **task, late=OTHER, replacement=MINER),
            event(queue, "TaskAcked", 3, **task, miner=MINER),
            event(queue, "TaskPrecommitted", 4, **task, miner=MINER),
            event(queue, "TaskCommitted", 5, **task, miner=MINER),
            event(
                queue,
                "TaskVerdict",
                6,
                **task,
                validator=OPERATOR,
                inputTokens=12,
                marks=[mark(MINER, 9_000, 5, 1), mark(OTHER, 0, 0, -3)],
            ),
            event(
                "SessionPayment",
                "TaskSettled",
                7,
                **task,
                payments=[payment(MINER, 10**20), payment(OTHER, 0)],
                refunded=0,
            ),
            event("SessionPayment", "NodeWithdrawn", 8, node=MINER, amount=10**19),
        ]
    )
    late = MinerResult.objects.get(miner=OTHER.lower())
    assert (late.assigned_at, late.replaced_at) == (AT, AT)
    part = MinerResult.objects.get(miner=MINER.lower())
    assert part.assigned_at == part.acked_at == part.precommit_at == part.commit_at == AT
    hashes = [part.ack_tx, part.precommit_tx, part.commit_tx, part.verdict_tx, part.payment_tx]
    assert hashes == [f"0x{n:064x}" for n in (3, 4, 5, 6, 7)]
    assert (part.accuracy_bps, part.input_tokens, part.output_tokens) == (9_000, 12, 5)
    assert part.paid_wei == 10**20
    node = Node.objects.get(pk=MINER.lower())
    assert (node.earned_wei, node.owed_wei) == (10**20, 9 * 10**19)
    assert (node.reputation, Node.objects.get(pk=OTHER.lower()).reputation) == (1, -3)
