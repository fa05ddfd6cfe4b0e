"""The mirrored facts about sessions and tasks that a fork of the chain may still revert."""

from collections.abc import Collection

from django.db.models import QuerySet

from chain.following import finality
from chain.models import Event


def unconfirmed_deposits_wei(session_id: int) -> int:
    """Return the sum of a session's unconfirmed deposits, in wei."""
    return unconfirmed_deposits([session_id]).get(session_id, 0)


def unconfirmed_deposits(session_ids: Collection[int]) -> dict[int, int]:
    """Return the unconfirmed deposits of these sessions, in wei, without those that have none."""
    events = finality.unconfirmed_events()
    if events.query.is_empty():  # spare the query
        return {}
    deposits = events.filter(
        contract="SessionPayment", name="SessionDeposited", args__sessionId__in=session_ids
    )
    found: dict[int, int] = {}
    for deposit in deposits:
        session_id = int(deposit.args["sessionId"])
        found[session_id] = found.get(session_id, 0) + deposit.args["amount"]
    return found


def unconfirmed_submissions() -> set[tuple[int, int]]:
    """Return the session and task numbers of submissions that may still be reverted."""
    submissions = finality.unconfirmed_events().filter(contract="Session", name="TaskSubmitted")
    return {(event.args["sessionId"], event.args["taskId"]) for event in submissions}


def unconfirmed_sessions(session_ids: Collection[int]) -> set[int]:
    """Return the sessions with unconfirmed events, other than the events of their tasks."""
    events = finality.unconfirmed_events().filter(args__sessionId__in=session_ids)
    found = events.exclude(args__has_key="taskId").values_list("args__sessionId", flat=True)
    return set(map(int, found))


def is_task_confirmed(session_id: int, task_id: int) -> bool:
    """Return whether all mirrored events of a task are confirmed."""
    return not _of_session(session_id).filter(args__taskId=task_id).exists()


def _of_session(session_id: int) -> QuerySet[Event]:
    return finality.unconfirmed_events().filter(args__sessionId=session_id)
