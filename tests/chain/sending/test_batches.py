"""Which operations share a transaction, and in which order."""

from hypothesis import given
from hypothesis import strategies as st

from chain import operations
from chain.models import Operation
from chain.operations import Op, OperationKind
from chain.protocol.messages import Ack, Commit
from chain.sending.batches import BASE_GAS, MAX_BYTES, MAX_GAS, MAX_OPERATIONS, batches, gas_limit
from chain.sending.calls import RELAYS, calldata

MINER = "0x" + "11" * 20
SIGNATURE = bytes(65)


def row(op: Op, *, alone: bool = False, attempts: int = 0) -> Operation:
    return Operation(kind=op.kind, key=op.key, payload=op.payload, alone=alone, attempts=attempts)


def ack(number: int) -> Op:
    return operations.relay_ack(Ack(1, number, bytes(32), MINER), SIGNATURE)


def commit(number: int, size: int) -> Op:
    return operations.relay_commit(Commit(1, number, bytes(32), MINER, "x" * size), SIGNATURE)


OPS = st.one_of(
    st.builds(ack, st.integers(0, 99)),
    st.builds(commit, st.integers(0, 99), st.integers(1, 16_384)),
    st.builds(operations.end_task, st.just(1), st.integers(0, 99)),
    st.builds(
        operations.set_node_state, st.just(MINER), st.integers(1, 5), st.sampled_from(["a", "b"])
    ),
)


@given(st.lists(st.tuples(OPS, st.booleans()), max_size=150))
def test_batches_keep_limits_lose_nothing_and_keep_the_order(
    given_ops: list[tuple[Op, bool]],
) -> None:
    rows = [row(op, alone=alone, attempts=int(alone)) for op, alone in given_ops]
    grouped = batches(rows)
    assert sorted(map(id, rows)) == sorted(id(one) for batch in grouped for one in batch)
    ranks = [list(OperationKind).index(OperationKind(batch[0].kind)) for batch in grouped]
    assert ranks == sorted(ranks)
    for batch in grouped:
        assert len({one.kind for one in batch}) == 1
        assert len(batch) <= MAX_OPERATIONS
        assert gas_limit(batch) <= BASE_GAS + MAX_GAS
        if len(batch) > 1:
            assert not any(one.alone for one in batch)
            assert RELAYS[OperationKind(batch[0].kind)].is_batch
    for kind in OperationKind:
        before = [one for one in rows if one.kind == kind]
        after = [one for batch in grouped for one in batch if one.kind == kind]
        assert list(map(id, before)) == list(map(id, after))


def test_a_batch_is_no_larger_than_nodes_relay() -> None:
    rows = [row(commit(number, 4_000)) for number in range(50)]
    for batch in batches(rows):
        data = calldata(OperationKind.RELAY_COMMIT, [one.payload for one in batch])
        assert len(data) <= MAX_BYTES


def test_what_ran_out_of_gas_gets_more() -> None:
    first, second = (row(ack(1), alone=True, attempts=attempts) for attempts in (1, 2))
    assert gas_limit([second]) > gas_limit([first]) > gas_limit([row(ack(1))])
