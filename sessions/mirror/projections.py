"""Projections of chain events to the rows of sessions, tasks, prices and balances. Pure.

Clients choose the contents of their transactions. No content may stop the mirror.
"""

from collections.abc import Sequence
from typing import Any

from eth_utils.crypto import keccak

from chain.mirror.projections import Change, Upsert, projection
from chain.mirror.records import EventRecord
from chain.protocol.marks import read_payment
from chain.protocol.terms import read_terms
from sessions.access.visibility import users_in
from sessions.models import (
    ModelPrice,
    OnChainStatus,
    OnChainTask,
    Session,
    SessionNode,
    SessionRouter,
    SessionState,
)


@projection("Session", "SessionCreated")
def session_created(event: EventRecord) -> Sequence[Change]:
    args = event.args
    times = {"created_at": event.timestamp, "updated_at": event.timestamp}
    return [_session(event, sid=args["sid"], owner=args["owner"].lower(), **times)]


@projection("Session", "SessionDescribed")
def session_described(event: EventRecord) -> Sequence[Change]:
    args = event.args
    return [
        _session(
            event,
            name=_text(args["name"]),
            metadata=_text(args["metadata"]),
            users=users_in(args["metadata"]),
            sla=args["sla"],
            model_identifier=args["modelIdentifier"],
            reserve_period=args["reservePeriod"],
            max_task_execution_count=args["maxTaskExecutionCount"],
            updated_at=event.timestamp,
        )
    ]


@projection("Session", "SessionTermsSet")
def session_terms_set(event: EventRecord) -> Sequence[Change]:
    args = event.args
    return [
        _session(
            event,
            mode=args["mode"],
            redundancy=args["redundant"],
            min_num_of_nodes=args["minNumOfNodes"],
            max_num_of_nodes=args["maxNumOfNodes"],
            num_of_validator_nodes=args["numOfValidatorNodes"],
            updated_at=event.timestamp,
        )
    ]


@projection("Session", "SessionOwnerChanged")
def session_owner_changed(event: EventRecord) -> Sequence[Change]:
    return [_session(event, owner=event.args["to"].lower(), updated_at=event.timestamp)]


@projection("Session", "SessionDeactivated")
def session_deactivated(event: EventRecord) -> Sequence[Change]:
    return [_session(event, state=SessionState.INACTIVE.value, updated_at=event.timestamp)]


@projection("Session", "SessionRouterSet")
def session_router_set(event: EventRecord) -> Sequence[Change]:
    args = event.args
    return [
        Upsert(
            SessionRouter,
            key={"session_id": args["sessionId"], "index": args["index"]},
            set={
                "address": args["router"].lower(),
                "metadata": _text(args["metadata"]),
                "removed": not args["active"],
            },
        )
    ]


@projection("Session", "NewNodeAssignedToSession")
def nodes_assigned(event: EventRecord) -> Sequence[Change]:
    return [
        Upsert(
            SessionNode,
            key={"node_id": _node_id(address)},
            set={
                "address": address.lower(),
                "session_id": event.args["sessionId"],
                "assigned_at": event.timestamp,
                "released": False,
            },
        )
        for address in event.args["nodeAddresses"]
    ]


@projection("Session", "NodeReleased")
def node_released(event: EventRecord) -> Sequence[Change]:
    return [Upsert(SessionNode, key={"node_id": event.args["nodeId"]}, set={"released": True})]


@projection("Session", "TaskSubmitted")
def task_submitted(event: EventRecord) -> Sequence[Change]:
    args = event.args
    return [
        _task(
            event,
            task_data=_text(args["taskData"]),
            client_reference=_text(args["clientReference"]),
            created_at=event.timestamp,
            submit_tx=event.tx_hash,
        ),
        _more(event, task_count=1),
    ]


@projection("Session", "TaskDescribed")
def task_described(event: EventRecord) -> Sequence[Change]:
    args = event.args
    return [
        _task(
            event,
            prompt_type=args["promptType"],
            prompt_template=_text(args["promptTemplate"]),
            llm_params=[str(word) for word in args["llmParams"]],
            request_params=[str(word) for word in args["requestParams"]],
            max_input_tokens=args["maxInputTokens"],
        )
    ]


