"""Log-probabilities in OpenAI's two forms: the one of chat, and the older one of text."""

from collections.abc import Sequence
from typing import Any

from sessions import ports
from sessions.logprobs import TokenLogprob


class Spelling:
    """What the tokens of one model spell."""

    def __init__(self, model_identifier: int) -> None:
        self._model_identifier = model_identifier

    def bytes_of(self, token: int) -> bytes:
        return ports.prompt_counter().token_bytes(self._model_identifier, token)

    def text_of(self, token: int) -> str:
        return self.bytes_of(token).decode(errors="replace")


def of_text(told: Sequence[TokenLogprob], text: str, spelling: Spelling) -> Sequence[TokenLogprob]:
    """Those of the tokens that spell a text: a stop string cuts off what follows."""
    left = len(text.encode(errors="replace"))
    for count, each in enumerate(told):
        if left <= 0:
            return told[:count]
        left -= len(spelling.bytes_of(each.token))
    return told


def chat_logprobs(told: Sequence[TokenLogprob], top: int, spelling: Spelling) -> dict[str, Any]:
    """`{"content": [{"token", "logprob", "bytes", "top_logprobs"}], "refusal": null}`."""

    def entry(token: int, logprob: float) -> dict[str, Any]:
        return {
            "token": spelling.text_of(token),
            "logprob": logprob,
            "bytes": list(spelling.bytes_of(token)),
        }

    content = [
        entry(each.token, each.logprob)
        | {"top_logprobs": [entry(*pair) for pair in each.top[:top]]}
        for each in told
    ]
    return {"content": content, "refusal": None}


def text_logprobs(
    told: Sequence[TokenLogprob], top: int, spelling: Spelling, offset: int
) -> dict[str, Any]:
    """`{"tokens", "token_logprobs", "top_logprobs", "text_offset"}`.

    Args:
        offset: how many characters stand before the first of these tokens.
    """
    tokens = [spelling.text_of(each.token) for each in told]
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token)
    rivals = [{spelling.text_of(each): value for each, value in row.top[:top]} for row in told]
    return {
        "tokens": tokens,
        "token_logprobs": [each.logprob for each in told],
        "top_logprobs": rivals if top else None,
        "text_offset": offsets,
    }
