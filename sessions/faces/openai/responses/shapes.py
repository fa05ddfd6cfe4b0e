"""The shapes of answers for OpenAI's clients: chat and text, complete and in chunks.

They also have `session_id` and `task_ids`, with one task for each choice. Each finished choice has
the `address` of the miner that made it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from sessions.faces.common.sse import usage
from sessions.faces.openai.catalogue import public_name
from sessions.faces.openai.responses.logprobs import (
    Placed,
    Places,
    Spelling,
    chat_logprobs,
    text_logprobs,
)
from sessions.logprobs import TokenLogprob
from sessions.models import Task
from sessions.results import TaskResult


class AnswerShape(ABC):
    """The objects of one answer, which may have several choices."""

    id_prefix: ClassVar[str]
    whole_object: ClassVar[str]
    chunk_object: ClassVar[str]

    def __init__(
        self, tasks: Sequence[Task], shown_before: Sequence[str], top_logprobs: int | None = None
    ) -> None:
        first = tasks[0]
        self.shown_before = shown_before
        self._top_logprobs = top_logprobs
        self._spelling = Spelling(int(first.model_identifier))
        self._places = [Places(self._spelling) for _ in tasks]
        self._header = {
            "id": f"{self.id_prefix}-{first.session_id}-{first.task_id}",
            "created": int(first.created_at.timestamp()),
            "model": public_name(int(first.model_identifier)),
            "session_id": first.session_id,
            "task_ids": [task.task_id for task in tasks],
        }

    def whole(self, results: Sequence[TaskResult]) -> dict[str, Any]:
        """Return the complete answer, with one result for each choice."""
        choices = [
            self._whole_choice(index, self.shown_before[index] + result.text, result.finish_reason)
            | _choice(
                index,
                self.reason(index, result.finish_reason),
                self._told(index, result.text, result.logprobs),
            )
            | {"address": result.address}
            for index, result in enumerate(results)
        ]
        counts = [
            sum(result.prompt_tokens for result in results),
            sum(result.completion_tokens for result in results),
        ]
        return self._object(self.whole_object, choices) | {"usage": usage(*counts)}

    def opening(self, index: int) -> dict[str, Any]:
        """Return the first chunk of a choice."""
        return self._chunk(index, self._opening_piece(index))

    def piece(self, index: int, text: str, logprobs: Sequence[TokenLogprob] = ()) -> dict[str, Any]:
        """Return a chunk with the next text of a choice and its log-probabilities."""
        told = self._told(index, text, logprobs)
        return self._chunk(index, self._piece(index, text), logprobs=told)

    def ending(self, index: int, finish_reason: str, address: str) -> dict[str, Any]:
        """Return the last chunk of a choice."""
        piece = self._ending_piece(index, finish_reason)
        chunk = self._chunk(index, piece, self.reason(index, finish_reason))
        chunk["choices"][0]["address"] = address
        return chunk

    def reason(self, index: int, finish_reason: str) -> str:
        """Return why a choice has ended. Call it after the choice's text was read."""
        return finish_reason

    def totals(self, prompt_tokens: int, completion_tokens: int) -> dict[str, Any]:
        """Return the chunk with the usage, which follows the last choice."""
        counts = {"usage": usage(prompt_tokens, completion_tokens)}
        return self._object(self.chunk_object, []) | counts

    def _chunk(
        self,
        index: int,
        piece: dict[str, Any],
        finish_reason: str | None = None,
        logprobs: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        return self._object(self.chunk_object, [piece | _choice(index, finish_reason, logprobs)])

    def _told(
        self, index: int, text: str, logprobs: Sequence[TokenLogprob]
    ) -> dict[str, Any] | None:
        if self._top_logprobs is None:
            return None
        placed = self._places[index].take(logprobs, text)
        return self._logprobs(placed, self._top_logprobs, len(self.shown_before[index]))

    @abstractmethod
    def _logprobs(self, placed: Sequence[Placed], top: int, before: int) -> dict[str, Any]: ...

    def _object(self, name: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return self._header | {"object": name, "choices": choices}

    @abstractmethod
    def _whole_choice(self, index: int, text: str, finish_reason: str) -> dict[str, Any]: ...

    @abstractmethod
    def _opening_piece(self, index: int) -> dict[str, Any]: ...

    @abstractmethod
    def _piece(self, index: int, text: str) -> dict[str, Any]: ...

    @abstractmethod
    def _ending_piece(self, index: int, finish_reason: str) -> dict[str, Any]: ...


class ChatShape(AnswerShape):
    """`chat.completion` objects."""

    id_prefix, whole_object, chunk_object = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def _whole_choice(self, index: int, text: str, finish_reason: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text, "refusal": None}}

    def _opening_piece(self, index: int) -> dict[str, Any]:
        return {"delta": {"role": "assistant", "content": "", "refusal": None}}

    def _piece(self, index: int, text: str) -> dict[str, Any]:
        return {"delta": {"content": text}}

    def _ending_piece(self, index: int, finish_reason: str) -> dict[str, Any]:
        return {"delta": {}}

    def _logprobs(self, placed: Sequence[Placed], top: int, before: int) -> dict[str, Any]:
        return chat_logprobs(placed, top, self._spelling)


class TextShape(AnswerShape):
    """`text_completion` objects."""

    id_prefix, whole_object, chunk_object = "cmpl", "text_completion", "text_completion"

    def _whole_choice(self, index: int, text: str, finish_reason: str) -> dict[str, Any]:
        return {"text": text}

    def _opening_piece(self, index: int) -> dict[str, Any]:
        return {"text": self.shown_before[index]}

    def _piece(self, index: int, text: str) -> dict[str, Any]:
        return {"text": text}

    def _ending_piece(self, index: int, finish_reason: str) -> dict[str, Any]:
        return {"text": ""}

    def _logprobs(self, placed: Sequence[Placed], top: int, before: int) -> dict[str, Any]:
        return text_logprobs(placed, top, self._spelling, before)


def _choice(
    index: int, finish_reason: str | None, logprobs: dict[str, Any] | None = None
) -> dict[str, Any]:
    # OpenAI has no finish reason for an answer that a client has cancelled.
    reason = "length" if finish_reason == "cancelled" else finish_reason
    return {"index": index, "logprobs": logprobs, "finish_reason": reason}
