"""The same events make the same rows, in any batches and with any values."""

from itertools import pairwise
from typing import Any

import pytest
from eth_utils.crypto import keccak
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.mirror.records import EventRecord
from sessions.models import (
    ModelPrice,
    OnChainStatus,
    OnChainTask,
    Session,
    SessionNode,
    SessionRouter,
    SessionState,
)
from tests.sessions.mirror_rows import apply, event

pytestmark = pytest.mark.django_db(transaction=True)

OWNER, OTHER, ROUTER = "0x" + "Cc" * 20, "0x" + "Dd" * 20, "0x" + "Aa" * 20
SID = "0x" + "12" * 32
DIGEST = "0x" + "34" * 32
NODE_ID = "0x" + keccak(hexstr=OTHER).hex()
LARGEST = 2**256 - 1
MIRROR = (Session, SessionRouter, SessionNode, ModelPrice, OnChainTask)


def life(name: str = "mine", text: str = "hello", sla: int = 7) -> list[EventRecord]:
    """A session's and a task's whole life, as the contracts tell it."""
    ids = {"sessionId": 1, "taskId": 0}
    return [
        event(
            "SessionPayment",
            "ModelPriceSet",
            {"modelIdentifier": 1, "inputPriceWei": 2, "outputPriceWei": 10**20},
        ),
        event(
            "Session",
            "SessionCreated",
            {"sessionId": 1, "sid": SID, "owner": OWNER, "miners": []},
        ),
        event(
            "Session",
            "SessionDescribed",
            {
                "sessionId": 1,
                "name": name,
                "metadata": "{}",
                "reserveEphemeralNodes": False,
                "sla": sla,
                "modelIdentifier": 1,
                "reservePeriod": 0,
                "maxTaskExecutionCount": 1_000_000,
            },
        ),
        event(
            "Session",
            "SessionTermsSet",
            {
                "sessionId": 1,
                "mode": 0,
                "redundant": 3,
                "minNumOfNodes": 1,
                "maxNumOfNodes": 3,
                "numOfValidatorNodes": 1,
            },
        ),
        event(
            "Session",
            "SessionRouterSet",
            {"sessionId": 1, "router": ROUTER, "index": 0, "metadata": name, "active": True},
        ),
        event(
            "SessionPayment",
            "SessionDeposited",
            {"sessionId": 1, "from": OWNER, "amount": 10**21},
        ),
        event("Session", "TaskSubmitted", ids | {"taskData": text, "clientReference": name}),
        event(
            "SessionPayment",
            "TaskReserved",
            ids | {"taskDigest": DIGEST, "terms": 0, "amount": 10**20},
        ),
        event(
            "Session",
            "TaskDescribed",
            ids
            | {
                "promptType": 1,
                "promptTemplate": text,
                "llmParams": [8, 0, LARGEST],
                "requestParams": [60],
                "maxInputTokens": 69,
            },
        ),
        event("SessionQueue", "TaskAssigned", ids | {"miners": [OTHER]}),
        event("SessionQueue", "TaskAcked", ids | {"miner": OTHER}),
        event("SessionQueue", "TaskPrecommitEnded", ids),
        event("SessionQueue", "TaskCommitEnded", ids),
        event(
            "SessionPayment",
            "TaskSettled",
            ids | {"payments": [int(OTHER, 16) << 96 | 4], "refunded": 10**20 - 4},
        ),
        event("SessionQueue", "TaskEnded", ids | {"miners": [OTHER]}),
        event("Session", "SessionOwnerChanged", {"sessionId": 1, "from": OWNER, "to": OTHER}),
        event(
            "Session",
            "SessionRouterSet",
            {"sessionId": 1, "router": ROUTER, "index": 0, "metadata": "", "active": False},
        ),
        event("SessionPayment", "SessionWithdrawn", {"sessionId": 1, "to": OTHER, "amount": 6}),
        event(
            "Session",
            "NewNodeAssignedToSession",
            {"sessionId": 1, "nodeAddresses": [OTHER], "newNodeCount": 1, "assignmentType": 1},
        ),
        event("Session", "NodeReleased", {"nodeId": NODE_ID, "sessionId": 1}),
        event("Session", "SessionDeactivated", {"sessionId": 1, "deactivator": OTHER}),
    ]


def clear() -> None:
    for model in MIRROR:
        model.objects.all().delete()


def rows() -> list[list[dict[str, Any]]]:
    """All mirrored rows, without the numbers that the database makes up."""
    return [
        [
            {k: v for k, v in row.items() if k != "id"}
            for row in model.objects.order_by("pk").values()
        ]
        for model in MIRROR
    ]


def test_a_sessions_life_becomes_its_rows() -> None:
    events = life()
    apply(*events)
    session = Session.objects.get()
    assert (session.session_id, session.sid, session.name) == (1, SID, "mine")
    assert (session.owner, session.redundancy, session.sla) == (OTHER.lower(), 3, 7)
    assert session.state == SessionState.INACTIVE
    assert session.balance_wei == 10**21 - 4 - 6
    assert (int(session.reserved_wei), int(session.paid_wei)) == (0, 4)
    assert session.task_count == 1
    router = SessionRouter.objects.get()
    assert (router.address, router.index, router.removed) == (ROUTER.lower(), 0, True)
    node = SessionNode.objects.get()
    assert (node.node_id, node.address, node.session_id) == (NODE_ID, OTHER.lower(), 1)
    assert node.released
    task = OnChainTask.objects.get()
    assert (task.status, task.digest) == (OnChainStatus.ENDED, DIGEST)
    assert (task.task_data, task.llm_params) == ("hello", ["8", "0", str(LARGEST)])
    assert (task.created_at, task.ended_at) == (events[6].timestamp, events[14].timestamp)
    assert (task.submit_tx, task.end_tx) == (events[6].tx_hash, events[14].tx_hash)
    assert task.reserved_wei == task.paid_wei + task.refunded_wei == 10**20
    assert ModelPrice.objects.get().output_price_wei == 10**20


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(cuts=st.sets(st.integers(1, 20)))
def test_batches_make_no_difference(cuts: set[int]) -> None:
    events = life()
    clear()
    apply(*events)
    expected = rows()
    clear()
    bounds = [0, *sorted(cuts), len(events)]
    for start, end in pairwise(bounds):
        apply(*events[start:end])
    assert rows() == expected


def test_what_a_client_writes_cannot_stop_the_mirror() -> None:
    apply(*life(name="nul \x00 and \ud800", text="\x00" * 5, sla=LARGEST))
    session = Session.objects.get()
    assert session.name == "nul � and ?"
    assert session.sla == LARGEST
    assert OnChainTask.objects.get().task_data == "�" * 5


def test_a_task_that_its_terms_describe_is_mirrored_like_any_other() -> None:
    places = [(1, 8), (60, 16), (69, 24), (64, 24), (70, 16), (95, 16), (40, 24), (0, 16), (0, 16)]
    terms = int("".join(f"{value:0{bits}b}" for value, bits in places), 2)
    ids = {"sessionId": 1, "taskId": 3}
    told = {"taskDigest": DIGEST, "terms": terms, "amount": 7}
    apply(event("SessionPayment", "TaskReserved", ids | told))
    task = OnChainTask.objects.get()
    assert (task.digest, task.prompt_type, task.prompt_template) == (DIGEST, 1, "")
    assert task.llm_params == ["64", "70", "95", "40", "0", "0"]
    assert (task.request_params, task.max_input_tokens) == (["60"], 69)
