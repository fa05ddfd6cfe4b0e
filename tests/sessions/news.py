"""What the `react` process does for sessions, in the test's own thread."""

from datetime import timedelta

from django.utils import timezone

from chain.isolation import Isolation
from sessions import reconciliation, refusals, submissions


def news(*, after_s: float = 0) -> None:
    """Compare with the mirror, and try what clients have submitted and is due after a while."""
    isolation = Isolation("test")
    reconciliation.sweep(isolation)
    refusals.take_note(isolation)
    for submission in submissions.due(timezone.now() + timedelta(seconds=after_s)):
        submissions.attempt(submission)
