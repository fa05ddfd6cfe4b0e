"""The conversation that a task carries: a JSON list of messages, oldest first. Pure."""

import json
from dataclasses import dataclass

ROLES = ("system", "user", "assistant")
MAX_MESSAGES = 256


class MessagesUnreadable(ValueError):
    """The text is not a list of messages. The error's text names the faulty member."""


@dataclass(frozen=True)
class Message:
    """One message of a conversation."""

    role: str
    content: str


def read_messages(text: str) -> list[Message]:
    """Read `[{"role": "system" | "user" | "assistant", "content": "…"}, …]`, at least one.

    Other members of a message are ignored.

    Raises:
        MessagesUnreadable: the text is something else.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MessagesUnreadable(f"messages: the text is not JSON ({error})") from error
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_MESSAGES:
        raise MessagesUnreadable(f"messages: send a list of 1 to {MAX_MESSAGES}")
    return [_message(index, item) for index, item in enumerate(value)]


def _message(index: int, item: object) -> Message:
    if not isinstance(item, dict):
        raise MessagesUnreadable(f"messages[{index}]: send an object")
    role, content = item.get("role"), item.get("content")
    if role not in ROLES:
        raise MessagesUnreadable(f"messages[{index}].role: send one of {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise MessagesUnreadable(f"messages[{index}].content: send a string")
    return Message(role, content)
