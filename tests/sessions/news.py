"""Does the `react` process's work for sessions, in the test's thread."""

from datetime import timedelta

from django.utils import timezone

from chain.isolation import Isolation
from sessions.from_chain import reconciliation, submissions
from sessions.stages import refusals


def news(*, after_s: float = 0) -> None:
    """Reconcile with the mirror, and handle submissions that are due after `after_s` seconds."""
    isolation = Isolation("test")
    reconciliation.sweep(isolation)
    refusals.take_note(isolation)
    for submission in submissions.due(timezone.now() + timedelta(seconds=after_s)):
        submissions.attempt(submission)
