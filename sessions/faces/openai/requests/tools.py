"""`tools`: functions that an answer may call, enforced by a grammar.

The conversation's system message describes the functions. With `auto`, an answer is either one call
or a text that does not begin with a brace. With `required`, it is one call. If the client names a
function, the answer is that function's arguments only.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sessions.faces.openai.errors import invalid
from sessions.faces.openai.json_schema import Held
from sessions.faces.openai.requests.grammars import (
    AnswerGrammar,
    grammar_from_schema,
    held_schema,
    json_rule,
)

MAX_FUNCTIONS = 32
MAX_DESCRIPTION_CHARACTERS = 4_096
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PLAIN_OBJECT = frozenset(
    ("type", "properties", "required", "title", "description", "$defs", "definitions", "$schema")
)
_NO_ARGUMENTS = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True)
class Function:
    """A callable function. `parameters` is the JSON schema of its arguments."""

    name: str
    description: str
    parameters: dict[str, Any]
    strict: bool

    @property
    def arguments(self) -> dict[str, Any]:
        """The schema for generation, which allows only arguments that the function declares.

        JSON Schema allows others if `additionalProperties` is missing. A small model then invents
        arguments without end, and no function reads them. Every answer still fits the client's
        schema.
        """
        properties = self.parameters.get("properties")
        required = self.parameters.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list):
            return self.parameters
        is_plain = (
            self.parameters.keys() <= _PLAIN_OBJECT and self.parameters.get("type") == "object"
        )
        if not is_plain or not properties or any(name not in properties for name in required):
            return self.parameters
        return self.parameters | {"additionalProperties": False}


@dataclass(frozen=True)
class Tools:
    """The callable functions. `choice` is `auto`, `required`, or the name of a function."""

    functions: tuple[Function, ...]
    choice: str

    @property
    def is_named(self) -> bool:
        """Whether the client has named the function."""
        return self.choice not in ("auto", "required")

    @property
    def only(self) -> Function | None:
        """The only function that can be called, if there is one. The answer is its arguments."""
        if self.choice == "required" and len(self.functions) == 1:
            return self.functions[0]
        return next((each for each in self.functions if each.name == self.choice), None)

    @property
    def grammar(self) -> AnswerGrammar:
        """The grammar of an answer. Raises OpenAIError."""
        if self.only is not None:
            return grammar_from_schema(
                self.only.arguments, self._path(self.only), strict=self.only.strict
            )
        # Convert each separately, so that errors name it and its definitions keep unique names.
        held = [
            held_schema(each.arguments, self._path(each), strict=each.strict, prefix=f"f{index}_")
            for index, each in enumerate(self.functions)
        ]
        for each, function in zip(held, self.functions, strict=True):
            json_rule(each, self._path(function))
        calls = [_call(*each) for each in zip(self.functions, held, strict=True)]
        passed_over = {path: why for each in held for path, why in each.passed_over.items()}
        together = Held(
            {"anyOf": calls},
            {name: body for each in held for name, body in each.definitions.items()},
            any(each.needs_plain_escapes for each in held),
            any(each.has_controls for each in held),
        )
        call = json_rule(together, "tools")
        if self.choice == "required":
            return AnswerGrammar(f"start: {call}", passed_over)
        lark = f"start: call | TEXT\ncall: {call}\nTEXT: /([^{{](.|\\n)*)?/\n"
        return AnswerGrammar(lark, passed_over)

    @property
    def instruction(self) -> str:
        """The text that describes the functions to the model."""
        if self.is_named and self.only is not None:
            told = _described(self.only)
            return f"Answer with the arguments of this function, as one JSON object:\n{told}"
        told = "\n".join(map(_described, self.functions))
        ending = (
            "Call one of them" if self.choice == "required" else "To call one of them, answer with"
        )
        form = '{"name": "…", "arguments": {…}}'
        return f"These functions can be called:\n{told}\n{ending}: {form}"

    def _path(self, function: Function) -> str:
        return f"tools[{self.functions.index(function)}].function.parameters"


def read_tools(members: Mapping[str, Any]) -> Tools | None:
    """Return the functions of a request, or None if it may not call any.

    Raises:
        OpenAIError: a function or the choice is not valid.
    """
    choice = members.get("tool_choice", "auto" if members.get("tools") else "none")
    functions = _functions(members.get("tools", []))
    if choice == "none":
        return None
    if not functions:
        raise invalid("tool_choice", "there are no 'tools' to choose from")
    match choice:
        case "auto" | "required":
            return Tools(functions, str(choice))
        case {"type": "function", "function": {"name": str(name)}}:
            if name in {function.name for function in functions}:
                return Tools(functions, name)
            raise invalid("tool_choice.function.name", "no function of 'tools' has it")
    raise invalid(
        "tool_choice", "send 'none', 'auto', 'required' or {'type': 'function', 'function': …}"
    )


def _functions(tools: Any) -> tuple[Function, ...]:
    if not isinstance(tools, list) or len(tools) > MAX_FUNCTIONS:
        raise invalid("tools", f"send a list of at most {MAX_FUNCTIONS}")
    functions = tuple(_function(tool, f"tools[{index}]") for index, tool in enumerate(tools))
    names = [function.name for function in functions]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise invalid(f"tools[{index}].function.name", "another function has it")
    return functions


def _function(tool: Any, path: str) -> Function:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise invalid(f"{path}.type", "only 'function' is served here")
    value, path = tool.get("function"), f"{path}.function"
    if not isinstance(value, dict):
        raise invalid(path, "it has to be an object")
    name = value.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise invalid(f"{path}.name", "1 to 64 letters, digits, '_' and '-'")
    if name in ("auto", "required"):
        raise invalid(f"{path}.name", "this word says how to choose")
    description = value.get("description") or ""
    if not isinstance(description, str) or len(description) > MAX_DESCRIPTION_CHARACTERS:
        raise invalid(f"{path}.description", f"at most {MAX_DESCRIPTION_CHARACTERS} characters")
    parameters = value.get("parameters") or _NO_ARGUMENTS
    if not isinstance(parameters, dict):
        raise invalid(f"{path}.parameters", "it has to be a JSON schema")
    strict = value.get("strict") or False
    if not isinstance(strict, bool):
        raise invalid(f"{path}.strict", "it has to be true or false")
    return Function(name, description, parameters, strict)


def _call(function: Function, held: Held) -> dict[str, Any]:
    """Return the schema of a call."""
    return {
        "type": "object",
        "properties": {"name": {"const": function.name}, "arguments": held.schema},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _described(function: Function) -> str:
    described = {"name": function.name, "parameters": function.parameters}
    if function.description:
        described["description"] = function.description
    return json.dumps(described, ensure_ascii=False)
