"""One thread that writes what a miner's engines say, of all answers together.

An engine's step adds a token to each of many answers. Were each written by its own thread, they
would take the interpreter from the engine one after another, and Redis a round trip for each.
"""

import queue
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from functools import partial
from itertools import chain, islice

from mining.node.engine.generation import Generation, GenerationError, GenerationResult
from mining.node.worker.mailbox import Mailbox
from mining.node.worker.piece_stream import Entry, PieceStream

GATHER_S = 0.01
"""A fast model's tokens go out together, as often as this: nobody sees the difference, and each
entry costs the miner, Redis, the router and the client more than a small model's token does."""


class Writing:
    """An answer on its way into its stream."""

    def __init__(self, generation: Generation, stream: PieceStream) -> None:
        self.generation = generation
        self._stream = stream
        self._outcome: GenerationResult | GenerationError | None = None
        self._begun = threading.Event()
        self._written: Future[GenerationResult] = Future()

    def begins_within(self, timeout_s: float) -> bool:
        """Wait for the first piece or the end to be written; False if neither is in time.

        Raises like `result` where it has failed.
        """
        is_begun = self._begun.wait(timeout_s)
        if self._written.done():
            self._written.result()
        return is_begun

    def result(self) -> GenerationResult:
        """Wait for all of it to be written.

        Raises GenerationError, StreamMismatch, or RedisError where it could not be written.
        """
        return self._written.result()

    # ── the writer's thread ──────────────────────────────────────────────────

    @property
    def is_urgent(self) -> bool:
        """Whether somebody waits for what it has now: a first piece, or the end."""
        return not self._begun.is_set() or self.generation.outcome is not None

    def take(self) -> list[Entry]:
        """The entries of what is new; raises StreamMismatch."""
        if self._written.done():
            return []
        self._outcome = self.generation.outcome  # before the pieces: behind it there are none
        piece = self.generation.take()
        entries = self._stream.piece(piece.text, piece.logprobs) if piece.text else []
        if isinstance(self._outcome, GenerationResult):
            entries += self._stream.done(self._outcome)
        return entries

    def confirm(self) -> None:
        """What was taken is written."""
        if self._written.done():
            return
        if isinstance(self._outcome, GenerationResult):
            self._written.set_result(self._outcome)
        elif self._outcome is not None:
            self._written.set_exception(self._outcome)
        self._begun.set()

    def give_up(self, error: Exception) -> None:
        """What was taken cannot be written; nothing follows."""
        if not self._written.done():
            self._written.set_exception(error)
        self._begun.set()


class PieceWriter:
    """Follows generations, and appends their pieces to their streams."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._due: dict[Writing, None] = {}
        """Those with something to write, in the order in which they had it."""
        self._lock = threading.Lock()
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_idle = True
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="pieces", daemon=True)
        self._thread.start()

    def write(self, generation: Generation, stream: PieceStream) -> Writing:
        """Append a generation's pieces to a stream as they come, and its end."""
        writing = Writing(generation, stream)
        generation.watch(partial(self._note, writing))
        return writing

    def close(self) -> None:
        """Stop, once what there is has been written."""
        self._closing = True
        self._wake.put(None)
        self._thread.join()

    def _note(self, writing: Writing) -> None:
        """A generation has news. On the engine's thread, whose time is every answer's."""
        with self._lock:
            self._due[writing] = None
            wakes = self._is_idle or writing.is_urgent
        # While it gathers, an answer's next token is no reason to wake it.
        if wakes:
            self._wake.put(None)

    def _run(self) -> None:
        written_at = 0.0
        is_last = False
        while not is_last:
            self._gather(written_at + GATHER_S)
            is_last = self._closing
            with self._lock:
                due, self._due = self._due, {}
            self._flush(due)
            written_at = time.monotonic()

    def _gather(self, until: float) -> None:
        """Wait for news, and then for more, unless somebody waits for what there is."""
        while not self._closing:
            with self._lock:
                self._is_idle = not self._due
                if any(writing.is_urgent for writing in self._due):
                    return
            wait_s = None if self._is_idle else until - time.monotonic()
            try:
                self._wake.get(timeout=None if wait_s is None else max(0.0, wait_s))
            except queue.Empty:
                return

    def _flush(self, due: Iterable[Writing]) -> None:
        taken: dict[Writing, list[Entry]] = {}
        for writing in due:
            try:
                taken[writing] = writing.take()
            except Exception as error:  # of this answer alone
                writing.give_up(error)
        try:
            outcomes = iter(self._mailbox.append([*chain.from_iterable(taken.values())]))
        except Exception as error:
            for writing in taken:
                writing.give_up(error)
            return
        for writing, entries in taken.items():
            refused = [each for each in islice(outcomes, len(entries)) if each is not None]
            if refused:
                writing.give_up(refused[0])
            else:
                writing.confirm()
