"""The state of one follower of an answer: what it has read, and the events that it passes on.

A position in an answer is the length so far and a checksum of the text, such as `120-5f3a9c1e`. It
means the same in every miner's stream. So a client that reconnects continues after its position,
whichever miner makes the answer now. If the text before the position differs from the client's, the
follower raises SourceDiverged.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from sessions.errors import DeadlinePassed, InvalidField, RelayError, SourceDiverged, TaskFailed
from sessions.logprobs import TokenLogprob, read_logprobs
from sessions.models import TaskStatus
from sessions.results import TaskResult
from sessions.streams.buffer import StreamEntry

MAX_TEXT_CHARACTERS = 1_000_000
"""The most characters that are read of a miner's answer. A longer answer fails."""
JOINED_CHARACTERS = 4_096
"""Pieces that arrive together are joined up to about this size."""
END_GRACE_S = 2.0
"""Seconds that a follower waits for entries that arrive shortly after the end of a task."""
_END = "-end"


@dataclass(frozen=True)
class SourceChosen:
    """From now on, the answer comes from this miner's stream."""

    miner: str


@dataclass(frozen=True)
class StageReached:
    """The task has reached a stage."""

    status: TaskStatus


@dataclass(frozen=True)
class AnswerPiece:
    """The next piece of the answer, and the position after it."""

    text: str
    position: str = field(default="", compare=False)
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class AnswerDone:
    """The live miner's answer is complete. Its token counts are not judged yet."""

    miner: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    position: str = field(default="", compare=False)


@dataclass(frozen=True)
class ResultsCounted:
    """The results that count, best first. Only the missing rest of the answer may follow."""

    results: tuple[TaskResult, ...]


StreamEvent = SourceChosen | StageReached | AnswerPiece | AnswerDone | ResultsCounted


@dataclass(frozen=True)
class AnswerPosition:
    """How much of an answer a client has received."""

    characters: int = 0
    checksum: int = 0
    is_end: bool = False

    @classmethod
    def parse(cls, text: str, field: str = "Last-Event-ID") -> "AnswerPosition":
        """Parse the output of `str`. An empty text is the start.

        Raises:
            InvalidField: the text is not a position. The error names `field`.
        """
        if not text:
            return cls()
        characters, _, checksum = text.removesuffix(_END).partition("-")
        if not (characters.isascii() and characters.isdecimal() and len(characters) <= 7):
            raise _invalid_position(text, field)
        try:
            value = int(checksum, 16)
        except ValueError as error:
            raise _invalid_position(text, field) from error
        if len(checksum) != 8 or value < 0:
            raise _invalid_position(text, field)
        return cls(int(characters), value, text.endswith(_END))

    def __str__(self) -> str:
        end = _END if self.is_end else ""
        return f"{self.characters}-{self.checksum:08x}{end}"


@dataclass
class _StreamedText:
    """The text and log-probabilities in entries that were read together."""

    text: str = ""
    logprobs: list[TokenLogprob] = field(default_factory=list)

    def add(self, entry: Mapping[str, str]) -> None:
        self.text += entry.get("text", "")
        if "logprobs" in entry:
            self.logprobs += _logprobs(entry["logprobs"])


