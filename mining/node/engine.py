"""Continuous batching: one model, many sequences, one thread that steps them all at once.

Requests join and leave between steps. A step runs one token of every sequence that is
generating, and a chunk of the prompts that still have to be read, so that a long prompt delays the
others by a chunk at most. The cache's cells are shared; when they run out, the youngest sequence
gives its cells up and is read in again later, from where it was.

Whatever else is in a batch changes logits in their last bits; `mining.node.sampling` says what
that means.
"""

import logging
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from mining.node import sampling
from mining.node.generation import (
    Cancelled,
    DeadlinePassed,
    EngineClosed,
    EngineFailed,
    FinishReason,
    Generation,
    GenerationError,
    GenerationRequest,
    GenerationResult,
)
from mining.node.llama import Context, Decoded, Entry, Model
from mining.node.pieces import TextAssembler
from mining.node.prompts import ModelPrompts

logger = logging.getLogger(__name__)

BATCH_TOKENS = 512
"""The most that one step reads while nothing is being generated."""
SHARED_PREFILL_TOKENS = 128
"""The most that one step reads of prompts while others wait for their next token."""
_RATE_DECAY = 0.98


@dataclass(eq=False)
class _Sequence:
    """One request on its way through the cache."""

    generation: Generation
    pending: list[int]
    """Tokens that the model has not read yet."""
    assembler: TextAssembler
    slot: int = -1
    position: int = 0
    """How many tokens the model has read: its cells in the cache."""
    token_ids: list[int] = field(default_factory=list)
    drawn: dict[int, int] = field(default_factory=dict)
    pieces: list[str] = field(default_factory=list)

    @property
    def length(self) -> int:
        return self.position + len(self.pending)


