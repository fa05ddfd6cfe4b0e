"""The `react` process: reacts to the chain's events and refusals.

The processes `sync` and `sender` only store these and wake this process. It has a cursor of its own
in the stored events (`chain.following.news`), so it may be killed at any moment and continues where
it stopped. Slow work (reading contents, calling RPC nodes) runs in threads and delays nothing else.
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
"""The longest wait, since wake-ups are lost when a connection breaks."""
SWEEP_EVERY_S = 30.0
PAYMENTS_PAUSE_S = 0.1
CHANNELS = (blocks.CHANNEL, journal.CHANNEL)


def run(stop: threading.Event, beat: Callable[[], None]) -> None:
    """React to the chain's events until `stop` is set."""
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
    """The process's work; each call of `step` does one round of it."""

    def __init__(self) -> None:
        self._phases = PhaseNews()
        self._submissions = SubmissionThreads()
        self._isolation = Isolation("react")
        self._sweep_at = 0.0
        self._is_behind = True
        """Whether there may be more events than the last step has read."""

    def step(self) -> None:
        """React to new events and refusals. Every SWEEP_EVERY_S, also find what events missed."""
        parts = {
            "sweep": self._sweep,
            "news": self._read_news,
            "refusals": self._take_note_of_refusals,
            "submissions": self._start_submissions,
        }
        for name, part in parts.items():
            self._isolation.attempt(name, name, part)

    def pause_s(self) -> float:
        """Return for how many seconds there is nothing to do without a wake-up."""
        if self._is_behind:
            return 0.0
        now = timezone.now()
        due_at = submissions.next_due_at(now)
        return LOOK_EVERY_S if due_at is None else min((due_at - now).total_seconds(), LOOK_EVERY_S)

    def close(self) -> None:
        """Wait until the threads are done."""
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
    """Settle x402 payments whose transfers are mined. This may call RPC nodes."""
    settlement.sweep(timezone.now())
    listener.wait(LOOK_EVERY_S)
