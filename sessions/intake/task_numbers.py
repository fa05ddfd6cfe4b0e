"""Which number a task gets: each router numbers in its own lane of a session."""

from django.db import connection
from django.db.models import Max

from sessions.models import OnChainTask, Session, SessionLane

LANE_SIZE = 1_000_000


def lane_start(index: int) -> int:
    """The first task id of the router with this index in a session's list."""
    return (index + 1) * LANE_SIZE


def take_task_id(session: Session, index: int) -> int:
    """The next id of this router's lane. The caller holds the session's row locked.

    A lane that is new here starts behind what the chain has of it already, so that a router which
    lost its database takes no number twice.

    Raises:
        OverflowError: the lane is used up.
    """
    number = _next_number(session.sid, index)
    if number is None:
        number = _open_lane(session, index)
    if number >= LANE_SIZE:
        raise OverflowError(f"lane {index} of session {session.session_id}")
    return lane_start(index) + number


def _next_number(sid: str, index: int) -> int | None:
    """Count a lane on and return the number before; None if it is not open yet."""
    # One statement, which Django cannot say: it lies on the path of every task.
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {SessionLane._meta.db_table} SET next_number = next_number + 1"  # noqa: S608 - our name
            ' WHERE sid = %s AND "index" = %s RETURNING next_number - 1',
            [sid, index],
        )
        found = cursor.fetchone()
    return None if found is None else int(found[0])


def _open_lane(session: Session, index: int) -> int:
    start = lane_start(index)
    highest = OnChainTask.objects.filter(
        session_id=session.session_id, task_id__gte=start, task_id__lt=start + LANE_SIZE
    ).aggregate(highest=Max("task_id"))["highest"]
    number: int = 0 if highest is None else highest - start + 1
    SessionLane.objects.create(sid=session.sid, index=index, next_number=number + 1)
    return number
