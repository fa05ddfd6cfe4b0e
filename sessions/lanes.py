"""Which number a task gets: each router numbers in its own lane of a session."""

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
    start = lane_start(index)
    lane = SessionLane.objects.filter(sid=session.sid, index=index).first()
    if lane is None:
        highest = OnChainTask.objects.filter(
            session_id=session.session_id, task_id__gte=start, task_id__lt=start + LANE_SIZE
        ).aggregate(highest=Max("task_id"))["highest"]
        number = 0 if highest is None else highest - start + 1
        lane = SessionLane(sid=session.sid, index=index, next_number=number)
    number = lane.next_number
    if number >= LANE_SIZE:
        raise OverflowError(f"lane {index} of session {session.session_id}")
    lane.next_number = number + 1
    lane.save()
    return start + number
