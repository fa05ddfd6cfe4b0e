"""What a session's or a task's rows say that the chain may still take back."""

from collections.abc import Collection

from django.db.models import QuerySet

from chain.following import finality
from chain.models import Event


def unconfirmed_deposits_wei(session_id: int) -> int:
    """The deposits in a session's balance that money may not depend on yet."""
    return unconfirmed_deposits([session_id]).get(session_id, 0)


def unconfirmed_deposits(session_ids: Collection[int]) -> dict[int, int]:
    """The same of several sessions, in wei; those without any are left out."""
    events = finality.unconfirmed_events()
    if events.query.is_empty():  # then there is nothing to be asked
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
    """The tasks, by session and number, whose submission may still be undone."""
    submissions = finality.unconfirmed_events().filter(contract="Session", name="TaskSubmitted")
    return {(event.args["sessionId"], event.args["taskId"]) for event in submissions}


def unconfirmed_sessions(session_ids: Collection[int]) -> set[int]:
    """Those of which the mirror shows something (but for their tasks) that is not settled."""
    events = finality.unconfirmed_events().filter(args__sessionId__in=session_ids)
    found = events.exclude(args__has_key="taskId").values_list("args__sessionId", flat=True)
    return set(map(int, found))


def is_task_confirmed(session_id: int, task_id: int) -> bool:
    """Whether all that the mirror shows of a task is settled."""
    return not _of_session(session_id).filter(args__taskId=task_id).exists()


def _of_session(session_id: int) -> QuerySet[Event]:
    return finality.unconfirmed_events().filter(args__sessionId=session_id)
