"""Turns an answer into the entries of its stream, and skips what the stream has already."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mining.node.engine.generation import GenerationResult
from mining.node.engine.sampling import TokenLogprobs


class StreamMismatch(Exception):
    """The text that was streamed before is not the beginning of this run's answer.

    `code` goes into reports.
    """

    code = "stream_mismatch"


@dataclass(frozen=True)
class Entry:
    """An entry that is to be appended to a stream.

    Args:
        key: the Redis key of the stream.
        id: the id of the entry.
        fields: its fields.
        max_entries: the most entries that the stream may keep.
    """

    key: str
    id: str
    fields: dict[str, str]
    max_entries: int
    is_edge: bool
    """Whether the entry is the first or the last one of this run."""


class PieceStream:
    """The stream of an answer.

    A job that is delivered again, after a crash for example, is generated again from the same seed.
    The part that the stream has already is skipped, since a client may have read it.

    The first entry of a stream says when it was made, `at` in milliseconds since the epoch. A run
    that goes on behind it says no time.

    Args:
        entries: what the stream has, by id.
        clock: tells the seconds since the epoch.
    """

    def __init__(
        self,
        key: str,
        max_pieces: int,
        entries: Sequence[tuple[str, dict[str, str]]] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._key = key
        self._clock = clock
        # Twice the pieces and some more, so that trimming never removes an answer's beginning.
        self._max_entries = 2 * max_pieces + 16
        self._last = int(entries[-1][0].split("-")[0]) if entries else 0
        self._passed_over = "".join(fields.get("text", "") for _, fields in entries)
        self._ended = any("done" in fields for _, fields in entries)
        self._is_begun = False

    def piece(self, text: str, logprobs: Sequence[TokenLogprobs] = ()) -> list[Entry]:
        """Return the entry of a piece, or none if it has nothing new. Raises StreamMismatch."""
        known, self._passed_over = self._passed_over[: len(text)], self._passed_over[len(text) :]
        if not text.startswith(known):
            raise StreamMismatch("stream: this run differs from what was streamed before")
        if not text[len(known) :]:
            return []
        fields = {"text": text[len(known) :]}
        if logprobs:
            fields["logprobs"] = json.dumps([each.to_json() for each in logprobs])
        if self._last == 0:
            fields["at"] = str(int(self._clock() * 1000))
        is_first, self._is_begun = not self._is_begun, True
        return [self._next(fields, is_edge=is_first)]

    def done(self, result: GenerationResult) -> list[Entry]:
        """Return the entry that ends a complete answer, or none if the stream has ended already.

        Raises:
            StreamMismatch: the answer is shorter than what the stream has.
        """
        if self._passed_over:
            raise StreamMismatch("stream: this run is shorter than what was streamed before")
        if self._ended:
            return []
        fields = {
            "done": "1",
            "finish_reason": result.finish_reason.value,
            "prompt_tokens": str(result.prompt_tokens),
            "completion_tokens": str(result.completion_tokens),
        }
        return [self._next(fields, is_edge=True)]

    def failed(self, code: str) -> Entry:
        """Return the entry that ends an answer which will not be completed."""
        return self._next({"failed": code}, is_edge=True)

    def _next(self, fields: dict[str, str], *, is_edge: bool) -> Entry:
        self._last += 1
        return Entry(self._key, f"{self._last}-0", fields, self._max_entries, is_edge)
