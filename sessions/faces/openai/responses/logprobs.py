"""Log-probabilities in OpenAI's two formats, for chat and for text completions."""

import codecs
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sessions import ports
from sessions.logprobs import TokenLogprob


class Spelling:
    """The texts of a model's tokens."""

    def __init__(self, model_identifier: int) -> None:
        self._model_identifier = model_identifier

    def bytes_of(self, token: int) -> bytes:
        return ports.prompt_counter().token_bytes(self._model_identifier, token)

    def name_of(self, token: int) -> str:
        """Return a token's text, or OpenAI's form of an incomplete character: `bytes:\\xe2`."""
        data = self.bytes_of(token)
        try:
            return data.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)


@dataclass(frozen=True)
class Placed:
    """A token's log-probability, and the token's offset in the answer, in characters."""

    told: TokenLogprob
    offset: int


class Places:
    """The offsets of one answer's tokens, computed as the text is shown piece by piece.

    A token is reported when the text at its offset is shown. So tokens that a stop string has cut
    off are never reported, and tokens whose text is held back are reported with that text. All
    parts of a character have the character's offset.
    """

    def __init__(self, spelling: Spelling) -> None:
        self._spelling = spelling
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._characters = 0
        """The number of complete characters in all tokens so far."""
        self._shown = 0
        self._waiting: deque[Placed] = deque()

    def take(self, told: Sequence[TokenLogprob], text: str) -> list[Placed]:
        """Add new tokens and shown text, and return the tokens that can be reported now."""
        self._waiting += [Placed(each, self._place(each.token)) for each in told]
        self._shown += len(text)
        found = []
        while self._waiting and self._waiting[0].offset < self._shown:
            found.append(self._waiting.popleft())
        return found

    def _place(self, token: int) -> int:
        data = self._spelling.bytes_of(token)
        begun = bool(self._decoder.getstate()[0])
        head = self._decoder.decode(data[:1])
        offset = self._characters
        if begun and data:
            # A byte that does not continue an incomplete character ends it as U+FFFD and begins
            # the next one. A byte that continues it has the same offset.
            offset += len(head) - (not self._decoder.getstate()[0])
        self._characters += len(head) + len(self._decoder.decode(data[1:]))
        return offset


def chat_logprobs(placed: Sequence[Placed], top: int, spelling: Spelling) -> dict[str, Any]:
    """Return `{"content": [{"token", "logprob", "bytes", "top_logprobs"}], "refusal": null}`."""

    def entry(token: int, logprob: float) -> dict[str, Any]:
        return {
            "token": spelling.name_of(token),
            "logprob": logprob,
            "bytes": list(spelling.bytes_of(token)),
        }

    content = [
        entry(each.told.token, each.told.logprob)
        | {"top_logprobs": [entry(*pair) for pair in each.told.top[:top]]}
        for each in placed
    ]
    return {"content": content, "refusal": None}


def text_logprobs(
    placed: Sequence[Placed], top: int, spelling: Spelling, before: int
) -> dict[str, Any]:
    """Return `{"tokens", "token_logprobs", "top_logprobs", "text_offset"}`.

    Args:
        before: the number of characters that are shown before the answer.
    """
    return {
        "tokens": [spelling.name_of(each.told.token) for each in placed],
        "token_logprobs": [each.told.logprob for each in placed],
        "top_logprobs": [_rivals(each.told, top, spelling) for each in placed] if top else None,
        "text_offset": [before + each.offset for each in placed],
    }


def _rivals(told: TokenLogprob, top: int, spelling: Spelling) -> dict[str, float]:
    rivals: dict[str, float] = {}
    for token, logprob in told.top[:top]:
        # Two tokens may have the same text. Keep the likelier one, which comes first.
        rivals.setdefault(spelling.name_of(token), logprob)
    return rivals
