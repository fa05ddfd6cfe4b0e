"""Answers with function calls: conversion of the generated text into OpenAI's `tool_calls`."""

import re
from collections.abc import Sequence
from typing import Any

from sessions.faces.openai.requests.tools import Tools
from sessions.faces.openai.responses.shapes import ChatShape
from sessions.models import Task

_OPENING = re.compile(r'\s*\{\s*"name"\s*:\s*"([A-Za-z0-9_-]+)"\s*,\s*"arguments"\s*:\s*')
_CLOSING = re.compile(r"\s*\}?\s*\Z")


class CallReader:
    """Parses an answer piece by piece: text, or the name of a function and its arguments."""

    def __init__(self, tools: Tools) -> None:
        only = tools.only
        self.name = only.name if only is not None else ""
        self.is_text = False
        self._is_bare = only is not None
        self._held = ""

    def feed(self, text: str) -> str:
        """Add generated text. Return the next part of the text or, after `name`, the arguments."""
        self._held += text
        if not self.name and not self.is_text and not self._begin():
            return ""
        if self.is_text or self._is_bare:
            return self._release(len(self._held))
        # Hold back the last brace: it ends the call and not the arguments.
        closing = _CLOSING.search(self._held)
        assert closing is not None
        return self._release(closing.start())

    def finish(self, *, is_whole: bool) -> str:
        """Return the rest that was held back, without the end of a complete call."""
        if not self.name:
            self.is_text = True
        elif is_whole:
            return ""
        return self._release(len(self._held))

    def _begin(self) -> bool:
        opening = _OPENING.match(self._held)
        if opening is not None:
            self.name = opening[1]
            self._held = self._held[opening.end() :]
            return True
        start = self._held.lstrip()
        self.is_text = bool(start) and not start.startswith("{")
        return self.is_text

    def _release(self, count: int) -> str:
        released, self._held = self._held[:count], self._held[count:]
        return released


class CallShape(ChatShape):
    """`chat.completion` objects for a request with tools."""

    def __init__(
        self,
        tasks: Sequence[Task],
        shown_before: Sequence[str],
        top_logprobs: int | None,
        tools: Tools,
    ) -> None:
        super().__init__(tasks, shown_before, top_logprobs)
        self._tools = tools
        self._call_id = f"call_{tasks[0].session_id}_{tasks[0].task_id}"
        self._readers = [CallReader(tools) for _ in tasks]
        self._announced = [False for _ in tasks]

    def reason(self, index: int, finish_reason: str) -> str:
        called = self._readers[index].name and not self._tools.is_named
        return "tool_calls" if called and finish_reason == "stop" else finish_reason

    def _opening_piece(self, index: int) -> dict[str, Any]:
        # The answer may be a call, so it is not known yet whether it has content.
        return {"delta": {"role": "assistant", "content": None, "refusal": None}}

    def _whole_choice(self, index: int, text: str, finish_reason: str) -> dict[str, Any]:
        reader = self._readers[index]
        said = reader.feed(text) + reader.finish(is_whole=finish_reason == "stop")
        if not reader.name:
            return super()._whole_choice(index, said, finish_reason)
        called = {"name": reader.name, "arguments": said}
        call = {"id": self._id(index), "type": "function", "function": called}
        message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
        return {"message": message}

    def _piece(self, index: int, text: str) -> dict[str, Any]:
        return {"delta": self._delta(index, self._readers[index].feed(text))}

    def _ending_piece(self, index: int, finish_reason: str) -> dict[str, Any]:
        rest = self._readers[index].finish(is_whole=finish_reason == "stop")
        return {"delta": self._delta(index, rest)}

    def _delta(self, index: int, text: str) -> dict[str, Any]:
        reader = self._readers[index]
        if not reader.name:
            return {"content": text} if text else {}
        call: dict[str, Any] = {"index": 0, "function": {"arguments": text}}
        if not self._announced[index]:
            self._announced[index] = True
            call |= {"id": self._id(index), "type": "function"}
            call["function"]["name"] = reader.name
        elif not text:
            return {}
        return {"tool_calls": [call]}

    def _id(self, index: int) -> str:
        return f"{self._call_id}_{index}"
