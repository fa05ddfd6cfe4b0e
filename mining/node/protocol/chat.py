"""A conversation as a task carries it: JSON of a list of messages, oldest first. Pure."""

import json
from dataclasses import dataclass

ROLES = ("system", "user", "assistant")
MAX_MESSAGES = 256


class MessagesUnreadable(ValueError):
    """The text is no list of messages; its message names the culprit."""


@dataclass(frozen=True)
class Message:
    """What one side has said."""

    role: str
    content: str


def read_messages(text: str) -> list[Message]:
    """Read `[{"role": "system" | "user" | "assistant", "content": "…"}, …]`, at least one.

    Other members are ignored.

    Raises:
        MessagesUnreadable: it is something else.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MessagesUnreadable(f"messages: they are no JSON ({error})") from error
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_MESSAGES:
        raise MessagesUnreadable(f"messages: send a list of 1 to {MAX_MESSAGES}")
    return [_message(index, item) for index, item in enumerate(value)]


def _message(index: int, item: object) -> Message:
    if not isinstance(item, dict):
        raise MessagesUnreadable(f"messages[{index}]: it is no object")
    role, content = item.get("role"), item.get("content")
    if role not in ROLES:
        raise MessagesUnreadable(f"messages[{index}].role: send one of {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise MessagesUnreadable(f"messages[{index}].content: send a string")
    return Message(role, content)
