"""Task numbers: each router of a session numbers its tasks in a lane of its own."""

from django.db import connection
from django.db.models import Max

from sessions.models import OnChainTask, Session, SessionLane

LANE_SIZE = 1_000_000


def lane_start(index: int) -> int:
    """Return the first task id of the router with this index in the session's list."""
    return (index + 1) * LANE_SIZE


def take_task_id(session: Session, index: int) -> int:
    """Take the next id of this router's lane. The caller must have locked the session's row.

    A new lane starts after the highest number that the chain has in it. So a router that lost its
    database takes no number twice.

    Raises:
        OverflowError: the lane has no numbers left.
    """
    number = _next_number(session.sid, index)
    if number is None:
        number = _open_lane(session, index)
    if number >= LANE_SIZE:
        raise OverflowError(f"lane {index} of session {session.session_id}")
    return lane_start(index) + number


def _next_number(sid: str, index: int) -> int | None:
    """Increment a lane and return its previous number, or None if the lane is not open yet."""
    # One statement, since every task needs it. Django has no UPDATE with RETURNING.
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
