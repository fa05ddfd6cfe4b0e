"""The JSON representations of sessions and tasks.

Amounts are decimal strings of wei, since they exceed 2^53. Addresses have their checksum (EIP-55),
since some libraries of clients accept no others.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from chain.protocol.addresses import checksummed
from sessions import ports
from sessions.faces.common.limits import generation_defaults
from sessions.mirror.confirmation import (
    is_task_confirmed,
    unconfirmed_deposits,
    unconfirmed_sessions,
)
from sessions.models import (
    ModelPrice,
    OnChainTask,
    Session,
    SessionNode,
    SessionRouter,
    Task,
    TaskStatus,
)
from sessions.stages.task_states import TIMESTAMPS

STATUS_NUMBERS = {
    TaskStatus.QUEUED: 0,
    TaskStatus.ASSIGNED: 1,
    TaskStatus.ACKED: 2,
    TaskStatus.PRECOMMITTED: 3,
    TaskStatus.COMMITTED: 4,
    TaskStatus.VALIDATED: 4,
    TaskStatus.ENDED: 5,
    TaskStatus.FAILED: 5,
}
"""The contract's status numbers. It has no status for validated; a failed task has ended."""
REPLACED = "replaced"
"""The status of a miner that another miner has replaced."""


def session(row: Session) -> dict[str, Any]:
    """Return a session with its routers, dedicated nodes and balances."""
    return sessions([row])[0]


def sessions(rows: Iterable[Session]) -> list[dict[str, Any]]:
    """Return sessions in the form of `session`, with as many queries as for one session."""
    rows = list(rows)
    ids = [row.session_id for row in rows]
    routers = SessionRouter.objects.filter(session_id__in=ids, removed=False).order_by("index")
    nodes = SessionNode.objects.filter(session_id__in=ids, released=False)
    of_routers, of_nodes = defaultdict(list), defaultdict(list)
    for router in routers:
        shown = {"address": checksummed(router.address), "index": router.index}
        of_routers[router.session_id].append(shown | {"metadata": router.metadata})
    for node in nodes.order_by("assigned_at", "address"):
        of_nodes[node.session_id].append(checksummed(node.address))
    deposits, unconfirmed = unconfirmed_deposits(ids), unconfirmed_sessions(ids)
    return [
        {
            "id": row.session_id,
            **_session(row),
            "routers": of_routers[row.session_id],
            "dedicated_nodes": of_nodes[row.session_id],
            "unconfirmed_wei": str(deposits.get(row.session_id, 0)),
            "confirmed": row.session_id not in unconfirmed,
        }
        for row in rows
    ]


