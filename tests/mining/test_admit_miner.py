"""The operator admits a registered miner to users' tasks, and dismisses it."""

import pytest
from django.core.management import CommandError, call_command

from chain.models import Operation
from chain.operations import OperationKind
from mining.models import Node, NodeState

MINER = "0x" + "a1" * 20

pytestmark = pytest.mark.django_db


def registered(state: NodeState = NodeState.REGISTERED) -> Node:
    return Node.objects.create(address=MINER, state=state)


def asked() -> list[int]:
    operations = Operation.objects.filter(kind=OperationKind.SET_NODE_STATE)
    return [operation.payload["state"] for operation in operations.order_by("pk")]


def test_a_registered_miner_is_admitted() -> None:
    registered()
    call_command("admit_miner", "--address", MINER)
    assert asked() == [NodeState.EPHEMERAL]


def test_one_that_was_admitted_can_be_dismissed_and_admitted_again() -> None:
    node = registered()
    for dismiss, state in ((False, NodeState.EPHEMERAL), (True, NodeState.REGISTERED)) * 2:
        call_command("admit_miner", "--address", MINER, *(["--dismiss"] if dismiss else []))
        Node.objects.filter(pk=node.pk).update(state=state)
    assert asked() == [NodeState.EPHEMERAL, NodeState.REGISTERED] * 2


def test_one_that_works_already_is_left_alone() -> None:
    registered(NodeState.EPHEMERAL)
    call_command("admit_miner", "--address", MINER)
    assert asked() == []


@pytest.mark.parametrize("state", [None, NodeState.UNKNOWN])
def test_one_that_the_chain_does_not_know_is_refused(state: NodeState | None) -> None:
    if state is not None:
        registered(state)
    with pytest.raises(CommandError, match="has to register it first"):
        call_command("admit_miner", "--address", MINER)
