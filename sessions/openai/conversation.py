"""OpenAI's messages as the conversation that a task carries (`prompt_type` 2)."""

from typing import Any

from chain.messages import canonical_json
from sessions.openai.errors import OpenAIError

PROMPT_TYPE = 2
MAX_MESSAGES = 256
MAX_CHARACTERS = 1_000_000
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


def conversation(messages: Any) -> str:
    """The messages as canonical JSON, with nothing but roles and texts.

    Raises:
        OpenAIError: they are not of that form, or have something else than text in them.
    """
    if not isinstance(messages, list) or not 1 <= len(messages) <= MAX_MESSAGES:
        raise _invalid("messages", f"send a list of 1 to {MAX_MESSAGES}")
    turns = [_turn(f"messages[{index}]", message) for index, message in enumerate(messages)]
    if sum(len(turn["content"]) for turn in turns) > MAX_CHARACTERS:
        raise _invalid("messages", f"they have more than {MAX_CHARACTERS} characters")
    try:
        return canonical_json(turns).decode()
    except ValueError as error:
        raise _invalid("messages", "they have half a character (a lone surrogate)") from error


def _turn(path: str, message: Any) -> dict[str, str]:
    if not isinstance(message, dict):
        raise _invalid(path, "it has to be an object")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        if role in ("tool", "function"):
            raise _unsupported(f"{path}.role", "no model here calls tools")
        raise _invalid(f"{path}.role", f"send one of {', '.join(sorted(_ROLES))}")
    for name in ("tool_calls", "function_call", "audio"):
        if message.get(name):
            raise _unsupported(f"{path}.{name}", "no model here calls tools or speaks")
    return {"role": _ROLES[role], "content": _text(f"{path}.content", message.get("content"))}


def _text(path: str, content: Any) -> str:
    if isinstance(content, str):
        text = content
    elif isinstance(content, list) and content:
        text = "".join(_part(f"{path}[{index}]", part) for index, part in enumerate(content))
    else:
        raise _invalid(path, "send a string, or a list of text parts")
    if "\x00" in text:
        raise _invalid(path, "it has a null character")
    return text


def _part(path: str, part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind in ("image_url", "input_audio", "file"):
        raise _unsupported(path, "the models here read text only")
    raise _invalid(path, "send {'type': 'text', 'text': …}")


def _invalid(param: str, reason: str) -> OpenAIError:
    return OpenAIError(f"Invalid '{param}': {reason}.", param=param, code="invalid_value")


def _unsupported(param: str, reason: str) -> OpenAIError:
    message = f"'{param}' is not served here: {reason}."
    return OpenAIError(message, param=param, code="unsupported_parameter")