def miner(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a miner of the directory."""
    return {**entry, "active": entry["online"]}


def miner_stats(entries: Collection[Mapping[str, Any]]) -> dict[str, int]:
    """Return the totals of all miners."""
    online = [entry for entry in entries if entry["online"]]
    return {
        "total": len(entries),
        "active": len(online),
        "slots": sum(entry["slots"] for entry in online),
        "in_flight": sum(entry["in_flight"] for entry in online),
    }


def task(row: Task) -> dict[str, Any]:
    """Return a task without its miners."""
    return {
        "session_id": row.session_id,
        "task_id": row.task_id,
        "task_digest": row.task_digest,
        "status": row.status,
        "outcome": outcome(row),
        "stages": stages(row),
        "origin": row.origin,
        "client_reference": row.client_reference,
        "prompt_cid": row.prompt_cid or None,
        "encrypted": row.encrypted,
        "prompt_type": row.prompt_type,
        "prompt_template": row.prompt_template,
        "max_tokens": row.max_tokens,
        "temperature": row.temperature_x100 / 100,
        "top_p": row.top_p_x100 / 100,
        "top_k": row.top_k,
        "presence_penalty": row.presence_penalty_x100 / 100,
        "frequency_penalty": row.frequency_penalty_x100 / 100,
        "stop": row.stop,
        "timeout": row.timeout_s,
        "max_input_tokens": row.max_input_tokens,
        "redundancy": row.redundancy,
        "model_identifier": row.model_identifier,
        "reserve_wei": str(row.reserve_wei),
        "created_at": row.created_at,
        "finished_at": row.ended_at,
        "request_id": row.request_id or None,
    }


def task_with_miners(row: Task) -> dict[str, Any]:
    """Return a task with its state on chain and every miner's part in it."""
    records = ports.task_records(row)
    answered = [record for record in records.miners if record["text"] is not None]
    on_chain = OnChainTask.objects.filter(session_id=row.session_id, task_id=row.task_id).first()
    return task(row) | {
        "on_chain": _on_chain(on_chain) if on_chain else None,
        "assigned_miners": [
            record["address"] for record in records.miners if record["status"] != REPLACED
        ],
        "results": {
            "miners": [record["address"] for record in answered],
            "data": [record["text"] for record in answered],
        },
        "miners": records.miners,
        "distances": records.distances,
    }


def published(shown: dict[str, Any]) -> dict[str, Any]:
    """Return a task in the form of the deployed network: `status` is the contract's number."""
    status = TaskStatus(shown["status"])
    number = STATUS_NUMBERS[status]
    return shown | {
        "id": shown["task_id"],
        "status": number,
        "status_name": status.value,
        "ended": number == STATUS_NUMBERS[TaskStatus.ENDED],
    }


def outcome(row: Task) -> dict[str, str] | None:
    """Return how a task ended, or None if it has not."""
    if not row.outcome_code:
        return None
    return {"code": row.outcome_code, "message": row.outcome_message}


def stages(row: Task) -> list[dict[str, Any]]:
    """Return the stages that a task has passed, with their times, in order."""
    passed = [
        {"status": status.value, "at": getattr(row, name)}
        for status, name in TIMESTAMPS.items()
        if getattr(row, name) is not None
        and (not status.is_final or status == TaskStatus(row.status))
    ]
    if row.first_token_at is not None:
        passed.append({"status": "first_token", "at": row.first_token_at})
        passed.sort(key=lambda stage: stage["at"])
    return passed


def models() -> list[dict[str, Any]]:
    """Return the models that are both served by this router and priced on chain."""
    counter = ports.prompt_counter()
    served = []
    for price in ModelPrice.objects.order_by("model_identifier"):
        try:
            context = counter.context_length(int(price.model_identifier))
            params = counter.defaults(int(price.model_identifier))
        except LookupError:
            continue
        served.append(
            {
                "model_identifier": price.model_identifier,
                "context_length": context,
                "defaults": generation_defaults(params),
                "input_price_wei": str(price.input_price_wei),
                "output_price_wei": str(price.output_price_wei),
            }
        )
    return served


def _session(row: Session) -> dict[str, Any]:
    """Return the values in the session's own row."""
    return {
        "session_id": row.session_id,
        "sid": row.sid,
        "owner": checksummed(row.owner),
        "name": row.name,
        "metadata": row.metadata,
        "state": row.state,
        "active": row.is_active,
        "mode": row.mode,
        "redundancy": row.redundancy,
        "min_num_of_nodes": row.min_num_of_nodes,
        "max_num_of_nodes": row.max_num_of_nodes,
        "num_of_validator_nodes": row.num_of_validator_nodes,
        "sla": str(row.sla),
        "model_identifier": row.model_identifier,
        "reserve_period": row.reserve_period,
        "max_task_execution_count": row.max_task_execution_count,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "balance_wei": str(row.balance_wei),
        "deposited_wei": str(row.deposited_wei),
        "withdrawn_wei": str(row.withdrawn_wei),
        "reserved_wei": str(row.reserved_wei),
        "paid_wei": str(row.paid_wei),
    }


def _on_chain(row: OnChainTask) -> dict[str, Any]:
    return {
        "status": row.status,
        "created_at": row.created_at,
        "assigned_at": row.assigned_at,
        "acked_at": row.acked_at,
        "precommit_ended_at": row.precommit_ended_at,
        "commit_ended_at": row.commit_ended_at,
        "ended_at": row.ended_at,
        "submit_tx": row.submit_tx or None,
        "assign_tx": row.assign_tx or None,
        "precommit_end_tx": row.precommit_end_tx or None,
        "commit_end_tx": row.commit_end_tx or None,
        "end_tx": row.end_tx or None,
        "reserved_wei": str(row.reserved_wei),
        "paid_wei": str(row.paid_wei),
        "refunded_wei": str(row.refunded_wei),
        "confirmed": is_task_confirmed(row.session_id, row.task_id),
    }
