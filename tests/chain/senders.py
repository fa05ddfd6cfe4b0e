"""Runs a sender in the test's process."""

from chain.models import Operation
from chain.rpc.client import Rpc
from chain.sending.sender import Sender
from tests.anvil import ORACLE, ROUTER, Chain


def make_sender(chain: Chain) -> Sender:
    return Sender(Rpc(chain.url), chain.deployment, {"router": ROUTER, "oracle": ORACLE})


def deliver(chain: Chain, at_work: Sender) -> None:
    """Send waiting operations, mine them, and read the receipts."""
    at_work.tick()
    chain.mine()
    at_work.tick()


def statuses() -> dict[str, str]:
    return dict(Operation.objects.values_list("key", "status"))
