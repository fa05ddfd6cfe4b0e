"""What a session's or a task's rows say that the chain may still take back."""

from django.db.models import QuerySet

from chain import finality
from chain.models import Event


def unconfirmed_deposits_wei(session_id: int) -> int:
    """The deposits in a session's balance that money may not depend on yet."""
    events = finality.unconfirmed_events()
    if events.query.is_empty():  # then there is nothing to be asked
        return 0
    deposits = events.filter(
        contract="SessionPayment", name="SessionDeposited", args__sessionId=session_id
    )
    return sum(deposit.args["amount"] for deposit in deposits)


def unconfirmed_submissions() -> set[tuple[int, int]]:
    """The tasks, by session and number, whose submission may still be undone."""
    submissions = finality.unconfirmed_events().filter(contract="Session", name="TaskSubmitted")
    return {(event.args["sessionId"], event.args["taskId"]) for event in submissions}


def is_session_confirmed(session_id: int) -> bool:
    """Whether all that the mirror shows of a session (but for its tasks) is settled."""
    return not _of_session(session_id).exclude(args__has_key="taskId").exists()


def is_task_confirmed(session_id: int, task_id: int) -> bool:
    """Whether all that the mirror shows of a task is settled."""
    return not _of_session(session_id).filter(args__taskId=task_id).exists()


def _of_session(session_id: int) -> QuerySet[Event]:
    return finality.unconfirmed_events().filter(args__sessionId=session_id)
