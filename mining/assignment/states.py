"""The state machine of an assignment: a table of its transitions, and functions that make them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mining.errors import MiningError
from mining.models import Assignment, AssignmentStatus

_S = AssignmentStatus
TRANSITIONS: Mapping[AssignmentStatus, frozenset[AssignmentStatus]] = {
    _S.LEASED: frozenset({_S.ACKED, _S.PRECOMMITTED, _S.FAILED, _S.REPLACED}),
    _S.ACKED: frozenset({_S.PRECOMMITTED, _S.FAILED, _S.REPLACED}),
    _S.PRECOMMITTED: frozenset({_S.REVEALED, _S.FAILED}),
    _S.REVEALED: frozenset({_S.JUDGED, _S.FAILED}),
    # A failed miner keeps its place until the contract allows the oracle to replace it.
    _S.FAILED: frozenset({_S.REPLACED}),
    _S.JUDGED: frozenset(),
    _S.REPLACED: frozenset(),
}

OVERRULED: Mapping[AssignmentStatus, frozenset[AssignmentStatus]] = {
    # The chain replaced the miner before the precommit was mined.
    _S.PRECOMMITTED: frozenset({_S.REPLACED}),
    # Only the router knew the failure or the replacement, and the miner precommitted on chain.
    _S.FAILED: frozenset({_S.PRECOMMITTED}),
    _S.REPLACED: frozenset({_S.PRECOMMITTED}),
}
"""Further transitions, made when the chain contradicts the router.

See `mining.progress.chain_catch_up`.
"""

_TIMES = {
    _S.ACKED: "acked_at",
    _S.PRECOMMITTED: "precommit_at",
    _S.REVEALED: "revealed_at",
    _S.JUDGED: "finished_at",
    _S.FAILED: "finished_at",
    _S.REPLACED: "finished_at",
}


class IllegalTransition(MiningError):
    """`TRANSITIONS` has no transition from the assignment's status to the wanted one."""


def advance(assignment: Assignment, to: AssignmentStatus, at: datetime, **values: Any) -> bool:
    """Set the status of an assignment, the status's time and `values`, and save them.

    The caller's transaction has locked the row (`select_for_update`). Return False, and save
    nothing, if the assignment has that status already.

    Raises:
        IllegalTransition: `TRANSITIONS` does not allow it.
    """
    status = AssignmentStatus(assignment.status)
    if status == to:
        return False
    if to not in TRANSITIONS[status]:
        raise IllegalTransition(f"{assignment} is {status}: it cannot become {to}")
    _save(assignment, values | {"status": to, _TIMES[to]: at})
    return True


def follow_chain(assignment: Assignment, to: AssignmentStatus, at: datetime, **values: Any) -> bool:
    """Set the status that the chain shows, like `advance`; `OVERRULED` is allowed as well.

    Raises:
        IllegalTransition: neither `TRANSITIONS` nor `OVERRULED` allows it.
    """
    status = AssignmentStatus(assignment.status)
    if to not in OVERRULED.get(status, ()):
        return advance(assignment, to, at, **values)
    _save(assignment, values | {"finished_at": None, "status": to, _TIMES[to]: at})
    return True


def _save(assignment: Assignment, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(assignment, name, value)
    assignment.save(update_fields=list(values))
