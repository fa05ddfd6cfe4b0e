"""Continuous batching: one thread generates many answers at once with one model.

Requests join and leave between steps. A step runs one token of every sequence that is generating,
and a chunk of the prompts that still have to be read. So a long prompt delays the others by at most
a chunk.

Every slot has cells of its own in the cache and keeps their tokens after its sequence has ended. A
prompt that shares a prefix with a prompt in another slot is read only from the end of that prefix.

If llama.cpp computes with one thread, each engine has a thread of its own. If it computes with
several, all engines of the process share one thread (see `mining.node.engine.turns`).

A token's logits do not depend on the other sequences, as far as llama.cpp allows. The limits are
explained in `mining.node.engine.batching`, and their effects in `mining.node.engine.sampling`.
"""

import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from mining.node.engine import batching, sampling
from mining.node.engine.cells import Cells
from mining.node.engine.generation import (
    Cancelled,
    DeadlinePassed,
    EngineClosed,
    EngineFailed,
    FinishReason,
    Generation,
    GenerationError,
    GenerationRequest,
    GenerationResult,
    GrammarTooSlow,
)
from mining.node.engine.grammar import Grammar
from mining.node.engine.sampling import logprobs
from mining.node.engine.sequence import SequenceState
from mining.node.engine.turns import Turns, shared
from mining.node.llm.embedding import Embedder, Vector, in_batches
from mining.node.llm.llama import Context, Model, Run
from mining.node.llm.prompts import ModelPrompts
from mining.node.llm.trial import fastest_threads, is_faster_apart

logger = logging.getLogger(__name__)

SLOWEST_GRAMMAR_S = 0.5
"""The most processor time that a grammar may take for one token, since all answers wait for it."""
_RATE_DECAY = 0.98


