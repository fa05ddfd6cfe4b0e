"""The life of an assignment: its transitions, as one table, and how one is made."""

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
    # A miner that gave up keeps its place until the chain lets the oracle give it away.
    _S.FAILED: frozenset({_S.REPLACED}),
    _S.JUDGED: frozenset(),
    _S.REPLACED: frozenset(),
}

OVERRULED: Mapping[AssignmentStatus, frozenset[AssignmentStatus]] = {
    # The chain gave its place away before its precommit was there.
    _S.PRECOMMITTED: frozenset({_S.REPLACED}),
    # It was given up or replaced by the router's word only, and has precommitted on chain.
    _S.FAILED: frozenset({_S.PRECOMMITTED}),
    _S.REPLACED: frozenset({_S.PRECOMMITTED}),
}
"""Where the chain says otherwise than the router: see `mining.progress.chain_catch_up`."""

_TIMES = {
    _S.ACKED: "acked_at",
    _S.PRECOMMITTED: "precommit_at",
    _S.REVEALED: "revealed_at",
    _S.JUDGED: "finished_at",
    _S.FAILED: "finished_at",
    _S.REPLACED: "finished_at",
}


class IllegalTransition(MiningError):
    """The table has no way from the assignment's status to the wanted one."""


def advance(assignment: Assignment, to: AssignmentStatus, at: datetime, **values: Any) -> bool:
    """Move a locked assignment on and save `values` with it; False when it is there already.

    The caller holds the row's lock (`select_for_update`) in its transaction.

    Raises:
        IllegalTransition: the table does not allow it.
    """
    status = AssignmentStatus(assignment.status)
    if status == to:
        return False
    if to not in TRANSITIONS[status]:
        raise IllegalTransition(f"{assignment} is {status}: it cannot become {to}")
    _save(assignment, values | {"status": to, _TIMES[to]: at})
    return True


def follow_chain(assignment: Assignment, to: AssignmentStatus, at: datetime, **values: Any) -> bool:
    """Like `advance`, by the chain's word: it may overrule the router's."""
    status = AssignmentStatus(assignment.status)
    if to not in OVERRULED.get(status, ()):
        return advance(assignment, to, at, **values)
    _save(assignment, values | {"finished_at": None, "status": to, _TIMES[to]: at})
    return True


def _save(assignment: Assignment, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(assignment, name, value)
    assignment.save(update_fields=list(values))
