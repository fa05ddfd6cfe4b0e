"""One thread that appends the pieces of all answers of a miner to their streams.

An engine's step adds a token to each of many answers. If each answer had a thread of its own, these
threads would take the interpreter lock from the engine one after another, and each would need a
round trip to Redis.
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
"""How long the tokens of a fast model are gathered before they are written.

Clients do not notice the delay, and each entry costs the miner, Redis, the router and the client
more time than a small model needs for a token.
"""


class Writing:
    """An answer whose pieces are being appended to its stream."""

    def __init__(self, generation: Generation, stream: PieceStream) -> None:
        self.generation = generation
        self._stream = stream
        self._outcome: GenerationResult | GenerationError | None = None
        self._begun = threading.Event()
        self._written: Future[GenerationResult] = Future()

    def begins_within(self, timeout_s: float) -> bool:
        """Wait until the first piece or the end is written.

        Return False if neither is written within `timeout_s` seconds. Raises like `result` if the
        answer has failed by then.
        """
        is_begun = self._begun.wait(timeout_s)
        if self._written.done():
            self._written.result()
        return is_begun

    def result(self) -> GenerationResult:
        """Wait until the whole answer is written, and return the generation's result.

        Raises:
            GenerationError: the generation ended without a result.
            StreamMismatch: the answer differs from what the stream has already.
            RedisError: the answer could not be written.
        """
        return self._written.result()

    # ── the writer's thread ──────────────────────────────────────────────────

    @property
    def is_urgent(self) -> bool:
        """Whether the next entry is the first piece or the end, for which the client waits."""
        return not self._begun.is_set() or self.generation.outcome is not None

    def take(self) -> list[Entry]:
        """Return entries for everything that is new. Raises StreamMismatch."""
        if self._written.done():
            return []
        # Read the outcome before the pieces: once it is set, no more pieces are added.
        self._outcome = self.generation.outcome
        piece = self.generation.take()
        entries = self._stream.piece(piece.text, piece.logprobs) if piece.text else []
        if isinstance(self._outcome, GenerationResult):
            entries += self._stream.done(self._outcome)
        return entries

    def confirm(self) -> None:
        """Note that the entries of the last `take` are written."""
        if self._written.done():
            return
        if isinstance(self._outcome, GenerationResult):
            self._written.set_result(self._outcome)
        elif self._outcome is not None:
            self._written.set_exception(self._outcome)
        self._begun.set()

    def give_up(self, error: Exception) -> None:
        """End the answer's stream here, since the entries of the last `take` cannot be written."""
        if not self._written.done():
            self._written.set_exception(error)
        self._begun.set()


class PieceWriter:
    """Watches generations and appends their pieces to their streams."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._due: dict[Writing, None] = {}
        """The answers that have something to write, in the order of their news."""
        self._lock = threading.Lock()
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_idle = True
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="pieces", daemon=True)
        self._thread.start()

    def write(self, generation: Generation, stream: PieceStream) -> Writing:
        """Begin to append a generation's pieces, and then its end, to a stream."""
        writing = Writing(generation, stream)
        generation.watch(partial(self._note, writing))
        return writing

    def close(self) -> None:
        """Write what there is, then stop the thread."""
        self._closing = True
        self._wake.put(None)
        self._thread.join()

    def _note(self, writing: Writing) -> None:
        """Note that a generation has news.

        The engine's thread calls this. It must be quick, since all answers wait for that thread.
        """
        with self._lock:
            self._due[writing] = None
            wakes = self._is_idle or writing.is_urgent
        # A writer that is gathering need not be woken for an answer's next token.
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
        """Wait for news, and then until `until` for more, unless an answer is urgent."""
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
            except Exception as error:  # ends only this answer
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
