"""A request to generate, and the handle through which its text arrives."""

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
    """It has `max_tokens` tokens."""
    CANCELLED = "cancelled"
    """Nobody waits for more than it has."""


class GenerationError(NodeError):
    """Base: there will be no result. `code` is what a report says."""

    code = "generation_failed"


class Cancelled(GenerationError):
    """Whoever asked wants it no more."""

    code = "cancelled"


class DeadlinePassed(GenerationError):
    """The time that was given is over."""

    code = "deadline_passed"


class EngineFailed(GenerationError):
    """The model could not be run on."""

    code = "engine_failed"


class GrammarFailed(GenerationError):
    """The grammar lets no token follow, or cannot be worked out any further."""

    code = "grammar_failed"


class GrammarTooSlow(GenerationError):
    """The grammar leaves so many ways open that others would have to wait for this answer."""

    code = "grammar_too_slow"


class EngineClosed(GenerationError):
    """The engine has stopped."""

    code = "engine_closed"


@dataclass(frozen=True)
class GenerationRequest:
    """What to generate.

    Args:
        prompt_tokens: at least one.
        max_tokens: at least one; the token that ends an answer counts.
        seed: fixes the noise of every draw.
        stop: strings that end the answer and are not part of it.
        deadline_at: Unix seconds.
        logprobs: of how many of the likeliest tokens, beside the one drawn, the result tells the
            log-probabilities at each position; 0 tells none at all.
        grammar: in llguidance's dialect of Lark; the answer is a text of it, cut off at
            `max_tokens` if need be.
        draft: the tokens that somebody says the answer has. As far as they are those that are
            drawn, it is made many tokens at a time. What it says does not depend on them.
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
    """A whole answer. `token_ids` are all that were drawn, those of the end included."""

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    prompt_tokens: int
    logprobs: tuple[TokenLogprobs, ...] = ()
    """One a token, where the request asked for them."""

    @property
    def completion_tokens(self) -> int:
        """How many tokens were drawn."""
        return len(self.token_ids)


class Piece(NamedTuple):
    """The next words of an answer, and of the tokens up to their end what the request asked for."""

    text: str
    logprobs: tuple[TokenLogprobs, ...] = ()


class Generation:
    """An answer in the making: iterate over its pieces, or `watch` it and `take` them.

    Joined, the pieces are the result's text.
    """

    def __init__(self, request: GenerationRequest) -> None:
        self.request = request
        self.cancelled = False
        self.outcome: GenerationResult | GenerationError | None = None
        """How it ended; when that is known, all of its pieces are there."""
        self._enough_characters: int | None = None
        self._shown_characters = 0
        self._untold: list[TokenLogprobs] = []
        self._on_cancel: Callable[[], object] | None = None
        self._on_news: Callable[[], object] | None = None
        self._pieces: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()
        self._ended = threading.Event()

    def __iter__(self) -> Iterator[str]:
        """Its pieces as they are made; raises the GenerationError that ended it."""
        return (piece.text for piece in self.pieces())

    def pieces(self) -> Iterator[Piece]:
        """Like iteration, with what else the request asked for."""
        while (piece := self._pieces.get()) is not None:
            yield piece
        self.result()

    def watch(self, on_news: Callable[[], object]) -> None:
        """Have `on_news` called, on whatever thread, when there are pieces to take, or the end."""
        self._on_news = on_news
        if self.outcome is not None:
            on_news()
        else:
            self.tell()

    def take(self) -> Piece:
        """All pieces that are there, as one, which may be empty. It never waits."""
        texts: list[str] = []
        logprobs: list[TokenLogprobs] = []
        with suppress(queue.Empty):
            while (piece := self._pieces.get_nowait()) is not None:
                texts.append(piece.text)
                logprobs += piece.logprobs
        return Piece("".join(texts), tuple(logprobs))

    def result(self, timeout_s: float | None = None) -> GenerationResult:
        """Wait for the end; raises the error that ended it, or TimeoutError."""
        if not self._ended.wait(timeout_s):
            raise TimeoutError(f"generation: not ended within {timeout_s} s")
        if isinstance(self.outcome, GenerationResult):
            return self.outcome
        assert self.outcome is not None
        raise self.outcome

    def cancel(self) -> None:
        """End it before the next step. Harmless when it has ended."""
        self.cancelled = True
        if self._on_cancel is not None:
            self._on_cancel()

    def when_cancelled(self, act: Callable[[], object]) -> None:
        """For an engine that waits elsewhere than here: what to do at a cancellation."""
        self._on_cancel = act
        if self.cancelled:
            act()

    def shorten(self, characters: int) -> None:
        """End it with its first token that completes so many characters. Harmless when it has."""
        self._enough_characters = characters

    @property
    def is_enough(self) -> bool:
        """Whether it is to be shortened, and has as many characters as it was shortened to."""
        enough = self._enough_characters
        return enough is not None and self._shown_characters >= enough

    def add_logprobs(self, told: TokenLogprobs) -> None:
        """For the engine: of the next token, before the piece that it completes."""
        self._untold.append(told)

    def add_piece(self, text: str) -> None:
        """For the engine: the next piece is there. Who watches learns of it by `tell`."""
        if text:
            self._shown_characters += len(text)
            self._pieces.put(Piece(text, tuple(self._untold)))
            self._untold.clear()

    def tell(self) -> None:
        """For the engine: let who watches know of what is there, once a step has all its tokens."""
        if self._on_news is not None and not self._pieces.empty():
            self._on_news()

    def end(self, outcome: GenerationResult | GenerationError) -> None:
        """For the engine: no piece follows."""
        self.outcome = outcome
        self._ended.set()
        self._pieces.put(None)
        if self._on_news is not None:
            self._on_news()
