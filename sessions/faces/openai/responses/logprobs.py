"""Log-probabilities in OpenAI's two forms: the one of chat, and the older one of text."""

import codecs
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sessions import ports
from sessions.logprobs import TokenLogprob


class Spelling:
    """What the tokens of one model spell."""

    def __init__(self, model_identifier: int) -> None:
        self._model_identifier = model_identifier

    def bytes_of(self, token: int) -> bytes:
        return ports.prompt_counter().token_bytes(self._model_identifier, token)

    def name_of(self, token: int) -> str:
        """A token's text; of a part of a character its bytes, as OpenAI has it: `bytes:\\xe2`."""
        data = self.bytes_of(token)
        try:
            return data.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)


@dataclass(frozen=True)
class Placed:
    """A token's log-probability, and how many characters of the answer stand before it."""

    told: TokenLogprob
    offset: int


class Places:
    """Where the tokens of one answer stand in its text, as it is shown piece by piece.

    A token is told once the text shows where it begins: what a stop string has cut off is never
    told, and what is held back is told with its text. The parts of a character begin where it does.
    """

    def __init__(self, spelling: Spelling) -> None:
        self._spelling = spelling
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._characters = 0
        """Of whole characters that the tokens spell so far."""
        self._shown = 0
        self._waiting: deque[Placed] = deque()

    def take(self, told: Sequence[TokenLogprob], text: str) -> list[Placed]:
        """The tokens that may be told, after further ones came and further text was shown."""
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
            # A byte that does not go on with a begun character ends that one as U+FFFD, and
            # begins the next; one that does is at the same place.
            offset += len(head) - (not self._decoder.getstate()[0])
        self._characters += len(head) + len(self._decoder.decode(data[1:]))
        return offset


def chat_logprobs(placed: Sequence[Placed], top: int, spelling: Spelling) -> dict[str, Any]:
    """`{"content": [{"token", "logprob", "bytes", "top_logprobs"}], "refusal": null}`."""

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
    """`{"tokens", "token_logprobs", "top_logprobs", "text_offset"}`.

    Args:
        before: how many characters stand before the answer.
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
        # Two tokens may spell the same; the likelier one comes first.
        rivals.setdefault(spelling.name_of(token), logprob)
    return rivals