@dataclass
class AnswerRelay:
    """One follower's place in the task's and the miner's stream, and what it has passed on."""

    task_key: str
    deadline: float
    """A time on the monotonic clock."""
    resume: AnswerPosition = field(default_factory=AnswerPosition)
    """The position that the client reached on an earlier connection."""
    miner: str = ""
    source_key: str | None = None
    done: bool = False
    ended: bool = False
    _characters: int = 0
    _checksum: int = 0
    _pieces: list[str] = field(default_factory=list)
    _to_match: str = ""
    _tokens: int = 0
    """The number of tokens whose log-probabilities were read, from any source."""
    _tokens_to_match: int = 0
    """How many of the current source's next tokens were already read from an earlier source."""
    _pending_logprobs: list[TokenLogprob] = field(default_factory=list)
    """Log-probabilities whose text has not arrived yet."""

    @property
    def position(self) -> str:
        """The position that the client has reached."""
        reached = AnswerPosition(self._characters, self._checksum)
        return str(reached if self._characters >= self.resume.characters else self.resume)

    def too_late(self) -> RelayError:
        """Return the error to raise when the time to wait is over."""
        if self.ended:
            return TaskFailed(
                "the task ended without a result; what was reserved for it and not paid"
                " has returned to the session"
            )
        return DeadlinePassed(
            "no answer within the time that the task has",
            remedy="look at the task later; what is not paid returns to the session",
        )

    def end_soon(self) -> None:
        """Wait only for entries that are already under way."""
        self.deadline = min(self.deadline, time.monotonic() + END_GRACE_S)

    def read(self, found: Mapping[str, Sequence[StreamEntry]]) -> list[StreamEvent]:
        """Read new entries, given by stream, and return the events for the client."""
        events: list[StreamEvent] = []
        read_from = self.source_key
        for entry in found.get(self.task_key, ()):
            events += self._read_task(entry.fields)
        # Skip the last entries of a replaced source: its successor sends the same text.
        if read_from is not None and read_from == self.source_key and not self.done:
            events += self._read_source(found.get(read_from, ()))
        return events

    def _read_task(self, entry: Mapping[str, str]) -> list[StreamEvent]:
        match entry.get("type"):
            case "source" if not self.done and entry["key"] != self.source_key:
                self._begin_source(entry["miner"], entry["key"])
                return [SourceChosen(self.miner)]
            case "stage":
                status = TaskStatus(entry["status"])
                if status.is_final and not self.ended:
                    self.ended = True
                    self.end_soon()
                return [StageReached(status)]
            case "results":
                results = tuple(_result(row) for row in json.loads(entry["body"]))
                return [*self._stream_best(results), ResultsCounted(results)]
            case "failed":
                raise TaskFailed(entry["message"], extra={"reason": entry["code"]})
        return []

    def _begin_source(self, miner: str, key: str | None) -> None:
        # While the client is ahead of this reader, only the checksum can verify the text.
        ahead = self._characters >= self.resume.characters
        self._to_match = "".join(self._pieces) if ahead else ""
        # The same text means the same tokens.
        self._tokens_to_match = self._tokens if ahead else 0
        if not ahead:
            self._characters, self._checksum, self._pieces = 0, 0, []
            self._tokens, self._pending_logprobs = 0, []
        self.miner, self.source_key = miner, key

    def _read_source(self, entries: Sequence[StreamEntry]) -> Iterator[StreamEvent]:
        # Miners are untrusted: missing or invented fields must do no harm.
        streamed = _StreamedText()
        end = None
        for entry in entries:
            streamed.add(entry.fields)
            if "done" in entry.fields:
                end = entry.fields
                break
            if len(streamed.text) > JOINED_CHARACTERS:
                yield from self._read_text(streamed)
                streamed = _StreamedText()
        yield from self._read_text(streamed)
        if end is not None:
            yield self._end(
                _finish_reason(end.get("finish_reason")),
                _count(end.get("prompt_tokens")),
                _count(end.get("completion_tokens")),
            )

    def make_up(self, results: Sequence[TaskResult]) -> list[StreamEvent]:
        """Return the events that are missing of an answer, made from stored results."""
        if not results:
            return []
        return [
            *([] if self.done else self._stream_result(results[0])),
            ResultsCounted(tuple(results)),
        ]

    def _stream_best(self, results: Sequence[TaskResult]) -> Iterator[StreamEvent]:
        """Pass on the best result like a stream, if the stream's `source` entry was lost."""
        if results and self.source_key is None and not self.done:
            yield from self._stream_result(results[0])

    def _stream_result(self, best: TaskResult) -> Iterator[StreamEvent]:
        self._begin_source(best.address, None)
        yield SourceChosen(best.address)
        yield from self._read_text(_StreamedText(best.text, list(best.logprobs)))
        yield self._end(best.finish_reason, best.prompt_tokens, best.completion_tokens)

    def _end(self, finish_reason: str, prompt_tokens: int, completion_tokens: int) -> AnswerDone:
        if self._to_match or self._characters < self.resume.characters:
            raise _diverged()
        self.done = True
        position = AnswerPosition(self._characters, self._checksum, is_end=True)
        return AnswerDone(
            self.miner, finish_reason, prompt_tokens, completion_tokens, str(position)
        )

    def _read_text(self, streamed: "_StreamedText") -> Iterator[AnswerPiece]:
        known = min(self._tokens_to_match, len(streamed.logprobs))
        self._tokens_to_match -= known
        self._tokens += len(streamed.logprobs) - known
        self._pending_logprobs += streamed.logprobs[known:]
        piece = self._new_text(streamed.text) if streamed.text else ""
        if piece:
            reported, self._pending_logprobs = tuple(self._pending_logprobs), []
            yield AnswerPiece(
                piece, str(AnswerPosition(self._characters, self._checksum)), reported
            )
        elif self._characters <= self.resume.characters:
            self._pending_logprobs = []  # the client received them with their text

    def _new_text(self, text: str) -> str:
        """Return the part of a text that the client has not received yet."""
        if self._to_match:
            common = min(len(text), len(self._to_match))
            if text[:common] != self._to_match[:common]:
                raise _diverged()
            self._to_match, text = self._to_match[common:], text[common:]
        had = self.resume.characters - self._characters
        if had > 0:
            self._advance(text[:had])
            if len(text) >= had and self._checksum != self.resume.checksum:
                raise _diverged()
            text = text[had:]
        if text:
            self._advance(text)
        return text

    def _advance(self, text: str) -> None:
        self._pieces.append(text)
        self._characters += len(text)
        self._checksum = crc32(text.encode(errors="replace"), self._checksum)
        if self._characters > MAX_TEXT_CHARACTERS:
            raise TaskFailed(f"the miner streams more than {MAX_TEXT_CHARACTERS} characters")


def _diverged() -> SourceDiverged:
    return SourceDiverged(
        "the miner was replaced in mid-answer, and the next one's text does not continue what"
        " was already sent",
        remedy="discard the text and look at the task for the result that counts",
    )


def _invalid_position(text: str, field: str) -> InvalidField:
    return InvalidField(
        f"{text[:40]!r} is not a position in an answer",
        field=field,
        remedy="send the id of the last event as it came, or none to start over",
    )


def _result(row: dict[str, Any]) -> TaskResult:
    return TaskResult(**row | {"logprobs": read_logprobs(row.get("logprobs", ()))})


def _logprobs(text: str) -> tuple[TokenLogprob, ...]:
    """Parse a miner's log-probabilities. Malformed ones are dropped; the validator judges them."""
    try:
        return read_logprobs(json.loads(text))
    except (ValueError, RecursionError):
        return ()


def _finish_reason(value: str | None) -> str:
    return value if value in ("length", "cancelled") else "stop"


def _count(value: str | None) -> int:
    return int(value) if value and value.isdecimal() and len(value) < 10 else 0
