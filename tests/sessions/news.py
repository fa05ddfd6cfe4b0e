"""What the `react` process does for sessions, in the test's own thread."""

from datetime import timedelta

from django.utils import timezone

from chain.isolation import Isolation
from sessions.from_chain import reconciliation, submissions
from sessions.stages import refusals


def news(*, after_s: float = 0) -> None:
    """Compare with the mirror, and try what clients have submitted and is due after a while."""
    isolation = Isolation("test")
    reconciliation.sweep(isolation)
    refusals.take_note(isolation)
    for submission in submissions.due(timezone.now() + timedelta(seconds=after_s)):
        submissions.attempt(submission)