@projection("SessionQueue", "TaskAssigned")
def task_assigned(event: EventRecord) -> Sequence[Change]:
    return [
        _task(
            event,
            status=OnChainStatus.ASSIGNED.value,
            assigned_at=event.timestamp,
            assign_tx=event.tx_hash,
        )
    ]


@projection("SessionQueue", "TaskAcked")
def task_acked(event: EventRecord) -> Sequence[Change]:
    # Acks occur in the precommit phase only, so this never moves a task back.
    return [_task(event, status=OnChainStatus.ACKED.value, acked_at=event.timestamp)]


# A phase ends when all miners have done their part, or by force. Each way has its own event.
@projection("SessionQueue", "TaskAllPrecommitted")
@projection("SessionQueue", "TaskPrecommitEnded")
def task_precommit_ended(event: EventRecord) -> Sequence[Change]:
    return [
        _task(
            event,
            status=OnChainStatus.PRECOMMITTED.value,
            precommit_ended_at=event.timestamp,
            precommit_end_tx=event.tx_hash,
        )
    ]


@projection("SessionQueue", "TaskAllCommitted")
@projection("SessionQueue", "TaskCommitEnded")
def task_commit_ended(event: EventRecord) -> Sequence[Change]:
    return [
        _task(
            event,
            status=OnChainStatus.COMMITTED.value,
            commit_ended_at=event.timestamp,
            commit_end_tx=event.tx_hash,
        )
    ]


@projection("SessionQueue", "TaskEnded")
def task_ended(event: EventRecord) -> Sequence[Change]:
    return [
        _task(
            event,
            status=OnChainStatus.ENDED.value,
            ended_at=event.timestamp,
            end_tx=event.tx_hash,
        )
    ]


@projection("SessionPayment", "ModelPriceSet")
def model_price_set(event: EventRecord) -> Sequence[Change]:
    args = event.args
    return [
        Upsert(
            ModelPrice,
            key={"model_identifier": args["modelIdentifier"]},
            set={
                "input_price_wei": args["inputPriceWei"],
                "output_price_wei": args["outputPriceWei"],
            },
        )
    ]


@projection("SessionPayment", "SessionDeposited")
def session_deposited(event: EventRecord) -> Sequence[Change]:
    return [_more(event, deposited_wei=event.args["amount"])]


@projection("SessionPayment", "SessionWithdrawn")
def session_withdrawn(event: EventRecord) -> Sequence[Change]:
    return [_more(event, withdrawn_wei=event.args["amount"])]


@projection("SessionPayment", "TaskReserved")
def task_reserved(event: EventRecord) -> Sequence[Change]:
    """Store the packed terms. If they cannot express all of a task, TaskDescribed follows."""
    amount = event.args["amount"]
    terms = read_terms(event.args["terms"])
    return [
        _more(event, reserved_wei=amount),
        _task(
            event,
            reserved_wei=amount,
            digest=event.args["taskDigest"],
            prompt_type=terms.prompt_type,
            prompt_template="",
            llm_params=[str(word) for word in terms.llm_params],
            request_params=[str(terms.timeout_s)],
            max_input_tokens=terms.max_input_tokens,
        ),
    ]


@projection("SessionPayment", "TaskSettled")
def task_settled(event: EventRecord) -> Sequence[Change]:
    paid = sum(payment.amount_wei for payment in map(read_payment, event.args["payments"]))
    refunded = event.args["refunded"]
    return [
        _more(event, reserved_wei=-(paid + refunded), paid_wei=paid),
        _task(event, paid_wei=paid, refunded_wei=refunded),
    ]


def _node_id(address: str) -> str:
    """Return a node's id, as Session.getNodeId computes it."""
    return "0x" + keccak(hexstr=address).hex()


def _session(event: EventRecord, **values: Any) -> Upsert:
    return Upsert(Session, key={"session_id": event.args["sessionId"]}, set=values)


def _more(event: EventRecord, **amounts: int) -> Upsert:
    return Upsert(Session, key={"session_id": event.args["sessionId"]}, add=amounts)


def _task(event: EventRecord, **values: Any) -> Upsert:
    key = {"session_id": event.args["sessionId"], "task_id": event.args["taskId"]}
    return Upsert(OnChainTask, key=key, set=values)


def _text(value: str) -> str:
    # PostgreSQL's text type has no NUL character, and UTF-8 has no lone surrogates.
    return value.replace("\x00", "�").encode(errors="replace").decode()
