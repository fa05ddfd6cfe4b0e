"""The `react` process: what follows from the chain's news, away from those who bring it.

Sync and sender store what the chain says and wake this process. It keeps a place of its own in the
stored events (`chain.following.news`), so it may die at any moment and goes on where it was.
Whatever may be slow (contents, the chain's nodes) runs in threads and holds up nothing else.
"""

import threading
import time
from collections.abc import Callable
from functools import partial

from django.utils import timezone

from chain.following import news
from chain.isolation import Isolation
from chain.mirror import blocks
from chain.postgres.wakeup import Listener
from chain.sending import journal
from mining.loop import beside, keep_doing
from mining.progress import phase_events
from mining.progress.phase_events import PhaseNews
from sessions.faces.x402 import settlement
from sessions.from_chain import reconciliation, submissions
from sessions.from_chain.content_threads import SubmissionThreads
from sessions.stages import refusals

READER = "react"
EVENTS = reconciliation.EVENTS | phase_events.EVENTS
LOOK_EVERY_S = 2.0
"""A wake-up may be lost with its connection."""
SWEEP_EVERY_S = 30.0
PAYMENTS_PAUSE_S = 0.1
CHANNELS = (blocks.CHANNEL, journal.CHANNEL)


def run(stop: threading.Event, beat: Callable[[], None]) -> None:
    """React to the chain's news until `stop` is set."""
    reactions = Reactions()
    with (
        Listener(CHANNELS) as listener,
        Listener(CHANNELS) as of_payments,
        beside("payments", partial(_settle_payments, of_payments), PAYMENTS_PAUSE_S, stop),
    ):

        def step() -> None:
            reactions.step()
            listener.wait(reactions.pause_s())

        try:
            keep_doing(step, stop, beat)
        finally:
            reactions.close()


class Reactions:
    """One look at the news after another."""

    def __init__(self) -> None:
        self._phases = PhaseNews()
        self._submissions = SubmissionThreads()
        self._isolation = Isolation("react")
        self._sweep_at = 0.0
        self._is_behind = True
        """Whether there may be more news than one look takes."""

    def step(self) -> None:
        """React to what is new, and now and then look for what no event told of."""
        parts = {
            "sweep": self._sweep,
            "news": self._read_news,
            "refusals": self._take_note_of_refusals,
            "submissions": self._start_submissions,
        }
        for name, part in parts.items():
            self._isolation.attempt(name, name, part)

    def pause_s(self) -> float:
        """How long there is nothing to do without a wake-up."""
        if self._is_behind:
            return 0.0
        now = timezone.now()
        due_at = submissions.next_due_at(now)
        return LOOK_EVERY_S if due_at is None else min((due_at - now).total_seconds(), LOOK_EVERY_S)

    def close(self) -> None:
        """Finish what was begun."""
        self._submissions.close()
        self._phases.close()

    def _sweep(self) -> None:
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + SWEEP_EVERY_S
            reconciliation.sweep(self._isolation)

    def _read_news(self) -> None:
        """React to the next events."""
        self._is_behind = False
        news.subscribe(READER)
        found = news.unread(READER, EVENTS)
        if not found.is_empty:
            reconciliation.react(found.events, self._isolation)
            self._phases.react(found.events)
            news.mark_read(found)
            self._is_behind = True

    def _take_note_of_refusals(self) -> None:
        refusals.take_note(self._isolation)

    def _start_submissions(self) -> None:
        self._submissions.start_due(timezone.now())


def _settle_payments(listener: Listener) -> None:
    """Bring payments on as soon as their transfers are mined. It may ask the chain's nodes."""
    settlement.sweep(timezone.now())
    listener.wait(LOOK_EVERY_S)