class Engine:
    """Generates answers for up to `slots` requests at once. Further requests wait in a queue.

    Args:
        threads: the number of llama.cpp's threads. None means the number that a trial finds
            fastest. Engines with more than one thread take turns.
        context_tokens: the most tokens that a prompt and its answer may have together. None means
            the model's own limit.
        gpu_layers: how many of the model's layers a GPU holds; -1 for all.
        progress: called with the share of the weights that is read, from 0 to 1.

    Raises:
        LlamaError: the model cannot be loaded, or there is no memory for its cache.
    """

    def __init__(
        self,
        model_path: Path,
        *,
        slots: int = 4,
        threads: int | None = 1,
        context_tokens: int | None = None,
        gpu_layers: int = 0,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self._model = Model(model_path, gpu_layers=gpu_layers, progress=progress)
        self.prompts = ModelPrompts(self._model)
        if context_tokens is not None:
            self.prompts.context_tokens = min(context_tokens, self.prompts.context_tokens)
        self._on_gpu = gpu_layers != 0
        self.slots = slots
        self.tokens_per_s = 0.0
        """The recent speed of all sequences together."""
        self.prefill_tokens = self.shared_tokens = 0
        """How many prompt tokens were read, and how many were reused from the cache."""
        self.draw_s = self.step_s = 0.0
        """Seconds spent on drawing tokens, and on steps as a whole."""
        self._context = Context(
            self._model,
            sequence_tokens=self.prompts.context_tokens,
            sequences=slots,
            batch_tokens=max(batching.FULL_TOKENS, slots),
            threads=threads or 1,
        )
        self._incoming: queue.SimpleQueue[SequenceState] = queue.SimpleQueue()
        self._waiting: deque[SequenceState] = deque()
        self._active: dict[int, SequenceState] = {}
        self._cells = Cells(self._context, slots, self.prompts.context_tokens)
        self._closed = False
        self._gate = threading.Lock()
        """Held while the engine closes, and while a call gives it work that must precede that."""
        self._embedder: Embedder | None = None
        self.threads = (
            threads or shared().ask(partial(fastest_threads, self._context, slots)).result()
        )
        """The number of llama.cpp's threads."""
        self._turns = Turns("engine") if self.threads == 1 else shared()
        apart = self._turns.ask(partial(is_faster_apart, self._context, slots)).result()
        self._order = batching.order(slots, apart=apart)

    def submit(self, request: GenerationRequest) -> Generation:
        """Queue a request and return the handle of its answer.

        Raises:
            ContextExceeded: the prompt and the answer do not fit into the context.
            GrammarInvalid: the grammar cannot be used.
            EngineClosed: the engine is closed.
        """
        self.prompts.require_room(len(request.prompt_tokens), request.max_tokens)
        if not request.prompt_tokens or request.max_tokens < 1:
            raise ValueError("request: send at least one prompt token and max_tokens of at least 1")
        self._require_tokens(request.prompt_tokens)
        generation = Generation(request)
        with self._gate:
            self._require_open()
            grammar = Grammar(self._model, request.grammar) if request.grammar else None
            state = SequenceState.of(generation, grammar, self._model.vocabulary_size)
            self._incoming.put(state)
            self._turns.take(self._turn)
        return generation

    def embed(self, prompts: Sequence[Sequence[int]]) -> list[Vector]:
        """Return the embedding of each prompt, a vector of length 1.

        Prompts are computed between the steps of answers. The first call allocates a context.

        Raises:
            ContextExceeded: a prompt does not fit into the context.
            EngineClosed: the engine is closed.
            LlamaError: there is no memory, or llama.cpp fails.
        """
        for prompt in prompts:
            self.prompts.require_room(len(prompt), 0)
            if not prompt:
                raise ValueError("prompt: it is empty; send at least one token")
            self._require_tokens(prompt)
        vectors: list[Vector] = []
        for batch in in_batches(prompts, self.prompts.context_tokens):
            with self._gate:
                self._require_open()
                embedding = self._turns.ask(partial(self._embed, batch))
            vectors += embedding.result()
        return vectors

    def close(self) -> None:
        """Stop after the current step. Unfinished answers end with EngineClosed."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
        self._turns.ask(self._stop).result()
        if self.threads == 1:
            self._turns.close()

    def _require_tokens(self, tokens: Sequence[int]) -> None:
        # An unknown token would make the whole batch fail, for every sequence in it.
        if not 0 <= min(tokens) <= max(tokens) < self._model.vocabulary_size:
            raise ValueError("tokens: one of them is a token that the model does not have")

    def _require_open(self) -> None:
        if self._closed:
            raise EngineClosed("engine: it has stopped; start the node again")

    # ── the engine's thread ──────────────────────────────────────────────────

    def _turn(self) -> bool:
        if self._closed:
            return False
        try:
            self._take_in()
            self._drop_unwanted()
            self._admit()
            if self._active:
                self._step()
        except Exception as error:
            logger.exception("a step failed; all active sequences end with an error")
            for slot, sequence in list(self._active.items()):
                self._end(sequence, EngineFailed(f"engine: {error}"))
                self._cells.keep(slot, 0)
        return bool(self._active or self._waiting)

    def _stop(self) -> None:
        self._take_in()
        for sequence in [*self._active.values(), *self._waiting]:
            self._end(sequence, EngineClosed("engine: it was stopped before the answer ended"))
        if self._embedder is not None:
            self._embedder.close()
        self._context.close()
        self._model.close()

    def _embed(self, prompts: Sequence[Sequence[int]]) -> list[Vector]:
        if self._embedder is None:
            self._embedder = Embedder(
                self._model, context_tokens=self.prompts.context_tokens, threads=self.threads
            )
        return self._embedder.embed(prompts)

    def _take_in(self) -> None:
        while not self._incoming.empty():
            self._waiting.append(self._incoming.get())

    def _drop_unwanted(self) -> None:
        now = time.time()
        for sequence in [*self._active.values(), *self._waiting]:
            if sequence.generation.cancelled:
                self._end(sequence, Cancelled("generation: it was cancelled"))
            elif now >= sequence.generation.request.deadline_at:
                self._end(sequence, DeadlinePassed("generation: its deadline has passed"))
            elif sequence.token_ids and sequence.generation.is_enough:
                self._finish(sequence, FinishReason.CANCELLED)

    def _admit(self) -> None:
        for slot in self._order:
            if not self._waiting:
                return
            if slot not in self._active:
                sequence = self._waiting.popleft()
                sequence.slot = slot
                self._active[slot] = sequence

    def _step(self) -> None:
        started = time.perf_counter()
        drawn, draw_s = 0, 0.0
        for piece in batching.pieces(self._plan()):
            self._cells.decode(piece)
            decoded = time.perf_counter()
            sequences = [self._active[run.sequence] for run in piece]
            first = 0
            for sequence, run in zip(sequences, piece, strict=True):
                self._attempt(sequence, run, first)
                first += run.outputs
            for sequence in sequences:
                sequence.generation.tell()
            drawn += first
            draw_s += time.perf_counter() - decoded
        self._measure(drawn, time.perf_counter() - started, draw_s)

    def _plan(self) -> list[Run]:
        """Return the runs of the next step, ordered by slot."""
        counts = {slot: 1 for slot, sequence in self._active.items() if sequence.is_generating}
        # `_active` keeps the order of arrival, so the oldest sequence comes first.
        reading = [s for s in self._active.values() if not s.is_generating and self._begin(s)]
        room = batching.room_for_prompts(len(reading), len(counts), on_gpu=self._on_gpu)
        shares = batching.shares([sequence.unread for sequence in reading], room)
        for sequence, count in zip(reading, shares, strict=True):
            if count:
                counts[sequence.slot] = count
                self.prefill_tokens += count
        runs = []
        for slot, count in sorted(counts.items()):
            tokens = self._active[slot].pending[:count]
            outputs = self._active[slot].read(count)
            runs.append(Run(slot, self._cells.length(slot), tokens, outputs))
        return runs

    def _begin(self, sequence: SequenceState) -> bool:
        """Reuse the longest prefix that a slot holds. Return False to wait for a longer one."""
        if sequence.begun:
            return True
        coming = [
            (other.slot, other.pending[: other.unread_prompt])
            for other in self._active.values()
            if other.begun and other.unread_prompt
        ]
        prompt = sequence.pending[: sequence.unread_prompt]
        reused = self._cells.take_over(sequence.slot, prompt, coming)
        if reused is None:
            return False
        sequence.read(reused)
        self.shared_tokens += reused
        sequence.begun = True
        return True

    def _attempt(self, sequence: SequenceState, run: Run, number: int) -> None:
        """Draw a sequence's next tokens. An error ends only this sequence."""
        try:
            self._go_on(sequence, run, number)
        except GenerationError as error:
            self._end(sequence, error)
        except Exception as error:
            logger.exception("a token could not be drawn; its sequence ends with an error")
            if sequence.generation.outcome is None:
                self._end(sequence, EngineFailed(f"engine: {type(error).__name__}: {error}"))

    def _go_on(self, sequence: SequenceState, run: Run, number: int) -> None:
        """Draw the token that follows each drafted token, until a draw differs from the draft.

        Args:
            number: the index in the piece of the run's first logits.
        """
        drafted = [*run.tokens[len(run.tokens) - run.outputs + 1 :], *sequence.pending[:1]]
        for index in range(run.outputs):
            if index and sequence.generation.is_enough:
                self._finish(sequence, FinishReason.CANCELLED)
                return
            token = self._draw(sequence, number + index)
            if token is None:
                return
            if drafted[index : index + 1] != [token]:
                sequence.pending = [token]
                # The rest of the run was computed after another token than the one drawn.
                if wrong := run.outputs - index - 1:
                    self._cells.keep(run.sequence, run.position + len(run.tokens) - wrong)
                return

    def _draw(self, sequence: SequenceState, number: int) -> int | None:
        """Draw the next token and show its text. Return None if the answer ends with it."""
        request = sequence.generation.request
        logits = self._context.logits(number)
        if not math.isfinite(float(logits.max())):
            raise EngineFailed(
                "engine: the model's logits are not finite; check whether its file is damaged"
            )
        scores, among = logits, None
        if sequence.grammar is not None:
            started = time.thread_time()
            scores, among = sequence.grammar.allowed(logits)
            if time.thread_time() - started > SLOWEST_GRAMMAR_S:
                raise GrammarTooSlow(
                    "grammar: it allows too many continuations at once; simplify it"
                )
        token = sampling.draw(
            scores,
            request.sampling,
            drawn=sequence.drawn,
            seed=request.seed,
            position=len(sequence.token_ids),
            among=among,
        )
        if sequence.grammar is not None and not self._model.is_end(token):
            sequence.grammar.accept(token)
        if request.logprobs:
            token_logprobs = logprobs(logits, token, request.logprobs)
            sequence.logprobs.append(token_logprobs)
            if not self._model.is_end(token):
                sequence.generation.add_logprobs(token_logprobs)
        sequence.token_ids.append(token)
        sequence.drawn[token] = sequence.drawn.get(token, 0) + 1
        if self._model.is_end(token):
            self._finish(sequence, FinishReason.STOP)
            return None
        self._show(sequence, sequence.assembler.feed(self._model.piece(token)))
        if sequence.assembler.stopped:
            self._finish(sequence, FinishReason.STOP)
            return None
        if len(sequence.token_ids) == request.max_tokens:
            self._finish(sequence, FinishReason.LENGTH)
            return None
        return token

    def _finish(self, sequence: SequenceState, reason: FinishReason) -> None:
        self._show(sequence, sequence.assembler.finish())
        if sequence.assembler.stopped and reason is not FinishReason.CANCELLED:
            reason = FinishReason.STOP
        prompt_tokens = len(sequence.generation.request.prompt_tokens)
        text, token_ids = "".join(sequence.pieces), tuple(sequence.token_ids)
        self._end(
            sequence,
            GenerationResult(text, token_ids, reason, prompt_tokens, tuple(sequence.logprobs)),
        )

    def _show(self, sequence: SequenceState, piece: str) -> None:
        sequence.pieces.append(piece)
        sequence.generation.add_piece(piece)

    def _end(self, sequence: SequenceState, outcome: GenerationResult | GenerationError) -> None:
        self._leave(sequence)
        sequence.generation.end(outcome)

    def _leave(self, sequence: SequenceState) -> None:
        """Remove a sequence. Its cells stay, for later prompts with the same prefix."""
        if self._active.get(sequence.slot) is sequence:
            del self._active[sequence.slot]
        else:
            self._waiting.remove(sequence)

    def _measure(self, drawn: int, step_s: float, draw_s: float) -> None:
        self.draw_s += draw_s
        self.step_s += step_s
        if drawn:
            rate = drawn / max(step_s, 1e-9)
            old = self.tokens_per_s or rate
            self.tokens_per_s = _RATE_DECAY * old + (1 - _RATE_DECAY) * rate
