"""Conversion of OpenAI's messages into the prompt of a task (`CONVERSATION`)."""

import json
from itertools import groupby
from typing import Any

from chain.protocol.digests import canonical_json
from sessions.faces.openai.errors import invalid, unsupported

TOOL = "tool"
MAX_MESSAGES = 256
MAX_CHARACTERS = 1_000_000
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    TOOL: TOOL,
}


def conversation(messages: Any, instruction: str = "") -> str:
    """Return the messages as canonical JSON, with only roles and texts.

    A function call becomes text of the assistant, and the function's result becomes text of the
    user.

    Args:
        instruction: a text to add to the system message.

    Raises:
        OpenAIError: the messages are not valid, or contain something other than text.
    """
    if not isinstance(messages, list) or not 1 <= len(messages) <= MAX_MESSAGES:
        raise invalid("messages", f"send a list of 1 to {MAX_MESSAGES}")
    turns = _joined(
        [_turn(f"messages[{index}]", message) for index, message in enumerate(messages)]
    )
    if instruction:
        turns = _instructed(turns, instruction)
    if sum(len(turn["content"]) for turn in turns) > MAX_CHARACTERS:
        raise invalid("messages", f"they have more than {MAX_CHARACTERS} characters")
    try:
        return canonical_json(turns).decode()
    except ValueError as error:
        raise invalid("messages", "they have half a character (a lone surrogate)") from error


def _turn(path: str, message: Any) -> dict[str, str]:
    if not isinstance(message, dict):
        raise invalid(path, "it has to be an object")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        if role == "function":
            raise unsupported(f"{path}.role", "it is the older name; send 'tool'")
        raise invalid(f"{path}.role", f"send one of {', '.join(sorted(_ROLES))}")
    for name in ("function_call", "audio"):
        if message.get(name):
            raise unsupported(f"{path}.{name}", "no model here speaks, and calls are 'tool_calls'")
    if role == "assistant" and message.get("tool_calls"):
        return {"role": role, "content": _calls(path, message)}
    if role == "assistant" and message.get("content") is None and message.get("refusal"):
        # OpenAI's answers have either content or a refusal. Clients send them back unchanged.
        return {"role": role, "content": _text(f"{path}.refusal", message["refusal"])}
    content = _text(f"{path}.content", message.get("content"))
    if role == TOOL:
        return {"role": TOOL, "content": content}
    return {"role": _ROLES[role], "content": content}


def _joined(turns: list[dict[str, str]]) -> list[dict[str, str]]:
    """Join consecutive results into one turn, because chat templates require alternating turns."""
    joined: list[dict[str, str]] = []
    for role, run in groupby(turns, key=lambda turn: turn["role"]):
        if role == TOOL:
            results = "\n".join(f"The function's result: {turn['content']}" for turn in run)
            joined.append({"role": "user", "content": results})
        else:
            joined += run
    return joined


def _instructed(turns: list[dict[str, str]], instruction: str) -> list[dict[str, str]]:
    first = turns[0]
    if first["role"] == "system":
        return [first | {"content": f"{first['content']}\n\n{instruction}"}, *turns[1:]]
    return [{"role": "system", "content": instruction}, *turns]


def _calls(path: str, message: dict[str, Any]) -> str:
    """Return an assistant's function calls in the text form that the grammar prescribes."""
    calls = message["tool_calls"]
    if not isinstance(calls, list):
        raise invalid(f"{path}.tool_calls", "send a list")
    said = [_call(f"{path}.tool_calls[{index}]", call) for index, call in enumerate(calls)]
    content = message.get("content")
    before = [_text(f"{path}.content", content)] if content else []
    return "\n".join(before + said)


def _call(path: str, call: Any) -> str:
    match call:
        case {"function": {"name": str(name), "arguments": str(arguments)}}:
            if "\x00" in arguments:
                raise invalid(path, "it has a null character")
            return f'{{"name": {json.dumps(name)}, "arguments": {arguments}}}'
    raise invalid(path, "send {'function': {'name': …, 'arguments': …}}, both of them strings")


def _text(path: str, content: Any) -> str:
    if isinstance(content, str):
        text = content
    elif isinstance(content, list) and content:
        text = "".join(_part(f"{path}[{index}]", part) for index, part in enumerate(content))
    else:
        raise invalid(path, "send a string, or a list of text parts")
    if "\x00" in text:
        raise invalid(path, "it has a null character")
    return text


def _part(path: str, part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind == "refusal" and isinstance(part.get("refusal"), str):  # a part of an earlier answer
        return str(part["refusal"])
    if kind in ("image_url", "input_audio", "file"):
        raise unsupported(path, "the models here read text only")
    raise invalid(path, "send {'type': 'text', 'text': …}")
