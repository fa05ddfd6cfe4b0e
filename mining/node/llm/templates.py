"""A model's chat template: code from a stranger's file, run in Jinja's sandbox and within bounds.

The sandbox keeps a template from the process; it does not keep it from taking all of its time and
memory. So every round of a loop and every call of a macro is counted, what a template says is
counted, and no operator, filter or method makes more than any conversation needs.
"""

import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from jinja2 import Environment, nodes, pass_context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

MAX_ROUNDS = 20_000
"""Of all loops and macros together; a conversation of 256 turns takes some thousands."""
MAX_SIZE = 200_000
"""Of a template's source, and of any text, list or number that it makes."""
MAX_SAID = 2_000_000
"""Of all that it says, also where it throws that away."""
MAX_S = 5.0
_BUDGET, _JOIN = "cortensor_budget", "cortensor_join"
_WIDE = re.compile(r"\d{5}")


class TemplateFails(ValueError):
    """The template cannot be read, raises an error, or asks for too much."""


class Template:
    """A chat template.

    Args:
        today: the day that it is told, the same for everybody who renders it.

    Raises:
        TemplateFails: it cannot be read.
    """

    def __init__(self, source: str, *, bos_text: str, eos_text: str, today: datetime) -> None:
        formatter: Any = Jinja2ChatFormatter("", eos_token=eos_text, bos_token=bos_text)
        try:
            _require_small(len(source))
            environment = _bounded(formatter._environment.environment)
            tree = _Counting().visit(environment.parse(source))
            formatter._environment = environment.from_string(tree)
        except Exception as error:  # a stranger wrote it, and Jinja compiles it
            raise TemplateFails(_reason(error)) from error
        formatter.strftime_now = today.strftime
        self._formatter: Any = formatter

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The conversation in the template's words. Raises TemplateFails."""
        given: dict[str, Any] = {_BUDGET: _Budget(), _JOIN: _join}
        try:
            return str(self._formatter(messages=messages, **given).prompt)
        except Exception as error:  # whatever its code comes to
            raise TemplateFails(_reason(error)) from error


class _TooMuch(ValueError):
    """The template asks for more than any conversation needs."""


class _Budget:
    """What one rendering may still take."""

    def __init__(self) -> None:
        self._rounds = self._said = 0
        self._ends_at = time.monotonic() + MAX_S

    def tick(self, size: int) -> str:
        """Count a round of a loop, which says so many characters of the template's own text."""
        self._rounds += 1
        if self._rounds > MAX_ROUNDS or time.monotonic() > self._ends_at:
            raise _TooMuch(f"its loops take more than {MAX_ROUNDS} rounds, or {MAX_S} s")
        self.say(size)
        return ""

    def say(self, size: int) -> None:
        """Count what is said."""
        self._said += size
        if self._said > MAX_SAID:
            raise _TooMuch(f"it says more than {MAX_SAID} characters")


class _Counting(NodeTransformer):
    """Puts a count at the head of each loop and macro, and bounds `~`, which no hook is for."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        return self._counted(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
        return self._counted(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:
        return self._counted(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return nodes.Call(nodes.Name(_JOIN, "load"), node.nodes, [], None, None, lineno=node.lineno)

    def _counted(self, node: Any) -> nodes.Node:
        self.generic_visit(node)
        said = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        tick = nodes.Getattr(nodes.Name(_BUDGET, "load"), "tick", "load")
        call = nodes.Call(tick, [nodes.Const(said)], [], None, None)
        head = nodes.Output([call])
        node.body.insert(0, head.set_lineno(node.lineno, override=True))
        return node  # type: ignore[no-any-return]


class _BoundedEnvironment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, int) and isinstance(right, int)
        match operator:
            case "+":
                _require_small(_size(left) + _size(right))
            case "*" if numbers:
                _require_small(left.bit_length() + right.bit_length())
            case "*":
                _require_small(_count(left) * _count(right))
            case "**" if numbers:
                _require_small(left.bit_length() * abs(right))
            case "%" if isinstance(left, str):
                _require_small(_size(left % right) if not _WIDE.search(left) else MAX_SIZE + 1)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, obj: Any, *args: Any, **kwargs: Any) -> Any:
        text = getattr(obj, "__self__", None)
        if isinstance(text, str):
            _require_modest(text, obj.__name__, [*args, *kwargs.values()])
        return super().call(context, obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Any:
        text = getattr(value, "__self__", None)
        if isinstance(text, str) and value.__name__ in ("format", "format_map"):
            _require_modest(text, "format", [])
        return super().wrap_str_format(value)


def _bounded(environment: Environment) -> Environment:
    """The formatter's own environment, bounded."""
    environment.__class__ = _BoundedEnvironment
    environment.optimized = False  # nothing is worked out before it is counted
    environment.finalize = _say
    environment.globals.pop("lipsum", None)
    filters = environment.filters
    for name in ("center", "format", "indent", "wordwrap", "replace", "join", "batch", "slice"):
        filters[name] = _modest_filter(name, filters[name])
    filters["tojson"] = _modest_filter("tojson", filters["tojson"])
    return environment


@pass_context
def _say(context: Any, value: Any) -> Any:
    context[_BUDGET].say(_size(value))
    return value


def _modest_filter(name: str, apply: Any) -> Any:
    def within(*args: Any, **kwargs: Any) -> Any:
        texts = [value for value in args if isinstance(value, str)]
        _require_modest(texts[0] if texts else "", name, [*args, *kwargs.values()])
        return apply(*args, **kwargs)

    vars(within).update(vars(apply))  # what Jinja passes it besides
    return within


def _require_modest(text: str, name: str, values: Sequence[Any]) -> None:
    """A method or filter of a text: its numbers are small, and so is what comes of it at most."""
    for value in values:
        if isinstance(value, int) and abs(value) > MAX_SIZE:
            raise _TooMuch(f"'{name}' is given {str(value)[:20]}")
    if name == "format" and _WIDE.search(text):
        raise _TooMuch("it formats a text of a great width")
    if name in ("join", "replace", "translate", "expandtabs", "indent", "format", "wordwrap"):
        largest = max((_size(value) for value in values), default=0)
        members = sum(_size(each) for value in values if isinstance(value, list) for each in value)
        _require_small(max(len(text), 1) * max(largest, 1) + members, MAX_SAID)


def _join(*values: Any) -> str:
    _require_small(sum(map(_size, values)))
    return "".join(map(str, values))


def _count(value: Any) -> int:
    """How much it multiplies by, or is."""
    return abs(value) if isinstance(value, int) else max(_size(value), 1)


def _size(value: Any) -> int:
    if isinstance(value, int):
        return value.bit_length()
    return len(value) if isinstance(value, str | list | tuple | dict) else 0


def _require_small(size: int, most: int = MAX_SIZE) -> None:
    if size > most:
        raise _TooMuch(f"it makes something of a size above {most}")


def _reason(error: Exception) -> str:
    text = str(error).partition("\n")[0][:200]
    return text or type(error).__name__