class Engine:
    """Generates for up to `slots` requests at once; more wait in line.

    Args:
        threads: of llama.cpp; one is best for small models.
        context_tokens: what prompt and answer may have together; the model's own by default.
        cache_tokens: cells of the shared cache; enough for all slots by default.

    Raises:
        LlamaError: the model cannot be loaded.
    """

    def __init__(
        self,
        model_path: Path,
        *,
        slots: int = 4,
        threads: int = 1,
        context_tokens: int | None = None,
        cache_tokens: int | None = None,
    ) -> None:
        self._model = Model(model_path)
        self.prompts = ModelPrompts(self._model)
        if context_tokens is not None:
            self.prompts.context_tokens = min(context_tokens, self.prompts.context_tokens)
        self.slots = slots
        self.tokens_per_s = 0.0
        """Of all sequences together, over the last steps."""
        self._cache_tokens = max(
            cache_tokens or slots * self.prompts.context_tokens, self.prompts.context_tokens
        )
        self._context = Context(
            self._model,
            cache_tokens=self._cache_tokens,
            sequences=slots,
            batch_tokens=max(BATCH_TOKENS, slots),
            threads=threads,
        )
        self._incoming: queue.SimpleQueue[Generation | None] = queue.SimpleQueue()
        self._waiting: deque[_Sequence] = deque()
        self._active: list[_Sequence] = []
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def submit(self, request: GenerationRequest) -> Generation:
        """Put a request in line.

        Raises ContextExceeded when prompt and answer have no room, EngineClosed after `close`.
        """
        self.prompts.require_room(len(request.prompt_tokens), request.max_tokens)
        if not request.prompt_tokens or request.max_tokens < 1:
            raise ValueError("request: prompt_tokens and max_tokens have to be at least 1")
        if self._closed:
            raise EngineClosed("engine: it has stopped; start the node again")
        generation = Generation(request)
        self._incoming.put(generation)
        return generation

    def close(self) -> None:
        """Stop after the current step; whatever is unfinished ends with EngineClosed."""
        self._closed = True
        self._incoming.put(None)
        self._thread.join()
        self._context.close()
        self._model.close()

    # ── the engine's thread ──────────────────────────────────────────────────

    def _run(self) -> None:
        while not self._closed:
            try:
                self._take_in(wait=not self._active and not self._waiting)
                self._drop_unwanted()
                self._admit()
                if self._active:
                    self._step()
            except Exception as error:
                logger.exception("a step failed; the sequences in it end here")
                for sequence in list(self._active):
                    self._end(sequence, EngineFailed(f"engine: {error}"))
        self._take_in(wait=False)
        for sequence in [*self._active, *self._waiting]:
            self._end(sequence, EngineClosed("engine: it was stopped before the answer's end"))

    def _take_in(self, *, wait: bool) -> None:
        while True:
            try:
                generation = self._incoming.get(block=wait)
            except queue.Empty:
                return
            wait = False
            if generation is not None:
                request = generation.request
                self._waiting.append(
                    _Sequence(generation, list(request.prompt_tokens), TextAssembler(request.stop))
                )

    def _drop_unwanted(self) -> None:
        now = time.time()
        for sequence in [*self._active, *self._waiting]:
            if sequence.generation.cancelled:
                self._end(sequence, Cancelled("generation: it was cancelled"))
            elif now >= sequence.generation.request.deadline_at:
                self._end(sequence, DeadlinePassed("generation: its deadline has passed"))

    def _admit(self) -> None:
        used = sum(sequence.length for sequence in self._active)
        free = sorted(set(range(self.slots)) - {sequence.slot for sequence in self._active})
        for slot in free:
            if not self._waiting:
                return
            length = self._waiting[0].length
            if self._active and used + length >= self._cache_tokens:
                return
            sequence = self._waiting.popleft()
            sequence.slot = slot
            self._active.append(sequence)
            used += length

    def _step(self) -> None:
        started = time.perf_counter()
        plan = self._plan()
        entries: list[Entry] = []
        for sequence, count in plan:
            for offset, token in enumerate(sequence.pending[:count]):
                last = offset == len(sequence.pending) - 1
                entries.append(Entry(token, sequence.position + offset, sequence.slot, last))
        if self._context.decode(entries) is Decoded.NO_ROOM:
            self._make_room()
            return
        drawn = end = 0
        for sequence, count in plan:
            end += count
            sequence.position += count
            del sequence.pending[:count]
            if not sequence.pending:
                self._draw(sequence, end - 1)
                drawn += 1
        self._measure(drawn, time.perf_counter() - started)

    def _plan(self) -> list[tuple[_Sequence, int]]:
        """Which sequences are in the next batch, and with how many tokens."""
        generating = [sequence for sequence in self._active if len(sequence.pending) == 1]
        plan = [(sequence, 1) for sequence in generating]
        room = BATCH_TOKENS - len(plan)
        if generating:
            room = min(room, SHARED_PREFILL_TOKENS)
        for sequence in self._active:
            if len(sequence.pending) > 1 and room > 0:
                count = min(len(sequence.pending), room)
                plan.append((sequence, count))
                room -= count
        return plan

    def _draw(self, sequence: _Sequence, index: int) -> None:
        request = sequence.generation.request
        token = sampling.draw(
            self._context.logits(index),
            request.sampling,
            drawn=sequence.drawn,
            seed=request.seed,
            position=len(sequence.token_ids),
        )
        sequence.token_ids.append(token)
        sequence.drawn[token] = sequence.drawn.get(token, 0) + 1
        if self._model.is_end(token):
            self._finish(sequence, FinishReason.STOP)
            return
        self._show(sequence, sequence.assembler.feed(self._model.piece(token)))
        if sequence.assembler.stopped:
            self._finish(sequence, FinishReason.STOP)
        elif len(sequence.token_ids) == request.max_tokens:
            self._finish(sequence, FinishReason.LENGTH)
        else:
            sequence.pending = [token]

    def _finish(self, sequence: _Sequence, reason: FinishReason) -> None:
        self._show(sequence, sequence.assembler.finish())
        if sequence.assembler.stopped:
            reason = FinishReason.STOP
        prompt_tokens = len(sequence.generation.request.prompt_tokens)
        text, token_ids = "".join(sequence.pieces), tuple(sequence.token_ids)
        self._end(sequence, GenerationResult(text, token_ids, reason, prompt_tokens))

    def _show(self, sequence: _Sequence, piece: str) -> None:
        sequence.pieces.append(piece)
        sequence.generation.add_piece(piece)

    def _end(self, sequence: _Sequence, outcome: GenerationResult | GenerationError) -> None:
        self._leave(sequence)
        sequence.generation.end(outcome)

    def _leave(self, sequence: _Sequence) -> None:
        """Take a sequence out, with its cells: a sequence that is forgotten in there leaks them."""
        if sequence in self._active:
            self._active.remove(sequence)
            self._context.remove(sequence.slot)
        else:
            self._waiting.remove(sequence)

    def _make_room(self) -> None:
        """Let the youngest sequence wait; it will be read in again with what it has said."""
        sequence = self._active[-1]
        if len(self._active) == 1:
            self._end(sequence, EngineFailed("engine: the cache has no room for one sequence"))
            return
        self._leave(sequence)
        sequence.pending = [*sequence.generation.request.prompt_tokens, *sequence.token_ids]
        sequence.position = 0
        self._waiting.appendleft(sequence)

    def _measure(self, drawn: int, seconds: float) -> None:
        if drawn:
            rate = drawn / max(seconds, 1e-9)
            old = self.tokens_per_s or rate
            self.tokens_per_s = _RATE_DECAY * old + (1 - _RATE_DECAY) * rate
