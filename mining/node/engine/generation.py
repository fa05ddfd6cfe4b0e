"""A request to generate an answer, and the handle through which its text arrives."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from mining.node.engine.sampling import TokenLogprobs
from mining.node.errors import NodeError
from mining.node.protocol.sampling_params import SamplingParams


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    """The model ended it, or a stop string did."""
    LENGTH = "length"
    """The answer has `max_tokens` tokens."""
    CANCELLED = "cancelled"
    """The answer was shortened: the client needs no more characters than it has."""


class GenerationError(NodeError):
    """Base class of the errors that end a generation without a result. `code` goes into reports."""

    code = "generation_failed"


class Cancelled(GenerationError):
    """The generation was cancelled."""

    code = "cancelled"


class DeadlinePassed(GenerationError):
    """The request's deadline has passed."""

    code = "deadline_passed"


class EngineFailed(GenerationError):
    """The engine could not run the model any further."""

    code = "engine_failed"


class GrammarFailed(GenerationError):
    """The grammar allows no token, or the library cannot evaluate it any further."""

    code = "grammar_failed"


class GrammarTooSlow(GenerationError):
    """The grammar is so ambiguous that its evaluation would delay all other answers."""

    code = "grammar_too_slow"


class EngineClosed(GenerationError):
    """The engine has stopped."""

    code = "engine_closed"


@dataclass(frozen=True)
class GenerationRequest:
    """A request to generate an answer.

    Args:
        prompt_tokens: the tokens of the prompt; at least one.
        max_tokens: the most tokens that the answer may have; at least one. The token that ends
            the answer counts.
        sampling: the sampling parameters.
        seed: what the noise of every draw is computed from.
        stop: strings that end the answer and are not part of it.
        deadline_at: when the generation ends without a result, in Unix seconds.
        logprobs: for how many of the likeliest tokens, beside the one drawn, the result holds
            log-probabilities at each position. At 0 it holds none, not even of the drawn token.
        grammar: a grammar in llguidance's dialect of Lark. The answer is a text of the grammar,
            unless it is cut off at `max_tokens`.
        draft: the tokens that a miner claims the answer to have. Where they agree with the
            tokens that are drawn, the engine processes many tokens in one step. The answer does
            not depend on them.
    """

    prompt_tokens: Sequence[int]
    max_tokens: int
    sampling: SamplingParams = field(default_factory=SamplingParams)
    seed: bytes = b""
    stop: Sequence[str] = ()
    deadline_at: float = float("inf")
    logprobs: int = 0
    grammar: str = ""
    draft: Sequence[int] = ()


@dataclass(frozen=True)
class GenerationResult:
    """A whole answer. `token_ids` holds every token that was drawn, also the one that ended it."""

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    prompt_tokens: int
    logprobs: tuple[TokenLogprobs, ...] = ()
    """One entry for each token, if the request asked for log-probabilities."""

    @property
    def completion_tokens(self) -> int:
        """The number of tokens that were drawn."""
        return len(self.token_ids)


class Piece(NamedTuple):
    """The next part of an answer's text, with the log-probabilities of the tokens up to its end."""

    text: str
    logprobs: tuple[TokenLogprobs, ...] = ()


class Generation:
    """An answer that is being generated.

    Either iterate over its pieces, or call `watch` and then `take` them. The joined pieces are the
    result's text.
    """

    def __init__(self, request: GenerationRequest) -> None:
        self.request = request
        self.cancelled = False
        self.outcome: GenerationResult | GenerationError | None = None
        """The result or the error, once the generation has ended. By then all pieces are there."""
        self._enough_characters: int | None = None
        self._shown_characters = 0
        self._unsent: list[TokenLogprobs] = []
        self._on_cancel: Callable[[], object] | None = None
        self._on_news: Callable[[], object] | None = None
        self._pieces: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()
        self._ended = threading.Event()

    def __iter__(self) -> Iterator[str]:
        """Yield the text of each piece as it is made. Raises the GenerationError that ended it."""
        return (piece.text for piece in self.pieces())

    def pieces(self) -> Iterator[Piece]:
        """Yield each piece, with its log-probabilities. Raises like iteration."""
        while (piece := self._pieces.get()) is not None:
            yield piece
        self.result()

    def watch(self, on_news: Callable[[], object]) -> None:
        """Call `on_news` when there are pieces to take, and at the end. Any thread may call it."""
        self._on_news = on_news
        if self.outcome is not None:
            on_news()
        else:
            self.tell()

    def take(self) -> Piece:
        """Return all pieces that are there, joined to one, which may be empty. Never waits."""
        texts: list[str] = []
        logprobs: list[TokenLogprobs] = []
        with suppress(queue.Empty):
            while (piece := self._pieces.get_nowait()) is not None:
                texts.append(piece.text)
                logprobs += piece.logprobs
        return Piece("".join(texts), tuple(logprobs))

    def result(self, timeout_s: float | None = None) -> GenerationResult:
        """Wait for the end and return the result.

        Raises:
            GenerationError: the generation ended without a result.
            TimeoutError: it did not end within `timeout_s` seconds.
        """
        if not self._ended.wait(timeout_s):
            raise TimeoutError(f"generation: it did not end within {timeout_s} s")
        if isinstance(self.outcome, GenerationResult):
            return self.outcome
        assert self.outcome is not None
        raise self.outcome

    def cancel(self) -> None:
        """End the generation before the engine's next step. Does nothing if it has ended."""
        self.cancelled = True
        if self._on_cancel is not None:
            self._on_cancel()

    def when_cancelled(self, act: Callable[[], object]) -> None:
        """Call `act` when the generation is cancelled, at once if it is cancelled already.

        For engines that do not look at `cancelled` by themselves.
        """
        self._on_cancel = act
        if self.cancelled:
            act()

    def shorten(self, characters: int) -> None:
        """End the answer with the token by which it has `characters` characters or more.

        Does nothing if the answer has ended.
        """
        self._enough_characters = characters

    @property
    def is_enough(self) -> bool:
        """Whether the answer is to be shortened and has the requested number of characters."""
        enough = self._enough_characters
        return enough is not None and self._shown_characters >= enough

    def add_logprobs(self, logprobs: TokenLogprobs) -> None:
        """For the engine: add the next token's log-probabilities, before its piece is added."""
        self._unsent.append(logprobs)

    def add_piece(self, text: str) -> None:
        """For the engine: add the next piece. A watcher is told by `tell`."""
        if text:
            self._shown_characters += len(text)
            self._pieces.put(Piece(text, tuple(self._unsent)))
            self._unsent.clear()

    def tell(self) -> None:
        """For the engine: tell the watcher about new pieces, after all draws of a step."""
        if self._on_news is not None and not self._pieces.empty():
            self._on_news()

    def end(self, outcome: GenerationResult | GenerationError) -> None:
        """For the engine: end the generation. No piece follows."""
        self.outcome = outcome
        self._ended.set()
        self._pieces.put(None)
        if self._on_news is not None:
            self._on_news()
